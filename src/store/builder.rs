//! Making a store with other settings than the usual ones.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::KeyStore;
use super::attempt::probe;
use super::core::{Core, Limits, to_the_millisecond};
use super::disconnected::Disconnected;
use super::id::StoreId;
use crate::backend::{Backend, ConnectReason, ConnectionError, CustomKeyStoreType, StoreName, Vault};
use crate::clock::{Clock, SystemClock};

/// Making a store.
impl KeyStore<Disconnected> {
    /// A new store with this key manager behind it, and the usual settings. Contacts nobody.
    pub fn new(name: StoreName, backend: impl Backend) -> Self {
        Self::builder(name, backend).build()
    }

    /// A store with other settings than the usual ones.
    pub fn builder(name: StoreName, backend: impl Backend) -> StoreBuilder {
        StoreBuilder::new(name, Arc::new(backend))
    }
}

/// Settings of a store. Every one has a default; made by [`KeyStore::builder`].
///
/// ```
/// use custom_key_store::{KeyStore, StoreId, StoreName, backend::software::KeyManager};
/// use std::time::Duration;
///
/// let store = KeyStore::builder(StoreName::new("root")?, KeyManager::new())
///     .id(StoreId::new("cks-0123456789abcdef0")?)
///     .drain_limit(Duration::from_secs(30))
///     .build();
/// assert_eq!(store.id().as_str(), "cks-0123456789abcdef0");
/// # Ok::<(), custom_key_store::InvalidValue>(())
/// ```
#[derive(Debug)]
#[must_use]
pub struct StoreBuilder {
    name: StoreName,
    backend: Arc<dyn Backend>,
    id: Option<StoreId>,
    created: Option<SystemTime>,
    vault: Option<Arc<dyn Vault>>,
    clock: Arc<dyn Clock>,
    principal: Option<Arc<str>>,
    limits: Limits,
}

impl StoreBuilder {
    pub(super) fn new(name: StoreName, backend: Arc<dyn Backend>) -> Self {
        Self {
            name,
            backend,
            id: None,
            created: None,
            vault: None,
            clock: Arc::new(SystemClock),
            principal: None,
            limits: Limits::default(),
        }
    }

    /// The id of a store that existed before. Default: a new one.
    pub fn id(mut self, id: StoreId) -> Self {
        self.id = Some(id);
        self
    }

    /// When a store that existed before was created, to the millisecond. Default: now, by the clock.
    pub const fn creation_date(mut self, created: SystemTime) -> Self {
        self.created = Some(created);
        self
    }

    /// Where a backend that changes its password keeps it. Default: in memory.
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

    /// The store. Contacts nobody; asks the backend once for its configuration, and panics if that does.
    pub fn build(self) -> KeyStore<Disconnected> {
        let Self { name, backend, id, created, vault, clock, principal, limits } = self;
        let mut core = Core::new(name, backend, clock);
        core.limits = limits;
        if let Some(id) = id {
            core.id = id;
        }
        if let Some(created) = created {
            core.created = to_the_millisecond(created);
        }
        if let Some(vault) = vault {
            core.vault = vault;
        }
        if let Some(principal) = principal {
            core.principal = principal;
        }
        KeyStore { core: Box::new(core), state: Disconnected::never_connected() }
    }

    /// The store, if its configuration works: an external key store is probed first, as KMS does when one is
    /// created; a CloudHSM key store is not, since its password is first tried when it connects.
    ///
    /// # Errors
    ///
    /// [`CreateError`], which holds the store as [`build`](Self::build) gives it.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the probe's connection with it.
    pub async fn create(self) -> Result<KeyStore<Disconnected>, CreateError> {
        let store = self.build();
        if store.store_type() == CustomKeyStoreType::AwsCloudhsm {
            return Ok(store);
        }
        match probe(&store.core, &store.core.backend, ConnectReason::Create).await {
            Ok(_) => Ok(store),
            Err(error) => Err(CreateError { error, store }),
        }
    }
}

/// A store was not created, since its configuration does not work.
#[derive(Debug)]
pub struct CreateError {
    error: ConnectionError,
    store: KeyStore<Disconnected>,
}

impl CreateError {
    /// What the probe found.
    #[must_use]
    pub const fn connection_error(&self) -> Option<&ConnectionError> {
        Some(&self.error)
    }

    /// The store all the same, unproven: to be updated and tried again.
    pub fn into_store(self) -> KeyStore<Disconnected> {
        self.store
    }
}

impl fmt::Display for CreateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the custom key store {} was not created", self.store.name())
    }
}

impl std::error::Error for CreateError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}
