//! What uses a connected store: cheap to clone, revoked when the store disconnects.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::call::supervise;
use super::link::Slot;
use crate::backend::{
    BackendError, BackendErrorKind, BackingKeyId, CustomKeyStoreType, DescribeKeyRequest, Health,
    HealthRequest, KeyDescription, Operation, RequestId,
};
use crate::clock::Clock;
use crate::error::Error;
use crate::key::{Keyring, Keys};
use crate::secret::SecretBytes;
use crate::store_id::StoreId;
use crate::value::{InvalidValue, Problem};

/// The part of a connected store that does the work, for the tasks of a server.
///
/// One owner holds the [`KeyStore`](crate::KeyStore) and decides when to disconnect; any number of tasks hold
/// clones of its handle. A handle outlives the connection and then answers
/// [`NotConnected`](crate::ErrorKind::NotConnected); it keeps no session alive. It does not come back to life
/// when the store is connected again: take a new one. [`closed`](Self::closed) tells a task when to end.
///
/// # Deadlines and cancelling
///
/// Every operation ends within the store's call timeout
/// ([`StoreBuilder::call_timeout`](crate::StoreBuilder::call_timeout)), counted from its first poll, with
/// [`TimedOut`](crate::backend::BackendErrorKind::TimedOut), provided that no poll of the backend blocks its
/// thread; the backend has a tighter deadline of its own. Dropping the future of any operation drops the backend's and takes the call out
/// of the count of those in flight; whether it took effect in the key manager is then unknown.
///
/// ```
/// # use custom_key_store::{EncryptionContext, KeyStore, NewKey, StoreName};
/// # use custom_key_store::backend::{BackingKeyId, software::KeyManager};
/// # futures::executor::block_on(async {
/// # let manager = KeyManager::new();
/// # let external = BackingKeyId::new("key-1")?;
/// # manager.create_key(external.clone());
/// let store = KeyStore::ephemeral(StoreName::new("root")?, manager).connect().await?;
/// let handle = store.handle();
/// let key = handle.create_key(&NewKey::external(external)).await?.key_id;
///
/// let context = EncryptionContext::none();
/// let blob = handle.encrypt(&key, b"attack at dawn", &context).await?;
/// let store = store.disconnect(); // takes effect here
/// assert!(handle.decrypt(blob.as_bytes(), &context).await.is_err());
/// store.await;
/// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
/// ```
#[derive(Clone)]
pub struct Handle {
    shared: Arc<Shared>,
    caller: Option<Arc<Caller>>,
}

/// What the store and all its handles share while it is connected.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) slot: Slot,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) call_timeout: Duration,
    pub(super) principal: Arc<str>,
    pub(super) id: StoreId,
    pub(super) store_type: CustomKeyStoreType,
    pub(super) ring: Arc<Keyring>,
}

/// On whose behalf a [`Handle`] works; reaches the key manager with every request.
///
/// What is given is sent, with each operation. AWS KMS names the VPC and its endpoint to an external key store only of
/// calls that came through an endpoint, and with an encryption or a decryption only if the caller owns the KMS key. Who
/// owns a key is known to the application alone: one whose key manager relies on this gives no source in the other cases.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Caller {
    /// Who: an ARN, a service principal, or a name of the application's own.
    pub principal: Arc<str>,
    /// The VPC that the call came from.
    pub source_vpc: Option<String>,
    /// The VPC endpoint that the call came through.
    pub source_vpc_endpoint: Option<String>,
    /// The service that called on the principal's behalf.
    pub via_service: Option<String>,
    /// The address that the call came from, for an audit trail; no key manager is told it.
    pub source_address: Option<IpAddr>,
}

impl Caller {
    /// A caller of whom only the principal is known.
    #[must_use]
    pub fn new(principal: impl Into<Arc<str>>) -> Self {
        Self {
            principal: principal.into(),
            source_vpc: None,
            source_vpc_endpoint: None,
            via_service: None,
            source_address: None,
        }
    }

    /// The same, calling from this VPC through this endpoint.
    #[must_use]
    pub fn with_source(mut self, vpc: impl Into<String>, endpoint: impl Into<String>) -> Self {
        self.source_vpc = Some(vpc.into());
        self.source_vpc_endpoint = Some(endpoint.into());
        self
    }

    /// The same, through this service.
    #[must_use]
    pub fn with_via_service(mut self, service: impl Into<String>) -> Self {
        self.via_service = Some(service.into());
        self
    }

    /// The same, from this address.
    #[must_use]
    pub const fn with_source_address(mut self, address: IpAddr) -> Self {
        self.source_address = Some(address);
        self
    }
}

/// Makes a call on the current connection: `$method` of it, with the `$request` that carries `$metadata`.
///
/// A macro, because the connection is borrowed from a local that must outlive the await.
macro_rules! call {
    // The only one that is about a ciphertext of the caller's.
    ($handle:expr, $operation:expr, decrypt, |$metadata:ident| $request:expr) => {
        call!(@made $handle, $operation, decrypt, |$metadata| $request)
    };
    ($handle:expr, $operation:expr, $method:ident, |$metadata:ident| $request:expr) => {
        call!(@made $handle, $operation, $method, |$metadata| $request)
            .map_err($crate::error::Error::of_the_key_manager)
    };
    (@made $handle:expr, $operation:expr, $method:ident, |$metadata:ident| $request:expr) => {{
        let handle: Acting<'_> = $handle;
        let made;
        let request_id = match handle.request_id {
            Some(given) => given,
            None => {
                made = RequestId::generate();
                &made
            }
        };
        let $metadata = handle.metadata($operation, request_id);
        let request = $request;
        let slot = &handle.shared.slot;
        let mut current = slot.current();
        let (permit, connection) = loop {
            if let Some(admitted) = slot.enter(&current)? {
                break admitted;
            }
            current = slot.current();
        };
        let call = || connection.$method(&request);
        supervise(permit, &*handle.shared.clock, handle.shared.call_timeout, call).await
    }};
}

mod acting;
mod create;
mod crypto;
pub(crate) use acting::Acting;
pub(crate) use acting::check_random;
pub use crypto::{DataKey, DataKeyLength};
pub(crate) use crypto::{Used, check_plaintext};

impl Handle {
    pub(super) const fn new(shared: Arc<Shared>) -> Self {
        Self { shared, caller: None }
    }

    /// The id of the store.
    #[must_use]
    pub fn store_id(&self) -> &StoreId {
        &self.shared.id
    }

    /// The same store, used on behalf of somebody: the key manager learns who, for its authorization and log.
    #[must_use]
    pub fn on_behalf_of(&self, caller: Caller) -> Self {
        Self { shared: Arc::clone(&self.shared), caller: Some(Arc::new(caller)) }
    }

    /// What the key manager says of one of its own keys, whether or not a KMS key refers to it.
    ///
    /// # Errors
    ///
    /// [`NotConnected`](crate::ErrorKind::NotConnected), and [`Backend`](crate::ErrorKind::Backend), where
    /// [`KeyNotFound`](crate::backend::BackendErrorKind::KeyNotFound) means that it has no such key.
    ///
    /// # Cancel safety
    ///
    /// See [the type](Self#deadlines-and-cancelling).
    pub async fn describe_backing_key(&self, key: &BackingKeyId) -> Result<KeyDescription, Error> {
        let acting = self.acting();
        call!(acting, &Operation::DESCRIBE_KEY, describe_key, |metadata| DescribeKeyRequest::new(
            metadata, key
        ))
        .map_err(|error| error.on_key(key, None))
    }

    /// 1 to 1,024 random bytes from the key manager; CloudHSM key stores only.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) for another length,
    /// [`NotConnected`](crate::ErrorKind::NotConnected), and [`Backend`](crate::ErrorKind::Backend), where
    /// [`Unsupported`](crate::backend::BackendErrorKind::Unsupported) means that the key manager offers none.
    ///
    /// # Cancel safety
    ///
    /// See [the type](Self#deadlines-and-cancelling).
    pub async fn generate_random(&self, length: usize) -> Result<SecretBytes, Error> {
        self.acting().generate_random(length).await
    }

    /// How the key manager is. A reading: whatever it says, the store stays connected.
    ///
    /// # Errors
    ///
    /// [`NotConnected`](crate::ErrorKind::NotConnected), and [`Backend`](crate::ErrorKind::Backend) when the
    /// key manager does not answer at all.
    ///
    /// # Cancel safety
    ///
    /// See [the type](Self#deadlines-and-cancelling).
    pub async fn health(&self) -> Result<Health, Error> {
        let acting = self.acting();
        call!(acting, &Operation::HEALTH_CHECK, health, |metadata| HealthRequest::new(metadata))
    }

    /// Whether the store is still connected. It may not be a moment later.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        !self.shared.slot.is_closing()
    }

    /// Resolves when the store is being disconnected, or was dropped.
    ///
    /// For a task that ends with the store:
    /// `select! { _ = handle.closed() => return, job = next_job() => .. }`. Race it against waiting for work, never
    /// against a call: that would cancel what the disconnect would have waited for.
    ///
    /// # Cancel safety
    ///
    /// May be dropped and called again at will.
    pub async fn closed(&self) {
        self.shared.slot.closed().await;
    }

    /// The KMS keys of the store, to be viewed and managed.
    #[must_use]
    pub fn keys(&self) -> Keys<'_> {
        Keys::new(&self.shared.ring, self)
    }

    pub(crate) fn ring(&self) -> &Keyring {
        &self.shared.ring
    }

    /// The store on behalf of whoever this handle is for.
    fn acting(&self) -> Acting<'_> {
        Acting { shared: &self.shared, caller: self.caller.as_deref(), request_id: None }
    }

    /// The store on behalf of `caller`, whose request has this id. Costs nothing.
    pub(crate) fn acting_for<'h>(&'h self, caller: &'h Caller, request_id: &'h RequestId) -> Acting<'h> {
        Acting { shared: &self.shared, caller: Some(caller), request_id: Some(request_id) }
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle")
            .field("store_id", &self.shared.id)
            .field("connected", &self.is_connected())
            .field("caller", &self.caller)
            .finish()
    }
}

/// Refuses a reply of another length than was asked for: half a random number must not pass for a whole one.
fn as_long_as(asked: usize, answered: usize) -> Result<(), Error> {
    if asked == answered {
        return Ok(());
    }
    let detail = format!("{answered} bytes where {asked} were asked for");
    Err(BackendError::new(BackendErrorKind::InvalidResponse).with_detail(detail).into())
}

/// Refuses lengths of 0 and above `maximum`.
const fn within(
    field: &'static str,
    expected: &'static str,
    length: usize,
    maximum: usize,
) -> Result<(), InvalidValue> {
    let problem = if length == 0 {
        Problem::TooShort { length, minimum: 1 }
    } else if length > maximum {
        Problem::TooLong { length, maximum }
    } else {
        return Ok(());
    };
    Err(InvalidValue::new(field, expected, problem))
}
