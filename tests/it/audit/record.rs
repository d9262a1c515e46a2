//! A record says what CloudTrail says, by the same names.

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use custom_key_store::audit::{AuditCategory, AuditOutcome, AuditRecord, AuditValue};
use custom_key_store::backend::{BackingKeyId, CloudHsmClusterId, ConnectionErrorCode, Operation, RequestId};
use custom_key_store::{ConnectionState, EncryptionContext, KeyArn, StoreId};
use proptest::prelude::*;

fn arn(last: char) -> KeyArn {
    KeyArn::new(format!("arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-12345678900{last}"))
        .unwrap()
}

fn full() -> AuditRecord {
    let time = UNIX_EPOCH + Duration::from_millis(1_764_117_180_123);
    let context = |value: &str| EncryptionContext::new([("tenant", value)]).unwrap();
    AuditRecord::call(time, AuditCategory::Cryptographic, Operation::RE_ENCRYPT)
        .with_request_id(RequestId::from("b1a3"))
        .with_principal("arn:aws:iam::111122223333:user/Alice")
        .with_source_address("2001:db8::1".parse().unwrap())
        .with_key(arn('a'))
        .with_encryption_context(context("blue"))
        .with_destination(arn('b'), context("red"))
        .with_destination_store(StoreId::new("cks-0fedcba9876543210").unwrap())
        .with_store(StoreId::new("cks-1").unwrap())
        .with_backing_key(BackingKeyId::new("payroll").unwrap())
        .with_parameter("encryptionAlgorithm", "SYMMETRIC_DEFAULT")
        .with_parameter("numberOfBytes", 32_u32)
        .with_parameter("tags", AuditValue::of(&[("key", "value")]))
        .with_outcome(AuditOutcome::Failed {
            error: "KMSInvalidStateException".into(),
            message: "it is \"pending deletion\"".into(),
        })
}

#[test]
fn every_member_has_the_name_that_cloudtrail_gives_it() {
    let json: serde_json::Value = serde_json::from_str(&full().to_json()).unwrap();
    let expected = serde_json::json!({
        "eventTime": "2025-11-26T00:33:00.123Z",
        "eventName": "ReEncrypt",
        "eventType": "AwsApiCall",
        "eventCategory": "Cryptographic",
        "requestID": "b1a3",
        "principal": "arn:aws:iam::111122223333:user/Alice",
        "sourceIPAddress": "2001:db8::1",
        "keyArn": arn('a').as_str(),
        "destinationKeyArn": arn('b').as_str(),
        "customKeyStoreId": "cks-1",
        "destinationCustomKeyStoreId": "cks-0fedcba9876543210",
        "xksKeyId": "payroll",
        "encryptionContext": {"tenant": "blue"},
        "destinationEncryptionContext": {"tenant": "red"},
        "requestParameters": {
            "encryptionAlgorithm": "SYMMETRIC_DEFAULT",
            "numberOfBytes": 32,
            "tags": [["key", "value"]],
        },
        "outcome": "Failed",
        "errorCode": "KMSInvalidStateException",
        "errorMessage": "it is \"pending deletion\"",
    });
    assert_eq!(json, expected);
}

#[test]
fn the_key_of_a_cluster_is_no_external_key() {
    let record = full().with_cluster(CloudHsmClusterId::new("cluster-abcdefghij2").unwrap());
    let json: serde_json::Value = serde_json::from_str(&record.to_json()).unwrap();
    assert_eq!(json["clusterId"], "cluster-abcdefghij2");
    assert_eq!(json["backingKeyId"], "payroll");
    assert_eq!(json.get("xksKeyId"), None);
    assert_eq!(serde_json::from_str::<AuditRecord>(&record.to_json()).unwrap(), record);
}

#[test]
fn how_a_connect_ended_is_an_event_of_the_service() {
    let ended = |to, code| {
        let states = (ConnectionState::Connecting, to);
        let connect = Operation::CONNECT_CUSTOM_KEY_STORE;
        AuditRecord::transition(UNIX_EPOCH, connect, states, code).with_store(StoreId::new("cks-1").unwrap())
    };
    let failed = ended(ConnectionState::Failed, Some(ConnectionErrorCode::XksProxyTimedOut));
    let json: serde_json::Value = serde_json::from_str(&failed.to_json()).unwrap();
    assert_eq!(json["eventType"], "AwsServiceEvent");
    assert_eq!(json["serviceEventDetails"], serde_json::json!({"from": "CONNECTING", "to": "FAILED"}));
    assert_eq!((&json["outcome"], &json["errorCode"]), (&"Failed".into(), &"XKS_PROXY_TIMED_OUT".into()));
    assert_eq!(json.get("requestParameters"), None);
    let connected = ended(ConnectionState::Connected, None);
    assert_eq!(connected.outcome, AuditOutcome::Succeeded);
    for record in [failed, connected] {
        assert_eq!(serde_json::from_str::<AuditRecord>(&record.to_json()).unwrap(), record);
    }
}

#[test]
fn a_record_reads_back_as_it_was() {
    let call = |outcome| full().with_outcome(outcome);
    let bare = AuditRecord::call(UNIX_EPOCH, AuditCategory::Management, Operation::new("ListAliases"));
    for record in [full(), call(AuditOutcome::Succeeded), call(AuditOutcome::Dropped), bare] {
        assert_eq!(serde_json::from_str::<AuditRecord>(&record.to_json()).unwrap(), record);
    }
}

#[test]
fn what_is_no_record_is_refused() {
    let json = full().to_json();
    for (from, to) in [
        ("2025-11-26T", "2025-11-31T"),
        ("AwsApiCall", "AwsApiCalls"),
        (r#""outcome":"Failed""#, r#""outcome":"Succeeded""#),
        (r#""errorCode":"KMSInvalidStateException","#, ""),
        ("2001:db8::1", "2001:db8::1::2"),
        ("key/1234abcd", "key/123"),
        (r#""eventName":"ReEncrypt","#, ""),
    ] {
        assert!(json.contains(from));
        assert!(serde_json::from_str::<AuditRecord>(&json.replace(from, to)).is_err(), "{to}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_texts_are_in_it_a_record_is_one_line_and_reads_back(
        principal in any::<String>(),
        request in any::<String>(),
        name in any::<String>(),
        text in any::<String>(),
        message in any::<String>(),
        key in ".{1,20}",
        value in any::<String>(),
        millis in 0_u64..253_402_300_800_000,
    ) {
        let record = AuditRecord::call(
            UNIX_EPOCH + Duration::from_millis(millis),
            AuditCategory::Management,
            Operation::new(name.clone()),
        )
        .with_principal(principal)
        .with_request_id(RequestId::from(request.as_str()))
        .with_encryption_context(EncryptionContext::new([(key, value)]).unwrap())
        .with_parameter(name, text.clone())
        .with_parameter("shared", Arc::<str>::from(text))
        .with_outcome(AuditOutcome::Failed { error: "ValidationException".into(), message: message.into() });
        let json = record.to_json();
        prop_assert!(!json.contains(|c| c < ' '), "{json}");
        prop_assert_eq!(serde_json::from_str::<AuditRecord>(&json).unwrap(), record);
    }
}
