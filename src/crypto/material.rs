//! The KMS-side material of a key in an external key store: the inner of two layers of encryption.

use std::fmt;

use aws_lc_rs::hmac;

use super::blob::{
    COMMITMENT_LEN, Draft, MaterialId, NONCE_LEN, Parsed, additional_authenticated_data, digest,
};
use super::root::{RootKey, Unauthentic};
use crate::key::KeyId;
use crate::primitive::{KEY_LEN, TAG_LEN, random};
use crate::secret::SecretBytes;

#[cfg(test)]
mod tests;

const INNER: &str = "custom-key-store inner v1";
const COMMITMENT: &str = "custom-key-store commitment v1";

/// The material of one KMS key, ready for use.
pub(crate) struct Material {
    key: KeyId,
    id: MaterialId,
    root: RootKey,
    commitment: hmac::Key,
}

/// An inner ciphertext on its way to the key manager, and the blob that is begun for it.
pub(crate) struct Inner {
    pub(crate) draft: Draft,
    pub(crate) ciphertext: Vec<u8>,
    pub(crate) digest: [u8; 32],
}

impl Material {
    /// The material with these bytes. Derives the key of commitments once.
    pub(crate) fn new(key: KeyId, id: MaterialId, root: RootKey) -> Self {
        let commitment = root.derive::<KEY_LEN>(COMMITMENT, &[key.as_bytes(), &id]);
        let commitment = hmac::Key::new(hmac::HMAC_SHA256, commitment.as_slice());
        Self { key, id, root, commitment }
    }

    /// Encrypts the inner layer, under a key of its own.
    pub(crate) fn seal(&self, plaintext: &[u8], canonical_context: &[u8]) -> Inner {
        let nonce: [u8; NONCE_LEN] = random();
        let draft = Draft::new(self.key, &self.id, Some(&nonce));
        let digest = digest(draft.header(), canonical_context);
        let mut ciphertext = Vec::with_capacity(plaintext.len() + TAG_LEN);
        ciphertext.extend_from_slice(plaintext);
        let aad = additional_authenticated_data(&digest);
        let tag = self.cipher(&nonce).seal(&aad, &mut ciphertext);
        ciphertext.extend_from_slice(&tag);
        Inner { draft, ciphertext, digest }
    }

    /// What a blob ends with.
    pub(crate) fn commit(&self, committed: &[u8], digest: &[u8; 32]) -> [u8; COMMITMENT_LEN] {
        let mut code = hmac::Context::with_key(&self.commitment);
        code.update(committed);
        code.update(digest);
        let mut commitment = [0; COMMITMENT_LEN];
        commitment.copy_from_slice(code.sign().as_ref());
        commitment
    }

    /// Whether the blob is one that was made under this material for this context, in every bit.
    pub(crate) fn check(&self, blob: &Parsed<'_>, digest: &[u8; 32]) -> Result<(), Unauthentic> {
        let expected = self.commit(blob.committed, digest);
        aws_lc_rs::constant_time::verify_slices_are_equal(&expected, blob.commitment).map_err(|_| Unauthentic)
    }

    /// Decrypts the inner layer of a blob that was checked; `inner` is what the key manager made of the outer.
    pub(crate) fn open(
        &self,
        blob: &Parsed<'_>,
        digest: &[u8; 32],
        inner: &[u8],
    ) -> Result<SecretBytes, Unauthentic> {
        let at = inner.len().checked_sub(TAG_LEN).ok_or(Unauthentic)?;
        let (ciphertext, tag) = inner.split_at(at);
        let mut plaintext = SecretBytes::new(vec![0; ciphertext.len()]);
        let aad = additional_authenticated_data(digest);
        self.cipher(blob.nonce).open(&aad, ciphertext, tag, plaintext.expose_mut())?;
        Ok(plaintext)
    }

    fn cipher(&self, nonce: &[u8]) -> super::root::MessageCipher {
        self.root.message_cipher(INNER, &[nonce, self.key.as_bytes(), &self.id])
    }
}

impl fmt::Debug for Material {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Material").field("key", &self.key).finish_non_exhaustive()
    }
}
