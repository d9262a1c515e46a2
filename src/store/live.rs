//! The inside of a connected store, and its goodbye.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, join_all, select};

use super::gate::Gate;
use super::guard::answer;
use super::handle::{Handle, Shared};
use super::joint::Joint;
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
    retired: Arc<Retired>,
    close_timeout: Duration,
}

/// Links that were replaced and not said goodbye to yet: by whoever replaced them, or by the disconnect.
#[derive(Debug, Default)]
struct Retired(Mutex<Vec<Leaving>>);

/// A link that is being let go of.
#[derive(Debug, Clone)]
struct Leaving {
    link: Arc<Link>,
    /// How many calls were in flight on it when its gate was shut.
    in_flight: u64,
    /// Said once, whoever begins it and whoever is dropped.
    goodbye: Joint<Goodbye>,
}

impl Retired {
    fn links(&self) -> MutexGuard<'_, Vec<Leaving>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn remove(&self, link: &Arc<Link>) {
        // Bound, so that it is dropped after the lock is released.
        let removed: Vec<Leaving> =
            self.links().extract_if(.., |left| Arc::ptr_eq(&left.link, link)).collect();
        drop(removed);
    }
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
        Self { shared: Arc::new(shared), retired: Arc::default(), close_timeout: core.limits.close_timeout }
    }

    pub(super) fn handle(&self) -> Handle {
        Handle::new(Arc::clone(&self.shared))
    }

    /// The link that is in use.
    pub(super) fn link(&self) -> Weak<Link> {
        self.shared.slot.current().as_ref().map(Arc::downgrade).unwrap_or_default()
    }

    pub(super) fn is_link(&self, link: &Weak<Link>) -> bool {
        self.shared.slot.current().as_ref().is_some_and(|current| Arc::as_ptr(current) == link.as_ptr())
    }

    /// Puts `connection` in the place of the current one. Calls that were admitted finish on the old one.
    pub(super) fn replace(&self, connection: Arc<dyn Connection>) {
        let replaced = self.shared.slot.replace(connection);
        let leaving = replaced.map(|(link, in_flight)| self.leaving(link, in_flight));
        self.retired.links().extend(leaving);
    }

    fn leaving(&self, link: Arc<Link>, in_flight: u64) -> Leaving {
        let (clock, limit) = (Arc::clone(&self.shared.clock), self.close_timeout);
        let left = Arc::clone(&link);
        let goodbye = async move { close(&*clock, limit, &*left.connection).await };
        let panicked = || Goodbye::Failed(BackendErrorKind::Panicked.into());
        Leaving { link, in_flight, goodbye: Joint::new(goodbye.boxed(), panicked) }
    }

    /// Waits for the calls on replaced connections, up to `limit` if there is one, and closes each after its last, whatever
    /// becomes of the others.
    ///
    /// What takes longer is closed by the next update, or by the disconnect. Dropping the future leaves the
    /// rest to these, and a disconnect ends it.
    pub(super) fn close_retired(&self, limit: Option<Duration>) -> BoxFuture<'static, ()> {
        let (shared, retired) = (Arc::clone(&self.shared), Arc::clone(&self.retired));
        let leaving = self.retired.links().clone();
        let close = join_all(leaving.into_iter().map(move |left| {
            let (shared, retired) = (Arc::clone(&shared), Arc::clone(&retired));
            async move {
                let drained = left.link.gate.drained();
                match limit {
                    Some(limit) => drop(within(&*shared.clock, limit, drained).await),
                    None => drained.await,
                }
                if left.link.gate.is_drained() {
                    left.goodbye.await;
                    retired.remove(&left.link);
                }
            }
        }));
        let shared = Arc::clone(&self.shared);
        async move {
            let closed = std::pin::pin!(shared.slot.closed());
            select(closed, close).await;
        }
        .boxed()
    }

    /// Admits nobody any more, at once. Awaited, it drains for up to `limit`, abandons the rest, says goodbye and empties
    /// the slot.
    pub(super) fn farewell(self, limit: Duration) -> impl Future<Output = DisconnectReport> + Send + use<> {
        let in_flight = self.shared.slot.close();
        let current = self.shared.slot.current().as_ref().map(Arc::clone);
        let current = current.map(|link| self.leaving(link, in_flight));
        // As they are now: those on a replaced link are counted from then on.
        let leaving: Vec<Leaving> = current.into_iter().chain(self.retired.links().clone()).collect();

        async move {
            let clock = Arc::clone(&self.shared.clock);
            let started = clock.monotonic();
            let gates = || leaving.iter().map(|left| &left.link.gate);
            within(&*clock, limit, join_all(gates().map(Gate::drained))).await;
            let abandoned = gates().map(Gate::abandon).sum();
            join_all(gates().map(Gate::quiet)).await;
            let dropped: u64 = gates().map(Gate::dropped).sum();
            let goodbyes = join_all(leaving.iter().map(|left| left.goodbye.clone())).await;
            let in_flight: u64 = leaving.iter().map(|left| left.in_flight).sum();
            self.release();
            drop(leaving);

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
    }

    /// Wipes the keys that were in use and lets go of every connection, so that a forgotten handle keeps none alive. (A call that was abandoned and that
    /// nobody polls or drops keeps its own.)
    fn release(&self) {
        self.shared.slot.empty();
        self.shared.ring.forget_all();
        let retired = std::mem::take(&mut *self.retired.links());
        drop(retired);
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.shared.slot.close();
        if let Some(link) = self.shared.slot.current().as_ref() {
            link.gate.abandon();
        }
        let retired = self.retired.links().clone();
        for left in &retired {
            left.link.gate.abandon();
        }
        self.release();
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
