//! The life of stores and keys, from the first to the last call.

use custom_key_store::backend::software::{Fault, Method};
use custom_key_store::backend::{
    BackendErrorKind, BackingKeyId, ConnectionErrorCode, VpcEndpointServiceName,
};
use custom_key_store::kms::{Decrypt, Encrypt, Exception, GenerateDataKey, KeyRef, ReEncrypt};
use custom_key_store::{
    AliasName, ConnectionState, DataKeyLength, EncryptionContext, KeyState, KeyText, NewKey, PageRequest,
};

use super::support::{cloud_hsm, connect, exception, external, run, store_with_key, until};

#[test]
fn a_store_is_created_connected_used_disconnected_and_deleted_by_its_id() {
    run(|kms, manager| async move {
        let id = kms.create_custom_key_store(external("root")).await.unwrap();
        let described = kms.describe_custom_key_store(&id).await.unwrap();
        assert_eq!(described.connection_state, ConnectionState::Disconnected);
        connect(&kms, &id).await;

        manager.create_key(BackingKeyId::new("payroll").unwrap());
        let key =
            kms.create_key(&id, &NewKey::external(BackingKeyId::new("payroll").unwrap())).await.unwrap();
        let named = KeyRef::Id(key.key_id);
        let context = EncryptionContext::new([("tenant", "blue")]).unwrap();
        let sealed = kms.encrypt(&Encrypt::new(&named, b"attack at dawn").context(&context)).await.unwrap();
        assert_eq!(sealed.key, key.arn);
        let opened =
            kms.decrypt(&Decrypt::new(sealed.ciphertext.as_bytes()).context(&context)).await.unwrap();
        assert_eq!(opened.plaintext.expose(), b"attack at dawn");

        kms.disconnect_custom_key_store(&id).await.unwrap();
        let refused = kms.encrypt(&Encrypt::new(&named, b"attack at dawn")).await.unwrap_err();
        assert_eq!(refused.exception(), Exception::KmsInvalidState);
        assert!(refused.connection_state().is_some() && refused.advice().contains("connect"));
        until(&kms, &id, ConnectionState::Disconnected).await;
        assert_eq!(kms.describe_key(&named).await.unwrap().key_state, KeyState::Unavailable);
        assert_eq!(exception(kms.delete_custom_key_store(&id).await), Exception::CustomKeyStoreHasCmks);
    });
}

#[test]
fn connecting_what_is_connected_asks_nothing_and_disconnecting_what_is_not_is_refused() {
    run(|kms, _| async move {
        let id = kms.create_custom_key_store(external("root")).await.unwrap();
        let refused = kms.disconnect_custom_key_store(&id).await;
        assert_eq!(exception(refused), Exception::CustomKeyStoreInvalidState);
        kms.connect_custom_key_store(&id).await.unwrap();
        kms.connect_custom_key_store(&id).await.unwrap();
        until(&kms, &id, ConnectionState::Connected).await;
        kms.connect_custom_key_store(&id).await.unwrap();
        assert_eq!(exception(kms.delete_custom_key_store(&id).await), Exception::CustomKeyStoreInvalidState);
        kms.disconnect_custom_key_store(&id).await.unwrap();
        until(&kms, &id, ConnectionState::Disconnected).await;
        kms.delete_custom_key_store(&id).await.unwrap();
        assert_eq!(exception(kms.describe_custom_key_store(&id).await), Exception::CustomKeyStoreNotFound);
    });
}

#[test]
fn what_is_one_stores_alone_no_other_gets_until_that_one_is_deleted() {
    run(|kms, _| async move {
        let id = kms.create_custom_key_store(external("root")).await.unwrap();
        assert_eq!(
            exception(kms.create_custom_key_store(external("root")).await),
            Exception::XksProxyUriInUse
        );
        let hsm = kms.create_custom_key_store(cloud_hsm("hsm", "abcdefghijk")).await.unwrap();
        // AWS takes the same once more for a retry.
        assert_eq!(kms.create_custom_key_store(cloud_hsm("hsm", "abcdefghijk")).await.unwrap(), hsm);
        let taken = kms.create_custom_key_store(cloud_hsm("other", "abcdefghijk")).await;
        assert_eq!(exception(taken), Exception::CloudHsmClusterInUse);
        let taken = kms.create_custom_key_store(cloud_hsm("root", "bbcdefghijk")).await;
        assert_eq!(exception(taken), Exception::CustomKeyStoreNameInUse);
        kms.delete_custom_key_store(&id).await.unwrap();
        kms.create_custom_key_store(external("root")).await.unwrap();
    });
}

#[test]
fn keys_and_aliases_are_found_across_stores() {
    run(|kms, manager| async move {
        let (_, one) = store_with_key(&kms, &manager, "one").await;
        let (_, two) = store_with_key(&kms, &manager, "two").await;
        let alias = AliasName::new("alias/payroll").unwrap();
        kms.create_alias(&alias, &one.key_id).await.unwrap();
        assert_eq!(exception(kms.create_alias(&alias, &two.key_id).await), Exception::AlreadyExists);
        let named = KeyRef::Alias(alias.clone());
        let sealed = kms.encrypt(&Encrypt::new(&named, b"secret")).await.unwrap();
        assert_eq!(sealed.key, one.arn);
        kms.update_alias(&alias, &two.key_id).await.unwrap();
        assert_eq!(kms.describe_key(&named).await.unwrap().key_id, two.key_id);

        let moved = kms.re_encrypt(&ReEncrypt::new(sealed.ciphertext.as_bytes(), &named)).await.unwrap();
        assert_eq!((&moved.source_key, &moved.key), (&one.arn, &two.arn));
        let opened = kms.decrypt(&Decrypt::new(moved.ciphertext.as_bytes()).key(&named)).await.unwrap();
        assert_eq!(opened.plaintext.expose(), b"secret");
        let wrong = kms.decrypt(&Decrypt::new(sealed.ciphertext.as_bytes()).key(&named)).await;
        assert_eq!(exception(wrong), Exception::IncorrectKey);

        let keys = kms.list_keys(&PageRequest::default()).await.unwrap();
        assert_eq!(keys.items.len(), 2);
        assert_eq!(kms.list_aliases(None, &PageRequest::default()).await.unwrap().items.len(), 1);
        assert_eq!(
            kms.list_aliases(Some(&one.key_id), &PageRequest::default()).await.unwrap().items.len(),
            0
        );
        kms.delete_alias(&alias).await.unwrap();
        assert_eq!(exception(kms.describe_key(&named).await), Exception::NotFound);

        kms.update_key_description(&one.key_id, KeyText::new("wraps").unwrap()).await.unwrap();
        kms.schedule_key_deletion(&one.key_id, Some(7)).await.unwrap();
        let used = kms.encrypt(&Encrypt::new(&one.key_id.into(), b"secret")).await;
        assert_eq!(exception(used), Exception::KmsInvalidState);
        kms.cancel_key_deletion(&one.key_id).await.unwrap();
        let used =
            kms.generate_data_key(&GenerateDataKey::new(&one.key_id.into(), DataKeyLength::AES_256)).await;
        assert_eq!(exception(used), Exception::Disabled);
    });
}

#[test]
fn a_proxy_behind_an_endpoint_service_is_first_asked_when_its_store_connects() {
    run(|kms, manager| async move {
        manager.always(Method::Connect, Fault::Refuse(ConnectionErrorCode::XksProxyNotReachable));
        let refused = kms.create_custom_key_store(external("public")).await;
        assert_eq!(exception(refused), Exception::XksProxyUriUnreachable);
        let service =
            VpcEndpointServiceName::new("com.amazonaws.vpce.us-east-1.vpce-svc-0123456789abcdef0").unwrap();
        let store = external("private").through_vpc_endpoint_service(service, None);
        let id = kms.create_custom_key_store(store).await.unwrap();
        kms.connect_custom_key_store(&id).await.unwrap();
        until(&kms, &id, ConnectionState::Failed).await;
        let described = kms.describe_custom_key_store(&id).await.unwrap();
        assert_eq!(described.connection_error_code, Some(ConnectionErrorCode::XksProxyNotReachable));
    });
}

#[test]
fn a_ciphertext_of_another_key_than_the_one_named_is_found_out_before_the_state_of_the_store() {
    run(|kms, manager| async move {
        let (store, one) = store_with_key(&kms, &manager, "one").await;
        let (_, two) = store_with_key(&kms, &manager, "two").await;
        let (one, two) = (one.key_id.into(), two.key_id.into());
        let sealed = kms.encrypt(&Encrypt::new(&one, b"secret")).await.unwrap();
        kms.disconnect_custom_key_store(&store).await.unwrap();
        let under = |key| Decrypt::new(sealed.ciphertext.as_bytes()).key(key);
        assert_eq!(exception(kms.decrypt(&under(&two)).await), Exception::IncorrectKey);
        assert_eq!(exception(kms.decrypt(&under(&one)).await), Exception::KmsInvalidState);
        let moved = ReEncrypt::new(sealed.ciphertext.as_bytes(), &two).source_key(&two);
        assert_eq!(exception(kms.re_encrypt(&moved).await), Exception::IncorrectKey);
    });
}

#[test]
fn only_a_decryption_finds_a_ciphertext_invalid() {
    run(|kms, manager| async move {
        let (_, key) = store_with_key(&kms, &manager, "root").await;
        let hsm = kms.create_custom_key_store(cloud_hsm("hsm", "abcdefghijk")).await.unwrap();
        connect(&kms, &hsm).await;
        let key = key.key_id.into();
        for method in [Method::Encrypt, Method::GenerateKey, Method::GenerateRandom] {
            manager.inject(method, Fault::Fail(BackendErrorKind::InvalidCiphertext));
        }
        let encrypted = kms.encrypt(&Encrypt::new(&key, b"secret")).await;
        assert_eq!(exception(encrypted), Exception::KmsInvalidState);
        let created = kms.create_key(&hsm, &NewKey::generated()).await;
        assert_eq!(exception(created), Exception::CustomKeyStoreInvalidState);
        assert_eq!(exception(kms.generate_random(16, Some(&hsm)).await), Exception::KmsInternal);
    });
}
