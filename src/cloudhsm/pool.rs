//! Threads that own sessions: PKCS#11 blocks, for as long as an HSM likes, and so never runs on a caller's thread.
//!
//! A call is a job in a bounded queue. A worker takes it, has its session do it, and answers; who asked waits for the
//! answer, up to a deadline. A worker that is at work past the deadline is *retired*: it is replaced at once, and ends
//! when the library comes back, its answer thrown away. Nobody can stop it before.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_channel::oneshot;

use super::seat::Seat;
use super::token::Token;
use crate::backend::{BackendError, BackendErrorKind};
use crate::clock::{Clock, within};

/// What a worker does. It finds out by itself whether anybody still waits for the answer.
type Job = Box<dyn FnOnce(&mut Seat) + Send>;

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
pub(super) struct Pool(Arc<Shared>);

struct Shared {
    token: Arc<Token>,
    limits: PoolLimits,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
    /// There is a job, or nothing more to come.
    wake: Condvar,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Job>,
    /// Those that are not retired, and since when each has been at work.
    workers: HashMap<u64, Option<Instant>>,
    idle: usize,
    /// Those that are retired and have not come back.
    hanging: usize,
    next: u64,
    closed: bool,
    /// Who wants to know when the last worker has ended.
    ended: Vec<oneshot::Sender<()>>,
}

impl Pool {
    pub(super) fn new(token: Token, limits: PoolLimits, clock: Arc<dyn Clock>) -> Self {
        let (token, state) = (Arc::new(token), Mutex::default());
        Self(Arc::new(Shared { token, limits, clock, state, wake: Condvar::new() }))
    }

    pub(super) fn token(&self) -> &Token {
        &self.0.token
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
        let (reply, answer) = oneshot::channel();
        self.submit(Box::new(move |seat| {
            if reply.is_canceled() {
                return;
            }
            if let Err(Ok(unwanted)) = reply.send(work(seat)) {
                undo(seat, unwanted);
            }
        }))?;
        match within(&*self.0.clock, self.0.limits.deadline, answer).await {
            Some(Ok(answer)) => answer,
            // Dropped unanswered: the pool was closed, or the job panicked.
            Some(Err(oneshot::Canceled)) if self.0.lock().closed => Err(BackendErrorKind::Closed.into()),
            Some(Err(oneshot::Canceled)) => Err(BackendErrorKind::Panicked.into()),
            None => {
                // It was at work for most of this time, or others were: then there is too much to do, and nothing hangs.
                self.0.relieve(self.0.limits.deadline / 2);
                let detail = "the PKCS#11 library did not come back in time";
                Err(BackendError::new(BackendErrorKind::TimedOut).with_detail(detail))
            }
        }
    }

    fn submit(&self, job: Job) -> Result<(), BackendError> {
        let shared = &self.0;
        let mut state = shared.lock();
        if state.closed {
            return Err(BackendErrorKind::Closed.into());
        }
        if state.queue.len() >= shared.limits.queue {
            let detail = "too many calls wait for a session with the HSM";
            return Err(BackendError::new(BackendErrorKind::Throttled).with_detail(detail));
        }
        if state.idle <= state.queue.len() {
            // Those who are dropped before their deadline would find out about no worker that hangs.
            shared.retire(&mut state, shared.limits.deadline);
            shared.hire(&mut state)?;
        }
        state.queue.push_back(job);
        drop(state);
        shared.wake.notify_one();
        Ok(())
    }

    /// Takes no more jobs, lets go of those that wait, and waits for the workers to end, up to the deadline. Gives how
    /// many hang in the library still.
    pub(super) async fn close(&self) -> usize {
        let ended = {
            let mut state = self.0.lock();
            self.0.shut(&mut state);
            let (tell, ended) = oneshot::channel();
            if !state.workers.is_empty() {
                state.ended.push(tell);
            }
            ended
        };
        within(&*self.0.clock, self.0.limits.deadline, ended).await;
        let state = self.0.lock();
        state.workers.len() + state.hanging
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.0.shut(&mut self.0.lock());
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Jobs run without it; nothing that is done under it can panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn shut(&self, state: &mut State) {
        state.closed = true;
        // Who waits for them is told so by their end.
        state.queue.clear();
        self.wake.notify_all();
    }

    /// Replaces the workers that have been at one job for so long, where jobs wait.
    fn relieve(self: &Arc<Self>, limit: Duration) {
        let mut state = self.lock();
        self.retire(&mut state, limit);
        if state.queue.len() > state.idle && !state.closed {
            // Should there be none to be had, those who wait run into their deadlines.
            let _ = self.hire(&mut state);
        }
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
        if state.workers.len() >= self.limits.sessions {
            return Ok(());
        }
        let id = state.next;
        state.next += 1;
        let shared = Arc::clone(self);
        let thread = std::thread::Builder::new().name(format!("pkcs11-{id}"));
        match thread.spawn(move || shared.work(id)) {
            Ok(_) => {
                state.workers.insert(id, None);
                Ok(())
            }
            // Those there are will do.
            Err(_) if !state.workers.is_empty() => Ok(()),
            Err(error) => Err(BackendError::new(BackendErrorKind::Internal)
                .with_detail("no thread could be started for the PKCS#11 library")
                .with_source(error)),
        }
    }

    fn work(self: Arc<Self>, id: u64) {
        let mut seat = Seat::new(Arc::clone(&self.token));
        while let Some(job) = self.next(id) {
            // The library's wrapper may panic; its session is then of unknown state.
            if catch_unwind(AssertUnwindSafe(|| job(&mut seat))).is_err() {
                seat.stand_up();
            }
            let mut state = self.lock();
            match state.workers.get_mut(&id) {
                Some(since) => *since = None,
                None => break,
            }
        }
        let ended = self.leave(id, seat);
        // Whoever waits for the end may then be the last to let go of the library.
        drop(self);
        for tell in ended {
            // Nobody may wait any more.
            let _ = tell.send(());
        }
    }

    /// The next job; `None` for a worker that is to end.
    fn next(&self, id: u64) -> Option<Job> {
        let mut state = self.lock();
        loop {
            if let Some(job) = state.queue.pop_front() {
                state.workers.insert(id, Some(self.clock.monotonic()));
                return Some(job);
            }
            if state.closed {
                return None;
            }
            state.idle += 1;
            state = self.wake.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.idle -= 1;
        }
    }

    /// Ends a worker. Gives who is to be told that it was the last.
    fn leave(&self, id: u64, mut seat: Seat) -> Vec<oneshot::Sender<()>> {
        let last = {
            let mut state = self.lock();
            if state.workers.contains_key(&id) {
                state.closed && state.workers.len() == 1 && state.hanging == 0
            } else {
                state.hanging -= 1;
                state.closed && state.workers.is_empty() && state.hanging == 0
            }
        };
        if last {
            seat.log_out();
        }
        drop(seat);
        let mut state = self.lock();
        state.workers.remove(&id);
        if state.closed && state.workers.is_empty() { std::mem::take(&mut state.ended) } else { Vec::new() }
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool")
            .field("token", &self.0.token)
            .field("limits", &self.0.limits)
            .finish_non_exhaustive()
    }
}
