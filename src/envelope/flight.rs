//! Work that many want and one does.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared, WeakShared};

type Flight<A> = Shared<BoxFuture<'static, A>>;

/// Flights under way, by what they fetch.
///
/// Who wants something joins the flight for it. A flight belongs to all who are aboard: it goes on where it is when one
/// of them, the first included, is dropped, and ends when the last is.
pub(super) struct Flights<K, A: Clone>(Arc<Mutex<Listed<K, A>>>);

type Listed<K, A> = HashMap<K, (u64, WeakShared<BoxFuture<'static, A>>)>;

static NEXT: AtomicU64 = AtomicU64::new(0);

impl<K, A> Flights<K, A>
where
    K: Eq + Hash + Clone + Send + 'static,
    A: Clone + Send + Sync + 'static,
{
    /// The flight for `key`, begun by `start` if there is none; unless `landed` finds what one has brought by now.
    ///
    /// `landed` is called under the lock, and `start` only makes a future.
    pub(super) fn join<T>(
        &self,
        key: K,
        landed: impl FnOnce() -> Option<T>,
        start: impl FnOnce() -> BoxFuture<'static, A>,
    ) -> Result<T, Flight<A>> {
        let mut listed = lock(&self.0);
        if let Some(flight) = listed.get(&key).and_then(|(_, flight)| flight.upgrade()) {
            return Err(flight);
        }
        if let Some(found) = landed() {
            return Ok(found);
        }
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let entry = Entry { flights: Arc::clone(&self.0), key: key.clone(), number };
        let work = start();
        let flight = async move {
            let _entry = entry;
            work.await
        }
        .boxed()
        .shared();
        // Not finished: nobody has polled it.
        if let Some(weak) = flight.downgrade() {
            listed.insert(key, (number, weak));
        }
        Err(flight)
    }
}

impl<K, A: Clone> Default for Flights<K, A> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

/// Takes a flight off the list when it has ended, or was given up.
struct Entry<K: Eq + Hash, A: Clone> {
    flights: Arc<Mutex<Listed<K, A>>>,
    key: K,
    number: u64,
}

impl<K: Eq + Hash, A: Clone> Drop for Entry<K, A> {
    fn drop(&mut self) {
        let mut listed = lock(&self.flights);
        // Another may have its place already.
        if listed.get(&self.key).is_some_and(|(number, _)| *number == self.number) {
            listed.remove(&self.key);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
