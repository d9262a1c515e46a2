//! A 256-bit key that is never used itself, but has keys derived from it.

use std::fmt;

use aws_lc_rs::aead::{Aad, LessSafeKey, NONCE_LEN, Nonce};
use aws_lc_rs::kdf::{
    KbkdfCtrHmacAlgorithm, KbkdfCtrHmacAlgorithmId, get_kbkdf_ctr_hmac_algorithm, kbkdf_ctr_hmac,
};
use zeroize::Zeroizing;

use crate::primitive::{KEY_LEN, TAG_LEN, aes_256_gcm, fill};

/// A 256-bit key that is never used itself, but has keys derived from it, each with a label of its own.
///
/// Derivation is the counter mode of NIST SP 800-108 with HMAC-SHA-256. Its fixed input is the label, a zero byte, the
/// context, and the length of the output in bits as a big-endian `u32`; no label holds a zero byte.
#[derive(Clone)]
pub(crate) struct RootKey(Zeroizing<[u8; KEY_LEN]>);

/// What was opened is not what was sealed, or not under this key. Says nothing more, on purpose.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unauthentic;

impl RootKey {
    pub(crate) fn generate() -> Self {
        let mut bytes = Zeroizing::new([0; KEY_LEN]);
        fill(bytes.as_mut_slice());
        Self(bytes)
    }

    /// Copies; the original is the caller's to wipe.
    pub(crate) fn new(bytes: &[u8; KEY_LEN]) -> Self {
        Self(Zeroizing::new(*bytes))
    }

    pub(crate) fn expose(&self) -> &[u8; KEY_LEN] {
        &self.0
    }

    /// The key for `label` and the concatenation of `context`.
    pub(crate) fn derive<const N: usize>(&self, label: &str, context: &[&[u8]]) -> Zeroizing<[u8; N]> {
        let mut input = Vec::with_capacity(128);
        input.extend_from_slice(label.as_bytes());
        input.push(0);
        context.iter().for_each(|part| input.extend_from_slice(part));
        // Keys of at most a few dozen bytes.
        input.extend_from_slice(&u32::try_from(N * 8).unwrap_or(u32::MAX).to_be_bytes());

        let mut output = Zeroizing::new([0; N]);
        #[expect(
            clippy::expect_used,
            reason = "refused are an empty key and more than 2^32 blocks of output"
        )]
        kbkdf_ctr_hmac(sha256(), self.0.as_slice(), &input, output.as_mut_slice())
            .expect("a key of 32 bytes gives a few dozen");
        output
    }

    /// A cipher for one message and no more, since its nonce is fixed: `context` must be fresh and random.
    pub(crate) fn message_cipher(&self, label: &str, context: &[&[u8]]) -> MessageCipher {
        let key = self.derive::<KEY_LEN>(label, context);
        MessageCipher(aes_256_gcm(&key))
    }
}

#[expect(clippy::expect_used, reason = "a constant, which every test derives with")]
fn sha256() -> &'static KbkdfCtrHmacAlgorithm {
    get_kbkdf_ctr_hmac_algorithm(KbkdfCtrHmacAlgorithmId::Sha256).expect("AWS-LC has HMAC-SHA-256")
}

/// AES-256-GCM under a key that meets one nonce, all zero.
pub(crate) struct MessageCipher(LessSafeKey);

impl MessageCipher {
    /// Seals in place and gives the tag. Takes the cipher: a second message would meet the nonce again.
    #[expect(clippy::expect_used, reason = "the one thing that can be wrong is a length above 64 GiB")]
    pub(crate) fn seal(self, aad: &[u8], data: &mut [u8]) -> [u8; TAG_LEN] {
        let tag = self
            .0
            .seal_in_place_separate_tag(nonce(), Aad::from(aad), data)
            .expect("AES-GCM seals what is in memory");
        let mut bytes = [0; TAG_LEN];
        bytes.copy_from_slice(tag.as_ref());
        bytes
    }

    /// Opens `ciphertext` into `plaintext`, of the same length, which stays zero or unspecified on an error.
    pub(crate) fn open(
        &self,
        aad: &[u8],
        ciphertext: &[u8],
        tag: &[u8],
        plaintext: &mut [u8],
    ) -> Result<(), Unauthentic> {
        self.0
            .open_separate_gather(nonce(), Aad::from(aad), ciphertext, tag, plaintext)
            .map_err(|_| Unauthentic)
    }
}

fn nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; NONCE_LEN])
}

impl fmt::Debug for RootKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RootKey").finish_non_exhaustive()
    }
}
