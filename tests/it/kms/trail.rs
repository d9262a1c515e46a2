//! What calls leave in the audit trail, and what they do not need it for.

mod bounds;
mod counts;
pub(crate) mod deletions;
mod judged;
mod refusals;
mod waiting;

use custom_key_store::audit::{AuditTrail, OnFailure};
use custom_key_store::backend::software::KeyManager;
use custom_key_store::backend::{BackingKeyId, Change, UriEndpoint, UriPath, VpcEndpointServiceName};
use custom_key_store::kms::{CreateCustomKeyStore, Encrypt, Exception, KeyRef, Kms, ReEncrypt};
use custom_key_store::{
    AliasName, ConnectionState, KeyState, NewKey, PageRequest, StoreName, TagKey, TagValue,
};
use serde_json::json;

use super::support::{
    Kept, builder, cloud_hsm, connect, credential, drive, exception, external, password, store_with_key,
    until,
};
use crate::support::ledger;

/// Runs a test on stores whose calls are written down, and refused while they cannot be.
fn run<F: Future<Output = ()>>(test: impl FnOnce(Kms, KeyManager, Kept, AuditTrail) -> F) {
    let (manager, kept) = (KeyManager::new(), Kept::default());
    let trail = AuditTrail::new(kept.clone(), OnFailure::Refuse);
    futures::executor::block_on(async {
        let (kms, driver) = builder(&ledger(), &manager).audit(trail.clone()).open().await.unwrap();
        drive(driver, test(kms, manager, kept, trail)).await;
    });
}

#[test]
fn a_kill_switch_works_while_no_line_becomes_durable() {
    run(|kms, manager, kept, trail| async move {
        let (store, key) = store_with_key(&kms, &manager, "payroll").await;
        kept.fails(true);
        kept.new_lines();
        // Everything else is refused, the way out of the kill switch included.
        assert_eq!(exception(kms.enable_key(&key.key_id).await), Exception::KmsInternal);
        assert_eq!(exception(kms.schedule_key_deletion(&key.key_id, None).await), Exception::KmsInternal);
        assert_eq!(exception(kms.connect_custom_key_store(&store).await), Exception::KmsInternal);

        kms.disable_key(&key.key_id).await.unwrap();
        let refused =
            kms.on_behalf_of(custom_key_store::Caller::new("someone")).disable_key(&key.key_id).await;
        refused.unwrap();
        kms.disconnect_custom_key_store(&store).await.unwrap();
        // Kept until the medium takes lines again, so that none is lost.
        let names: Vec<_> = kept.all().iter().map(|record| record.operation.to_string()).collect();
        let kept_lines: Vec<_> = names.iter().filter(|name| *name != "LoseAuditLines").collect();
        assert_eq!(kept_lines[..2], ["DisableKey", "DisableKey"]);
        assert!(names.iter().any(|name| name == "DisconnectCustomKeyStore"), "{names:?}");
        assert_eq!((trail.lost(), trail.refused()), (0, 3));
        kept.fails(false);
        let found = kms.describe_key(&key.key_id.into()).await.unwrap();
        assert_eq!(found.key_state, KeyState::Unavailable);
        until(&kms, &store, ConnectionState::Disconnected).await;
        connect(&kms, &store).await;
        assert_eq!(kms.describe_key(&key.key_id.into()).await.unwrap().key_state, KeyState::Disabled);
    });
}

#[test]
fn a_kill_switch_works_without_any_place_for_its_line_which_is_counted() {
    run(|kms, manager, kept, trail| async move {
        let (store, key) = store_with_key(&kms, &manager, "payroll").await;
        kept.is_full(true);
        kept.new_lines();
        let by_id = KeyRef::from(key.key_id);
        let encrypt = Encrypt::new(&by_id, b"attack at dawn");
        assert_eq!(exception(kms.encrypt(&encrypt).await), Exception::KmsInternal);
        kms.disable_key(&key.key_id).await.unwrap();
        kms.disconnect_custom_key_store(&store).await.unwrap();
        until_seen(&kms).await;
        // Three of calls and transitions, and what was refused.
        assert!(trail.lost() >= 2, "{}", trail.lost());
        assert!(kept.all().is_empty());
        let lost = trail.lost();
        kept.is_full(false);
        kms.list_keys(&PageRequest::default()).await.unwrap();
        let lines = kept.new_lines();
        let said = lines.iter().find(|line| line["eventName"] == "LoseAuditLines").unwrap();
        assert_eq!(said["serviceEventDetails"], json!({ "lostLines": lost, "refusedOperations": 1 }));
    });
}

/// Lets what was begun come to its end.
async fn until_seen(_: &Kms) {
    for _ in 0..100 {
        super::support::turn().await;
    }
}

#[test]
fn every_line_about_a_key_names_its_store() {
    run(|kms, manager, kept, _| async move {
        let (store, key) = store_with_key(&kms, &manager, "payroll").await;
        let (id, named) = (key.key_id, AliasName::new("alias/payroll").unwrap());
        let (tag, value) = (TagKey::new("team").unwrap(), TagValue::new("payroll").unwrap());
        kept.new_lines();
        let check = |name: &str| {
            let line = kept.line();
            assert_eq!(line["eventName"], name);
            assert_eq!(line["customKeyStoreId"], store.as_str(), "{line}");
            assert_eq!(line["keyArn"], key.arn.to_string(), "{line}");
            line
        };
        kms.describe_key(&id.into()).await.unwrap();
        check("DescribeKey");
        kms.update_key_description(&id, "for the payroll".parse().unwrap()).await.unwrap();
        check("UpdateKeyDescription");
        kms.create_alias(&named, &id).await.unwrap();
        check("CreateAlias");
        kms.describe_key(&named.clone().into()).await.unwrap();
        assert_eq!(check("DescribeKey")["requestParameters"], json!({ "AliasName": "alias/payroll" }));
        kms.update_alias(&named, &id).await.unwrap();
        check("UpdateAlias");
        kms.list_aliases(Some(&id), &PageRequest::default()).await.unwrap();
        check("ListAliases");
        kms.delete_alias(&named).await.unwrap();
        assert_eq!(check("DeleteAlias")["requestParameters"], json!({ "AliasName": "alias/payroll" }));
        kms.tag_resource(&id, &[(tag.clone(), value)]).await.unwrap();
        check("TagResource");
        kms.list_resource_tags(&id).await.unwrap();
        check("ListResourceTags");
        kms.untag_resource(&id, &[tag]).await.unwrap();
        check("UntagResource");
        kms.key_policy(&id).await.unwrap();
        check("GetKeyPolicy");
        kms.list_key_policies(&id).await.unwrap();
        check("ListKeyPolicies");
        kms.disable_key(&id).await.unwrap();
        check("DisableKey");
        kms.enable_key(&id).await.unwrap();
        check("EnableKey");
        kms.schedule_key_deletion(&id, None).await.unwrap();
        check("ScheduleKeyDeletion");
        // Also when it is refused.
        assert_eq!(exception(kms.enable_key(&id).await), Exception::KmsInvalidState);
        assert_eq!(check("EnableKey")["errorCode"], "KMSInvalidStateException");
        kms.cancel_key_deletion(&id).await.unwrap();
        check("CancelKeyDeletion");

        let name = StoreName::new("payroll").unwrap();
        kms.describe_custom_key_store_named(&name).await.unwrap();
        let line = kept.line();
        assert_eq!(line["customKeyStoreId"], store.as_str(), "{line}");
        // Of one that is not there nothing is said but what was asked for.
        let nobodys = custom_key_store::KeyId::new("12345678-1234-1234-1234-123456789012").unwrap();
        assert_eq!(exception(kms.disable_key(&nobodys).await), Exception::NotFound);
        let line = kept.line();
        assert!(line.get("customKeyStoreId").is_none(), "{line}");
        assert!(line["keyArn"].as_str().unwrap().ends_with(&nobodys.to_string()));
    });
}

#[test]
fn where_there_are_two_stores_both_are_named_and_of_a_secret_that_it_changed() {
    run(|kms, manager, kept, _| async move {
        let (store, key) = store_with_key(&kms, &manager, "payroll").await;
        let (other, to) = store_with_key(&kms, &manager, "other").await;
        let by_id = KeyRef::from(key.key_id);
        let sealed = kms.encrypt(&Encrypt::new(&by_id, b"attack at dawn")).await.unwrap();
        kept.new_lines();
        let to_id = KeyRef::from(to.key_id);
        kms.re_encrypt(&ReEncrypt::new(sealed.ciphertext.as_bytes(), &to_id)).await.unwrap();
        let line = kept.line();
        assert_eq!(line["customKeyStoreId"], store.as_str(), "{line}");
        assert_eq!(line["destinationCustomKeyStoreId"], other.as_str(), "{line}");
        assert_eq!(line["destinationKeyArn"], to.arn.to_string(), "{line}");

        let cluster = kms.create_custom_key_store(cloud_hsm("root", "abcdefghij2")).await.unwrap();
        kept.new_lines();
        kms.update_custom_key_store(&cluster, Change::new().password(password())).await.unwrap();
        let line = kept.line();
        assert_eq!(line["requestParameters"], json!({ "KeyStorePassword": "(hidden)" }));

        let service = VpcEndpointServiceName::new("com.amazonaws.vpce.us-east-1.vpce-svc-example").unwrap();
        let (name, path) = (StoreName::new("service").unwrap(), UriPath::new("/s/kms/xks/v1").unwrap());
        let endpoint = UriEndpoint::new("https://inside.example.com").unwrap();
        let new = CreateCustomKeyStore::external(name, endpoint, path, credential());
        let new = new.through_vpc_endpoint_service(service.clone(), None);
        kms.create_custom_key_store(new).await.unwrap();
        let asked = &kept.line()["requestParameters"];
        assert_eq!(asked["XksProxyVpcEndpointServiceName"], service.as_str(), "{asked}");
    });
}

#[test]
fn tags_are_written_down_and_of_a_description_how_long_it_is() {
    run(|kms, manager, kept, _| async move {
        let store = kms.create_custom_key_store(external("payroll")).await.unwrap();
        connect(&kms, &store).await;
        manager.create_key(BackingKeyId::new("payroll-key").unwrap());
        kept.new_lines();
        let tag = |key: &str, value: &str| (TagKey::new(key).unwrap(), TagValue::new(value).unwrap());
        let (team, team_value) = tag("team", "payroll");
        let new = NewKey::external(BackingKeyId::new("payroll-key").unwrap())
            .description("für die Löhne".parse().unwrap())
            .tag(team, team_value);
        let key = kms.create_key(&store, &new).await.unwrap().key_id;
        let tags = json!([{ "TagKey": "team", "TagValue": "payroll" }]);
        let asked = json!({ "XksKeyId": "payroll-key", "DescriptionLength": 13, "Tags": tags });
        assert_eq!(kept.line()["requestParameters"], asked);
        kms.update_key_description(&key, "".parse().unwrap()).await.unwrap();
        assert_eq!(kept.line()["requestParameters"], json!({ "DescriptionLength": 0 }));
        kms.tag_resource(&key, &[tag("team", "hr"), tag("stage", "")]).await.unwrap();
        let tags = json!([{ "TagKey": "team", "TagValue": "hr" }, { "TagKey": "stage", "TagValue": "" }]);
        assert_eq!(kept.line()["requestParameters"], json!({ "Tags": tags }));
        kms.untag_resource(&key, &[tag("team", "").0, tag("stage", "").0]).await.unwrap();
        assert_eq!(kept.line()["requestParameters"], json!({ "TagKeys": ["team", "stage"] }));

        // However many somebody gives, a line holds as many as a key can have.
        let many: Vec<_> = (0..400).map(|number| tag(&format!("{number}"), &"x".repeat(256))).collect();
        assert_eq!(exception(kms.tag_resource(&key, &many).await), Exception::Tag);
        let line = kept.line();
        assert_eq!(line["requestParameters"]["Tags"].as_array().unwrap().len(), 50);
        assert_eq!(line["requestParameters"]["TagCount"], 400);
    });
}
