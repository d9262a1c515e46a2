//! Limits of rate, without a lock and in memory of a fixed size.

use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;
use std::num::NonZeroU32;
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
}

/// The state of one limit: the moment at which, at the allowed rate, all requests so far would have come (GCRA).
#[derive(Debug, Default)]
pub(super) struct Bucket(AtomicU64);

impl Bucket {
    /// Takes a request at `now`, in nanoseconds of any beginning, if there is one left.
    pub(super) fn take(&self, limit: RateLimit, now: u64) -> bool {
        let tolerance = limit.interval.saturating_mul(u64::from(limit.burst.get() - 1));
        // The number guards nothing but itself, so `Relaxed` does.
        self.0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |due| {
                let due = due.max(now);
                (due - now <= tolerance).then(|| due.saturating_add(limit.interval))
            })
            .is_ok()
    }
}

/// A limit for each peer, before it has authenticated.
///
/// A table of fixed size, indexed by a keyed hash: however many addresses somebody has, they cost no memory. Two
/// peers may share a bucket, which makes the limit of both stricter.
#[derive(Debug)]
pub(super) struct PeerLimit {
    limit: RateLimit,
    hash: RandomState,
    buckets: Box<[Bucket]>,
}

const BUCKETS: usize = 4096;

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

/// Who is given IPv6 is given a whole network of /64.
const fn network(peer: IpAddr) -> u128 {
    match peer {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().to_bits(),
        IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
            Some(v4) => v4.to_ipv6_mapped().to_bits(),
            None => v6.to_bits() & !(u64::MAX as u128),
        },
    }
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
