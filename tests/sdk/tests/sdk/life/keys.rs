//! Keys: made, shown, managed.

use std::time::{Duration, SystemTime};

use aws_sdk_kms::Client;
use aws_sdk_kms::types::{
    EncryptionAlgorithmSpec, KeyManagerType, KeySpec, KeyState, KeyUsageType, OriginType, Tag,
};

use crate::support::*;

fn tag(key: &str, value: &str) -> Tag {
    Tag::builder().tag_key(key).tag_value(value).build().unwrap()
}

async fn tags(client: &Client, key: &str) -> Vec<(String, String)> {
    let all = client.list_resource_tags().key_id(key).into_paginator().page_size(1).items().send();
    let all: Result<Vec<_>, _> = all.collect().await;
    all.unwrap().into_iter().map(|tag| (tag.tag_key, tag.tag_value)).collect()
}

async fn aliases(client: &Client, key: Option<&str>) -> Vec<(String, String)> {
    let all = client.list_aliases().set_key_id(key.map(str::to_owned));
    let all: Result<Vec<_>, _> = all.into_paginator().page_size(2).items().send().collect().await;
    let named = |entry: aws_sdk_kms::types::AliasListEntry| {
        let name = entry.alias_name.unwrap();
        assert_eq!(entry.alias_arn.unwrap(), format!("arn:aws:kms:{REGION}:{ACCOUNT}:{name}"));
        (name, entry.target_key_id.unwrap())
    };
    all.unwrap().into_iter().map(named).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_say_what_they_are() {
    let endpoint = Endpoint::start().await;
    let client = endpoint.client();
    let (store, _) = endpoint.store_with_key(&client, "payroll").await;
    endpoint.external_key("wages-2026");
    let key = client
        .create_key()
        .custom_key_store_id(&store)
        .origin(OriginType::ExternalKeyStore)
        .xks_key_id("wages-2026")
        .description("the wages of 2026")
        .key_usage(KeyUsageType::EncryptDecrypt)
        .key_spec(KeySpec::SymmetricDefault)
        .tags(tag("team", "payroll"))
        .send()
        .await
        .unwrap()
        .key_metadata
        .unwrap();
    assert_eq!(key.arn(), Some(&*format!("arn:aws:kms:{REGION}:{ACCOUNT}:key/{}", key.key_id)));
    for name in [key.key_id(), key.arn().unwrap()] {
        let shown = client.describe_key().key_id(name).send().await.unwrap().key_metadata.unwrap();
        assert_eq!(shown, key);
    }
    assert_eq!(key.aws_account_id(), Some(ACCOUNT));
    assert_eq!(key.custom_key_store_id(), Some(&*store));
    assert_eq!(key.xks_key_configuration().unwrap().id(), Some("wages-2026"));
    assert_eq!(key.description(), Some("the wages of 2026"));
    assert_eq!((key.enabled, key.key_state), (true, Some(KeyState::Enabled)));
    assert_eq!(key.origin, Some(OriginType::ExternalKeyStore));
    assert_eq!(key.key_manager, Some(KeyManagerType::Customer));
    assert_eq!(key.key_spec, Some(KeySpec::SymmetricDefault));
    assert_eq!(key.key_usage, Some(KeyUsageType::EncryptDecrypt));
    assert_eq!(key.encryption_algorithms, Some(vec![EncryptionAlgorithmSpec::SymmetricDefault]));
    assert_eq!((key.multi_region, key.cloud_hsm_cluster_id), (Some(false), None));
    assert_eq!((key.deletion_date, key.valid_to, key.expiration_model), (None, None, None));
    assert_eq!(tags(&client, &key.key_id).await, [("team".to_owned(), "payroll".to_owned())]);

    let (store, key) = endpoint.cluster_with_key(&client, "hardware").await;
    assert_eq!(key.origin, Some(OriginType::AwsCloudhsm));
    assert_eq!(key.custom_key_store_id(), Some(&*store));
    assert_eq!(key.cloud_hsm_cluster_id(), Some(&*cluster_id("hardware")));
    assert!(key.xks_key_configuration.is_none());

    let all: Result<Vec<_>, _> =
        client.list_keys().into_paginator().page_size(1).items().send().collect().await;
    let all = all.unwrap();
    assert_eq!(all.len(), 3);
    assert!(all.iter().any(|entry| entry.key_arn() == key.arn() && entry.key_id() == Some(key.key_id())));
    endpoint.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_have_descriptions_tags_and_one_policy() {
    let endpoint = Endpoint::start().await;
    let client = endpoint.client();
    let (_, key) = endpoint.store_with_key(&client, "payroll").await;
    let id = &key.key_id;
    client.update_key_description().key_id(id).description("Löhne").send().await.unwrap();
    let shown = client.describe_key().key_id(id).send().await.unwrap().key_metadata.unwrap();
    assert_eq!(shown.description(), Some("Löhne"));

    let tagging = client.tag_resource().key_id(id).tags(tag("team", "payroll")).tags(tag("cost", "42"));
    tagging.tags(tag("empty", "")).send().await.unwrap();
    client.tag_resource().key_id(key.arn.as_ref().unwrap()).tags(tag("cost", "43")).send().await.unwrap();
    let expected =
        [("cost", "43"), ("empty", ""), ("team", "payroll")].map(|(k, v)| (k.to_owned(), v.to_owned()));
    assert_eq!(tags(&client, id).await, expected);
    client.untag_resource().key_id(id).tag_keys("cost").tag_keys("never").send().await.unwrap();
    assert_eq!(tags(&client, id).await.len(), 2);

    let policy = client.get_key_policy().key_id(id).policy_name("default").send().await.unwrap();
    assert_eq!(policy.policy_name(), Some("default"));
    let policy = policy.policy.unwrap();
    assert!(policy.contains(&format!("arn:aws:iam::{ACCOUNT}:root")), "{policy}");
    let names = client.list_key_policies().key_id(id).into_paginator().items().send();
    let names: Result<Vec<_>, _> = names.collect().await;
    assert_eq!(names.unwrap(), ["default"]);
    let none = client.get_key_policy().key_id(id).policy_name("another").send().await.unwrap_err();
    assert!(none.into_service_error().is_not_found_exception());
    endpoint.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn aliases_come_and_go_and_move_from_store_to_store() {
    let endpoint = Endpoint::start().await;
    let client = endpoint.client();
    let (_, external) = endpoint.store_with_key(&client, "payroll").await;
    let (_, hardware) = endpoint.cluster_with_key(&client, "hardware").await;
    for name in ["alias/one", "alias/two", "alias/three"] {
        client.create_alias().alias_name(name).target_key_id(&external.key_id).send().await.unwrap();
    }
    let created = aliases(&client, None).await;
    assert_eq!(created, ["one", "three", "two"].map(|n| (format!("alias/{n}"), external.key_id.clone())));
    let target = hardware.arn.as_ref().unwrap();
    client.update_alias().alias_name("alias/two").target_key_id(target).send().await.unwrap();
    client.delete_alias().alias_name("alias/three").send().await.unwrap();
    let of_hardware = aliases(&client, Some(target)).await;
    assert_eq!(of_hardware, [("alias/two".to_owned(), hardware.key_id.clone())]);
    assert_eq!(aliases(&client, Some(&external.key_id)).await.len(), 1);

    for name in ["alias/two".to_owned(), format!("arn:aws:kms:{REGION}:{ACCOUNT}:alias/two")] {
        let shown = client.describe_key().key_id(name).send().await.unwrap().key_metadata.unwrap();
        assert_eq!(shown.key_id, hardware.key_id);
    }
    endpoint.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_are_disabled_enabled_scheduled_for_deletion_and_saved_from_it() {
    let endpoint = Endpoint::start().await;
    let client = endpoint.client();
    let (store, key) = endpoint.store_with_key(&client, "payroll").await;
    let id = &key.key_id;
    let state = || async {
        let shown = client.describe_key().key_id(id).send().await.unwrap().key_metadata.unwrap();
        (shown.key_state.unwrap(), shown.enabled)
    };
    client.disable_key().key_id(id).send().await.unwrap();
    assert_eq!(state().await, (KeyState::Disabled, false));
    client.enable_key().key_id(id).send().await.unwrap();
    assert_eq!(state().await, (KeyState::Enabled, true));

    let scheduled =
        client.schedule_key_deletion().key_id(id).pending_window_in_days(10).send().await.unwrap();
    assert_eq!(scheduled.key_id(), key.arn());
    assert_eq!(scheduled.key_state, Some(KeyState::PendingDeletion));
    assert_eq!(scheduled.pending_window_in_days, Some(10));
    let due = SystemTime::try_from(scheduled.deletion_date.unwrap()).unwrap();
    let days = |days: u64| SystemTime::now() + Duration::from_secs(days * 86_400);
    assert!(days(9) < due && due < days(11), "{due:?}");
    assert_eq!(state().await, (KeyState::PendingDeletion, false));
    let cancelled = client.cancel_key_deletion().key_id(id).send().await.unwrap();
    assert_eq!(cancelled.key_id(), key.arn());
    assert_eq!(state().await, (KeyState::Disabled, false));

    // While the store is disconnected a change shows when it is connected again.
    disconnect(&client, &store).await;
    assert_eq!(state().await.0, KeyState::Unavailable);
    client.enable_key().key_id(id).send().await.unwrap();
    assert_eq!(state().await.0, KeyState::Unavailable);
    connect(&client, &store).await;
    assert_eq!(state().await, (KeyState::Enabled, true));
    endpoint.stop().await;
}
