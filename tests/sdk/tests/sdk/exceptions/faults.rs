//! What every operation may answer, since something behind the endpoint is broken or slow.

use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::Tag;

use super::{Reached, refused};
use crate::support::*;

pub(super) async fn of_every_operation(reached: &mut Reached) {
    let endpoint = Endpoint::start().await;
    let client = endpoint.client();
    let (key, store) = ("12345678-1234-1234-1234-123456789012", "cks-1234567890abcdef0");

    macro_rules! broken {
        ($($operation:ident, $call:expr;)*) => {$(
            endpoint.directory.fail([Trouble::Broken]);
            refused!(reached, $operation, $call, is_kms_internal_exception);
        )*};
    }
    // Of some operations AWS's model does not say that what they depend on may be slow.
    macro_rules! broken_or_slow {
        ($($operation:ident, $call:expr;)*) => {$(
            broken!($operation, $call;);
            endpoint.directory.fail([Trouble::Hanging]);
            refused!(reached, $operation, $call, is_dependency_timeout_exception);
        )*};
    }
    broken! {
        CreateCustomKeyStore, external(&client, "payroll");
        UpdateCustomKeyStore, client.update_custom_key_store().custom_key_store_id(store);
        ConnectCustomKeyStore, client.connect_custom_key_store().custom_key_store_id(store);
        DisconnectCustomKeyStore, client.disconnect_custom_key_store().custom_key_store_id(store);
        DeleteCustomKeyStore, client.delete_custom_key_store().custom_key_store_id(store);
        DescribeCustomKeyStores, client.describe_custom_key_stores();
        TagResource, client.tag_resource().key_id(key).tags(Tag::builder().tag_key("k").tag_value("v").build().unwrap());
        UntagResource, client.untag_resource().key_id(key).tag_keys("k");
        ListResourceTags, client.list_resource_tags().key_id(key);
    }
    let blob = || Blob::new("blob");
    broken_or_slow! {
        Encrypt, client.encrypt().key_id(key).plaintext(blob());
        Decrypt, client.decrypt().ciphertext_blob(blob());
        ReEncrypt, client.re_encrypt().ciphertext_blob(blob()).destination_key_id(key);
        GenerateDataKey, client.generate_data_key().key_id(key).number_of_bytes(1);
        GenerateDataKeyWithoutPlaintext, client.generate_data_key_without_plaintext().key_id(key).number_of_bytes(1);
        GenerateRandom, client.generate_random().number_of_bytes(1);
        CreateKey, client.create_key().custom_key_store_id(store);
        DescribeKey, client.describe_key().key_id(key);
        ListKeys, client.list_keys();
        EnableKey, client.enable_key().key_id(key);
        DisableKey, client.disable_key().key_id(key);
        ScheduleKeyDeletion, client.schedule_key_deletion().key_id(key);
        CancelKeyDeletion, client.cancel_key_deletion().key_id(key);
        UpdateKeyDescription, client.update_key_description().key_id(key).description("x");
        CreateAlias, client.create_alias().alias_name("alias/a").target_key_id(key);
        UpdateAlias, client.update_alias().alias_name("alias/a").target_key_id(key);
        DeleteAlias, client.delete_alias().alias_name("alias/a");
        ListAliases, client.list_aliases();
        GetKeyPolicy, client.get_key_policy().key_id(key);
        ListKeyPolicies, client.list_key_policies().key_id(key);
    }
    // It was the directory that was asked, each time.
    assert_eq!(endpoint.directory.requests(), 9 + 2 * 20);
    endpoint.stop().await;
}
