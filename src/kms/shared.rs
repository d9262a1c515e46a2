//! What all clones of a `Kms` and its driver share.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use quick_cache::sync::Cache;

use super::backends::{Backends, Purpose, Refusal};
use super::claims::{Claim, Claims};
use super::error::KmsError;
use super::events::{ConnectionEvent, Events, Wakers};
use super::exception::Exception;
use super::mapping;
use super::request::StoreSecret;
use super::rules::Authorizer;
use super::settings::Settings;
use super::slot::{Away, Moved, Slot, Step};
use super::surroundings::Surroundings;
use super::trail::Trail;
use super::work::Work;
use crate::backend::{Backend, ConnectionError, StoreConfiguration, StoreName};
use crate::catalog::{CatalogError, CatalogErrorKind, Ledger};
use crate::clock::{Clock, within};
use crate::key::{KeyArn, KeyId, Timing, find_key};
use crate::rate::Quota;
use crate::store::{AnyKeyStore, ConnectionState, StoreBuilder, StoreRecord};
use crate::store_id::StoreId;

/// Of how many keys it is remembered which store they belong to. One takes some 150 bytes.
const ROUTES: usize = 100_000;

/// Whether there is a driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Phase {
    Open,
    ShuttingDown,
    Ended,
}

pub(super) struct Shared {
    pub(super) ledger: Ledger,
    pub(super) backends: Arc<dyn Backends>,
    pub(super) surroundings: Arc<Surroundings>,
    pub(super) settings: Settings,
    pub(super) authorizer: Option<Arc<dyn Authorizer>>,
    pub(super) trail: Trail,
    pub(super) events: Events,
    pub(super) work: Work,
    pub(super) claims: Arc<Claims>,
    slots: RwLock<BTreeMap<StoreId, Place>>,
    /// How many stores there are, or are about to be.
    seats: Arc<AtomicUsize>,
    /// A key belongs to its store for ever, and no id is used again.
    routes: Cache<KeyId, Arc<Route>>,
    phase: AtomicU8,
}

/// A store, and what is its alone.
#[derive(Debug)]
struct Place {
    slot: Arc<Slot>,
    claim: Claim,
    _seat: Seat,
}

/// One of the stores that there may be. Dropped, it is free again.
#[derive(Debug)]
pub(super) struct Seat(Arc<AtomicUsize>);

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Where a key is.
#[derive(Debug)]
pub(super) struct Route {
    pub(super) slot: Arc<Slot>,
    pub(super) arn: KeyArn,
}

impl Shared {
    pub(super) fn new(
        ledger: Ledger,
        backends: Arc<dyn Backends>,
        settings: Settings,
        authorizer: Option<Arc<dyn Authorizer>>,
        trail: Trail,
    ) -> Self {
        let (clock, limit) = (Arc::clone(&settings.clock), settings.call_timeout);
        let surroundings = Arc::new(Surroundings { backends: Arc::clone(&backends), clock, limit });
        Self {
            ledger,
            backends,
            surroundings,
            settings,
            authorizer,
            trail,
            events: Events::default(),
            work: Work::default(),
            claims: Arc::default(),
            slots: RwLock::default(),
            seats: Arc::default(),
            routes: Cache::new(ROUTES),
            phase: AtomicU8::new(Phase::Open as u8),
        }
    }

    pub(super) fn clock(&self) -> &Arc<dyn Clock> {
        &self.settings.clock
    }

    /// How long the catalogue may take, by whose clock.
    pub(super) fn timing(&self) -> Timing {
        Timing { clock: Arc::clone(self.clock()), limit: self.settings.call_timeout }
    }

    /// Makes stores with the settings of all.
    pub(super) fn builder(&self, backend: Arc<dyn Backend>) -> StoreBuilder {
        self.settings.apply_to(StoreBuilder::new(backend))
    }

    /// The backend of a configuration, which must say of itself what it was made for.
    pub(super) fn backend(
        &self,
        configuration: &StoreConfiguration,
        secret: &StoreSecret,
    ) -> Result<Arc<dyn Backend>, Refusal> {
        let backend = self.backends.backend(configuration, secret)?;
        if backend.configuration() == *configuration {
            return Ok(self.surroundings.around(backend));
        }
        Err(Refusal::Unsupported("the application made a backend of another configuration".to_owned()))
    }

    /// Takes a store in that has claimed what is its alone.
    pub(super) fn insert(&self, store: AnyKeyStore, claim: Claim, seat: Seat) -> Result<Arc<Slot>, KmsError> {
        let id = store.id().clone();
        let slot = Arc::new(Slot::new(store, self.settings.quota.map(Quota::new)));
        let place = Place { slot: Arc::clone(&slot), claim, _seat: seat };
        let mut slots = self.slots.write().unwrap_or_else(PoisonError::into_inner);
        // Whoever ends takes away what is there, under this lock; what comes later would keep its store from its next owner.
        if self.phase.load(Ordering::Acquire) == Phase::Ended as u8 {
            drop(slots);
            drop(place);
            return self.refuse_ended().map(|()| slot);
        }
        slots.insert(id, place);
        Ok(slot)
    }

    /// Opens a store that was created, if that took place after all; as soon as the catalogue says.
    pub(super) async fn adopt_late(self: &Arc<Self>, id: &StoreId, claim: Claim, seat: Seat) {
        loop {
            match self.timing().bounded(self.ledger.read::<StoreRecord>(id.as_str())).await {
                Ok(None) => return,
                Ok(Some(stored)) => return drop(super::open::restore(self, stored, claim, seat)),
                Err(_) => self.clock().sleep(Duration::from_secs(1)).await,
            }
        }
    }

    /// Whether a deletion of which the catalogue did not say in time took place.
    pub(super) async fn is_gone(&self, id: &StoreId, error: &CatalogError) -> bool {
        error.kind() == CatalogErrorKind::Unavailable
            && matches!(self.timing().bounded(self.ledger.read::<StoreRecord>(id.as_str())).await, Ok(None))
    }

    /// The turn to change what a store is made of. Whoever waits too long gives up, so that calls that nobody waits for any
    /// more do not pile up behind a key manager that hangs.
    pub(super) async fn turn_to_update<'s>(&self, slot: &'s Slot) -> Result<TurnGuard<'s>, KmsError> {
        let turn = within(&**self.clock(), self.settings.call_timeout, slot.updates.lock()).await;
        turn.ok_or_else(|| {
            let message = format!("another change of the custom key store {} is under way", slot.id);
            KmsError::new(Exception::KmsInternal, message)
        })
    }

    /// Forgets a store that was deleted.
    pub(super) fn remove(&self, slot: &Slot) {
        drop(slot.take());
        let removed = self.slots.write().unwrap_or_else(PoisonError::into_inner).remove(&slot.id);
        drop(removed);
    }

    /// Another claim in place of the one that a store has.
    pub(super) fn reclaim(&self, id: &StoreId, claim: Claim) {
        let mut slots = self.slots.write().unwrap_or_else(PoisonError::into_inner);
        let old = match slots.get_mut(id) {
            Some(place) => std::mem::replace(&mut place.claim, claim),
            None => claim,
        };
        drop(slots);
        drop(old);
    }

    pub(super) fn count(&self) -> usize {
        self.slots.read().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Room for one more store.
    pub(super) fn seat(&self, most: Option<usize>) -> Option<Seat> {
        let before = self.seats.fetch_add(1, Ordering::AcqRel);
        let seat = Seat(Arc::clone(&self.seats));
        most.is_none_or(|most| before < most).then_some(seat)
    }

    pub(super) fn slot(&self, id: &StoreId) -> Result<Arc<Slot>, KmsError> {
        let found = self.find(id);
        found.ok_or_else(|| mapping::store_not_found(id.as_str()))
    }

    pub(super) fn find(&self, id: &StoreId) -> Option<Arc<Slot>> {
        let slots = self.slots.read().unwrap_or_else(PoisonError::into_inner);
        slots.get(id).map(|place| Arc::clone(&place.slot))
    }

    /// Stores in the order of their ids, after one of them.
    pub(super) fn slots_after(&self, after: Option<&str>, limit: usize) -> Vec<Arc<Slot>> {
        use std::ops::Bound::{Excluded, Unbounded};

        let from = after.and_then(|after| StoreId::new(after).ok()).map_or(Unbounded, Excluded);
        let slots = self.slots.read().unwrap_or_else(PoisonError::into_inner);
        slots.range((from, Unbounded)).take(limit).map(|(_, place)| Arc::clone(&place.slot)).collect()
    }

    pub(super) fn all_slots(&self) -> Vec<Arc<Slot>> {
        self.slots_after(None, usize::MAX)
    }

    /// Where a key is, whatever state it and its store are in.
    pub(super) async fn route(&self, id: &KeyId) -> Result<Arc<Route>, KmsError> {
        if let Some(route) = self.routes.get(id) {
            return Ok(route);
        }
        let key = find_key(&self.ledger, &self.timing(), id).await.map_err(mapping::of_key)?;
        // A store that was deleted has no keys.
        let slot = self.find(&key.store).ok_or_else(|| mapping::key_not_found(id))?;
        let route = Arc::new(Route { slot, arn: id.arn(self.ledger.identity()) });
        self.routes.insert(*id, Arc::clone(&route));
        Ok(route)
    }

    /// Makes a move of a store, tells whoever listens, and has the driver see it through.
    pub(super) fn step<T>(
        self: &Arc<Self>,
        slot: &Arc<Slot>,
        step: impl FnOnce(&mut AnyKeyStore) -> T,
    ) -> Result<T, KmsError> {
        let stepped = slot.step(step, |store, moved| self.tell(store, moved));
        let Step { outcome, wants_driver } = stepped.map_err(|away| self.away(&slot.id, away))?;
        if wants_driver {
            let (shared, slot) = (Arc::clone(self), Arc::clone(slot));
            self.work.push(async move { super::driver::settle(&shared, &slot).await });
        }
        Ok(outcome)
    }

    /// Tells whoever listens that a store is in another state, under the lock of its slot.
    pub(super) fn tell(&self, store: &AnyKeyStore, moved: Moved) -> Wakers {
        let Moved { from, to, code } = moved;
        let (id, time) = (store.id(), self.clock().wall());
        self.trail.moved(id, moved, time);
        let error = store.connection_error().cloned();
        let (store, name) = (id.clone(), store.name().clone());
        self.events.tell(&ConnectionEvent { store, name, from, to, code, error, time, missed: 0 })
    }

    /// Tells that an attempt after a restart has failed and another follows, under the lock of the slot.
    pub(super) fn tell_of_another_try(&self, id: &StoreId, name: &StoreName, error: &ConnectionError) {
        let time = self.clock().wall();
        self.trail.tried_again(id, error, time);
        let wakers = self.events.tell(&ConnectionEvent {
            store: id.clone(),
            name: name.clone(),
            from: ConnectionState::Connecting,
            to: ConnectionState::Connecting,
            code: Some(error.code()),
            error: Some(error.clone()),
            time,
            missed: 0,
        });
        // By the driver, when the lock is released.
        self.work.push(async move { wakers.wake() });
    }

    /// What is said of a store that cannot be had.
    pub(super) fn away(&self, id: &StoreId, away: Away) -> KmsError {
        match away {
            Away::Gone => self.gone(id),
            Away::Inside => mapping::from_inside(id),
        }
    }

    /// What is said of a store that is not here any more.
    pub(super) fn gone(&self, id: &StoreId) -> KmsError {
        match self.refuse_ended() {
            Ok(()) => mapping::store_not_found(id.as_str()),
            Err(ended) => ended,
        }
    }

    /// What the application says of the surroundings of a key manager.
    pub(super) async fn inspect(
        &self,
        configuration: &StoreConfiguration,
        purpose: Purpose,
    ) -> Result<(), KmsError> {
        self.surroundings.inspect(configuration, purpose).await.map_err(mapping::of_refusal)
    }

    /// The same before a CloudHSM key store is connected: what AWS documents no exception for, the attempt itself finds, and
    /// shows as a connection error code.
    pub(super) async fn inspect_to_connect(
        &self,
        configuration: &StoreConfiguration,
    ) -> Result<(), KmsError> {
        match self.inspect(configuration, Purpose::Connect).await {
            Err(error) if is_known_to_connect(error.exception()) => Err(error),
            _ => Ok(()),
        }
    }

    /// Refuses calls when nobody drives what they begin.
    pub(super) fn refuse_ended(&self) -> Result<(), KmsError> {
        let phase = self.phase.load(Ordering::Acquire);
        if phase == Phase::Open as u8 {
            return Ok(());
        }
        Err(KmsError::new(Exception::KmsInternal, "this KMS is being shut down, or its driver is gone"))
    }

    pub(super) fn shut_down(&self) {
        let (open, next) = (Phase::Open as u8, Phase::ShuttingDown as u8);
        // Ended is not undone.
        let _ = self.phase.compare_exchange(open, next, Ordering::AcqRel, Ordering::Acquire);
        self.work.wake();
    }

    pub(super) fn is_shutting_down(&self) -> bool {
        self.phase.load(Ordering::Acquire) != Phase::Open as u8
    }

    pub(super) fn has_ended(&self) {
        self.phase.store(Phase::Ended as u8, Ordering::Release);
    }
}

const fn is_known_to_connect(exception: Exception) -> bool {
    matches!(
        exception,
        Exception::CloudHsmClusterNotActive
            | Exception::CloudHsmClusterInvalidConfiguration
            | Exception::KmsInternal
    )
}

/// A turn that somebody has.
type TurnGuard<'s> = futures_util::lock::MutexGuard<'s, ()>;

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("stores", &self.count()).finish_non_exhaustive()
    }
}
