//! The ciphertext data integrity value: a checksum against accidents, not an authenticator.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{Context, SHA256, SHA256_OUTPUT_LEN};

use crate::backend::Ciphertext;

#[cfg(test)]
mod tests;

/// SHA-256 over the request's authenticated data and all that an encryption gave (`ciphertextDataIntegrityValue`).
#[derive(Debug, Clone, Copy)]
pub(crate) struct IntegrityValue([u8; Self::LEN]);

impl IntegrityValue {
    pub(crate) const LEN: usize = SHA256_OUTPUT_LEN;

    /// Computes it over the decoded parts in the protocol's order (XKS-P-68, XKS-C-54).
    ///
    /// Without lengths, unlike the string that AES-GCM authenticates: a byte moved from the authenticated data to
    /// the metadata changes nothing, so this must never serve as an authenticator.
    pub(crate) fn compute(aad: &[u8], ciphertext: &Ciphertext) -> Self {
        let mut hash = Context::new(&SHA256);
        hash.update(aad);
        hash.update(ciphertext.metadata.as_bytes());
        hash.update(ciphertext.initialization_vector.as_bytes());
        hash.update(&ciphertext.bytes);
        hash.update(&ciphertext.authentication_tag);
        let digest = hash.finish();
        let mut value = [0; Self::LEN];
        // The digest has exactly this length; copying what there is keeps a panic out of the path.
        value.iter_mut().zip(digest.as_ref()).for_each(|(place, byte)| *place = *byte);
        Self(value)
    }

    pub(crate) const fn as_bytes(&self) -> &[u8; Self::LEN] {
        &self.0
    }

    /// Compares in constant time.
    pub(crate) fn matches(&self, claimed: &[u8]) -> bool {
        verify_slices_are_equal(&self.0, claimed).is_ok()
    }
}
