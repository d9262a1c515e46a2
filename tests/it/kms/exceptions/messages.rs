//! What a refusal says: which of the caller's things is wrong, and how it goes on.

use std::error::Error as _;

use custom_key_store::backend::software::{Fault, Method};
use custom_key_store::backend::{Change, ConnectionErrorCode as Code, StoreName, UriEndpoint};
use custom_key_store::kms::Exception::{self, *};
use custom_key_store::kms::{Encrypt, KeyRef, KmsError, Refusal, ScheduledDeletion};
use custom_key_store::{AliasName, ConnectionState, KeyId, NewKey, PageRequest, StoreId, TagKey, TagValue};

use super::rig::{Rig, backing_key};
use crate::kms::support::{external, until};

/// The message names each of these.
fn names<T: std::fmt::Debug>(refused: Result<T, KmsError>, exception: Exception, named: &[&str]) -> KmsError {
    let error = refused.unwrap_err();
    assert_eq!(error.exception(), exception, "{error:?}");
    for what in named {
        assert!(error.message().contains(what), "{what} is not in: {}", error.message());
    }
    assert_eq!(error.to_string(), format!("{exception}: {}", error.message()));
    error
}

#[test]
fn a_message_names_what_is_wrong() {
    Rig::run(async |rig| {
        let kms = &rig.kms;
        let nobody = StoreId::new("cks-1234567890abcdef0").unwrap();
        let described = kms.describe_custom_key_store(&nobody).await;
        names(described, CustomKeyStoreNotFound, &[nobody.as_str()]);
        let name = StoreName::new("nobody").unwrap();
        names(kms.describe_custom_key_store_named(&name).await, CustomKeyStoreNotFound, &["nobody"]);
        let renamed = Change::new().name(StoreName::new("cluster").unwrap());
        names(kms.update_custom_key_store(&rig.idle, renamed).await, CustomKeyStoreNameInUse, &["cluster"]);
        let created = kms.create_custom_key_store(external("root")).await;
        names(created, XksProxyUriInUse, &["XksProxyUriEndpoint", "XksProxyUriPath"]);
        let empty = kms.update_custom_key_store(&rig.idle, Change::new()).await;
        names(empty, Validation, &["UpdateCustomKeyStore"]);
        let endpoint = Change::new().uri_endpoint(UriEndpoint::new("https://new.example.com").unwrap());
        let of_other_type = kms.update_custom_key_store(&rig.idle_cluster, endpoint).await;
        names(of_other_type, Validation, &["XksProxyUriEndpoint", "AWS_CLOUDHSM"]);

        let nothing = KeyId::new("01234567-89ab-cdef-0123-456789abcdef").unwrap();
        let error = names(kms.describe_key(&nothing.into()).await, NotFound, &[&nothing.to_string()]);
        assert!(!error.message().contains("custom key store"), "none was named: {}", error.message());
        let alias = AliasName::new("alias/payroll").unwrap();
        let named = kms.describe_key(&KeyRef::Alias(alias.clone())).await;
        names(named, NotFound, &["arn:aws:kms:us-east-1:111122223333:alias/payroll"]);
        kms.create_alias(&alias, &rig.key).await.unwrap();
        names(kms.create_alias(&alias, &rig.cluster_key).await, AlreadyExists, &["alias/payroll"]);
        let taken = kms.create_key(&rig.store, &NewKey::external(backing_key("in-key"))).await;
        names(taken, XksKeyAlreadyInUse, &["in-key"]);
        // By the names that AWS's clients have, since whoever reads it has given an Origin.
        let made = kms.create_key(&rig.store, &NewKey::generated()).await;
        let made = names(made, Validation, &["EXTERNAL_KEY_STORE", "Origin", "XksKeyId", rig.store.as_str()]);
        assert!(!made.message().contains("NewKey"), "{}", made.message());
        let made = kms.create_key(&rig.cluster, &NewKey::external(backing_key("free"))).await;
        let made = names(made, Validation, &["Origin AWS_CLOUDHSM", "no XksKeyId"]);
        assert!(!made.message().contains("NewKey"), "{}", made.message());
        rig.surroundings.set(Refusal::Unsupported("no such key manager".to_owned()));
        let refused = kms.create_custom_key_store(external("new")).await;
        let refused = names(refused, Validation, &["not supported here: no such key manager"]);
        assert!(!refused.advice().contains("custom key stores do not have it"), "{}", refused.advice());
        let days: Result<ScheduledDeletion, _> = kms.schedule_key_deletion(&rig.key, Some(31)).await;
        names(days, Validation, &["PendingWindowInDays", "7", "30"]);
        let tag = (TagKey::new("team").unwrap(), TagValue::new("x").unwrap());
        names(kms.tag_resource(&rig.key, &[tag.clone(), tag]).await, Tag, &["Tags"]);
        let marker = kms.list_keys(&PageRequest::first(1).unwrap()).await.unwrap().next.unwrap();
        let of_others = PageRequest::default().after(marker);
        names(kms.list_aliases(None, &of_others).await, InvalidMarker, &["Marker"]);
    });
}

#[test]
fn a_message_names_the_state_that_decided_and_the_advice_leads_out_of_it() {
    Rig::run(async |rig| {
        let kms = &rig.kms;
        let key = KeyRef::Id(rig.key);
        let used = async |state: ConnectionState, advice: &str| {
            let named = [rig.store.as_str(), state.as_str()];
            let sealed = kms.encrypt(&Encrypt::new(&key, b"x")).await;
            let error = names(sealed, KmsInvalidState, &named);
            assert_eq!(error.connection_state(), Some(state));
            assert!(error.advice().contains(advice), "{:?}", error.advice());
            let made = kms.create_key(&rig.store, &NewKey::external(backing_key("free"))).await;
            let error = names(made, CustomKeyStoreInvalidState, &named);
            assert!(error.advice().contains(advice), "{:?}", error.advice());
        };
        rig.manager.inject(Method::Close, Fault::Hang);
        kms.disconnect_custom_key_store(&rig.store).await.unwrap();
        used(ConnectionState::Disconnecting, "wait until").await;
        let again = kms.disconnect_custom_key_store(&rig.store).await;
        names(again, CustomKeyStoreInvalidState, &[rig.store.as_str(), "being disconnected already"]);
        rig.in_time(until(kms, &rig.store, ConnectionState::Disconnected)).await;
        used(ConnectionState::Disconnected, "connect the custom key store").await;
        rig.manager.inject(Method::Connect, Fault::Refuse(Code::InvalidCredentials));
        kms.connect_custom_key_store(&rig.store).await.unwrap();
        until(kms, &rig.store, ConnectionState::Failed).await;
        used(ConnectionState::Failed, "disconnect").await;
        let change = Change::new().name(StoreName::new("new").unwrap());
        let error = names(
            kms.update_custom_key_store(&rig.store, change).await,
            CustomKeyStoreInvalidState,
            &[rig.store.as_str(), "FAILED"],
        );
        assert!(error.advice().contains("disconnect"));
        kms.disconnect_custom_key_store(&rig.store).await.unwrap();
        until(kms, &rig.store, ConnectionState::Disconnected).await;
        rig.manager.inject(Method::Connect, Fault::Hang);
        kms.connect_custom_key_store(&rig.store).await.unwrap();
        used(ConnectionState::Connecting, "wait until").await;

        // Keys whose deletion is scheduled count, until they are deleted.
        kms.disconnect_custom_key_store(&rig.store).await.unwrap();
        until(kms, &rig.store, ConnectionState::Disconnected).await;
        kms.schedule_key_deletion(&rig.key, Some(7)).await.unwrap();
        let deleted = kms.delete_custom_key_store(&rig.store).await;
        let error = names(deleted, CustomKeyStoreHasCmks, &[rig.store.as_str(), "scheduled"]);
        assert!(error.source().is_none(), "nobody was faster: {:?}", error.source());
        let sealed = kms.encrypt(&Encrypt::new(&key, b"x")).await.map(drop);
        for refused in [sealed, kms.schedule_key_deletion(&rig.key, Some(7)).await.map(drop)] {
            let error = names(refused, KmsInvalidState, &[&rig.key.to_string(), "scheduled"]);
            assert!(error.advice().contains("CancelKeyDeletion"), "{}", error.advice());
        }
    });
}

/// What is said by each name: the way on is a sentence of its own, names what to do, and speaks of nothing inside.
#[test]
fn each_exception_has_a_way_on() {
    let mut ways: std::collections::BTreeMap<&str, Vec<Exception>> = std::collections::BTreeMap::new();
    for exception in Exception::ALL {
        let error = KmsError::new(*exception, "what is wrong");
        assert_eq!(error.advice(), exception.advice());
        ways.entry(exception.advice()).or_default().push(*exception);
        assert_eq!(format!("{error}"), format!("{exception}: what is wrong"), "it is said once");
    }
    for (way, of) in ways {
        // Two of the three faults of AWS's are one to whoever calls.
        assert!(of.len() == 1 || of == [KeyUnavailable, KmsInternal], "{of:?}: {way}");
        assert!(way.len() > 10 && way.starts_with(|c: char| c.is_ascii_lowercase()), "{of:?}: {way}");
        assert!(!way.ends_with(['.', ';', ':']), "{of:?}: {way}");
        for inside in ["catalog", "ledger", "row", "panic", "SQL", "driver", "rust"] {
            assert!(way.split(' ').all(|word| word != inside), "{of:?}: {way}");
        }
    }
}
