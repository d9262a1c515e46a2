//! While connected: the only state that can use keys.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use crate::backend::{BackingKeyId, Change, ConnectReason, Connection, Health, KeyDescription, LiveChange};
use crate::crypto::{CiphertextBlob, EncryptionContext};
use crate::error::Error;
use crate::key::{KeyId, KeyMetadata, NewKey, Reach};
use crate::secret::SecretBytes;
use crate::store::KeyStore;
use crate::store::any::AnyState;
use crate::store::attempt::Contact;
use crate::store::core::Core;
use crate::store::disconnected::UpdateError;
use crate::store::disconnecting::Disconnecting;
use crate::store::handle::{DataKey, DataKeyLength, Handle};
use crate::store::live::Live;
use crate::store::revision::{Adopted, Replacement, Revision, TriedRevision};
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

    /// Connects with a revision, which proves it. The caller sees to it that it changes nothing but what may change in use.
    pub(super) fn try_revision(
        &self,
        core: &Core,
        revision: Revision,
    ) -> BoxFuture<'static, Result<TriedRevision, UpdateError>> {
        let contact = revision.backend().map(|backend| core.contact(backend));
        let (tried, of) = (revision.tried(core), self.live.link());
        async move {
            let mut tried = tried?;
            if let Some(contact) = contact {
                let connection = contact.attempt(ConnectReason::Update).await?;
                let Contact { clock, limits, .. } = contact;
                let close_timeout = limits.close_timeout;
                tried.replacement = Some(Replacement { of, connection, clock, close_timeout });
            }
            Ok(tried)
        }
        .boxed()
    }

    /// Puts a connection in the place of the current one, if that is the one it was made for. What is left to be done is to
    /// say goodbye to the other, after its last call or, if there is a limit, not much later than that.
    pub(super) fn take_over(
        &self,
        replacement: Replacement,
        limit: Option<Duration>,
    ) -> BoxFuture<'static, ()> {
        if !self.live.is_link(&replacement.of) {
            return replacement.close();
        }
        self.live.replace(replacement.connection);
        self.live.close_retired(limit)
    }

    /// The caller sees to it that the change is a live one.
    pub(super) async fn update(&self, core: &mut Core, change: Change) -> Result<(), UpdateError> {
        let tried = self.try_revision(core, core.revision(change)?).await?;
        if let Err(error) = core.record_revision(&tried).await {
            if let Some(goodbye) = tried.withdraw() {
                goodbye.await;
            }
            return Err(error.into());
        }
        // From here to the end of the change nothing is awaited, so it happens as a whole or not at all.
        let Adopted { replacement, old } = core.adopt_revision(tried);
        let rest = replacement.map(|replacement| self.take_over(replacement, Some(core.limits.drain_limit)));
        drop(old);
        if let Some(rest) = rest {
            rest.await;
        }
        Ok(())
    }

    /// Shuts the gate, now; the rest is for whoever awaits.
    pub(super) fn disconnect(self, core: &Core, limit: Duration) -> Disconnecting {
        Disconnecting::draining(self.live, limit, core.recorded_disconnect())
    }

    /// The same, for the end of the process.
    pub(super) fn retire(self, core: &Core) -> Disconnecting {
        Disconnecting::draining(self.live, core.limits.drain_limit, None)
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

    /// Creates a KMS key; see [`Handle::create_key`].
    ///
    /// # Errors
    ///
    /// See [`Handle::create_key`].
    pub fn create_key(&self, new: &NewKey) -> impl Future<Output = Result<KeyMetadata, Error>> + Send {
        self.state.handle.create_key(new)
    }

    /// Encrypts; see [`Handle::encrypt`].
    ///
    /// # Errors
    ///
    /// See [`Handle::encrypt`].
    pub fn encrypt(
        &self,
        key: &KeyId,
        plaintext: &[u8],
        context: &EncryptionContext,
    ) -> impl Future<Output = Result<CiphertextBlob, Error>> + Send {
        self.state.handle.encrypt(key, plaintext, context)
    }

    /// Decrypts; see [`Handle::decrypt`].
    ///
    /// # Errors
    ///
    /// See [`Handle::decrypt`].
    pub fn decrypt(
        &self,
        blob: &[u8],
        context: &EncryptionContext,
    ) -> impl Future<Output = Result<SecretBytes, Error>> + Send {
        self.state.handle.decrypt(blob, context)
    }

    /// Decrypts what was encrypted under a given KMS key; see [`Handle::decrypt_under`].
    ///
    /// # Errors
    ///
    /// See [`Handle::decrypt_under`].
    pub fn decrypt_under(
        &self,
        key: &KeyId,
        blob: &[u8],
        context: &EncryptionContext,
    ) -> impl Future<Output = Result<SecretBytes, Error>> + Send {
        self.state.handle.decrypt_under(key, blob, context)
    }

    /// Encrypts again under another KMS key or context; see [`Handle::re_encrypt`].
    ///
    /// # Errors
    ///
    /// See [`Handle::re_encrypt`].
    pub fn re_encrypt(
        &self,
        blob: &[u8],
        source_context: &EncryptionContext,
        destination: &KeyId,
        destination_context: &EncryptionContext,
    ) -> impl Future<Output = Result<CiphertextBlob, Error>> + Send {
        self.state.handle.re_encrypt(blob, source_context, destination, destination_context)
    }

    /// A new data key; see [`Handle::generate_data_key`].
    ///
    /// # Errors
    ///
    /// See [`Handle::generate_data_key`].
    pub fn generate_data_key(
        &self,
        key: &KeyId,
        length: DataKeyLength,
        context: &EncryptionContext,
    ) -> impl Future<Output = Result<DataKey, Error>> + Send {
        self.state.handle.generate_data_key(key, length, context)
    }

    /// A new data key, wrapped alone; see [`Handle::generate_data_key_without_plaintext`].
    ///
    /// # Errors
    ///
    /// See [`Handle::generate_data_key_without_plaintext`].
    pub fn generate_data_key_without_plaintext(
        &self,
        key: &KeyId,
        length: DataKeyLength,
        context: &EncryptionContext,
    ) -> impl Future<Output = Result<CiphertextBlob, Error>> + Send {
        self.state.handle.generate_data_key_without_plaintext(key, length, context)
    }

    /// Describes a key of the key manager; see [`Handle::describe_backing_key`].
    ///
    /// # Errors
    ///
    /// See [`Handle::describe_backing_key`].
    pub fn describe_backing_key(
        &self,
        key: &BackingKeyId,
    ) -> impl Future<Output = Result<KeyDescription, Error>> + Send {
        self.state.handle.describe_backing_key(key)
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
    /// waits for its goodbye; [`describe`](KeyStore::describe) tells which. Dropped while it was being written down, the
    /// catalogue may have it although the store does not: update again.
    pub async fn update(&mut self, change: LiveChange) -> Result<(), UpdateError> {
        self.state.update(&mut self.core, change.into()).await
    }

    /// Disconnects: from this moment no call is admitted. Await the result to drain what is in flight.
    ///
    /// Awaiting lasts no longer than the drain limit and the close timeout of the store together
    /// ([`StoreBuilder`](crate::StoreBuilder)), provided that no poll of the backend blocks its thread. When it
    /// is over, no result is delivered any more and no future of the backend is polled.
    ///
    /// Awaiting it also writes it down, if the store is kept: dropped before, the store is disconnected now and connected
    /// again by a restart. [`unrecorded`](crate::DisconnectReport::unrecorded) says if that failed.
    #[must_use = "a disconnect makes progress only while it is awaited; dropped, it skips the goodbye and is not written down"]
    pub fn disconnect(self) -> KeyStore<Disconnecting> {
        let limit = self.core.limits.drain_limit;
        self.disconnect_within(limit)
    }

    /// Disconnects like [`disconnect`](Self::disconnect), with another limit for the calls in flight. Zero
    /// abandons all that are not done when the result is first polled.
    #[must_use = "a disconnect makes progress only while it is awaited; dropped, it skips the goodbye and is not written down"]
    pub fn disconnect_within(self, drain_limit: Duration) -> KeyStore<Disconnecting> {
        let Self { core, state } = self;
        let state = state.disconnect(&core, drain_limit);
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

    fn reach(&self) -> &dyn Reach {
        &self.handle
    }
}
