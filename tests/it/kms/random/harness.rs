//! Does to a real `Kms` what the plan says, and judges what comes of it.

use std::collections::BTreeSet;
use std::task::Poll;
use std::time::SystemTime;

use custom_key_store::kms::{Exception, KmsError};

use super::call::{Answer, CallFuture, future};
use super::expect::{Outcome, While, outcomes, outcomes_of_blob};
use super::known::Known;
use super::model::{Ghost, View};
use super::op::{Call, Named, Op, Place, Then};
use super::polling::Effort;
use super::task::Task;
use super::world::{Calls, Kind, World};

pub(super) struct Harness {
    pub(super) world: World,
    pub(super) known: Known,
    pub(super) pending: Vec<Pending>,
    /// Calls that were kept and have ended since the last look.
    pub(super) spent: Vec<Call>,
}

/// A call that is kept.
pub(super) struct Pending {
    pub(super) call: Call,
    pub(super) task: Task<Result<Answer, KmsError>>,
    /// `None` before its first poll, with which it begins.
    pub(super) window: Option<Window>,
}

/// What was so at some moment while a call was under way.
#[derive(Clone)]
pub(super) struct Window {
    pub(super) view: View,
    pub(super) since: SystemTime,
    pub(super) before: Calls,
    pub(super) met: u64,
    pub(super) accepted: Vec<BTreeSet<u8>>,
    pub(super) stepwise: bool,
    /// Others came in between: its first poll was not its last, or what is late took place with what it did.
    pub(super) shared: bool,
}

impl Harness {
    pub(super) fn new(kind: Kind) -> Self {
        let world = World::new(kind);
        let known = Known::new(&world);
        Self { world, known, pending: Vec::new(), spent: Vec::new() }
    }

    /// Does all of it; what it has led to, and how much of it was foretold.
    pub(super) fn run(mut self, ops: Vec<Op>) -> (BTreeSet<&'static str>, [u64; 2]) {
        for op in ops {
            self.known.met_before = self.world.catalogue.met();
            self.step(op);
            self.check();
        }
        self.finish();
        (self.known.seen, self.known.foretold)
    }

    fn step(&mut self, op: Op) {
        let Self { world, known, .. } = self;
        match op {
            Op::Call(call, then) => {
                if let Some(call) = self.resolve(call) {
                    self.call(call, then);
                }
            }
            Op::PollCall(index) => {
                if let Some(index) = index.checked_rem(self.pending.len()) {
                    self.poll_kept(index);
                }
            }
            Op::DropCall(index) => {
                if let Some(index) = index.checked_rem(self.pending.len()) {
                    drop(self.pending.swap_remove(index));
                    self.known.pending.swap_remove(index);
                    self.known.saw("a call was dropped");
                }
            }
            Op::Inject(manager, method, fault) => world.inject(manager, method, fault),
            Op::Heal(manager) => world.heal(manager),
            Op::Accept(manager, secret) => {
                world.accept(manager, secret);
                known.accepts(world, manager, secret);
                for window in self.pending.iter_mut().filter_map(|pending| pending.window.as_mut()) {
                    let manager = if world.one_manager { 0 } else { manager };
                    window.accepted[manager].insert(secret);
                }
            }
            Op::Commit(mood) => world.catalogue.commit_meets(mood),
            Op::Read(mood) => world.catalogue.read_meets(mood),
            Op::Advance(seconds) => world.advance(seconds),
            Op::Drive => world.drive(),
            Op::Rest => self.rest(),
            Op::Restart(end) => self.restart(end),
        }
    }

    /// The call with the numbers of things that there are; `None` when there is none.
    fn resolve(&self, call: Call) -> Option<Call> {
        let view = &self.known.view;
        let store = |index: usize| index.checked_rem(view.stores.len());
        let key = |index: usize| index.checked_rem(view.keys.len());
        let named = |named: Named| {
            Some(match named {
                Named::Id(index) => Named::Id(key(index)?),
                Named::Arn(index) => Named::Arn(key(index)?),
                alias => alias,
            })
        };
        let blob = |index: usize| index.checked_rem(self.known.blobs.len());
        Some(match call {
            Call::Connect(index) => Call::Connect(store(index)?),
            Call::Disconnect(index) => Call::Disconnect(store(index)?),
            Call::Delete(index) => Call::Delete(store(index)?),
            Call::Update(index, mut edit) => {
                let index = store(index)?;
                // How it is reached is changed together with where.
                if let (Some(_), None, Place::External { endpoint, .. }) =
                    (edit.service, edit.endpoint, view.stores[index].place())
                {
                    edit.endpoint = Some(endpoint);
                }
                Call::Update(index, edit)
            }
            Call::CreateKey(index, backing) => Call::CreateKey(store(index)?, backing),
            Call::Key(index, edit) => Call::Key(key(index)?, edit),
            Call::CreateAlias(alias, index) => Call::CreateAlias(alias, key(index)?),
            Call::UpdateAlias(alias, index) => Call::UpdateAlias(alias, key(index)?),
            Call::Encrypt { key, context, dry } => Call::Encrypt { key: named(key)?, context, dry },
            Call::DataKey { key, plaintext } => Call::DataKey { key: named(key)?, plaintext },
            Call::Decrypt { blob: index, wrong, named: name, dry } => {
                let name = match name {
                    Some(name) => Some(named(name)?),
                    None => None,
                };
                Call::Decrypt { blob: blob(index)?, wrong, named: name, dry }
            }
            Call::ReEncrypt { blob: index, to } => Call::ReEncrypt { blob: blob(index)?, to: named(to)? },
            Call::Random(Some(index)) => Call::Random(Some(store(index)?)),
            call @ (Call::Create(_) | Call::DeleteAlias(_) | Call::Random(None)) => call,
        })
    }

    pub(super) fn future(&self, call: &Call) -> CallFuture {
        future(&self.world.kms(), call, &self.known.view, &self.known.blobs)
    }

    fn window(&self) -> Window {
        let mut view = self.known.view.clone();
        view.haunt_unseen(&self.known.ghosts);
        Window {
            view,
            since: self.world.now(),
            before: self.world.calls(),
            met: self.world.catalogue.met(),
            accepted: self.world.accepted.iter().map(|secret| BTreeSet::from([*secret])).collect(),
            stepwise: true,
            shared: self.world.catalogue.is_behind(),
        }
    }

    pub(super) fn call(&mut self, call: Call, then: Then) {
        match then {
            Then::Await { driven } => {
                self.call_to_its_end(call, driven);
            }
            Then::Drop { polls, driven } | Then::Keep { polls, driven } => {
                let task = Task::new(self.future(&call));
                self.pending.push(Pending { call, task, window: None });
                self.known.pending.push(call);
                let index = self.pending.len() - 1;
                for _ in 0..polls {
                    if self.poll_pending(index).is_ready() {
                        return;
                    }
                    if driven {
                        self.world.poll_driver();
                        self.known.note(&mut self.world);
                    }
                }
                if matches!(then, Then::Drop { .. }) {
                    drop(self.pending.pop());
                    self.known.pending.pop();
                    self.known.saw("a call was dropped");
                }
            }
        }
    }

    /// Awaits a call; its outcome.
    pub(super) fn call_to_its_end(&mut self, call: Call, driven: bool) -> Outcome {
        let mut window = self.window();
        let mut task = Task::new(self.future(&call));
        self.known.current = Some(call);
        let Self { world, known, .. } = self;
        let (result, effort) = world.finish(&mut task, driven, |world, its_own| {
            known.note(world);
            if its_own {
                return;
            }
            window.shared = true;
        });
        drop(task);
        window.shared |= effort.polls > 1;
        self.check_effort(&call, &window, effort);
        let outcome = self.ended(call, window, result);
        self.known.current = None;
        outcome
    }

    /// What a call took, which nothing kept from going on.
    fn check_effort(&self, call: &Call, window: &Window, effort: Effort) {
        let trouble = self.known.is_trouble(&self.world, window.met);
        let nobody_else = self.pending.is_empty() && self.known.ghosts.is_empty();
        let asked = self.world.all_asked_since(&window.before);
        let no_faults = asked.values().all(|(faults, _)| faults.is_empty());
        if !trouble && no_faults && nobody_else && !self.world.is_durable() {
            assert!(!effort.helped && effort.seconds == 0, "{call:?} took {effort:?} although nothing hangs");
        }
        // Whatever else is under way.
        if matches!(call, Call::Disconnect(_)) && !trouble && !self.world.is_durable() {
            assert!(!effort.helped && effort.seconds == 0, "a disconnect waited: {effort:?}");
        }
    }

    /// Polls a kept call as often as it is woken, and the driver not at all.
    fn poll_kept(&mut self, index: usize) {
        for _ in 0..100 {
            if !self.pending[index].task.is_woken() || self.poll_pending(index).is_ready() {
                return;
            }
        }
    }

    /// Polls a kept call once, woken or not.
    pub(super) fn poll_pending(&mut self, index: usize) -> Poll<Outcome> {
        let first = self.pending[index].window.is_none();
        if first {
            // Time passes, and it is not polled.
            self.pending[index].window = Some(Window { stepwise: false, ..self.window() });
        }
        let settled = self.gone_for(&self.pending[index].call);
        let (mut polled, mut shared) = (self.pending[index].task.poll(), !first);
        // One who has begun with a file goes on with it: others have to wait for it meanwhile.
        while polled.is_pending() && self.world.wait_for_others() {
            shared = true;
            if self.pending[index].task.is_woken() {
                polled = self.pending[index].task.poll();
            } else {
                self.world.poll_driver();
            }
        }
        self.known.note(&mut self.world);
        match polled {
            Poll::Pending => {
                self.pending[index].window.as_mut().unwrap().shared |= shared;
                if first {
                    // From here on it goes on by itself.
                    self.haunt(self.pending[index].call, self.world.now());
                }
                Poll::Pending
            }
            Poll::Ready(result) => {
                let Pending { call, window, .. } = self.pending.swap_remove(index);
                self.known.pending.swap_remove(index);
                let mut window = window.unwrap();
                window.shared |= shared;
                // Nothing is delivered when a disconnect is over.
                assert!(!(settled && result.is_ok()), "{call:?} succeeds where nothing is connected");
                if !first {
                    // It was a ghost since.
                    self.spent.push(call);
                }
                Poll::Ready(self.ended(call, window, result))
            }
        }
    }

    /// Whether the store whose key a call uses has no connection, nor one that it takes leave of.
    fn gone_for(&self, call: &Call) -> bool {
        use custom_key_store::ConnectionState::{Connected, Disconnecting};

        let key = match *call {
            Call::Encrypt { key: Named::Id(key), dry: false, .. }
            | Call::DataKey { key: Named::Id(key), .. } => key,
            Call::Decrypt { blob, dry: false, .. } => self.known.blobs[blob].key,
            _ => return false,
        };
        let state = self.known.view.stores[self.known.view.keys[key].store].state();
        !matches!(state, Some(Connected | Disconnecting))
    }

    /// From here on a call may take effect.
    fn haunt(&mut self, call: Call, since: SystemTime) {
        if !is_use(&call) {
            self.known.ghosts.push(Ghost { call, since, met: self.known.met_before });
        }
    }

    /// How a call ended, and whether it might have.
    pub(super) fn ended(
        &mut self,
        call: Call,
        mut window: Window,
        result: Result<Answer, KmsError>,
    ) -> Outcome {
        let outcome = result.as_ref().err().map(KmsError::exception);
        // A disconnect takes effect in its first poll.
        if window.shared && !matches!(call, Call::Disconnect(_)) {
            window.view.merge(&self.known.haunted(&self.world));
            for (store, state) in &self.known.passed {
                window.view.stores[*store].states.insert(Some(*state));
            }
        }
        // Whoever connects what is being connected waits for what is written down of that.
        let met = match call {
            Call::Connect(store) => window.met.min(self.known.moves[store].met),
            _ => window.met,
        };
        let trouble = self.known.is_trouble(&self.world, met);
        let during = While {
            since: window.since,
            now: self.world.now(),
            asked: self.world.all_asked_since(&window.before),
            trouble,
            stepwise: window.stepwise,
            one_manager: self.world.one_manager,
            accepted: window.accepted.clone(),
        };
        let expected = match call {
            Call::Decrypt { blob, .. } | Call::ReEncrypt { blob, .. } => {
                outcomes_of_blob(&call, self.known.blobs[blob].key, &window.view, &during)
            }
            _ => outcomes(&call, &window.view, &during),
        };
        assert!(
            expected.contains(&outcome),
            "{call:?} ended with {result:?}, and not with one of {expected:?}\n{during:?}\n{:?}",
            window.view
        );
        self.known.foretold[usize::from(expected.len() > 1)] += 1;
        if window.shared {
            self.known.saw("a call that others came in between");
        }
        let alone = !window.shared || (self.known.ghosts.is_empty() && self.pending.is_empty());
        match result {
            Ok(answer) => self.succeeded(call, answer, &window, &during, alone),
            Err(error) => self.failed(call, error.exception(), trouble, window.since),
        }
        outcome
    }

    fn failed(&mut self, call: Call, exception: Exception, trouble: bool, since: SystemTime) {
        self.known.saw("a call was refused");
        if !trouble && exception != Exception::CustomKeyStoreInvalidState {
            return;
        }
        // It may have taken effect, or may yet.
        match call {
            Call::Create(settings) if trouble => {
                self.known.view.phantoms.insert(settings);
            }
            Call::Update(store, edit) if trouble => {
                let stored = &mut self.known.view.stores[store].stored;
                let edited = super::model::edited(stored, edit);
                stored.extend(edited);
                self.known.moves[store].murky = true;
            }
            Call::Delete(store) if trouble => self.known.view.stores[store].limbo = true,
            Call::CreateKey(..) => self.haunt(call, since),
            call if trouble => self.haunt(call, since),
            _ => {}
        }
    }
}

/// Whether a call uses a key, and changes nothing.
pub(super) const fn is_use(call: &Call) -> bool {
    matches!(
        call,
        Call::Encrypt { .. }
            | Call::Decrypt { .. }
            | Call::ReEncrypt { .. }
            | Call::DataKey { .. }
            | Call::Random(_)
    )
}
