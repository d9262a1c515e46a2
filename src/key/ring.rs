//! The KMS keys of one store: kept in the catalogue, those in use in memory.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use quick_cache::sync::Cache;

use super::changing::{Change, Changing};
use super::deletion::Jumps;
use super::id::{KeyArn, KeyId};
use super::keys::{conflict, refuse_pending};
use super::metadata::KeyMetadata;
use super::record::{Backing, KeyRecord, OrphanRecord, SealedMaterial, WrappingKeyRecord};
use crate::backend::{BackingKeyId, CloudHsmClusterId};
use crate::catalog::{CatalogError, CatalogErrorKind, Edit, Ledger, Stored, Table};
use crate::clock::{Clock, within};
use crate::crypto::{KEY_LEN, Material, MaterialId, RootKey, random, seal, unseal};
use crate::epoch;
use crate::error::{Error, ErrorKind};
use crate::identity::Identity;
use crate::store_id::StoreId;

/// How many keys are kept ready for use. One takes about a kilobyte.
const READY: usize = 10_000;

/// What the material of a key is sealed for, under its wrapping key.
const MATERIAL: &[u8] = b"custom-key-store material v1";

/// The KMS keys of one store.
pub(crate) struct Keyring {
    pub(super) ledger: Ledger,
    pub(super) store: StoreId,
    /// Whether the store has a row in the ledger.
    is_kept: bool,
    timing: ArcSwap<Timing>,
    /// Keys that can be used, with their material in the clear. A change of a key takes it out before the change is
    /// acknowledged, together with who is just bringing it in. Made with the first of them, since a process may have many
    /// stores and use few.
    ready: OnceLock<Cache<KeyId, Arc<ReadyKey>>>,
    changing: Changing,
    /// What every generation is at first. Not zero: nobody shall take this ring for the one that a store had before it was
    /// opened again.
    first_generation: u64,
    /// Numbers that changes of keys step up, for who keeps what a key unwrapped. Keys share them by the first byte of
    /// their ids: a change makes a few others look changed, and costs nothing else. Made with the first change.
    generations: OnceLock<Box<[AtomicU64; 256]>>,
    cluster: ArcSwapOption<CloudHsmClusterId>,
    pub(super) jumps: Jumps,
}

/// By whose clock, and how long the catalogue may take.
#[derive(Debug)]
pub(crate) struct Timing {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) limit: Duration,
}

impl Timing {
    /// What the catalogue answers, within the limit.
    pub(crate) async fn bounded<T>(
        &self,
        work: impl Future<Output = Result<T, CatalogError>> + Send,
    ) -> Result<T, CatalogError> {
        within(&*self.clock, self.limit, work).await.unwrap_or_else(|| {
            let late = std::io::Error::from(std::io::ErrorKind::TimedOut);
            Err(CatalogError::caused_by(CatalogErrorKind::Unavailable, late))
        })
    }
}

/// A key that can be used.
pub(crate) struct ReadyKey {
    pub(crate) arn: KeyArn,
    pub(crate) backing_key: BackingKeyId,
    pub(crate) protection: Protection,
}

impl ReadyKey {
    /// The error of a call that was about this key.
    pub(crate) fn named_in(&self, error: Error) -> Error {
        error.on_key(&self.backing_key, Some(self.arn.key_id()))
    }
}

/// What this library adds to the encryption of the key manager.
pub(crate) enum Protection {
    /// An inner layer, under material that the key manager does not have.
    Double(Box<Material>),
    /// Nothing: the key manager is trusted with the plaintext.
    Direct(MaterialId),
}

impl Keyring {
    /// The keyring of a store that is kept in the ledger. There is one, which whoever has a handle from before the store
    /// was opened again shares: a change of a key through one must be seen through the other.
    pub(crate) fn of(ledger: &Ledger, store: &StoreId, timing: Timing) -> Arc<Self> {
        let timing = Arc::new(timing);
        let make = || Self::new(ledger.clone(), store.clone(), Arc::clone(&timing), true);
        let ring = ledger.share(store, make);
        ring.timing.store(timing);
        ring
    }

    /// The keyring of a store in memory alone, on a ledger of its own.
    pub(crate) fn ephemeral(store: &StoreId, timing: Timing) -> Arc<Self> {
        let ledger = Ledger::ephemeral(Identity::nobody());
        Arc::new(Self::new(ledger, store.clone(), Arc::new(timing), false))
    }

    fn new(ledger: Ledger, store: StoreId, timing: Arc<Timing>, is_kept: bool) -> Self {
        let jumps = Jumps::new(&*timing.clock);
        Self {
            ledger,
            store,
            is_kept,
            timing: ArcSwap::new(timing),
            ready: OnceLock::new(),
            changing: Changing::default(),
            first_generation: u64::from_ne_bytes(random()),
            generations: OnceLock::new(),
            cluster: ArcSwapOption::empty(),
            jumps,
        }
    }

    pub(crate) const fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// The key, if it is ready for use.
    pub(crate) fn kept(&self, id: &KeyId) -> Option<Arc<ReadyKey>> {
        self.ready.get()?.get(id)
    }

    /// Makes the key ready for use. Whoever needs it does so for himself: shared work would wait for whoever began it
    /// to be polled.
    ///
    /// # Errors
    ///
    /// `KeyNotFound`, `KeyPendingDeletion`, `KeyDisabled`, and what the catalogue answers.
    pub(crate) async fn load(&self, id: &KeyId) -> Result<Arc<ReadyKey>, Error> {
        let before = self.generation(id);
        let Stored { record, .. } = self.stored(id).await?;
        refuse_pending(&record)?;
        if !record.enabled {
            return Err(Error::about(ErrorKind::KeyDisabled, id));
        }
        let ready = Arc::new(self.unseal(record).await?);
        let under_way = self.changing.lock();
        if !under_way.contains_key(id) && self.generation(id) == before {
            self.ready.get_or_init(|| Cache::new(READY)).insert(*id, Arc::clone(&ready));
        }
        Ok(ready)
    }

    /// Refuses a key that could not be used even if the store were connected, as far as that counts before it.
    pub(crate) async fn refuse_unless_there(&self, id: &KeyId) -> Result<(), Error> {
        refuse_pending(&self.stored(id).await?.record)
    }

    /// Wipes the material of one key.
    pub(crate) fn forget(&self, id: &KeyId) {
        if let Some(ready) = self.ready.get() {
            ready.remove(id);
        }
    }

    /// Wipes the material of all keys.
    pub(crate) fn forget_all(&self) {
        // Under which keys become ready: whoever made one so before is seen here, and whoever does it after this sees
        // what came before it, the end of the connection.
        let _under_way = self.changing.lock();
        if let Some(ready) = self.ready.get() {
            ready.clear();
        }
    }

    /// A number that is another one after each change of the key, and at times after one of another key.
    pub(crate) fn generation(&self, id: &KeyId) -> u64 {
        self.generations.get().map_or(self.first_generation, |all| all[place(id)].load(Ordering::Acquire))
    }

    /// Whether a change of the key is under way: what is read of it now may be outdated without notice.
    pub(crate) fn is_changing(&self, id: &KeyId) -> bool {
        self.changing.contains(id)
    }

    /// Lets nobody use the key any more as it was, nor what it unwrapped or wrapped before.
    pub(super) fn supersede(&self, id: &KeyId) {
        let make = || Box::new(std::array::from_fn(|_| AtomicU64::new(self.first_generation)));
        self.generations.get_or_init(make)[place(id)].fetch_add(1, Ordering::Release);
        self.forget(id);
    }

    /// The record of a key of this store.
    pub(crate) async fn stored(&self, id: &KeyId) -> Result<Stored<KeyRecord>, Error> {
        let found: Option<Stored<KeyRecord>> = self.bounded(self.ledger.read(&id.to_string())).await?;
        found.filter(|key| key.record.store == self.store).ok_or_else(|| Error::key_not_found(*id))
    }

    async fn unseal(&self, record: KeyRecord) -> Result<ReadyKey, Error> {
        let arn = record.id.arn(self.ledger.identity());
        let corrupt = || CatalogError::at(CatalogErrorKind::Corrupt, Table::Keys, record.id.to_string());
        let (backing_key, protection) = match &record.backing {
            Backing::External { key, material } => {
                let wrapping = self.wrapping_key(&record.id).await?;
                let bytes = unseal(&wrapping, MATERIAL, &material.sealed).map_err(|_| corrupt())?;
                let root = RootKey::new(bytes.expose().try_into().map_err(|_| corrupt())?);
                let id = material.id.as_slice().try_into().map_err(|_| corrupt())?;
                (key.clone(), Protection::Double(Box::new(Material::new(record.id, id, root))))
            }
            Backing::CloudHsm { key, material_id } => {
                let id = material_id.as_slice().try_into().map_err(|_| corrupt())?;
                (key.clone(), Protection::Direct(id))
            }
        };
        Ok(ReadyKey { arn, backing_key, protection })
    }

    async fn wrapping_key(&self, id: &KeyId) -> Result<RootKey, Error> {
        let row = id.to_string();
        let found: Option<Stored<WrappingKeyRecord>> = self.bounded(self.ledger.read(&row)).await?;
        let corrupt = || CatalogError::at(CatalogErrorKind::Corrupt, Table::WrappingKeys, row.clone());
        let sealed = found.ok_or_else(corrupt)?.record.sealed;
        let bytes = self.ledger.unseal(Table::WrappingKeys, &row, &sealed)?;
        let bytes: &[u8; KEY_LEN] = bytes.expose().try_into().map_err(|_| corrupt())?;
        Ok(RootKey::new(bytes))
    }

    /// What a commit demands that adds something to the store: that nobody deleted it meanwhile.
    pub(super) fn store_is_there(&self) -> Option<Edit> {
        self.is_kept.then(|| Edit::Require { table: Table::Stores, id: self.store.to_string() })
    }

    /// Commits what adds something to the store. `NotFound` when that was deleted.
    pub(super) async fn add(&self, edits: Vec<Edit>) -> Result<(), CatalogError> {
        // First, so that it says so before anything else that is gone with the store.
        let edits = self.store_is_there().into_iter().chain(edits).collect();
        self.timing().bounded(self.ledger.commit(edits)).await.map_err(store_gone)
    }

    /// Commits a change of a key after which nobody must use it as it was.
    pub(super) async fn commit_change(&self, id: KeyId, edits: Vec<Edit>) -> Result<(), Error> {
        let change = Change::begin(self, id);
        let committed = self.timing().bounded(self.ledger.commit(edits)).await;
        match &committed {
            // It is unknown whether it took place.
            Err(error) if error.kind() == CatalogErrorKind::Unavailable => drop(change),
            _ => change.done(),
        }
        committed.map_err(|error| conflict(error, id))
    }

    /// New material for a key, and the row that protects it.
    pub(super) fn new_material(&self, id: KeyId) -> Result<(SealedMaterial, Edit), Error> {
        let material = RootKey::generate();
        let wrapping = RootKey::generate();
        let material_id: MaterialId = random();
        let sealed = seal(&wrapping, MATERIAL, material.expose());
        let row = WrappingKeyRecord {
            key: id,
            sealed: self.ledger.seal(Table::WrappingKeys, &id.to_string(), wrapping.expose()),
        };
        let edit = self.ledger.insert(&row)?;
        Ok((SealedMaterial { id: material_id.to_vec(), sealed }, edit))
    }

    /// What takes the wrapping key of a key away, if it has one.
    pub(super) async fn without_wrapping_key(&self, id: &KeyId) -> Result<Option<Edit>, Error> {
        let found: Option<Stored<WrappingKeyRecord>> =
            self.bounded(self.ledger.read(&id.to_string())).await?;
        Ok(found.map(|row| Ledger::delete(&row)))
    }

    pub(super) const fn changing(&self) -> &Changing {
        &self.changing
    }

    /// The cluster that keys say they are in.
    pub(crate) fn set_cluster(&self, cluster: Option<CloudHsmClusterId>) {
        self.cluster.store(cluster.map(Arc::new));
    }

    pub(super) fn describe(&self, record: &KeyRecord, connected: bool) -> KeyMetadata {
        KeyMetadata::new(record, self.ledger.identity(), self.cluster.load().as_deref(), connected)
    }

    pub(super) fn orphan(&self, key: KeyId, backing_key: Option<BackingKeyId>) -> OrphanRecord {
        OrphanRecord { store: self.store.clone(), key, backing_key, since: self.now() }
    }

    pub(super) fn timing(&self) -> Arc<Timing> {
        self.timing.load_full()
    }

    /// What the catalogue answers, within the limit.
    pub(super) async fn bounded<T>(
        &self,
        work: impl Future<Output = Result<T, CatalogError>> + Send,
    ) -> Result<T, Error> {
        Ok(self.timing().bounded(work).await?)
    }

    pub(super) fn now(&self) -> i64 {
        epoch::millis(self.timing().clock.wall())
    }
}

/// Which generation is that of a key.
fn place(id: &KeyId) -> usize {
    usize::from(id.as_bytes()[0])
}

/// Tells that the store is gone from other conflicts, which a look at what is there now may solve.
pub(super) fn store_gone(error: CatalogError) -> CatalogError {
    match error.place() {
        Some((Table::Stores, id)) if error.kind() == CatalogErrorKind::Conflict => {
            CatalogError::at(CatalogErrorKind::NotFound, Table::Stores, id)
        }
        _ => error,
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyring")
            .field("store", &self.store)
            .field("ledger", &self.ledger)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for ReadyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadyKey").field("arn", &self.arn).finish_non_exhaustive()
    }
}
