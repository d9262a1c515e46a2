//! The requests of a [`Connection`](super::Connection) and its replies.
//!
//! Requests borrow, so that a store adds no copy of a plaintext; replies own. All may grow.

use super::{BackingKeyId, Ciphertext, RequestMetadata};
use crate::secret::SecretBytes;

/// Asks what a key is.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct DescribeKeyRequest<'a> {
    /// On whose behalf.
    pub metadata: RequestMetadata<'a>,
    /// The key.
    pub key: &'a BackingKeyId,
}

impl<'a> DescribeKeyRequest<'a> {
    /// A request.
    #[must_use]
    pub const fn new(metadata: RequestMetadata<'a>, key: &'a BackingKeyId) -> Self {
        Self { metadata, key }
    }
}

/// Asks for a new 256-bit AES key that never leaves the key manager. Not every key manager makes keys.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct GenerateKeyRequest<'a> {
    /// On whose behalf.
    pub metadata: RequestMetadata<'a>,
    /// What a person finds the key by in the key manager: the ARN of the KMS key.
    pub label: &'a str,
}

impl<'a> GenerateKeyRequest<'a> {
    /// A request.
    #[must_use]
    pub const fn new(metadata: RequestMetadata<'a>, label: &'a str) -> Self {
        Self { metadata, label }
    }
}

/// Asks for the end of a key that the key manager made on request.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct DeleteKeyRequest<'a> {
    /// On whose behalf.
    pub metadata: RequestMetadata<'a>,
    /// The key.
    pub key: &'a BackingKeyId,
}

impl<'a> DeleteKeyRequest<'a> {
    /// A request.
    #[must_use]
    pub const fn new(metadata: RequestMetadata<'a>, key: &'a BackingKeyId) -> Self {
        Self { metadata, key }
    }
}

/// Asks for random bytes from the key manager's own source.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct GenerateRandomRequest<'a> {
    /// On whose behalf.
    pub metadata: RequestMetadata<'a>,
    /// How many bytes; a store asks for 1 to 1,024.
    pub length: usize,
}

impl<'a> GenerateRandomRequest<'a> {
    /// A request.
    #[must_use]
    pub const fn new(metadata: RequestMetadata<'a>, length: usize) -> Self {
        Self { metadata, length }
    }
}

/// Asks for an encryption with AES-GCM.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct EncryptRequest<'a> {
    /// On whose behalf.
    pub metadata: RequestMetadata<'a>,
    /// The key.
    pub key: &'a BackingKeyId,
    /// What to encrypt; every connection takes up to 4,300 bytes.
    pub plaintext: &'a [u8],
    /// What to authenticate besides; every connection takes up to 8,192 bytes. Empty and absent are the same.
    pub additional_authenticated_data: &'a [u8],
    /// Whether the reply is to be given only after proof that it can be decrypted again, by an integrity value
    /// or by a check decryption. On unless it is turned off.
    pub verified: bool,
}

impl<'a> EncryptRequest<'a> {
    /// A request for a verified encryption without additional authenticated data.
    #[must_use]
    pub const fn new(metadata: RequestMetadata<'a>, key: &'a BackingKeyId, plaintext: &'a [u8]) -> Self {
        Self { metadata, key, plaintext, additional_authenticated_data: &[], verified: true }
    }

    /// The same with additional authenticated data.
    #[must_use]
    pub const fn with_aad(mut self, aad: &'a [u8]) -> Self {
        self.additional_authenticated_data = aad;
        self
    }

    /// The same without verification.
    #[must_use]
    pub const fn unverified(mut self) -> Self {
        self.verified = false;
        self
    }
}

impl std::fmt::Debug for EncryptRequest<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EncryptRequest")
            .field("metadata", &self.metadata)
            .field("key", &self.key)
            .field("plaintext", &format_args!("[{} bytes]", self.plaintext.len()))
            .field("verified", &self.verified)
            .finish_non_exhaustive()
    }
}

/// Asks for a decryption with AES-GCM.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct DecryptRequest<'a> {
    /// On whose behalf.
    pub metadata: RequestMetadata<'a>,
    /// The key.
    pub key: &'a BackingKeyId,
    /// What [`encrypt`](super::Connection::encrypt) gave.
    pub ciphertext: &'a Ciphertext,
    /// The same that was given to `encrypt`.
    pub additional_authenticated_data: &'a [u8],
}

impl<'a> DecryptRequest<'a> {
    /// A request without additional authenticated data.
    #[must_use]
    pub const fn new(
        metadata: RequestMetadata<'a>,
        key: &'a BackingKeyId,
        ciphertext: &'a Ciphertext,
    ) -> Self {
        Self { metadata, key, ciphertext, additional_authenticated_data: &[] }
    }

    /// The same with additional authenticated data.
    #[must_use]
    pub const fn with_aad(mut self, aad: &'a [u8]) -> Self {
        self.additional_authenticated_data = aad;
        self
    }
}

/// Asks how the key manager is.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct HealthRequest<'a> {
    /// On whose behalf.
    pub metadata: RequestMetadata<'a>,
}

impl<'a> HealthRequest<'a> {
    /// A request.
    #[must_use]
    pub const fn new(metadata: RequestMetadata<'a>) -> Self {
        Self { metadata }
    }
}

/// A key that the key manager has made.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct GeneratedKey {
    /// By what the connection finds it from now on.
    pub key: BackingKeyId,
}

impl GeneratedKey {
    /// A reply.
    #[must_use]
    pub const fn new(key: BackingKeyId) -> Self {
        Self { key }
    }
}

/// The outcome of a decryption.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Decrypted {
    /// What was encrypted, exactly as long as the ciphertext.
    pub plaintext: SecretBytes,
}

impl Decrypted {
    /// A reply.
    #[must_use]
    pub const fn new(plaintext: SecretBytes) -> Self {
        Self { plaintext }
    }
}

/// The outcome of an orderly goodbye.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Closed {
    /// Calls that were abandoned and that the key manager, or a C library, goes on executing nevertheless.
    /// Their results are thrown away.
    pub still_running: u64,
}

impl Closed {
    /// A goodbye after which nothing runs any more.
    #[must_use]
    pub const fn new() -> Self {
        Self { still_running: 0 }
    }

    /// The same, with so many calls that could not be stopped.
    #[must_use]
    pub const fn with_still_running(mut self, calls: u64) -> Self {
        self.still_running = calls;
        self
    }
}
