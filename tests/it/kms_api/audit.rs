//! What the endpoint refuses by itself is in the audit trail.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use custom_key_store::SealingKey;
use custom_key_store::api::{KmsApi, RateLimit};
use custom_key_store::audit::{AuditError, AuditRecord, AuditSink, AuditTrail, OnFailure};
use custom_key_store::backend::software::KeyManager;
use custom_key_store::catalog::{Ledger, MemoryCatalog};
use custom_key_store::clock::ManualClock;
use custom_key_store::kms::{Rule, Rules};
use serde_json::{Value, json};

use super::support::{PRINCIPAL, Rig, answer, call, call_with, callers, request, request_with};
use crate::kms::support::{Kept, builder};
use crate::kms::trail::deletions::{Flawed, Flaws};
use crate::support::identity;
use crate::xks_proxy::support::{Call, NOW, Reply};

struct Audited {
    rig: Rig,
    kept: Kept,
}

async fn audited() -> Audited {
    let kept = Kept::default();
    let trail = AuditTrail::new(kept.clone(), OnFailure::Refuse);
    let rig = Rig::with(|kms| kms.audit(trail), |kms| KmsApi::builder(kms, callers())).await;
    kept.new_lines();
    Audited { rig, kept }
}

impl Audited {
    /// Sends a request that is refused. Gives the name of the error, and the one line that it leaves.
    async fn refused(&self, call: &Call) -> (String, Value) {
        let mut request = request(call);
        request.extensions_mut().insert(custom_key_store::api::Peer("192.0.2.7:1".parse().unwrap()));
        let reply = self.rig.send_request(request).await;
        let name = reply.json()["__type"].as_str().unwrap_or_else(|| panic!("{reply:?}")).to_owned();
        let line = self.kept.line();
        assert_eq!((&line["outcome"], &line["errorCode"]), (&json!("Failed"), &json!(name)), "{line}");
        assert_eq!((&line["eventType"], &line["principal"]), (&json!("AwsApiCall"), &json!(PRINCIPAL)));
        assert_eq!(line["sourceIPAddress"], "192.0.2.7");
        // What to do about it need not be kept.
        let (said, kept) = (reply.json(), line["errorMessage"].as_str().unwrap().to_owned());
        assert!(said["message"].as_str().unwrap().starts_with(&kept), "{said} {kept}");
        assert_eq!(id(&reply), line["requestID"].as_str().unwrap());
        (name, line)
    }

    async fn a_minute_later(&self) -> Vec<Value> {
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
        self.rig.clock.advance(Duration::from_secs(60));
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
        self.kept.new_lines()
    }
}

fn id(reply: &Reply) -> &str {
    reply.head.lines().find_map(|line| line.strip_prefix("x-amzn-requestid: ")).unwrap()
}

#[tokio::test]
async fn what_a_known_caller_is_refused_is_a_line_with_its_operation_and_error() {
    let audited = audited().await;
    let key = audited.rig.key.key_id.to_string();
    for (operation, body, error, category) in [
        ("Encrypt", json!({ "KeyId": key }), "ValidationException", "Cryptographic"),
        ("Encrypt", json!({ "KeyId": 7 }), "SerializationException", "Cryptographic"),
        ("DisableKey", json!({ "KeyId": "" }), "ValidationException", "Management"),
        // What names no key is found out before anybody looks for it.
        ("DisableKey", json!({ "KeyId": "no key" }), "NotFoundException", "Management"),
        ("EnableKey", json!({ "KeyId": "alias/payroll" }), "NotFoundException", "Management"),
        ("DeleteAlias", json!({ "AliasName": "alias/a b" }), "", "Management"),
        ("CreateAlias", json!({ "AliasName": "a", "TargetKeyId": key }), "", "Management"),
        ("CreateKey", json!({}), "UnsupportedOperationException", "Management"),
        ("PutKeyPolicy", json!({ "KeyId": key }), "UnsupportedOperationException", "Management"),
        ("Sign", json!({}), "UnsupportedOperationException", "Management"),
    ] {
        let (name, line) = audited.refused(&call(operation, &body)).await;
        assert_eq!((&line["eventName"], &line["eventCategory"]), (&json!(operation), &json!(category)));
        assert!(error.is_empty() || name == error, "{operation}: {name}");
    }
    // Not even JSON, and no operation at all.
    let (name, _) = audited.refused(&call_with("Encrypt", b"hunter2".to_vec())).await;
    assert_eq!(name, "SerializationException");
    let (name, line) = audited.refused(&call("Nothing", &json!({}))).await;
    assert_eq!((&*name, &line["eventName"]), ("UnknownOperationException", &json!("UnknownOperation")));
    let mut wrong_type = call("Encrypt", &json!({}));
    wrong_type.headers[0].1 = "text/plain".to_owned();
    let (_, line) = audited.refused(&wrong_type).await;
    assert_eq!(line["eventName"], "Encrypt");
}

#[tokio::test]
async fn what_is_refused_further_in_is_still_one_line() {
    let audited = audited().await;
    for (operation, body, error) in [
        (
            "DisableKey",
            json!({ "KeyId": custom_key_store::KeyId::new("12345678-1234-1234-1234-123456789012").unwrap() }),
            "NotFoundException",
        ),
        ("EnableKey", json!({ "KeyId": audited.rig.pending.key_id }), "KMSInvalidStateException"),
        ("Decrypt", json!({ "CiphertextBlob": "AAAA" }), "InvalidCiphertextException"),
        (
            "GetKeyPolicy",
            json!({ "KeyId": audited.rig.key.key_id, "PolicyName": "another" }),
            "NotFoundException",
        ),
        (
            "DisconnectCustomKeyStore",
            json!({ "CustomKeyStoreId": audited.rig.spare }),
            "CustomKeyStoreInvalidStateException",
        ),
        (
            "Encrypt",
            json!({ "KeyId": audited.rig.key.key_id, "Plaintext": "AA==", "DryRun": true }),
            "DryRunOperationException",
        ),
    ] {
        let (name, line) = audited.refused(&call(operation, &body)).await;
        assert_eq!((&*name, &line["eventName"]), (error, &json!(operation)));
    }
}

#[tokio::test]
async fn no_line_holds_what_a_body_holds() {
    let audited = audited().await;
    for body in [
        json!({ "KeyId": "alias/payroll", "Plaintext": "aHVudGVyMiBodW50ZXIy", "hunter2": "hunter2" }),
        json!({ "KeyId": "alias/payroll", "Plaintext": ["hunter2"] }),
        json!({ "KeyId": "alias/payroll", "Plaintext": "hunter2 hunter2" }),
        json!({ "KeyId": "alias/payroll", "Plaintext": "AA==", "EncryptionAlgorithm": "hunter2" }),
        json!({ "KeyId": "alias/payroll", "Plaintext": "AA==", "EncryptionContext": "hunter2" }),
    ] {
        audited.rig.call("Encrypt", &body).await;
    }
    let password = json!({ "KeyStorePassword": "hunter2 hunter2", "CustomKeyStoreName": "x" });
    audited.rig.call("CreateCustomKeyStore", &password).await;
    let lines = audited.kept.new_lines();
    assert_eq!(lines.len(), 6);
    for line in lines {
        assert!(!line.to_string().contains("hunter2") && !line.to_string().contains("aHVudGVy"), "{line}");
    }
}

#[tokio::test]
async fn requests_of_whoever_is_not_known_are_counted_and_the_count_is_a_line() {
    let audited = audited().await;
    let right = call("ListKeys", &json!({}));
    let mut forged = right.clone();
    forged.secret = "another".to_owned();
    let mut unknown = right.clone();
    unknown.id = "AKIANOBODY".to_owned();
    let mut lost = right.clone();
    lost.path = "/lost".to_owned();
    for _ in 0..3 {
        audited.rig.send(&forged).await;
    }
    for _ in 0..2 {
        audited.rig.send(&unknown).await;
    }
    audited.rig.send_request(request_with(&right, None)).await;
    audited.rig.send(&lost).await;
    let old = right.clone();
    audited.rig.clock.advance(Duration::from_secs(301));
    audited.rig.send(&old).await;
    assert!(audited.kept.new_lines().is_empty());

    let lines = audited.a_minute_later().await;
    let [line] = lines.as_slice() else { panic!("{lines:#?}") };
    assert_eq!(
        (&line["eventName"], &line["eventType"]),
        (&json!("CountRefusedCalls"), &json!("AwsServiceEvent"))
    );
    assert!(line.get("principal").is_none(), "{line}");
    let details = json!({
        "calls": 8,
        "since": "2026-01-15T10:30:00.000Z",
        "byError": {
            "InvalidSignatureException": 4,
            "MissingAuthenticationTokenException": 1,
            "UnknownOperationException": 1,
            "UnrecognizedClientException": 2,
        },
    });
    assert_eq!(line["serviceEventDetails"]["byError"], details["byError"], "{line}");
    assert_eq!(line["serviceEventDetails"]["calls"], details["calls"], "{line}");
    assert!(audited.a_minute_later().await.is_empty());
    // A load balancer's question is none.
    let mut ping = http::Request::new(http_body_util::Full::default());
    *ping.uri_mut() = "/ping".parse().unwrap();
    audited.rig.send_request(ping).await;
    assert!(audited.a_minute_later().await.is_empty());
}

#[tokio::test]
async fn a_known_caller_cannot_fill_the_trail_with_requests_that_make_no_sense() {
    let kept = Kept::default();
    let trail = AuditTrail::new(kept.clone(), OnFailure::Refuse);
    let three = RateLimit::per_second(std::num::NonZeroU32::new(3).unwrap());
    let rules = Rules::new(vec![Rule::allow(["arn:aws:iam::111122223333:root"], ["*"]).unwrap()]);
    let settings =
        |kms: custom_key_store::kms::KmsBuilder| kms.audit(trail).audit_refusals(three).authorizer(rules);
    // Set up by the account itself; the caller may do nothing.
    let rig = Rig::unsealed(settings, |kms| KmsApi::builder(kms, callers())).await;
    kept.new_lines();
    let audited = Audited { rig, kept };
    for _ in 0..5 {
        audited.rig.call("Encrypt", &json!({})).await;
        audited.rig.call("ListKeys", &json!({})).await;
    }
    assert_eq!(audited.kept.new_lines().len(), 3);
    let lines = audited.a_minute_later().await;
    let [line] = lines.as_slice() else { panic!("{lines:#?}") };
    assert_eq!((&line["principal"], &line["serviceEventDetails"]["calls"]), (&json!(PRINCIPAL), &json!(7)));
    let by_error = json!({ "AccessDeniedException": 4, "ValidationException": 3 });
    assert_eq!(line["serviceEventDetails"]["byError"], by_error);
}

/// A trail whose sink panics at whatever comes, as an application's own may.
#[derive(Debug)]
struct Panics;

#[async_trait::async_trait]
impl AuditSink for Panics {
    fn reserve(&self, _: OnFailure) -> Result<(), AuditError> {
        Ok(())
    }

    fn release(&self) {}

    fn enqueue(&self, record: AuditRecord) -> Result<(), AuditError> {
        assert!(record.principal.as_deref() != Some(PRINCIPAL), "a panic of the application's");
        Ok(())
    }

    async fn write(&self, record: AuditRecord) -> Result<(), AuditError> {
        self.enqueue(record)
    }

    async fn flush(&self) -> Result<(), AuditError> {
        Ok(())
    }

    async fn close(&self) -> Result<(), AuditError> {
        Ok(())
    }
}

#[tokio::test]
async fn a_trail_that_panics_costs_no_answer() {
    let trail = AuditTrail::new(Panics, OnFailure::Refuse);
    let rig = Rig::unsealed(|kms| kms.audit(trail), |kms| KmsApi::builder(kms, callers())).await;
    assert_eq!(rig.refused("Encrypt", &json!({})).await.0, "ValidationException");
    assert_eq!(
        rig.refused("DisableKey", &json!({ "KeyId": rig.key.key_id })).await.0,
        "KMSInternalException"
    );
}

#[tokio::test]
async fn what_panics_further_in_is_one_line() {
    let (kept, flaws) = (Kept::default(), Arc::new(Flaws::default()));
    let clock = ManualClock::starting_at(SystemTime::UNIX_EPOCH + Duration::from_secs(NOW));
    let catalog = Flawed(MemoryCatalog::new(), Arc::clone(&flaws));
    let ledger = Ledger::create(catalog, &SealingKey::generate(), identity()).await.unwrap();
    let trail = AuditTrail::new(kept.clone(), OnFailure::Refuse);
    let opening = builder(&ledger, &KeyManager::new()).clock(clock.clone()).audit(trail);
    let (kms, driver) = opening.open().await.unwrap();
    tokio::spawn(driver);
    let api = KmsApi::builder(kms, callers()).clock(clock).build().unwrap();
    flaws.panics.store(true, Ordering::SeqCst);
    let key = "12345678-1234-1234-1234-123456789012";
    for (operation, body) in [
        ("Encrypt", json!({ "KeyId": key, "Plaintext": "AA==" })),
        ("DescribeKey", json!({ "KeyId": key })),
        ("DisableKey", json!({ "KeyId": key })),
    ] {
        let reply = answer(&api, request(&call(operation, &body))).await;
        assert_eq!(reply.json()["__type"], "KMSInternalException", "{reply:?}");
        let line = kept.line();
        assert_eq!((&line["eventName"], &line["outcome"]), (&json!(operation), &json!("Failed")), "{line}");
        assert_eq!(line["errorCode"], "KMSInternalException");
        assert_eq!(id(&reply), line["requestID"].as_str().unwrap());
    }
}
