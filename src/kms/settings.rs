//! What is the same for all stores.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::{Clock, SystemClock};
use crate::rate::RateLimit;
use crate::store::StoreBuilder;

#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub(super) clock: Arc<dyn Clock>,
    pub(super) connect_timeout: Duration,
    pub(super) call_timeout: Duration,
    pub(super) drain_limit: Duration,
    pub(super) close_timeout: Duration,
    /// Of uses of keys, for each store.
    pub(super) quota: Option<RateLimit>,
    pub(super) max_stores: Option<usize>,
    /// Of refusals that are lines of the audit trail, for each of 1,024 principals and for all others together.
    pub(super) audited_refusals: RateLimit,
}

/// What AWS KMS lets all callers together ask of one custom key store, in a second.
const QUOTA: std::num::NonZeroU32 = std::num::NonZeroU32::new(1800).expect("not zero");

/// More than anybody reads. Such a line has some 700 bytes, and two kilobytes or so at most (and, where that is long, the name
/// of the principal twice), since what is long is left out of it: of one principal who makes nothing else three megabytes come
/// in the first five minutes, eight at most, and 600 a day, 1,800 at most.
const REFUSALS: std::num::NonZeroU32 = std::num::NonZeroU32::new(10).expect("not zero");
const REFUSALS_AT_ONCE: std::num::NonZeroU32 = std::num::NonZeroU32::new(1000).expect("not zero");

impl Default for Settings {
    fn default() -> Self {
        Self {
            clock: Arc::new(SystemClock),
            connect_timeout: Duration::from_secs(60),
            call_timeout: Duration::from_secs(5),
            drain_limit: Duration::from_secs(5),
            close_timeout: Duration::from_secs(5),
            quota: Some(RateLimit::per_second(QUOTA)),
            max_stores: None,
            audited_refusals: RateLimit::per_second(REFUSALS).burst(REFUSALS_AT_ONCE),
        }
    }
}

impl Settings {
    pub(super) fn apply_to(&self, builder: StoreBuilder) -> StoreBuilder {
        builder
            .clock_of(Arc::clone(&self.clock))
            .connect_timeout(self.connect_timeout)
            .call_timeout(self.call_timeout)
            .drain_limit(self.drain_limit)
            .close_timeout(self.close_timeout)
    }
}
