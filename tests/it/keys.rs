//! KMS keys: created and used while the store is connected, viewed and managed always.

use std::time::{Duration, SystemTime};

use custom_key_store::backend::software::{Fault, KeyManager, Method, SoftwareKey};
use custom_key_store::backend::{BackendErrorKind, BackingKeyId, CloudHsmClusterId, KeyStatus, KeyUsages};
use custom_key_store::clock::{Clock as _, ManualClock};
use custom_key_store::{
    AliasName, Connected, DataKeyLength, ErrorKind, KeyId, KeyOrigin, KeyState, KeyStore, KeyText, Keys,
    NewKey, PageRequest, TagKey, TagValue,
};

use crate::support::{cluster_configuration, connected, key, manager, name, no_context};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

async fn store() -> (KeyManager, KeyStore<Connected>, KeyId) {
    let manager = manager();
    let store = connected(&manager).await;
    let id = store.create_key(&NewKey::external(key())).await.unwrap().key_id;
    (manager, store, id)
}

fn timed_cluster() -> (KeyManager, ManualClock, custom_key_store::StoreBuilder) {
    let clock = ManualClock::new();
    let manager = KeyManager::builder().configuration(cluster_configuration()).clock(clock.clone()).build();
    let builder = KeyStore::builder(manager.clone()).clock(clock.clone());
    (manager, clock, builder)
}

fn alias(name: &str) -> AliasName {
    AliasName::new(name).unwrap()
}

fn tag(key: &str, value: &str) -> (TagKey, TagValue) {
    (TagKey::new(key).unwrap(), TagValue::new(value).unwrap())
}

async fn state_of(keys: Keys<'_>, id: &KeyId) -> KeyState {
    keys.describe(id).await.unwrap().key_state
}

#[tokio::test]
async fn a_key_of_an_external_key_store_is_described_as_aws_does() {
    let manager = manager();
    let store = connected(&manager).await;
    let new = NewKey::external(key()).description(KeyText::new("payroll").unwrap());
    let made = store.create_key(&new).await.unwrap();
    assert_eq!(made, store.keys().describe(&made.key_id).await.unwrap());
    assert_eq!(made.arn.key_id(), made.key_id);
    assert_eq!(made.origin, KeyOrigin::ExternalKeyStore);

    let mut json = serde_json::to_value(&made).unwrap();
    let date = json.as_object_mut().unwrap().remove("CreationDate").unwrap();
    assert!(date.as_f64().unwrap() > 1.7e9);
    assert_eq!(
        json,
        serde_json::json!({
            "AWSAccountId": "000000000000",
            "KeyId": made.key_id.to_string(),
            "Arn": format!("arn:aws:kms:local:000000000000:key/{}", made.key_id),
            "Enabled": true,
            "Description": "payroll",
            "KeyUsage": "ENCRYPT_DECRYPT",
            "KeyState": "Enabled",
            "Origin": "EXTERNAL_KEY_STORE",
            "CustomKeyStoreId": store.id().as_str(),
            "KeyManager": "CUSTOMER",
            "CustomerMasterKeySpec": "SYMMETRIC_DEFAULT",
            "KeySpec": "SYMMETRIC_DEFAULT",
            "EncryptionAlgorithms": ["SYMMETRIC_DEFAULT"],
            "MultiRegion": false,
            "XksKeyConfiguration": { "Id": "key" },
        })
    );
}

#[tokio::test]
async fn a_key_of_a_cluster_is_made_there_under_its_arn() {
    let (manager, _clock, builder) = timed_cluster();
    let store = builder.ephemeral(name()).connect().await.unwrap();
    let made = store.create_key(&NewKey::generated()).await.unwrap();
    assert_eq!(made.origin, KeyOrigin::AwsCloudhsm);
    assert_eq!(made.cloud_hsm_cluster_id, Some(CloudHsmClusterId::new("cluster-abcdefghij2").unwrap()));
    assert_eq!(made.xks_key_id, None);
    let ids = manager.keys();
    assert_eq!(ids.len(), 1);
    assert_eq!(manager.key_label(&ids[0]).as_deref(), Some(made.arn.as_str()));

    let context = no_context();
    let blob = store.encrypt(&made.key_id, b"direct", &context).await.unwrap();
    assert_eq!(store.decrypt(blob.as_bytes(), &context).await.unwrap().expose(), b"direct");
    assert!(store.keys().orphans(&PageRequest::default()).await.unwrap().items.is_empty());
}

#[tokio::test]
async fn an_external_key_must_be_an_enabled_aes_256_key_for_both_directions() {
    // XKS-C-45, XKS-C-46, XKS-C-47: what a proxy says decides whether `CreateKey` succeeds.
    let manager = KeyManager::new();
    let id = |text: &str| BackingKeyId::new(text).unwrap();
    manager.insert_key(id("encrypt-only"), SoftwareKey::generate().usages(KeyUsages::ENCRYPT));
    manager.insert_key(id("decrypt-only"), SoftwareKey::generate().usages(KeyUsages::DECRYPT));
    manager.insert_key(id("neither"), SoftwareKey::generate().usages(KeyUsages::NONE));
    manager.insert_key(id("disabled"), SoftwareKey::generate().status(KeyStatus::Disabled));
    let store = connected(&manager).await;
    for unsuitable in manager.keys() {
        let error = store.create_key(&NewKey::external(unsuitable.clone())).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnsuitableExternalKey, "{unsuitable}");
        assert!(error.to_string().contains(unsuitable.as_str()), "{error}");
    }
    let error = store.create_key(&NewKey::external(id("missing"))).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Backend(BackendErrorKind::KeyNotFound));
    assert!(store.keys().list(&PageRequest::default()).await.unwrap().items.is_empty());
}

#[tokio::test]
async fn an_external_key_serves_one_kms_key_of_a_store() {
    // XKS-C-17
    let (manager, store, _) = store().await;
    let error = store.create_key(&NewKey::external(key())).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ExternalKeyInUse);
    // Of another store it may be another's.
    let other = connected(&manager).await;
    other.create_key(&NewKey::external(key())).await.unwrap();
}

#[tokio::test]
async fn two_that_claim_an_external_key_at_once_do_not_both_get_it() {
    let manager = manager();
    let store = connected(&manager).await;
    let new = NewKey::external(key());
    let (one, other) = tokio::join!(store.create_key(&new), store.create_key(&new));
    assert_eq!(u8::from(one.is_ok()) + u8::from(other.is_ok()), 1);
    assert_eq!(store.keys().list(&PageRequest::default()).await.unwrap().items.len(), 1);
}

#[tokio::test]
async fn a_key_of_the_other_kind_of_store_is_refused() {
    let store = connected(&manager()).await;
    let error = store.create_key(&NewKey::generated()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    let (_, _clock, builder) = timed_cluster();
    let cluster = builder.ephemeral(name()).connect().await.unwrap();
    let error = cluster.create_key(&NewKey::external(key())).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
}

#[tokio::test]
async fn keys_are_unavailable_while_their_store_is_not_connected_and_managed_all_the_same() {
    let (_manager, store, id) = store().await;
    assert_eq!(state_of(store.keys(), &id).await, KeyState::Enabled);
    let store = store.disconnect().await;
    assert_eq!(state_of(store.keys(), &id).await, KeyState::Unavailable);

    let keys = store.keys();
    keys.disable(&id).await.unwrap();
    assert_eq!(state_of(keys, &id).await, KeyState::Unavailable);
    keys.update_description(&id, KeyText::new("new").unwrap()).await.unwrap();
    keys.create_alias(&alias("alias/one"), &id).await.unwrap();
    keys.tag(&id, &[tag("team", "payroll")]).await.unwrap();
    keys.schedule_deletion(&id, 7).await.unwrap();
    assert_eq!(state_of(keys, &id).await, KeyState::PendingDeletion);
    keys.cancel_deletion(&id).await.unwrap();
    assert_eq!(state_of(keys, &id).await, KeyState::Unavailable);

    // What was changed meanwhile takes effect.
    let store = store.connect().await.unwrap();
    assert_eq!(state_of(store.keys(), &id).await, KeyState::Disabled);
    assert_eq!(state_of(store.handle().keys(), &id).await, KeyState::Disabled);
    let described = store.keys().describe(&id).await.unwrap();
    assert_eq!(described.description.as_str(), "new");
}

#[tokio::test]
async fn what_is_wrong_with_a_key_counts_in_the_documented_order() {
    let (_manager, store, id) = store().await;
    let context = no_context();
    let blob = store.encrypt(&id, b"x", &context).await.unwrap();
    let handle = store.handle();
    let kind = async |handle: &custom_key_store::Handle| {
        let encrypted = handle.encrypt(&id, b"x", &no_context()).await.unwrap_err().kind();
        let decrypted = handle.decrypt(blob.as_bytes(), &no_context()).await.unwrap_err().kind();
        assert_eq!(encrypted, decrypted);
        assert_eq!(handle.may_encrypt(&id).await.unwrap_err().kind(), encrypted);
        assert_eq!(handle.may_decrypt(blob.as_bytes(), &no_context()).await.unwrap_err().kind(), encrypted);
        encrypted
    };

    store.keys().disable(&id).await.unwrap();
    assert_eq!(kind(&handle).await, ErrorKind::KeyDisabled);
    let store = store.disconnect().await;
    // A key that is disabled, in a store that is not connected, is unavailable.
    assert_eq!(kind(&handle).await, ErrorKind::NotConnected);
    store.keys().schedule_deletion(&id, 7).await.unwrap();
    assert_eq!(kind(&handle).await, ErrorKind::KeyPendingDeletion);
    let other = KeyId::new("1234abcd-12ab-34cd-56ef-1234567890ab").unwrap();
    assert_eq!(handle.encrypt(&other, b"x", &context).await.unwrap_err().kind(), ErrorKind::KeyNotFound);
}

#[tokio::test]
async fn disabling_takes_effect_when_it_is_acknowledged() {
    let (_manager, store, id) = store().await;
    let context = no_context();
    for _ in 0..3 {
        let blob = store.encrypt(&id, b"x", &context).await.unwrap();
        store.keys().disable(&id).await.unwrap();
        store.keys().disable(&id).await.unwrap();
        let error = store.decrypt(blob.as_bytes(), &context).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::KeyDisabled);
        let error = store.generate_data_key(&id, DataKeyLength::AES_256, &context).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::KeyDisabled);
        store.keys().enable(&id).await.unwrap();
        assert_eq!(store.decrypt(blob.as_bytes(), &context).await.unwrap().expose(), b"x");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_use_that_begins_after_a_disable_was_acknowledged_succeeds() {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};
    // Odd while it is certainly disabled.
    let epoch = Arc::new(AtomicU64::new(0));
    let (_manager, store, id) = store().await;
    let users: Vec<_> = (0..3)
        .map(|_| {
            let (handle, epoch) = (store.handle(), Arc::clone(&epoch));
            tokio::spawn(async move {
                let mut used = 0_u64;
                while epoch.load(Ordering::SeqCst) < 400 {
                    let before = epoch.load(Ordering::SeqCst);
                    let outcome = handle.encrypt(&id, b"x", &no_context()).await;
                    let after = epoch.load(Ordering::SeqCst);
                    if before == after && before % 2 == 1 {
                        assert_eq!(outcome.unwrap_err().kind(), ErrorKind::KeyDisabled);
                    } else {
                        used += u64::from(outcome.is_ok());
                    }
                    tokio::task::yield_now().await;
                }
                used
            })
        })
        .collect();
    while epoch.load(Ordering::SeqCst) < 400 {
        store.keys().disable(&id).await.unwrap();
        epoch.fetch_add(1, Ordering::SeqCst);
        tokio::task::yield_now().await;
        epoch.fetch_add(1, Ordering::SeqCst);
        store.keys().enable(&id).await.unwrap();
        tokio::task::yield_now().await;
    }
    for user in users {
        user.await.unwrap();
    }
}

#[tokio::test]
async fn a_key_that_is_to_be_deleted_is_left_alone_but_for_the_cancelling() {
    let (_manager, store, id) = store().await;
    let keys = store.keys();
    keys.create_alias(&alias("alias/one"), &id).await.unwrap();
    let error = keys.cancel_deletion(&id).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::KeyNotPendingDeletion);
    for days in [0, 6, 31, u32::MAX] {
        let error = keys.schedule_deletion(&id, days).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{days}");
    }
    keys.schedule_deletion(&id, 30).await.unwrap();

    let refused = [
        keys.enable(&id).await,
        keys.disable(&id).await,
        keys.schedule_deletion(&id, 7).await.map(drop),
        keys.update_description(&id, KeyText::empty()).await,
        keys.create_alias(&alias("alias/two"), &id).await,
        keys.update_alias(&alias("alias/one"), &id).await,
        keys.tag(&id, &[tag("a", "b")]).await,
        keys.untag(&id, &[tag("a", "b").0]).await,
    ];
    for outcome in refused {
        assert_eq!(outcome.unwrap_err().kind(), ErrorKind::KeyPendingDeletion);
    }
    // What AWS allows: looking, and taking an alias away.
    assert_eq!(keys.resolve(&alias("alias/one")).await.unwrap(), id);
    keys.delete_alias(&alias("alias/one")).await.unwrap();
    assert!(keys.tags(&id).await.unwrap().is_empty());
    keys.cancel_deletion(&id).await.unwrap();
    assert_eq!(state_of(keys, &id).await, KeyState::Disabled);
}

#[tokio::test]
async fn a_deletion_takes_place_when_it_is_due_and_not_before() {
    let (manager, clock, builder) = timed_cluster();
    let store = builder.ephemeral(name()).connect().await.unwrap();
    let doomed = store.create_key(&NewKey::generated()).await.unwrap().key_id;
    let kept = store.create_key(&NewKey::generated()).await.unwrap().key_id;
    let context = no_context();
    let blob = store.encrypt(&doomed, b"x", &context).await.unwrap();
    let keys = store.keys();
    keys.create_alias(&alias("alias/doomed"), &doomed).await.unwrap();
    keys.tag(&doomed, &[tag("a", "b")]).await.unwrap();
    let due = keys.schedule_deletion(&doomed, 7).await.unwrap();
    assert_eq!(keys.describe(&doomed).await.unwrap().deletion_date, Some(due));

    clock.advance(7 * DAY - Duration::from_secs(1));
    assert!(keys.delete_due().await.unwrap().deleted.is_empty());
    clock.advance(Duration::from_secs(1));
    let report = keys.delete_due().await.unwrap();
    assert_eq!(report.deleted, [doomed]);
    assert!(report.orphaned.is_empty());
    assert_eq!(report.postponed, None);

    assert_eq!(manager.keys().len(), 1);
    assert_eq!(keys.describe(&doomed).await.unwrap_err().kind(), ErrorKind::KeyNotFound);
    assert_eq!(keys.resolve(&alias("alias/doomed")).await.unwrap_err().kind(), ErrorKind::AliasNotFound);
    let error = store.decrypt(blob.as_bytes(), &context).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::KeyNotFound);
    keys.create_alias(&alias("alias/doomed"), &kept).await.unwrap();
    assert!(keys.delete_due().await.unwrap().deleted.is_empty());
}

#[tokio::test]
async fn a_key_in_the_cluster_that_cannot_be_deleted_is_listed_until_somebody_says_so() {
    let (manager, clock, builder) = timed_cluster();
    let store = builder.ephemeral(name()).connect().await.unwrap();
    let mut ids = Vec::new();
    for _ in 0..2 {
        ids.push(store.create_key(&NewKey::generated()).await.unwrap().key_id);
    }
    for id in &ids {
        store.keys().schedule_deletion(id, 7).await.unwrap();
    }
    clock.advance(7 * DAY);
    manager.inject(Method::DeleteKey, Fault::Fail(BackendErrorKind::Unreachable));
    let report = store.keys().delete_due().await.unwrap();
    assert_eq!(report.deleted.len(), 2);
    let [(orphan, error)] = &report.orphaned[..] else { panic!("{report:?}") };
    assert_eq!(error.kind(), ErrorKind::Backend(BackendErrorKind::Unreachable));
    assert_eq!(manager.keys().len(), 1);

    let store = store.disconnect().await;
    let listed = store.keys().orphans(&PageRequest::default()).await.unwrap().items;
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].kms_key.key_id(), *orphan);
    assert_eq!(listed[0].backing_key, manager.keys().first().cloned());
    store.keys().forget_orphan(orphan).await.unwrap();
    assert!(store.keys().orphans(&PageRequest::default()).await.unwrap().items.is_empty());
    let error = store.keys().forget_orphan(orphan).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::KeyNotFound);
}

#[tokio::test]
async fn a_key_deleted_while_nobody_reaches_the_cluster_is_an_orphan() {
    let (manager, clock, builder) = timed_cluster();
    let store = builder.ephemeral(name()).connect().await.unwrap();
    let id = store.create_key(&NewKey::generated()).await.unwrap().key_id;
    let store = store.disconnect().await;
    store.keys().schedule_deletion(&id, 7).await.unwrap();
    clock.advance(7 * DAY);
    let report = store.keys().delete_due().await.unwrap();
    assert_eq!(report.deleted, [id]);
    assert_eq!(report.orphaned[0].1.kind(), ErrorKind::NotConnected);
    assert_eq!(manager.keys().len(), 1);
}

#[tokio::test]
async fn a_key_that_a_cluster_may_have_made_for_nothing_is_listed() {
    let (manager, _clock, builder) = timed_cluster();
    let store = builder.ephemeral(name()).connect().await.unwrap();
    for (fault, listed) in [(BackendErrorKind::TimedOut, 1), (BackendErrorKind::AccessDenied, 1)] {
        manager.inject(Method::GenerateKey, Fault::Fail(fault));
        store.create_key(&NewKey::generated()).await.unwrap_err();
        // Only the first: a refusal made no key.
        let orphans = store.keys().orphans(&PageRequest::default()).await.unwrap().items;
        assert_eq!(orphans.len(), listed, "{fault:?}");
        assert_eq!(orphans[0].backing_key, None);
    }
    assert!(store.keys().list(&PageRequest::default()).await.unwrap().items.is_empty());
}

#[tokio::test]
async fn nothing_is_deleted_for_a_day_after_the_wall_clock_was_set() {
    for jump in [true, false] {
        let clock = ManualClock::new();
        let manager = manager();
        let store = KeyStore::builder(manager.clone()).clock(clock.clone()).ephemeral(name());
        let store = store.connect().await.unwrap();
        let id = store.create_key(&NewKey::external(key())).await.unwrap().key_id;
        store.keys().schedule_deletion(&id, 7).await.unwrap();
        let wall = clock.wall();
        clock.set_wall(if jump { wall + 30 * DAY } else { wall - DAY });
        let report = store.keys().delete_due().await.unwrap();
        assert!(report.deleted.is_empty());
        assert_eq!(report.postponed, Some(DAY));

        // Somebody puts it right: that is a jump too.
        clock.advance(Duration::from_secs(60 * 60));
        clock.set_wall(wall + Duration::from_secs(60 * 60));
        assert_eq!(store.keys().delete_due().await.unwrap().postponed, Some(DAY));
        clock.advance(DAY - Duration::from_secs(1));
        assert_eq!(store.keys().delete_due().await.unwrap().postponed, Some(Duration::from_secs(1)));
        clock.advance(Duration::from_secs(1));
        let report = store.keys().delete_due().await.unwrap();
        assert_eq!(report.postponed, None);
        assert!(report.deleted.is_empty());
        clock.advance(6 * DAY);
        assert_eq!(store.keys().delete_due().await.unwrap().deleted, [id]);
        // The external key is its owner's.
        assert_eq!(manager.keys(), [key()]);
    }
}

#[tokio::test]
async fn lists_come_in_pages() {
    let manager = KeyManager::new();
    let store = connected(&manager).await;
    let mut made = Vec::new();
    for number in 0..25 {
        let id = BackingKeyId::new(format!("key-{number}")).unwrap();
        manager.create_key(id.clone());
        made.push(store.create_key(&NewKey::external(id)).await.unwrap().key_id);
    }
    made.sort_unstable();
    for limit in [1, 7, 24, 25, 26] {
        let (mut found, mut request) = (Vec::new(), PageRequest::first(limit).unwrap());
        loop {
            let page = store.keys().list(&request).await.unwrap();
            assert!(page.items.len() <= limit && !page.items.is_empty());
            found.extend(page.items.iter().map(|key| key.key_id));
            let Some(next) = page.next else { break };
            // Through its text, as a network caller gives it.
            let next = custom_key_store::Marker::from_text(&next.to_string()).unwrap();
            request = PageRequest::first(limit).unwrap().after(next);
        }
        assert_eq!(found, made, "pages of {limit}");
    }
    for limit in [0, 1001] {
        PageRequest::first(limit).unwrap_err();
    }
}

#[tokio::test]
async fn a_marker_is_good_for_its_own_list() {
    let (_manager, store, id) = store().await;
    for number in 0..3 {
        store.keys().create_alias(&alias(&format!("alias/{number}")), &id).await.unwrap();
    }
    let first = PageRequest::first(1).unwrap();
    let marker = store.keys().aliases(&id, &first).await.unwrap().next.unwrap();
    let error = store.keys().list(&first.clone().after(marker.clone())).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.to_string().contains("Marker"), "{error}");
    let second = store.keys().aliases(&id, &first.after(marker)).await.unwrap();
    assert_eq!(second.items[0].name, alias("alias/1"));
    for nonsense in ["", "x", "!!", "bm9uZQ"] {
        custom_key_store::Marker::from_text(nonsense).unwrap_err();
    }
}

#[tokio::test]
async fn an_alias_stands_for_one_key() {
    let (manager, store, one) = store().await;
    let second = BackingKeyId::new("second").unwrap();
    manager.create_key(second.clone());
    let other = store.create_key(&NewKey::external(second)).await.unwrap().key_id;
    let (keys, root) = (store.keys(), alias("alias/root"));
    assert_eq!(keys.resolve(&root).await.unwrap_err().kind(), ErrorKind::AliasNotFound);
    keys.create_alias(&root, &one).await.unwrap();
    let error = keys.create_alias(&root, &other).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AliasExists);
    assert!(error.to_string().contains("alias/root"), "{error}");
    assert_eq!(keys.resolve(&root).await.unwrap(), one);

    keys.update_alias(&root, &other).await.unwrap();
    assert_eq!(keys.resolve(&root).await.unwrap(), other);
    assert!(keys.aliases(&one, &PageRequest::default()).await.unwrap().items.is_empty());
    assert_eq!(keys.aliases(&other, &PageRequest::default()).await.unwrap().items[0].name, root);
    keys.delete_alias(&root).await.unwrap();
    for outcome in [keys.delete_alias(&root).await, keys.update_alias(&root, &one).await] {
        assert_eq!(outcome.unwrap_err().kind(), ErrorKind::AliasNotFound);
    }
}

#[tokio::test]
async fn tags_are_set_and_taken_away_together() {
    let (_manager, store, id) = store().await;
    let keys = store.keys();
    keys.tag(&id, &[tag("b", "1"), tag("a", "2")]).await.unwrap();
    keys.tag(&id, &[tag("b", "3"), tag("c", "")]).await.unwrap();
    assert_eq!(keys.tags(&id).await.unwrap(), [tag("a", "2"), tag("b", "3"), tag("c", "")]);
    let twice = keys.tag(&id, &[tag("d", "1"), tag("d", "2")]).await.unwrap_err();
    assert_eq!(twice.kind(), ErrorKind::InvalidInput);
    keys.untag(&id, &[tag("a", "").0, tag("none", "").0]).await.unwrap();
    assert_eq!(keys.tags(&id).await.unwrap(), [tag("b", "3"), tag("c", "")]);

    let many: Vec<_> = (0..49).map(|number| tag(&format!("n{number}"), "")).collect();
    assert_eq!(keys.tag(&id, &many).await.unwrap_err().kind(), ErrorKind::InvalidInput);
    assert_eq!(keys.tags(&id).await.unwrap().len(), 2);
    keys.tag(&id, &many[..48]).await.unwrap();
    assert_eq!(keys.tags(&id).await.unwrap().len(), 50);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn changes_at_once_are_all_made() {
    let (_manager, store, id) = store().await;
    let handle = store.handle();
    let tasks: Vec<_> = (0..8)
        .map(|number| {
            let handle = handle.clone();
            tokio::spawn(async move {
                let keys = handle.keys();
                keys.tag(&id, &[tag(&format!("t{number}"), "x")]).await.unwrap();
                keys.create_alias(&alias(&format!("alias/{number}")), &id).await.unwrap();
                keys.update_description(&id, KeyText::new(number.to_string()).unwrap()).await.unwrap();
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(store.keys().tags(&id).await.unwrap().len(), 8);
    assert_eq!(store.keys().aliases(&id, &PageRequest::default()).await.unwrap().items.len(), 8);
}

#[tokio::test]
async fn data_keys_are_random_of_the_length_asked_for_and_come_back() {
    let (_manager, store, id) = store().await;
    let context = no_context();
    for length in [DataKeyLength::AES_128, DataKeyLength::AES_256, DataKeyLength::new(1024).unwrap()] {
        let one = store.generate_data_key(&id, length, &context).await.unwrap();
        let other = store.generate_data_key(&id, length, &context).await.unwrap();
        assert_eq!(one.plaintext.len(), length.bytes());
        assert_ne!(one.plaintext, other.plaintext);
        assert_eq!(store.decrypt(one.wrapped.as_bytes(), &context).await.unwrap(), one.plaintext);
    }
    let wrapped =
        store.generate_data_key_without_plaintext(&id, DataKeyLength::AES_256, &context).await.unwrap();
    assert_eq!(store.decrypt(wrapped.as_bytes(), &context).await.unwrap().len(), 32);
    for bytes in [0, 1025] {
        DataKeyLength::new(bytes).unwrap_err();
    }
}

#[tokio::test]
async fn the_creation_date_is_that_of_the_clock() {
    let clock = ManualClock::new();
    clock.set_wall(SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_123));
    let store = KeyStore::builder(manager()).clock(clock).ephemeral(name()).connect().await.unwrap();
    let made = store.create_key(&NewKey::external(key())).await.unwrap();
    assert_eq!(made.creation_date, SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_123));
}
