//! The keys inside a key manager: how they are named and what can be said of them.

use std::fmt;

use crate::value::text_newtype;

text_newtype! {
    /// The name of a key inside a key manager.
    ///
    /// In an external key store this is the *external key id* (`XksKeyId`); in a CloudHSM store, the name by
    /// which the connection finds the key it generated. Opaque to the store. The ids `.` and `..` are refused,
    /// since they would change the path of a proxy request.
    BackingKeyId,
    field: "XksKeyId",
    expected: "1 to 128 characters of A-Z a-z 0-9 - . _, and neither \".\" nor \"..\"",
    length: 1..=128,
    legal: |c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_'),
    extra: |id| id != "." && id != "..",
}

/// What a key manager says of one of its keys.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyDescription {
    /// The kind of key.
    pub spec: KeySpec,
    /// What it may be used for.
    pub usages: KeyUsages,
    /// Whether it can be used now.
    pub status: KeyStatus,
}

impl KeyDescription {
    /// A description.
    #[must_use]
    pub const fn new(spec: KeySpec, usages: KeyUsages, status: KeyStatus) -> Self {
        Self { spec, usages, status }
    }
}

/// The kind of a backing key. Custom key stores use `AES_256` alone.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeySpec {
    /// A 256-bit AES key.
    Aes256,
    /// Another kind, by the key manager's name for it.
    Other(String),
}

impl fmt::Display for KeySpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Aes256 => "AES_256",
            Self::Other(name) => name,
        })
    }
}

/// What a backing key may be used for.
///
/// ```
/// use custom_key_store::backend::KeyUsages;
///
/// assert!(KeyUsages::ENCRYPT_DECRYPT.encrypt);
/// assert!(!KeyUsages::NONE.encrypting(true).decrypt);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct KeyUsages {
    /// It may encrypt.
    pub encrypt: bool,
    /// It may decrypt.
    pub decrypt: bool,
}

impl KeyUsages {
    /// Neither.
    pub const NONE: Self = Self { encrypt: false, decrypt: false };
    /// Encryption alone.
    pub const ENCRYPT: Self = Self { encrypt: true, decrypt: false };
    /// Decryption alone.
    pub const DECRYPT: Self = Self { encrypt: false, decrypt: true };
    /// Both, which is what a KMS key needs.
    pub const ENCRYPT_DECRYPT: Self = Self { encrypt: true, decrypt: true };

    /// The same with encryption allowed or not.
    #[must_use]
    pub const fn encrypting(mut self, allowed: bool) -> Self {
        self.encrypt = allowed;
        self
    }

    /// The same with decryption allowed or not.
    #[must_use]
    pub const fn decrypting(mut self, allowed: bool) -> Self {
        self.decrypt = allowed;
        self
    }
}

/// Whether a backing key can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum KeyStatus {
    /// It can.
    Enabled,
    /// Its owner has disabled it in the key manager.
    Disabled,
}

impl KeyStatus {
    /// The word that the XKS protocol uses.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Enabled => "ENABLED",
            Self::Disabled => "DISABLED",
        }
    }
}

impl fmt::Display for KeyStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
