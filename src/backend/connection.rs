//! The two traits.

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;

use super::{
    BackendError, BackendErrorKind, Change, Ciphertext, Closed, ConnectRequest, ConnectionError,
    DecryptRequest, Decrypted, DeleteKeyRequest, DescribeKeyRequest, EncryptRequest, GenerateKeyRequest,
    GenerateRandomRequest, GeneratedKey, Health, HealthRequest, InvalidChange, KeyDescription,
    StoreConfiguration,
};
use crate::secret::SecretBytes;

/// A key manager that can be connected to.
///
/// # For implementers
///
/// A backend is a description: it holds a configuration and a credential and does nothing before
/// [`connect`](Self::connect). Any number of connections may exist at once, since a live update connects
/// anew before the old connection is closed. `Debug` shows no secret, here and on a connection. Run
/// `backend::conformance::Suite` (feature `conformance`) on yours.
///
/// Write `#[async_trait]` above the impl, and the requests as `&EncryptRequest<'_>`; the macro is that of the crate
/// `async-trait`.
///
/// A key manager that is neither a CloudHSM cluster nor behind an XKS proxy takes the configuration that its keys
/// are like: [`CloudHsm`](StoreConfiguration::CloudHsm) when it makes and holds keys for the store,
/// [`External`](StoreConfiguration::External) when it only uses keys that somebody else has made in it. The store
/// type decides which error codes the store can show, and whether creating and updating it contacts the key manager.
///
/// A library that blocks, as PKCS#11 does, belongs on threads of its own: a poll that blocks keeps the store's
/// deadlines from working. What such a thread still executes when its call was abandoned is what
/// [`Closed::still_running`] counts.
///
/// # Cancellation
///
/// The store drops the future of `connect` when its time is over, or when the application gives the attempt
/// up. Whatever the future has acquired by then (sockets, sessions, a login) must be released by that drop.
///
/// # Panics
///
/// A panic in `connect` is caught where the application unwinds, and makes the store `FAILED` with
/// `INTERNAL_ERROR`. One in `reconfigured`, or in `configuration` after it, refuses the update. One in
/// `configuration` when a store is built reaches whoever builds it.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait Backend: Debug + Send + Sync + 'static {
    /// The store type and what `describe()` prints; no secrets. Asked once when a store is built, and once with each
    /// update.
    fn configuration(&self) -> StoreConfiguration;

    /// A backend of the same store type with the change applied; this one stays as it is. Contacts nobody.
    ///
    /// [`Change::apply_to`] does the part that all backends share. The change's name is the store's affair
    /// and is ignored.
    ///
    /// # Errors
    ///
    /// [`InvalidChange`] when the change makes no sense for this key manager.
    fn reconfigured(&self, change: &Change) -> Result<Arc<dyn Backend>, InvalidChange>;

    /// Connects and authenticates, and proves that the key manager can be used.
    ///
    /// Resolves within the request's timeout. For a reason other than
    /// [`Connect`](super::ConnectReason::Connect) no password may be changed.
    ///
    /// # Errors
    ///
    /// [`ConnectionError`] with the code that the store will show; only codes of the store's own type.
    async fn connect(&self, request: &ConnectRequest) -> Result<Arc<dyn Connection>, ConnectionError>;
}

/// A live, authenticated connection to a key manager.
///
/// # For implementers
///
/// Methods are called concurrently, from any task. Each resolves within the connection's own deadline; the
/// store has a coarser one of its own and then drops the future. After [`close`](Self::close) every method
/// that is implemented answers [`Closed`](BackendErrorKind::Closed). When several errors apply, any of them may
/// be answered.
///
/// The four methods that a key manager must have are `describe_key`, `encrypt`, `decrypt` and `health`;
/// `generate_key`, `delete_key` and `generate_random` answer [`Unsupported`](BackendErrorKind::Unsupported)
/// unless they are implemented.
///
/// A wrapper that passes calls on must pass on *all* methods, defaulted ones too: put
/// `#[deny(clippy::missing_trait_methods)]` on its impl.
///
/// # Authenticated data
///
/// Whoever runs AES-GCM authenticates [`authenticated_data`](super::authenticated_data) of the request's
/// data and the metadata that it returns. A proxy passes both on untouched.
///
/// # Dropping
///
/// A future may be dropped at any await; the connection must then be as good as before. Dropping the last
/// `Arc` of a connection releases everything without an await: `close` is merely the polite way. A connection must
/// not panic when it is dropped. That is not caught, so that a mock whose expectations were not met fails its test.
///
/// # Which methods a store calls
///
/// A mock panics on a call that it does not expect, and the store makes that panic an error of kind
/// [`Panicked`](BackendErrorKind::Panicked), so look at the errors in such a test. A store calls `encrypt`, `decrypt`,
/// `describe_key`, `generate_key`, `delete_key`, `generate_random` and `health` when the application calls the
/// method of the same name; `health` also in a probe; and `close` once, when it disconnects, after a probe and
/// after a live update. Of a backend it calls `configuration` once, when it is built or updated, `connect`
/// for each attempt, and `reconfigured` for an update. (mockall's methods answer at once: for calls that take time or hang, use
/// [`software::KeyManager`](super::software::KeyManager). For its `Sequence` and `predicate`, depend on the
/// version of mockall that this crate uses.)
#[async_trait]
pub trait Connection: Debug + Send + Sync + 'static {
    /// What a key is. A disabled key is described, not refused.
    ///
    /// # Errors
    ///
    /// [`KeyNotFound`](BackendErrorKind::KeyNotFound), and any failure of transport or authentication.
    async fn describe_key(&self, request: &DescribeKeyRequest<'_>) -> Result<KeyDescription, BackendError>;

    /// Makes a 256-bit AES key that cannot be extracted.
    ///
    /// Dropped before it resolves, a key may exist that nobody knows: it carries the request's label.
    ///
    /// # Errors
    ///
    /// [`Unsupported`](BackendErrorKind::Unsupported) where keys are not made by us.
    async fn generate_key(&self, request: &GenerateKeyRequest<'_>) -> Result<GeneratedKey, BackendError> {
        let _ = request;
        Err(BackendErrorKind::Unsupported.into())
    }

    /// Deletes a key that [`generate_key`](Self::generate_key) made. Of other keys the key manager may refuse it.
    ///
    /// # Errors
    ///
    /// [`Unsupported`](BackendErrorKind::Unsupported) where keys are not made by us;
    /// [`KeyNotFound`](BackendErrorKind::KeyNotFound).
    async fn delete_key(&self, request: &DeleteKeyRequest<'_>) -> Result<(), BackendError> {
        let _ = request;
        Err(BackendErrorKind::Unsupported.into())
    }

    /// Random bytes from the key manager's own source, exactly as many as asked for: a store asks for 1 to 1,024.
    ///
    /// # Errors
    ///
    /// [`Unsupported`](BackendErrorKind::Unsupported) where there is none to offer.
    async fn generate_random(
        &self,
        request: &GenerateRandomRequest<'_>,
    ) -> Result<SecretBytes, BackendError> {
        let _ = request;
        Err(BackendErrorKind::Unsupported.into())
    }

    /// Encrypts with AES-GCM. The ciphertext has exactly the length of the plaintext, which is never empty when it
    /// comes from a store.
    ///
    /// # Errors
    ///
    /// [`KeyNotFound`](BackendErrorKind::KeyNotFound), [`InvalidKeyUsage`](BackendErrorKind::InvalidKeyUsage)
    /// (also for a verified encryption under a key that cannot decrypt),
    /// [`InvalidKeyState`](BackendErrorKind::InvalidKeyState) for a disabled key,
    /// [`Unsupported`](BackendErrorKind::Unsupported) (not `InvalidRequest`) for more data than it takes, and any
    /// failure of transport or authentication.
    async fn encrypt(&self, request: &EncryptRequest<'_>) -> Result<Ciphertext, BackendError>;

    /// Decrypts what [`encrypt`](Self::encrypt) gave. Under an initialization vector of a length that the key
    /// manager does not make itself, it decrypts or answers `InvalidCiphertext`.
    ///
    /// # Errors
    ///
    /// As for `encrypt`, and [`InvalidCiphertext`](BackendErrorKind::InvalidCiphertext) for whatever was
    /// changed: one error, whichever part it was.
    async fn decrypt(&self, request: &DecryptRequest<'_>) -> Result<Decrypted, BackendError>;

    /// How the key manager is.
    ///
    /// # Errors
    ///
    /// Any failure of transport or authentication. A sick key manager that answers is a reading, no error.
    async fn health(&self, request: &HealthRequest<'_>) -> Result<Health, BackendError>;

    /// Says goodbye: logs out, ends sessions, and tells which calls could not be stopped.
    ///
    /// A store calls it when no call is polled any more; futures of calls that it has abandoned may be dropped
    /// later. Called earlier, those in flight may end either way. Idempotent. Dropped before it resolves, the connection is
    /// dropped next, which releases everything.
    ///
    /// # Errors
    ///
    /// What went wrong with the goodbye; the connection is closed all the same.
    async fn close(&self) -> Result<Closed, BackendError>;
}

/// An `Arc` of a backend is that backend.
#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl<B: Backend + ?Sized> Backend for Arc<B> {
    fn configuration(&self) -> StoreConfiguration {
        (**self).configuration()
    }

    fn reconfigured(&self, change: &Change) -> Result<Arc<dyn Backend>, InvalidChange> {
        (**self).reconfigured(change)
    }

    async fn connect(&self, request: &ConnectRequest) -> Result<Arc<dyn Connection>, ConnectionError> {
        (**self).connect(request).await
    }
}

/// An `Arc` of a connection is that connection.
#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl<C: Connection + ?Sized> Connection for Arc<C> {
    async fn describe_key(&self, request: &DescribeKeyRequest<'_>) -> Result<KeyDescription, BackendError> {
        (**self).describe_key(request).await
    }

    async fn generate_key(&self, request: &GenerateKeyRequest<'_>) -> Result<GeneratedKey, BackendError> {
        (**self).generate_key(request).await
    }

    async fn delete_key(&self, request: &DeleteKeyRequest<'_>) -> Result<(), BackendError> {
        (**self).delete_key(request).await
    }

    async fn generate_random(
        &self,
        request: &GenerateRandomRequest<'_>,
    ) -> Result<SecretBytes, BackendError> {
        (**self).generate_random(request).await
    }

    async fn encrypt(&self, request: &EncryptRequest<'_>) -> Result<Ciphertext, BackendError> {
        (**self).encrypt(request).await
    }

    async fn decrypt(&self, request: &DecryptRequest<'_>) -> Result<Decrypted, BackendError> {
        (**self).decrypt(request).await
    }

    async fn health(&self, request: &HealthRequest<'_>) -> Result<Health, BackendError> {
        (**self).health(request).await
    }

    async fn close(&self) -> Result<Closed, BackendError> {
        (**self).close().await
    }
}
