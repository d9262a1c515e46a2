//! Limits of rate, without a lock and in memory of a fixed size.
//!
//! Of our own making though `governor` has the same algorithm: the level of one of its limiters cannot be carried over to
//! another, and each of its decisions reads a clock, which costs more than all the rest. What would be left of it are the
//! ten lines of [`Bucket::take`].

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use crate::clock::Clock;

/// How many requests there may be: so many a second in the long run, and so many at once.
///
/// More are never let through, at whatever moment one begins to count. Somebody who pauses in between may find that up to
/// one in 128 of those at once is missing: where they are 256 or more, they are set aside in lots, so that not every
/// request has to look at the clock.
///
/// ```
/// use std::num::NonZeroU32;
///
/// use custom_key_store::RateLimit;
///
/// // What AWS grants an external key store.
/// let limit = RateLimit::per_second(NonZeroU32::new(1800).unwrap());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub struct RateLimit {
    /// Nanoseconds.
    interval: u64,
    burst: NonZeroU32,
}

impl RateLimit {
    /// So many requests a second, and as many at once.
    pub const fn per_second(requests: NonZeroU32) -> Self {
        let interval = 1_000_000_000 / requests.get();
        Self { interval: if interval == 0 { 1 } else { interval as u64 }, burst: requests }
    }

    /// The same with another number at once.
    pub const fn burst(mut self, requests: NonZeroU32) -> Self {
        self.burst = requests;
        self
    }

    /// How long it takes until all that may come at once can come again, in nanoseconds.
    const fn whole(self) -> u64 {
        self.interval.saturating_mul(self.burst.get() as u64)
    }

    /// How many requests a [`Quota`] lets through for each look at the clock.
    const fn lot(self) -> u32 {
        match self.burst.get() / 128 {
            0 => 1,
            lot @ 1..64 => lot,
            _ => 64,
        }
    }

    /// How far ahead of the clock a look lets them run.
    const fn ahead(self) -> u64 {
        self.interval * (self.lot() - 1) as u64
    }
}

/// Nanoseconds by one clock, counted from [`BEGINNING`].
#[derive(Debug, Clone)]
pub(crate) struct Timeline {
    clock: Arc<dyn Clock>,
    began: Instant,
}

/// Not zero, so that the biggest lot of the slowest limit can have been due before it.
const BEGINNING: u64 = 64_000_000_000;

impl Timeline {
    pub(crate) fn begin(clock: &Arc<dyn Clock>) -> Self {
        Self { clock: Arc::clone(clock), began: clock.monotonic() }
    }

    pub(crate) fn now(&self) -> u64 {
        let elapsed = self.clock.monotonic().saturating_duration_since(self.began);
        u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX).saturating_add(BEGINNING)
    }
}

/// The state of one limit: the moment at which, at the allowed rate, all requests so far would have come (GCRA).
#[derive(Debug, Default)]
pub(crate) struct Bucket(AtomicU64);

impl Bucket {
    /// Takes a request at `now`, in nanoseconds of any beginning, if there is one left, and says what the state is then.
    pub(crate) fn take(&self, limit: RateLimit, now: u64) -> Option<u64> {
        let tolerance = limit.whole() - limit.interval;
        self.advance(|due| {
            let due = due.max(now);
            (due - now <= tolerance).then(|| due.saturating_add(limit.interval))
        })
    }

    /// Whether all may come at once that ever may.
    pub(crate) fn is_whole(&self, now: u64) -> bool {
        self.0.load(Ordering::Relaxed) <= now
    }

    /// Takes a request if the state does not go beyond `bound` by it, whatever the time.
    fn take_up_to(&self, bound: u64, limit: RateLimit) -> bool {
        self.advance(|due| Some(due.saturating_add(limit.interval)).filter(|due| *due <= bound)).is_some()
    }

    fn advance(&self, next: impl Fn(u64) -> Option<u64>) -> Option<u64> {
        let mut due = self.0.load(Ordering::Relaxed);
        loop {
            let next = next(due)?;
            // The number guards nothing but itself, so `Relaxed` does.
            match self.0.compare_exchange_weak(due, next, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return Some(next),
                Err(other) => due = other,
            }
        }
    }
}

/// The limit of one user, such as a tenant of a proxy.
///
/// Reading the clock is most of what a decision costs, so a look at it decides for a lot of requests: those that would be
/// let through if they came at once are, whenever they come. Of these some may be left when somebody pauses and the
/// bucket is whole again; so the bucket alone holds that much less than the limit allows, and both together never more.
#[derive(Debug)]
pub(crate) struct Quota {
    limit: RateLimit,
    bucket: Bucket,
    /// Up to here the bucket is taken from without a look at the clock. Never goes back; never further ahead of the
    /// bucket than [`RateLimit::ahead`].
    bound: AtomicU64,
    /// Its own, since it may outlive whom it is asked by. It begins with the first look, by the clock that is given then.
    time: OnceLock<Timeline>,
}

impl Quota {
    pub(crate) const fn new(limit: RateLimit) -> Self {
        Self::used(limit, 0, BEGINNING, OnceLock::new())
    }

    /// Another limit in place of this one, of which the same share is used up: otherwise whoever has used up his own
    /// would be given a burst by every change.
    pub(crate) fn with(&self, limit: RateLimit) -> Self {
        let now = self.time.get().map_or(BEGINNING, Timeline::now);
        let due = self.bucket.0.load(Ordering::Relaxed);
        let bound = self.bound.load(Ordering::Relaxed);
        // All that was set aside is used up where the bucket stands at the bound, or at the present.
        let used = due.saturating_add(self.limit.ahead()).saturating_sub(bound.max(due).min(now));
        let whole = self.limit.whole();
        // No more than the new limit's own, which is a `u64`; none is zero long.
        let used = u128::from(used.min(whole)) * u128::from(limit.whole()) / u128::from(whole);
        Self::used(limit, u64::try_from(used).unwrap_or(u64::MAX), now, self.time.clone())
    }

    /// One of which this much, in nanoseconds, is used up.
    const fn used(limit: RateLimit, used: u64, now: u64, time: OnceLock<Timeline>) -> Self {
        let due = (now - limit.ahead()).saturating_add(used);
        Self { limit, bucket: Bucket(AtomicU64::new(due)), bound: AtomicU64::new(now), time }
    }

    /// Takes a request, if there is one left. The time is that of the first clock that was looked at.
    #[inline]
    pub(crate) fn take(&self, clock: &Arc<dyn Clock>) -> bool {
        // An old bound is a lower one: it never lets anybody through whom the present one would not.
        self.bucket.take_up_to(self.bound.load(Ordering::Relaxed), self.limit) || self.look_and_take(clock)
    }

    fn look_and_take(&self, clock: &Arc<dyn Clock>) -> bool {
        let Self { limit, bucket, bound, time } = self;
        let now = time.get_or_init(|| Timeline::begin(clock)).now();
        let size = limit.burst.get() - (limit.lot() - 1);
        let inner = RateLimit { burst: NonZeroU32::new(size).unwrap_or(NonZeroU32::MIN), ..*limit };
        let Some(due) = bucket.take(inner, now) else { return false };
        let most = now.saturating_add(inner.whole());
        bound.fetch_max(due.saturating_add(limit.ahead()).min(most), Ordering::Relaxed);
        true
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::clock::ManualClock;

    const SECOND: u64 = 1_000_000_000;

    fn limit(rate: u32, burst: u32) -> RateLimit {
        RateLimit::per_second(NonZeroU32::new(rate).unwrap()).burst(NonZeroU32::new(burst).unwrap())
    }

    #[test]
    fn a_burst_then_the_rate() {
        let bucket = Bucket::default();
        let taken = |now| (0..100).take_while(|_| bucket.take(limit(10, 3), now).is_some()).count();
        assert_eq!(taken(5 * SECOND), 3);
        assert_eq!(taken(5 * SECOND + SECOND / 10), 1);
        assert_eq!(taken(5 * SECOND + SECOND / 10), 0);
        assert_eq!(taken(60 * SECOND), 3, "what was not used does not add up");
    }

    #[test]
    fn the_rate_holds_whatever_the_threads() {
        let bucket = Bucket::default();
        let take = || (0..1000).filter(|_| bucket.take(limit(10, 50), SECOND).is_some()).count();
        let taken: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(take)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(taken, 50);
    }

    #[test]
    fn what_is_carried_over_is_a_share_and_never_more_than_all() {
        for (from, to) in [
            (limit(1, 1), limit(1000, 1000)),
            (limit(u32::MAX, u32::MAX), limit(1, 1)),
            (limit(1, u32::MAX), limit(u32::MAX, 1)),
            (limit(1, 5000), limit(3, 7)),
        ] {
            let manual = ManualClock::new();
            let clock: Arc<dyn Clock> = Arc::new(manual.clone());
            let taken = |quota: &Quota| (0..10_000).take_while(|_| quota.take(&clock)).count();
            let quota = Quota::new(from);
            quota.time.get_or_init(|| Timeline::begin(&clock));
            // Used up, whatever it takes.
            quota.bucket.0.store(BEGINNING + from.whole(), Ordering::Relaxed);
            let next = quota.with(to);
            assert_eq!(taken(&next), 0, "{from:?} {to:?}");
            manual.advance(Duration::from_nanos(to.interval));
            assert!(next.take(&clock), "{from:?} {to:?}");
            // And when it had all the time to be whole again, the other one is whole, but for what a lot may be short of.
            let next = quota.with(to).with(from).with(to);
            manual.advance(Duration::from_nanos(to.whole()));
            let whole = to.burst.get() - to.lot() + 1;
            assert_eq!(taken(&next), 10_000.min(whole as usize), "{from:?} {to:?}");
        }
    }

    #[test]
    fn a_quota_that_was_never_asked_is_whole_whatever_comes_of_it() {
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::new());
        let quota = Quota::new(limit(1, 1)).with(limit(1, 3)).with(limit(1, 2));
        assert_eq!((0..9).filter(|_| quota.take(&clock)).count(), 2);
    }

    #[test]
    fn a_new_one_gives_its_whole_burst_and_a_used_one_no_more_however_it_was_left() {
        for burst in [1, 2, 127, 255, 256, 1000, 1800, 9000] {
            let manual = ManualClock::new();
            let clock: Arc<dyn Clock> = Arc::new(manual.clone());
            let quota = Quota::new(limit(1800, burst));
            let taken = || (0..10_000).take_while(|_| quota.take(&clock)).count();
            assert_eq!(taken(), burst as usize);
            for left in 0..70 {
                manual.advance(Duration::from_secs(60));
                for _ in 0..left.min(burst) {
                    assert!(quota.take(&clock));
                }
                manual.advance(Duration::from_secs(60));
                let (least, most) = (burst - burst / 128, burst);
                let taken = (0..10_000).take_while(|_| quota.take(&clock)).count();
                assert!((least as usize..=most as usize).contains(&taken), "{burst} after {left}: {taken}");
            }
        }
    }

    #[test]
    fn the_burst_holds_for_a_quota_whatever_the_threads() {
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::new());
        for burst in [50, 1800, 90_000] {
            let quota = Quota::new(limit(1, burst));
            let take = || (0..100_000).filter(|_| quota.take(&clock)).count();
            let taken: usize = std::thread::scope(|scope| {
                let threads: Vec<_> = (0..4).map(|_| scope.spawn(take)).collect();
                threads.into_iter().map(|thread| thread.join().unwrap()).sum()
            });
            assert_eq!(taken, burst as usize);
        }
    }

    proptest! {
        /// Whatever the moment from which and until which one counts.
        #[test]
        fn in_no_span_of_time_are_there_more_than_burst_and_rate_allow(
            rate in 1_u32..5000,
            burst in 1_u32..5000,
            steps in prop::collection::vec((0_u64..2_000_000_000, 0_usize..3000), 1..20),
        ) {
            let limit = limit(rate, burst);
            let manual = ManualClock::new();
            let clock: Arc<dyn Clock> = Arc::new(manual.clone());
            let quota = Quota::new(limit);
            let (mut now, mut taken) = (0, Vec::new());
            for (pause, asked) in steps {
                manual.advance(Duration::from_nanos(pause));
                now += pause;
                taken.push((now, (0..asked).filter(|_| quota.take(&clock)).count() as u64));
            }
            for (first, (from, _)) in taken.iter().enumerate() {
                let mut sum = 0;
                for (until, number) in &taken[first..] {
                    sum += number;
                    prop_assert!(sum <= u64::from(burst) + (until - from) / limit.interval, "{taken:?}");
                }
            }
        }
    }
}
