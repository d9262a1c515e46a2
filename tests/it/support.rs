//! What the tests of stores share.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use custom_key_store::backend::software::KeyManager;
use custom_key_store::backend::{
    AccountId, BackingKeyId, CloudHsmClusterId, CloudHsmConfiguration, CustomKeyStoreType,
    StoreConfiguration, TrustAnchorCertificate,
};
use custom_key_store::catalog::Ledger;
use custom_key_store::clock::ManualClock;
use custom_key_store::{
    Connected, Disconnected, EncryptionContext, Identity, KeyId, KeyStore, NewKey, Partition, Region,
    StoreName,
};

pub(crate) fn name() -> StoreName {
    StoreName::new("root keys").unwrap()
}

pub(crate) fn other_name() -> StoreName {
    StoreName::new("other keys").unwrap()
}

pub(crate) fn key() -> BackingKeyId {
    BackingKeyId::new("key").unwrap()
}

/// The account of AWS's examples.
pub(crate) fn identity() -> Identity {
    Identity::new(
        Partition::new("aws").unwrap(),
        Region::new("us-east-1").unwrap(),
        AccountId::new("111122223333").unwrap(),
    )
}

/// A ledger in memory.
pub(crate) fn ledger() -> Ledger {
    Ledger::ephemeral(identity())
}

pub(crate) fn no_context() -> EncryptionContext {
    EncryptionContext::none()
}

/// A manager of an external key store with one usable key.
pub(crate) fn manager() -> KeyManager {
    let manager = KeyManager::new();
    manager.create_key(key());
    manager
}

/// A manager and a store on it that share a clock which the test moves.
pub(crate) fn timed() -> (KeyManager, ManualClock, KeyStore<Disconnected>) {
    let clock = ManualClock::new();
    let manager = KeyManager::builder().clock(clock.clone()).build();
    manager.create_key(key());
    let store = KeyStore::builder(manager.clone()).clock(clock.clone()).ephemeral(name());
    (manager, clock, store)
}

pub(crate) fn cluster_configuration() -> StoreConfiguration {
    StoreConfiguration::CloudHsm(
        CloudHsmConfiguration::new(CloudHsmClusterId::new("cluster-abcdefghij2").unwrap())
            .with_trust_anchor(TrustAnchorCertificate::new("-----BEGIN CERTIFICATE-----").unwrap()),
    )
}

/// A manager of a CloudHSM key store with one usable key.
pub(crate) fn cluster() -> KeyManager {
    let manager = KeyManager::builder().configuration(cluster_configuration()).build();
    manager.create_key(key());
    manager
}

pub(crate) async fn connected(manager: &KeyManager) -> KeyStore<Connected> {
    KeyStore::ephemeral(name(), manager.clone()).connect().await.unwrap()
}

/// A new KMS key: in an external key store one that refers to [`key`], in a cluster one that the cluster makes.
pub(crate) async fn kms_key(store: &KeyStore<Connected>) -> KeyId {
    let new = match store.store_type() {
        CustomKeyStoreType::AwsCloudhsm => NewKey::generated(),
        _ => NewKey::external(key()),
    };
    store.create_key(&new).await.unwrap().key_id
}

/// A connected store with one KMS key.
pub(crate) async fn connected_with_key(manager: &KeyManager) -> (KeyStore<Connected>, KeyId) {
    let store = connected(manager).await;
    let id = kms_key(&store).await;
    (store, id)
}

/// The same with a clock that the test moves.
pub(crate) async fn timed_with_key() -> (KeyManager, ManualClock, KeyStore<Connected>, KeyId) {
    let (manager, clock, store) = timed();
    let store = store.connect().await.unwrap();
    let id = kms_key(&store).await;
    (manager, clock, store, id)
}

/// Polls once, with a waker that does nothing.
pub(crate) fn poll_once<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    pin!(future).poll(&mut Context::from_waker(Waker::noop()))
}
