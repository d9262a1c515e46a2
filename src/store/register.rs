//! What the catalogue knows of a store.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::FutureExt as _;
use serde::{Deserialize, Serialize};

use self::vault::VaultRecord;
use super::core::Core;
use super::joint::Joint;
use crate::backend::{
    ConnectionError, ConnectionErrorCode, KeyStorePassword, StoreConfiguration, StoreName, Telling, TellingId,
};
use crate::catalog::{
    CatalogError, CatalogErrorKind, Claim, Edit, Ledger, Record, Stored, Table, base64_text,
};
use crate::epoch;
use crate::key::{OrphanRecord, Timing};
use crate::secret::SecretBytes;
use crate::store_id::StoreId;

mod vault;

pub(super) use self::vault::LedgerVault;

/// How often something is tried again when something of the store was changed meanwhile: each time somebody else has got
/// ahead, of whom there are few.
const TRIES: usize = 16;
/// How many orphans are taken off the list in one commit.
const ORPHANS: usize = 100;

/// A store, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoreRecord {
    pub(crate) id: StoreId,
    pub(crate) name: StoreName,
    /// Milliseconds since the Unix epoch.
    pub(crate) created: i64,
    pub(crate) configuration: StoreConfiguration,
    /// Where the store is to be found after a restart.
    pub(crate) state: Kept,
    /// What its backend is made of beside the configuration and must not be seen, sealed for this row.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "base64_text::optional")]
    pub(crate) secret: Option<Vec<u8>>,
    /// The password that an update has told the store last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) told: Option<ToldRecord>,
}

/// One time that a store was told a password.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ToldRecord {
    telling: TellingId,
    /// Sealed for the row of the store.
    #[serde(with = "base64_text")]
    password: Vec<u8>,
}

impl ToldRecord {
    pub(super) fn new(ledger: &Ledger, store: &StoreId, telling: &Telling) -> Self {
        let password = SecretBytes::from(telling.password().expose());
        Self { telling: telling.id().clone(), password: seal_secret(ledger, store, &password) }
    }
}

impl StoreRecord {
    /// The secret that the store was told, such as a credential or a password; bytes that say nothing to the store.
    pub(crate) fn unsealed_secret(&self, ledger: &Ledger) -> Result<Option<SecretBytes>, CatalogError> {
        let unseal = |sealed: &Vec<u8>| ledger.unseal(Table::Stores, self.id.as_str(), sealed);
        self.secret.as_ref().map(unseal).transpose()
    }

    /// When the store was told a password last, and which.
    fn unsealed_telling(&self, ledger: &Ledger) -> Result<Option<Telling>, CatalogError> {
        let Some(ToldRecord { telling, password }) = &self.told else { return Ok(None) };
        let unsealed = ledger.unseal(Table::Stores, self.id.as_str(), password)?;
        let password =
            std::str::from_utf8(unsealed.expose()).ok().and_then(|text| KeyStorePassword::new(text).ok());
        let corrupt = || CatalogError::at(CatalogErrorKind::Corrupt, Table::Stores, self.id.as_str());
        Ok(Some(Telling::new(telling.clone(), password.ok_or_else(corrupt)?)))
    }
}

/// The id of the store of this name.
pub(crate) async fn store_named(ledger: &Ledger, name: &StoreName) -> Result<Option<StoreId>, CatalogError> {
    let found: Option<Stored<StoreRecord>> = ledger.find(name.as_str()).await?;
    Ok(found.map(|store| store.record.id))
}

/// The secret of a store, as its record has it.
pub(super) fn seal_secret(ledger: &Ledger, id: &StoreId, secret: &SecretBytes) -> Vec<u8> {
    ledger.seal(Table::Stores, id.as_str(), secret.expose())
}

/// A connection state, as it is kept: what a restart makes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Kept {
    /// Never connected, or disconnected on purpose; also while the disconnect is under way.
    Disconnected,
    /// To be connected; also while the attempt is under way.
    Connected,
    /// The last attempt failed.
    Failed(ConnectionErrorCode),
}

impl Record for StoreRecord {
    const TABLE: Table = Table::Stores;

    fn id(&self) -> String {
        self.id.to_string()
    }

    fn unique(&self) -> Option<String> {
        Some(self.name.to_string())
    }
}

/// A move of a store that is to be written down.
#[derive(Debug, Clone, Copy)]
pub(super) struct Move(u64);

/// Resolves when a move of the store is durable, to what the catalogue answered if it is not. To nothing too when the store
/// has moved on before it was written down. Whoever polls it drives it; dropped by all, it is not written down.
pub(crate) type Recording = Joint<Option<CatalogError>>;

/// Writes down what becomes of a store. One that is ephemeral has none.
pub(super) struct Register {
    ledger: Ledger,
    timing: Timing,
    /// As it was last seen. A write that was cancelled leaves it behind, which the next one finds out.
    latest: Mutex<Stored<StoreRecord>>,
    /// How many moves of the store were to be written down.
    moves: AtomicU64,
    /// Held as long as the store is, so that nobody opens it twice.
    _claim: Claim,
}

impl Register {
    /// Writes down a new store.
    pub(super) async fn create(
        ledger: &Ledger,
        core: &Core,
        secret: Option<&SecretBytes>,
    ) -> Result<Self, CatalogError> {
        let claim = ledger.claim(&core.id)?;
        let record = StoreRecord {
            id: core.id.clone(),
            name: core.name.clone(),
            created: epoch::millis(core.created),
            configuration: core.configuration.clone(),
            state: Kept::Disconnected,
            secret: secret.map(|secret| seal_secret(ledger, &core.id, secret)),
            told: None,
        };
        let timing = Timing { clock: Arc::clone(&core.clock), limit: core.limits.call_timeout };
        timing.bounded(ledger.commit(vec![ledger.insert(&record)?])).await?;
        Ok(Self::new(ledger, Stored { record, version: 1 }, claim, timing))
    }

    /// Finds a store that was created before.
    pub(super) async fn open(ledger: &Ledger, id: &StoreId, timing: Timing) -> Result<Self, CatalogError> {
        let claim = ledger.claim(id)?;
        let found = timing.bounded(ledger.read(id.as_str())).await?;
        let not_found = || CatalogError::at(CatalogErrorKind::NotFound, Table::Stores, id.as_str());
        Ok(Self::new(ledger, found.ok_or_else(not_found)?, claim, timing))
    }

    /// Takes a store whose record was read already.
    pub(super) fn listed(
        ledger: &Ledger,
        latest: Stored<StoreRecord>,
        timing: Timing,
    ) -> Result<Self, CatalogError> {
        let claim = ledger.claim(&latest.record.id)?;
        Ok(Self::new(ledger, latest, claim, timing))
    }

    fn new(ledger: &Ledger, latest: Stored<StoreRecord>, claim: Claim, timing: Timing) -> Self {
        Self {
            ledger: ledger.clone(),
            timing,
            latest: Mutex::new(latest),
            moves: AtomicU64::new(0),
            _claim: claim,
        }
    }

    pub(super) fn latest(&self) -> Stored<StoreRecord> {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// When the store was told a password last, and which, as far as is known here.
    pub(super) fn telling(&self) -> Result<Option<Telling>, CatalogError> {
        self.latest().record.unsealed_telling(&self.ledger)
    }

    /// Finds out what the record has by now: a write that was cut off before has taken place, or never will.
    pub(super) async fn catch_up(&self) -> Result<(), CatalogError> {
        self.write(|_| true).await
    }

    /// A move of the store, which is to be [written down](Self::keep). What was not written down of one before it never
    /// will be.
    pub(super) fn next_move(&self) -> Move {
        Move(self.moves.fetch_add(1, Ordering::SeqCst) + 1)
    }

    /// The move that the store made last, to be written down once more: as a move of its own it would take the place of one
    /// that is being written down, for which somebody waits.
    pub(super) fn latest_move(&self) -> Move {
        Move(self.moves.load(Ordering::SeqCst))
    }

    /// Writes down where a move leads, unless the store has moved on.
    pub(super) async fn keep(&self, of: Move, state: Kept) -> Result<(), CatalogError> {
        self.write(|record| {
            // Looked at after the record, whose version whoever moved on has to replace too: either we see him, or he
            // sees us.
            let is_latest = self.moves.load(Ordering::SeqCst) == of.0;
            if is_latest {
                record.state = state;
            }
            is_latest
        })
        .await
    }

    /// [Keeps](Self::keep), for all who want to know when it is durable.
    pub(super) fn recording(self: &Arc<Self>, of: Move, state: Kept) -> Recording {
        let register = Arc::clone(self);
        Joint::new(async move { register.keep(of, state).await.err() }.boxed(), || {
            let panicked = std::io::Error::other("it panicked");
            Some(CatalogError::caused_by(CatalogErrorKind::Unavailable, panicked))
        })
    }

    /// Changes the record, unless `change` finds that there is nothing to be changed. Returns when it is durable.
    ///
    /// Several may write at once, and none waits for another to be polled: each makes its change on top of what it finds.
    pub(super) async fn write(
        &self,
        change: impl Fn(&mut StoreRecord) -> bool + Send + Sync,
    ) -> Result<(), CatalogError> {
        for _ in 1..TRIES {
            match self.try_write(&change).await {
                // Somebody else of this process wrote, or a write of ours that was cut off took place after all.
                Err(error) if error.kind() == CatalogErrorKind::Conflict => drop(self.look_again().await?),
                other => return other,
            }
        }
        self.try_write(&change).await
    }

    async fn try_write(
        &self,
        change: &(impl Fn(&mut StoreRecord) -> bool + Send + Sync),
    ) -> Result<(), CatalogError> {
        let Stored { mut record, version } = self.latest();
        if !change(&mut record) {
            return Ok(());
        }
        match self.put(record, version).await {
            // It may have taken place, and others on top of it. The version alone would not tell: one before it that was
            // cut off may have taken place too. Nor would the record alone: one before it may be about to.
            Err(error) if error.kind() == CatalogErrorKind::Unavailable => {
                let found = self.look_again().await.map_err(|_| error.clone())?;
                let mut changed = found.record.clone();
                let is_wanted = change(&mut changed);
                let took_place = found.version > version && changed == found.record;
                if took_place || !is_wanted { Ok(()) } else { Err(error) }
            }
            other => other,
        }
    }

    /// Takes the store away, what its backend kept, and the list of its orphans. [Refused](has_keys) when it has keys.
    pub(super) async fn delete(&self) -> Result<(), CatalogError> {
        for _ in 1..TRIES {
            match self.try_delete().await {
                // A handle changed its orphans, or a write that was cut off, ours or the backend's, took place after all.
                Err(error) if error.kind() == CatalogErrorKind::Conflict && !has_keys(&error) => {}
                other => return other,
            }
        }
        self.try_delete().await
    }

    async fn try_delete(&self) -> Result<(), CatalogError> {
        let id = self.latest().record.id.to_string();
        let none = |table| Edit::RequireNone { table, owner: id.clone() };
        loop {
            // A key may be on its way here, of a creation that nobody waits for any more: what counts is that there is
            // none when the commit takes place. In every commit, so that a store that has keys keeps its list. Orphans
            // and what the backend keeps may be on their way too.
            let mut edits = vec![none(Table::Keys)];
            let list = self.ledger.list(Some(&id), None, ORPHANS);
            let orphans: Vec<Stored<OrphanRecord>> = self.timing.bounded(list).await?;
            edits.extend(orphans.iter().map(Ledger::delete));
            let is_last = orphans.len() < ORPHANS;
            if is_last {
                edits.push(none(Table::Orphans));
                edits.push(Ledger::delete(&self.look_again().await?));
                let vault: Option<Stored<VaultRecord>> = self.timing.bounded(self.ledger.read(&id)).await?;
                edits.extend(vault.iter().map(Ledger::delete));
                edits.push(none(Table::Vaults));
            }
            self.timing.bounded(self.ledger.commit(edits)).await?;
            if is_last {
                return Ok(());
            }
        }
    }

    async fn put(&self, record: StoreRecord, version: u64) -> Result<(), CatalogError> {
        let edit = self.ledger.replace(version, &record)?;
        self.timing.bounded(self.ledger.commit(vec![edit])).await?;
        self.remember(Stored { record, version: version + 1 });
        Ok(())
    }

    async fn look_again(&self) -> Result<Stored<StoreRecord>, CatalogError> {
        let id = self.latest().record.id;
        let found = self.timing.bounded(self.ledger.read(id.as_str())).await?;
        let not_found = || CatalogError::at(CatalogErrorKind::NotFound, Table::Stores, id.as_str());
        let found: Stored<StoreRecord> = found.ok_or_else(not_found)?;
        self.remember(found.clone());
        Ok(found)
    }

    /// What is seen of a record by several comes in any order.
    fn remember(&self, stored: Stored<StoreRecord>) {
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        if stored.version > latest.version {
            *latest = stored;
        }
    }
}

impl fmt::Debug for Register {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Register").field("ledger", &self.ledger).finish_non_exhaustive()
    }
}

/// Whether a deletion was refused since the store has keys.
pub(crate) fn has_keys(error: &CatalogError) -> bool {
    error.kind() == CatalogErrorKind::Conflict && error.place().is_some_and(|(table, _)| table == Table::Keys)
}

/// Writes down that an attempt failed. One that succeeded was written down before it began.
pub(super) async fn keep_failure<T>(
    register: &Register,
    of: Move,
    outcome: Result<T, ConnectionError>,
) -> Result<T, ConnectionError> {
    if let Err(error) = &outcome {
        // Should this fail, a restart tries again; and what the key manager said is worth more.
        let _ = register.keep(of, Kept::Failed(error.code())).await;
    }
    outcome
}

/// An attempt cannot be written down, and does not take place: after a restart nobody would know of it.
pub(super) fn unrecorded(error: CatalogError) -> ConnectionError {
    ConnectionError::new(ConnectionErrorCode::InternalError)
        // Which it is should not take a look at the source.
        .with_detail(format!("the attempt could not be written down, since {error}"))
        .with_source(error)
}
