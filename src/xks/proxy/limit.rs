//! Limits of rate, without a lock and in memory of a fixed size.
//!
//! Of our own making though `governor` has the same algorithm: its limiters by key keep an entry for each key that
//! was ever seen, until somebody has them swept, so that a peer with many addresses decides how much memory they take;
//! and the level of one of its limiters cannot be carried over to another. What would be left of it are the ten lines
//! of [`Bucket::take`].

use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use crate::clock::Clock;

/// How many requests there may be: so many a second in the long run, and so many at once.
///
/// ```
/// use std::num::NonZeroU32;
///
/// use custom_key_store::xks::proxy::RateLimit;
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

    /// How long it takes until a bucket that is used up is whole again, in nanoseconds.
    const fn whole(self) -> u64 {
        self.interval.saturating_mul(self.burst.get() as u64)
    }
}

/// Nanoseconds since it began, by one clock.
#[derive(Debug, Clone)]
struct Timeline {
    clock: Arc<dyn Clock>,
    began: Instant,
}

impl Timeline {
    fn begin(clock: &Arc<dyn Clock>) -> Self {
        Self { clock: Arc::clone(clock), began: clock.monotonic() }
    }

    fn now(&self) -> u64 {
        let elapsed = self.clock.monotonic().saturating_duration_since(self.began);
        u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX)
    }
}

/// The state of one limit: the moment at which, at the allowed rate, all requests so far would have come (GCRA).
#[derive(Debug, Default)]
struct Bucket(AtomicU64);

impl Bucket {
    /// Takes a request at `now`, in nanoseconds of any beginning, if there is one left.
    fn take(&self, limit: RateLimit, now: u64) -> bool {
        let tolerance = limit.whole() - limit.interval;
        // The number guards nothing but itself, so `Relaxed` does.
        self.0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |due| {
                let due = due.max(now);
                (due - now <= tolerance).then(|| due.saturating_add(limit.interval))
            })
            .is_ok()
    }
}

/// The limit of one tenant.
#[derive(Debug)]
pub(super) struct Quota {
    limit: RateLimit,
    bucket: Bucket,
    /// Its own and not a proxy's, since a tenant outlives the proxies that it is added to. It begins with the first
    /// request, by the clock of the proxy that has it.
    time: OnceLock<Timeline>,
}

impl Quota {
    pub(super) fn new(limit: RateLimit) -> Self {
        Self { limit, bucket: Bucket::default(), time: OnceLock::new() }
    }

    /// Another limit in place of this one, of which the same share is used up: otherwise whoever has used up his own
    /// would be given a burst by every change.
    pub(super) fn with(&self, limit: RateLimit) -> Self {
        let due = self.time.get().map_or(0, |time| {
            let (now, whole) = (time.now(), self.limit.whole());
            let used = self.bucket.0.load(Ordering::Relaxed).saturating_sub(now).min(whole);
            // No more than the new limit's own, which is a `u64`; none is zero long.
            let used = u128::from(used) * u128::from(limit.whole()) / u128::from(whole);
            now.saturating_add(u64::try_from(used).unwrap_or(u64::MAX))
        });
        Self { limit, bucket: Bucket(AtomicU64::new(due)), time: self.time.clone() }
    }

    /// Takes a request, if there is one left. The time is that of the first clock that was given.
    pub(super) fn take(&self, clock: &Arc<dyn Clock>) -> bool {
        self.bucket.take(self.limit, self.time.get_or_init(|| Timeline::begin(clock)).now())
    }
}

/// A limit for each peer, before it has authenticated.
///
/// A table of fixed size, indexed by a hash whose key is drawn anew for each proxy: however many addresses somebody
/// has, they cost no memory, and nobody can choose whose bucket he shares. Two peers that share one make the limit of
/// both stricter, until the next start. To use up everybody's, a peer needs as many networks as there are buckets and
/// has to send as many times the limit, since a request that is refused uses nothing up.
#[derive(Debug)]
pub(super) struct PeerLimit {
    limit: RateLimit,
    hash: RandomState,
    buckets: Box<[Bucket]>,
    time: Timeline,
}

/// Half a MiB.
const BUCKETS: usize = 1 << 16;

impl PeerLimit {
    pub(super) fn new(limit: RateLimit, clock: &Arc<dyn Clock>) -> Self {
        let buckets = std::iter::repeat_with(Bucket::default).take(BUCKETS).collect();
        Self { limit, hash: RandomState::new(), buckets, time: Timeline::begin(clock) }
    }

    pub(super) fn take(&self, peer: IpAddr) -> bool {
        let hash = self.hash.hash_one(network(peer));
        let index = usize::try_from(hash % BUCKETS as u64).unwrap_or_default();
        self.buckets.get(index).is_none_or(|bucket| bucket.take(self.limit, self.time.now()))
    }
}

/// What counts as one peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Network(u128);

/// Who is given IPv6 is given a whole network of /64.
pub(super) const fn network(peer: IpAddr) -> Network {
    Network(match peer {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().to_bits(),
        IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
            Some(v4) => v4.to_ipv6_mapped().to_bits(),
            None => v6.to_bits() & !(u64::MAX as u128),
        },
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock::ManualClock;

    const SECOND: u64 = 1_000_000_000;

    fn limit(rate: u32, burst: u32) -> RateLimit {
        RateLimit::per_second(NonZeroU32::new(rate).unwrap()).burst(NonZeroU32::new(burst).unwrap())
    }

    fn peers(limit: RateLimit) -> PeerLimit {
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::new());
        PeerLimit::new(limit, &clock)
    }

    #[test]
    fn a_burst_then_the_rate() {
        let bucket = Bucket::default();
        let taken = |now| (0..100).take_while(|_| bucket.take(limit(10, 3), now)).count();
        assert_eq!(taken(5 * SECOND), 3);
        assert_eq!(taken(5 * SECOND + SECOND / 10), 1);
        assert_eq!(taken(5 * SECOND + SECOND / 10), 0);
        assert_eq!(taken(60 * SECOND), 3, "what was not used does not add up");
    }

    #[test]
    fn the_rate_holds_whatever_the_threads() {
        let bucket = Bucket::default();
        let take = || (0..1000).filter(|_| bucket.take(limit(10, 50), SECOND)).count();
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
            quota.bucket.0.store(from.whole(), Ordering::Relaxed);
            let next = quota.with(to);
            assert_eq!(taken(&next), 0, "{from:?} {to:?}");
            manual.advance(Duration::from_nanos(to.interval));
            assert!(next.take(&clock), "{from:?} {to:?}");
            // And when it had all the time to be whole again, the other one is whole.
            let next = quota.with(to).with(from).with(to);
            manual.advance(Duration::from_nanos(to.whole()));
            assert_eq!(taken(&next), 10_000.min(to.burst.get() as usize), "{from:?} {to:?}");
        }
    }

    #[test]
    fn a_quota_that_was_never_asked_is_whole_whatever_comes_of_it() {
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::new());
        let quota = Quota::new(limit(1, 1)).with(limit(1, 3)).with(limit(1, 2));
        assert_eq!((0..9).filter(|_| quota.take(&clock)).count(), 2);
    }

    #[test]
    fn a_thousand_strangers_starve_nobody() {
        let peers = peers(limit(1, 1));
        for site in 0..1000 {
            for _ in 0..3 {
                peers.take(format!("2001:db8:0:{site:x}::1").parse().unwrap());
            }
        }
        let ask = |last: u32| peers.take(IpAddr::from((0xc633_6400_u32 + last).to_be_bytes()));
        // Sharing a bucket with one of them is a matter of one in 65, and of chance.
        let free = (0..200).filter(|last| ask(*last)).count();
        assert!(free > 160, "{free}");
    }

    #[test]
    fn peers_are_apart_and_a_network_of_ipv6_is_one() {
        let peers = peers(limit(1, 1));
        let ask = |peer: &str| peers.take(peer.parse().unwrap());
        assert!(ask("2001:db8::1"));
        assert!(!ask("2001:db8::2"));
        assert!(ask("192.0.2.1"));
        assert!(!ask("::ffff:192.0.2.1"));
        // Of a hundred others few can share a bucket with one another.
        let free = (1..=100).filter(|last| ask(&format!("198.51.100.{last}"))).count();
        assert!(free > 80, "{free}");
    }
}
