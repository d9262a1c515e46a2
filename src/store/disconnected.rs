//! Before the first connection, and after every disconnect.

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use crate::backend::{Change, ConnectReason, ConnectionError, CustomKeyStoreType, InvalidChange};
use crate::catalog::CatalogError;
use crate::store::KeyStore;
use crate::store::any::AnyState;
use crate::store::attempt::ProbeReport;
use crate::store::connecting::Connecting;
use crate::store::core::Core;
use crate::store::patience::Patience;
use crate::store::report::DisconnectReport;
use crate::store::revision::{Revision, TriedRevision};
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

    /// Tries whether a revision would do: an external key store is probed, a CloudHSM store is not, since a mistaken
    /// password that is tried too often locks its user.
    pub(super) fn try_revision(
        core: &Core,
        revision: Revision,
    ) -> BoxFuture<'static, Result<TriedRevision, UpdateError>> {
        let is_external = core.store_type() == CustomKeyStoreType::ExternalKeyStore;
        let contact = revision.backend().filter(|_| is_external).map(|backend| core.contact(backend));
        let tried = revision.tried(core);
        async move {
            let tried = tried?;
            if let Some(contact) = contact {
                contact.probe(ConnectReason::Update).await?;
            }
            Ok(tried)
        }
        .boxed()
    }

    pub(super) async fn update(core: &mut Core, change: Change) -> Result<(), UpdateError> {
        let tried = Self::try_revision(core, core.revision(change)?).await?;
        core.record_revision(&tried).await?;
        drop(core.adopt_revision(tried).old);
        Ok(())
    }

    pub(super) fn connect(self, core: &Core) -> Connecting {
        let (attempt, recording) = core.recorded_attempt(ConnectReason::Connect);
        Connecting::new(attempt, recording)
    }

    /// Connects a store that was connected, or to be, when its process ended.
    pub(super) fn resume(self, core: &Core, patience: Option<Patience>) -> Connecting {
        Connecting::new(core.resumed_attempt(patience), None)
    }

    /// Takes the store out of the catalogue, if it is in one.
    pub(super) fn deletion(core: &Core) -> BoxFuture<'static, Result<(), CatalogError>> {
        let register = core.register.clone();
        async move {
            match register {
                Some(register) => register.delete().await,
                None => Ok(()),
            }
        }
        .boxed()
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
        let state = state.connect(&core);
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
        self.core.probe().await
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
    /// Dropped before it resolves, nothing has changed here; the catalogue may have the new values, as after
    /// [`Unavailable`](crate::catalog::CatalogErrorKind::Unavailable). Of those two count: the name, after a restart; and that
    /// the store was told a password, for whoever connects with that one next, in this process or a later one, though it
    /// was refused before.
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
