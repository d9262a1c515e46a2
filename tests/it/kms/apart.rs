//! Stores are apart: what hangs on one keeps nobody else waiting, and no disconnect.

use std::time::Duration;

use custom_key_store::backend::software::{Fault, KeyManager, Method};
use custom_key_store::backend::{BackingKeyId, Change, UriPath};
use custom_key_store::kms::{BackendMap, Encrypt, Exception, Kms};
use custom_key_store::{ConnectionState, NewKey, PageRequest};
use futures::future::{Either, join_all, select};
use futures::{FutureExt as _, StreamExt as _, pin_mut};

use super::support::{builder, cloud_hsm, connect, drive, exception, external, run, store_with_key, until};
use crate::support::ledger;

/// Two key managers, by the name of the store that is on them: `slow` is on the second.
fn two(test: impl AsyncFnOnce(Kms, KeyManager, KeyManager)) {
    let (quick, slow) = (KeyManager::new(), KeyManager::new());
    let slow_kind = slow.clone();
    let backends = BackendMap::new().software(quick.clone()).kind(move |configuration, _| {
        let is_slow = format!("{configuration:?}").contains("slow");
        is_slow.then(|| Ok(std::sync::Arc::new(slow_kind.client(configuration.clone(), None, None)) as _))
    });
    futures::executor::block_on(async {
        let (kms, driver) = Kms::builder(ledger(), backends).open().await.unwrap();
        drive(driver, test(kms, quick, slow)).await;
    });
}

#[test]
fn a_connect_that_hangs_returns_at_once_and_is_given_up_by_a_disconnect() {
    two(async |kms, quick, slow| {
        let hanging = kms.create_custom_key_store(external("slow")).await.unwrap();
        slow.always(Method::Connect, Fault::Hang);
        kms.connect_custom_key_store(&hanging).await.unwrap();
        // Meanwhile others live a whole life.
        let (_, key) = store_with_key(&kms, &quick, "quick").await;
        kms.encrypt(&Encrypt::new(&key.key_id.into(), b"secret")).await.unwrap();
        let state = kms.describe_custom_key_store(&hanging).await.unwrap().connection_state;
        assert_eq!(state, ConnectionState::Connecting);
        kms.disconnect_custom_key_store(&hanging).await.unwrap();
        until(&kms, &hanging, ConnectionState::Disconnected).await;
    });
}

#[test]
fn a_key_that_hangs_in_its_creation_keeps_no_disconnect_waiting() {
    run(|kms, manager| async move {
        let id = kms.create_custom_key_store(external("root")).await.unwrap();
        connect(&kms, &id).await;
        manager.always(Method::DescribeKey, Fault::Hang);
        let new = NewKey::external(BackingKeyId::new("key").unwrap());
        let creating = kms.create_key(&id, &new);
        pin_mut!(creating);
        assert!(creating.as_mut().now_or_never().is_none());
        kms.disconnect_custom_key_store(&id).await.unwrap();
        assert_eq!(exception(creating.await), Exception::CustomKeyStoreInvalidState);
        until(&kms, &id, ConnectionState::Disconnected).await;
    });
}

#[test]
fn an_update_that_hangs_keeps_no_disconnect_waiting_and_changes_nothing() {
    run(|kms, manager| async move {
        let id = kms.create_custom_key_store(external("root")).await.unwrap();
        connect(&kms, &id).await;
        let before = kms.describe_custom_key_store(&id).await.unwrap();
        manager.script(Method::Connect, [Some(Fault::Hang)]);
        let path = UriPath::new("/other/kms/xks/v1").unwrap();
        let updating = kms.update_custom_key_store(&id, Change::new().uri_path(path.clone()));
        pin_mut!(updating);
        let disconnecting = async {
            while manager.calls(Method::Connect) < 3 {
                futures::pending!();
            }
            kms.disconnect_custom_key_store(&id).await.unwrap();
            until(&kms, &id, ConnectionState::Disconnected).await;
        };
        pin_mut!(disconnecting);
        let Either::Right(((), _updating)) = select(updating, disconnecting).await else {
            panic!("an update came through that hangs");
        };
        let after = kms.describe_custom_key_store(&id).await.unwrap();
        assert_eq!(after.xks_proxy_configuration, before.xks_proxy_configuration);
        // Another update waits for the first, whose trial is given up with its deadline; not so a connect.
        connect(&kms, &id).await;
    });
}

#[test]
fn a_thousand_stores_connect_and_disconnect_at_once() {
    const STORES: usize = 1000;
    run(|kms, _| async move {
        let mut ids = Vec::new();
        for number in 0..STORES {
            ids.push(kms.create_custom_key_store(external(&format!("store-{number}"))).await.unwrap());
        }
        let mut events = kms.events();
        join_all(ids.iter().map(|id| kms.connect_custom_key_store(id)))
            .await
            .into_iter()
            .for_each(Result::unwrap);
        let mut connected = 0;
        while connected < STORES {
            let event = events.next().await.unwrap();
            assert_eq!(event.missed, 0);
            connected += usize::from(event.to == ConnectionState::Connected);
        }
        join_all(ids.iter().map(|id| kms.disconnect_custom_key_store(id)))
            .await
            .into_iter()
            .for_each(Result::unwrap);
        let mut disconnected = 0;
        while disconnected < STORES {
            disconnected += usize::from(events.next().await.unwrap().to == ConnectionState::Disconnected);
        }
        let page = kms.describe_custom_key_stores(&PageRequest::first(1000).unwrap()).await.unwrap();
        assert!(page.items.iter().all(|store| store.connection_state == ConnectionState::Disconnected));
    });
}

#[test]
fn a_disconnect_that_races_a_connect_that_has_just_settled_wins() {
    run(|kms, _| async move {
        let id = kms.create_custom_key_store(external("root")).await.unwrap();
        for _ in 0..100 {
            kms.connect_custom_key_store(&id).await.unwrap();
            kms.disconnect_custom_key_store(&id).await.unwrap();
            until(&kms, &id, ConnectionState::Disconnected).await;
        }
    });
}

#[test]
fn the_quota_of_one_store_is_no_others_and_the_key_manager_is_not_asked_beyond_it() {
    use custom_key_store::RateLimit;
    use custom_key_store::clock::ManualClock;
    use std::num::NonZeroU32;

    let manager = KeyManager::new();
    let (ledger, clock) = (ledger(), ManualClock::new());
    let limit = RateLimit::per_second(NonZeroU32::new(5).unwrap());
    futures::executor::block_on(async {
        let opening = builder(&ledger, &manager).quota(limit).clock(clock.clone()).open();
        let (kms, driver) = opening.await.unwrap();
        drive(driver, async {
            let (_, one) = store_with_key(&kms, &manager, "one").await;
            let (_, two) = store_with_key(&kms, &manager, "two").await;
            let (one, two) = (one.key_id.into(), two.key_id.into());
            for _ in 0..5 {
                kms.encrypt(&Encrypt::new(&one, b"secret")).await.unwrap();
            }
            let asked = manager.calls(Method::Encrypt);
            let refused = kms.encrypt(&Encrypt::new(&one, b"secret")).await;
            assert_eq!(exception(refused), Exception::Throttling);
            assert_eq!(manager.calls(Method::Encrypt), asked);
            kms.encrypt(&Encrypt::new(&two, b"secret")).await.unwrap();
            clock.advance(Duration::from_secs(1));
            kms.encrypt(&Encrypt::new(&one, b"secret")).await.unwrap();
        })
        .await;
    });
}

#[test]
fn what_a_dropped_call_has_begun_goes_on() {
    run(|kms, _| async move {
        // Dropped after its first poll, which has begun everything.
        let creating = kms.create_custom_key_store(cloud_hsm("hsm", "abcdefghijk"));
        assert!(creating.now_or_never().is_none_or(|created| created.is_ok()));
        let page = kms.describe_custom_key_stores(&PageRequest::default()).await.unwrap();
        assert_eq!(page.items.len(), 1);
    });
}
