//! Refusals that cost whoever is refused nothing: of each principal so many are lines of the audit trail, and of all beyond the
//! first 1,024 principals together as many. The rest is counted,
//! as is what nobody knows who sent; and the counts are lines, once a minute.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::future::poll_fn;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::{Duration, SystemTime};

use futures_util::task::AtomicWaker;
use serde::Serialize;

use crate::audit::{AuditOutcome, AuditRecord, AuditTrail, AuditValue};
use crate::backend::Operation;
use crate::clock::Clock;
use crate::rate::{Bucket, RateLimit, Timeline};

/// How long refusals are counted before the count is a line.
pub(super) const PERIOD: Duration = Duration::from_secs(60);

/// How many principals are told apart at a time. Whoever comes when there are so many shares a limit and a count with all others that do.
const PRINCIPALS: usize = 1024;

/// How often at most all of them are looked at for those who need not be told apart any more, in nanoseconds.
const SWEEP: u64 = 1_000_000_000;

/// What a line is called that holds a count.
const COUNT: &str = "CountRefusedCalls";

/// What is counted, for whom.
pub(super) struct Refusals {
    limit: RateLimit,
    time: Timeline,
    state: Mutex<State>,
    /// Whoever makes lines of the counts.
    waker: AtomicWaker,
}

#[derive(Default)]
struct State {
    known: HashMap<Arc<str>, Known>,
    others: Known,
    strangers: Count,
    /// When it was last looked who need not be known any more.
    swept: u64,
    /// Whether there is a count that no line speaks of.
    owes: bool,
}

#[derive(Default)]
struct Known {
    bucket: Bucket,
    count: Count,
}

#[derive(Debug, Default)]
struct Count {
    /// When the first of them was refused.
    since: Option<SystemTime>,
    by_error: BTreeMap<&'static str, u64>,
}

/// Of whom a count is.
#[derive(Debug, Clone)]
enum Whose {
    Principal(Arc<str>),
    Others,
    Strangers,
}

impl Count {
    fn add(&mut self, error: &'static str, number: u64, time: SystemTime) {
        self.since = Some(self.since.map_or(time, |since| since.min(time)));
        let count = self.by_error.entry(error).or_default();
        *count = count.saturating_add(number);
    }

    const fn is_empty(&self) -> bool {
        self.since.is_none()
    }

    fn record(&self, whose: &Whose, time: SystemTime) -> AuditRecord {
        #[derive(Serialize)]
        struct Since(#[serde(with = "crate::epoch::rfc3339")] SystemTime);

        let calls = self.by_error.values().fold(0_u64, |sum, count| sum.saturating_add(*count));
        let record = AuditRecord::service(time, Operation::new(COUNT), AuditOutcome::Succeeded);
        let record = match whose {
            Whose::Principal(principal) => record.with_principal(Arc::clone(principal)),
            Whose::Others => record.with_parameter("principals", "others"),
            Whose::Strangers => record.with_parameter("principals", "unauthenticated"),
        };
        record
            .with_parameter("calls", calls)
            .with_parameter("since", AuditValue::of(&Since(self.since.unwrap_or(time))))
            .with_parameter("byError", AuditValue::of(&self.by_error))
    }
}

impl State {
    fn known(&mut self, principal: &Arc<str>, now: u64) -> &mut Known {
        let is_known = self.known.contains_key(principal);
        if !is_known && self.known.len() >= PRINCIPALS && now.saturating_sub(self.swept) >= SWEEP {
            self.sweep(now);
        }
        if is_known || self.known.len() < PRINCIPALS {
            self.known.entry(Arc::clone(principal)).or_default()
        } else {
            &mut self.others
        }
    }

    /// Forgets those who may have lines again as if nothing had been, and of whom nothing is left to be said.
    fn sweep(&mut self, now: u64) {
        self.swept = now;
        self.known.retain(|_, known| !(known.bucket.is_whole(now) && known.count.is_empty()));
    }

    fn count(&mut self, whose: &Whose, now: u64) -> &mut Count {
        self.owes = true;
        match whose {
            Whose::Principal(principal) => &mut self.known(principal, now).count,
            Whose::Others => &mut self.others.count,
            Whose::Strangers => &mut self.strangers,
        }
    }
}

impl Refusals {
    pub(super) fn new(limit: RateLimit, clock: &Arc<dyn Clock>) -> Self {
        let (state, waker) = (Mutex::default(), AtomicWaker::new());
        Self { limit, time: Timeline::begin(clock), state, waker }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether this refusal of a principal is to be a line; if not, it is counted.
    pub(super) fn is_line(&self, principal: &Arc<str>, error: &'static str, time: SystemTime) -> bool {
        let now = self.time.now();
        let mut state = self.state();
        let known = state.known(principal, now);
        if known.bucket.take(self.limit, now).is_some() {
            return true;
        }
        known.count.add(error, 1, time);
        state.owes = true;
        drop(state);
        self.waker.wake();
        false
    }

    /// Counts what was refused to somebody who is not known.
    #[cfg(feature = "kms-api")]
    pub(super) fn stranger(&self, error: &'static str, time: SystemTime) {
        self.state().count(&Whose::Strangers, self.time.now()).add(error, 1, time);
        self.waker.wake();
    }

    /// Resolves when there is a count that no line speaks of. For one at a time.
    pub(super) async fn any(&self) {
        poll_fn(|cx| {
            self.waker.register(cx.waker());
            if self.state().owes { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    /// Makes lines of the counts. What the trail cannot take now is counted on.
    pub(super) fn say(&self, trail: &AuditTrail, time: SystemTime) {
        for (whose, count) in self.take() {
            if trail.offer(count.record(&whose, time)) {
                continue;
            }
            let mut state = self.state();
            let back = state.count(&whose, self.time.now());
            for (error, number) in count.by_error {
                back.add(error, number, count.since.unwrap_or(time));
            }
        }
    }

    /// Makes lines of the counts for the last time. What the trail cannot take now is lost, which it counts.
    pub(super) fn say_last(&self, trail: &AuditTrail, time: SystemTime) {
        for (whose, count) in self.take() {
            trail.event(count.record(&whose, time));
        }
    }

    /// The counts, and nothing is kept in mind of those who may have lines again as if nothing had been.
    fn take(&self) -> Vec<(Whose, Count)> {
        let now = self.time.now();
        let mut state = self.state();
        let State { known, others, strangers, owes, .. } = &mut *state;
        *owes = false;
        let mut counts: Vec<_> = known
            .iter_mut()
            .map(|(principal, known)| (Whose::Principal(Arc::clone(principal)), mem::take(&mut known.count)))
            .collect();
        counts.push((Whose::Others, mem::take(&mut others.count)));
        counts.push((Whose::Strangers, mem::take(strangers)));
        state.sweep(now);
        drop(state);
        counts.retain(|(_, count)| !count.is_empty());
        counts
    }
}

impl fmt::Debug for Refusals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Refusals").field("limit", &self.limit).finish_non_exhaustive()
    }
}
