//! Making a store with other settings than the usual ones.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::KeyStore;
use super::any::AnyKeyStore;
use super::core::{Core, Limits, to_the_millisecond};
use super::disconnected::Disconnected;
use super::patience::Patience;
use super::register::{LedgerVault, Register, StoreRecord};
use crate::backend::{Backend, ConnectReason, ConnectionError, StoreName, Vault};
use crate::catalog::{CatalogError, CatalogErrorKind, Ledger, Stored, Table};
use crate::clock::{Clock, SystemClock};
use crate::epoch;
use crate::key::{Keyring, Timing};
use crate::secret::SecretBytes;
use crate::store_id::StoreId;

/// Making a store.
impl KeyStore<Disconnected> {
    /// A store in memory alone, with this key manager behind it and the usual settings. Contacts nobody.
    ///
    /// For tests, trials and [`CloudHSM`](crate::backend::CustomKeyStoreType::AwsCloudhsm) keys that are managed elsewhere.
    ///
    /// <div class="warning">
    ///
    /// Its KMS keys die with the process, and with them all that was encrypted under one that refers to an external key:
    /// half of what protects it is this library's. Use [`create`](StoreBuilder::create) and a
    /// [`Ledger`] for anything that shall last.
    ///
    /// </div>
    pub fn ephemeral(name: StoreName, backend: impl Backend) -> Self {
        Self::builder(backend).ephemeral(name)
    }

    /// A store with other settings than the usual ones, or one that lasts.
    pub fn builder(backend: impl Backend) -> StoreBuilder {
        StoreBuilder::new(Arc::new(backend))
    }
}

/// Settings of a store, and the ways to it. Every setting has a default; made by [`KeyStore::builder`].
///
/// ```
/// use custom_key_store::{KeyStore, StoreName, backend::software::KeyManager};
/// use std::time::Duration;
///
/// let store = KeyStore::builder(KeyManager::new())
///     .drain_limit(Duration::from_secs(30))
///     .ephemeral(StoreName::new("root")?);
/// # Ok::<(), custom_key_store::InvalidValue>(())
/// ```
#[derive(Debug)]
#[must_use]
pub struct StoreBuilder {
    backend: Arc<dyn Backend>,
    id: Option<StoreId>,
    vault: Option<Arc<dyn Vault>>,
    clock: Arc<dyn Clock>,
    principal: Option<Arc<str>>,
    limits: Limits,
    secret: Option<SecretBytes>,
    patience: Option<Patience>,
}

impl StoreBuilder {
    /// The usual settings, for a key manager that may be one of any kind.
    pub(crate) fn new(backend: Arc<dyn Backend>) -> Self {
        Self {
            backend,
            id: None,
            vault: None,
            clock: Arc::new(SystemClock),
            principal: None,
            limits: Limits::default(),
            secret: None,
            patience: None,
        }
    }

    /// The id of a store that is to be created, so that one whose creation was cut off can be looked for. Default: a new
    /// one.
    pub fn id(mut self, id: StoreId) -> Self {
        self.id = Some(id);
        self
    }

    /// Where a backend that changes its password keeps it. Default: where the store is kept, sealed.
    pub fn vault(mut self, vault: impl Vault) -> Self {
        self.vault = Some(Arc::new(vault));
        self
    }

    /// Where time comes from. Default: [`SystemClock`].
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Who the key manager is told to be calling, where a [`Handle`](crate::Handle) does not say otherwise.
    /// Default: `custom-key-store`.
    pub fn principal(mut self, principal: impl Into<Arc<str>>) -> Self {
        self.principal = Some(principal.into());
        self
    }

    /// How long an attempt to connect may take. Default: 60 seconds.
    pub const fn connect_timeout(mut self, limit: Duration) -> Self {
        self.limits.connect_timeout = limit;
        self
    }

    /// How long a call on a key may take, whatever the backend does. A net beneath the backend's own, tighter
    /// deadline. Default: 5 seconds.
    pub const fn call_timeout(mut self, limit: Duration) -> Self {
        self.limits.call_timeout = limit;
        self
    }

    /// How long a disconnect, or a live update, waits for the calls in flight. Default: 5 seconds.
    pub const fn drain_limit(mut self, limit: Duration) -> Self {
        self.limits.drain_limit = limit;
        self
    }

    /// How long the goodbye to a key manager may take. Default: 5 seconds.
    pub const fn close_timeout(mut self, limit: Duration) -> Self {
        self.limits.close_timeout = limit;
        self
    }

    /// What the backend of a store that is to be created is made of and must not be seen. It is kept sealed; the store
    /// makes nothing of it.
    pub(crate) fn secret(mut self, secret: SecretBytes) -> Self {
        self.secret = Some(secret);
        self
    }

    /// Has a store that was connected when its process ended be connected again and again, with pauses, until that
    /// succeeds or will not. It is `CONNECTING` all the while, and a disconnect ends it at once. Counts when it is
    /// [opened](Self::open_listed).
    pub(crate) fn patience(mut self, patience: Patience) -> Self {
        self.patience = Some(patience);
        self
    }

    /// [The clock](Self::clock), for who has one of any kind.
    pub(crate) fn clock_of(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// A store in memory alone; see [`KeyStore::ephemeral`], and its warning. Asks the backend once for its
    /// configuration, and panics if that does.
    pub fn ephemeral(self, name: StoreName) -> KeyStore<Disconnected> {
        let created = to_the_millisecond(self.clock.wall());
        let id = self.id.clone().unwrap_or_else(StoreId::generate);
        let ring = Keyring::ephemeral(&id, self.timing());
        let core = self.core(id, name, created, ring);
        KeyStore { core: Box::new(core), state: Disconnected::never_connected() }
    }

    /// Creates a store that lasts, if its configuration works: an external key store with a public endpoint is probed first,
    /// as KMS does when one is created; others are not: a cluster's password, and a VPC endpoint service, are first tried when
    /// the store connects. Asks the
    /// backend once for its configuration, and panics if that does.
    ///
    /// # Errors
    ///
    /// [`CreateError`]; there is no store then.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it resolves, the store may have been created; the name is then taken. [`open`](Self::open) finds it
    /// by the id that it was [given](Self::id), or by [`Ledger::stores`].
    pub async fn create(
        self,
        ledger: &Ledger,
        name: StoreName,
    ) -> Result<KeyStore<Disconnected>, CreateError> {
        let created = to_the_millisecond(self.clock.wall());
        let id = self.id.clone().unwrap_or_else(StoreId::generate);
        let secret = self.secret.clone();
        let mut core = self.kept(id, name, created, ledger);
        if core.configuration.is_probed_when_created() {
            core.contact(&core.backend).probe(ConnectReason::Create).await?;
        }
        match Register::create(ledger, &core, secret.as_ref()).await {
            Ok(register) => core.register = Some(Arc::new(register)),
            Err(error) if error.kind() == CatalogErrorKind::UniqueTaken => {
                return Err(CreateError::NameTaken(core.name));
            }
            Err(error) => return Err(error.into()),
        }
        Ok(KeyStore { core: Box::new(core), state: Disconnected::never_connected() })
    }

    /// Opens a store that was created before, in the state that it was left in: one that was connected, or was being
    /// connected, is being connected again, once somebody polls it; one that had failed has failed, and one that was
    /// disconnected is disconnected. A disconnect counts from when it is written down, which is the first that is done
    /// when it is awaited: one that was dropped before, or whose [report](crate::DisconnectReport::unrecorded) says that
    /// it was not written down, counts for nothing, and the store is being connected again. Asks the backend once for
    /// its configuration, and panics if that does.
    ///
    /// The backend is to be the one that the store was created or last updated with; what it says of itself counts.
    ///
    /// Whatever the state, [`into_connected`](AnyKeyStore::into_connected) ends with a connected store, or says why not.
    ///
    /// # Errors
    ///
    /// [`NotFound`](CatalogErrorKind::NotFound) when there is no such store, [`InUse`](CatalogErrorKind::InUse) when
    /// somebody has it, [`OtherType`](CatalogErrorKind::OtherType) when the backend is for the other type of store, and
    /// what the catalogue answers.
    ///
    /// # Cancel safety
    ///
    /// May be dropped at will.
    pub async fn open(self, ledger: &Ledger, id: &StoreId) -> Result<AnyKeyStore, CatalogError> {
        let register = Register::open(ledger, id, self.timing()).await?;
        self.opened(ledger, register)
    }

    /// [Opens](Self::open) a store whose record was read before, in a list say: nobody may have had the store since. Reads
    /// nothing.
    ///
    /// # Errors
    ///
    /// [`InUse`](CatalogErrorKind::InUse), and [`OtherType`](CatalogErrorKind::OtherType).
    pub(crate) fn open_listed(
        self,
        ledger: &Ledger,
        stored: Stored<StoreRecord>,
    ) -> Result<AnyKeyStore, CatalogError> {
        let register = Register::listed(ledger, stored, self.timing())?;
        self.opened(ledger, register)
    }

    fn opened(mut self, ledger: &Ledger, register: Register) -> Result<AnyKeyStore, CatalogError> {
        let patience = self.patience.take();
        let record = register.latest().record;
        let created = epoch::from_millis(record.created);
        let mut core = self.kept(record.id, record.name, created, ledger);
        if core.store_type() != record.configuration.store_type() {
            return Err(CatalogError::at(CatalogErrorKind::OtherType, Table::Stores, core.id.as_str()));
        }
        core.register = Some(Arc::new(register));
        Ok(AnyKeyStore::restarted(core, record.state, patience))
    }

    /// [Opens](Self::open) the store of this name, or [creates](Self::create) it if there is none: what a program does at
    /// each start. [`id`](Self::id) is that of a new one.
    ///
    /// # Errors
    ///
    /// [`CreateError`], of which [`NotOpened`](CreateError::NotOpened) says that the store is there.
    ///
    /// # Cancel safety
    ///
    /// As for [`create`](Self::create): called again, it finds a store that was created.
    pub async fn open_or_create(self, ledger: &Ledger, name: StoreName) -> Result<AnyKeyStore, CreateError> {
        match self.timing().bounded(ledger.find::<StoreRecord>(name.as_str())).await? {
            Some(found) => self.open(ledger, &found.record.id).await.map_err(CreateError::NotOpened),
            None => Ok(self.create(ledger, name).await?.into()),
        }
    }

    fn kept(self, id: StoreId, name: StoreName, created: SystemTime, ledger: &Ledger) -> Core {
        let vault = self.vault.clone();
        let ring = Keyring::of(ledger, &id, self.timing());
        let mut core = self.core(id, name, created, ring);
        if vault.is_none() {
            core.vault = LedgerVault::new(ledger, &core.id);
        }
        core
    }

    fn timing(&self) -> Timing {
        Timing { clock: Arc::clone(&self.clock), limit: self.limits.call_timeout }
    }

    fn core(self, id: StoreId, name: StoreName, created: SystemTime, ring: Arc<Keyring>) -> Core {
        let Self { backend, id: _, vault, clock, principal, limits, secret: _, patience: _ } = self;
        let mut core = Core::new(id, name, created, backend, clock, limits, ring);
        if let Some(vault) = vault {
            core.vault = vault;
        }
        if let Some(principal) = principal {
            core.principal = principal;
        }
        core
    }
}

/// A store was not created, or was there and not opened.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum CreateError {
    /// The key manager cannot be used with this configuration.
    #[error("the custom key store was not created, since its key manager cannot be used so ({})", .0.code())]
    Refused(#[from] ConnectionError),
    /// Another store of the catalogue has the name (AWS: `CustomKeyStoreNameInUseException`).
    #[error("the custom key store was not created, since another one is named {:?}", .0.as_str())]
    NameTaken(StoreName),
    /// The catalogue refused or failed.
    #[error("the custom key store was not created, since the catalogue refused or failed")]
    Catalog(#[from] CatalogError),
    /// The store is there and could not be opened; only from [`StoreBuilder::open_or_create`]. See
    /// [`StoreBuilder::open`].
    #[error("the custom key store is there, but could not be opened")]
    NotOpened(#[source] CatalogError),
}

#[cfg(test)]
mod tests;
