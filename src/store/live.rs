//! The inside of a connected store, and its goodbye.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::join_all;

use super::guard::answer;
use super::handle::{Handle, Shared};
use super::link::{Link, Slot};
use super::report::{DisconnectReport, Goodbye};
use crate::backend::{BackendErrorKind, Connection};
use crate::clock::{Clock, within};
use crate::store::core::Core;

/// What is alive while a store is connected: the shared slot, and links that a live update has replaced.
///
/// Dropping it, at whatever point, revokes every handle, abandons what is in flight and lets go of the
/// connections. So neither a dropped store nor a dropped disconnect leaks anything.
#[derive(Debug)]
pub(super) struct Live {
    shared: Arc<Shared>,
    /// Links that were replaced, each with the number of calls that were in flight on it then.
    retired: Vec<(Arc<Link>, u64)>,
    close_timeout: Duration,
}

impl Live {
    pub(super) fn new(core: &Core, connection: Arc<dyn Connection>) -> Self {
        let shared = Shared {
            slot: Slot::new(connection),
            clock: Arc::clone(&core.clock),
            call_timeout: core.limits.call_timeout,
            principal: Arc::clone(&core.principal),
            id: core.id.clone(),
            store_type: core.store_type(),
            ring: Arc::clone(&core.ring),
        };
        Self { shared: Arc::new(shared), retired: Vec::new(), close_timeout: core.limits.close_timeout }
    }

    pub(super) fn handle(&self) -> Handle {
        Handle::new(Arc::clone(&self.shared))
    }

    /// Puts `connection` in the place of the current one. Calls that were admitted finish on the old one.
    pub(super) fn replace(&mut self, connection: Arc<dyn Connection>) {
        self.retired.extend(self.shared.slot.replace(connection));
    }

    /// Waits up to `limit` for the calls on replaced connections, and closes each after its last.
    ///
    /// What takes longer is closed by the next update, or by the disconnect. Dropping the future leaves the
    /// rest to these.
    pub(super) async fn close_retired(&mut self, limit: Duration) {
        let clock = Arc::clone(&self.shared.clock);
        let drained = join_all(self.retired.iter().map(|(link, _)| link.gate.drained()));
        within(&*clock, limit, drained).await;
        while let Some(place) = self.retired.iter().position(|(link, _)| link.gate.is_drained()) {
            let (link, _) = &self.retired[place];
            close(&*clock, self.close_timeout, &*link.connection).await;
            // Only now, so that who drops this future leaves the goodbye to the disconnect.
            self.retired.remove(place);
        }
    }

    /// Admits nobody any more; how many calls are in flight, those on a replaced link counted from then on.
    pub(super) fn shut(&self) -> u64 {
        let current = self.shared.slot.close();
        current + self.retired.iter().map(|(_, in_flight)| in_flight).sum::<u64>()
    }

    /// Drains for up to `limit`, abandons the rest, says goodbye and empties the slot.
    ///
    /// [`shut`](Self::shut) came before and counted `in_flight`.
    pub(super) async fn farewell(mut self, in_flight: u64, limit: Duration) -> DisconnectReport {
        let clock = Arc::clone(&self.shared.clock);
        let started = clock.monotonic();
        let links = self.links();

        let drained = join_all(links.iter().map(|link| link.gate.drained()));
        within(&*clock, limit, drained).await;
        let abandoned = links.iter().map(|link| link.gate.abandon()).sum();
        join_all(links.iter().map(|link| link.gate.quiet())).await;
        let dropped: u64 = links.iter().map(|link| link.gate.dropped()).sum();

        let close = |link: &Arc<Link>| {
            let (clock, link) = (Arc::clone(&clock), Arc::clone(link));
            let limit = self.close_timeout;
            async move { close(&*clock, limit, &*link.connection).await }
        };
        let goodbyes = join_all(links.iter().map(close)).await;
        self.release(links);

        DisconnectReport {
            completed: in_flight.saturating_sub(abandoned).saturating_sub(dropped),
            dropped,
            abandoned,
            still_running: goodbyes.iter().map(Goodbye::still_running).sum(),
            goodbye: Goodbye::worst(goodbyes),
            duration: clock.monotonic().saturating_duration_since(started),
            unrecorded: None,
        }
    }

    /// Wipes the keys that were in use and lets go of every connection, so that a forgotten handle keeps none alive. (A call that was abandoned and that
    /// nobody polls or drops keeps its own.)
    fn release(&mut self, links: Vec<Arc<Link>>) {
        self.shared.slot.empty();
        self.shared.ring.forget_all();
        self.retired.clear();
        drop(links);
    }

    fn links(&self) -> Vec<Arc<Link>> {
        let current = self.shared.slot.current();
        let retired = self.retired.iter().map(|(link, _)| link);
        current.as_ref().into_iter().chain(retired).map(Arc::clone).collect()
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.shared.slot.close();
        let links = self.links();
        for link in &links {
            link.gate.abandon();
        }
        self.release(links);
    }
}

/// Says goodbye to a connection, for `limit` at most.
pub(super) async fn close(clock: &dyn Clock, limit: Duration, connection: &dyn Connection) -> Goodbye {
    match answer(clock, limit, async { connection.close().await }.boxed()).await {
        Ok(Ok(closed)) => Goodbye::Said(closed),
        Ok(Err(error)) => Goodbye::Failed(error),
        Err(BackendErrorKind::TimedOut) => Goodbye::TimedOut,
        Err(panicked) => Goodbye::Failed(panicked.into()),
    }
}
