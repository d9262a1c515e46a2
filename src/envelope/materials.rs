//! A data key that is in use, and what is derived from it.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use aws_lc_rs::aead::{Aad, LessSafeKey, NONCE_LEN, Nonce};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use zeroize::Zeroizing;

use super::error::EnvelopeError;
use super::format::{
    Body, COMMITMENT_LEN, Fixed, MAX_WRAPPED_LEN, Prelude, header_len, prelude, write_header,
};
use crate::crypto::{EncryptionContext, KEY_LEN, RootKey, TAG_LEN, aes_256_gcm};
use crate::key::KeyArn;
use crate::secret::SecretBytes;

/// What is derived from a data key for an encryption context.
const CONTEXT: &str = "custom-key-store context v1";
/// What is derived from that for a message: its key, and its commitment. So short that HMAC hashes one block.
const MESSAGE: &str = "message v1";

/// A data key in use. Its memory is wiped when the last user lets go of it.
pub(super) struct Materials {
    root: RootKey,
    /// In its canonical form.
    pub(super) context: Vec<u8>,
    pub(super) wrapped: Vec<u8>,
    pub(super) origin: Origin,
    used: Used,
}

/// What a data key has sealed; on cache lines of its own, so that counting does not hold up who only reads the rest.
#[derive(Default)]
#[repr(align(128))]
struct Used {
    messages: AtomicU64,
    bytes: AtomicU64,
}

/// Since when, and under which circumstances, a data key is in use.
#[derive(Debug, Clone)]
pub(super) struct Origin {
    /// What it is wrapped under.
    pub(super) key: KeyArn,
    /// Of that KMS key.
    pub(super) generation: u64,
    /// How often the cache had been revoked.
    pub(super) revocations: u64,
    pub(super) born: Instant,
}

impl Materials {
    /// `None` for a data key, or a wrapped one, of a length that none has.
    pub(super) fn new(
        plaintext: &SecretBytes,
        wrapped: Vec<u8>,
        context: &EncryptionContext,
        origin: Origin,
    ) -> Option<Self> {
        let data_key = RootKey::new(plaintext.expose().try_into().ok()?);
        let context = context.canonical();
        let root = RootKey::new(&data_key.derive(CONTEXT, &[context]));
        (1..=MAX_WRAPPED_LEN).contains(&wrapped.len()).then(|| Self {
            root,
            context: context.to_vec(),
            wrapped,
            origin,
            used: Used::default(),
        })
    }

    /// Counts a message of this length, if it is within the limits. The first always is.
    pub(super) fn take(&self, length: u64, max_messages: u64, max_bytes: u64) -> bool {
        let messages = self.used.messages.fetch_add(1, Ordering::Relaxed);
        let bytes = self.used.bytes.fetch_add(length, Ordering::Relaxed);
        messages == 0 || (messages < max_messages && bytes.saturating_add(length) <= max_bytes)
    }

    /// Counts more bytes of a message that is under way.
    pub(super) fn count(&self, length: usize) {
        self.used.bytes.fetch_add(length as u64, Ordering::Relaxed);
    }

    /// The cipher of a new message; its header is given by [`write`](NewMessage::write_header).
    pub(super) fn message(&self, body: Body) -> NewMessage {
        let prelude = prelude(body);
        let (cipher, commitment) = self.derive(&prelude);
        NewMessage { cipher, prelude, commitment }
    }

    /// The cipher of the message that has this header, if it was made under this data key and context.
    pub(super) fn cipher(&self, fixed: &Fixed<'_>) -> Result<LessSafeKey, EnvelopeError> {
        let (cipher, commitment) = self.derive(fixed.prelude);
        verify_slices_are_equal(&commitment, fixed.commitment).map_err(|_| EnvelopeError::Invalid)?;
        Ok(cipher)
    }

    fn derive(&self, prelude: &Prelude) -> (LessSafeKey, [u8; COMMITMENT_LEN]) {
        let derived = self.root.derive::<{ KEY_LEN + COMMITMENT_LEN }>(MESSAGE, &[prelude]);
        let (mut key, mut commitment) = (Zeroizing::new([0; KEY_LEN]), [0; COMMITMENT_LEN]);
        key.copy_from_slice(&derived[..KEY_LEN]);
        commitment.copy_from_slice(&derived[KEY_LEN..]);
        (aes_256_gcm(&key), commitment)
    }

    /// Seals a record over what `record` holds; see [`Envelope::seal_into`](super::Envelope::seal_into).
    pub(super) fn seal_record(&self, plaintext: &[u8], record: &mut Vec<u8>) -> Result<(), EnvelopeError> {
        let message = self.message(Body::Record);
        let header = header_len(&self.wrapped);
        set_len(record, header + plaintext.len() + TAG_LEN);
        let (head, sealed) = record.split_at_mut(header);
        write_header(head, &message.prelude, &message.commitment, &self.wrapped);
        let (ciphertext, tag) = sealed.split_at_mut(plaintext.len());
        message
            .cipher
            .seal_out_of_place_scatter(nonce(), Aad::empty(), plaintext, ciphertext, &[], tag)
            .map_err(|_| EnvelopeError::TooLong)
    }

    /// Opens the sealed part of a record into `plaintext`, which is as long without the tag.
    pub(super) fn open_record(
        &self,
        fixed: &Fixed<'_>,
        sealed: &[u8],
        plaintext: &mut [u8],
    ) -> Result<(), EnvelopeError> {
        let (ciphertext, tag) = sealed.split_at_checked(plaintext.len()).ok_or(EnvelopeError::Invalid)?;
        self.cipher(fixed)?
            .open_separate_gather(nonce(), Aad::empty(), ciphertext, tag, plaintext)
            .map_err(|_| EnvelopeError::Invalid)
    }
}

/// A message that is begun.
pub(super) struct NewMessage {
    pub(super) cipher: LessSafeKey,
    prelude: Prelude,
    commitment: [u8; COMMITMENT_LEN],
}

impl NewMessage {
    /// The header of the message.
    pub(super) fn header(&self, wrapped: &[u8]) -> Vec<u8> {
        let mut header = vec![0; header_len(wrapped)];
        write_header(&mut header, &self.prelude, &self.commitment, wrapped);
        header
    }
}

/// Zeroes, and at that only what is new: what held as much before is not touched.
pub(super) fn set_len(buffer: &mut Vec<u8>, length: usize) {
    if buffer.capacity() < length {
        // Such memory is often zero already, where growing would write it.
        *buffer = vec![0; length];
    } else {
        buffer.resize(length, 0);
    }
}

/// A record's, whose key meets no other.
fn nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; NONCE_LEN])
}

impl fmt::Debug for Materials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Materials").field("origin", &self.origin).finish_non_exhaustive()
    }
}
