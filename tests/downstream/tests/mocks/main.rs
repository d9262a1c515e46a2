//! Two ways to test against a key manager that fails in just the way that is wanted.
//!
//! [`provided`] uses the mocks that the library's feature `mock` brings along. [`own`] writes mocks of the
//! public traits itself, with a mockall of its own version. (A third needs no mock: the software key manager
//! and its scripted faults, for tests that want real cryptography.)

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests, which clippy.toml does not know")]

mod own;
mod provided;

use custom_key_store::backend::{
    AccessKeyId, Backend, BackingKeyId, Ciphertext, DecryptRequest, Decrypted, EncryptRequest,
    InitializationVector, KeyDescription, KeySpec, KeyStatus, KeyUsages, StoreConfiguration, UriEndpoint,
    UriPath, XksProxyConfiguration,
};
use custom_key_store::{Disconnected, KeyStore, SecretBytes, StoreName};

fn store(backend: impl Backend) -> KeyStore<Disconnected> {
    KeyStore::ephemeral(StoreName::new("ledger").unwrap(), backend)
}

fn key() -> BackingKeyId {
    BackingKeyId::new("ledger-key").unwrap()
}

/// What a mock must answer at least: a store asks for it to learn its own type.
fn configuration() -> StoreConfiguration {
    StoreConfiguration::External(XksProxyConfiguration::public(
        UriEndpoint::new("https://xks.example.com").unwrap(),
        UriPath::new("/kms/xks/v1").unwrap(),
        AccessKeyId::new("AKIDOFATEST222222222").unwrap(),
    ))
}

/// What a KMS key can refer to.
fn usable() -> KeyDescription {
    KeyDescription::new(KeySpec::Aes256, KeyUsages::ENCRYPT_DECRYPT, KeyStatus::Enabled)
}

/// How long a plaintext is where it reaches the key manager, which never sees it: encrypted once already, with a tag.
const fn as_seen(plaintext: &str) -> usize {
    plaintext.len() + 16
}

/// No encryption at all, which is enough for a mock: the plaintext backwards.
fn seal(request: &EncryptRequest<'_>) -> Ciphertext {
    let bytes = request.plaintext.iter().rev().copied().collect();
    Ciphertext::new(bytes, InitializationVector::new(&[0; 12]).unwrap(), [0; 16])
}

fn unseal(request: &DecryptRequest<'_>) -> Decrypted {
    let bytes: Vec<u8> = request.ciphertext.bytes.iter().rev().copied().collect();
    Decrypted::new(SecretBytes::new(bytes))
}
