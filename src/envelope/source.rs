//! Where data keys come from.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use async_trait::async_trait;

use crate::crypto::{EncryptionContext, Parsed};
use crate::error::{Error, ErrorKind};
use crate::key::{KeyArn, KeyId};
use crate::secret::SecretBytes;
use crate::store::{DataKeyLength, Handle};
use crate::value::{InvalidValue, Problem};

/// A source of data keys: makes them, and unwraps them again.
///
/// The one built in is [`StoreKey`].
///
/// # For implementers
///
/// What is wrapped must be authenticated, together with the context. Errors of cryptography should be of kind
/// [`InvalidCiphertext`](ErrorKind::InvalidCiphertext). A call needs a deadline of its own; dropping it must do no
/// harm. The methods that are not async are called with each use of a data key: they must be quick.
#[async_trait]
#[diagnostic::on_unimplemented(
    message = "`{Self}` gives no data keys",
    note = "for a KMS key of a store, `StoreKey::new(&store.handle(), key_id)` does"
)]
pub trait DataKeys: fmt::Debug + Send + Sync + 'static {
    /// The KMS key that new data keys are wrapped under: always the same.
    fn key(&self) -> &KeyArn;

    /// The KMS key that this wrapped data key is said to be wrapped under.
    ///
    /// # Errors
    ///
    /// When it is none that this source unwraps with.
    fn wrapped_by(&self, wrapped: &[u8]) -> Result<&KeyArn, Error> {
        let _ = wrapped;
        Ok(self.key())
    }

    /// How it stands with a KMS key now.
    fn standing(&self, key: &KeyArn) -> Standing {
        let _ = key;
        Standing::default()
    }

    /// Whether the KMS key is being changed, so that what it wraps or unwraps now must not be kept.
    fn is_changing(&self, key: &KeyArn) -> bool {
        let _ = key;
        false
    }

    /// A new data key of 32 bytes.
    ///
    /// # Errors
    ///
    /// What the source answers; it is passed on.
    async fn generate(&self, context: &EncryptionContext) -> Result<FreshKey, Error>;

    /// The data key that was wrapped for the same context.
    ///
    /// # Errors
    ///
    /// What the source answers; it is passed on.
    async fn unwrap(&self, wrapped: &[u8], context: &EncryptionContext) -> Result<SecretBytes, Error>;
}

/// An `Arc` of a source is that source.
#[async_trait]
impl<D: DataKeys + ?Sized> DataKeys for Arc<D> {
    fn key(&self) -> &KeyArn {
        (**self).key()
    }

    fn wrapped_by(&self, wrapped: &[u8]) -> Result<&KeyArn, Error> {
        (**self).wrapped_by(wrapped)
    }

    fn standing(&self, key: &KeyArn) -> Standing {
        (**self).standing(key)
    }

    fn is_changing(&self, key: &KeyArn) -> bool {
        (**self).is_changing(key)
    }

    async fn generate(&self, context: &EncryptionContext) -> Result<FreshKey, Error> {
        (**self).generate(context).await
    }

    async fn unwrap(&self, wrapped: &[u8], context: &EncryptionContext) -> Result<SecretBytes, Error> {
        (**self).unwrap(wrapped, context).await
    }
}

/// A data key that was just made. `Debug` hides it.
#[derive(Debug)]
#[non_exhaustive]
pub struct FreshKey {
    /// The key: 32 bytes.
    pub plaintext: SecretBytes,
    /// The key as it is stored with the data: 1 to 6,144 bytes.
    pub wrapped: Vec<u8>,
}

impl FreshKey {
    /// Both forms of it.
    #[must_use]
    pub const fn new(plaintext: SecretBytes, wrapped: Vec<u8>) -> Self {
        Self { plaintext, wrapped }
    }
}

/// How it stands with a KMS key, as far as it matters to the data keys that are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Standing {
    /// Another number after each change of the KMS key: what was kept before is used no more.
    pub generation: u64,
    /// Whether the KMS key can be reached.
    pub connected: bool,
}

impl Standing {
    /// Of this generation; connected or not.
    #[must_use]
    pub const fn new(generation: u64, connected: bool) -> Self {
        Self { generation, connected }
    }
}

/// Never changed, and connected.
impl Default for Standing {
    fn default() -> Self {
        Self::new(0, true)
    }
}

/// A KMS key of a custom key store, as the source of data keys.
///
/// Unwraps only what was wrapped under this KMS key, or under one that it was told to
/// [accept](Self::accepting): an attacker who can use another key of the store cannot slip data in.
///
/// Keep an `Arc` of it where the store may be connected again: its handle does not come back to life by itself, and
/// [`reconnect`](Self::reconnect) takes the new one.
pub struct StoreKey {
    handle: ArcSwap<Handle>,
    /// The first wraps; all unwrap.
    keys: Vec<KeyArn>,
    key: KeyArn,
}

impl StoreKey {
    /// The key of this id in the store of this handle. Contacts nobody.
    #[must_use]
    pub fn new(handle: &Handle, key: KeyId) -> Self {
        let key = key.arn(handle.ring().ledger().identity());
        Self { handle: ArcSwap::from_pointee(handle.clone()), keys: vec![key.clone()], key }
    }

    /// Unwraps what was wrapped under this other KMS key of the store too: after a change of keys, until the last
    /// wrapped data key is [re-wrapped](super::Sweep).
    #[must_use]
    pub fn accepting(mut self, key: KeyId) -> Self {
        self.keys.push(key.arn(self.handle.load().ring().ledger().identity()));
        self
    }

    /// Goes on with a new handle of the same store, which was connected again.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](ErrorKind::InvalidInput) for a handle of another store.
    pub fn reconnect(&self, handle: &Handle) -> Result<(), Error> {
        if handle.store_id() != self.handle.load().store_id() {
            let problem = Problem::Inconsistent { with: "KeyId" };
            return Err(InvalidValue::new("CustomKeyStoreId", "the store that the key is in", problem).into());
        }
        self.handle.store(Arc::new(handle.clone()));
        Ok(())
    }
}

#[async_trait]
impl DataKeys for StoreKey {
    fn key(&self) -> &KeyArn {
        &self.key
    }

    fn wrapped_by(&self, wrapped: &[u8]) -> Result<&KeyArn, Error> {
        let id = Parsed::new(wrapped)?.key;
        let known = self.keys.iter().find(|key| key.key_id() == id);
        known.ok_or_else(|| Error::about(ErrorKind::IncorrectKey, &self.key.key_id()))
    }

    fn standing(&self, key: &KeyArn) -> Standing {
        let handle = self.handle.load();
        Standing::new(handle.ring().generation(&key.key_id()), handle.is_connected())
    }

    fn is_changing(&self, key: &KeyArn) -> bool {
        self.handle.load().ring().is_changing(&key.key_id())
    }

    async fn generate(&self, context: &EncryptionContext) -> Result<FreshKey, Error> {
        let handle = self.handle.load_full();
        let made = handle.generate_data_key(&self.key.key_id(), DataKeyLength::AES_256, context).await?;
        Ok(FreshKey::new(made.plaintext, made.wrapped.into_bytes()))
    }

    async fn unwrap(&self, wrapped: &[u8], context: &EncryptionContext) -> Result<SecretBytes, Error> {
        let key = self.wrapped_by(wrapped)?.key_id();
        self.handle.load_full().decrypt_under(&key, wrapped, context).await
    }
}

impl fmt::Debug for StoreKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreKey").field("handle", &self.handle.load()).field("keys", &self.keys).finish()
    }
}
