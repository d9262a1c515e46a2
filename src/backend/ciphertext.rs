//! What an encryption under a backing key gives back.

use std::fmt;

use crate::value::{InvalidValue, Problem};

/// The result of an encryption under a backing key: everything its decryption needs, apart from the key and
/// the additional authenticated data.
///
/// A store keeps its parts in a [`CiphertextBlob`](crate::CiphertextBlob).
///
/// ```
/// use custom_key_store::backend::{Ciphertext, CiphertextMetadata, InitializationVector};
///
/// let ciphertext = Ciphertext::new(vec![7; 32], InitializationVector::from([0; 12]), [9; 16])
///     .with_metadata(CiphertextMetadata::new(b"version=1")?);
/// assert_eq!(ciphertext.metadata.as_bytes(), b"version=1");
/// # Ok::<(), custom_key_store::InvalidValue>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Ciphertext {
    /// The encrypted bytes, exactly as many as the plaintext had.
    pub bytes: Vec<u8>,
    /// Chosen by the key manager for this one encryption.
    pub initialization_vector: InitializationVector,
    /// The AES-GCM tag.
    pub authentication_tag: [u8; 16],
    /// The key manager's own note, to be given back at decryption; empty where it makes none.
    pub metadata: CiphertextMetadata,
}

impl Ciphertext {
    /// A ciphertext without metadata.
    #[must_use]
    pub const fn new(
        bytes: Vec<u8>,
        initialization_vector: InitializationVector,
        authentication_tag: [u8; 16],
    ) -> Self {
        let metadata = CiphertextMetadata { bytes: [0; CiphertextMetadata::MAX_LEN], len: 0 };
        Self { bytes, initialization_vector, authentication_tag, metadata }
    }

    /// The same with the key manager's metadata.
    #[must_use]
    pub const fn with_metadata(mut self, metadata: CiphertextMetadata) -> Self {
        self.metadata = metadata;
        self
    }
}

/// An AES-GCM initialization vector of 12 or 16 bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct InitializationVector {
    bytes: [u8; 16],
    long: bool,
}

impl InitializationVector {
    /// Takes 12 or 16 bytes.
    ///
    /// # Errors
    ///
    /// [`InvalidValue`] for any other length.
    pub fn new(bytes: &[u8]) -> Result<Self, InvalidValue> {
        let mut kept = [0; 16];
        match (bytes.len(), kept.get_mut(..bytes.len())) {
            (12 | 16, Some(place)) => {
                place.copy_from_slice(bytes);
                Ok(Self { bytes: kept, long: bytes.len() == 16 })
            }
            _ => Err(InvalidValue::new("initializationVector", "12 or 16 bytes", Problem::Malformed)),
        }
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        let (short, _) = self.bytes.split_at(12);
        if self.long { &self.bytes } else { short }
    }

    /// The bytes, for a library that wants to write where it reads.
    #[cfg(feature = "cloudhsm")]
    pub(crate) fn as_bytes_mut(&mut self) -> &mut [u8] {
        let length = if self.long { 16 } else { 12 };
        self.bytes.split_at_mut(length).0
    }
}

impl From<[u8; 12]> for InitializationVector {
    fn from(bytes: [u8; 12]) -> Self {
        let mut kept = [0; 16];
        let (short, _) = kept.split_at_mut(12);
        short.copy_from_slice(&bytes);
        Self { bytes: kept, long: false }
    }
}

impl From<[u8; 16]> for InitializationVector {
    fn from(bytes: [u8; 16]) -> Self {
        Self { bytes, long: true }
    }
}

impl fmt::Debug for InitializationVector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "InitializationVector({})", hex(self.as_bytes()))
    }
}

/// Up to 20 bytes that a key manager attaches to a ciphertext and wants back at decryption.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct CiphertextMetadata {
    bytes: [u8; Self::MAX_LEN],
    len: u8,
}

impl CiphertextMetadata {
    /// The protocol's limit, in bytes.
    pub const MAX_LEN: usize = 20;

    /// Takes up to [`MAX_LEN`](Self::MAX_LEN) bytes; none at all is "no metadata".
    ///
    /// # Errors
    ///
    /// [`InvalidValue`] when there are more.
    pub fn new(bytes: &[u8]) -> Result<Self, InvalidValue> {
        let mut kept = [0; Self::MAX_LEN];
        match (kept.get_mut(..bytes.len()), u8::try_from(bytes.len())) {
            (Some(place), Ok(len)) => {
                place.copy_from_slice(bytes);
                Ok(Self { bytes: kept, len })
            }
            _ => Err(InvalidValue::new(
                "ciphertextMetadata",
                "at most 20 bytes",
                Problem::TooLong { length: bytes.len(), maximum: Self::MAX_LEN },
            )),
        }
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        let (used, _) = self.bytes.split_at(usize::from(self.len));
        used
    }
}

impl Default for CiphertextMetadata {
    fn default() -> Self {
        Self { bytes: [0; Self::MAX_LEN], len: 0 }
    }
}

impl fmt::Debug for CiphertextMetadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CiphertextMetadata({})", hex(self.as_bytes()))
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
