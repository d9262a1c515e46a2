//! Limits of rate, without a lock and in memory of a fixed size.
//!
//! Of our own making though `governor` has the same algorithm: its limiters by key keep an entry for each key that
//! was ever seen, until somebody has them swept, so that a peer with many addresses decides how much memory they take;
//! and the level of one of its limiters cannot be carried over to another. What would be left of it are the ten lines
//! of [`Bucket::take`].

use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

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

/// The state of one limit: the moment at which, at the allowed rate, all requests so far would have come (GCRA).
#[derive(Debug, Default)]
pub(super) struct Bucket(AtomicU64);

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
    bucket: OnceLock<Bucket>,
    /// The limit before this one, and when its bucket would be whole. Nobody knows what time it is when limits are
    /// exchanged, so that the next request sees to the rest.
    before: Option<(RateLimit, u64)>,
}

impl Quota {
    pub(super) const fn new(limit: RateLimit) -> Self {
        Self { limit, bucket: OnceLock::new(), before: None }
    }

    /// Another limit in place of this one, of which the same share is used up: otherwise whoever has used up his own
    /// would be given a burst by every change.
    pub(super) fn with(&self, limit: RateLimit) -> Self {
        let before = match self.bucket.get() {
            Some(bucket) => Some((self.limit, bucket.0.load(Ordering::Relaxed))),
            None => self.before,
        };
        Self { limit, bucket: OnceLock::new(), before }
    }

    /// Takes a request at `now`, in nanoseconds of any beginning, if there is one left.
    pub(super) fn take(&self, now: u64) -> bool {
        self.bucket.get_or_init(|| self.begin(now)).take(self.limit, now)
    }

    fn begin(&self, now: u64) -> Bucket {
        let used = self.before.map_or(0, |(before, due)| {
            let (used, whole) = (due.saturating_sub(now).min(before.whole()), before.whole());
            // No more than the new limit's own, which is a `u64`; none is zero long.
            let used = u128::from(used) * u128::from(self.limit.whole()) / u128::from(whole);
            u64::try_from(used).unwrap_or(u64::MAX)
        });
        Bucket(AtomicU64::new(now.saturating_add(used)))
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
}

/// Half a MiB.
const BUCKETS: usize = 1 << 16;

impl PeerLimit {
    pub(super) fn new(limit: RateLimit) -> Self {
        let buckets = std::iter::repeat_with(Bucket::default).take(BUCKETS).collect();
        Self { limit, hash: RandomState::new(), buckets }
    }

    pub(super) fn take(&self, peer: IpAddr, now: u64) -> bool {
        let hash = self.hash.hash_one(network(peer));
        let index = usize::try_from(hash % BUCKETS as u64).unwrap_or_default();
        self.buckets.get(index).is_none_or(|bucket| bucket.take(self.limit, now))
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
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn limit(rate: u32, burst: u32) -> RateLimit {
        RateLimit::per_second(NonZeroU32::new(rate).unwrap()).burst(NonZeroU32::new(burst).unwrap())
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
        let taken = |quota: &Quota, now| (0..10_000).take_while(|_| quota.take(now)).count();
        for (from, to) in [
            (limit(1, 1), limit(1000, 1000)),
            (limit(u32::MAX, u32::MAX), limit(1, 1)),
            (limit(1, u32::MAX), limit(u32::MAX, 1)),
            (limit(1, 5000), limit(3, 7)),
        ] {
            let quota = Quota::new(from);
            // Used up, whatever it takes.
            quota.bucket.get_or_init(|| Bucket(AtomicU64::new(SECOND.saturating_add(from.whole()))));
            let next = quota.with(to);
            assert_eq!(taken(&next, SECOND), 0, "{from:?} {to:?}");
            assert!(next.take(SECOND.saturating_add(to.interval)), "{from:?} {to:?}");
            // And when it had all the time to be whole again, the other one is whole.
            let next = quota.with(to).with(from).with(to);
            let later = SECOND.saturating_add(from.whole());
            assert_eq!(taken(&next, later), 10_000.min(to.burst.get() as usize), "{from:?} {to:?}");
        }
    }

    #[test]
    fn a_thousand_strangers_starve_nobody() {
        let peers = PeerLimit::new(limit(1, 1));
        for site in 0..1000 {
            for _ in 0..3 {
                peers.take(format!("2001:db8:0:{site:x}::1").parse().unwrap(), SECOND);
            }
        }
        let ask = |last: u32| peers.take(IpAddr::from((0xc633_6400_u32 + last).to_be_bytes()), SECOND);
        // Sharing a bucket with one of them is a matter of one in 65, and of chance.
        let free = (0..200).filter(|last| ask(*last)).count();
        assert!(free > 160, "{free}");
    }

    #[test]
    fn peers_are_apart_and_a_network_of_ipv6_is_one() {
        let peers = PeerLimit::new(limit(1, 1));
        let ask = |peer: &str| peers.take(peer.parse().unwrap(), SECOND);
        assert!(ask("2001:db8::1"));
        assert!(!ask("2001:db8::2"));
        assert!(ask("192.0.2.1"));
        assert!(!ask("::ffff:192.0.2.1"));
        // Of a hundred others few can share a bucket with one another.
        let free = (1..=100).filter(|last| ask(&format!("198.51.100.{last}"))).count();
        assert!(free > 80, "{free}");
    }
}
