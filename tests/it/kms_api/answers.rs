//! Answers have AWS's members and no others, in AWS's forms.

use std::collections::BTreeSet;
use std::time::Duration;

use custom_key_store::backend::software::{Fault, Method};
use custom_key_store::backend::{BackendErrorKind, ConnectionErrorCode};
use serde_json::{Value, json};

use super::cases::{cases, members_of_a_store};
use super::support::{Rig, arn, error, is_error};
use crate::xks_proxy::support::{NOW, unbase64};

/// The names of all members, dots between those of objects, `[]` behind those of lists.
fn members(value: &Value, path: &str, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(object) if path.is_empty() || !object.is_empty() => {
            for (name, value) in object {
                members(value, &format!("{path}{}{name}", if path.is_empty() { "" } else { "." }), found);
            }
        }
        Value::Array(entries) => {
            let path = format!("{path}[]");
            let of_objects: Vec<_> = entries.iter().filter(|entry| entry.is_object()).collect();
            if of_objects.is_empty() {
                found.insert(path);
            } else {
                of_objects.into_iter().for_each(|entry| members(entry, &path, found));
            }
        }
        _ => {
            found.insert(path.to_owned());
        }
    }
}

fn members_of(value: &Value) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    members(value, "", &mut found);
    found
}

#[tokio::test]
async fn every_answer_has_the_members_of_the_model_and_no_others() {
    let count = cases(&Rig::new().await).len();
    for index in 0..count {
        let rig = Rig::new().await;
        let case = cases(&rig).swap_remove(index);
        let answer = rig.ok(case.operation, &case.request).await;
        let expected: BTreeSet<String> = case.answer.iter().map(|name| (*name).to_owned()).collect();
        if case.operation == "DescribeCustomKeyStores" {
            let found = members_of(&answer["CustomKeyStores"][0]);
            assert_eq!(found, members_of_a_store().iter().map(|name| (*name).to_owned()).collect());
            assert_eq!(answer["Truncated"], false);
        } else {
            assert_eq!(members_of(&answer), expected, "{}: {answer}", case.operation);
        }
    }
}

#[tokio::test]
async fn a_store_that_has_failed_shows_its_code_and_one_of_a_cluster_what_belongs_to_that() {
    let rig = Rig::new().await;
    rig.manager.inject(Method::Connect, Fault::Refuse(ConnectionErrorCode::InvalidCredentials));
    let spare = json!({ "CustomKeyStoreId": rig.spare });
    rig.ok("ConnectCustomKeyStore", &spare).await;
    crate::kms::support::until(&rig.kms, &rig.spare, custom_key_store::ConnectionState::Failed).await;
    let shown = rig.ok("DescribeCustomKeyStores", &spare).await;
    assert_eq!(shown["CustomKeyStores"][0]["ConnectionState"], "FAILED");
    assert_eq!(shown["CustomKeyStores"][0]["ConnectionErrorCode"], "INVALID_CREDENTIALS");
    let shown = rig.ok("DescribeCustomKeyStores", &json!({ "CustomKeyStoreId": rig.cluster })).await;
    let expected = [
        "CustomKeyStoreId",
        "CustomKeyStoreName",
        "CustomKeyStoreType",
        "CreationDate",
        "ConnectionState",
        "CloudHsmClusterId",
        "TrustAnchorCertificate",
    ];
    assert_eq!(members_of(&shown["CustomKeyStores"][0]), expected.map(str::to_owned).into());
}

#[tokio::test]
async fn times_are_numbers_of_seconds_and_keys_are_named_by_their_arns() {
    let rig = Rig::new().await;
    let key = rig.key.key_id;
    let shown = rig.ok("DescribeKey", &json!({ "KeyId": key })).await;
    #[expect(clippy::cast_precision_loss, reason = "far below the limit")]
    let now = NOW as f64;
    assert_eq!(shown["KeyMetadata"]["CreationDate"].as_f64(), Some(now));
    let aliases = rig.ok("ListAliases", &json!({})).await;
    assert_eq!(aliases["Aliases"][0]["CreationDate"].as_f64(), Some(now));
    assert_eq!(aliases["Aliases"][0]["TargetKeyId"], json!(key));
    assert_eq!(aliases["Aliases"][0]["AliasArn"], "arn:aws:kms:us-east-1:111122223333:alias/payroll");

    let arn = arn(&rig.key);
    for name in [json!(key), json!(arn), json!("alias/payroll")] {
        let sealed = rig.ok("Encrypt", &json!({ "KeyId": name, "Plaintext": "AA==" })).await;
        assert_eq!(sealed["KeyId"], arn);
        assert_eq!(sealed["EncryptionAlgorithm"], "SYMMETRIC_DEFAULT");
        let opened = rig.ok("Decrypt", &json!({ "CiphertextBlob": sealed["CiphertextBlob"] })).await;
        assert_eq!((&opened["KeyId"], &opened["Plaintext"]), (&json!(arn), &json!("AA==")));
        let made = rig.ok("GenerateDataKey", &json!({ "KeyId": name, "KeySpec": "AES_256" })).await;
        assert_eq!(made["KeyId"], arn);
        let opened = rig.ok("Decrypt", &json!({ "CiphertextBlob": made["CiphertextBlob"] })).await;
        assert_eq!(opened["Plaintext"], made["Plaintext"]);
        assert_eq!(unbase64(&made["Plaintext"]).len(), 32);
    }
    let scheduled = rig.ok("ScheduleKeyDeletion", &json!({ "KeyId": key })).await;
    assert_eq!(scheduled["KeyId"], arn);
    assert_eq!(scheduled["DeletionDate"].as_f64(), Some(now + 30.0 * 86_400.0));
    assert_eq!(
        (&scheduled["KeyState"], &scheduled["PendingWindowInDays"]),
        (&json!("PendingDeletion"), &json!(30))
    );
    assert_eq!(rig.ok("CancelKeyDeletion", &json!({ "KeyId": key })).await, json!({ "KeyId": arn }));
}

#[tokio::test]
async fn the_greatest_plaintext_and_every_byte_come_back() {
    let rig = Rig::new().await;
    let bytes: Vec<u8> = (0..4096_u32).map(|number| u8::try_from(number % 256).unwrap()).collect();
    let plaintext = crate::xks_proxy::support::base64(&bytes);
    let context = json!({ "tenant": "blue \"\\/\u{1f511}\u{0}", "": null });
    let mut request = json!({ "KeyId": arn(&rig.key), "Plaintext": plaintext, "EncryptionContext": context });
    request["EncryptionContext"].as_object_mut().unwrap().remove("");
    let sealed = rig.ok("Encrypt", &request).await;
    let opening = json!({ "CiphertextBlob": sealed["CiphertextBlob"], "EncryptionContext": request["EncryptionContext"] });
    assert_eq!(rig.ok("Decrypt", &opening).await["Plaintext"], plaintext);
    let (name, _) = rig.refused("Decrypt", &json!({ "CiphertextBlob": sealed["CiphertextBlob"] })).await;
    assert_eq!(name, "InvalidCiphertextException");
}

#[tokio::test]
async fn lists_come_in_pages_and_a_marker_is_good_for_its_own_list() {
    let rig = Rig::new().await;
    let key = arn(&rig.key);
    for number in 0..5 {
        let alias = format!("alias/number-{number}");
        rig.ok("CreateAlias", &json!({ "AliasName": alias, "TargetKeyId": key })).await;
        let tags = json!([{ "TagKey": format!("number-{number}"), "TagValue": "" }]);
        rig.ok("TagResource", &json!({ "KeyId": key, "Tags": tags })).await;
    }
    let mut markers = Vec::new();
    for (operation, list, request, count) in [
        ("ListKeys", "Keys", json!({}), 2),
        ("ListAliases", "Aliases", json!({}), 6),
        ("ListAliases", "Aliases", json!({ "KeyId": key }), 6),
        ("ListResourceTags", "Tags", json!({ "KeyId": key }), 7),
        ("DescribeCustomKeyStores", "CustomKeyStores", json!({}), 4),
    ] {
        let whole = rig.ok(operation, &request).await;
        assert_eq!(whole[list].as_array().unwrap().len(), count);
        assert_eq!((&whole["Truncated"], whole.get("NextMarker")), (&json!(false), None));
        for limit in [1, 2] {
            let mut page = request.clone();
            page["Limit"] = json!(limit);
            let mut found = Vec::new();
            loop {
                let answer = rig.ok(operation, &page).await;
                let entries = answer[list].as_array().unwrap();
                assert!(entries.len() <= limit);
                found.extend(entries.clone());
                assert_eq!(answer["Truncated"], json!(answer.get("NextMarker").is_some()));
                let Some(marker) = answer.get("NextMarker") else { break };
                page["Marker"] = marker.clone();
                markers.push((operation, request.clone(), marker.clone()));
            }
            assert_eq!(json!(found), whole[list], "{operation}");
        }
    }
    for (of, its, marker) in &markers {
        for (operation, request) in [
            ("ListKeys", json!({})),
            ("ListAliases", json!({})),
            ("ListResourceTags", json!({ "KeyId": key })),
            ("ListResourceTags", json!({ "KeyId": arn(&rig.pending) })),
            ("ListKeyPolicies", json!({ "KeyId": key })),
            ("DescribeCustomKeyStores", json!({})),
        ] {
            if (operation, &request) == (*of, its) {
                continue;
            }
            let mut request = request;
            request["Marker"] = marker.clone();
            // Of policies there is one page alone, and AWS documents no marker that is wrong.
            let expected = match operation {
                "ListKeyPolicies" => "ValidationException",
                _ => "InvalidMarkerException",
            };
            assert_eq!(rig.refused(operation, &request).await.0, expected, "{operation} {of}");
        }
    }
}

#[tokio::test]
async fn what_the_key_manager_says_stays_here() {
    let rig = Rig::new().await;
    let encrypt = json!({ "KeyId": rig.key.key_id, "Plaintext": "AA==" });
    for kind in [
        BackendErrorKind::Unreachable,
        BackendErrorKind::Throttled,
        BackendErrorKind::Internal,
        BackendErrorKind::AccessDenied,
        BackendErrorKind::KeyNotFound,
        BackendErrorKind::InvalidResponse,
    ] {
        rig.manager.inject(Method::Encrypt, Fault::Fail(kind));
        let message = is_error(&rig.call("Encrypt", &encrypt).await, 400, "KMSInvalidStateException");
        assert!(!message.contains("injected"), "{message}");
    }
    rig.manager.inject(Method::Encrypt, Fault::Panic);
    let (status, _, _) = error(&rig.call("Encrypt", &encrypt).await);
    assert_eq!(status, 400);
    rig.manager.inject(Method::Encrypt, Fault::Hang);
    let (reply, ()) = futures::join!(rig.call("Encrypt", &encrypt), async {
        crate::xks_proxy::support::until(|| rig.manager.calls(Method::Encrypt) >= 8).await;
        rig.clock.advance(Duration::from_secs(5));
    });
    is_error(&reply, 400, "KMSInvalidStateException");
    rig.ok("Encrypt", &encrypt).await;
}

#[tokio::test]
async fn request_ids_differ() {
    let rig = Rig::new().await;
    let mut ids = BTreeSet::new();
    for _ in 0..50 {
        let reply = rig.call("ListKeys", &json!({})).await;
        let id = reply.head.split("x-amzn-requestid: ").nth(1).unwrap().lines().next().unwrap().to_owned();
        assert_eq!(id.len(), 36);
        assert!(ids.insert(id));
    }
}
