//! The ciphertext blob: its format, version 1, and both ways through it.

use std::fmt;

use crate::backend::{Ciphertext, CiphertextMetadata, InitializationVector};
use crate::key::KeyId;
use crate::primitive::TAG_LEN;

/// What encrypting under a KMS key gives: all that decrypting needs, but for the encryption context and the keys.
///
/// Opaque to who keeps it. It names its KMS key, hides the plaintext's content but not its length, and any change of
/// it is noticed.
///
/// # Format
///
/// Version 1. Numbers are big-endian.
///
/// | offset | bytes | what |
/// |---|---|---|
/// | 0 | 1 | version: 1 |
/// | 1 | 1 | origin of the KMS key: 1 external key store, 2 CloudHSM key store |
/// | 2 | 16 | key id of the KMS key |
/// | 18 | 16 | id of its material |
/// | 34 | 32 | *origin 1 only:* nonce, random |
/// | `h` | 1 | length of the initialization vector, 12 or 16 |
/// | | 12 or 16 | initialization vector, of the key manager |
/// | | 1 | length of the metadata, 0 to 20 |
/// | | 0 to 20 | metadata, of the key manager |
/// | | 16 | authentication tag, of the key manager |
/// | | 2 | length of the outer ciphertext |
/// | | 1 to 4,112 | outer ciphertext, of the key manager |
/// | | 32 | *origin 1 only:* commitment |
///
/// What precedes offset `h` is the *header*. `digest` is SHA-256 over the header followed by the canonical
/// [encryption context](crate::EncryptionContext). The key manager authenticates the 24 bytes
/// `custom-key-store blob v1` and the digest as its *additional authenticated data*.
///
/// Under origin 2 the outer ciphertext is the plaintext's, 1 to 4,096 bytes. Under origin 1 it is that of the *inner
/// ciphertext*: AES-256-GCM over the plaintext with a nonce of zeros, its tag at the end, and the same additional
/// authenticated data, under a key derived from the KMS key's material: KBKDF in counter mode with HMAC-SHA-256 (NIST
/// SP 800-108; 32-bit counter first) over `custom-key-store inner v1`, a zero byte, the nonce, the key id, the id of
/// the material, and the length of the output in bits as a `u32`. The commitment is HMAC-SHA-256 over all that
/// precedes it followed by the digest, under a key derived in the same way over `custom-key-store commitment v1`, a
/// zero byte, the key id, the id of the material and the length.
///
/// ```
/// use custom_key_store::CiphertextBlob;
///
/// assert!(CiphertextBlob::from_bytes(b"no blob at all".to_vec()).is_err());
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct CiphertextBlob {
    bytes: Vec<u8>,
    key: KeyId,
}

impl CiphertextBlob {
    /// The greatest length, in bytes: that of AWS.
    pub const MAX_LEN: usize = 6144;

    /// Takes bytes that have the form of a blob. That they are one only decrypting can tell.
    ///
    /// # Errors
    ///
    /// [`InvalidBlob`] when they do not have it.
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self, InvalidBlob> {
        let key = Parsed::new(&bytes)?.key;
        Ok(Self { bytes, key })
    }

    /// The bytes, to be kept.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The bytes, to be kept.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// The KMS key that it says it was encrypted under.
    #[must_use]
    pub const fn key_id(&self) -> KeyId {
        self.key
    }
}

impl AsRef<[u8]> for CiphertextBlob {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl fmt::Debug for CiphertextBlob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CiphertextBlob({}, {} bytes)", self.key, self.bytes.len())
    }
}

/// Bytes are not a ciphertext blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidBlob {
    /// They are of a version that this release does not know, or no ciphertext blob. Use a newer release.
    #[error("the ciphertext blob is of version {0}, which this release does not know, or it is none")]
    UnknownVersion(u8),
    /// They do not have the form of one: cut short, damaged, or something else.
    #[error("not a ciphertext blob, or a damaged one")]
    Malformed,
}

/// Where the outer encryption takes place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum BlobOrigin {
    External,
    CloudHsm,
}

/// What tells the material of a KMS key from what it may be replaced by one day.
pub(crate) type MaterialId = [u8; 16];

const VERSION: u8 = 1;
const LABEL: &[u8; 24] = b"custom-key-store blob v1";
/// Up to where both origins are alike.
const COMMON_HEADER_LEN: usize = 34;
pub(crate) const NONCE_LEN: usize = 32;
pub(crate) const COMMITMENT_LEN: usize = 32;
/// The greatest length of a plaintext, in bytes: that of AWS.
pub(crate) const MAX_PLAINTEXT_LEN: usize = 4096;
pub(crate) const AAD_LEN: usize = LABEL.len() + 32;

/// The parts of a blob, borrowed from it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Parsed<'a> {
    origin: BlobOrigin,
    pub(crate) key: KeyId,
    pub(crate) material: MaterialId,
    pub(crate) header: &'a [u8],
    /// Empty unless the origin is external.
    pub(crate) nonce: &'a [u8],
    iv: InitializationVector,
    metadata: CiphertextMetadata,
    tag: &'a [u8; TAG_LEN],
    outer: &'a [u8],
    /// All that the commitment covers, besides the context.
    pub(crate) committed: &'a [u8],
    /// Empty unless the origin is external.
    pub(crate) commitment: &'a [u8],
}

impl<'a> Parsed<'a> {
    /// Total: any bytes are a blob or an error, and nothing is copied.
    pub(crate) fn new(bytes: &'a [u8]) -> Result<Self, InvalidBlob> {
        match bytes.first() {
            Some(&VERSION) => Self::version_1(bytes).ok_or(InvalidBlob::Malformed),
            Some(&other) => Err(InvalidBlob::UnknownVersion(other)),
            None => Err(InvalidBlob::Malformed),
        }
    }

    fn version_1(bytes: &'a [u8]) -> Option<Self> {
        let mut rest = bytes;
        let [_, origin] = *take(&mut rest)?;
        let origin = match origin {
            1 => BlobOrigin::External,
            2 => BlobOrigin::CloudHsm,
            _ => return None,
        };
        let external = origin == BlobOrigin::External;
        let key = KeyId::from_bytes(*take(&mut rest)?);
        let material = *take(&mut rest)?;
        let nonce = take_slice(&mut rest, if external { NONCE_LEN } else { 0 })?;
        let header = bytes.get(..COMMON_HEADER_LEN + nonce.len())?;

        let [length] = *take(&mut rest)?;
        let iv = InitializationVector::new(take_slice(&mut rest, length.into())?).ok()?;
        let [length] = *take(&mut rest)?;
        let metadata = CiphertextMetadata::new(take_slice(&mut rest, length.into())?).ok()?;
        let tag = take(&mut rest)?;
        let length = usize::from(u16::from_be_bytes(*take(&mut rest)?));
        let outer = take_slice(&mut rest, length)?;
        let overhead = if external { TAG_LEN } else { 0 };
        let plaintext = outer.len().checked_sub(overhead)?;
        if !(1..=MAX_PLAINTEXT_LEN).contains(&plaintext) {
            return None;
        }
        let committed = bytes.get(..bytes.len() - rest.len())?;
        let commitment = take_slice(&mut rest, if external { COMMITMENT_LEN } else { 0 })?;
        rest.is_empty().then_some(Self {
            origin,
            key,
            material,
            header,
            nonce,
            iv,
            metadata,
            tag,
            outer,
            committed,
            commitment,
        })
    }

    /// Whether it is a blob of a CloudHSM key store, of a key with this material.
    pub(crate) fn is_direct(&self, material: &MaterialId) -> bool {
        self.origin == BlobOrigin::CloudHsm && self.material == *material
    }

    /// What the key manager decrypts.
    pub(crate) fn ciphertext(&self) -> Ciphertext {
        Ciphertext::new(self.outer.to_vec(), self.iv, *self.tag).with_metadata(self.metadata)
    }
}

fn take<'a, const N: usize>(rest: &mut &'a [u8]) -> Option<&'a [u8; N]> {
    let (taken, left) = rest.split_first_chunk()?;
    *rest = left;
    Some(taken)
}

fn take_slice<'a>(rest: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(length)?;
    *rest = left;
    Some(taken)
}

/// A blob that is being made.
pub(crate) struct Draft {
    bytes: Vec<u8>,
    key: KeyId,
}

impl Draft {
    /// The header. `nonce` is given exactly if the origin is external.
    pub(crate) fn new(key: KeyId, material: &MaterialId, nonce: Option<&[u8; NONCE_LEN]>) -> Self {
        // The longest header, and what surrounds the ciphertext.
        let mut bytes = Vec::with_capacity(256);
        bytes.extend_from_slice(&[VERSION, if nonce.is_some() { 1 } else { 2 }]);
        bytes.extend_from_slice(key.as_bytes());
        bytes.extend_from_slice(material);
        bytes.extend_from_slice(nonce.map_or(&[], |nonce| nonce.as_slice()));
        Self { bytes, key }
    }

    pub(crate) fn header(&self) -> &[u8] {
        &self.bytes
    }

    /// Adds what the key manager gave for a plaintext that a blob holds, and as long as that.
    pub(crate) fn with_outer(mut self, outer: &Ciphertext) -> Self {
        let (iv, metadata) = (outer.initialization_vector.as_bytes(), outer.metadata.as_bytes());
        self.bytes
            .reserve(1 + iv.len() + 1 + metadata.len() + TAG_LEN + 2 + outer.bytes.len() + COMMITMENT_LEN);
        self.bytes.push(short(iv.len()));
        self.bytes.extend_from_slice(iv);
        self.bytes.push(short(metadata.len()));
        self.bytes.extend_from_slice(metadata);
        self.bytes.extend_from_slice(&outer.authentication_tag);
        // At most 4,112.
        let length = u16::try_from(outer.bytes.len()).unwrap_or(u16::MAX);
        self.bytes.extend_from_slice(&length.to_be_bytes());
        self.bytes.extend_from_slice(&outer.bytes);
        self
    }

    /// All so far: what a commitment covers.
    pub(crate) fn committed(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn finish(mut self, commitment: &[u8]) -> CiphertextBlob {
        self.bytes.extend_from_slice(commitment);
        CiphertextBlob { bytes: self.bytes, key: self.key }
    }
}

/// A length that its type keeps below 256.
fn short(length: usize) -> u8 {
    u8::try_from(length).unwrap_or(u8::MAX)
}

/// Header and context in 32 bytes.
pub(crate) fn digest(header: &[u8], canonical_context: &[u8]) -> [u8; 32] {
    let mut hash = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
    hash.update(header);
    hash.update(canonical_context);
    let mut digest = [0; 32];
    digest.copy_from_slice(hash.finish().as_ref());
    digest
}

/// What the key manager authenticates, and the inner layer too.
pub(crate) fn additional_authenticated_data(digest: &[u8; 32]) -> [u8; AAD_LEN] {
    let mut aad = [0; AAD_LEN];
    let (label, rest) = aad.split_at_mut(LABEL.len());
    label.copy_from_slice(LABEL);
    rest.copy_from_slice(digest);
    aad
}
