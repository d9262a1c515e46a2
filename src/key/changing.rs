//! Changes of keys, and the keys that are in use meanwhile.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::id::KeyId;
use super::ring::Keyring;

/// The keys that are being changed. Whoever loads one of them does not keep it.
#[derive(Debug, Default)]
pub(super) struct Changing(Mutex<HashMap<KeyId, usize>>);

impl Changing {
    pub(super) fn contains(&self, id: &KeyId) -> bool {
        self.lock().contains_key(id)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<KeyId, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A change of a key under way.
///
/// Dropped without [`done`](Self::done), it is unknown whether the change takes place, or when: the catalogue may be at
/// work on it still. The key is then never kept ready again, and read with each use.
pub(super) struct Change<'r> {
    ring: &'r Keyring,
    id: KeyId,
}

impl<'r> Change<'r> {
    pub(super) fn begin(ring: &'r Keyring, id: KeyId) -> Self {
        *ring.changing().lock().entry(id).or_default() += 1;
        // In this order: who loads the key from now on sees that it is being changed, and who was loading it finds
        // its place taken away.
        ring.forget(&id);
        ring.supersede(&id);
        Self { ring, id }
    }

    /// The change took place, or certainly did not.
    pub(super) fn done(self) {
        // In this order: until it is forgotten, nobody may keep what was read before.
        self.ring.forget(&self.id);
        self.ring.supersede(&self.id);
        let mut changing = self.ring.changing().lock();
        if let Some(count) = changing.get_mut(&self.id) {
            *count -= 1;
            if *count == 0 {
                changing.remove(&self.id);
            }
        }
    }
}

#[cfg(test)]
mod tests;
