//! What the client sends, byte by byte, and what it makes of honest answers.

use std::time::{Duration, SystemTime};

use custom_key_store::backend::{
    Backend as _, BackendErrorKind, BackingKeyId, Ciphertext, CiphertextMetadata, ConnectReason,
    DecryptRequest, DescribeKeyRequest, EncryptRequest, HealthRequest, HealthStatus, InitializationVector,
    KeySpec, KeyStatus, Operation, RequestId, RequestMetadata, UriPath,
};
use custom_key_store::clock::ManualClock;
use serde_json::json;

use super::fixture::{
    AAD, ACCESS_KEY_ID, HOST, IV, PATH, PLAINTEXT, SECRET, TAG, bytes, connect, connect_request, guarded,
    key, plain, settings, xor,
};
use super::server::{Manner, Seen, Server};
use super::sigv4;

const PRINCIPAL: &str = "arn:aws:iam::111122223333:role/XksVector";
const KEY_ARN: &str = "arn:aws:kms:us-east-2:111122223333:key/0f0e0d0c-0b0a-4908-8706-050403020100";

fn metadata<'a>(operation: &'a Operation, id: &'a RequestId) -> RequestMetadata<'a> {
    RequestMetadata::new(PRINCIPAL, operation, id)
}

/// What every request has, whatever it asks: XKS-C-01, XKS-C-02, XKS-C-03, XKS-C-08, XKS-C-21 to XKS-C-25, XKS-C-27.
fn check(request: &Seen, path: &str) {
    assert_eq!(request.request_line(), format!("POST {PATH}/{path} HTTP/1.1"));
    let mut names: Vec<_> = request.headers().iter().map(|(name, _)| name.to_ascii_lowercase()).collect();
    names.sort();
    assert_eq!(names, ["authorization", "content-length", "content-type", "host", "x-amz-date"]);
    assert_eq!(request.header("host"), HOST);
    assert_eq!(request.header("content-type"), "application/json");
    assert_eq!(
        request.header("authorization"),
        sigv4::authorization(request, ACCESS_KEY_ID, SECRET, "us-east-2")
    );
}

/// XKS-C-28, XKS-C-30 and XKS-C-58: only the id and the operation that the reason names.
#[tokio::test]
async fn connecting_asks_for_the_health_in_the_name_of_its_reason() {
    let server = Server::start(Manner::Plain).await;
    let proxy = settings().dangerous_plain_http_on_loopback(server.address).build().unwrap();
    for (reason, operation) in [
        (ConnectReason::Create, "CreateCustomKeyStore"),
        (ConnectReason::Connect, "ConnectCustomKeyStore"),
        (ConnectReason::Resume, "ConnectCustomKeyStore"),
        (ConnectReason::Update, "UpdateCustomKeyStore"),
        (ConnectReason::Probe, "KmsHealthCheck"),
    ] {
        let request = connect_request(reason);
        guarded(proxy.connect(&request)).await.unwrap();
        let seen = guarded(server.seen()).await;
        check(&seen, "health");
        let id = request.request_id.to_string();
        assert_eq!(seen.json(), json!({"requestMetadata": {"kmsOperation": operation, "kmsRequestId": id}}));
    }
}

/// XKS-C-30, XKS-C-59 as far as a connection goes, XKS-C-60 to XKS-C-62.
#[tokio::test]
async fn health_is_asked_in_the_name_of_the_given_operation() {
    let (server, proxy, connection) = plain().await;
    let id = RequestId::from("request-1");
    let request = HealthRequest::new(metadata(&Operation::HEALTH_CHECK, &id));
    let health = guarded(connection.health(&request)).await.unwrap();
    assert_eq!((health.vendor.as_str(), health.status()), ("Keys Inc", HealthStatus::Degraded));
    assert_eq!(health.proxy.as_ref().unwrap().fleet_size, 2);
    assert_eq!(proxy.counters().counts().managers, health.instances);

    let seen = guarded(server.seen()).await;
    check(&seen, "health");
    let expected =
        json!({"requestMetadata": {"kmsOperation": "KmsHealthCheck", "kmsRequestId": "request-1"}});
    assert_eq!(seen.json(), expected);
}

/// XKS-C-28, XKS-C-29, XKS-C-31, and XKS-C-42 to XKS-C-44 on the way back.
#[tokio::test]
async fn a_key_is_described() {
    let (server, _proxy, connection) = plain().await;
    let (key, id) = (key(), RequestId::from("request-1"));
    let metadata = metadata(&Operation::CREATE_KEY, &id)
        .with_kms_key_arn(KEY_ARN)
        .with_via_service(Some("ebs.us-east-2.amazonaws.com"))
        .with_source(Some("vpc-1"), Some("vpce-1"));
    let described = guarded(connection.describe_key(&DescribeKeyRequest::new(metadata, &key))).await.unwrap();
    assert_eq!((described.spec, described.status), (KeySpec::Aes256, KeyStatus::Enabled));
    assert!(described.usages.encrypt && described.usages.decrypt);

    let seen = guarded(server.seen()).await;
    check(&seen, "keys/ext-key_01.v2/metadata");
    let expected = json!({"requestMetadata": {
        "awsPrincipalArn": PRINCIPAL, "awsSourceVpc": "vpc-1", "awsSourceVpce": "vpce-1",
        "kmsOperation": "CreateKey", "kmsRequestId": "request-1",
    }});
    assert_eq!(seen.json(), expected);
}

/// XKS-C-28, XKS-C-29, XKS-C-31 to XKS-C-33, XKS-C-37, and XKS-C-49 to XKS-C-55 on the way back.
#[tokio::test]
async fn an_encryption_asks_for_an_integrity_value_unless_it_is_unverified() {
    let (server, _proxy, connection) = plain().await;
    let (key, id) = (key(), RequestId::from("request-1"));
    let metadata = metadata(&Operation::GENERATE_DATA_KEY, &id).with_kms_key_arn(KEY_ARN);
    let metadata = metadata.with_via_service(Some("ebs")).with_source(Some("vpc-1"), None);
    let request = EncryptRequest::new(metadata, &key, PLAINTEXT).with_aad(AAD);
    let ciphertext = guarded(connection.encrypt(&request)).await.unwrap();
    assert_eq!(ciphertext.bytes, xor(PLAINTEXT));
    assert_eq!(ciphertext.initialization_vector.as_bytes(), IV);
    assert_eq!(ciphertext.authentication_tag, TAG);
    assert_eq!(ciphertext.metadata.as_bytes(), b"v=1");

    let seen = guarded(server.seen()).await;
    check(&seen, "keys/ext-key_01.v2/encrypt");
    let expected = json!({
        "requestMetadata": {
            "awsPrincipalArn": PRINCIPAL, "awsSourceVpc": "vpc-1", "kmsKeyArn": KEY_ARN,
            "kmsOperation": "GenerateDataKey", "kmsRequestId": "request-1", "kmsViaService": "ebs",
        },
        "plaintext": "YXR0YWNrIGF0IGRhd24=",
        "additionalAuthenticatedData": "dGVuYW50PWJsdWU=",
        "encryptionAlgorithm": "AES_GCM",
        "ciphertextDataIntegrityValueAlgorithm": "SHA_256",
    });
    assert_eq!(seen.json(), expected);

    let unverified = EncryptRequest::new(metadata, &key, PLAINTEXT).unverified();
    guarded(connection.encrypt(&unverified)).await.unwrap();
    let seen = guarded(server.seen()).await.json();
    assert!(seen.get("ciphertextDataIntegrityValueAlgorithm").is_none());
    assert!(seen.get("additionalAuthenticatedData").is_none(), "what is empty is not sent");
}

/// XKS-C-28, XKS-C-31, XKS-C-32, XKS-C-35 to XKS-C-37, and XKS-C-56, XKS-C-57 on the way back.
#[tokio::test]
async fn a_decryption_repeats_what_the_encryption_gave() {
    let (server, _proxy, connection) = plain().await;
    let (key, id) = (key(), RequestId::from("request-1"));
    let ciphertext = Ciphertext::new(xor(PLAINTEXT), InitializationVector::new(&[3; 16]).unwrap(), TAG)
        .with_metadata(CiphertextMetadata::new(&[1; 20]).unwrap());
    let metadata = metadata(&Operation::DECRYPT, &id).with_kms_key_arn(KEY_ARN);
    let request = DecryptRequest::new(metadata, &key, &ciphertext).with_aad(AAD);
    let decrypted = guarded(connection.decrypt(&request)).await.unwrap();
    assert_eq!(decrypted.plaintext.expose(), PLAINTEXT);

    let seen = guarded(server.seen()).await;
    check(&seen, "keys/ext-key_01.v2/decrypt");
    let seen = seen.json();
    assert_eq!(bytes(&seen["ciphertext"]), xor(PLAINTEXT));
    assert_eq!(bytes(&seen["initializationVector"]), [3; 16]);
    assert_eq!(bytes(&seen["authenticationTag"]), TAG);
    assert_eq!(bytes(&seen["ciphertextMetadata"]), [1; 20]);
    assert_eq!(bytes(&seen["additionalAuthenticatedData"]), AAD);
    assert_eq!(seen["encryptionAlgorithm"], "AES_GCM");
    assert_eq!(seen["requestMetadata"]["kmsKeyArn"], KEY_ARN);
}

/// XKS-C-31: the protocol demands an ARN even of those who have none.
#[tokio::test]
async fn a_backing_key_without_a_kms_key_gets_an_arn_of_nobody() {
    let (server, _proxy, connection) = plain().await;
    let (key, id) = (key(), RequestId::from("request-1"));
    let request = EncryptRequest::new(metadata(&Operation::ENCRYPT, &id), &key, PLAINTEXT);
    let ciphertext = guarded(connection.encrypt(&request)).await.unwrap();
    let request = DecryptRequest::new(metadata(&Operation::DECRYPT, &id), &key, &ciphertext);
    guarded(connection.decrypt(&request)).await.unwrap();
    for _ in 0..2 {
        let seen = guarded(server.seen()).await.json();
        let arn = "arn:aws:kms:us-east-2:000000000000:key/ext-key_01.v2";
        assert_eq!(seen["requestMetadata"]["kmsKeyArn"], arn);
    }
}

/// XKS-C-34: 4,300 bytes with 8,192 of authenticated data are within every limit, the answer's too.
#[tokio::test]
async fn the_largest_that_every_proxy_takes_makes_the_round_trip() {
    let (_server, _proxy, connection) = plain().await;
    let (key, id) = (key(), RequestId::from("request-1"));
    let (plaintext, aad) = (vec![1; 4300], vec![2; 8192]);
    let request = EncryptRequest::new(metadata(&Operation::ENCRYPT, &id), &key, &plaintext).with_aad(&aad);
    let ciphertext = guarded(connection.encrypt(&request)).await.unwrap();
    let request = DecryptRequest::new(metadata(&Operation::DECRYPT, &id), &key, &ciphertext).with_aad(&aad);
    assert_eq!(guarded(connection.decrypt(&request)).await.unwrap().plaintext.expose(), plaintext);
}

/// XKS-C-37: of the two alphabets the one with + and /, and with padding, both ways.
#[tokio::test]
async fn binary_members_are_standard_base64() {
    let (server, _proxy, connection) = plain().await;
    let (key, id) = (key(), RequestId::from("request-1"));
    let metadata = metadata(&Operation::ENCRYPT, &id);
    let (plaintext, aad) = (&[0xfb, 0xef, 0xbe, 0xff], &[0xff, 0xff, 0xfe]);
    let request = EncryptRequest::new(metadata, &key, plaintext).with_aad(aad);
    guarded(connection.encrypt(&request)).await.unwrap();
    let seen = guarded(server.seen()).await.json();
    assert_eq!(seen["plaintext"], "++++/w==");
    assert_eq!(seen["additionalAuthenticatedData"], "///+");

    let ciphertext =
        Ciphertext::new(plaintext.to_vec(), InitializationVector::new(&[0xff; 12]).unwrap(), TAG)
            .with_metadata(CiphertextMetadata::new(&[0xfb, 0xf0]).unwrap());
    let request = DecryptRequest::new(metadata, &key, &ciphertext).with_aad(aad);
    assert_eq!(guarded(connection.decrypt(&request)).await.unwrap().plaintext.expose(), xor(plaintext));
    let seen = guarded(server.seen()).await.json();
    assert_eq!(seen["ciphertext"], "++++/w==");
    assert_eq!(seen["initializationVector"], "/".repeat(16));
    assert_eq!(seen["ciphertextMetadata"], "+/A=");
}

/// XKS-C-23: the date is the clock's, in UTC.
#[tokio::test]
async fn the_date_is_that_of_the_clock() {
    let server = Server::start(Manner::Plain).await;
    // 2026-01-15 12:34:56 UTC
    let clock = ManualClock::starting_at(SystemTime::UNIX_EPOCH + Duration::from_secs(1_768_480_496));
    let settings = settings().clock(clock).dangerous_plain_http_on_loopback(server.address);
    connect(&settings.build().unwrap()).await;
    let seen = guarded(server.seen()).await;
    assert_eq!(seen.header("x-amz-date"), "20260115T123456Z");
    check(&seen, "health");
}

/// XKS-C-14: a URI of more than 256 characters is not sent. (XKS-C-09 to XKS-C-13, XKS-C-15, XKS-C-16 and XKS-C-18
/// are rules of the types, in `values`.)
#[tokio::test]
async fn a_uri_that_is_too_long_is_not_sent() {
    let server = Server::start(Manner::Plain).await;
    let path = format!("/{}/kms/xks/v1", "p".repeat(116));
    let proxy = settings().path(UriPath::new(path).unwrap()).dangerous_plain_http_on_loopback(server.address);
    let proxy = proxy.build().unwrap();
    let connection = connect(&proxy).await;
    let (key, id) = (BackingKeyId::new("k".repeat(128)).unwrap(), RequestId::generate());
    let request = DescribeKeyRequest::new(metadata(&Operation::CREATE_KEY, &id), &key);
    let error = guarded(connection.describe_key(&request)).await.unwrap_err();
    assert_eq!(error.kind(), BackendErrorKind::InvalidRequest);
    assert_eq!(proxy.counters().counts().requests, 1, "the health check alone");
}
