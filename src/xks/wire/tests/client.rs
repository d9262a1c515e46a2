//! What the client sends, and what it accepts.

use http::{HeaderMap, HeaderValue};
use serde_json::{Value, json};

use super::{
    bytes, encrypt_response_json, flaw, health_response_json, id, key, key_metadata_response_json, metadata,
    repeated, spec_aad, spec_ciphertext, with, without,
};
use crate::backend::{
    BackendError, BackendErrorKind, Ciphertext, DecryptRequest, DescribeKeyRequest, EncryptRequest,
    HealthRequest, HealthStatus, KeySpec, KeyStatus, KeyUsages, Operation, RequestMetadata,
};
use crate::xks::wire::{
    Flaw, decrypt_request, decrypt_response, encrypt_request, encrypt_response, health_request,
    health_response, is_json, key_metadata_request, key_metadata_response,
};

// XKS-C-28 to XKS-C-33, XKS-C-35, XKS-C-37, A6
#[test]
fn requests_carry_what_the_protocol_demands_and_no_more() {
    let (key, id, encrypt, create) = (key(), id(), Operation::ENCRYPT, Operation::CREATE_KEY);
    let text = |body: &[u8]| String::from_utf8(body.to_vec()).unwrap();

    let body = key_metadata_request(&DescribeKeyRequest::new(metadata(&create, &id), &key));
    assert_eq!(
        text(body.as_bytes()),
        r#"{"requestMetadata":{"awsPrincipalArn":"arn:aws:iam::111122223333:role/R","awsSourceVpc":"vpc-1","awsSourceVpce":"vpce-1","kmsOperation":"CreateKey","kmsRequestId":"request-1"}}"#
    );
    let body = health_request(&HealthRequest::new(metadata(&Operation::HEALTH_CHECK, &id)));
    assert_eq!(
        text(body.as_bytes()),
        r#"{"requestMetadata":{"kmsOperation":"KmsHealthCheck","kmsRequestId":"request-1"}}"#
    );
    let body =
        encrypt_request(&EncryptRequest::new(metadata(&encrypt, &id), &key, &[0xff; 3]).with_aad(b"a"));
    assert_eq!(
        text(body.as_bytes()),
        r#"{"requestMetadata":{"awsPrincipalArn":"arn:aws:iam::111122223333:role/R","awsSourceVpc":"vpc-1","awsSourceVpce":"vpce-1","kmsKeyArn":"arn:aws:kms:us-east-2:111122223333:key/k","kmsOperation":"Encrypt","kmsRequestId":"request-1","kmsViaService":"ebs"},"additionalAuthenticatedData":"YQ==","plaintext":"////","encryptionAlgorithm":"AES_GCM","ciphertextDataIntegrityValueAlgorithm":"SHA_256"}"#
    );
    // What is empty or absent is not sent, nor an integrity algorithm when nobody asks.
    let bare = RequestMetadata::new("p", &encrypt, &id);
    let body = encrypt_request(&EncryptRequest::new(bare, &key, b"").unverified());
    assert_eq!(
        text(body.as_bytes()),
        r#"{"requestMetadata":{"awsPrincipalArn":"p","kmsOperation":"Encrypt","kmsRequestId":"request-1"},"plaintext":"","encryptionAlgorithm":"AES_GCM"}"#
    );
    let ciphertext = spec_ciphertext();
    let body = decrypt_request(&DecryptRequest::new(bare, &key, &ciphertext));
    assert!(text(body.as_bytes()).ends_with(
        r#""ciphertext":"ghxkK1txeDNn3q8Y","initializationVector":"HMrlRw85cAJUd5Ax","authenticationTag":"vBxN2ncH1oEkR8WVXpmyYQ==","ciphertextMetadata":"a2V5X3ZlcnNpb249MQ==","encryptionAlgorithm":"AES_GCM"}"#
    ));
}

fn encrypted(body: &[u8], verified: bool) -> Result<Ciphertext, BackendError> {
    let (key, id, operation, aad) = (key(), id(), Operation::ENCRYPT, spec_aad());
    let request = EncryptRequest::new(metadata(&operation, &id), &key, &[0; 12]).with_aad(&aad);
    encrypt_response(body, &if verified { request } else { request.unverified() })
}

/// A member of a response, whether it is required, and who reads it.
type Case = (Value, &'static str, bool, fn(&[u8]) -> Result<(), BackendError>);

fn members() -> Vec<Case> {
    let meta = |name| -> Case {
        (key_metadata_response_json(), name, true, |body| key_metadata_response(body).map(drop))
    };
    let encrypt = |name, required| -> Case {
        (encrypt_response_json(), name, required, |body| encrypted(body, true).map(drop))
    };
    let health =
        |name| -> Case { (health_response_json(), name, true, |body| health_response(body).map(drop)) };
    vec![
        meta("keySpec"),
        meta("keyUsage"),
        meta("keyStatus"),
        encrypt("ciphertext", true),
        encrypt("initializationVector", true),
        encrypt("authenticationTag", true),
        // Both are optional by their shape; without them the integrity value does not hold.
        encrypt("ciphertextMetadata", false),
        encrypt("ciphertextDataIntegrityValue", false),
        (json!({ "plaintext": "ghxkK1txeDNn3q8Y" }), "plaintext", true, |b| {
            decrypt_response(b, 12).map(drop)
        }),
        health("xksProxyFleetSize"),
        health("xksProxyVendor"),
        health("xksProxyModel"),
        health("ekmVendor"),
        health("ekmFleetDetails"),
    ]
}

// XKS-C-42, XKS-C-49, XKS-C-53, XKS-C-56, XKS-C-60, XKS-C-67, XKS-C-73
#[test]
fn each_member_of_a_response_is_checked() {
    for (json, member, required, parse) in members() {
        assert!(parse(&bytes(&json)).is_ok(), "{member}");
        let kind = |body: Vec<u8>| parse(&body).unwrap_err().kind();
        let expected =
            if required { BackendErrorKind::InvalidResponse } else { BackendErrorKind::IntegrityCheckFailed };
        assert_eq!(kind(bytes(&without(json.clone(), member))), expected, "{member}");
        assert_eq!(kind(bytes(&with(json.clone(), member, Value::Null))), expected, "{member}");
        for wrong in [json!(true), json!({}), json!([1])] {
            let error = parse(&bytes(&with(json.clone(), member, wrong))).unwrap_err();
            assert_eq!(error.kind(), BackendErrorKind::InvalidResponse);
            assert_eq!(flaw(&error).unwrap().0, Flaw::WrongType, "{member}");
        }
        let error = parse(&repeated(&json, member)).unwrap_err();
        assert_eq!(flaw(&error).unwrap(), (Flaw::Duplicate, format!("{member} appears more than once")));
        // An unknown member is ignored; a success that names an error is none; an array is no object.
        assert!(parse(&bytes(&with(json.clone(), "new", json!([1])))).is_ok());
        let error = parse(&bytes(&with(json.clone(), "errorName", json!("InternalException")))).unwrap_err();
        assert_eq!(flaw(&error).unwrap().0, Flaw::Unexpected);
        let values: Vec<_> = json.as_object().unwrap().values().cloned().collect();
        assert_eq!(flaw(&parse(&bytes(&json!(values))).unwrap_err()).unwrap().0, Flaw::NotAnObject);
    }
}

// XKS-C-43 to XKS-C-47: described as it is; whether it will do is decided where a KMS key is created.
#[test]
fn a_key_is_described_whatever_it_is() {
    let read = |json: Value| key_metadata_response(&bytes(&json));
    let good = read(key_metadata_response_json()).unwrap();
    assert_eq!(
        (good.spec, good.usages, good.status),
        (KeySpec::Aes256, KeyUsages::ENCRYPT_DECRYPT, KeyStatus::Enabled)
    );
    let odd = json!({ "keySpec": "RSA_2048", "keyUsage": ["SIGN", "DECRYPT"], "keyStatus": "DISABLED" });
    let odd = read(odd).unwrap();
    assert_eq!(
        (odd.spec, odd.usages, odd.status),
        (KeySpec::Other("RSA_2048".into()), KeyUsages::DECRYPT, KeyStatus::Disabled)
    );
    assert!(read(with(key_metadata_response_json(), "keyUsage", json!([]))).is_ok());
    assert!(read(with(key_metadata_response_json(), "keyUsage", json!(vec!["WRAP"; 10]))).is_ok());
    let error = read(with(key_metadata_response_json(), "keyUsage", json!(vec!["WRAP"; 11]))).unwrap_err();
    assert_eq!(flaw(&error).unwrap().0, Flaw::WrongCount);
    let error = read(with(key_metadata_response_json(), "keyStatus", json!("enabled"))).unwrap_err();
    assert_eq!(flaw(&error).unwrap().0, Flaw::UnknownWord);
}

// XKS-C-48 to XKS-C-52, XKS-C-55
#[test]
fn sizes_of_an_encryption_are_checked() {
    assert_eq!(encrypted(&bytes(&encrypt_response_json()), true).unwrap(), spec_ciphertext());
    let error = |member: &str, text: &str| {
        let error = encrypted(&bytes(&with(encrypt_response_json(), member, json!(text))), true).unwrap_err();
        assert_eq!(error.kind(), BackendErrorKind::InvalidResponse, "{member} {text}");
        flaw(&error).unwrap().0
    };
    let sized = |size: usize| {
        use base64::Engine as _;
        base64::engine::general_purpose::STANDARD.encode(vec![7; size])
    };
    for size in [0, 11, 13, 28] {
        assert_eq!(error("ciphertext", &sized(size)), Flaw::WrongLength);
    }
    for size in [0, 11, 13, 15, 17, 48, 200] {
        assert_eq!(error("initializationVector", &sized(size)), Flaw::WrongLength);
        assert_eq!(error("authenticationTag", &sized(size)), Flaw::WrongLength);
    }
    for size in [21, 48, 200] {
        assert_eq!(error("ciphertextMetadata", &sized(size)), Flaw::WrongLength);
    }
    for member in ["ciphertext", "initializationVector", "ciphertextMetadata", "ciphertextDataIntegrityValue"]
    {
        for text in ["AAAAAAAAAAAAAAA-", "AAAA AAAA AAAAAA"] {
            assert_eq!(error(member, text), Flaw::NotBase64, "{member}");
        }
    }
    for text in ["vBxN2ncH1oEkR8WVXpmyYQ", "vBxN2ncH1oEkR8WVXpmyYQ=", "vBxN2ncH1oEkR8WVXpmyYR=="] {
        assert_eq!(error("authenticationTag", text), Flaw::NotBase64);
    }
}

// XKS-C-53, XKS-C-54
#[test]
fn the_integrity_value_is_recomputed() {
    for wrong in ["2NhkMfn8Nvz1AJF/zYf/x/JrocnZYNAyoIgIYmZoQXc=", "", "AAAA"] {
        let json = with(encrypt_response_json(), "ciphertextDataIntegrityValue", json!(wrong));
        let error = encrypted(&bytes(&json), true).unwrap_err();
        assert_eq!(error.kind(), BackendErrorKind::IntegrityCheckFailed);
        // One that nobody asked for is not looked at.
        assert!(encrypted(&bytes(&json), false).is_ok());
    }
    let json = with(encrypt_response_json(), "ciphertext", json!("ghxkK1txeDNn3q8Z"));
    assert_eq!(encrypted(&bytes(&json), true).unwrap_err().kind(), BackendErrorKind::IntegrityCheckFailed);
    assert!(
        encrypted(&bytes(&without(encrypt_response_json(), "ciphertextDataIntegrityValue")), false).is_ok()
    );
}

// XKS-C-56, XKS-C-57
#[test]
fn a_plaintext_is_as_long_as_its_ciphertext() {
    let body = br#"{"plaintext":"ghxkK1txeDNn3q8Y"}"#;
    assert_eq!(decrypt_response(body, 12).unwrap().plaintext.len(), 12);
    for length in [0, 11, 13] {
        let error = decrypt_response(body, length).unwrap_err();
        assert_eq!(flaw(&error).unwrap().0, Flaw::WrongLength);
        assert!(!format!("{error:?}").contains("ghxk"));
    }
    assert!(decrypt_response(br#"{"plaintext":""}"#, 0).unwrap().plaintext.is_empty());
    let error = decrypt_response(br#"{"plaintext":"ghxkK1txeDNn3q8-"}"#, 12).unwrap_err();
    assert_eq!(flaw(&error).unwrap().0, Flaw::NotBase64);
}

// XKS-C-60 to XKS-C-63
#[test]
fn a_health_answer_is_checked() {
    let read = |json: &Value| health_response(&bytes(json));
    let health = read(&health_response_json()).unwrap();
    assert_eq!((health.status(), health.proxy.unwrap().fleet_size), (HealthStatus::Degraded, 2));
    for size in ["0", "-1", "-0", "2.0", "2e0", "18446744073709551616"] {
        let body = health_response_json()
            .to_string()
            .replace("\"xksProxyFleetSize\":2", &format!("\"xksProxyFleetSize\":{size}"));
        let error = health_response(body.as_bytes()).unwrap_err();
        assert_eq!(flaw(&error).unwrap().0, Flaw::NotPositive, "{size}");
    }
    let error = read(&with(health_response_json(), "xksProxyFleetSize", json!("2"))).unwrap_err();
    assert_eq!(flaw(&error).unwrap().0, Flaw::WrongType);

    let one = json!({ "id": "a", "model": "hsm", "healthStatus": "UNAVAILABLE" });
    let fleet = |entries: Vec<Value>| with(health_response_json(), "ekmFleetDetails", json!(entries));
    for (count, ok) in [(0, false), (1, true), (10, true), (11, false)] {
        assert_eq!(read(&fleet(vec![one.clone(); count])).is_ok(), ok, "{count}");
    }
    assert_eq!(read(&fleet(vec![one.clone()])).unwrap().status(), HealthStatus::Unavailable);
    for member in ["id", "model", "healthStatus"] {
        for broken in [
            without(one.clone(), member),
            with(one.clone(), member, json!(1)),
            with(one.clone(), member, Value::Null),
        ] {
            assert_eq!(read(&fleet(vec![broken])).unwrap_err().kind(), BackendErrorKind::InvalidResponse);
        }
    }
    for broken in [with(one, "healthStatus", json!("GREEN")), json!(["a", "hsm", "ACTIVE"]), Value::Null] {
        assert_eq!(read(&fleet(vec![broken])).unwrap_err().kind(), BackendErrorKind::InvalidResponse);
    }
}

// XKS-C-01, XKS-C-67
#[test]
fn a_response_says_that_it_is_json() {
    let says = |values: &[&'static str]| {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append("content-type", HeaderValue::from_static(value));
        }
        is_json(&headers)
    };
    assert!(says(&["application/json"]) && says(&["Application/JSON ; charset=utf-8"]));
    assert!(!says(&[]) && !says(&["text/html"]) && !says(&["application/jsonp"]) && !says(&[""]));
    assert!(!says(&["application/json", "application/json"]));
}
