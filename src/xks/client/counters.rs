//! Counting, with atomics alone.

use std::array::from_fn;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;

use super::counts::{BOUNDS, BUCKETS, KINDS, LatencyHistogram, XksCounts};
use crate::backend::{BackendErrorKind, Health, ManagerInstance};

#[cfg(test)]
mod tests;

/// What the connections of an [`XksProxy`](super::XksProxy) count.
///
/// All connections of a proxy count here, and those of every proxy that [`reconfigured`] makes of it: take it once,
/// before the proxy is given to a store, and read it as often as you like. Clones are the same counters. Counting
/// takes no lock and costs a few nanoseconds; no metrics crate is involved, so that you can feed yours.
///
/// [`reconfigured`]: crate::backend::Backend::reconfigured
#[derive(Clone)]
pub struct XksCounters(Arc<Counters>);

struct Counters {
    requests: AtomicU64,
    successes: AtomicU64,
    dropped: AtomicU64,
    retries: AtomicU64,
    connections_opened: AtomicU64,
    errors: [AtomicU64; KINDS],
    latency: [AtomicU64; BUCKETS],
    latency_total_micros: AtomicU64,
    /// Seconds since the epoch; zero for none.
    certificate_expiry: AtomicU64,
    /// Milliseconds since the epoch.
    credential_since: AtomicU64,
    /// Written by health answers only.
    managers: ArcSwap<Vec<ManagerInstance>>,
}

impl XksCounters {
    pub(super) fn new(credential_since: SystemTime) -> Self {
        let zeros = Counters {
            requests: AtomicU64::new(0),
            successes: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            retries: AtomicU64::new(0),
            connections_opened: AtomicU64::new(0),
            errors: from_fn(|_| AtomicU64::new(0)),
            latency: from_fn(|_| AtomicU64::new(0)),
            latency_total_micros: AtomicU64::new(0),
            certificate_expiry: AtomicU64::new(0),
            credential_since: AtomicU64::new(0),
            managers: ArcSwap::default(),
        };
        let counters = Self(Arc::new(zeros));
        counters.credential_is_used(credential_since);
        counters
    }

    /// What was counted so far.
    #[must_use]
    pub fn counts(&self) -> XksCounts {
        let expiry = load(&self.0.certificate_expiry);
        XksCounts {
            requests: load(&self.0.requests),
            successes: load(&self.0.successes),
            dropped: load(&self.0.dropped),
            retries: load(&self.0.retries),
            connections_opened: load(&self.0.connections_opened),
            latency: LatencyHistogram {
                counts: from_fn(|bucket| self.0.latency.get(bucket).map_or(0, load)),
                total_micros: load(&self.0.latency_total_micros),
            },
            certificate_expiry: (expiry != 0).then(|| SystemTime::UNIX_EPOCH + Duration::from_secs(expiry)),
            credential_since: SystemTime::UNIX_EPOCH + Duration::from_millis(load(&self.0.credential_since)),
            managers: self.0.managers.load().to_vec(),
            errors: from_fn(|kind| self.0.errors.get(kind).map_or(0, load)),
        }
    }

    /// Counts a request as begun; it is dropped unless it is told how it ended.
    pub(super) fn begin(&self) -> Counted<'_> {
        add(&self.0.requests, 1);
        Counted { counters: &self.0, ended: false }
    }

    pub(super) fn connection_opens(&self) {
        add(&self.0.connections_opened, 1);
    }

    pub(super) fn retries(&self) {
        add(&self.0.retries, 1);
    }

    pub(super) fn certificate_expires(&self, at: SystemTime) {
        self.0.certificate_expiry.store(whole(since_epoch(at).as_secs().into()), Ordering::Relaxed);
    }

    pub(super) fn credential_is_used(&self, since: SystemTime) {
        self.0.credential_since.store(whole(since_epoch(since).as_millis()), Ordering::Relaxed);
    }

    pub(super) fn managers_are(&self, health: &Health) {
        // Seldom another than before, and comparing is cheaper than copying.
        if **self.0.managers.load() != health.instances {
            self.0.managers.store(Arc::new(health.instances.clone()));
        }
    }
}

/// Says what was counted.
impl fmt::Debug for XksCounters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.counts().fmt(f)
    }
}

/// A request under way.
pub(super) struct Counted<'a> {
    counters: &'a Counters,
    ended: bool,
}

impl Counted<'_> {
    /// The request has ended; `error` is of what kind, if it was one.
    pub(super) fn end(mut self, error: Option<BackendErrorKind>, after: Duration) {
        self.ended = true;
        let counters = self.counters;
        match error {
            None => add(&counters.successes, 1),
            Some(kind) => {
                let place = BackendErrorKind::ALL.iter().position(|known| *known == kind);
                if let Some(errors) = place.and_then(|place| counters.errors.get(place)) {
                    add(errors, 1);
                }
            }
        }
        // Rounded up, so that a bucket's upper end holds to the nanosecond.
        let micros = whole(after.as_nanos().div_ceil(1000));
        let bucket = BOUNDS.partition_point(|bound| *bound < micros);
        if let Some(bucket) = counters.latency.get(bucket) {
            add(bucket, 1);
        }
        add(&counters.latency_total_micros, micros);
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        if !self.ended {
            add(&self.counters.dropped, 1);
        }
    }
}

fn load(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

fn add(counter: &AtomicU64, more: u64) {
    counter.fetch_add(more, Ordering::Relaxed);
}

fn since_epoch(time: SystemTime) -> Duration {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

fn whole(number: u128) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}
