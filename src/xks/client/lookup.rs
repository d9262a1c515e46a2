//! Looking up where a host is, once for all who wait for it.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared};
use tokio::task::{AbortHandle, spawn_blocking};

#[cfg(test)]
mod tests;

type Found = Result<Arc<[SocketAddr]>, Arc<io::Error>>;

/// How long everybody waits for the same look-up. One lost packet can cost the system's resolver five seconds, and the
/// next look-up may be answered at once.
const PATIENCE: Duration = Duration::from_secs(1);
/// How many threads the look-ups of one host may block.
const MOST: usize = 4;

/// The look-ups of one proxy's host that are under way: few, and shared by all who wait, on whichever connection.
///
/// The system's resolver blocks a thread and cannot be stopped: where name servers are dead it goes on for long after
/// the call that wanted to know has given up. Were each call to begin a look-up, the runtime would run out of blocking
/// threads. This is no cache: how long a name may be remembered is known to the system alone, so who comes after a
/// look-up has ended begins another.
#[derive(Default)]
pub(super) struct Lookups(Mutex<Vec<Lookup>>);

struct Lookup {
    begun: Instant,
    thread: AbortHandle,
    found: Shared<BoxFuture<'static, Found>>,
}

impl Lookups {
    /// What the latest look-up gives if it is under way, or else this one. Needs a tokio runtime around it.
    ///
    /// Dropping the future leaves the look-up to others who wait for it, and to those to come.
    pub(super) async fn join(
        &self,
        look_up: impl FnOnce() -> io::Result<Vec<SocketAddr>> + Send + 'static,
    ) -> Found {
        // Bound, so that the lock is let go of before the wait.
        let found = self.under_way_or(look_up);
        found.await
    }

    fn under_way_or(
        &self,
        look_up: impl FnOnce() -> io::Result<Vec<SocketAddr>> + Send + 'static,
    ) -> Shared<BoxFuture<'static, Found>> {
        let now = Instant::now();
        // Nothing here can panic half-way: at worst no thread is to be had, and the list is as it was.
        let mut under_way = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        under_way.retain(|lookup| !lookup.thread.is_finished());
        if let Some(latest) = under_way.last()
            && (under_way.len() == MOST || now.saturating_duration_since(latest.begun) < PATIENCE)
        {
            return latest.found.clone();
        }
        let task = spawn_blocking(look_up);
        let thread = task.abort_handle();
        // It fails by itself only when the runtime is shut down before it has begun.
        let found = task.map(|ended| ended.unwrap_or_else(|error| Err(io::Error::other(error))));
        let found = found.map(|found| found.map(Arc::from).map_err(Arc::new)).boxed().shared();
        under_way.push(Lookup { begun: now, thread, found: found.clone() });
        found
    }
}

impl fmt::Debug for Lookups {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lookups").finish_non_exhaustive()
    }
}
