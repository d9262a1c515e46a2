//! What a store says of itself, in AWS's own names and strings.
//!
//! Source: facts on KMS, 1.2 and 3.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use custom_key_store::backend::software::{Fault, KeyManager, Method};
use custom_key_store::backend::{
    Backend as _, Change, ConnectionErrorCode, CustomKeyStoreType, HealthStatus, Responsible,
    StoreConfiguration, UriEndpoint, VpcEndpointServiceName, XksProxyConnectivity,
};
use custom_key_store::clock::ManualClock;
use custom_key_store::{ConnectionState, Description, KeyStore};
use serde_json::{Value, json};

use crate::support::{cluster, manager, name};

/// A store made at a time that does not come out even, so that rounding would show.
fn store(manager: KeyManager) -> KeyStore<custom_key_store::Disconnected> {
    created(manager, SystemTime::UNIX_EPOCH + Duration::from_micros(1_700_000_000_123_456))
}

fn created(manager: KeyManager, when: SystemTime) -> KeyStore<custom_key_store::Disconnected> {
    KeyStore::builder(manager).clock(ManualClock::starting_at(when)).ephemeral(name())
}

fn json(description: &Description) -> Value {
    serde_json::to_value(description).unwrap()
}

#[tokio::test]
async fn an_external_key_store_prints_as_describe_custom_key_stores_does() {
    let public = store(manager());
    assert_eq!(
        json(&public.describe()),
        json!({
            "CustomKeyStoreId": public.id().as_str(),
            "CustomKeyStoreName": "root keys",
            "CustomKeyStoreType": "EXTERNAL_KEY_STORE",
            "CreationDate": 1_700_000_000.123,
            "ConnectionState": "DISCONNECTED",
            "XksProxyConfiguration": {
                "Connectivity": "PUBLIC_ENDPOINT",
                "AccessKeyId": proxy_of(&manager()).access_key_id.as_str(),
                "UriEndpoint": "https://software.example.com",
                "UriPath": "/kms/xks/v1",
            },
        })
    );

    let mut through_vpc = store(manager());
    let endpoint = UriEndpoint::new("https://private.example.com").unwrap();
    let service = "com.amazonaws.vpce.us-east-1.vpce-svc-0123456789abcdef0";
    let change = Change::new().vpc_endpoint_service(endpoint, VpcEndpointServiceName::new(service).unwrap());
    through_vpc.update(change).await.unwrap();
    let printed = json(&through_vpc.describe());
    assert_eq!(printed["XksProxyConfiguration"]["Connectivity"], "VPC_ENDPOINT_SERVICE");
    assert_eq!(printed["XksProxyConfiguration"]["VpcEndpointServiceName"], service);
    assert_eq!(printed["XksProxyConfiguration"].get("VpcEndpointServiceOwner"), None);
}

fn proxy_of(manager: &KeyManager) -> custom_key_store::backend::XksProxyConfiguration {
    match manager.configuration() {
        StoreConfiguration::External(proxy) => proxy,
        other => unreachable!("{other:?}"),
    }
}

#[test]
fn a_cloudhsm_key_store_prints_as_describe_custom_key_stores_does() {
    let store = store(cluster());
    assert_eq!(
        json(&store.describe()),
        json!({
            "CustomKeyStoreId": store.id().as_str(),
            "CustomKeyStoreName": "root keys",
            "CustomKeyStoreType": "AWS_CLOUDHSM",
            "CreationDate": 1_700_000_000.123,
            "ConnectionState": "DISCONNECTED",
            "CloudHsmClusterId": "cluster-abcdefghij2",
            "TrustAnchorCertificate": "-----BEGIN CERTIFICATE-----",
        })
    );
}

#[tokio::test]
async fn every_state_prints_as_itself_and_the_error_code_in_failed_alone() {
    let state_and_code = |description: Description| {
        let printed = json(&description);
        assert_eq!(
            serde_json::from_value::<Description>(printed.clone()).unwrap(),
            description,
            "and is read back"
        );
        (printed["ConnectionState"].as_str().unwrap().to_owned(), printed.get("ConnectionErrorCode").cloned())
    };
    let manager = manager();
    manager.inject(Method::Connect, Fault::Refuse(ConnectionErrorCode::XksProxyTimedOut));

    let store = store(manager);
    assert_eq!(state_and_code(store.describe()), ("DISCONNECTED".into(), None));
    let store = store.connect();
    assert_eq!(state_and_code(store.describe()), ("CONNECTING".into(), None));
    let store = store.await.unwrap_err().into_store();
    assert_eq!(state_and_code(store.describe()), ("FAILED".into(), Some(json!("XKS_PROXY_TIMED_OUT"))));
    let store = store.disconnect();
    assert_eq!(state_and_code(store.describe()), ("DISCONNECTING".into(), None));
    let store = store.await.connect().await.unwrap();
    assert_eq!(state_and_code(store.describe()), ("CONNECTED".into(), None));
}

#[test]
fn a_creation_date_survives_the_wire_to_the_millisecond() {
    for millis in [0, 1, 999, 1_700_000_000_001, 1_700_000_000_999, 4_102_444_800_123_u64] {
        let when = SystemTime::UNIX_EPOCH + Duration::from_millis(millis);
        let description = created(manager(), when).describe();
        let text = serde_json::to_string(&description).unwrap();
        assert_eq!(serde_json::from_str::<Description>(&text).unwrap().creation_date, when, "{text}");
    }
    // A clock that was never set reads as the epoch, here and read back.
    let before = SystemTime::UNIX_EPOCH - Duration::from_millis(1500);
    let description = created(manager(), before).describe();
    assert_eq!(serde_json::from_value::<Description>(json(&description)).unwrap(), description);
    for wrong in [json!(-1.0), json!(1e300), json!("yesterday")] {
        let mut printed = json(&store(manager()).describe());
        printed["CreationDate"] = wrong.clone();
        assert!(serde_json::from_value::<Description>(printed).is_err(), "{wrong}");
    }
}

/// The enum of the KMS model, in its order (facts on KMS, 3.3).
const CODES: [&str; 18] = [
    "INVALID_CREDENTIALS",
    "CLUSTER_NOT_FOUND",
    "NETWORK_ERRORS",
    "INTERNAL_ERROR",
    "INSUFFICIENT_CLOUDHSM_HSMS",
    "USER_LOCKED_OUT",
    "USER_NOT_FOUND",
    "USER_LOGGED_IN",
    "SUBNET_NOT_FOUND",
    "INSUFFICIENT_FREE_ADDRESSES_IN_SUBNET",
    "XKS_PROXY_ACCESS_DENIED",
    "XKS_PROXY_NOT_REACHABLE",
    "XKS_VPC_ENDPOINT_SERVICE_NOT_FOUND",
    "XKS_PROXY_INVALID_RESPONSE",
    "XKS_PROXY_INVALID_CONFIGURATION",
    "XKS_VPC_ENDPOINT_SERVICE_INVALID_CONFIGURATION",
    "XKS_PROXY_TIMED_OUT",
    "XKS_PROXY_INVALID_TLS_CONFIGURATION",
];

#[test]
fn the_error_codes_are_those_of_the_kms_model_in_display_parse_and_serde() {
    assert_eq!(ConnectionErrorCode::ALL.len(), CODES.len());
    for (code, word) in ConnectionErrorCode::ALL.iter().zip(CODES) {
        assert_eq!(code.to_string(), word);
        assert_eq!(word.parse(), Ok(*code));
        assert_eq!(serde_json::to_value(code).unwrap(), word);
        assert_eq!(serde_json::from_value::<ConnectionErrorCode>(json!(word)).unwrap(), *code);
    }
    assert!("XKS_PROXY_ON_FIRE".parse::<ConnectionErrorCode>().is_err());
}

#[test]
fn every_error_code_belongs_to_the_store_type_of_the_facts() {
    let of = |store_type| {
        ConnectionErrorCode::ALL
            .iter()
            .filter(|code| code.store_type() == store_type)
            .map(|code| code.as_str())
            .collect::<BTreeSet<_>>()
    };
    // Facts on KMS, 3.1 to 3.3: two universal and one shared, seven, eight.
    assert_eq!(of(None), BTreeSet::from(["INTERNAL_ERROR", "NETWORK_ERRORS", "INVALID_CREDENTIALS"]));
    assert_eq!(of(Some(CustomKeyStoreType::AwsCloudhsm)).len(), 7);
    let external = of(Some(CustomKeyStoreType::ExternalKeyStore));
    assert_eq!(external.len(), 8);
    assert!(external.iter().all(|code| code.starts_with("XKS_")));
}

#[test]
fn every_error_code_says_what_it_means_and_what_to_do() {
    let types = [None, Some(CustomKeyStoreType::AwsCloudhsm), Some(CustomKeyStoreType::ExternalKeyStore)];
    let mut meanings = BTreeSet::new();
    for code in ConnectionErrorCode::ALL {
        assert!(meanings.insert(code.meaning()), "{code} means what another means");
        assert!(!code.meaning().ends_with('.'), "it is put into sentences");
        for store_type in types {
            let advice = code.advice(store_type);
            // The universal way on is part of every advice: a failed store must be disconnected first.
            let action = advice.action.to_lowercase();
            assert!(
                action.contains("disconnect the store") && action.contains("connect again"),
                "{code}: {action}"
            );
            assert!(!action.contains("  "), "{code}: {action}");
        }
    }
    let credentials = ConnectionErrorCode::InvalidCredentials;
    assert_eq!(credentials.advice(types[1]).by, Responsible::CryptoOfficer);
    assert_eq!(credentials.advice(types[2]).by, Responsible::StoreOwner);
}

#[test]
fn the_other_words_are_aws_s_own() {
    let words = |values: Vec<Value>| {
        values.into_iter().map(|value| value.as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let all = |values: Vec<Value>, expected: &[&str]| assert_eq!(words(values), expected);
    all(
        ConnectionState::ALL.iter().map(|state| json!(state)).collect(),
        &["CONNECTED", "CONNECTING", "FAILED", "DISCONNECTED", "DISCONNECTING"],
    );
    all(
        CustomKeyStoreType::ALL.iter().map(|kind| json!(kind)).collect(),
        &["AWS_CLOUDHSM", "EXTERNAL_KEY_STORE"],
    );
    all(
        XksProxyConnectivity::ALL.iter().map(|kind| json!(kind)).collect(),
        &["PUBLIC_ENDPOINT", "VPC_ENDPOINT_SERVICE"],
    );
    all(
        HealthStatus::ALL.iter().map(|status| json!(status)).collect(),
        &["ACTIVE", "DEGRADED", "UNAVAILABLE"],
    );
}
