//! What uses a connected store: cheap to clone, revoked when the store disconnects.

use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use super::call::supervise;
use super::id::StoreId;
use super::link::Slot;
use crate::backend::{
    BackendError, BackendErrorKind, BackingKeyId, Ciphertext, DecryptRequest, DeleteKeyRequest,
    DescribeKeyRequest, EncryptRequest, GenerateKeyRequest, GenerateRandomRequest, Health, HealthRequest,
    KeyDescription, Operation, RequestId, RequestMetadata,
};
use crate::clock::Clock;
use crate::crypto::EncryptionContext;
use crate::error::Error;
use crate::secret::SecretBytes;
use crate::value::{InvalidValue, Problem, TextRule};

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
/// # use custom_key_store::{EncryptionContext, KeyStore, StoreName};
/// # use custom_key_store::backend::{BackingKeyId, software::KeyManager};
/// # futures::executor::block_on(async {
/// # let manager = KeyManager::new();
/// # let key = BackingKeyId::new("key-1")?;
/// # manager.create_key(key.clone());
/// let store = KeyStore::new(StoreName::new("root")?, manager).connect().await?;
/// let handle = store.handle();
///
/// let context = EncryptionContext::none();
/// let ciphertext = handle.encrypt(&key, b"attack at dawn", &context).await?;
/// let store = store.disconnect(); // takes effect here
/// assert!(handle.decrypt(&key, &ciphertext, &context).await.is_err());
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
}

/// On whose behalf a [`Handle`] works; reaches the key manager with every request.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Caller {
    /// Who: an ARN, a service principal, or a name of the application's own.
    pub principal: String,
    /// The VPC that the call came from.
    pub source_vpc: Option<String>,
    /// The VPC endpoint that the call came through.
    pub source_vpc_endpoint: Option<String>,
    /// The service that called on the principal's behalf.
    pub via_service: Option<String>,
}

impl Caller {
    /// A caller of whom only the principal is known.
    #[must_use]
    pub fn new(principal: impl Into<String>) -> Self {
        Self { principal: principal.into(), source_vpc: None, source_vpc_endpoint: None, via_service: None }
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
}

/// Makes a call on the current connection: `$method` of it, with the `$request` that carries `$metadata`.
///
/// A macro, because the connection is borrowed from a local that must outlive the await.
macro_rules! call {
    ($handle:ident, $operation:expr, $method:ident, |$metadata:ident| $request:expr) => {{
        let request_id = RequestId::generate();
        let operation = $operation;
        let $metadata = $handle.metadata(&operation, &request_id);
        let request = $request;
        let slot = &$handle.shared.slot;
        let mut current = slot.current();
        let (permit, connection) = loop {
            if let Some(admitted) = slot.enter(&current)? {
                break admitted;
            }
            current = slot.current();
        };
        let call = || connection.$method(&request);
        supervise(permit, &*$handle.shared.clock, $handle.shared.call_timeout, call).await
    }};
}

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

    /// Encrypts 1 to 4,096 bytes under a key of the key manager; the encryption is verified.
    ///
    /// This is the first, raw form: the key manager sees the plaintext. Give it what is sealed already.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) for a plaintext of another length,
    /// [`NotConnected`](crate::ErrorKind::NotConnected), and
    /// [`Backend`](crate::ErrorKind::Backend) for what the key manager answers.
    ///
    /// # Cancel safety
    ///
    /// See [the type](Self#deadlines-and-cancelling).
    pub async fn encrypt(
        &self,
        key: &BackingKeyId,
        plaintext: &[u8],
        context: &EncryptionContext,
    ) -> Result<Ciphertext, Error> {
        within("Plaintext", "1 to 4,096 bytes", plaintext.len(), 4096)?;
        let ciphertext = call!(self, Operation::ENCRYPT, encrypt, |metadata| {
            EncryptRequest::new(metadata, key, plaintext).with_aad(context.canonical())
        })?;
        as_long_as(plaintext.len(), ciphertext.bytes.len())?;
        Ok(ciphertext)
    }

    /// Decrypts what [`encrypt`](Self::encrypt) gave, under the same key and encryption context.
    ///
    /// # Errors
    ///
    /// [`InvalidCiphertext`](crate::ErrorKind::InvalidCiphertext) when ciphertext, key or context is not the
    /// one of the encryption, [`NotConnected`](crate::ErrorKind::NotConnected), and
    /// [`Backend`](crate::ErrorKind::Backend) for what the key manager answers.
    ///
    /// # Cancel safety
    ///
    /// See [the type](Self#deadlines-and-cancelling).
    pub async fn decrypt(
        &self,
        key: &BackingKeyId,
        ciphertext: &Ciphertext,
        context: &EncryptionContext,
    ) -> Result<SecretBytes, Error> {
        let decrypted = call!(self, Operation::DECRYPT, decrypt, |metadata| {
            DecryptRequest::new(metadata, key, ciphertext).with_aad(context.canonical())
        })?;
        as_long_as(ciphertext.bytes.len(), decrypted.plaintext.len())?;
        Ok(decrypted.plaintext)
    }

    /// What the key manager says of one of its keys.
    ///
    /// # Errors
    ///
    /// [`NotConnected`](crate::ErrorKind::NotConnected), and [`Backend`](crate::ErrorKind::Backend), where
    /// [`KeyNotFound`](crate::backend::BackendErrorKind::KeyNotFound) means that it has no such key.
    ///
    /// # Cancel safety
    ///
    /// See [the type](Self#deadlines-and-cancelling).
    pub async fn describe_key(&self, key: &BackingKeyId) -> Result<KeyDescription, Error> {
        call!(self, Operation::DESCRIBE_KEY, describe_key, |metadata| DescribeKeyRequest::new(metadata, key))
    }

    /// Has the key manager make a 256-bit AES key that cannot be extracted; CloudHSM key stores only.
    ///
    /// `label`, 1 to 2,048 characters without control characters, is what people will find the key by in the key
    /// manager.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) for another label,
    /// [`NotConnected`](crate::ErrorKind::NotConnected), and [`Backend`](crate::ErrorKind::Backend), where
    /// [`Unsupported`](crate::backend::BackendErrorKind::Unsupported) means that the key manager makes no keys.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it resolves, a key may exist that nobody knows; it carries the label.
    pub async fn generate_key(&self, label: &str) -> Result<BackingKeyId, Error> {
        LABEL.check(label)?;
        let generated = call!(self, Operation::CREATE_KEY, generate_key, |metadata| {
            GenerateKeyRequest::new(metadata, label)
        })?;
        Ok(generated.key)
    }

    /// Has the key manager delete a key that it made; what was encrypted under it is lost for ever.
    ///
    /// # Errors
    ///
    /// [`NotConnected`](crate::ErrorKind::NotConnected), and [`Backend`](crate::ErrorKind::Backend), where
    /// [`Unsupported`](crate::backend::BackendErrorKind::Unsupported) means that the key manager deletes no keys.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it resolves, the key may or may not exist still; deleting it again tells.
    pub async fn delete_key(&self, key: &BackingKeyId) -> Result<(), Error> {
        call!(self, Operation::DELETE_KEY, delete_key, |metadata| DeleteKeyRequest::new(metadata, key))
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
        within("NumberOfBytes", "1 to 1,024", length, 1024)?;
        let bytes = call!(self, Operation::GENERATE_RANDOM, generate_random, |metadata| {
            GenerateRandomRequest::new(metadata, length)
        })?;
        as_long_as(length, bytes.len())?;
        Ok(bytes)
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
        call!(self, Operation::HEALTH_CHECK, health, |metadata| HealthRequest::new(metadata))
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
        let slot = &self.shared.slot;
        let mut watch = Watch { slot, key: None };
        // Not `move`: that would copy the key and leave the one that is given up as it was.
        poll_fn(|cx| {
            // Registered before the look, so that a disconnect in between is not missed.
            slot.watchers().register(&mut watch.key, cx.waker());
            if slot.is_closing() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    fn metadata<'a>(&'a self, operation: &'a Operation, request_id: &'a RequestId) -> RequestMetadata<'a> {
        match &self.caller {
            None => RequestMetadata::new(&self.shared.principal, operation, request_id),
            Some(caller) => RequestMetadata::new(&caller.principal, operation, request_id)
                .with_source(caller.source_vpc.as_deref(), caller.source_vpc_endpoint.as_deref())
                .with_via_service(caller.via_service.as_deref()),
        }
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

/// Takes its waker back when the wait is dropped.
struct Watch<'s> {
    slot: &'s Slot,
    key: Option<usize>,
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        if let Some(key) = self.key.take() {
            self.slot.watchers().remove(key);
        }
    }
}

const LABEL: TextRule = TextRule {
    field: "Label",
    expected: "1 to 2,048 characters, none of them a control character",
    length: 1..=2048,
    legal: |c| !c.is_control(),
};

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
