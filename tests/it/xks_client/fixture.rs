//! A client on loopback, requests to send with it, and a proxy that answers honestly.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use custom_key_store::backend::{
    AccessKeyId, Backend as _, BackendError, BackingKeyId, Ciphertext, ConnectReason, ConnectRequest,
    Connection, DecryptRequest, DescribeKeyRequest, EncryptRequest, HealthRequest, InitializationVector,
    Operation, RequestId, RequestMetadata, SecretAccessKey, UriEndpoint, UriPath, XksProxyCredential,
};
use custom_key_store::xks::{ProxyOperation, Region, XksProxy, XksProxyBuilder};
use serde_json::{Value, json};

use super::server::{Manner, Reply, Seen, Server, response};

pub(crate) const HOST: &str = "proxy.example.com";
pub(crate) const PATH: &str = "/tenant-a/kms/xks/v1";
pub(crate) const ACCESS_KEY_ID: &str = "XKSTESTVECTOR234567ABCDE";
pub(crate) const SECRET: &str = "5/E2yj4NPGpDj2kcGSxJjB6BT7b+OavVy/keR7nqJS0=";
pub(crate) const PLAINTEXT: &[u8] = b"attack at dawn";
pub(crate) const AAD: &[u8] = b"tenant=blue";
pub(crate) const IV: [u8; 12] = [7; 12];
pub(crate) const TAG: [u8; 16] = [9; 16];

/// Longer than anything here takes, and a failed test rather than a hung one. Shorter by far than the deadline of
/// [`settings`]: what ends in time here has not waited for that.
pub(crate) async fn guarded<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(5), work).await.unwrap()
}

pub(crate) fn credential() -> XksProxyCredential {
    XksProxyCredential::new(AccessKeyId::new(ACCESS_KEY_ID).unwrap(), SecretAccessKey::new(SECRET).unwrap())
}

pub(crate) fn endpoint() -> UriEndpoint {
    UriEndpoint::new(format!("https://{HOST}")).unwrap()
}

pub(crate) fn region() -> Region {
    Region::new("us-east-2").unwrap()
}

pub(crate) fn key() -> BackingKeyId {
    BackingKeyId::new("ext-key_01.v2").unwrap()
}

/// All that is required, and a deadline that a busy machine keeps.
pub(crate) fn settings() -> XksProxyBuilder {
    XksProxy::builder()
        .endpoint(endpoint())
        .path(UriPath::new(PATH).unwrap())
        .credential(credential())
        .region(region())
        .deadline(Duration::from_secs(60))
}

pub(crate) fn connect_request(reason: ConnectReason) -> ConnectRequest {
    ConnectRequest::new(reason, Duration::from_secs(60))
}

pub(crate) async fn connect(proxy: &XksProxy) -> Arc<dyn Connection> {
    guarded(proxy.connect(&connect_request(ConnectReason::Connect))).await.unwrap()
}

/// A server of plain HTTP, a proxy that leads to it, and a connection whose health check is over.
pub(crate) async fn plain() -> (Server, XksProxy, Arc<dyn Connection>) {
    plain_with(|settings| settings).await
}

pub(crate) async fn plain_with(
    change: impl FnOnce(XksProxyBuilder) -> XksProxyBuilder,
) -> (Server, XksProxy, Arc<dyn Connection>) {
    let server = Server::start(Manner::Plain).await;
    let proxy = change(settings().dangerous_plain_http_on_loopback(server.address)).build().unwrap();
    let connection = connect(&proxy).await;
    guarded(server.seen()).await;
    (server, proxy, connection)
}

/// What the call of an operation gave, as far as the tests of failures care.
pub(crate) async fn call(connection: &dyn Connection, operation: ProxyOperation) -> Result<(), BackendError> {
    let (key, id) = (key(), RequestId::from("request-1"));
    let metadata = |operation| RequestMetadata::new("arn:aws:iam::111122223333:role/R", operation, &id);
    let ciphertext = Ciphertext::new(PLAINTEXT.to_vec(), InitializationVector::new(&IV).unwrap(), TAG);
    match operation {
        ProxyOperation::GetKeyMetadata => {
            let request = DescribeKeyRequest::new(metadata(&Operation::CREATE_KEY), &key);
            connection.describe_key(&request).await.map(drop)
        }
        ProxyOperation::Encrypt => {
            let request = EncryptRequest::new(metadata(&Operation::ENCRYPT), &key, PLAINTEXT).with_aad(AAD);
            connection.encrypt(&request).await.map(drop)
        }
        ProxyOperation::Decrypt => {
            let request = DecryptRequest::new(metadata(&Operation::DECRYPT), &key, &ciphertext);
            connection.decrypt(&request).await.map(drop)
        }
        _ => {
            let request = HealthRequest::new(metadata(&Operation::HEALTH_CHECK));
            connection.health(&request).await.map(drop)
        }
    }
}

/// A call that the server has been told to answer in this way; then that the next one works.
pub(crate) async fn failing(
    server: &Server,
    connection: &dyn Connection,
    operation: ProxyOperation,
    reply: Reply,
) -> BackendError {
    server.will(reply);
    let error = guarded(call(connection, operation)).await.unwrap_err();
    guarded(call(connection, operation)).await.unwrap();
    error
}

/// What a proxy answers that does its work, with an exclusive or in place of a cipher.
pub(crate) fn honest(request: &Seen) -> Vec<u8> {
    let body = if request.path().ends_with("/health") {
        health()
    } else if request.path().ends_with("/metadata") {
        json!({"keySpec": "AES_256", "keyUsage": ["DECRYPT", "WRAP", "ENCRYPT"], "keyStatus": "ENABLED"})
    } else if request.path().ends_with("/encrypt") {
        encrypted(&request.json())
    } else {
        json!({"plaintext": STANDARD.encode(xor(&bytes(&request.json()["ciphertext"])))})
    };
    response(200, "application/json", &body.to_string())
}

pub(crate) fn health() -> Value {
    json!({
        "xksProxyFleetSize": 2,
        "xksProxyVendor": "Proxies Inc",
        "xksProxyModel": "P 1",
        "ekmVendor": "Keys Inc",
        "ekmFleetDetails": [
            {"id": "a", "model": "K 1", "healthStatus": "ACTIVE"},
            {"id": "b", "model": "K 1", "healthStatus": "DEGRADED"},
        ],
    })
}

/// The answer to an encryption, with an integrity value whether it was asked for or not.
pub(crate) fn encrypted(request: &Value) -> Value {
    let ciphertext = xor(&bytes(&request["plaintext"]));
    let aad = request.get("additionalAuthenticatedData").map(bytes).unwrap_or_default();
    let integrity = digest(&SHA256, &[aad.as_slice(), b"v=1", &IV, &ciphertext, &TAG].concat());
    json!({
        "ciphertext": STANDARD.encode(&ciphertext),
        "initializationVector": STANDARD.encode(IV),
        "authenticationTag": STANDARD.encode(TAG),
        "ciphertextMetadata": STANDARD.encode(b"v=1"),
        "ciphertextDataIntegrityValue": STANDARD.encode(integrity),
    })
}

pub(crate) fn bytes(base64: &Value) -> Vec<u8> {
    STANDARD.decode(base64.as_str().unwrap()).unwrap()
}

pub(crate) fn xor(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().map(|byte| byte ^ 0x5a).collect()
}
