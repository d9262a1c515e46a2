//! Threads that own sessions: PKCS#11 blocks, for as long as an HSM likes, and so never runs on a caller's thread.
//!
//! A call is a job in a bounded queue. A worker takes it, has its session do it, and answers; who asked waits for the
//! answer, up to a deadline. A worker that is at work past the deadline is *retired*: it is replaced at once, and ends
//! when the library comes back; its answer is thrown away unless somebody waits for it still. Nobody can stop it before.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use cryptoki::session::Session;
use futures_channel::oneshot;

use super::pace::Pace;
use super::seat::Seat;
use super::token::{Known, Token};
use crate::backend::{BackendError, BackendErrorKind};
use crate::clock::{Clock, within};

/// A token that has no more sessions to give is not asked for another one for so long.
const ENOUGH: Duration = Duration::from_secs(1);
/// When a call that was left to workers who are awake looks whether they have come to it.
const LOOK_AGAIN: Duration = Duration::from_millis(1);

/// What a worker does.
struct Job {
    /// Lives as long as somebody waits for the answer. None for what is to be done whether anybody waits or not.
    caller: Option<Weak<()>>,
    work: Box<dyn FnOnce(&mut Seat) + Send>,
}

impl Job {
    fn is_wanted(&self) -> bool {
        self.caller.as_ref().is_none_or(|caller| caller.strong_count() > 0)
    }
}

/// How much there may be of everything.
#[derive(Debug, Clone)]
pub(super) struct PoolLimits {
    /// Sessions, and as many workers.
    pub(super) sessions: usize,
    /// Jobs that wait.
    pub(super) queue: usize,
    /// Workers that hang in the library.
    pub(super) hanging: usize,
    /// How long a call may take, waiting included.
    pub(super) deadline: Duration,
}

/// The workers of one token. Dropping it ends them, each as soon as it is done.
///
/// The last of them lets go of the token, and so of the library, which may block as anything else may.
pub(super) struct Pool {
    known: Known,
    shared: Arc<Shared>,
}

struct Shared {
    limits: PoolLimits,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
    /// There is a job, or nothing more to come.
    wake: Condvar,
}

struct State {
    /// Until the last worker has ended.
    token: Option<Arc<Token>>,
    queue: VecDeque<Job>,
    /// Those that are not retired, and since when each has been at work.
    workers: HashMap<u64, Option<Instant>>,
    /// Those that sleep.
    idle: usize,
    /// Those of them that were woken and do not know it yet.
    roused: usize,
    pace: Pace,
    /// Those that are retired and have not come back.
    hanging: usize,
    /// Threads that let go of the library, which may block.
    ending: usize,
    /// Threads of either kind that have not come to their end, the closing of their sessions.
    seated: usize,
    next: u64,
    /// Until when there is no use in more workers, since the token has no session for them.
    enough_until: Option<Instant>,
    closed: bool,
    /// Kept by a worker that has ended for the last one to log out with, which may have none.
    parting: Option<Session>,
    /// Who wants to know when the last worker has ended.
    ended: Vec<oneshot::Sender<()>>,
}

/// An answer on its way, and what is to be done about it should nobody take it.
struct Answer<T: Send + 'static> {
    value: Option<(T, Undo<T>)>,
    shared: Weak<Shared>,
}

type Undo<T> = Box<dyn FnOnce(&mut Seat, T) + Send>;

impl<T: Send + 'static> Drop for Answer<T> {
    fn drop(&mut self) {
        if let (Some((value, undo)), Some(shared)) = (self.value.take(), self.shared.upgrade()) {
            let work = Box::new(move |seat: &mut Seat| undo(seat, value));
            shared.submit_anyway(Job { caller: None, work });
        }
    }
}

impl Pool {
    pub(super) fn new(token: Token, limits: PoolLimits, clock: Arc<dyn Clock>) -> Self {
        let known = token.known().clone();
        let state = State {
            token: Some(Arc::new(token)),
            queue: VecDeque::new(),
            workers: HashMap::new(),
            idle: 0,
            roused: 0,
            pace: Pace::new(),
            hanging: 0,
            ending: 0,
            seated: 0,
            next: 0,
            enough_until: None,
            closed: false,
            parting: None,
            ended: Vec::new(),
        };
        let shared = Shared { limits, clock, state: Mutex::new(state), wake: Condvar::new() };
        Self { known, shared: Arc::new(shared) }
    }

    pub(super) const fn token(&self) -> &Known {
        &self.known
    }

    /// Has a worker do this. Dropped before it resolves, a job that waits is not done, and the answer of one that is
    /// being done is thrown away.
    pub(super) async fn call<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Seat) -> Result<T, BackendError> + Send + 'static,
    ) -> Result<T, BackendError> {
        self.call_or_undo(work, |_, _| {}).await
    }

    /// [`call`](Self::call), with what is to be done about an answer that nobody waits for any more.
    pub(super) async fn call_or_undo<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Seat) -> Result<T, BackendError> + Send + 'static,
        undo: impl FnOnce(&mut Seat, T) + Send + 'static,
    ) -> Result<T, BackendError> {
        let (reply, mut answer) = oneshot::channel();
        let (caller, shared) = (Arc::new(()), Arc::downgrade(&self.shared));
        let work = move |seat: &mut Seat| {
            let done = work(seat);
            let answer = done.map(|value| Answer { value: Some((value, Box::new(undo))), shared });
            if let Err(Ok(mut unwanted)) = reply.send(answer)
                && let Some((value, undo)) = unwanted.value.take()
            {
                undo(seat, value);
            }
        };
        self.submit(Job { caller: Some(Arc::downgrade(&caller)), work: Box::new(work) })?;
        let (clock, deadline) = (&*self.shared.clock, self.shared.limits.deadline);
        let begun = clock.monotonic();
        let mut answered = within(clock, LOOK_AGAIN.min(deadline), &mut answer).await;
        if answered.is_none() {
            self.shared.nudge();
            let passed = clock.monotonic().saturating_duration_since(begun);
            answered = within(clock, deadline.saturating_sub(passed), answer).await;
        }
        match answered {
            Some(Ok(Ok(mut answer))) => {
                // Nobody else has had it.
                answer.value.take().map(|(value, _)| value).ok_or_else(|| BackendErrorKind::Panicked.into())
            }
            Some(Ok(Err(error))) => Err(error),
            // Dropped unanswered: the pool was closed, or the job panicked.
            Some(Err(oneshot::Canceled)) if self.shared.lock().closed => Err(BackendErrorKind::Closed.into()),
            Some(Err(oneshot::Canceled)) => Err(BackendErrorKind::Panicked.into()),
            None => {
                // It was at work for most of this time, or others were: then there is too much to do, and nothing hangs.
                self.shared.relieve(deadline / 2);
                let detail = "the PKCS#11 library did not come back in time";
                Err(BackendError::new(BackendErrorKind::TimedOut).with_detail(detail))
            }
        }
    }

    fn submit(&self, job: Job) -> Result<(), BackendError> {
        let shared = &self.shared;
        let mut state = shared.lock();
        if state.closed {
            return Err(BackendErrorKind::Closed.into());
        }
        if state.queue.len() >= shared.limits.queue {
            // Those who gave up take no room.
            state.queue.retain(Job::is_wanted);
        }
        if state.queue.len() >= shared.limits.queue {
            let detail = "too many calls wait for a session with the HSM";
            return Err(BackendError::new(BackendErrorKind::Throttled).with_detail(detail));
        }
        let wakes = shared.wants_another(&state) && shared.rouse(&mut state)?;
        state.queue.push_back(job);
        drop(state);
        if wakes {
            shared.wake.notify_one();
        }
        Ok(())
    }

    /// Takes no more jobs, lets go of those that wait, and waits for the workers to end, up to the deadline. Gives how
    /// many hang in the library still.
    pub(super) async fn close(&self) -> usize {
        let ended = {
            let mut state = self.shared.lock();
            let (tell, ended) = oneshot::channel();
            if !state.workers.is_empty() || (state.hanging == 0 && state.token.is_some()) {
                state.ended.push(tell);
            }
            let given_up = self.shared.shut(&mut state);
            drop(state);
            drop(given_up);
            ended
        };
        within(&*self.shared.clock, self.shared.limits.deadline, ended).await;
        let state = self.shared.lock();
        state.workers.len() + state.hanging + state.ending
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        let given_up = self.shared.shut(&mut self.shared.lock());
        drop(given_up);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Jobs run without it; nothing that is done under it can panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes no more jobs. Gives those that wait, to be dropped where the state is not held: whoever waits for them is told
    /// so by that, and may do anything then.
    #[must_use]
    fn shut(&self, state: &mut State) -> VecDeque<Job> {
        state.closed = true;
        let (left, given_up) = state.queue.drain(..).partition(|job: &Job| job.caller.is_none());
        state.queue = left;
        self.wake.notify_all();
        if state.workers.is_empty()
            && state.hanging == 0
            && let Some(token) = state.token.take()
        {
            // There is no worker to do it, and it may block.
            let ended = std::mem::take(&mut state.ended);
            let thread = std::thread::Builder::new().name("pkcs11-end".to_owned());
            let _ = thread.spawn(move || {
                drop(token);
                tell(ended);
            });
        }
        given_up
    }

    /// Takes a job for which there need be no room, also when the pool is closed, as long as there is a worker.
    fn submit_anyway(self: &Arc<Self>, job: Job) {
        let mut state = self.lock();
        state.queue.push_back(job);
        if !state.closed {
            // Those there are will do.
            let _ = self.rouse(&mut state);
        }
        drop(state);
        self.wake.notify_one();
    }

    /// Whether who is awake would keep one more job waiting for too long.
    fn wants_another(&self, state: &State) -> bool {
        let now = self.clock.monotonic();
        let long = state.pace.long();
        let late =
            |since: &Option<Instant>| since.is_some_and(|since| now.saturating_duration_since(since) > long);
        let late = state.workers.values().filter(|since| late(since)).count();
        let asleep = state.idle.saturating_sub(state.roused);
        let awake = state.workers.len().saturating_sub(asleep + late);
        state.pace.is_worth_waking(awake, state.queue.len())
    }

    /// Has one more worker come: one that sleeps, which the caller then wakes, or else a new one, if there may be one.
    fn rouse(self: &Arc<Self>, state: &mut State) -> Result<bool, BackendError> {
        if state.idle > state.roused {
            state.roused += 1;
            return Ok(true);
        }
        // Those who are dropped before their deadline would find out about no worker that hangs.
        self.retire(state, self.limits.deadline);
        self.hire(state).map(|()| false)
    }

    /// Has one more worker come if a job waits, whatever the pace was.
    fn nudge(self: &Arc<Self>) {
        let mut state = self.lock();
        let wakes = !state.queue.is_empty() && !state.closed && self.rouse(&mut state).unwrap_or(false);
        drop(state);
        if wakes {
            self.wake.notify_one();
        }
    }

    /// Replaces the workers that have been at one job for so long, where jobs wait.
    fn relieve(self: &Arc<Self>, limit: Duration) {
        self.retire(&mut self.lock(), limit);
        // Should there be none to be had, those who wait run into their deadlines.
        self.nudge();
    }

    /// Gives up on the workers that have been at one job for so long, as long as there may be more that hang.
    fn retire(&self, state: &mut State, limit: Duration) {
        let now = self.clock.monotonic();
        let room = self.limits.hanging.saturating_sub(state.hanging);
        let overdue = |since: &Option<Instant>| {
            since.is_some_and(|since| now.saturating_duration_since(since) >= limit)
        };
        let late: Vec<u64> =
            state.workers.iter().filter(|(_, since)| overdue(since)).map(|(id, _)| *id).take(room).collect();
        for id in late {
            state.workers.remove(&id);
            state.hanging += 1;
        }
    }

    /// Starts another worker, if there may be one.
    fn hire(self: &Arc<Self>, state: &mut State) -> Result<(), BackendError> {
        let has_enough = || state.enough_until.is_some_and(|until| self.clock.monotonic() < until);
        if state.workers.len() >= self.limits.sessions || (!state.workers.is_empty() && has_enough()) {
            return Ok(());
        }
        let Some(token) = state.token.clone() else { return Err(BackendErrorKind::Closed.into()) };
        let id = state.next;
        state.next += 1;
        let shared = Arc::clone(self);
        let thread = std::thread::Builder::new().name(format!("pkcs11-{id}"));
        match thread.spawn(move || shared.work(id, Seat::new(token))) {
            Ok(_) => {
                state.workers.insert(id, None);
                state.seated += 1;
                Ok(())
            }
            // Those there are will do.
            Err(_) if !state.workers.is_empty() => Ok(()),
            Err(error) => Err(BackendError::new(BackendErrorKind::Internal)
                .with_detail("no thread could be started for the PKCS#11 library")
                .with_source(error)),
        }
    }

    fn work(self: Arc<Self>, id: u64, mut seat: Seat) {
        while let Some(job) = self.next(id) {
            // The library's wrapper may panic, on answers that make no sense.
            let has_seat = catch_unwind(AssertUnwindSafe(|| seat.sit_down())).unwrap_or(true);
            let job = if has_seat { Some(job) } else { self.give_back(id, job) };
            let Some(job) = job else { return };
            if job.is_wanted() && catch_unwind(AssertUnwindSafe(|| (job.work)(&mut seat))).is_err() {
                // Its session is then of unknown state.
                seat.stand_up();
            }
        }
        self.leave(id, seat);
    }

    /// The next job; `None` for a worker that is to end.
    fn next(self: &Arc<Self>, id: u64) -> Option<Job> {
        let mut state = self.lock();
        // One that is not theirs any more was retired.
        if let Some(since) = state.workers.get_mut(&id)?.take() {
            state.pace.took(self.clock.monotonic().saturating_duration_since(since));
        }
        loop {
            if let Some(job) = state.queue.pop_front() {
                state.workers.insert(id, Some(self.clock.monotonic()));
                // Whoever has waited behind it asked when the pace was another.
                let wakes = !state.queue.is_empty()
                    && self.wants_another(&state)
                    && self.rouse(&mut state).unwrap_or(false);
                drop(state);
                if wakes {
                    self.wake.notify_one();
                }
                return Some(job);
            }
            if state.closed {
                return None;
            }
            state.idle += 1;
            state = self.wake.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.idle -= 1;
            state.roused = state.roused.saturating_sub(1);
        }
    }

    /// Leaves a job to the other workers, for want of a session, and ends this one. Gives the job back when there are no
    /// others, or when this one is not theirs any more.
    fn give_back(&self, id: u64, job: Job) -> Option<Job> {
        let mut state = self.lock();
        if state.closed || state.workers.len() < 2 || state.workers.remove(&id).is_none() {
            return Some(job);
        }
        state.seated -= 1;
        state.enough_until = self.clock.monotonic().checked_add(ENOUGH);
        state.queue.push_front(job);
        drop(state);
        self.wake.notify_one();
        None
    }

    /// Ends a worker. The last one logs out, and lets go of the token.
    fn leave(&self, id: u64, mut seat: Seat) {
        let mut state = self.lock();
        state.seated -= 1;
        if state.closed && state.seated == 0 {
            let parting = state.parting.take();
            drop(state);
            seat.log_out(parting);
        } else if state.closed && state.parting.is_none() {
            state.parting = seat.take();
            drop(state);
        } else {
            drop(state);
        }
        drop(seat);
        let mut state = self.lock();
        if state.workers.remove(&id).is_none() {
            state.hanging -= 1;
        }
        if !state.closed || !state.workers.is_empty() {
            return;
        }
        let token = if state.hanging == 0 { state.token.take() } else { None };
        state.ending += 1;
        drop(state);
        drop(token);
        let mut state = self.lock();
        state.ending -= 1;
        let ended = std::mem::take(&mut state.ended);
        drop(state);
        tell(ended);
    }
}

fn tell(ended: Vec<oneshot::Sender<()>>) {
    for tell in ended {
        // Nobody may wait any more.
        let _ = tell.send(());
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool")
            .field("token", self.known.name())
            .field("limits", &self.shared.limits)
            .finish_non_exhaustive()
    }
}
