//! What callers and the writer share: the lines that wait, and what became of them.

use std::fmt;
use std::mem;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_channel::oneshot;

use crate::audit::error::{AuditError, AuditErrorKind as Kind};
use crate::audit::record::AuditRecord;
use crate::audit::sink::OnFailure;
use crate::audit::verify::Extent;

/// Told when a line is durable, or why it is not.
pub(super) type Reply = oneshot::Sender<Result<(), AuditError>>;

/// A line that waits.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) record: AuditRecord,
    pub(super) weight: usize,
    pub(super) reply: Option<Reply>,
}

/// What the writer is to do next.
#[derive(Debug, Default)]
pub(super) struct Work {
    pub(super) lines: Vec<Waiting>,
    /// Who waits for all lines before to be durable.
    pub(super) flushes: Vec<Reply>,
    /// Who wants to know how far the log goes, once that is so.
    pub(super) extents: Vec<oneshot::Sender<Result<Extent, AuditError>>>,
    /// Whether it is the last.
    pub(super) closing: bool,
}

#[derive(Debug, Default)]
struct State {
    work: Work,
    /// When the first line came.
    since: Option<Instant>,
    /// Whether somebody waits for the writer.
    urgent: bool,
    /// Whether the writer sleeps until it is woken, or for long.
    sleeps: bool,
}

/// How much may wait.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    pub(super) lines: usize,
    pub(super) bytes: usize,
    /// How long a line may wait for others.
    pub(super) delay: Duration,
}

pub(super) struct Queue {
    bounds: Bounds,
    state: Mutex<State>,
    wake: Condvar,
    /// Places that are reserved, lines that wait, and lines that are being written.
    held: AtomicUsize,
    bytes: AtomicUsize,
    closed: AtomicBool,
    /// Whether there is an error below.
    failing: AtomicBool,
    failure: Mutex<Option<AuditError>>,
    /// How many lines are durable.
    durable: AtomicU64,
}

impl Queue {
    pub(super) fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            state: Mutex::default(),
            wake: Condvar::new(),
            held: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            closed: AtomicBool::new(false),
            failing: AtomicBool::new(false),
            failure: Mutex::default(),
            durable: AtomicU64::new(0),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn reserve(&self, on_failure: OnFailure) -> Result<(), AuditError> {
        if self.closed.load(Ordering::Acquire) {
            return Err(AuditError::new(Kind::Closed));
        }
        if on_failure == OnFailure::Refuse
            && self.failing.load(Ordering::Acquire)
            && let Some(failure) = self.failure()
        {
            return Err(failure);
        }
        if self.bytes.load(Ordering::Relaxed) >= self.bounds.bytes {
            return Err(AuditError::new(Kind::Overflow));
        }
        if self.held.fetch_add(1, Ordering::Relaxed) >= self.bounds.lines {
            self.held.fetch_sub(1, Ordering::Relaxed);
            return Err(AuditError::new(Kind::Overflow));
        }
        Ok(())
    }

    pub(super) fn release(&self, lines: usize, bytes: usize) {
        self.held.fetch_sub(lines, Ordering::Relaxed);
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Takes a line, whose place was reserved.
    pub(super) fn push(&self, record: AuditRecord, reply: Option<Reply>) -> Result<(), AuditError> {
        let (weight, urgent) = (record.weight(), reply.is_some());
        let mut state = self.state();
        if state.work.closing {
            drop(state);
            self.release(1, 0);
            return Err(AuditError::new(Kind::Closed));
        }
        let bytes = self.bytes.fetch_add(weight, Ordering::Relaxed) + weight;
        state.work.lines.push(Waiting { record, weight, reply });
        let is_first = state.since.is_none();
        if is_first {
            state.since = Some(Instant::now());
        }
        // Not at every line: a writer that is awake looks by itself, and waking one costs more than all the rest.
        let half_full = state.work.lines.len() >= self.bounds.lines / 2 || bytes >= self.bounds.bytes / 2;
        let wakes = (urgent || half_full || is_first) && mem::take(&mut state.sleeps);
        state.urgent |= urgent || half_full;
        drop(state);
        if wakes {
            self.wake.notify_one();
        }
        Ok(())
    }

    /// Asks the writer for something else.
    pub(super) fn ask(&self, add: impl FnOnce(&mut Work)) -> Result<(), AuditError> {
        let mut state = self.state();
        if state.work.closing {
            return Err(AuditError::new(Kind::Closed));
        }
        add(&mut state.work);
        state.urgent = true;
        state.sleeps = false;
        drop(state);
        self.wake.notify_one();
        Ok(())
    }

    /// For the writer: waits until there is something to do, or `retry` has passed. `room` is for the lines that come next:
    /// the place of those before, so that callers seldom wait for memory.
    pub(super) fn next(&self, retry: Option<Duration>, room: Vec<Waiting>) -> Work {
        let retry = retry.map(|after| Instant::now() + after);
        let mut state = self.state();
        loop {
            if state.urgent {
                break;
            }
            let gathered = state.since.map(|since| since + self.bounds.delay);
            // Lines that come while the medium fails need not be tried at once.
            let until = if retry.is_some() { retry } else { gathered };
            let Some(until) = until else {
                state.sleeps = true;
                state = self.wake.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            state.sleeps = true;
            (state, _) = self.wake.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner);
        }
        state.sleeps = false;
        state.urgent = false;
        state.since = None;
        let closing = state.work.closing;
        let next = Work { lines: room, closing, ..Work::default() };
        mem::replace(&mut state.work, next)
    }

    /// For the writer: how the last attempt went.
    pub(super) fn settle(&self, outcome: Result<u64, AuditError>) {
        let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        match outcome {
            Ok(durable) => {
                self.durable.store(durable, Ordering::Release);
                *failure = None;
                self.failing.store(false, Ordering::Release);
            }
            Err(error) => {
                *failure = Some(error);
                self.failing.store(true, Ordering::Release);
            }
        }
    }

    /// Takes nothing more: what waits is the writer's last work, and who closes waits for that. False if it was closed
    /// before.
    pub(super) fn close(&self, reply: Option<Reply>) -> bool {
        self.closed.store(true, Ordering::Release);
        let mut state = self.state();
        if mem::replace(&mut state.work.closing, true) {
            return false;
        }
        state.work.flushes.extend(reply);
        state.urgent = true;
        state.sleeps = false;
        drop(state);
        self.wake.notify_one();
        true
    }

    /// Forgets what waits: nobody will write it.
    pub(super) fn abandon(&self) {
        self.close(None);
        let mut state = self.state();
        let left = mem::replace(&mut state.work, Work { closing: true, ..Work::default() });
        drop(state);
        // Who waits hears that nobody answers.
        drop(left);
    }

    pub(super) fn failure(&self) -> Option<AuditError> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn durable(&self) -> u64 {
        self.durable.load(Ordering::Acquire)
    }

    pub(super) fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue")
            .field("bounds", &self.bounds)
            .field("held", &self.held())
            .field("durable", &self.durable())
            .field("failure", &self.failure())
            .finish_non_exhaustive()
    }
}
