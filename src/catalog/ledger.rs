//! A catalogue that is open: its rows authenticated, its secrets sealed.

use std::any::Any;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::contract::Catalog;
use super::edit::Edit;
use super::error::{CatalogError, CatalogErrorKind};
use super::mac::MacKey;
use super::memory::MemoryCatalog;
use super::root::Root;
use super::row::{Row, Table};
use crate::crypto::{RootKey, Sealer, Unsealable, seal, unseal};
use crate::identity::Identity;
use crate::secret::SecretBytes;
use crate::store_id::StoreId;

/// A catalogue that is open, with the key that protects it.
///
/// Every [`Row`] carries a code over all its columns, and every secret is sealed, under keys derived from one root key.
/// The root key is made with the catalogue and lies in it, sealed by the application's [`Sealer`], which is asked once
/// when the catalogue is opened. So a row that somebody else wrote, altered or moved is refused as
/// [`Altered`](CatalogErrorKind::Altered). What is not seen is that somebody put a row, or all of them, back to what it
/// was at an earlier time, or took one away: whoever can write to the catalogue can enable a key again that was
/// disabled, but neither read nor forge one.
///
/// A catalogue belongs to one ledger: do not open it twice by way of an `Arc`.
///
/// Cheap to clone; clones are the same ledger.
///
/// ```
/// use custom_key_store::backend::AccountId;
/// use custom_key_store::catalog::{Ledger, MemoryCatalog};
/// use custom_key_store::{Identity, Partition, Region, SealingKey};
///
/// # futures::executor::block_on(async {
/// let identity = Identity::new(
///     Partition::new("aws")?,
///     Region::new("eu-central-1")?,
///     AccountId::new("111122223333")?,
/// );
/// let sealer = SealingKey::generate(); // for a real one: SealingKey::from_file
/// let ledger = Ledger::create(MemoryCatalog::new(), &sealer, identity).await?;
/// assert_eq!(ledger.identity().region.as_str(), "eu-central-1");
/// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
/// ```
#[derive(Clone)]
pub struct Ledger(Arc<Inner>);

struct Inner {
    catalog: Box<dyn Catalog>,
    identity: Identity,
    keys: Keys,
    /// The stores that somebody has.
    claimed: Mutex<HashSet<StoreId>>,
    /// What all who have to do with a store share, be they left over from before it was opened again.
    shared: Mutex<SharedByStore>,
    /// Whether somebody has the audit log.
    audited: AtomicBool,
}

#[derive(Default)]
struct SharedByStore {
    left: HashMap<StoreId, Weak<dyn Any + Send + Sync>>,
    /// At how many entries those that nobody has any more are looked for: twice as many as were found to be in use, so
    /// that an entry costs the same however many there are.
    sweep_at: usize,
}

/// What the root key is good for.
pub(super) struct Keys {
    pub(super) root: RootKey,
    mac: MacKey,
    sealing: RootKey,
}

impl Keys {
    pub(super) fn new(root: RootKey) -> Self {
        let mac = MacKey::new(&root);
        let sealing = RootKey::new(&root.derive("custom-key-store catalog sealing v1", &[]));
        Self { root, mac, sealing }
    }
}

/// A thing that a row is about.
pub(crate) trait Record: Serialize + DeserializeOwned {
    const TABLE: Table;
    fn id(&self) -> String;
    fn owner(&self) -> Option<String> {
        None
    }
    fn unique(&self) -> Option<String> {
        None
    }
    fn due(&self) -> Option<i64> {
        None
    }
}

/// A record as it is in the catalogue, with the version that a change of it must name.
#[derive(Debug, Clone)]
pub(crate) struct Stored<R> {
    pub(crate) record: R,
    pub(crate) version: u64,
}

impl Ledger {
    /// Makes a catalogue of an empty one, with a new root key that `sealer` seals.
    ///
    /// # Errors
    ///
    /// [`AlreadyExists`](CatalogErrorKind::AlreadyExists) when it is one already, or there is anything else in it,
    /// [`Sealer`](CatalogErrorKind::Sealer) when the sealer fails, and what the catalogue answers.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it resolves, the catalogue is as it was, or made.
    pub async fn create(
        catalog: impl Catalog,
        sealer: &dyn Sealer,
        identity: Identity,
    ) -> Result<Self, CatalogError> {
        // Rows of another root key would all be altered ones.
        if catalog.snapshot().await?.next().await?.is_some() {
            return Err(CatalogError::new(CatalogErrorKind::AlreadyExists));
        }
        let keys = Keys::new(RootKey::generate());
        let root = Root::seal(&keys.root, sealer, identity).await?;
        let edit = Edit::Insert(root.row(&keys, 1)?);
        catalog.commit(vec![edit]).await?;
        Ok(Self::assemble(Box::new(catalog), root.identity, keys))
    }

    /// Opens a catalogue that [`create`](Self::create) made.
    ///
    /// # Errors
    ///
    /// The catalogue is dropped, and owned no more a moment later. [`NotFound`](CatalogErrorKind::NotFound) when nobody
    /// made one, [`Sealer`](CatalogErrorKind::Sealer) when the sealer is not the one it is sealed by, or fails;
    /// [`Altered`](CatalogErrorKind::Altered), and what the catalogue answers.
    ///
    /// # Cancel safety
    ///
    /// May be dropped at will; a catalogue given by value is then dropped too.
    pub async fn open(catalog: impl Catalog, sealer: &dyn Sealer) -> Result<Self, CatalogError> {
        let Some(row) = Root::read(&catalog).await? else {
            return Err(CatalogError::new(CatalogErrorKind::NotFound));
        };
        let root = Root::from_row(&row)?;
        let keys = Keys::new(root.unseal(sealer).await?);
        keys.check(&row)?;
        Ok(Self::assemble(Box::new(catalog), root.identity, keys))
    }

    /// [Opens](Self::open) the catalogue, or [makes](Self::create) one if it is empty: what a program does at each start. Makes
    /// up for a start that ended after the catalogue's own creation and before that of the ledger.
    ///
    /// `identity` is that of a new one; one that is there has [its own](Self::identity).
    ///
    /// # Errors
    ///
    /// Those of [`open`](Self::open) but [`NotFound`](CatalogErrorKind::NotFound), and those of [`create`](Self::create),
    /// where [`AlreadyExists`](CatalogErrorKind::AlreadyExists) says that there are rows that belong to no ledger, such as
    /// those of a [`restore`](Self::restore) that was cut off.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it resolves, the catalogue is as it was, or made.
    pub async fn open_or_create(
        catalog: impl Catalog,
        sealer: &dyn Sealer,
        identity: Identity,
    ) -> Result<Self, CatalogError> {
        match Root::read(&catalog).await? {
            Some(_) => Self::open(catalog, sealer).await,
            None => Self::create(catalog, sealer, identity).await,
        }
    }

    /// A ledger in memory, under a key that nobody has: all of it dies with the process.
    ///
    /// <div class="warning">
    ///
    /// What was encrypted under a key of an external key store, whose keeper is half of this ledger, can then never be
    /// decrypted again.
    ///
    /// </div>
    #[must_use]
    pub fn ephemeral(identity: Identity) -> Self {
        Self::assemble(Box::new(MemoryCatalog::new()), identity, Keys::new(RootKey::generate()))
    }

    pub(super) fn assemble(catalog: Box<dyn Catalog>, identity: Identity, keys: Keys) -> Self {
        Self(Arc::new(Inner {
            catalog,
            identity,
            keys,
            claimed: Mutex::default(),
            shared: Mutex::default(),
            audited: AtomicBool::new(false),
        }))
    }

    pub(super) fn catalog(&self) -> &dyn Catalog {
        &*self.0.catalog
    }

    pub(super) fn keys(&self) -> &Keys {
        &self.0.keys
    }

    pub(super) async fn root_row(&self) -> Result<Row, CatalogError> {
        let row = Root::read(self.catalog()).await?;
        let row = row.ok_or_else(|| CatalogError::new(CatalogErrorKind::NotFound))?;
        self.keys().check(&row)?;
        Ok(row)
    }

    /// Whose keys are kept here.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.0.identity
    }

    /// Has another sealer protect the root key. From then on the old one is of no use for this catalogue; for copies of
    /// it that were made before, it still is.
    ///
    /// # Errors
    ///
    /// [`Sealer`](CatalogErrorKind::Sealer), and what the catalogue answers. The old sealer's protection stays then.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it resolves, one of the two sealers protects the key.
    pub async fn reseal(&self, sealer: &dyn Sealer) -> Result<(), CatalogError> {
        let old = self.root_row().await?;
        let mut root = Root::seal(&self.0.keys.root, sealer, self.0.identity.clone()).await?;
        root.is_audited = Root::from_row(&old)?.is_audited;
        let edit = Edit::Replace(root.row(&self.0.keys, old.version + 1)?);
        self.0.catalog.commit(vec![edit]).await
    }

    /// Reads everything and checks its codes.
    ///
    /// # Errors
    ///
    /// What the catalogue answers. What is wrong with a row is in the report.
    ///
    /// # Cancel safety
    ///
    /// May be dropped at will.
    pub async fn verify(&self) -> Result<Verification, CatalogError> {
        let mut snapshot = self.0.catalog.snapshot().await?;
        let mut found = Verification { rows: 0, altered: Vec::new() };
        while let Some(rows) = snapshot.next().await? {
            for row in rows {
                found.rows += 1;
                if self.0.keys.check(&row).is_err() {
                    found.altered.push((row.table, row.id));
                }
            }
        }
        Ok(found)
    }

    /// Gives the catalogue up, so that another may open it. Disconnect every store on it before: one that is connected
    /// can then use no key that is not ready, and its disconnect cannot be written down.
    ///
    /// # Errors
    ///
    /// What the catalogue answers; it counts as closed all the same.
    pub async fn close(&self) -> Result<(), CatalogError> {
        self.0.catalog.close().await
    }

    /// Whether what is kept outlives this process.
    pub(crate) fn is_durable(&self) -> bool {
        self.0.catalog.is_durable()
    }

    /// Takes a store, which nobody else must have meanwhile.
    pub(crate) fn claim(&self, id: &StoreId) -> Result<Claim, CatalogError> {
        let mut claimed = self.0.claimed.lock().unwrap_or_else(PoisonError::into_inner);
        if claimed.insert(id.clone()) {
            Ok(Claim { ledger: self.clone(), id: id.clone() })
        } else {
            Err(CatalogError::at(CatalogErrorKind::InUse, Table::Stores, id.as_str()))
        }
    }

    /// What all who have to do with a store share: what `make` gives, unless somebody has it still.
    pub(crate) fn share<T: Any + Send + Sync>(&self, id: &StoreId, make: impl FnOnce() -> T) -> Arc<T> {
        let mut shared = self.0.shared.lock().unwrap_or_else(PoisonError::into_inner);
        let found = shared.left.get(id).and_then(Weak::upgrade).and_then(|found| found.downcast().ok());
        found.unwrap_or_else(|| {
            let made = Arc::new(make());
            if shared.left.len() >= shared.sweep_at {
                shared.left.retain(|_, left| left.strong_count() > 0);
                shared.sweep_at = 2 * shared.left.len() + 16;
            }
            let weak: Weak<T> = Arc::downgrade(&made);
            shared.left.insert(id.clone(), weak);
            made
        })
    }

    pub(crate) async fn read<R: Record>(&self, id: &str) -> Result<Option<Stored<R>>, CatalogError> {
        let row = self.0.catalog.read(R::TABLE, id).await?;
        row.map(|row| self.decode(row, |row| row.id == id)).transpose()
    }

    pub(crate) async fn find<R: Record>(&self, unique: &str) -> Result<Option<Stored<R>>, CatalogError> {
        let row = self.0.catalog.find(R::TABLE, unique).await?;
        row.map(|row| self.decode(row, |row| row.unique.as_deref() == Some(unique))).transpose()
    }

    pub(crate) async fn list<R: Record>(
        &self,
        owner: Option<&str>,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Stored<R>>, CatalogError> {
        let rows = self.0.catalog.list(R::TABLE, owner, after, limit).await?;
        let mut before = after.unwrap_or_default().to_owned();
        let mut asked_for = |row: &Row| {
            let is_next = row.id > before;
            before.clone_from(&row.id);
            is_next && belongs(row, owner)
        };
        rows.into_iter().map(|row| self.decode(row, &mut asked_for)).collect()
    }

    pub(crate) async fn due<R: Record>(
        &self,
        owner: Option<&str>,
        until: i64,
        limit: usize,
    ) -> Result<Vec<Stored<R>>, CatalogError> {
        let rows = self.0.catalog.due(R::TABLE, owner, until, limit).await?;
        let asked_for = |row: &Row| row.due.is_some_and(|due| due <= until) && belongs(row, owner);
        rows.into_iter().map(|row| self.decode(row, asked_for)).collect()
    }

    pub(crate) fn insert<R: Record>(&self, record: &R) -> Result<Edit, CatalogError> {
        Ok(Edit::Insert(self.encode(record, 1)?))
    }

    /// Puts `record` in the place of the one that was read as `version`.
    pub(crate) fn replace<R: Record>(&self, version: u64, record: &R) -> Result<Edit, CatalogError> {
        Ok(Edit::Replace(self.encode(record, version + 1)?))
    }

    pub(crate) fn delete<R: Record>(stored: &Stored<R>) -> Edit {
        Edit::Delete { table: R::TABLE, id: stored.record.id(), version: stored.version }
    }

    pub(crate) async fn commit(&self, edits: Vec<Edit>) -> Result<(), CatalogError> {
        self.0.catalog.commit(edits).await
    }

    /// Seals a secret of the row `id`, for that place alone.
    pub(crate) fn seal(&self, table: Table, id: &str, secret: &[u8]) -> Vec<u8> {
        seal(&self.0.keys.sealing, &purpose(table, id), secret)
    }

    pub(crate) fn unseal(&self, table: Table, id: &str, sealed: &[u8]) -> Result<SecretBytes, CatalogError> {
        unseal(&self.0.keys.sealing, &purpose(table, id), sealed)
            // The row's code was right: whatever is wrong here is a fault of ours.
            .map_err(|_: Unsealable| CatalogError::at(CatalogErrorKind::Corrupt, table, id))
    }

    fn encode<R: Record>(&self, record: &R, version: u64) -> Result<Row, CatalogError> {
        self.0.keys.row(record, version)
    }

    /// The record, if the row is one of ours and what was asked for: codes alone do not say which row was.
    fn decode<R: Record>(
        &self,
        row: Row,
        asked_for: impl FnOnce(&Row) -> bool,
    ) -> Result<Stored<R>, CatalogError> {
        self.0.keys.check(&row)?;
        if row.table != R::TABLE || !asked_for(&row) {
            return Err(CatalogError::at(CatalogErrorKind::Altered, row.table, row.id));
        }
        let record = serde_json::from_slice(&row.body)
            .map_err(|_| CatalogError::at(CatalogErrorKind::Corrupt, row.table, row.id))?;
        Ok(Stored { record, version: row.version })
    }
}

fn belongs(row: &Row, owner: Option<&str>) -> bool {
    owner.is_none_or(|owner| row.owner.as_deref() == Some(owner))
}

/// A store is somebody's, until this is dropped.
pub(crate) struct Claim {
    ledger: Ledger,
    id: StoreId,
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.ledger.0.claimed.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.id);
    }
}

impl Keys {
    /// Refuses a row that is none of ours, or not as we wrote it.
    pub(super) fn check(&self, row: &Row) -> Result<(), CatalogError> {
        self.mac.check(row)
    }

    pub(super) fn row<R: Record>(&self, record: &R, version: u64) -> Result<Row, CatalogError> {
        let mut row = Row::new(R::TABLE, record.id());
        row.version = version;
        row.owner = record.owner();
        row.unique = record.unique();
        row.due = record.due();
        row.body = serde_json::to_vec(record)
            .map_err(|error| CatalogError::caused_by(CatalogErrorKind::InvalidRow, error))?;
        self.mac.sign(&mut row);
        Ok(row)
    }
}

fn purpose(table: Table, id: &str) -> Vec<u8> {
    // No name of a table has a slash.
    format!("custom-key-store catalog: {table}/{id}").into_bytes()
}

/// What [`Ledger::verify`] found.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Verification {
    /// How many rows there are.
    pub rows: u64,
    /// The rows that somebody else wrote, altered or moved, by table and id.
    pub altered: Vec<(Table, String)>,
}

impl fmt::Debug for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ledger")
            .field("catalog", &self.0.catalog)
            .field("identity", &self.0.identity)
            .finish_non_exhaustive()
    }
}

mod audited;
pub(crate) use audited::AuditClaim;

#[cfg(test)]
mod tests;
