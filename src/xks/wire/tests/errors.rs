//! Errors on the wire.

use serde_json::{Value, json};

use super::{bytes, repeated};
use crate::backend::BackendErrorKind;
use crate::xks::ErrorName;
use crate::xks::wire::{error_body, error_response};

// XKS-P-110, XKS-P-113, XKS-C-64, XKS-C-68: each name makes the round trip with its message.
#[test]
fn each_error_makes_the_round_trip() {
    for name in ErrorName::ALL {
        let body = error_body(*name, Some("quota of \"blue\" used up"));
        let error = error_response(name.http_status(), body.as_bytes());
        assert_eq!(error.kind(), name.kind());
        // XKS-P-92: an invalid ciphertext carries no text at all.
        let silent = *name == ErrorName::InvalidCiphertext;
        assert_eq!(error.detail(), (!silent).then_some("quota of \"blue\" used up"));
        assert!(!error.to_string().contains("blue"));
        // The name counts, whatever the status.
        assert_eq!(error_response(418, body.as_bytes()).kind(), name.kind());
    }
    assert_eq!(error_body(ErrorName::Internal, None).as_bytes(), br#"{"errorName":"InternalException"}"#);
}

// XKS-P-111, XKS-P-112
#[test]
fn a_message_is_short_printable_ascii() {
    for message in ["\u{0}\n\t\u{7f}\u{e9}\u{1F511}".repeat(200), "\"\\".repeat(600), String::new()] {
        let body = error_body(ErrorName::Validation, Some(&message));
        let json: Value = serde_json::from_slice(body.as_bytes()).unwrap();
        let written = json["errorMessage"].as_str().unwrap();
        assert_eq!(written.len(), message.chars().count().min(511));
        assert!(written.bytes().all(|byte| (0x20..=0x7e).contains(&byte)));
    }
}

// XKS-C-69
#[test]
fn a_message_of_another_make_is_cut_and_escaped() {
    let detail = |message: Value| {
        let body = bytes(&json!({ "errorName": "ThrottlingException", "errorMessage": message }));
        let error = error_response(429, &body);
        assert_eq!(error.kind(), BackendErrorKind::Throttled);
        error.detail().map(str::to_owned)
    };
    assert_eq!(detail(json!("x".repeat(5000))).unwrap().len(), 511);
    assert_eq!(detail(json!("a\nb\u{1b}[31m\u{e9}")).unwrap(), "a\\nb\\u{1b}[31m\\u{e9}");
    assert!(detail(json!("\u{1F511}".repeat(500))).unwrap().len() <= 511);
    // What is no text takes nothing from the name.
    for message in [Value::Null, json!(1), json!({})] {
        assert_eq!(detail(message), None);
    }
}

// XKS-C-67, XKS-C-72, XKS-C-73
#[test]
fn what_is_no_error_body_is_a_malformed_response() {
    let named = json!({ "errorName": "InternalException" });
    for body in [
        b"".to_vec(),
        b"<html>Bad Gateway</html>".to_vec(),
        b"{}".to_vec(),
        bytes(&json!(["InternalException"])),
        bytes(&json!({ "errorName": null })),
        bytes(&json!({ "errorName": 7 })),
        bytes(&json!({ "errorName": "InternalError" })),
        repeated(&named, "errorName"),
    ] {
        let error = error_response(500, &body);
        assert_eq!(error.kind(), BackendErrorKind::InvalidResponse, "{}", String::from_utf8_lossy(&body));
        assert!(error.detail().unwrap().starts_with("status 500"));
    }
    let error = error_response(500, &bytes(&json!({ "errorName": "\n".repeat(1000) })));
    assert!(error.detail().unwrap().len() < 100);
    // A2: 405 is none of the protocol's, with or without a name.
    assert_eq!(error_response(405, &bytes(&named)).kind(), BackendErrorKind::InvalidResponse);
}
