//! A limit of rate for each peer, in memory of a fixed size.
//!
//! Of our own making though `governor` has such limits: they keep an entry for each key that was ever seen, until
//! somebody has them swept, so that a peer with many addresses decides how much memory they take.

use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;
use std::sync::Arc;

use crate::RateLimit;
use crate::clock::Clock;
use crate::rate::{Bucket, Timeline};

/// A limit for each peer, before it has authenticated.
///
/// A table of fixed size, indexed by a hash whose key is drawn anew for each service: however many addresses somebody
/// has, they cost no memory, and nobody can choose whose bucket he shares. Two peers that share one make the limit of
/// both stricter, until the next start. To use up everybody's, a peer needs as many networks as there are buckets and
/// has to send as many times the limit, since a request that is refused uses nothing up.
#[derive(Debug)]
pub(crate) struct PeerLimit {
    limit: RateLimit,
    hash: RandomState,
    buckets: Box<[Bucket]>,
    time: Timeline,
}

/// Half a MiB.
const BUCKETS: usize = 1 << 16;

impl PeerLimit {
    pub(crate) fn new(limit: RateLimit, clock: &Arc<dyn Clock>) -> Self {
        let buckets = std::iter::repeat_with(Bucket::default).take(BUCKETS).collect();
        Self { limit, hash: RandomState::new(), buckets, time: Timeline::begin(clock) }
    }

    pub(crate) fn take(&self, peer: IpAddr) -> bool {
        let hash = self.hash.hash_one(network(peer));
        let index = usize::try_from(hash % BUCKETS as u64).unwrap_or_default();
        self.buckets.get(index).is_none_or(|bucket| bucket.take(self.limit, self.time.now()).is_some())
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
    use std::num::NonZeroU32;

    use super::*;
    use crate::clock::ManualClock;

    fn one_a_second() -> PeerLimit {
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::new());
        PeerLimit::new(RateLimit::per_second(NonZeroU32::MIN), &clock)
    }

    #[test]
    fn a_thousand_strangers_starve_nobody() {
        let peers = one_a_second();
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
        let peers = one_a_second();
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
