//! Every member of every request, missing and wrong in every way, and what is tolerated.

use serde_json::{Value, json};

use super::cases::{Case, cases};
use super::support::{Rig, camel};

/// Members by which a message may name what is wrong with a whole, or whose error has a name of its own.
fn names_the_member(error: &str) -> bool {
    matches!(error, "ValidationException" | "SerializationException")
}

async fn refuses(rig: &Rig, case: &Case, member: &str, value: Option<Value>, error: &str) {
    let mut request = case.request.clone();
    let shown = value.as_ref().map(|value| value.to_string().chars().take(60).collect::<String>());
    match value {
        Some(value) => request[member] = value,
        None => {
            request.as_object_mut().unwrap().remove(member);
        }
    }
    let (name, message) = rig.refused(case.operation, &request).await;
    // A name that AWS does not document for this one.
    let error = match (case.operation, error) {
        ("ListKeyPolicies", "InvalidMarkerException") => "ValidationException",
        _ => error,
    };
    assert_eq!(name, error, "{} without a right {member}, {shown:?}: {message}", case.operation);
    if names_the_member(&name) {
        let is_named = message.contains(&camel(member)) || message.contains(member);
        assert!(is_named, "{} {member}, {shown:?}: {message}", case.operation);
    }
    assert!(message.len() < 2000, "{message}");
}

#[tokio::test]
async fn every_member_that_is_missing_or_wrong_is_named_and_nothing_is_done() {
    let rig = Rig::new().await;
    let before = rig.snapshot().await;
    for case in cases(&rig) {
        for (member, kind, needed) in &case.members {
            if *needed {
                refuses(&rig, &case, member, None, "ValidationException").await;
                refuses(&rig, &case, member, Some(Value::Null), "ValidationException").await;
            }
            for (value, error) in kind.bad() {
                refuses(&rig, &case, member, Some(value), error).await;
            }
        }
        assert_eq!(rig.snapshot().await, before, "{}", case.operation);
    }
    rig.ok("ListKeys", &json!({})).await;
}

#[tokio::test]
async fn members_that_nobody_knows_are_passed_over_and_null_is_absence() {
    let count = cases(&Rig::new().await).len();
    for index in 0..count {
        let rig = Rig::new().await;
        let case = cases(&rig).swap_remove(index);
        let mut request = case.request.clone();
        request["SomethingNew"] = json!({ "a": [{ "b": null }], "KeyId": 1 });
        request["keyId"] = json!(1);
        request["KeyId "] = json!(1);
        for (member, _, needed) in &case.members {
            if !needed && request.get(member).is_none() {
                request[*member] = Value::Null;
            }
        }
        rig.ok(case.operation, &request).await;
    }
}

#[tokio::test]
async fn several_things_that_are_wrong_are_said_at_once() {
    let rig = Rig::new().await;
    let (name, message) =
        rig.refused("Encrypt", &json!({ "KeyId": "", "Plaintext": "", "DryRun": false })).await;
    assert_eq!(name, "ValidationException");
    assert_eq!(
        message,
        "2 validation errors detected: Value at 'keyId' failed to satisfy constraint: Member must have length greater \
         than or equal to 1; Value at 'plaintext' failed to satisfy constraint: Member must have length greater than or \
         equal to 1"
    );
}

#[tokio::test]
async fn a_member_that_is_there_twice_is_refused() {
    let rig = Rig::new().await;
    let key = rig.key.key_id;
    for body in [
        format!(r#"{{"KeyId":"{key}","Plaintext":"AA==","KeyId":"{key}"}}"#),
        format!(r#"{{"KeyId":"{key}","Plaintext":"AA==","Plaintext":null}}"#),
        format!(r#"{{"KeyId":"{key}","Plaintext":"AA==","\u0050laintext":"AA=="}}"#),
    ] {
        let reply = rig.send(&super::support::call_with("Encrypt", body.into_bytes())).await;
        let message = super::support::is_error(&reply, 400, "SerializationException");
        assert!(message.contains("more than once"), "{message}");
    }
    let twice = format!(r#"{{"KeyId":"{key}","Plaintext":"AA==","EncryptionContext":{{"a":"b","a":"c"}}}}"#);
    let reply = rig.send(&super::support::call_with("Encrypt", twice.into_bytes())).await;
    super::support::is_error(&reply, 400, "ValidationException");
}

#[tokio::test]
async fn no_value_is_repeated_in_a_message() {
    let rig = Rig::new().await;
    let secret = "hunter2hunter2hunter2 hunter2hunter2hunter2";
    for (operation, request) in [
        (
            "CreateCustomKeyStore",
            json!({
                "CustomKeyStoreName": "new", "CustomKeyStoreType": "EXTERNAL_KEY_STORE",
                "XksProxyConnectivity": "PUBLIC_ENDPOINT",
                "XksProxyAuthenticationCredential": { "AccessKeyId": secret, "RawSecretAccessKey": secret },
                "XksProxyUriEndpoint": secret, "XksProxyUriPath": secret,
            }),
        ),
        (
            "CreateCustomKeyStore",
            json!({ "CustomKeyStoreName": "new", "CloudHsmClusterId": secret, "KeyStorePassword": secret,
                    "TrustAnchorCertificate": secret }),
        ),
        ("Encrypt", json!({ "KeyId": rig.key.key_id, "Plaintext": secret })),
        ("Encrypt", json!({ "KeyId": rig.key.key_id, "Plaintext": secret.repeat(200) })),
    ] {
        let (_, message) = rig.refused(operation, &request).await;
        assert!(!message.contains("hunter2"), "{message}");
    }
}

#[tokio::test]
async fn escapes_are_undone_in_every_text_also_in_secrets() {
    let rig = Rig::new().await;
    let escape = |text: &str| text.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect::<String>();
    let key = escape(&rig.key.key_id.to_string());
    let body = format!(
        r#"{{"KeyId":"{key}","Plaintext":"\u0041A\u003d\u003D","EncryptionContext":{{"\u0061":"\/"}}}}"#
    );
    let reply = rig.send(&super::support::call_with("Encrypt", body.into_bytes())).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    let blob = reply.json()["CiphertextBlob"].clone();
    let opened =
        rig.ok("Decrypt", &json!({ "CiphertextBlob": blob, "EncryptionContext": { "a": "/" } })).await;
    assert_eq!(opened["Plaintext"], "AA==");

    let body = format!(
        r#"{{"CustomKeyStoreName":"{}","CloudHsmClusterId":"{}","KeyStorePassword":"{}","TrustAnchorCertificate":"-\n\r\t-"}}"#,
        escape("новый 🔑"),
        escape("cluster-abcdefghij4"),
        escape("correcthorse"),
    );
    let reply = rig.send(&super::support::call_with("CreateCustomKeyStore", body.into_bytes())).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    let named = rig.ok("DescribeCustomKeyStores", &json!({ "CustomKeyStoreName": "новый 🔑" })).await;
    assert_eq!(named["CustomKeyStores"][0]["TrustAnchorCertificate"], "-\n\r\t-");
    // Half of a character is no text.
    let half = br#"{"KeyId":"\ud83d","Plaintext":"AA=="}"#;
    let reply = rig.send(&super::support::call_with("Encrypt", half.to_vec())).await;
    super::support::is_error(&reply, 400, "SerializationException");
}

#[tokio::test]
async fn scalars_in_an_encryption_context_are_the_text_that_they_are_written_as() {
    let rig = Rig::new().await;
    let key = rig.key.key_id;
    let context = r#"{"a":1,"b":1.50,"c":-0,"d":1e3,"e":true,"f":false}"#;
    let body = format!(r#"{{"KeyId":"{key}","Plaintext":"AA==","EncryptionContext":{context}}}"#);
    let reply = rig.send(&super::support::call_with("Encrypt", body.into_bytes())).await;
    let blob = reply.json()["CiphertextBlob"].clone();
    let context = json!({ "a": "1", "b": "1.50", "c": "-0", "d": "1e3", "e": "true", "f": "false" });
    rig.ok("Decrypt", &json!({ "CiphertextBlob": blob, "EncryptionContext": context })).await;
}
