//! What stands behind the proxy is slow, fails, lies or panics.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use custom_key_store::backend::software::{Fault, Method};
use custom_key_store::backend::{
    BackendError, BackendErrorKind, Ciphertext, Closed, Connection, DecryptRequest, Decrypted,
    DescribeKeyRequest, EncryptRequest, Health, HealthRequest, KeyDescription,
};

use super::support::{
    Call, KEY, Rig, connection, decrypt_body, describe_body, encrypt_body, health_body, until, verified,
};

/// XKS-P-159, weak spot 11: 150 milliseconds, not more and not less, and the next request is served.
#[tokio::test]
async fn a_slow_key_manager_is_503() {
    let rig = Rig::new().await;
    let mut client = rig.client().await;
    let one = client.send(&Call::on_key("encrypt", KEY, &encrypt_body(b"x", None))).await.ok();
    for (method, call) in [
        (Method::Encrypt, Call::on_key("encrypt", KEY, &encrypt_body(b"x", None))),
        (Method::Encrypt, Call::on_key("encrypt", KEY, &verified(encrypt_body(b"x", None)))),
        (Method::Decrypt, Call::on_key("encrypt", KEY, &verified(encrypt_body(b"x", None)))),
        (Method::Decrypt, Call::on_key("decrypt", KEY, &decrypt_body(&one, None))),
        (Method::DescribeKey, Call::on_key("metadata", KEY, &describe_body())),
        (Method::Health, Call::new("health", &health_body())),
    ] {
        rig.manager.inject(method, Fault::Hang);
        let before = rig.manager.calls(method);
        let waiting = async {
            until(|| rig.manager.calls(method) > before && rig.clock.sleepers() == 1).await;
            rig.clock.advance(Duration::from_millis(149));
            assert_eq!(rig.clock.sleepers(), 1, "not before its time");
            rig.clock.advance(Duration::from_millis(1));
        };
        let (reply, ()) = tokio::join!(client.send(&call), waiting);
        reply.is_error(503, "DependencyTimeoutException");
        client.send(&call).await.ok();
    }
}

/// Both calls of a verified encryption share one deadline (XKS-P-159).
#[tokio::test]
async fn two_calls_have_one_deadline() {
    let rig = Rig::new().await;
    let mut client = rig.client().await;
    rig.manager.inject(Method::Encrypt, Fault::Delay(Duration::from_millis(100)));
    rig.manager.inject(Method::Decrypt, Fault::Delay(Duration::from_millis(100)));
    let call = Call::on_key("encrypt", KEY, &verified(encrypt_body(b"x", None)));
    let waiting = async {
        until(|| rig.clock.sleepers() == 2).await;
        rig.clock.advance(Duration::from_millis(100));
        until(|| rig.manager.calls(Method::Decrypt) == 1 && rig.clock.sleepers() == 2).await;
        rig.clock.advance(Duration::from_millis(50));
    };
    let (reply, ()) = tokio::join!(client.send(&call), waiting);
    reply.is_error(503, "DependencyTimeoutException");
}

/// XKS-P-113, XKS-P-114: each kind of error, each operation; none that the table does not allow, and our caller never
/// hears of our own credential, path or TLS.
#[tokio::test]
async fn every_error_of_the_connection() {
    use BackendErrorKind as Kind;
    let rig = Rig::new().await;
    let mut client = rig.client().await;
    let one = client.send(&Call::on_key("encrypt", KEY, &encrypt_body(b"x", None))).await.ok();
    let calls = [
        (Method::Encrypt, Call::on_key("encrypt", KEY, &encrypt_body(b"x", None))),
        (Method::Decrypt, Call::on_key("decrypt", KEY, &decrypt_body(&one, None))),
        (Method::DescribeKey, Call::on_key("metadata", KEY, &describe_body())),
        (Method::Health, Call::new("health", &health_body())),
    ];
    for kind in Kind::ALL {
        for (method, call) in &calls {
            rig.manager.inject(*method, Fault::Fail(*kind));
            let on_key = *method != Method::Health;
            let crypto = matches!(method, Method::Encrypt | Method::Decrypt);
            let expected = match kind {
                Kind::InvalidRequest => (400, "ValidationException"),
                Kind::InvalidKeyState => (400, "InvalidStateException"),
                Kind::InvalidCiphertext if *method == Method::Decrypt => (400, "InvalidCiphertextException"),
                Kind::InvalidKeyUsage if crypto => (400, "InvalidKeyUsageException"),
                Kind::AccessDenied if on_key => (403, "AccessDeniedException"),
                Kind::KeyNotFound if on_key => (404, "KeyNotFoundException"),
                Kind::Throttled => (429, "ThrottlingException"),
                Kind::Unsupported => (501, "UnsupportedOperationException"),
                Kind::DependencyTimedOut | Kind::TimedOut => (503, "DependencyTimeoutException"),
                _ => (500, "InternalException"),
            };
            client.send(call).await.is_error(expected.0, expected.1);
        }
    }
}

/// A panic stays behind the proxy, and so does what it says.
#[tokio::test]
async fn a_panic_is_500() {
    let rig = Rig::new().await;
    let mut client = rig.client().await;
    for (method, call) in [
        (Method::Encrypt, Call::on_key("encrypt", KEY, &encrypt_body(b"x", None))),
        (Method::Decrypt, Call::on_key("encrypt", KEY, &verified(encrypt_body(b"x", None)))),
        (Method::DescribeKey, Call::on_key("metadata", KEY, &describe_body())),
        (Method::Health, Call::new("health", &health_body())),
    ] {
        rig.manager.inject(method, Fault::Panic);
        let reply = client.send(&call).await;
        reply.is_error(500, "InternalException");
        assert!(reply.json().get("errorMessage").is_none());
        client.send(&call).await.ok();
    }
}

/// XKS-P-69 to XKS-P-71: a damaged ciphertext, or a decryption that gives something else, is found when an integrity
/// value was asked for; what is returned is what was checked. Without the wish nothing is decrypted (XKS-P-76).
#[tokio::test]
async fn damage_is_found_before_it_is_answered() {
    let rig = Rig::new().await;
    let mut client = rig.client().await;
    let wanted = Call::on_key("encrypt", KEY, &verified(encrypt_body(b"plaintext", Some(b"aad"))));
    for method in [Method::Encrypt, Method::Decrypt] {
        rig.manager.inject(method, Fault::Corrupt);
        client.send(&wanted).await.is_error(500, "InternalException");
    }
    let decryptions = rig.manager.calls(Method::Decrypt);
    client.send(&wanted).await.ok();
    assert_eq!(rig.manager.calls(Method::Decrypt), decryptions + 1);
    client.send(&Call::on_key("encrypt", KEY, &encrypt_body(b"plaintext", None))).await.ok();
    assert_eq!(rig.manager.calls(Method::Decrypt), decryptions + 1);

    // XKS-P-88: a plaintext of another length is not passed on.
    let empty = client.send(&Call::on_key("encrypt", KEY, &encrypt_body(b"", None))).await.ok();
    rig.manager.inject(Method::Decrypt, Fault::Corrupt);
    client
        .send(&Call::on_key("decrypt", KEY, &decrypt_body(&empty, None)))
        .await
        .is_error(500, "InternalException");
}

/// Serves as the key manager does, but takes the last byte off every ciphertext.
#[derive(Debug)]
struct Short(Arc<dyn Connection>);

#[async_trait]
impl Connection for Short {
    async fn describe_key(&self, request: &DescribeKeyRequest<'_>) -> Result<KeyDescription, BackendError> {
        self.0.describe_key(request).await
    }

    async fn encrypt(&self, request: &EncryptRequest<'_>) -> Result<Ciphertext, BackendError> {
        let mut ciphertext = self.0.encrypt(request).await?;
        ciphertext.bytes.pop();
        Ok(ciphertext)
    }

    async fn decrypt(&self, request: &DecryptRequest<'_>) -> Result<Decrypted, BackendError> {
        self.0.decrypt(request).await
    }

    async fn health(&self, request: &HealthRequest<'_>) -> Result<Health, BackendError> {
        self.0.health(request).await
    }

    async fn close(&self) -> Result<Closed, BackendError> {
        self.0.close().await
    }
}

/// XKS-P-56: nor is a ciphertext of another length, when nothing else would find it out.
#[tokio::test]
async fn a_ciphertext_of_another_length_is_not_passed_on() {
    let rig = Rig::new().await;
    let call = Call::on_key("encrypt", KEY, &encrypt_body(b"plaintext", None));
    rig.tenant.set_connection(Arc::new(Short(connection(&rig.manager).await)));
    rig.send(&call).await.is_error(500, "InternalException");
    rig.tenant.set_connection(connection(&rig.manager).await);
    rig.send(&call).await.ok();
}
