//! A store whose state is data: for collections, and for programs that decide at run time.

mod slot;

use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use super::KeyStore;
use super::core::Core;
use super::describe::Description;
use super::disconnected::UpdateError;
use super::handle::Handle;
use super::patience::Patience;
use super::register::Kept;
use super::report::DisconnectReport;
use super::state::sealed::{Sealed as _, Settles as _};
use super::state::{Connected, Connecting, ConnectionState, Disconnected, Disconnecting, Failed, State};
use super::transition::TransitionError;
use crate::backend::{Backend, Change, ConnectionError, CustomKeyStoreType, StoreConfiguration, StoreName};
use crate::key::{Keyring, Keys, OutOfReach};
use crate::store_id::StoreId;

/// A custom key store in any state.
///
/// Made from a [`KeyStore`] of any state by `into()`, and made one again by `try_into()`, which gives it back
/// inside [`WrongState`] when it is in another state. Its transitions are those of the typed store, so the table
/// of legal moves is written once; here an illegal one is an error at run time.
///
/// A transient state makes progress while somebody polls: [`settled`](Self::settled) for a task of its own,
/// [`poll_settled`](Self::poll_settled) for a driver that holds many stores.
///
/// ```
/// # use custom_key_store::{AnyKeyStore, Connected, ConnectionState, KeyStore, StoreName};
/// # use custom_key_store::backend::software::KeyManager;
/// # futures::executor::block_on(async {
/// let mut store: AnyKeyStore = KeyStore::ephemeral(StoreName::new("root")?, KeyManager::new()).into();
/// store.connect()?;
/// assert_eq!(store.settled().await, ConnectionState::Connected);
/// assert!(store.connect().is_err()); // a store connects once
///
/// let typed: KeyStore<Connected> = store.try_into()?;
/// # drop(typed);
/// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
/// ```
#[must_use]
pub struct AnyKeyStore {
    core: Box<Core>,
    state: AnyState,
}

/// One of the five states.
#[derive(Debug)]
#[expect(unnameable_types, reason = "public only because the sealed half of `State` mentions it")]
pub enum AnyState {
    /// See [`Disconnected`].
    Disconnected(Disconnected),
    /// See [`Connecting`].
    Connecting(Connecting),
    /// See [`Connected`].
    Connected(Connected),
    /// See [`Disconnecting`].
    Disconnecting(Disconnecting),
    /// See [`Failed`].
    Failed(Failed),
}

impl AnyState {
    const fn as_data(&self) -> ConnectionState {
        match self {
            Self::Disconnected(_) => ConnectionState::Disconnected,
            Self::Connecting(_) => ConnectionState::Connecting,
            Self::Connected(_) => ConnectionState::Connected,
            Self::Disconnecting(_) => ConnectionState::Disconnecting,
            Self::Failed(_) => ConnectionState::Failed,
        }
    }
}

impl AnyKeyStore {
    /// A store in the state that a restart finds it in.
    pub(super) fn restarted(core: Core, kept: Kept, patience: Option<Patience>) -> Self {
        let state = match kept {
            Kept::Disconnected => AnyState::Disconnected(Disconnected::never_connected()),
            Kept::Connected => AnyState::Connecting(Disconnected::never_connected().resume(&core, patience)),
            Kept::Failed(code) => AnyState::Failed(Failed::new(ConnectionError::new(code))),
        };
        Self { core: Box::new(core), state }
    }

    /// The store's id.
    #[must_use]
    pub const fn id(&self) -> &StoreId {
        &self.core.id
    }

    /// The store's friendly name.
    #[must_use]
    pub const fn name(&self) -> &StoreName {
        &self.core.name
    }

    /// The store's type.
    #[must_use]
    pub const fn store_type(&self) -> CustomKeyStoreType {
        self.core.store_type()
    }

    /// The state that the store is in.
    #[must_use]
    pub const fn state(&self) -> ConnectionState {
        self.state.as_data()
    }

    /// Why the last attempt failed, in state `FAILED` alone.
    #[must_use]
    pub const fn connection_error(&self) -> Option<&ConnectionError> {
        match &self.state {
            AnyState::Failed(failed) => Some(failed.error()),
            _ => None,
        }
    }

    /// A handle, in state `CONNECTED` alone.
    #[must_use]
    pub fn handle(&self) -> Option<Handle> {
        match &self.state {
            AnyState::Connected(connected) => Some(connected.handle().clone()),
            _ => None,
        }
    }

    /// What became of everything when the store was disconnected, in state `DISCONNECTED` alone; `None` when it
    /// never was.
    #[must_use]
    pub fn disconnect_report(&self) -> Option<&DisconnectReport> {
        match &self.state {
            AnyState::Disconnected(disconnected) => disconnected.report(),
            _ => None,
        }
    }

    /// The KMS keys of the store, to be viewed and managed.
    #[must_use]
    pub fn keys(&self) -> Keys<'_> {
        let reach = match &self.state {
            AnyState::Connected(connected) => connected.reach(),
            _ => &OutOfReach,
        };
        Keys::new(&self.core.ring, reach)
    }

    /// The KMS keys of the store, which are the same in every state.
    pub(crate) const fn ring(&self) -> &Arc<Keyring> {
        &self.core.ring
    }

    /// What the backend says of itself.
    pub(crate) const fn configuration(&self) -> &StoreConfiguration {
        &self.core.configuration
    }

    /// The backend with a change applied, and what it says of itself. Nothing is changed here.
    pub(crate) fn reconfigured(
        &self,
        change: &Change,
    ) -> Result<(Arc<dyn Backend>, StoreConfiguration), UpdateError> {
        self.core.reconfigured(change)
    }

    /// The store as an entry of `DescribeCustomKeyStores`.
    #[must_use]
    pub fn describe(&self) -> Description {
        Description::new(&self.core, self.state(), self.connection_error())
    }

    /// Begins to connect.
    ///
    /// # Errors
    ///
    /// [`InvalidState`] unless the store is `DISCONNECTED`; it stays as it is.
    pub fn connect(&mut self) -> Result<(), InvalidState> {
        self.step(ConnectionState::Connecting, |state, core| match state {
            AnyState::Disconnected(state) => Ok(AnyState::Connecting(state.connect(core))),
            other => Err(other),
        })
    }

    /// Begins to disconnect; from this moment no call is admitted. It is written down only when the store is polled: see
    /// [`settled`](Self::settled).
    ///
    /// # Errors
    ///
    /// [`InvalidState`] unless the store is `CONNECTED`, `CONNECTING` or `FAILED`; it stays as it is.
    pub fn disconnect(&mut self) -> Result<(), InvalidState> {
        self.disconnect_within(self.core.limits.drain_limit)
    }

    /// Begins to disconnect, with another limit for the calls in flight; see
    /// [`KeyStore::disconnect_within`](KeyStore::<Connected>::disconnect_within).
    ///
    /// # Errors
    ///
    /// As for [`disconnect`](Self::disconnect).
    pub fn disconnect_within(&mut self, drain_limit: Duration) -> Result<(), InvalidState> {
        self.step(ConnectionState::Disconnecting, |state, core| {
            Ok(AnyState::Disconnecting(match state {
                AnyState::Connecting(state) => state.disconnect(core),
                AnyState::Connected(state) => state.disconnect(core, drain_limit),
                AnyState::Failed(state) => state.disconnect(core),
                other => return Err(other),
            }))
        })
    }

    /// Changes the store's configuration: anything while it is `DISCONNECTED`; name, credential and path while it is
    /// `CONNECTED`. See the methods of the same name of [`KeyStore`].
    ///
    /// # Errors
    ///
    /// [`UpdateError`]; nothing has changed then. In any other state, and for any other property while connected, it
    /// is [`UpdateError::InvalidState`].
    ///
    /// # Cancel safety
    ///
    /// As for the typed store, which is never lost.
    pub async fn update(&mut self, change: impl Into<Change>) -> Result<(), UpdateError> {
        let change = change.into();
        match &mut self.state {
            AnyState::Disconnected(_) => Disconnected::update(&mut self.core, change).await,
            AnyState::Connected(state) if change.is_live() => state.update(&mut self.core, change).await,
            state => Err(UpdateError::InvalidState { id: self.core.id.clone(), found: state.as_data() }),
        }
    }

    /// Makes what progress can be made towards a state that lasts, and takes the store there.
    ///
    /// Ready with the state when it is one that lasts. In a lasting state it is ready at once, so a driver must
    /// poll only stores in a [transient](ConnectionState::is_transient) one. Neither `connect` nor `disconnect` wakes
    /// anybody: poll once after them, with the waker that is to be woken.
    pub fn poll_settled(&mut self, cx: &mut Context<'_>) -> Poll<ConnectionState> {
        match &mut self.state {
            AnyState::Connecting(state) => {
                ready!(state.poll_settled(cx));
                self.replace(|state, core| match state {
                    AnyState::Connecting(state) => match state.settle(core) {
                        Ok(connected) => AnyState::Connected(connected),
                        Err(failed) => AnyState::Failed(failed),
                    },
                    other => other,
                });
            }
            AnyState::Disconnecting(state) => {
                ready!(state.poll_settled(cx));
                self.replace(|state, _| match state {
                    AnyState::Disconnecting(state) => AnyState::Disconnected(state.settle()),
                    other => other,
                });
            }
            AnyState::Disconnected(_) | AnyState::Connected(_) | AnyState::Failed(_) => {}
        }
        Poll::Ready(self.state())
    }

    /// Waits until the store is in a state that lasts.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: called again, it goes on with the same transition.
    pub async fn settled(&mut self) -> ConnectionState {
        poll_fn(|cx| self.poll_settled(cx)).await
    }

    /// Ends with a connected store, whatever state this one is in: what a program does at each start with a store that
    /// it has [opened](crate::StoreBuilder::open). Waits for an attempt that is under way, and makes one otherwise; a
    /// store that is being disconnected, or has failed, is disconnected first.
    ///
    /// So it connects a store too that somebody has disconnected on purpose, and gives a refused password another try:
    /// where these are for a person to decide, look at [`state`](Self::state) and
    /// [`connection_error`](Self::connection_error) before.
    ///
    /// ```
    /// # use custom_key_store::{AnyKeyStore, ConnectionState, KeyStore, StoreName};
    /// # use custom_key_store::backend::software::KeyManager;
    /// # futures::executor::block_on(async {
    /// # let store: AnyKeyStore = KeyStore::ephemeral(StoreName::new("root")?, KeyManager::new()).into();
    /// let store = store.into_connected().await?; // KeyStore<Connected>
    /// assert_eq!(store.state(), ConnectionState::Connected);
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    ///
    /// [`TransitionError`], which gives the store back, when the attempt fails.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it resolves, the store is dropped: put no timeout around it, as with
    /// [`connect`](KeyStore::<Disconnected>::connect).
    pub async fn into_connected(self) -> Result<KeyStore<Connected>, TransitionError<Failed>> {
        let Self { core, state } = self;
        let connecting = match state {
            AnyState::Connected(state) => return Ok(KeyStore { core, state }),
            AnyState::Connecting(state) => KeyStore { core, state },
            AnyState::Disconnected(state) => KeyStore { core, state }.connect(),
            AnyState::Disconnecting(state) => KeyStore { core, state }.await.connect(),
            AnyState::Failed(state) => KeyStore { core, state }.disconnect().await.connect(),
        };
        connecting.await
    }

    fn step(
        &mut self,
        wanted: ConnectionState,
        step: impl FnOnce(AnyState, &Core) -> Result<AnyState, AnyState>,
    ) -> Result<(), InvalidState> {
        let found = self.state();
        let mut taken = true;
        self.replace(|state, core| {
            step(state, core).unwrap_or_else(|unchanged| {
                taken = false;
                unchanged
            })
        });
        if taken { Ok(()) } else { Err(InvalidState { id: self.core.id.clone(), wanted, found }) }
    }

    /// Moves the state out, through `step` and back in. A disconnected store has nothing that could be lost,
    /// so it keeps the place meanwhile.
    fn replace(&mut self, step: impl FnOnce(AnyState, &Core) -> AnyState) {
        let place = AnyState::Disconnected(Disconnected::never_connected());
        let state = std::mem::replace(&mut self.state, place);
        self.state = step(state, &self.core);
    }
}

impl fmt::Debug for AnyKeyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AnyKeyStore")
            .field("id", &self.core.id)
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}

impl<S: State> From<KeyStore<S>> for AnyKeyStore {
    fn from(store: KeyStore<S>) -> Self {
        Self { core: store.core, state: store.state.erase() }
    }
}

impl<S: State> TryFrom<AnyKeyStore> for KeyStore<S> {
    type Error = WrongState;

    fn try_from(store: AnyKeyStore) -> Result<Self, WrongState> {
        let AnyKeyStore { core, state } = store;
        match S::recover(state) {
            Ok(state) => Ok(Self { core, state }),
            Err(state) => Err(WrongState { wanted: S::STATE, store: Box::new(AnyKeyStore { core, state }) }),
        }
    }
}

/// A store cannot be typed as wanted, since it is in another state; holds the store.
///
/// Returned by `try_into()`. (A transition that does not exist is an [`InvalidState`].)
#[derive(Debug)]
pub struct WrongState {
    wanted: ConnectionState,
    store: Box<AnyKeyStore>,
}

impl WrongState {
    /// The state that was wanted; the state found is that of the [store](Self::store).
    #[must_use]
    pub const fn wanted(&self) -> ConnectionState {
        self.wanted
    }

    /// The store, unchanged.
    #[must_use]
    pub const fn store(&self) -> &AnyKeyStore {
        &self.store
    }

    /// The store, unchanged.
    pub fn into_store(self) -> AnyKeyStore {
        *self.store
    }
}

impl fmt::Display for WrongState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the custom key store {} is {}, not {}", self.store.id(), self.store.state(), self.wanted)
    }
}

impl std::error::Error for WrongState {}

/// A transition that does not exist in the state that a store is in. The caller's fault; nothing has changed.
///
/// Returned by [`connect`](AnyKeyStore::connect) and [`disconnect`](AnyKeyStore::disconnect).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidState {
    id: StoreId,
    wanted: ConnectionState,
    found: ConnectionState,
}

impl InvalidState {
    /// The store.
    #[must_use]
    pub const fn id(&self) -> &StoreId {
        &self.id
    }

    /// The state that the transition leads to.
    #[must_use]
    pub const fn wanted(&self) -> ConnectionState {
        self.wanted
    }

    /// The state that the store is in.
    #[must_use]
    pub const fn found(&self) -> ConnectionState {
        self.found
    }

    /// What is possible instead.
    #[must_use]
    pub const fn way_on(&self) -> &'static str {
        match (self.wanted, self.found) {
            (_, ConnectionState::Disconnecting) => "wait until it has settled",
            (ConnectionState::Disconnecting, _) => "there is nothing to disconnect",
            (_, ConnectionState::Connecting) => "wait until it has settled, or disconnect it",
            (_, ConnectionState::Failed) => "read its connection error, then disconnect it",
            (_, ConnectionState::Connected | ConnectionState::Disconnected) => {
                "to connect it anew, disconnect it first"
            }
        }
    }
}

impl fmt::Display for InvalidState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, wanted, found } = self;
        write!(f, "the custom key store {id} is {found} and cannot become {wanted}: {}", self.way_on())
    }
}

impl std::error::Error for InvalidState {}
