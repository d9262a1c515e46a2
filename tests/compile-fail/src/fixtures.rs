//! Stores and arguments for the programs under `tests/ui`.
//!
//! Every store is that of a CloudHSM cluster played by the software key manager, since only such a cluster makes
//! keys and random bytes.
#![expect(
    clippy::expect_used,
    clippy::missing_panics_doc,
    reason = "constants that are legal, and stores that do as they are told"
)]

use std::cell::RefCell;

use custom_key_store::backend::software::{Fault, KeyManager, Method, SoftwareKey};
use custom_key_store::backend::{
    AccessKeyId, AccountId, BackingKeyId, CloudHsmClusterId, CloudHsmConfiguration, ConnectionErrorCode,
    KeyStorePassword, SecretAccessKey, StoreConfiguration, TrustAnchorCertificate, UriEndpoint, UriPath,
    VpcEndpointServiceName, XksProxyCredential,
};
use custom_key_store::{
    CiphertextBlob, Connected, Connecting, Disconnected, Disconnecting, EncryptionContext, Failed, KeyId,
    KeyStore, NewKey, StoreName,
};

thread_local! {
    static LAST: RefCell<Option<(KeyId, CiphertextBlob)>> = const { RefCell::new(None) };
}

/// What is encrypted.
pub const PLAINTEXT: &[u8] = b"attack at dawn";

/// A store before its first connection.
pub async fn disconnected() -> KeyStore<Disconnected> {
    KeyStore::ephemeral(name(), manager())
}

/// A store whose attempt to connect will succeed.
pub async fn connecting() -> KeyStore<Connecting> {
    disconnected().await.connect()
}

/// A store in use, with a [`kms_key`] and a [`blob`].
pub async fn connected() -> KeyStore<Connected> {
    let store = connecting().await.await.expect("the key manager accepts");
    let key = store.create_key(&NewKey::generated()).await.expect("the key manager works").key_id;
    let blob = store.encrypt(&key, PLAINTEXT, &context()).await.expect("the key manager works");
    LAST.set(Some((key, blob)));
    store
}

fn last() -> (KeyId, CiphertextBlob) {
    LAST.with_borrow(Clone::clone).expect("a store was connected")
}

/// A KMS key of the store that was [`connected`] last.
#[must_use]
pub fn kms_key() -> KeyId {
    last().0
}

/// [`PLAINTEXT`] under [`kms_key`].
#[must_use]
pub fn blob() -> CiphertextBlob {
    last().1
}

/// A store on its way out.
pub async fn disconnecting() -> KeyStore<Disconnecting> {
    connected().await.disconnect()
}

/// A store that was refused.
pub async fn failed() -> KeyStore<Failed> {
    let manager = manager();
    manager.inject(Method::Connect, Fault::Refuse(ConnectionErrorCode::UserLockedOut));
    KeyStore::ephemeral(name(), manager).connect().await.expect_err("the key manager refuses").into_store()
}

/// A key manager that has [`key`].
#[must_use]
pub fn manager() -> KeyManager {
    let anchor = TrustAnchorCertificate::new("-----BEGIN CERTIFICATE-----").expect("legal");
    let cluster = CloudHsmConfiguration::new(cluster()).with_trust_anchor(anchor);
    let manager = KeyManager::builder().configuration(StoreConfiguration::CloudHsm(cluster)).build();
    manager.insert_key(key(), SoftwareKey::from_bytes(&[7; 32]));
    manager
}

/// A store's name.
#[must_use]
pub fn name() -> StoreName {
    StoreName::new("root").expect("legal")
}

/// A key of every [`manager`]'s.
#[must_use]
pub fn key() -> BackingKeyId {
    BackingKeyId::new("key-1").expect("legal")
}

/// What [`PLAINTEXT`] is encrypted with.
#[must_use]
pub fn context() -> EncryptionContext {
    EncryptionContext::new([("tenant", "blue")]).expect("legal")
}

/// Another credential.
#[must_use]
pub fn credential() -> XksProxyCredential {
    let secret = SecretAccessKey::new(&"s".repeat(43)).expect("legal");
    XksProxyCredential::new(AccessKeyId::new("ANOTHERACCESSKEYID22").expect("legal"), secret)
}

/// Another path.
#[must_use]
pub fn path() -> UriPath {
    UriPath::new("/blue/kms/xks/v1").expect("legal")
}

/// Another endpoint.
#[must_use]
pub fn endpoint() -> UriEndpoint {
    UriEndpoint::new("https://blue.example.com").expect("legal")
}

/// Another VPC endpoint service.
#[must_use]
pub fn service() -> VpcEndpointServiceName {
    VpcEndpointServiceName::new("com.amazonaws.vpce.eu-central-1.vpce-svc-0123456789abcdef0").expect("legal")
}

/// Another account.
#[must_use]
pub fn account() -> AccountId {
    AccountId::new("111122223333").expect("legal")
}

/// Another password.
#[must_use]
pub fn password() -> KeyStorePassword {
    KeyStorePassword::new("kmsPswd2").expect("legal")
}

/// A cluster.
#[must_use]
pub fn cluster() -> CloudHsmClusterId {
    CloudHsmClusterId::new("cluster-abcdefghijk").expect("legal")
}
