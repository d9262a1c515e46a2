//! Answers that break the protocol: each is refused, and the next request works.

use custom_key_store::backend::BackendErrorKind;
use custom_key_store::xks::ProxyOperation;
use serde_json::{Value, json};

use super::fixture::{AAD, PLAINTEXT, encrypted, failing, health, plain};
use super::server::{Reply, response};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

fn good_encryption() -> Value {
    encrypted(&json!({
        "plaintext": STANDARD.encode(PLAINTEXT), "additionalAuthenticatedData": STANDARD.encode(AAD)
    }))
}

/// The good answer with one member changed; `null` stands for absence.
fn changed(mut answer: Value, member: &str, value: Value) -> Reply {
    match value {
        Value::Null => drop(answer.as_object_mut().unwrap().remove(member).unwrap()),
        value => answer[member] = value,
    }
    Reply::json(200, &answer.to_string())
}

fn of(bytes: usize) -> Value {
    STANDARD.encode(vec![0; bytes]).into()
}

/// XKS-C-48 to XKS-C-52
#[tokio::test]
async fn an_encryption_of_wrong_sizes_is_malformed() {
    let (server, _proxy, connection) = plain().await;
    let length = PLAINTEXT.len();
    for (member, value) in [
        ("ciphertext", Value::Null),
        ("ciphertext", of(length - 1)),
        ("ciphertext", of(length + 1)),
        ("ciphertext", of(0)),
        ("ciphertext", json!(7)),
        ("ciphertext", json!("not Base64!")),
        ("initializationVector", Value::Null),
        ("initializationVector", of(11)),
        ("initializationVector", of(13)),
        ("initializationVector", of(32)),
        ("authenticationTag", Value::Null),
        ("authenticationTag", of(12)),
        ("authenticationTag", of(17)),
        ("ciphertextMetadata", of(21)),
        ("ciphertextMetadata", of(300)),
    ] {
        let reply = changed(good_encryption(), member, value.clone());
        let error = failing(&server, &*connection, ProxyOperation::Encrypt, reply).await;
        assert_eq!(error.kind(), BackendErrorKind::InvalidResponse, "{member}: {value}");
    }
}

/// XKS-C-53, XKS-C-54
#[tokio::test]
async fn a_wrong_or_missing_integrity_value_is_an_error_of_its_own() {
    let (server, _proxy, connection) = plain().await;
    for value in [Value::Null, of(32), of(31), of(0)] {
        let reply = changed(good_encryption(), "ciphertextDataIntegrityValue", value.clone());
        let error = failing(&server, &*connection, ProxyOperation::Encrypt, reply).await;
        assert_eq!(error.kind(), BackendErrorKind::IntegrityCheckFailed, "{value}");
    }
    // What was damaged on the way shows in the value, although every size is right.
    for member in ["ciphertextMetadata", "initializationVector", "authenticationTag", "ciphertext"] {
        let same_size = of(match member {
            "ciphertext" => PLAINTEXT.len(),
            "initializationVector" => 12,
            "authenticationTag" => 16,
            _ => 3,
        });
        let reply = changed(good_encryption(), member, same_size);
        let error = failing(&server, &*connection, ProxyOperation::Encrypt, reply).await;
        assert_eq!(error.kind(), BackendErrorKind::IntegrityCheckFailed, "{member}");
    }
}

/// XKS-C-56, XKS-C-57
#[tokio::test]
async fn a_decryption_of_another_length_is_malformed() {
    let (server, _proxy, connection) = plain().await;
    let length = PLAINTEXT.len();
    for value in [Value::Null, of(length - 1), of(length + 1), of(0), json!(["x"]), json!("*")] {
        let reply = changed(json!({"plaintext": ""}), "plaintext", value.clone());
        let error = failing(&server, &*connection, ProxyOperation::Decrypt, reply).await;
        assert_eq!(error.kind(), BackendErrorKind::InvalidResponse, "{value}");
    }
}

/// XKS-C-42, XKS-C-43
#[tokio::test]
async fn a_description_that_lacks_something_is_malformed() {
    let (server, _proxy, connection) = plain().await;
    let good = json!({"keySpec": "AES_256", "keyUsage": ["ENCRYPT", "DECRYPT"], "keyStatus": "ENABLED"});
    for (member, value) in [
        ("keySpec", Value::Null),
        ("keyUsage", Value::Null),
        ("keyUsage", json!("ENCRYPT")),
        ("keyUsage", json!(vec!["ENCRYPT"; 11])),
        ("keyStatus", Value::Null),
        ("keyStatus", json!("PAUSED")),
    ] {
        let reply = changed(good.clone(), member, value.clone());
        let error = failing(&server, &*connection, ProxyOperation::GetKeyMetadata, reply).await;
        assert_eq!(error.kind(), BackendErrorKind::InvalidResponse, "{member}: {value}");
    }
}

/// XKS-C-60 to XKS-C-62
#[tokio::test]
async fn a_health_that_lacks_something_is_malformed() {
    let (server, _proxy, connection) = plain().await;
    let instance = health()["ekmFleetDetails"][0].clone();
    let mut unknown = instance.clone();
    unknown["healthStatus"] = "SLEEPY".into();
    for (member, value) in [
        ("xksProxyFleetSize", Value::Null),
        ("xksProxyFleetSize", json!(0)),
        ("xksProxyFleetSize", json!(2.0)),
        ("xksProxyFleetSize", json!("2")),
        ("xksProxyVendor", Value::Null),
        ("xksProxyModel", Value::Null),
        ("ekmVendor", Value::Null),
        ("ekmFleetDetails", Value::Null),
        ("ekmFleetDetails", json!([])),
        ("ekmFleetDetails", json!(vec![instance; 11])),
        ("ekmFleetDetails", json!([unknown])),
        ("ekmFleetDetails", json!([{"id": "a"}])),
    ] {
        let reply = changed(health(), member, value.clone());
        let error = failing(&server, &*connection, ProxyOperation::GetHealthStatus, reply).await;
        assert_eq!(error.kind(), BackendErrorKind::InvalidResponse, "{member}: {value}");
    }
}

/// XKS-C-01, XKS-C-67, XKS-C-73
#[tokio::test]
async fn a_body_that_is_no_json_object_or_does_not_say_that_it_is_json_is_malformed() {
    let (server, _proxy, connection) = plain().await;
    let good = health().to_string();
    let twice = good.replacen('{', r#"{"ekmVendor":"x","#, 1);
    for reply in [
        Reply::json(200, ""),
        Reply::json(200, "{"),
        Reply::json(200, "[]"),
        Reply::json(200, "null"),
        Reply::json(200, &format!("{good}{good}")),
        Reply::json(200, &twice),
        Reply::Raw(response(200, "text/html", &good)),
        Reply::Raw(response(200, "application/jsonp", &good)),
        Reply::Raw(response(503, "text/html", "<h1>no</h1>")),
        Reply::Raw(response(500, "text/plain", r#"{"errorName":"InternalException"}"#)),
        Reply::Raw(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{good}", good.len()).into_bytes()),
        // XKS-C-08: no content coding was offered.
        Reply::Raw(
            b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-encoding: gzip\r\ncontent-length: 4\r\n\r\n\x1f\x8b\x08\x00"
                .to_vec(),
        ),
    ] {
        let shown = format!("{reply:?}");
        let error = failing(&server, &*connection, ProxyOperation::GetHealthStatus, reply).await;
        assert_eq!(error.kind(), BackendErrorKind::InvalidResponse, "{shown}");
    }
}

/// XKS-C-73: what is unknown is ignored; a content type may have parameters, a body may come in chunks.
#[tokio::test]
async fn what_the_protocol_may_grow_to_is_accepted() {
    let (server, _proxy, connection) = plain().await;
    let mut grown = health();
    grown["tomorrow"] = json!({"a": [1, 2]});
    let grown = grown.to_string();
    let (first, second) = grown.split_at(20);
    let chunked = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: Application/JSON; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n\
         {:x}\r\n{first}\r\n{:x}\r\n{second}\r\n0\r\nx-trailer: y\r\n\r\n",
        first.len(),
        second.len(),
    );
    for reply in [
        Reply::Raw(response(200, "application/json; charset=utf-8", &grown)),
        // What comes before the answer is none.
        Reply::Raw(
            [
                b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n".to_vec(),
                response(200, "application/json", &grown),
            ]
            .concat(),
        ),
        Reply::Raw(chunked.into_bytes()),
    ] {
        server.will(reply);
        super::fixture::guarded(super::fixture::call(&*connection, ProxyOperation::GetHealthStatus))
            .await
            .unwrap();
    }
    assert_eq!(server.accepted(), 1);
}
