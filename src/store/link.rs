//! One connection with its gate, and the slot through which handles find the current one.

use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::thread::available_parallelism;

use arc_swap::{ArcSwapOption, Guard};

use super::gate::{Entry, Gate, Permit, WakerSet};
use crate::backend::{BackendError, BackendErrorKind, Connection};
use crate::error::Error;
use crate::sync::thread_hint;

/// A connection and the gate that its calls pass.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) gate: Gate,
    pub(super) connection: Arc<dyn Connection>,
}

impl Link {
    pub(super) fn new(connection: Arc<dyn Connection>) -> Arc<Self> {
        // More shards than cores gain nothing; more than 64 cost more to shut than they save.
        let shards = available_parallelism().map_or(1, |cores| cores.get().min(64));
        Arc::new(Self { gate: Gate::new(shards), connection })
    }
}

/// What all handles of one connected store share.
pub(super) struct Slot {
    /// Replaced by a live update, emptied when the store has said goodbye.
    link: ArcSwapOption<Link>,
    /// Set before the gate of the current link is shut for good.
    closing: AtomicBool,
    /// Whoever waits for that.
    watchers: WakerSet,
}

/// A look at the current link, held for as long as a call lasts.
pub(super) type Current = Guard<Option<Arc<Link>>>;

/// A call that was let in, and what it may call.
pub(super) type Admitted<'c> = (Permit<'c>, &'c dyn Connection);

impl Slot {
    pub(super) fn new(connection: Arc<dyn Connection>) -> Self {
        Self {
            link: ArcSwapOption::new(Some(Link::new(connection))),
            closing: AtomicBool::new(false),
            watchers: WakerSet::new(),
        }
    }

    /// The current link; `None` when the store has said goodbye.
    #[inline]
    pub(super) fn current(&self) -> Current {
        self.link.load()
    }

    /// Passes the gate of the link; `None` when the link was replaced in the meantime.
    #[inline(always)]
    pub(super) fn enter<'c>(&self, current: &'c Current) -> Result<Option<Admitted<'c>>, Error> {
        let Some(link) = current.as_deref() else {
            return Err(Error::NOT_CONNECTED);
        };
        match link.gate.enter(thread_hint()) {
            Entry::Admitted(permit) => Ok(Some((permit, &*link.connection))),
            Entry::Shut if self.is_closing() => Err(Error::NOT_CONNECTED),
            Entry::Shut => Ok(None),
            Entry::Full => Err(BackendError::new(BackendErrorKind::Throttled).into()),
        }
    }

    /// Makes `connection` the current one. Gives the old link, whose gate is then shut, and how many calls are
    /// in flight on it.
    pub(super) fn replace(&self, connection: Arc<dyn Connection>) -> Option<(Arc<Link>, u64)> {
        let old = self.link.swap(Some(Link::new(connection)))?;
        let in_flight = old.gate.shut();
        Some((old, in_flight))
    }

    /// Lets nobody in any more; how many calls are in flight on the current link. Idempotent.
    pub(super) fn close(&self) -> u64 {
        self.closing.store(true, Ordering::SeqCst);
        let in_flight = self.link.load().as_ref().map_or(0, |link| link.gate.shut());
        self.watchers.wake_all();
        in_flight
    }

    /// Resolves when nobody is let in any more.
    pub(super) async fn closed(&self) {
        let mut watch = Watch { slot: self, key: None };
        // Not `move`: that would copy the key and leave the one that is given up as it was.
        poll_fn(|cx| {
            // Registered before the look, so that a disconnect in between is not missed.
            self.watchers.register(&mut watch.key, cx.waker());
            if self.is_closing() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    pub(super) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::SeqCst)
    }

    /// Lets go of the connection, so that a forgotten handle keeps nothing alive.
    pub(super) fn empty(&self) {
        self.link.store(None);
    }
}

/// Takes its waker back when the wait is dropped.
struct Watch<'s> {
    slot: &'s Slot,
    key: Option<usize>,
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        if let Some(key) = self.key.take() {
            self.slot.watchers.remove(key);
        }
    }
}

impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slot").field("closing", &self.is_closing()).finish_non_exhaustive()
    }
}
