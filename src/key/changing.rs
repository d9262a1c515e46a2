//! Changes of keys, and the keys that are in use meanwhile.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::id::KeyId;
use super::ring::Keyring;

/// The keys that are being changed. Whoever loads one of them does not keep it.
#[derive(Debug, Default)]
pub(super) struct Changing(Mutex<UnderWay>);

/// Keys that are being changed, or were and nobody knows how it ended.
pub(super) type UnderWay = HashMap<KeyId, usize>;

impl Changing {
    pub(super) fn contains(&self, id: &KeyId) -> bool {
        self.lock().contains_key(id)
    }

    /// Held by whoever changes what is kept, so that it is decided in one step whether something may be kept.
    pub(super) fn lock(&self) -> MutexGuard<'_, UnderWay> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A change of a key under way.
///
/// Dropped without [`done`](Self::done), it is unknown whether the change takes place, or when: the catalogue may be at
/// work on it still. Until a later change of the key is done, which the catalogue answers after it, the key is then not
/// kept ready, and read with each use.
pub(super) struct Change<'r> {
    ring: &'r Keyring,
    id: KeyId,
    done: bool,
}

impl<'r> Change<'r> {
    pub(super) fn begin(ring: &'r Keyring, id: KeyId) -> Self {
        let mut under_way = ring.changing().lock();
        *under_way.entry(id).or_default() += 1;
        ring.supersede(&id);
        Self { ring, id, done: false }
    }

    /// The change took place, or certainly did not.
    pub(super) fn done(mut self) {
        self.done = true;
    }
}

impl Drop for Change<'_> {
    fn drop(&mut self) {
        let mut under_way = self.ring.changing().lock();
        self.ring.supersede(&self.id);
        if let Some(count) = under_way.get_mut(&self.id) {
            *count = count.saturating_sub(1);
            // One that is lost stays, with a count of zero, until one is done.
            if *count == 0 && self.done {
                under_way.remove(&self.id);
            }
        }
    }
}

#[cfg(test)]
mod tests;
