//! What a KMS key is for.

use std::fmt;
use std::pin::pin;
use std::sync::Arc;

use futures_util::future::{Either, select};

use super::{Acting, Handle, as_long_as, supervise, within};
use crate::backend::{Ciphertext, DecryptRequest, EncryptRequest, Operation, RequestId};
use crate::crypto::{
    CiphertextBlob, Draft, EncryptionContext, MAX_PLAINTEXT_LEN, Parsed, additional_authenticated_data,
    digest, random_secret,
};
use crate::error::{Error, ErrorKind};
use crate::key::{KeyId, Protection, ReadyKey};
use crate::secret::SecretBytes;
use crate::value::InvalidValue;

impl Handle {
    /// Encrypts 1 to 4,096 bytes under a KMS key; every encryption is verified.
    ///
    /// In an external key store the plaintext is encrypted twice: first here, under material that the key manager does
    /// not have, then by the key manager, which sees neither plaintext nor context.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](ErrorKind::InvalidInput) for a plaintext of another length,
    /// [`KeyNotFound`](ErrorKind::KeyNotFound), [`KeyPendingDeletion`](ErrorKind::KeyPendingDeletion),
    /// [`NotConnected`](ErrorKind::NotConnected), [`KeyDisabled`](ErrorKind::KeyDisabled), found in this order;
    /// [`Catalog`](ErrorKind::Catalog), and [`Backend`](ErrorKind::Backend) for what the key manager answers.
    ///
    /// # Cancel safety
    ///
    /// See [the type](Self#deadlines-and-cancelling).
    pub async fn encrypt(
        &self,
        key: &KeyId,
        plaintext: &[u8],
        context: &EncryptionContext,
    ) -> Result<CiphertextBlob, Error> {
        Ok(self.acting().encrypt(key, plaintext, context).await?.result)
    }

    /// Decrypts a ciphertext blob, which names its KMS key, under the encryption context that it was encrypted with.
    ///
    /// In an external key store a blob that is damaged, or given with another context, is refused at once, without a
    /// trip to the key manager. (AWS KMS finds out at the key manager and answers `KMSInvalidStateException`.)
    ///
    /// # Errors
    ///
    /// [`InvalidCiphertext`](ErrorKind::InvalidCiphertext) for what no KMS key of this store encrypted with this context,
    /// [`UnknownVersion`](ErrorKind::UnknownVersion), [`KeyNotFound`](ErrorKind::KeyNotFound),
    /// [`KeyPendingDeletion`](ErrorKind::KeyPendingDeletion), [`NotConnected`](ErrorKind::NotConnected),
    /// [`KeyDisabled`](ErrorKind::KeyDisabled), [`Catalog`](ErrorKind::Catalog), and [`Backend`](ErrorKind::Backend) for
    /// what the key manager answers.
    ///
    /// # Cancel safety
    ///
    /// See [the type](Self#deadlines-and-cancelling).
    pub async fn decrypt(&self, blob: &[u8], context: &EncryptionContext) -> Result<SecretBytes, Error> {
        Ok(self.acting().decrypt(None, blob, context).await?.result)
    }

    /// Decrypts a ciphertext blob if it was encrypted under this KMS key: best practice where it is known.
    ///
    /// # Errors
    ///
    /// [`IncorrectKey`](ErrorKind::IncorrectKey) when it was encrypted under another, and those of
    /// [`decrypt`](Self::decrypt).
    ///
    /// # Cancel safety
    ///
    /// See [the type](Self#deadlines-and-cancelling).
    pub async fn decrypt_under(
        &self,
        key: &KeyId,
        blob: &[u8],
        context: &EncryptionContext,
    ) -> Result<SecretBytes, Error> {
        Ok(self.acting().decrypt(Some(key), blob, context).await?.result)
    }

    /// Decrypts a ciphertext blob and encrypts the plaintext again, under another KMS key of this store, another
    /// context, or both. The plaintext is not given out.
    ///
    /// # Errors
    ///
    /// Those of [`decrypt`](Self::decrypt) and of [`encrypt`](Self::encrypt).
    ///
    /// # Cancel safety
    ///
    /// See [the type](Self#deadlines-and-cancelling).
    pub async fn re_encrypt(
        &self,
        blob: &[u8],
        source_context: &EncryptionContext,
        destination: &KeyId,
        destination_context: &EncryptionContext,
    ) -> Result<CiphertextBlob, Error> {
        let acting = self.acting();
        let from = acting.reading(None, blob, source_context).await?;
        let to = acting.ready(destination).await?;
        acting.re_encrypt(&from, acting, &to, destination_context).await
    }

    /// A new data key: in the clear, to encrypt data with, and wrapped under a KMS key, to be stored beside the data.
    ///
    /// # Errors
    ///
    /// Those of [`encrypt`](Self::encrypt), but for the length.
    ///
    /// # Cancel safety
    ///
    /// See [the type](Self#deadlines-and-cancelling).
    pub async fn generate_data_key(
        &self,
        key: &KeyId,
        length: DataKeyLength,
        context: &EncryptionContext,
    ) -> Result<DataKey, Error> {
        let operation = &Operation::GENERATE_DATA_KEY;
        Ok(self.acting().generate_data_key(operation, key, length, context).await?.result)
    }

    /// A new data key, wrapped alone: for who prepares data keys that others will use.
    ///
    /// # Errors
    ///
    /// Those of [`generate_data_key`](Self::generate_data_key).
    ///
    /// # Cancel safety
    ///
    /// See [the type](Self#deadlines-and-cancelling).
    pub async fn generate_data_key_without_plaintext(
        &self,
        key: &KeyId,
        length: DataKeyLength,
        context: &EncryptionContext,
    ) -> Result<CiphertextBlob, Error> {
        let operation = &Operation::GENERATE_DATA_KEY_WITHOUT_PLAINTEXT;
        Ok(self.acting().generate_data_key(operation, key, length, context).await?.result.wrapped)
    }

    /// A dry run of [`encrypt`](Self::encrypt), [`generate_data_key`](Self::generate_data_key) and the like: finds what
    /// would be refused without the key manager, which is not contacted.
    ///
    /// # Errors
    ///
    /// Those of [`encrypt`](Self::encrypt) that the key manager has no part in.
    ///
    /// # Cancel safety
    ///
    /// May be dropped at will.
    pub async fn may_encrypt(&self, key: &KeyId) -> Result<(), Error> {
        self.acting().ready(key).await.map(drop)
    }

    /// A dry run of [`decrypt`](Self::decrypt): finds what would be refused without the key manager, which is not
    /// contacted.
    ///
    /// # Errors
    ///
    /// Those of [`decrypt`](Self::decrypt) that the key manager has no part in.
    ///
    /// # Cancel safety
    ///
    /// May be dropped at will.
    pub async fn may_decrypt(&self, blob: &[u8], context: &EncryptionContext) -> Result<(), Error> {
        self.acting().reading(None, blob, context).await.map(drop)
    }
}

/// What a call gives, and the key that it used.
#[derive(Debug)]
pub(crate) struct Used<T> {
    pub(crate) key: Arc<ReadyKey>,
    pub(crate) result: T,
}

/// Refuses a plaintext of a length that no key encrypts.
pub(crate) const fn check_plaintext(plaintext: &[u8]) -> Result<(), InvalidValue> {
    within("Plaintext", "1 to 4,096 bytes", plaintext.len(), MAX_PLAINTEXT_LEN)
}

impl Acting<'_> {
    pub(crate) async fn encrypt(
        self,
        key: &KeyId,
        plaintext: &[u8],
        context: &EncryptionContext,
    ) -> Result<Used<CiphertextBlob>, Error> {
        check_plaintext(plaintext)?;
        let key = self.ready(key).await?;
        let result = self.encrypt_under(&key, &Operation::ENCRYPT, plaintext, context).await?;
        Ok(Used { key, result })
    }

    pub(crate) async fn decrypt(
        self,
        key: Option<&KeyId>,
        blob: &[u8],
        context: &EncryptionContext,
    ) -> Result<Used<SecretBytes>, Error> {
        let reading = self.reading(key, blob, context).await?;
        let result = self.open(&Operation::DECRYPT, &reading).await?;
        Ok(Used { key: reading.key, result })
    }

    /// Decrypts what was read, and encrypts it again where `destination` is, which may be another store.
    pub(crate) async fn re_encrypt(
        self,
        reading: &Reading<'_>,
        destination: Acting<'_>,
        key: &ReadyKey,
        context: &EncryptionContext,
    ) -> Result<CiphertextBlob, Error> {
        let operation = &Operation::RE_ENCRYPT;
        let plaintext = self.open(operation, reading).await?;
        destination.encrypt_under(key, operation, plaintext.expose(), context).await
    }

    pub(crate) async fn generate_data_key(
        self,
        operation: &Operation,
        key: &KeyId,
        length: DataKeyLength,
        context: &EncryptionContext,
    ) -> Result<Used<DataKey>, Error> {
        let key = self.ready(key).await?;
        let plaintext = random_secret(length.bytes());
        let wrapped = self.encrypt_under(&key, operation, plaintext.expose(), context).await?;
        Ok(Used { key, result: DataKey { plaintext, wrapped } })
    }

    /// The key, if it can be used now.
    ///
    /// What else is wrong with it counts before the store's state, as AWS has it; but its material is fetched only
    /// while the store is connected.
    pub(crate) async fn ready(self, id: &KeyId) -> Result<Arc<ReadyKey>, Error> {
        let ring = &self.shared.ring;
        if !self.is_connected() {
            ring.refuse_unless_there(id).await?;
            return Err(Error::NOT_CONNECTED);
        }
        if let Some(key) = ring.kept(id) {
            return Ok(key);
        }
        let loaded = pin!(ring.load(id));
        let Either::Left((key, _)) = select(loaded, pin!(self.shared.slot.closed())).await else {
            return Err(Error::NOT_CONNECTED);
        };
        if !self.is_connected() {
            // Whoever disconnects wipes what is ready, and may have done so before this key was.
            ring.forget(id);
            return Err(Error::NOT_CONNECTED);
        }
        key
    }

    pub(crate) async fn encrypt_under(
        self,
        key: &ReadyKey,
        operation: &Operation,
        plaintext: &[u8],
        context: &EncryptionContext,
    ) -> Result<CiphertextBlob, Error> {
        match &key.protection {
            Protection::Double(material) => {
                let inner = material.seal(plaintext, context.canonical());
                let outer = self.encrypt_outer(key, operation, &inner.ciphertext, &inner.digest).await?;
                let draft = inner.draft.with_outer(&outer);
                let commitment = material.commit(draft.committed(), &inner.digest);
                Ok(draft.finish(&commitment))
            }
            Protection::Direct(material) => {
                let draft = Draft::new(key.arn.key_id(), material, None);
                let digest = digest(draft.header(), context.canonical());
                let outer = self.encrypt_outer(key, operation, plaintext, &digest).await?;
                Ok(draft.with_outer(&outer).finish(&[]))
            }
        }
    }

    async fn encrypt_outer(
        self,
        key: &ReadyKey,
        operation: &Operation,
        plaintext: &[u8],
        digest: &[u8; 32],
    ) -> Result<Ciphertext, Error> {
        let aad = additional_authenticated_data(digest);
        let outer = call!(self, operation, encrypt, |metadata| {
            let metadata = metadata.with_kms_key_arn(key.arn.as_str());
            EncryptRequest::new(metadata, &key.backing_key, plaintext).with_aad(&aad)
        })
        .map_err(|error| key.named_in(error))?;
        as_long_as(plaintext.len(), outer.bytes.len()).map_err(|error| key.named_in(error))?;
        Ok(outer)
    }

    pub(crate) async fn open(
        self,
        operation: &Operation,
        reading: &Reading<'_>,
    ) -> Result<SecretBytes, Error> {
        let Reading { blob, key, digest } = reading;
        let aad = additional_authenticated_data(digest);
        let ciphertext = blob.ciphertext();
        let decrypted = call!(self, operation, decrypt, |metadata| {
            let metadata = metadata.with_kms_key_arn(key.arn.as_str());
            DecryptRequest::new(metadata, &key.backing_key, &ciphertext).with_aad(&aad)
        });
        let named = |error| key.named_in(error);
        let Protection::Double(material) = &key.protection else {
            let plaintext = decrypted.map_err(named)?.plaintext;
            as_long_as(ciphertext.bytes.len(), plaintext.len()).map_err(named)?;
            return Ok(plaintext);
        };
        // The blob is one of ours in every bit, so that whatever is wrong now is the key manager's doing.
        let outer = decrypted.map_err(|error| named(error.of_the_key_manager()))?.plaintext;
        as_long_as(ciphertext.bytes.len(), outer.len()).map_err(named)?;
        material.open(blob, digest, outer.expose()).map_err(|_| named(Error::wrong_plaintext()))
    }

    /// What can be found out about a blob without the key manager.
    pub(crate) async fn reading<'b>(
        self,
        key: Option<&KeyId>,
        blob: &'b [u8],
        context: &EncryptionContext,
    ) -> Result<Reading<'b>, Error> {
        let blob = Parsed::new(blob)?;
        if let Some(wanted) = key.filter(|wanted| **wanted != blob.key) {
            self.shared.ring.stored(&blob.key).await?;
            return Err(Error::about(ErrorKind::IncorrectKey, wanted));
        }
        let key = self.ready(&blob.key).await?;
        let digest = digest(blob.header, context.canonical());
        let authentic = match &key.protection {
            Protection::Double(material) => material.check(&blob, &digest).is_ok(),
            // The key manager finds out the rest.
            Protection::Direct(material) => blob.is_direct(material),
        };
        if authentic { Ok(Reading { blob, key, digest }) } else { Err(Error::INVALID_CIPHERTEXT) }
    }
}

/// A blob that the key manager may be asked about.
pub(crate) struct Reading<'b> {
    blob: Parsed<'b>,
    pub(crate) key: Arc<ReadyKey>,
    digest: [u8; 32],
}

/// A key that data is encrypted with. `Debug` hides it; memory is wiped.
#[derive(Debug)]
#[non_exhaustive]
pub struct DataKey {
    /// The key. Keep it in memory alone, for as long as it is needed.
    pub plaintext: SecretBytes,
    /// The key as it is stored beside the data; [`Handle::decrypt`] gives it back.
    pub wrapped: CiphertextBlob,
}

/// How long a data key is: 1 to 1,024 bytes.
///
/// ```
/// use custom_key_store::DataKeyLength;
///
/// assert_eq!(DataKeyLength::AES_256.bytes(), 32);
/// assert!(DataKeyLength::new(1025).is_err());
/// # Ok::<(), custom_key_store::InvalidValue>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DataKeyLength(usize);

impl DataKeyLength {
    /// A 256-bit AES key.
    pub const AES_256: Self = Self(32);
    /// A 128-bit AES key.
    pub const AES_128: Self = Self(16);
    /// The greatest length, in bytes.
    pub const MAX: usize = 1024;

    /// So many bytes.
    ///
    /// # Errors
    ///
    /// [`InvalidValue`](crate::InvalidValue) unless they are 1 to 1,024.
    pub const fn new(bytes: usize) -> Result<Self, InvalidValue> {
        match within("NumberOfBytes", "1 to 1,024", bytes, Self::MAX) {
            Ok(()) => Ok(Self(bytes)),
            Err(error) => Err(error),
        }
    }

    /// The length in bytes.
    #[must_use]
    pub const fn bytes(self) -> usize {
        self.0
    }
}

impl fmt::Display for DataKeyLength {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0)
    }
}
