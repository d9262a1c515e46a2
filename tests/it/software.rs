//! The software key manager, from outside.

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests, which clippy.toml does not know")]

mod control;
mod crypto;
mod faults;

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use custom_key_store::backend::software::KeyManager;
use custom_key_store::backend::{
    AccessKeyId, Backend, BackendError, BackendErrorKind, BackingKeyId, Ciphertext, CloudHsmClusterId,
    CloudHsmConfiguration, ConnectReason, ConnectRequest, Connection, ConnectionError, DecryptRequest,
    DescribeKeyRequest, EncryptRequest, HealthRequest, Operation, RequestId, RequestMetadata,
    SecretAccessKey, StoreConfiguration, TrustAnchorCertificate, XksProxyCredential,
};

static REQUEST_ID: LazyLock<RequestId> = LazyLock::new(RequestId::generate);
static OPERATION: Operation = Operation::ENCRYPT;

fn metadata() -> RequestMetadata<'static> {
    RequestMetadata::new("tester", &OPERATION, &REQUEST_ID)
}

fn id(name: &str) -> BackingKeyId {
    BackingKeyId::new(name).unwrap()
}

fn cloud_hsm() -> StoreConfiguration {
    StoreConfiguration::CloudHsm(
        CloudHsmConfiguration::new(CloudHsmClusterId::new("cluster-abcdefg2345").unwrap()).with_trust_anchor(
            TrustAnchorCertificate::new("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n").unwrap(),
        ),
    )
}

fn credential(access_key_id: &str, secret: char) -> XksProxyCredential {
    XksProxyCredential::new(
        AccessKeyId::new(access_key_id).unwrap(),
        SecretAccessKey::new(&secret.to_string().repeat(43)).unwrap(),
    )
}

async fn try_connect(backend: &dyn Backend) -> Result<Arc<dyn Connection>, ConnectionError> {
    backend.connect(&ConnectRequest::new(ConnectReason::Connect, Duration::from_secs(60))).await
}

async fn connect(backend: &dyn Backend) -> Arc<dyn Connection> {
    try_connect(backend).await.unwrap()
}

/// A manager with a key named `key`, and a connection to it.
async fn connected() -> (KeyManager, BackingKeyId, Arc<dyn Connection>) {
    let manager = KeyManager::new();
    let key = id("key");
    manager.create_key(key.clone());
    let connection = connect(&manager).await;
    (manager, key, connection)
}

async fn encrypt(
    connection: &dyn Connection,
    key: &BackingKeyId,
    plaintext: &[u8],
    aad: &[u8],
) -> Result<Ciphertext, BackendError> {
    connection.encrypt(&EncryptRequest::new(metadata(), key, plaintext).with_aad(aad)).await
}

async fn decrypt(
    connection: &dyn Connection,
    key: &BackingKeyId,
    ciphertext: &Ciphertext,
    aad: &[u8],
) -> Result<Vec<u8>, BackendError> {
    let request = DecryptRequest::new(metadata(), key, ciphertext).with_aad(aad);
    connection.decrypt(&request).await.map(|decrypted| decrypted.plaintext.expose().to_vec())
}

fn describe(key: &BackingKeyId) -> DescribeKeyRequest<'_> {
    DescribeKeyRequest::new(metadata(), key)
}

fn health() -> HealthRequest<'static> {
    HealthRequest::new(metadata())
}

fn kind<T: std::fmt::Debug>(outcome: Result<T, BackendError>) -> BackendErrorKind {
    outcome.unwrap_err().kind()
}
