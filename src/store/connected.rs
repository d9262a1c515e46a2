//! While connected: the only state that can use keys.

use std::sync::Arc;
use std::time::Duration;

use crate::backend::{
    BackingKeyId, Change, Ciphertext, ConnectReason, Connection, Health, KeyDescription, LiveChange,
};
use crate::crypto::EncryptionContext;
use crate::error::Error;
use crate::secret::SecretBytes;
use crate::store::KeyStore;
use crate::store::any::AnyState;
use crate::store::core::Core;
use crate::store::disconnected::UpdateError;
use crate::store::disconnecting::Disconnecting;
use crate::store::handle::Handle;
use crate::store::live::Live;
use crate::store::state::{ConnectionState, State, sealed};

/// A connection attempt succeeded and nobody has disconnected since. Says nothing about present health.
#[derive(Debug)]
pub struct Connected {
    live: Live,
    handle: Handle,
}

impl Connected {
    pub(super) fn new(core: &Core, connection: Arc<dyn Connection>) -> Self {
        let live = Live::new(core, connection);
        let handle = live.handle();
        Self { live, handle }
    }

    pub(super) const fn handle(&self) -> &Handle {
        &self.handle
    }

    /// The caller sees to it that the change is a live one.
    pub(super) async fn update(&mut self, core: &mut Core, change: Change) -> Result<(), UpdateError> {
        let reconnected = if change.concerns_backend() {
            let (backend, configuration) = core.reconfigured(&change)?;
            let connection = core.attempt(&backend, ConnectReason::Update).await?;
            Some((backend, configuration, connection))
        } else {
            None
        };

        // From here to the end of the change nothing is awaited, so it happens as a whole or not at all.
        core.rename(change.name);
        if let Some((backend, configuration, connection)) = reconnected {
            let old = core.adopt(backend, configuration);
            self.live.replace(connection);
            drop(old);
            self.live.close_retired(core.limits.drain_limit).await;
        }
        Ok(())
    }

    /// Shuts the gate, now; the rest is for whoever awaits.
    pub(super) fn disconnect(self, limit: Duration) -> Disconnecting {
        let in_flight = self.live.shut();
        Disconnecting::draining(self.live, in_flight, limit)
    }
}

/// While connected: use keys, hand out handles, change what may change in use, disconnect.
///
/// Every operation here is that of the store's [`Handle`]; see there for deadlines and cancelling. There is no
/// `connect`, and only a [`LiveChange`] can be made.
impl KeyStore<Connected> {
    /// A handle for other tasks; see [`Handle`].
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.state.handle.clone()
    }

    /// Encrypts; see [`Handle::encrypt`].
    ///
    /// # Errors
    ///
    /// See [`Handle::encrypt`].
    pub fn encrypt(
        &self,
        key: &BackingKeyId,
        plaintext: &[u8],
        context: &EncryptionContext,
    ) -> impl Future<Output = Result<Ciphertext, Error>> + Send {
        self.state.handle.encrypt(key, plaintext, context)
    }

    /// Decrypts; see [`Handle::decrypt`].
    ///
    /// # Errors
    ///
    /// See [`Handle::decrypt`].
    pub fn decrypt(
        &self,
        key: &BackingKeyId,
        ciphertext: &Ciphertext,
        context: &EncryptionContext,
    ) -> impl Future<Output = Result<SecretBytes, Error>> + Send {
        self.state.handle.decrypt(key, ciphertext, context)
    }

    /// Describes a key of the key manager; see [`Handle::describe_key`].
    ///
    /// # Errors
    ///
    /// See [`Handle::describe_key`].
    pub fn describe_key(
        &self,
        key: &BackingKeyId,
    ) -> impl Future<Output = Result<KeyDescription, Error>> + Send {
        self.state.handle.describe_key(key)
    }

    /// Has the key manager make a key; see [`Handle::generate_key`].
    ///
    /// # Errors
    ///
    /// See [`Handle::generate_key`].
    pub fn generate_key(&self, label: &str) -> impl Future<Output = Result<BackingKeyId, Error>> + Send {
        self.state.handle.generate_key(label)
    }

    /// Has the key manager delete a key; see [`Handle::delete_key`].
    ///
    /// # Errors
    ///
    /// See [`Handle::delete_key`].
    pub fn delete_key(&self, key: &BackingKeyId) -> impl Future<Output = Result<(), Error>> + Send {
        self.state.handle.delete_key(key)
    }

    /// Random bytes from the key manager; see [`Handle::generate_random`].
    ///
    /// # Errors
    ///
    /// See [`Handle::generate_random`].
    pub fn generate_random(&self, length: usize) -> impl Future<Output = Result<SecretBytes, Error>> + Send {
        self.state.handle.generate_random(length)
    }

    /// How the key manager is; see [`Handle::health`]. Whatever it says, the store stays connected.
    ///
    /// # Errors
    ///
    /// See [`Handle::health`].
    pub fn health(&self) -> impl Future<Output = Result<Health, Error>> + Send {
        self.state.handle.health()
    }

    /// Changes name, credential or path while the store is used, without failing a call; to change anything else,
    /// disconnect first.
    ///
    /// A change of the name alone contacts nobody. For the rest the changed backend is connected first, which
    /// proves the new values; then its connection takes the place of the current one in one step. Calls that
    /// were admitted finish on the old connection, which is closed after its last, or, if that takes longer
    /// than the drain limit, by the next update or the disconnect. How that goodbye went is not reported.
    ///
    /// # Errors
    ///
    /// [`UpdateError`]; nothing has changed then.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it resolves, the change has either not happened, or it has and only the old connection
    /// waits for its goodbye; [`describe`](KeyStore::describe) tells which.
    pub async fn update(&mut self, change: LiveChange) -> Result<(), UpdateError> {
        self.state.update(&mut self.core, change.into()).await
    }

    /// Disconnects: from this moment no call is admitted. Await the result to drain what is in flight.
    ///
    /// Awaiting lasts no longer than the drain limit and the close timeout of the store together
    /// ([`StoreBuilder`](crate::StoreBuilder)), provided that no poll of the backend blocks its thread. When it
    /// is over, no result is delivered any more and no future of the backend is polled.
    #[must_use = "a disconnect makes progress only while it is awaited; dropped, it skips the goodbye"]
    pub fn disconnect(self) -> KeyStore<Disconnecting> {
        let limit = self.core.limits.drain_limit;
        self.disconnect_within(limit)
    }

    /// Disconnects like [`disconnect`](Self::disconnect), with another limit for the calls in flight. Zero
    /// abandons all that are not done when the result is first polled.
    #[must_use = "a disconnect makes progress only while it is awaited; dropped, it skips the goodbye"]
    pub fn disconnect_within(self, drain_limit: Duration) -> KeyStore<Disconnecting> {
        let Self { core, state } = self;
        let state = state.disconnect(drain_limit);
        KeyStore { core, state }
    }
}

impl State for Connected {
    const STATE: ConnectionState = ConnectionState::Connected;
}

impl sealed::Sealed for Connected {
    fn erase(self) -> AnyState {
        AnyState::Connected(self)
    }

    fn recover(any: AnyState) -> Result<Self, AnyState> {
        match any {
            AnyState::Connected(state) => Ok(state),
            other => Err(other),
        }
    }
}
