//! One store among many: its place, which is locked for a moment, and its view, which is not.

use std::fmt;
use std::future::poll_fn;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use arc_swap::{ArcSwap, Guard};
use futures_util::lock::Mutex as Turn;
use futures_util::task::AtomicWaker;

use super::events::Wakers;
use crate::backend::{CloudHsmClusterId, ConnectionError, ConnectionErrorCode, CustomKeyStoreType};
use crate::error::Error;
use crate::key::{KeyId, Keyring, Keys, OutOfReach};
use crate::rate::Quota;
use crate::store::{AnyKeyStore, ConnectionState, Handle};
use crate::store_id::StoreId;

/// The place of one store.
pub(super) struct Slot {
    pub(super) id: StoreId,
    pub(super) store_type: CustomKeyStoreType,
    /// The KMS keys of the store, which do not depend on its state.
    ring: Arc<Keyring>,
    /// Locked for one synchronous move or one poll, and across no await.
    held: Mutex<Held>,
    /// The thread that holds the lock, or 0. A move or a poll runs code of the backend's and of wakers: should that ask for
    /// the same store, it gets an error, and not a thread that waits for itself.
    holder: AtomicUsize,
    /// What the calls of keys look at, without a lock.
    view: ArcSwap<View>,
    pub(super) quota: Option<Quota>,
    /// Whose turn it is to change what the store is made of. Not needed to disconnect.
    pub(super) updates: Turn<()>,
    /// Whose turn it is to leave `DISCONNECTED`, or to write down that the store is another. Held for as long as the
    /// catalogue takes, and never while a key manager is asked.
    pub(super) turn: Turn<()>,
    /// Who polls the store.
    waker: AtomicWaker,
    /// Whether the application made no backend for it when it was opened.
    is_stand_in: AtomicBool,
}

struct Held {
    /// `None` when the store was deleted, or the driver is gone.
    store: Option<AnyKeyStore>,
    /// How often the state has changed.
    epoch: u64,
    /// Whether somebody polls the store.
    is_driven: bool,
}

/// A store, as calls see it.
#[derive(Debug)]
pub(super) struct View {
    pub(super) state: ConnectionState,
    /// In state `CONNECTED` alone.
    pub(super) handle: Option<Handle>,
    /// In state `FAILED` alone.
    pub(super) code: Option<ConnectionErrorCode>,
    /// Of a CloudHSM key store.
    pub(super) cluster: Option<CloudHsmClusterId>,
}

impl View {
    fn of(store: &AnyKeyStore) -> Self {
        let code = store.connection_error().map(ConnectionError::code);
        let cluster = store.configuration().cluster_id();
        Self { state: store.state(), handle: store.handle(), code, cluster }
    }

    /// The KMS keys of the store, as they are seen in this state.
    pub(super) fn keys<'v>(&'v self, slot: &'v Slot) -> Keys<'v> {
        match &self.handle {
            Some(handle) => Keys::new(&slot.ring, handle),
            None => Keys::new(&slot.ring, &OutOfReach),
        }
    }
}

/// The state of a store is another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Moved {
    pub(super) from: ConnectionState,
    pub(super) to: ConnectionState,
    pub(super) code: Option<ConnectionErrorCode>,
}

/// Why a store cannot be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Away {
    /// There is none here any more.
    Gone,
    /// Who asks runs inside of a move of it.
    Inside,
}

/// What a move of a store gave.
pub(super) struct Step<T> {
    pub(super) outcome: T,
    /// Nobody polls the store, which wants to be polled.
    pub(super) wants_driver: bool,
}

impl Slot {
    pub(super) fn new(store: AnyKeyStore, quota: Option<Quota>) -> Self {
        let ring = Arc::clone(store.ring());
        Self {
            id: store.id().clone(),
            store_type: store.store_type(),
            ring,
            view: ArcSwap::from_pointee(View::of(&store)),
            held: Mutex::new(Held { store: Some(store), epoch: 0, is_driven: false }),
            holder: AtomicUsize::new(NOBODY),
            quota,
            updates: Turn::new(()),
            turn: Turn::new(()),
            waker: AtomicWaker::new(),
            is_stand_in: AtomicBool::new(false),
        }
    }

    /// Whether what it has for a backend stands in for one.
    pub(super) fn has_stand_in(&self) -> bool {
        self.is_stand_in.load(Ordering::Acquire)
    }

    /// What it has for a backend is none.
    pub(super) fn stands_in(&self) {
        self.is_stand_in.store(true, Ordering::Release);
    }

    /// The application has made it a backend.
    pub(super) fn has_its_own(&self) {
        self.is_stand_in.store(false, Ordering::Release);
    }

    /// The store as it is now.
    pub(super) fn view(&self) -> Guard<Arc<View>> {
        self.view.load()
    }

    /// The same, to be kept across an await.
    pub(super) fn view_full(&self) -> Arc<View> {
        self.view.load_full()
    }

    /// Refuses a key that could not be used even if the store were connected, as far as that counts before it.
    pub(super) async fn refuse_unless_there(&self, id: &KeyId) -> Result<(), Error> {
        self.ring.refuse_unless_there(id).await
    }

    /// Looks at the store.
    pub(super) fn look<T>(&self, look: impl FnOnce(&AnyKeyStore, u64) -> T) -> Result<T, Away> {
        let held = self.lock()?;
        held.store.as_ref().map(|store| look(store, held.epoch)).ok_or(Away::Gone)
    }

    /// Resolves when whoever polls this does not run inside of a move: for what must be done, and may be done later.
    pub(super) async fn outside(&self) {
        poll_fn(|cx| {
            if self.holder.load(Ordering::Relaxed) != this_thread() {
                return Poll::Ready(());
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }

    /// Makes a move, and shows at once what came of it.
    pub(super) fn step<T>(
        &self,
        step: impl FnOnce(&mut AnyKeyStore) -> T,
        tell: impl FnOnce(&AnyKeyStore, Moved) -> Wakers,
    ) -> Result<Step<T>, Away> {
        let mut held = self.lock()?;
        let store = held.store.as_mut().ok_or(Away::Gone)?;
        let outcome = step(store);
        let wakers = self.publish(&mut held, tell);
        let is_transient = held.store.as_ref().is_some_and(|store| store.state().is_transient());
        let wants_driver = is_transient && !held.is_driven;
        held.is_driven |= wants_driver;
        drop(held);
        wakers.wake();
        // Whoever polls the store polled what is no more.
        self.waker.wake();
        Ok(Step { outcome, wants_driver })
    }

    /// Polls the store until it is in a state that lasts.
    pub(super) fn poll(
        &self,
        cx: &mut Context<'_>,
        tell: impl FnOnce(&AnyKeyStore, Moved) -> Wakers,
    ) -> Poll<()> {
        self.waker.register(cx.waker());
        // The driver polls it, who does not run inside of a poll.
        let Ok(mut held) = self.lock() else { return Poll::Pending };
        let polled = match held.store.as_mut() {
            Some(store) if store.state().is_transient() => store.poll_settled(cx).map(drop),
            _ => Poll::Ready(()),
        };
        let wakers = self.publish(&mut held, tell);
        if polled.is_ready() {
            held.is_driven = false;
        }
        drop(held);
        wakers.wake();
        polled
    }

    /// Says, should whoever polls the store panic, that nobody does: the next move has it polled again.
    pub(super) const fn driven(&self) -> Driven<'_> {
        Driven(Some(self))
    }

    /// Takes the store away: nobody can do anything with it any more.
    pub(super) fn take(&self) -> Option<AnyKeyStore> {
        let taken = self.lock().ok()?.store.take();
        let state = self.view().state;
        self.view.store(Arc::new(View { state, handle: None, code: None, cluster: None }));
        self.waker.wake();
        taken
    }

    /// Shows the store as it is, and tells of it if its state is another: here, so that it is told in order. (What a live
    /// update changes lies below the handle.)
    fn publish(&self, held: &mut Held, tell: impl FnOnce(&AnyKeyStore, Moved) -> Wakers) -> Wakers {
        let Some(store) = held.store.as_ref() else { return Wakers::default() };
        let (shown, view) = (self.view.load(), View::of(store));
        let (from, to, code) = (shown.state, view.state, view.code);
        if from == to && shown.cluster == view.cluster {
            return Wakers::default();
        }
        self.view.store(Arc::new(view));
        if from == to {
            return Wakers::default();
        }
        held.epoch += 1;
        tell(store, Moved { from, to, code })
    }

    fn lock(&self) -> Result<Locked<'_>, Away> {
        let this = this_thread();
        // By another thread it may change at any time, but by this one alone to this one.
        if self.holder.load(Ordering::Relaxed) == this {
            return Err(Away::Inside);
        }
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        self.holder.store(this, Ordering::Relaxed);
        Ok(Locked { holder: &self.holder, held })
    }
}

const NOBODY: usize = 0;

/// What no other thread that runs has: an address of its own.
fn this_thread() -> usize {
    thread_local!(static PLACE: u8 = const { 0 });
    PLACE.with(|place| std::ptr::from_ref(place).addr())
}

struct Locked<'s> {
    holder: &'s AtomicUsize,
    held: MutexGuard<'s, Held>,
}

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        // Before the lock is released, which comes next.
        self.holder.store(NOBODY, Ordering::Relaxed);
    }
}

impl Deref for Locked<'_> {
    type Target = Held;

    fn deref(&self) -> &Held {
        &self.held
    }
}

impl DerefMut for Locked<'_> {
    fn deref_mut(&mut self) -> &mut Held {
        &mut self.held
    }
}

/// Somebody polls a store.
pub(super) struct Driven<'s>(Option<&'s Slot>);

impl Driven<'_> {
    /// It is in a state that lasts.
    pub(super) fn done(mut self) {
        self.0 = None;
    }
}

impl Drop for Driven<'_> {
    fn drop(&mut self) {
        if let Some(slot) = self.0.take() {
            // Nobody runs inside of a move any more.
            if let Ok(mut held) = slot.lock() {
                held.is_driven = false;
            }
        }
    }
}

impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slot")
            .field("id", &self.id)
            .field("state", &self.view().state)
            .finish_non_exhaustive()
    }
}
