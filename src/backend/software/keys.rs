//! Keys in memory, and what is done with them.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use aws_lc_rs::aead::{Aad, LessSafeKey, NONCE_LEN, Nonce};
use zeroize::{Zeroize as _, Zeroizing};

use crate::backend::{
    BackendError, BackendErrorKind, BackingKeyId, Ciphertext, CiphertextMetadata, DecryptRequest, Decrypted,
    EncryptRequest, InitializationVector, KeyDescription, KeySpec, KeyStatus, KeyUsages, authenticated_data,
};
use crate::primitive::{KEY_LEN, aes_256_gcm, fill, random};
use crate::secret::SecretBytes;

/// The longest plaintext and ciphertext.
pub(super) const MAX_PLAINTEXT_LEN: usize = 65_536;
/// Where the two-byte length in the authenticated string ends.
pub(super) const MAX_AAD_LEN: usize = 65_535;

/// How often one AES-GCM key may meet a random 96-bit nonce (NIST SP 800-38D, 8.3).
const MAX_ENCRYPTIONS: u64 = 1 << 32;

/// The ciphertext metadata: which layout the authenticated data has. There is one so far, that of
/// [`authenticated_data`]; the mark lets a later one be told apart (row XKS-P-63).
const LAYOUT_VERSION: &[u8] = &[0x01];

/// A 256-bit AES key to be put into a [`KeyManager`](super::KeyManager): enabled, and for both directions
/// unless said otherwise. `Debug` hides the key, memory is wiped.
///
/// ```
/// use custom_key_store::backend::software::SoftwareKey;
/// use custom_key_store::backend::{KeyStatus, KeyUsages};
///
/// let key = SoftwareKey::generate().usages(KeyUsages::DECRYPT).status(KeyStatus::Disabled);
/// ```
#[derive(Clone)]
#[must_use]
pub struct SoftwareKey {
    bytes: Zeroizing<[u8; KEY_LEN]>,
    usages: KeyUsages,
    status: KeyStatus,
}

impl SoftwareKey {
    /// A random key.
    pub fn generate() -> Self {
        let mut bytes = Zeroizing::new([0; KEY_LEN]);
        fill(bytes.as_mut_slice());
        Self::with_bytes(bytes)
    }

    /// The key with these bytes, such as one of a test vector. Copies them; the original is the caller's to
    /// wipe.
    pub fn from_bytes(bytes: &[u8; KEY_LEN]) -> Self {
        Self::with_bytes(Zeroizing::new(*bytes))
    }

    const fn with_bytes(bytes: Zeroizing<[u8; KEY_LEN]>) -> Self {
        Self { bytes, usages: KeyUsages::ENCRYPT_DECRYPT, status: KeyStatus::Enabled }
    }

    /// The same, for these uses alone.
    pub const fn usages(mut self, usages: KeyUsages) -> Self {
        self.usages = usages;
        self
    }

    /// The same with this status, which the key manager can change later.
    pub const fn status(mut self, status: KeyStatus) -> Self {
        self.status = status;
        self
    }
}

impl fmt::Debug for SoftwareKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SoftwareKey")
            .field("usages", &self.usages)
            .field("status", &self.status)
            .finish_non_exhaustive()
    }
}

/// A key in the table. Its parts that change are atomic, so that a change reaches calls that hold it already.
pub(super) struct Key {
    cipher: LessSafeKey,
    usages: KeyUsages,
    enabled: AtomicBool,
    encryptions: AtomicU64,
    label: Option<Box<str>>,
}

impl Key {
    pub(super) fn new(key: &SoftwareKey, label: Option<&str>) -> Self {
        Self {
            cipher: aes_256_gcm(&key.bytes),
            usages: key.usages,
            enabled: AtomicBool::new(key.status == KeyStatus::Enabled),
            encryptions: AtomicU64::new(0),
            label: label.map(Box::from),
        }
    }

    fn status(&self) -> KeyStatus {
        if self.enabled.load(Ordering::Relaxed) { KeyStatus::Enabled } else { KeyStatus::Disabled }
    }

    pub(super) fn describe(&self) -> KeyDescription {
        KeyDescription::new(KeySpec::Aes256, self.usages, self.status())
    }

    /// Encrypts. `between` may touch the ciphertext before it is checked: damage must not pass for verified.
    pub(super) fn encrypt(
        &self,
        request: &EncryptRequest<'_>,
        between: impl FnOnce(&mut Ciphertext),
    ) -> Result<Ciphertext, BackendError> {
        let EncryptRequest { metadata: _, key: _, plaintext, additional_authenticated_data: aad, verified } =
            *request;
        refuse_too_much(plaintext, aad)?;
        self.refuse_disabled()?;
        if !self.usages.encrypt || (verified && !self.usages.decrypt) {
            return Err(BackendErrorKind::InvalidKeyUsage.into());
        }
        self.count_encryption()?;

        let mut ciphertext = self.seal(plaintext, aad)?;
        between(&mut ciphertext);
        if verified {
            let again = self.open(&ciphertext, aad);
            // `SecretBytes` compare in constant time.
            if again.ok() != Some(SecretBytes::from(plaintext)) {
                return Err(BackendErrorKind::IntegrityCheckFailed.into());
            }
        }
        Ok(ciphertext)
    }

    pub(super) fn decrypt(&self, request: &DecryptRequest<'_>) -> Result<Decrypted, BackendError> {
        let DecryptRequest { metadata: _, key: _, ciphertext, additional_authenticated_data: aad } = *request;
        refuse_too_much(&ciphertext.bytes, aad)?;
        self.refuse_disabled()?;
        if !self.usages.decrypt {
            return Err(BackendErrorKind::InvalidKeyUsage.into());
        }
        self.open(ciphertext, aad).map(Decrypted::new)
    }

    fn refuse_disabled(&self) -> Result<(), BackendError> {
        match self.status() {
            KeyStatus::Enabled => Ok(()),
            KeyStatus::Disabled => Err(BackendErrorKind::InvalidKeyState.into()),
        }
    }

    fn count_encryption(&self) -> Result<(), BackendError> {
        // The refused are counted too: 2^64 calls that would bring it round do not happen.
        if self.encryptions.fetch_add(1, Ordering::Relaxed) < MAX_ENCRYPTIONS {
            Ok(())
        } else {
            Err(BackendError::new(BackendErrorKind::InvalidKeyState)
                .with_detail("the key has made 2^32 encryptions, the most that random nonces allow"))
        }
    }

    fn seal(&self, plaintext: &[u8], aad: &[u8]) -> Result<Ciphertext, BackendError> {
        // None of these failures can happen; none of them is the caller's doing.
        let internal = || BackendError::new(BackendErrorKind::Internal);

        let authenticated = authenticated_data(aad, LAYOUT_VERSION).map_err(|_| internal())?;
        let metadata = CiphertextMetadata::new(LAYOUT_VERSION).map_err(|_| internal())?;
        let iv: [u8; NONCE_LEN] = random();
        let mut bytes = plaintext.to_vec();
        let sealed = self.cipher.seal_in_place_separate_tag(
            Nonce::assume_unique_for_key(iv),
            Aad::from(authenticated),
            &mut bytes,
        );
        let Ok(tag) = sealed else {
            bytes.zeroize();
            return Err(internal());
        };
        let tag = tag.as_ref().try_into().map_err(|_| internal())?;
        let iv = InitializationVector::new(&iv).map_err(|_| internal())?;
        Ok(Ciphertext::new(bytes, iv, tag).with_metadata(metadata))
    }

    /// Opens. Whatever is wrong is the one silent error.
    fn open(&self, ciphertext: &Ciphertext, aad: &[u8]) -> Result<SecretBytes, BackendError> {
        let invalid = || BackendError::new(BackendErrorKind::InvalidCiphertext);

        let authenticated = authenticated_data(aad, ciphertext.metadata.as_bytes()).map_err(|_| invalid())?;
        let nonce = Nonce::try_assume_unique_for_key(ciphertext.initialization_vector.as_bytes())
            .map_err(|_| invalid())?;
        let mut plaintext = SecretBytes::new(vec![0; ciphertext.bytes.len()]);
        self.cipher
            .open_separate_gather(
                nonce,
                Aad::from(authenticated),
                &ciphertext.bytes,
                &ciphertext.authentication_tag,
                plaintext.expose_mut(),
            )
            .map_err(|_| invalid())?;
        Ok(plaintext)
    }
}

fn refuse_too_much(data: &[u8], aad: &[u8]) -> Result<(), BackendError> {
    let too_much = |detail| Err(BackendError::new(BackendErrorKind::Unsupported).with_detail(detail));
    if data.len() > MAX_PLAINTEXT_LEN {
        too_much("at most 65,536 bytes are encrypted or decrypted at once")
    } else if aad.len() > MAX_AAD_LEN {
        too_much("at most 65,535 bytes are authenticated besides")
    } else {
        Ok(())
    }
}

/// The keys by their ids.
#[derive(Default)]
pub(super) struct KeyTable(RwLock<HashMap<BackingKeyId, Arc<Key>>>);

impl KeyTable {
    pub(super) fn insert(&self, id: BackingKeyId, key: Key) {
        self.write().insert(id, Arc::new(key));
    }

    /// The key; the lock is released before anything is done with it.
    pub(super) fn find(&self, id: &BackingKeyId) -> Result<Arc<Key>, BackendError> {
        self.read().get(id).map(Arc::clone).ok_or_else(|| BackendErrorKind::KeyNotFound.into())
    }

    pub(super) fn remove(&self, id: &BackingKeyId) -> bool {
        self.write().remove(id).is_some()
    }

    pub(super) fn set_status(&self, id: &BackingKeyId, status: KeyStatus) -> bool {
        match self.read().get(id) {
            Some(key) => {
                key.enabled.store(status == KeyStatus::Enabled, Ordering::Relaxed);
                true
            }
            None => false,
        }
    }

    pub(super) fn ids(&self) -> Vec<BackingKeyId> {
        let mut ids: Vec<_> = self.read().keys().cloned().collect();
        ids.sort_unstable();
        ids
    }

    pub(super) fn label(&self, id: &BackingKeyId) -> Option<String> {
        self.read().get(id)?.label.as_deref().map(str::to_owned)
    }

    pub(super) fn len(&self) -> usize {
        self.read().len()
    }

    fn read(&self) -> RwLockReadGuard<'_, HashMap<BackingKeyId, Arc<Key>>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, HashMap<BackingKeyId, Arc<Key>>> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::{Operation, RequestId, RequestMetadata};

    #[test]
    fn a_key_stops_encrypting_where_random_nonces_end_and_goes_on_decrypting() {
        let id = RequestId::generate();
        let metadata = RequestMetadata::new("test", &Operation::ENCRYPT, &id);
        let name = BackingKeyId::new("key").unwrap();
        let key = Key::new(&SoftwareKey::generate(), None);
        key.encryptions.store(MAX_ENCRYPTIONS - 1, Ordering::Relaxed);

        let request = EncryptRequest::new(metadata, &name, b"the last");
        let last = key.encrypt(&request, |_| ()).unwrap();
        for _ in 0..2 {
            let error = key.encrypt(&request, |_| ()).unwrap_err();
            assert_eq!(error.kind(), BackendErrorKind::InvalidKeyState);
            assert!(error.detail().unwrap().contains("2^32"));
        }
        let decrypted = key.decrypt(&DecryptRequest::new(metadata, &name, &last)).unwrap();
        assert_eq!(decrypted.plaintext.expose(), b"the last");
    }
}
