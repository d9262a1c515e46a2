//! What brings things to an end: rest, restarts, and the end of a sequence, when everything must be in its place.

use std::collections::BTreeSet;

use custom_key_store::ConnectionState::{self, Connected, Connecting, Disconnected, Disconnecting, Failed};
use custom_key_store::PageRequest;
use custom_key_store::kms::Exception;
use futures::{FutureExt as _, StreamExt as _};

use super::harness::{Harness, is_use};
use super::model::{Due, Kept, KeyRow};
use super::moves::after_restart;
use super::op::{Call, End, KeyEdit, MANAGERS, Named, Then};

impl Harness {
    /// Everything that is under way comes to its end.
    pub(super) fn rest(&mut self) {
        let met = self.world.catalogue.met();
        self.world.catalogue.heal();
        let catalogue = std::sync::Arc::clone(&self.world.catalogue);
        self.world.look(async move { catalogue.catch_up().await });
        self.check();
        for index in (0..self.pending.len()).rev() {
            if self.pending[index].window.is_none() {
                let _ = self.poll_pending(index);
            }
        }
        let Self { world, known, .. } = self;
        world.rest(|world| known.note(world));
        // Whoever was polled before has been told, whatever he waits for; and what he began is done, whoever began it.
        while let Some(last) = self.pending.len().checked_sub(1) {
            let call = self.pending[last].call;
            assert!(self.pending[last].task.is_woken(), "nobody woke {call:?}");
            if self.poll_pending(last).is_ready() {
                continue;
            }
            assert!(is_use(&call), "{call:?} is not done");
            let Self { world, known, .. } = self;
            world.rest(|world| known.note(world));
        }
        if self.world.is_durable() {
            // Whose waking was under way on another thread while somebody else of the same work was polled.
            let Self { world, known, .. } = self;
            world.rest(|world| known.note(world));
        }
        self.check();
        self.known.exorcise(&self.world);
        let trouble = self.known.is_trouble(&self.world, met);
        for (store, moves) in self.known.view.stores.iter_mut().zip(&mut self.known.moves) {
            moves.murky |= trouble;
            if !moves.murky {
                store.stored.clone_from(&store.settings);
            }
            let state = store.states.first().copied().flatten();
            let resumed = moves.attempt.as_ref().is_some_and(|attempt| attempt.resumed);
            assert!(state != Some(Disconnecting) && (state != Some(Connecting) || resumed), "{store:?}");
        }
        self.check_connections();
    }

    /// There are as many connections as stores that are connected.
    fn check_connections(&self) {
        assert!(self.pending.is_empty());
        let connected =
            self.known.view.stores.iter().filter(|store| store.states.contains(&Some(Connected))).count();
        let lingers = self.known.moves.iter().any(|moves| moves.lingers);
        let open = self.world.open_connections();
        assert!(
            open == connected || (open > connected && lingers),
            "{open} are open, and {connected} connected"
        );
    }

    pub(super) fn restart(&mut self, end: End) {
        let (kms_first, late) = match end {
            End::Crash { kms_first, late } => (kms_first, late),
            End::Driverless => {
                self.world.process.as_mut().unwrap().driver = None;
                self.refused();
                self.poll_what_is_left();
                (true, false)
            }
            End::Orderly => {
                self.shut_down();
                self.refused();
                self.poll_what_is_left();
                (false, false)
            }
        };
        self.known.saw(match end {
            End::Crash { .. } => "a crash",
            End::Driverless => "a driver was dropped",
            End::Orderly => "an orderly end",
        });
        self.pending.clear();
        self.known.pending.clear();
        assert_eq!(self.spent, []);
        self.known.passed.clear();
        self.begin_again(kms_first, late);
    }

    /// The driver is gone, or done: every call is refused, and no connection is left but of those that are being used.
    fn refused(&mut self) {
        let kms = self.world.kms();
        let refused = self.world.look(async move { kms.list_keys(&PageRequest::default()).await });
        assert_eq!(refused.unwrap_err().exception(), Exception::KmsInternal);
        if self.pending.is_empty() {
            assert_eq!(self.world.open_connections(), 0);
        }
    }

    /// Polls those that wait still: they must get on or stay as they are.
    fn poll_what_is_left(&mut self) {
        for pending in &mut self.pending {
            if pending.task.is_woken()
                && let std::task::Poll::Ready(Ok(_)) = pending.task.poll()
            {
                assert!(!is_use(&pending.call), "{:?} succeeds although nothing is connected", pending.call);
            }
        }
    }

    fn shut_down(&mut self) {
        let process = self.world.process.as_mut().unwrap();
        process.kms.shut_down();
        let mut ending = process.driver.take().unwrap();
        let Self { world, known, .. } = self;
        // What was connected is not disconnected, which nobody asked for, but comes back.
        let ((), _) = world.finish(&mut ending, false, |world, _| known.note(world));
        let events = &mut world.process.as_mut().unwrap().events;
        assert_eq!(events.next().now_or_never(), Some(None));
    }

    fn begin_again(&mut self, kms_first: bool, late: bool) {
        for moves in 0..self.known.moves.len() {
            for ghost in &self.known.ghosts {
                let kept = &mut self.known.moves[moves].kept;
                match ghost.call {
                    Call::Connect(store) if store == moves => {
                        kept.insert(Kept::Connected);
                    }
                    Call::Disconnect(store) if store == moves => {
                        kept.insert(Kept::Disconnected);
                    }
                    _ => {}
                }
            }
        }
        for store in 0..self.known.moves.len() {
            self.known.break_off(&self.world, store);
        }
        self.world.end(kms_first, late);
        self.world.begin();
        let mut view = self.known.haunted(&self.world);
        view.phantoms.append(&mut view.coming);
        for (store, moves) in view.stores.iter_mut().zip(&mut self.known.moves) {
            let gone = store.states.contains(&None);
            if !store.is_here() {
                continue;
            }
            store.states = after_restart(&moves.kept);
            if gone || store.limbo {
                store.states.insert(None);
            }
            store.settings.clone_from(&store.stored);
            store.claimed.clear();
            store.busy = false;
            store.limbo = false;
            moves.lingers = false;
        }
        self.known.returned |= !view.phantoms.is_empty() || self.known.moves.iter().any(|moves| moves.murky);
        self.known.view = view;
        self.known.is_new = true;
        self.check();
        self.known.is_new = false;
        self.known.exorcise(&self.world);
        self.known.view.phantoms.clear();
        let calls = self.world.calls();
        for index in 0..self.known.view.stores.len() {
            self.known.moves[index].murky = false;
            self.known.moves[index].met = self.world.catalogue.met();
            let store = &mut self.known.view.stores[index];
            store.stored.clone_from(&store.settings);
            let state = store.state();
            let kept = &mut self.known.moves[index].kept;
            kept.retain(|kept| Some(kept.after_restart()) == state);
            if state == Some(Connecting) {
                let attempt = self.known.attempt(&self.world, index, calls.clone(), true);
                self.known.moves[index].attempt = Some(attempt);
            }
        }
    }

    /// Whatever has happened: every key is there and of use, what was encrypted is decrypted, and at last nothing is left.
    pub(super) fn finish(&mut self) {
        self.rest();
        self.restart(End::Crash { kms_first: false, late: true });
        for manager in 0..MANAGERS {
            self.world.heal(manager);
        }
        self.rest();
        self.delete_what_is_due();
        for store in 0..self.known.view.stores.len() {
            if self.known.view.stores[store].is_here() {
                self.read_back(store);
            }
        }
        self.refuses_strangers();
        self.disconnect_everything();
        assert_eq!(self.world.open_connections(), 0);
        self.world.process.as_ref().unwrap().kms.shut_down();
        let Self { world, .. } = self;
        let mut driver = world.process.as_mut().unwrap().driver.take().unwrap();
        let ((), _) = world.finish(&mut driver, false, |_, _| ());
        drop(driver);
        world.end(true, false);
        assert_eq!(world.clock.sleepers(), 0);
        world.verify();
    }

    /// Nothing outlives its time.
    fn delete_what_is_due(&mut self) {
        self.world.advance(2 * 60 * 60);
        self.rest();
        let now = self.world.now();
        for key in &self.known.view.keys {
            let is_late = |due: Due| due.to < now;
            let late = key.rows.iter().flatten().any(|row| row.deletion.is_some_and(is_late));
            assert!(!late, "nobody deleted {key:?}");
        }
    }

    fn state(&self, store: usize) -> ConnectionState {
        self.known.view.stores[store].state().unwrap()
    }

    fn read_back(&mut self, store: usize) {
        const DRIVEN: Then = Then::Await { driven: true };
        self.known.met_before = self.world.catalogue.met();
        let place = self.known.view.stores[store].place();
        let secrets: BTreeSet<u8> =
            self.known.view.stores[store].settings.iter().map(|settings| settings.secret).collect();
        // A password is not to be seen: it is one of these.
        for secret in secrets {
            self.world.accept(place.manager(), secret);
            self.known.accepts(&self.world, place.manager(), secret);
            if matches!(self.state(store), Failed | Connecting) {
                self.call(Call::Disconnect(store), DRIVEN);
                self.rest();
            }
            if self.state(store) == Disconnected {
                self.call(Call::Connect(store), DRIVEN);
                self.rest();
            }
            if self.state(store) == Connected {
                break;
            }
        }
        assert_eq!(self.state(store), Connected);
        let keys: Vec<usize> =
            (0..self.known.view.keys.len()).filter(|key| self.known.view.keys[*key].store == store).collect();
        for key in keys {
            let pending = |row: &Option<KeyRow>| row.is_some_and(|row| row.deletion.is_some());
            if self.known.view.keys[key].rows.iter().any(pending) {
                self.call(Call::Key(key, KeyEdit::Cancel), DRIVEN);
            }
            self.call(Call::Key(key, KeyEdit::Enable), DRIVEN);
            self.check();
            for blob in 0..self.known.blobs.len() {
                if self.known.blobs[blob].key == key {
                    self.call(Call::Decrypt { blob, wrong: None, named: None, dry: false }, DRIVEN);
                }
            }
            self.call(Call::Encrypt { key: Named::Id(key), context: 0, dry: false }, DRIVEN);
        }
        self.check();
    }

    fn disconnect_everything(&mut self) {
        self.known.met_before = self.world.catalogue.met();
        for store in 0..self.known.view.stores.len() {
            if self.known.view.stores[store].state() == Some(Connected) {
                self.call(Call::Disconnect(store), Then::Await { driven: false });
            }
        }
        self.rest();
    }
}
