//! What was counted, at one moment.

use std::time::{Duration, SystemTime};

use crate::backend::{BackendErrorKind, ManagerInstance};

/// The upper ends of the buckets, in microseconds. 250 ms is the deadline of AWS KMS.
pub(super) const BOUNDS: [u64; 13] =
    [500, 1_000, 2_000, 5_000, 10_000, 20_000, 35_000, 50_000, 100_000, 150_000, 200_000, 250_000, 1_000_000];
pub(super) const BUCKETS: usize = BOUNDS.len() + 1;
pub(super) const KINDS: usize = BackendErrorKind::ALL.len();

/// What an [`XksCounters`](super::XksCounters) had counted when it was asked.
///
/// Numbers only grow, until the process ends. They are read one after the other while requests go on, so sums may
/// be off by what happened in between.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct XksCounts {
    /// Requests begun: calls on a connection and the health check with which one begins. A retry is part of its
    /// request.
    pub requests: u64,
    /// Requests that gave a result.
    pub successes: u64,
    /// Requests that were dropped before they ended, by the caller or at the end of somebody's patience.
    pub dropped: u64,
    /// Requests that were sent a second time, or more often, since a connection broke.
    pub retries: u64,
    /// Attempts to open a network connection.
    pub connections_opened: u64,
    /// How long the requests took that ended with a result or an error.
    pub latency: LatencyHistogram,
    /// When the certificate ends that the proxy showed last; `None` before the first and without TLS.
    pub certificate_expiry: Option<SystemTime>,
    /// When the credential in use was given.
    pub credential_since: SystemTime,
    /// The key managers behind the proxy, as the last health answer named them; empty before the first.
    pub managers: Vec<ManagerInstance>,
    pub(super) errors: [u64; KINDS],
}

impl XksCounts {
    /// Requests that ended with an error of this kind.
    #[must_use]
    pub fn errors(&self, kind: BackendErrorKind) -> u64 {
        self.errors_where(|found| found == kind)
    }

    /// Requests that ended with an error after which a later attempt may succeed.
    #[must_use]
    pub fn retryable_errors(&self) -> u64 {
        self.errors_where(BackendErrorKind::is_retryable)
    }

    /// Requests that ended with an error that will come again until something is changed.
    #[must_use]
    pub fn lasting_errors(&self) -> u64 {
        self.errors_where(|kind| !kind.is_retryable())
    }

    /// Requests that the proxy refused because it has too many.
    #[must_use]
    pub fn throttles(&self) -> u64 {
        self.errors(BackendErrorKind::Throttled)
    }

    /// How old the credential in use is, by its owner's count: since it was given. Zero when the clock went back.
    #[must_use]
    pub fn credential_age(&self, now: SystemTime) -> Duration {
        now.duration_since(self.credential_since).unwrap_or_default()
    }

    fn errors_where(&self, wanted: impl Fn(BackendErrorKind) -> bool) -> u64 {
        let counted = BackendErrorKind::ALL.iter().zip(self.errors);
        counted.filter(|(kind, _)| wanted(**kind)).map(|(_, errors)| errors).sum()
    }
}

/// How long requests took, in fourteen buckets.
///
/// Their upper ends, inclusive: 0.5, 1, 2, 5, 10, 20, 35, 50, 100, 150, 200, 250 and 1,000 milliseconds, and none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LatencyHistogram {
    pub(super) counts: [u64; BUCKETS],
    pub(super) total_micros: u64,
}

impl LatencyHistogram {
    /// The buckets in ascending order: upper end, `None` for the last, and how many requests fell into it (and not
    /// into a lower one).
    pub fn buckets(&self) -> impl Iterator<Item = (Option<Duration>, u64)> + use<> {
        let bounds = BOUNDS.map(|micros| Some(Duration::from_micros(micros)));
        bounds.into_iter().chain([None]).zip(self.counts)
    }

    /// How many requests there are in all buckets.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The time of all requests together, to the microsecond.
    #[must_use]
    pub const fn total(&self) -> Duration {
        Duration::from_micros(self.total_micros)
    }
}
