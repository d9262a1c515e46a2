//! What everybody who does cryptography here needs of AWS-LC.

use aws_lc_rs::aead::{AES_256_GCM, LessSafeKey, UnboundKey};

use crate::secret::SecretBytes;

/// The length of every key, in bytes.
pub(crate) const KEY_LEN: usize = 32;
/// The length of an authentication tag of AES-GCM, in bytes.
pub(crate) const TAG_LEN: usize = 16;

/// Random bytes.
pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    fill(&mut bytes);
    bytes
}

/// As many random bytes, to be kept secret.
pub(crate) fn random_secret(length: usize) -> SecretBytes {
    let mut secret = SecretBytes::new(vec![0; length]);
    fill(secret.expose_mut());
    secret
}

/// Random bytes, where they are wanted.
#[expect(clippy::expect_used, reason = "AWS-LC aborts the process when it gets no entropy: it never fails")]
pub(crate) fn fill(bytes: &mut [u8]) {
    aws_lc_rs::rand::fill(bytes).expect("AWS-LC gives random bytes");
}

#[expect(clippy::expect_used, reason = "the one thing that can be wrong is the length, and the type has it")]
pub(crate) fn aes_256_gcm(key: &[u8; KEY_LEN]) -> LessSafeKey {
    LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).expect("AES-256 takes 32 bytes"))
}
