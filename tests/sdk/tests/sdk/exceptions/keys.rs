//! What the making and managing of keys is refused for.

use aws_sdk_kms::types::{KeySpec, OriginType, Tag};
use custom_key_store::backend::software::SoftwareKey;
use custom_key_store::backend::{BackingKeyId, KeyStatus};
use custom_key_store::kms::Refusal;

use super::{Reached, refused};
use crate::support::*;

fn tag(key: &str) -> Tag {
    Tag::builder().tag_key(key).tag_value("value").build().unwrap()
}

pub(super) async fn created(reached: &mut Reached) {
    let endpoint = Endpoint::start().await;
    let client = endpoint.client();
    let (payroll, _) = endpoint.store_with_key(&client, "payroll").await;
    let (hardware, _) = endpoint.cluster_with_key(&client, "hardware").await;
    endpoint.external_key("another");
    let disabled = SoftwareKey::generate().status(KeyStatus::Disabled);
    endpoint.manager.insert_key(BackingKeyId::new("disabled").unwrap(), disabled);

    let on = |external: &str| {
        let new = client.create_key().custom_key_store_id(&payroll).origin(OriginType::ExternalKeyStore);
        new.xks_key_id(external)
    };
    macro_rules! create {
        ($call:expr, $verdict:ident) => {
            refused!(reached, CreateKey, $call, $verdict)
        };
    }
    create!(on("payroll"), is_xks_key_already_in_use_exception);
    create!(on("nowhere"), is_xks_key_not_found_exception);
    create!(on("disabled"), is_xks_key_invalid_configuration_exception);
    create!(on("another").tags(tag("twice")).tags(tag("twice")), is_tag_exception);
    create!(on("another").key_spec(KeySpec::Rsa2048), is_unsupported_operation_exception);
    create!(on("another").multi_region(true), is_unsupported_operation_exception);
    create!(client.create_key(), is_unsupported_operation_exception);
    create!(on("another").custom_key_store_id("cks-0"), is_custom_key_store_not_found_exception);

    let in_cluster = || client.create_key().custom_key_store_id(&hardware).origin(OriginType::AwsCloudhsm);
    endpoint.surroundings.refuse(Refusal::ClusterInvalidConfiguration("one HSM".to_owned()));
    create!(in_cluster(), is_cloud_hsm_cluster_invalid_configuration_exception);
    endpoint.surroundings.mend();
    disconnect(&client, &hardware).await;
    create!(in_cluster(), is_custom_key_store_invalid_state_exception);
    endpoint.stop().await;
}

pub(super) async fn managed(reached: &mut Reached) {
    let endpoint = Endpoint::start().await;
    let client = endpoint.client();
    let (_, key) = endpoint.store_with_key(&client, "payroll").await;
    let (_, pending) = endpoint.cluster_with_key(&client, "hardware").await;
    let (key, pending) = (key.key_id, pending.key_id);
    client.schedule_key_deletion().key_id(&pending).send().await.unwrap();
    client.create_alias().alias_name("alias/payroll").target_key_id(&key).send().await.unwrap();
    let nowhere = "12345678-1234-1234-1234-123456789012";

    // What every operation on a key answers when there is none, and when the key is to be deleted.
    macro_rules! on_key {
        ($($operation:ident, $call:expr;)*) => {$(
            refused!(reached, $operation, $call(nowhere), is_not_found_exception);
            refused!(reached, $operation, $call(&pending), is_kms_invalid_state_exception);
        )*};
    }
    on_key! {
        EnableKey, |key: &str| client.enable_key().key_id(key);
        DisableKey, |key: &str| client.disable_key().key_id(key);
        ScheduleKeyDeletion, |key: &str| client.schedule_key_deletion().key_id(key);
        UpdateKeyDescription, |key: &str| client.update_key_description().key_id(key).description("x");
        CreateAlias, |key: &str| client.create_alias().alias_name("alias/new").target_key_id(key);
        UpdateAlias, |key: &str| client.update_alias().alias_name("alias/payroll").target_key_id(key);
        TagResource, |key: &str| client.tag_resource().key_id(key).tags(tag("team"));
        UntagResource, |key: &str| client.untag_resource().key_id(key).tag_keys("team");
    }
    let cancel = |key: &str| client.cancel_key_deletion().key_id(key);
    refused!(reached, CancelKeyDeletion, cancel(nowhere), is_not_found_exception);
    refused!(reached, CancelKeyDeletion, cancel(&key), is_kms_invalid_state_exception);
    macro_rules! not_found {
        ($($operation:ident, $call:expr;)*) => {$(
            refused!(reached, $operation, $call, is_not_found_exception);
        )*};
    }
    not_found! {
        DescribeKey, client.describe_key().key_id("alias/nobody");
        DeleteAlias, client.delete_alias().alias_name("alias/nobody");
        ListAliases, client.list_aliases().key_id(nowhere);
        ListResourceTags, client.list_resource_tags().key_id(nowhere);
        GetKeyPolicy, client.get_key_policy().key_id(nowhere);
        ListKeyPolicies, client.list_key_policies().key_id(nowhere);
    }

    // An ARN, and none of a key.
    let bucket = "arn:aws:s3:::bucket";
    macro_rules! invalid_arn {
        ($($operation:ident, $call:expr;)*) => {$(
            refused!(reached, $operation, $call, is_invalid_arn_exception);
        )*};
    }
    invalid_arn! {
        DescribeKey, client.describe_key().key_id(bucket);
        EnableKey, client.enable_key().key_id(bucket);
        DisableKey, client.disable_key().key_id(bucket);
        ScheduleKeyDeletion, client.schedule_key_deletion().key_id(bucket);
        CancelKeyDeletion, client.cancel_key_deletion().key_id(bucket);
        UpdateKeyDescription, client.update_key_description().key_id(bucket).description("x");
        ListAliases, client.list_aliases().key_id(bucket);
        TagResource, client.tag_resource().key_id(bucket).tags(tag("team"));
        UntagResource, client.untag_resource().key_id(bucket).tag_keys("team");
        ListResourceTags, client.list_resource_tags().key_id(bucket);
        GetKeyPolicy, client.get_key_policy().key_id(bucket);
        ListKeyPolicies, client.list_key_policies().key_id(bucket);
    }

    let alias = |name: &str| client.create_alias().alias_name(name).target_key_id(&key);
    refused!(reached, CreateAlias, alias("alias/payroll"), is_already_exists_exception);
    refused!(reached, CreateAlias, alias("alias/aws/payroll"), is_invalid_alias_name_exception);
    let tags = client.tag_resource().key_id(&key).tags(tag("aws:team"));
    refused!(reached, TagResource, tags, is_tag_exception);
    let tags = client.untag_resource().key_id(&key).tag_keys("aws:team");
    refused!(reached, UntagResource, tags, is_tag_exception);
    let tags = client.list_resource_tags().key_id(&key).marker("forged");
    refused!(reached, ListResourceTags, tags, is_invalid_marker_exception);
    refused!(reached, ListKeys, client.list_keys().marker("forged"), is_invalid_marker_exception);
    refused!(reached, ListAliases, client.list_aliases().marker("forged"), is_invalid_marker_exception);
    endpoint.stop().await;
}
