//! Before the first connection, and after every disconnect.

use crate::backend::{Change, ConnectReason, ConnectionError, CustomKeyStoreType, InvalidChange};
use crate::catalog::CatalogError;
use crate::store::KeyStore;
use crate::store::any::AnyState;
use crate::store::attempt::{ProbeReport, probe};
use crate::store::connecting::Connecting;
use crate::store::core::Core;
use crate::store::report::DisconnectReport;
use crate::store::state::{ConnectionState, State, sealed};
use crate::store_id::StoreId;

/// Never connected, or disconnected on purpose.
#[derive(Debug)]
pub struct Disconnected {
    /// Boxed, as it is rarely there and a store should be small.
    report: Option<Box<DisconnectReport>>,
}

impl Disconnected {
    pub(super) const fn never_connected() -> Self {
        Self { report: None }
    }

    pub(super) fn after(report: DisconnectReport) -> Self {
        Self { report: Some(Box::new(report)) }
    }

    pub(super) fn report(&self) -> Option<&DisconnectReport> {
        self.report.as_deref()
    }

    pub(super) async fn update(core: &mut Core, change: Change) -> Result<(), UpdateError> {
        if change.concerns_backend() {
            let (backend, configuration) = core.reconfigured(&change)?;
            if core.store_type() == CustomKeyStoreType::ExternalKeyStore {
                probe(core, &backend, ConnectReason::Update).await?;
            }
            core.record_change(change.name.as_ref(), Some(&configuration)).await?;
            let old = core.adopt(backend, configuration);
            core.rename(change.name);
            drop(old);
        } else {
            core.record_change(change.name.as_ref(), None).await?;
            core.rename(change.name);
        }
        Ok(())
    }

    pub(super) fn connect(self, core: &Core, reason: ConnectReason) -> Connecting {
        Connecting::new(core.recorded_attempt(reason))
    }
}

/// While disconnected: connect, try whether it would work, change anything.
///
/// There is no crypto method here, and no `disconnect`.
impl KeyStore<Disconnected> {
    /// Begins to connect. Nothing happens until the returned store is awaited or polled.
    ///
    /// Cannot fail: whatever is wrong is found by the attempt, which ends `Connected` or `Failed`, within the
    /// store's connect timeout ([`StoreBuilder::connect_timeout`](crate::StoreBuilder::connect_timeout)).
    ///
    /// <div class="warning">
    ///
    /// Do not put a timeout around `store.connect()`, nor race it in a `select!`: the future that loses is dropped,
    /// and the store with it. Set the connect timeout, or race [`settled`](KeyStore::<Connecting>::settled), which
    /// leaves the store where it is.
    ///
    /// </div>
    ///
    /// ```
    /// # use custom_key_store::{KeyStore, StoreName, backend::software::KeyManager};
    /// # futures::executor::block_on(async {
    /// let store = KeyStore::ephemeral(StoreName::new("root")?, KeyManager::new());
    /// let store = store.connect().await?;
    /// # let _ = store;
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
    #[must_use = "an attempt makes progress only while it is awaited; dropped, it takes the store with it"]
    pub fn connect(self) -> KeyStore<Connecting> {
        let Self { core, state } = self;
        let state = state.connect(&core, ConnectReason::Connect);
        KeyStore { core, state }
    }

    /// A dry run: connects, asks for the key manager's health and closes again. The store stays disconnected.
    ///
    /// # Errors
    ///
    /// The [`ConnectionError`] that [`connect`](Self::connect) would end with, one for a key manager that
    /// does not answer, and one when none of its instances serves.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the connection with it.
    pub async fn probe(&self) -> Result<ProbeReport, ConnectionError> {
        probe(&self.core, &self.core.backend, ConnectReason::Probe).await
    }

    /// Changes the store's configuration: any property that its type has.
    ///
    /// An external key store is probed with the new values first; a CloudHSM store is not, since a change of
    /// its password only tells the store what is true in the cluster. A change of the name alone contacts
    /// nobody. (AWS KMS API, `UpdateCustomKeyStore`.)
    ///
    /// # Errors
    ///
    /// [`UpdateError`]; nothing has changed then.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it resolves, nothing has changed here; the catalogue may have the new values, of which only the
    /// name counts after a restart.
    pub async fn update(&mut self, change: impl Into<Change>) -> Result<(), UpdateError> {
        Disconnected::update(&mut self.core, change.into()).await
    }

    /// What became of everything when the store was disconnected; `None` when it never was.
    #[must_use]
    pub fn disconnect_report(&self) -> Option<&DisconnectReport> {
        self.state.report()
    }
}

/// A change was refused. Nothing has changed: a store that was connected is connected still, as it was.
///
/// (The advice of a connection error code speaks of a store that failed to connect; here nothing has to be
/// disconnected before the change is tried again.)
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum UpdateError {
    /// The change makes no sense for this store.
    #[error("nothing was changed, since the change does not fit the custom key store")]
    InvalidChange(#[from] InvalidChange),
    /// The key manager cannot be used with the new configuration.
    #[error("nothing was changed, since the key manager cannot be used so ({})", .0.code())]
    Refused(#[from] ConnectionError),
    /// The change could not be written down: [`UniqueTaken`](crate::catalog::CatalogErrorKind::UniqueTaken) when another
    /// store has the name. After [`Unavailable`](crate::catalog::CatalogErrorKind::Unavailable) the catalogue may have it
    /// although the store does not: update again.
    #[error("nothing was changed, since the change could not be written down")]
    Catalog(#[from] CatalogError),
    /// The store is in a state in which this cannot be changed; only from
    /// [`AnyKeyStore::update`](crate::AnyKeyStore::update), since a typed store has no such method.
    #[error(
        "nothing was changed, since the custom key store {id} is {found}; this can be changed only while it is {}",
        ConnectionState::Disconnected
    )]
    InvalidState {
        /// The store.
        id: StoreId,
        /// The state that it is in.
        found: ConnectionState,
    },
}

impl State for Disconnected {
    const STATE: ConnectionState = ConnectionState::Disconnected;
}

impl sealed::Sealed for Disconnected {
    fn erase(self) -> AnyState {
        AnyState::Disconnected(self)
    }

    fn recover(any: AnyState) -> Result<Self, AnyState> {
        match any {
            AnyState::Disconnected(state) => Ok(state),
            other => Err(other),
        }
    }
}
