//! How many connections each peer has, and what they share.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use super::body::Share;
use super::limit::{Network, network};

/// Has an entry for each peer that is connected, so never more than there are connections.
#[derive(Debug)]
pub(super) struct Peers {
    /// The most connections of one, and of all.
    most: usize,
    whole: usize,
    there: Arc<Mutex<HashMap<Network, Entry>>>,
}

#[derive(Debug)]
struct Entry {
    connections: usize,
    share: Share,
}

/// One connection of a peer, until it is dropped.
#[derive(Debug)]
pub(super) struct Seat {
    network: Network,
    share: Share,
    there: Arc<Mutex<HashMap<Network, Entry>>>,
}

impl Peers {
    pub(super) fn new(most: usize, whole: usize) -> Self {
        Self { most, whole, there: Arc::default() }
    }

    /// Counts a connection in, unless its peer has as many as it may.
    pub(super) fn seat(&self, peer: IpAddr) -> Option<Seat> {
        let network = network(peer);
        let mut there = self.there.lock().unwrap_or_else(PoisonError::into_inner);
        let connections = there.get(&network).map_or(0, |entry| entry.connections);
        if connections >= self.most {
            return None;
        }
        let share = || Share::new(self.most, self.whole);
        let entry = there.entry(network).or_insert_with(|| Entry { connections: 0, share: share() });
        entry.connections += 1;
        let share = entry.share.clone();
        Some(Seat { network, share, there: Arc::clone(&self.there) })
    }
}

impl Seat {
    /// What all connections of the peer share.
    pub(super) const fn share(&self) -> &Share {
        &self.share
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut there = self.there.lock().unwrap_or_else(PoisonError::into_inner);
        match there.get_mut(&self.network) {
            Some(entry) if entry.connections > 1 => entry.connections -= 1,
            _ => drop(there.remove(&self.network)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_of_ipv6_is_one_peer_and_whoever_has_gone_is_forgotten() {
        let peers = Peers::new(2, 1024);
        let seat = |peer: &str| peers.seat(peer.parse().unwrap());
        let (one, two) = (seat("2001:db8::1").unwrap(), seat("2001:db8::ffff:1").unwrap());
        assert!(seat("2001:db8::2").is_none());
        let other = seat("2001:db8:0:1::1").unwrap();
        let (v4, mapped) = (seat("192.0.2.1").unwrap(), seat("::ffff:192.0.2.1").unwrap());
        assert!(seat("192.0.2.1").is_none() && seat("192.0.2.2").is_some());
        drop(one);
        let again = seat("2001:db8::3").unwrap();
        assert!(seat("2001:db8::4").is_none());
        assert_eq!(peers.there.lock().unwrap().len(), 3);
        drop((two, other, v4, mapped, again));
        assert!(peers.there.lock().unwrap().is_empty());
    }
}
