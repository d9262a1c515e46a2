use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant, SystemTime};

use futures_util::future::BoxFuture;

use super::Clock;
use crate::panics::catch;

/// A clock that stands still until it is moved, for tests of deadlines.
///
/// Clones share one time.
///
/// ```
/// use custom_key_store::clock::{Clock, ManualClock};
/// use std::time::Duration;
///
/// let clock = ManualClock::new();
/// let nap = clock.sleep(Duration::from_secs(3600));
/// clock.advance(Duration::from_secs(3600));
/// futures::executor::block_on(nap); // resolves at once
/// ```
#[derive(Debug, Clone)]
pub struct ManualClock {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    started: Instant,
    time: Mutex<Time>,
}

#[derive(Debug)]
struct Time {
    elapsed: Duration,
    wall: SystemTime,
    next: u64,
    sleepers: BTreeMap<u64, (Duration, Option<Waker>)>,
}

impl ManualClock {
    /// A clock whose wall time starts at the Unix epoch.
    #[must_use]
    pub fn new() -> Self {
        Self::starting_at(SystemTime::UNIX_EPOCH)
    }

    /// A clock whose wall time starts at `wall`.
    #[must_use]
    pub fn starting_at(wall: SystemTime) -> Self {
        Self {
            shared: Arc::new(Shared {
                started: Instant::now(),
                time: Mutex::new(Time { elapsed: Duration::ZERO, wall, next: 0, sleepers: BTreeMap::new() }),
            }),
        }
    }

    /// Moves both wall and monotonic time forward, by a century at most, and wakes whoever's sleep is over.
    pub fn advance(&self, by: Duration) {
        // Further than any test goes, and not so far that time could overflow.
        const CENTURY: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);
        let by = by.min(CENTURY);
        let woken: Vec<Waker> = {
            let mut time = self.shared.lock();
            time.elapsed += by;
            time.wall = time.wall.checked_add(by).unwrap_or(time.wall);
            let now = time.elapsed;
            time.sleepers
                .values_mut()
                .filter(|(until, _)| *until <= now)
                .filter_map(|(_, waker)| waker.take())
                .collect()
        };
        for waker in woken {
            // One that panics keeps nobody else asleep.
            let _ = catch(|| waker.wake());
        }
    }

    /// Sets the wall time alone, as an administrator (or an attacker) sets a machine's clock.
    pub fn set_wall(&self, wall: SystemTime) {
        self.shared.lock().wall = wall;
    }

    /// How many sleeps are pending: lets a test wait until the code under test has gone to sleep.
    #[must_use]
    pub fn sleepers(&self) -> usize {
        let time = self.shared.lock();
        let now = time.elapsed;
        time.sleepers.values().filter(|(until, _)| *until > now).count()
    }
}

impl Default for ManualClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for ManualClock {
    fn wall(&self) -> SystemTime {
        self.shared.lock().wall
    }

    fn monotonic(&self) -> Instant {
        self.shared.started + self.shared.lock().elapsed
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        let mut time = self.shared.lock();
        let id = time.next;
        time.next += 1;
        let until = time.elapsed.saturating_add(duration);
        time.sleepers.insert(id, (until, None));
        drop(time);
        Box::pin(Sleep { id, shared: Arc::clone(&self.shared) })
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Time> {
        self.time.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Sleep {
    id: u64,
    shared: Arc<Shared>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        // Cloned before the lock is taken and dropped after it is released: a waker may run anything.
        let mut waker = Some(cx.waker().clone());
        let mut time = self.shared.lock();
        let now = time.elapsed;
        match time.sleepers.get_mut(&self.id) {
            Some((until, kept)) if *until > now => {
                std::mem::swap(kept, &mut waker);
                drop(time);
                Poll::Pending
            }
            _ => Poll::Ready(()),
        }
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        // Bound, so that the waker is dropped after the lock is released.
        let removed = self.shared.lock().sleepers.remove(&self.id);
        drop(removed);
    }
}
