//! Which operation a request is for.

use serde_json::json;

use super::support::{Rig, call, error, is_error};

/// What AWS's model names and custom key stores have.
pub(super) const HAD: &[&str] = &[
    "CancelKeyDeletion",
    "ConnectCustomKeyStore",
    "CreateAlias",
    "CreateCustomKeyStore",
    "CreateKey",
    "Decrypt",
    "DeleteAlias",
    "DeleteCustomKeyStore",
    "DescribeCustomKeyStores",
    "DescribeKey",
    "DisableKey",
    "DisconnectCustomKeyStore",
    "EnableKey",
    "Encrypt",
    "GenerateDataKey",
    "GenerateDataKeyWithoutPlaintext",
    "GenerateRandom",
    "GetKeyPolicy",
    "ListAliases",
    "ListKeyPolicies",
    "ListKeys",
    "ListResourceTags",
    "ReEncrypt",
    "ScheduleKeyDeletion",
    "TagResource",
    "UntagResource",
    "UpdateAlias",
    "UpdateCustomKeyStore",
    "UpdateKeyDescription",
];

/// What it names besides.
pub(super) const NOT_HAD: &[&str] = &[
    "CreateGrant",
    "Decapsulate",
    "DeleteImportedKeyMaterial",
    "DeriveSharedSecret",
    "DisableKeyRotation",
    "EnableKeyRotation",
    "Encapsulate",
    "GenerateDataKeyPair",
    "GenerateDataKeyPairWithoutPlaintext",
    "GenerateMac",
    "GetKeyLastUsage",
    "GetKeyRotationStatus",
    "GetParametersForImport",
    "GetPublicKey",
    "ImportKeyMaterial",
    "ListGrants",
    "ListKeyRotations",
    "ListRetirableGrants",
    "PutKeyPolicy",
    "ReplicateKey",
    "RetireGrant",
    "RevokeGrant",
    "RotateKeyOnDemand",
    "Sign",
    "UpdatePrimaryRegion",
    "Verify",
    "VerifyMac",
];

const UNKNOWN: &str = "UnknownOperationException";

#[tokio::test]
async fn every_operation_of_the_model_is_known_and_no_other() {
    let rig = Rig::new().await;
    assert_eq!(HAD.len() + NOT_HAD.len(), 56);
    for operation in HAD.iter().chain(NOT_HAD) {
        let reply = rig.call(operation, &json!({})).await;
        if reply.status != 200 {
            assert_ne!(error(&reply).1, UNKNOWN, "{operation}");
        }
    }
    for operation in ["", "encrypt", "ENCRYPT", "Encrypt2", "EncryptDecrypt", "*", "TrentService.Encrypt"] {
        let reply = rig.call(operation, &json!({})).await;
        is_error(&reply, 400, UNKNOWN);
    }
}

#[tokio::test]
async fn a_target_that_is_missing_repeated_or_of_another_service_is_no_operation() {
    let rig = Rig::new().await;
    let with = |targets: &[&str]| {
        let mut call = call("ListKeys", &json!({}));
        call.headers.retain(|(name, _)| name != "x-amz-target");
        // A header that is there twice is signed once, with both values.
        if !targets.is_empty() {
            call.headers.push(("x-amz-target".to_owned(), targets.join(",")));
        }
        call
    };
    for targets in [
        &[][..],
        &[""],
        &["ListKeys"],
        &["TrentService"],
        &["TrentServiceXListKeys"],
        &["DynamoDB_20120810.ListTables"],
        &["TrentService.ListKeys", "TrentService.ListKeys"],
    ] {
        let reply = rig.send(&with(targets)).await;
        is_error(&reply, 400, UNKNOWN);
    }
    let call = with(&["TrentService.ListKeys", "TrentService.ListKeys"]);
    let mut request = super::support::request(&call);
    let headers = request.headers_mut();
    headers.remove("x-amz-target");
    for _ in 0..2 {
        headers.append("x-amz-target", "TrentService.ListKeys".parse().unwrap());
    }
    is_error(&rig.send_request(request).await, 400, UNKNOWN);
}

#[tokio::test]
async fn a_content_type_that_is_not_the_protocols_is_refused() {
    let rig = Rig::new().await;
    let with = |content_type: Option<&str>| {
        let mut call = call("ListKeys", &json!({}));
        call.headers.retain(|(name, _)| name != "content-type");
        call.headers.extend(content_type.map(|value| ("content-type".to_owned(), value.to_owned())));
        call
    };
    for right in [
        "application/x-amz-json-1.1",
        "Application/X-AMZ-JSON-1.1",
        "application/x-amz-json-1.1; charset=utf-8",
    ] {
        assert_eq!(rig.send(&with(Some(right))).await.status, 200, "{right}");
    }
    for wrong in
        [None, Some(""), Some("application/json"), Some("application/x-amz-json-1.0"), Some("text/xml")]
    {
        let message = is_error(&rig.send(&with(wrong)).await, 400, UNKNOWN);
        assert!(message.contains("application/x-amz-json-1.1"), "{message}");
    }
}

#[tokio::test]
async fn there_is_one_path_and_one_method() {
    let rig = Rig::new().await;
    for path in ["/kms", "//", "/ping/", "/?Action=ListKeys/", "*"] {
        let mut call = call("ListKeys", &json!({}));
        call.path = path.to_owned();
        let reply = rig.send(&call).await;
        if path.starts_with("/?") {
            // A query that is signed says nothing; this one is not.
            is_error(&reply, 400, "InvalidSignatureException");
        } else {
            is_error(&reply, 404, UNKNOWN);
        }
    }
    for method in ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "BREW"] {
        let mut call = call("ListKeys", &json!({}));
        call.method = method;
        let reply = rig.send(&call).await;
        is_error(&reply, 405, UNKNOWN);
        assert!(reply.head.contains("allow: post\r\n"), "{reply:?}");
    }
}

#[tokio::test]
async fn a_load_balancer_is_answered_without_a_signature() {
    let rig = Rig::new().await;
    for method in ["GET", "HEAD"] {
        let request = http::Request::builder().method(method).uri("/ping").body(Default::default()).unwrap();
        let reply = rig.send_request(request).await;
        assert_eq!((reply.status, &*reply.body), (200, &b"ok\n"[..]));
    }
    let request = http::Request::post("/ping").body(Default::default()).unwrap();
    let reply = rig.send_request(request).await;
    assert_eq!(reply.status, 405);
    assert!(reply.head.contains("allow: get, head\r\n"), "{reply:?}");
}

#[tokio::test]
async fn a_ping_path_that_cannot_be_asked_is_refused() {
    let rig = Rig::new().await;
    for wrong in ["", "ping", "/", "/a b", "/ä", "/ping?"] {
        let built = custom_key_store::api::KmsApi::builder(rig.kms.clone(), super::support::callers())
            .ping_path(wrong)
            .build();
        assert!(matches!(built, Err(custom_key_store::api::SetupError::PingPath)), "{wrong}");
    }
}
