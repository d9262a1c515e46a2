//! What the tests of stores share.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use custom_key_store::backend::software::KeyManager;
use custom_key_store::backend::{
    BackingKeyId, CloudHsmClusterId, CloudHsmConfiguration, StoreConfiguration, TrustAnchorCertificate,
};
use custom_key_store::clock::ManualClock;
use custom_key_store::{Connected, Disconnected, EncryptionContext, KeyStore, StoreName};

pub(crate) fn name() -> StoreName {
    StoreName::new("root keys").unwrap()
}

pub(crate) fn key() -> BackingKeyId {
    BackingKeyId::new("key").unwrap()
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
    let store = KeyStore::builder(name(), manager.clone()).clock(clock.clone()).build();
    (manager, clock, store)
}

pub(crate) fn cluster_configuration() -> StoreConfiguration {
    StoreConfiguration::CloudHsm(CloudHsmConfiguration::new(
        CloudHsmClusterId::new("cluster-abcdefghij2").unwrap(),
        TrustAnchorCertificate::new("-----BEGIN CERTIFICATE-----").unwrap(),
    ))
}

/// A manager of a CloudHSM key store with one usable key.
pub(crate) fn cluster() -> KeyManager {
    let manager = KeyManager::builder().configuration(cluster_configuration()).build();
    manager.create_key(key());
    manager
}

pub(crate) async fn connected(manager: &KeyManager) -> KeyStore<Connected> {
    KeyStore::new(name(), manager.clone()).connect().await.unwrap()
}

/// Polls once, with a waker that does nothing.
pub(crate) fn poll_once<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    pin!(future).poll(&mut Context::from_waker(Waker::noop()))
}
