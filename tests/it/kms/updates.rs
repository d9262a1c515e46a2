//! What a store is made of is changed: all of it or nothing, while it is used, and for good.

use std::time::Duration;

use custom_key_store::backend::software::{Fault, KeyManager, Method};
use custom_key_store::backend::{
    AccessKeyId, Change, CloudHsmClusterId, ConnectionErrorCode, KeyStorePassword, SecretAccessKey,
    StoreName, UriEndpoint, UriPath, VpcEndpointServiceName, XksProxyConnectivity, XksProxyCredential,
};
use custom_key_store::clock::ManualClock;
use custom_key_store::kms::{CreateCustomKeyStore, Encrypt, Exception, Kms};
use custom_key_store::{ConnectionState, Description, KeyStore, StoreId};
use futures::future::join_all;
use futures::{FutureExt as _, pin_mut};

use super::restart;
use super::support::{
    builder, cloud_hsm, connect, credential, drive, exception, external, run, store_with_key, turn, until,
};
use crate::support::ledger;

async fn described(kms: &Kms, id: &StoreId) -> Description {
    kms.describe_custom_key_store(id).await.unwrap()
}

fn named(name: &str) -> StoreName {
    StoreName::new(name).unwrap()
}

fn path(prefix: &str) -> UriPath {
    UriPath::new(format!("/{prefix}/kms/xks/v1")).unwrap()
}

fn endpoint(host: &str) -> UriEndpoint {
    UriEndpoint::new(format!("https://{host}.example.com")).unwrap()
}

fn service(tail: &str) -> VpcEndpointServiceName {
    VpcEndpointServiceName::new(format!("com.amazonaws.vpce.us-east-1.vpce-svc-{tail}")).unwrap()
}

fn rotated() -> XksProxyCredential {
    let id = AccessKeyId::new("AKIDOFATEST333333333").unwrap();
    XksProxyCredential::new(id, SecretAccessKey::new(&"t".repeat(43)).unwrap())
}

/// The same store as another one asks for it.
fn at(name: &str, there: UriEndpoint, path: UriPath) -> CreateCustomKeyStore {
    CreateCustomKeyStore::external(named(name), there, path, credential())
}

#[test]
fn a_change_of_which_a_part_fails_is_none() {
    run(|kms, manager| async move {
        let (id, key) = store_with_key(&kms, &manager, "root").await;
        kms.create_custom_key_store(external("other")).await.unwrap();
        let key = key.key_id.into();
        let before = described(&kms, &id).await;
        let connections = manager.open_connections();
        let both = |name: &str| Change::new().name(named(name)).uri_path(path("new"));
        let refused = async |change: Change, expected: Exception| {
            assert_eq!(exception(kms.update_custom_key_store(&id, change).await), expected);
            assert_eq!(described(&kms, &id).await, before);
            kms.encrypt(&Encrypt::new(&key, b"secret")).await.unwrap();
        };
        // Of the parts that do not depend on each other one is not allowed, taken, or does not work.
        refused(both("new").uri_endpoint(endpoint("new")), Exception::CustomKeyStoreInvalidState).await;
        refused(both("other"), Exception::CustomKeyStoreNameInUse).await;
        refused(Change::new().name(named("new")).uri_path(path("other")), Exception::XksProxyUriInUse).await;
        let code = ConnectionErrorCode::XksProxyInvalidConfiguration;
        manager.inject(Method::Connect, Fault::Refuse(code));
        refused(both("new"), Exception::XksProxyInvalidConfiguration).await;
        // What was opened to try it is closed again.
        for _ in 0..10 {
            turn().await;
        }
        assert_eq!(manager.open_connections(), connections);
        // Neither the name nor the path is kept for it.
        kms.create_custom_key_store(external("new")).await.unwrap();
    });
}

#[test]
fn a_store_may_be_given_the_values_that_it_has() {
    run(|kms, _| async move {
        let id = kms.create_custom_key_store(external("root")).await.unwrap();
        for _ in 0..2 {
            let before = described(&kms, &id).await;
            let same = Change::new().name(named("root")).uri_path(path("root")).credential(credential());
            kms.update_custom_key_store(&id, same).await.unwrap();
            assert_eq!(described(&kms, &id).await, before);
            if before.connection_state == ConnectionState::Disconnected {
                connect(&kms, &id).await;
            }
        }
    });
}

#[test]
fn what_a_store_gives_up_is_free_for_others_and_what_it_takes_is_not() {
    run(|kms, _| async move {
        let id = kms.create_custom_key_store(external("root")).await.unwrap();
        let moved = Change::new().name(named("new")).uri_path(path("new"));
        kms.update_custom_key_store(&id, moved).await.unwrap();
        let taken = kms.create_custom_key_store(external("new")).await;
        assert_eq!(exception(taken), Exception::XksProxyUriInUse);
        kms.create_custom_key_store(external("root")).await.unwrap();

        let hsm = kms.create_custom_key_store(cloud_hsm("hsm", "abcdefghij2")).await.unwrap();
        let other = CloudHsmClusterId::new("cluster-abcdefghij3").unwrap();
        kms.update_custom_key_store(&hsm, Change::new().cluster_id(other)).await.unwrap();
        // The certificate is the same still, which says that the two share a backup.
        let taken = kms.create_custom_key_store(cloud_hsm("again", "abcdefghij2")).await;
        assert_eq!(exception(taken), Exception::CloudHsmClusterInUse);
        let taken = kms.create_custom_key_store(cloud_hsm("again", "abcdefghij3")).await;
        assert_eq!(exception(taken), Exception::CloudHsmClusterInUse);
    });
}

#[test]
fn two_stores_of_one_proxy_that_a_catalogue_has_may_change_what_is_their_own() {
    let (manager, ledger) = (KeyManager::new(), ledger());
    futures::executor::block_on(async {
        // Made where nobody looks whether a proxy is another store's already.
        let make = |name| KeyStore::builder(manager.clone()).create(&ledger, named(name));
        let id = make("one").await.unwrap().id().clone();
        drop(make("two").await.unwrap());
        let (kms, driver) = builder(&ledger, &manager).open().await.unwrap();
        drive(driver, async {
            kms.update_custom_key_store(&id, Change::new().credential(rotated())).await.unwrap();
            kms.update_custom_key_store(&id, Change::new().name(named("first"))).await.unwrap();
            kms.update_custom_key_store(&id, Change::new().uri_path(path("own"))).await.unwrap();
            let back = described(&kms, &id).await;
            assert_eq!(back.custom_key_store_name, named("first"));
            // What it gave up it does not get back.
            let other = kms.describe_custom_key_store_named(&named("two")).await.unwrap();
            let there = other.xks_proxy_configuration.unwrap().uri_path;
            let taken = kms.update_custom_key_store(&id, Change::new().uri_path(there)).await;
            assert_eq!(exception(taken), Exception::XksProxyUriInUse);
        })
        .await;
    });
}

#[test]
fn a_proxy_goes_behind_an_endpoint_service_and_comes_back() {
    run(|kms, _| async move {
        let id = kms.create_custom_key_store(external("root")).await.unwrap();
        let refused = async |change: Change| {
            let before = described(&kms, &id).await;
            assert_eq!(exception(kms.update_custom_key_store(&id, change).await), Exception::Validation);
            assert_eq!(described(&kms, &id).await, before);
        };
        let mut without_service = Change::new().uri_endpoint(endpoint("private"));
        without_service.connectivity = Some(XksProxyConnectivity::VpcEndpointService);
        refused(without_service).await;
        refused(Change::new().vpc_endpoint_service_name(service("0a"))).await;

        let there = Change::new().vpc_endpoint_service(endpoint("private"), service("0a"));
        kms.update_custom_key_store(&id, there).await.unwrap();
        let proxy = described(&kms, &id).await.xks_proxy_configuration.unwrap();
        assert_eq!(proxy.connectivity, XksProxyConnectivity::VpcEndpointService);
        assert_eq!(proxy.vpc_endpoint_service_name, Some(service("0a")));
        // Nobody shares such an endpoint, and the public one may be another's, of another connectivity even.
        let taken = kms.create_custom_key_store(at("other", endpoint("private"), path("other"))).await;
        assert_eq!(exception(taken), Exception::XksProxyUriEndpointInUse);
        let other = at("other", endpoint("xks"), path("other"));
        let other = other.through_vpc_endpoint_service(service("0b"), None);
        let other = kms.create_custom_key_store(other).await.unwrap();

        let back = Change::new().public_endpoint(endpoint("xks"));
        let taken = kms.update_custom_key_store(&id, back.clone()).await;
        assert_eq!(exception(taken), Exception::XksProxyUriEndpointInUse);
        let mut with_service = back.clone();
        with_service.vpc_endpoint_service_name = Some(service("0a"));
        refused(with_service).await;
        kms.delete_custom_key_store(&other).await.unwrap();
        kms.update_custom_key_store(&id, back).await.unwrap();
        let proxy = described(&kms, &id).await.xks_proxy_configuration.unwrap();
        assert_eq!(proxy.connectivity, XksProxyConnectivity::PublicEndpoint);
        assert_eq!((proxy.vpc_endpoint_service_name, proxy.vpc_endpoint_service_owner), (None, None));
        connect(&kms, &id).await;
    });
}

#[test]
fn a_password_that_was_told_is_the_one_that_is_tried_next() {
    run(|kms, manager| async move {
        let id = kms.create_custom_key_store(cloud_hsm("hsm", "abcdefghij2")).await.unwrap();
        let changed = KeyStorePassword::new("changedhorse").unwrap();
        manager.set_password(changed.clone());
        kms.connect_custom_key_store(&id).await.unwrap();
        until(&kms, &id, ConnectionState::Failed).await;
        let code = described(&kms, &id).await.connection_error_code;
        assert_eq!(code, Some(ConnectionErrorCode::InvalidCredentials));
        // The way back: the password is told only while the store is disconnected.
        let told = || Change::new().password(changed.clone());
        let refused = kms.update_custom_key_store(&id, told()).await;
        assert_eq!(exception(refused), Exception::CustomKeyStoreInvalidState);
        kms.disconnect_custom_key_store(&id).await.unwrap();
        until(&kms, &id, ConnectionState::Disconnected).await;
        let tried = manager.calls(Method::Connect);
        kms.update_custom_key_store(&id, told()).await.unwrap();
        assert_eq!(manager.calls(Method::Connect), tried, "it is told, and tried when the store connects");
        connect(&kms, &id).await;
    });
}

/// A call that a key manager takes its time for, on the connection that is replaced meanwhile.
#[test]
fn calls_in_flight_finish_on_the_old_connection() {
    let clock = ManualClock::new();
    let manager = KeyManager::builder().clock(clock.clone()).build();
    futures::executor::block_on(async {
        // Shorter than the call, which is in nobody's way.
        let builder =
            builder(&ledger(), &manager).clock(clock.clone()).drain_limit(Duration::from_millis(500));
        let (kms, driver) = builder.open().await.unwrap();
        drive(driver, async {
            let (id, key) = store_with_key(&kms, &manager, "root").await;
            let key = key.key_id.into();
            let request = Encrypt::new(&key, b"secret");
            manager.inject(Method::Encrypt, Fault::Delay(Duration::from_secs(1)));
            let slow = kms.encrypt(&request);
            pin_mut!(slow);
            assert!(slow.as_mut().now_or_never().is_none());
            manager.set_credential(rotated());
            let change = Change::new().credential(rotated()).uri_path(path("new"));
            kms.update_custom_key_store(&id, change).await.unwrap();
            assert_eq!(manager.open_connections(), 2, "the old one is in use");
            kms.encrypt(&request).await.unwrap();
            assert_eq!(described(&kms, &id).await.connection_state, ConnectionState::Connected);
            for _ in 0..2 {
                clock.advance(Duration::from_millis(500));
                turn().await;
            }
            slow.await.unwrap();
            for _ in 0..10 {
                turn().await;
            }
            assert_eq!(manager.open_connections(), 1, "it is closed when its last call is over");
        })
        .await;
    });
}

#[test]
fn a_call_that_is_left_alone_keeps_its_own_old_connection_open_and_no_other() {
    run(|kms, manager| async move {
        let (id, key) = store_with_key(&kms, &manager, "root").await;
        let key = key.key_id.into();
        let request = Encrypt::new(&key, b"secret");
        manager.inject(Method::Encrypt, Fault::Hang);
        let left = kms.encrypt(&request);
        pin_mut!(left);
        assert!(left.as_mut().now_or_never().is_none());
        for credential in [rotated(), credential(), rotated()] {
            manager.set_credential(credential.clone());
            kms.update_custom_key_store(&id, Change::new().credential(credential)).await.unwrap();
            for _ in 0..10 {
                turn().await;
            }
            assert_eq!(manager.open_connections(), 2);
        }
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_load_no_call_fails_while_a_store_is_changed_again_and_again() {
    let manager = KeyManager::new();
    let (kms, driver) = builder(&ledger(), &manager).without_quota().open().await.unwrap();
    let driving = tokio::spawn(driver);
    let (id, key) = store_with_key(&kms, &manager, "root").await;
    let users = (0..3).map(|_| {
        let (kms, key) = (kms.clone(), key.key_id.into());
        tokio::spawn(async move {
            for _ in 0..150 {
                kms.encrypt(&Encrypt::new(&key, b"secret")).await.unwrap();
                tokio::task::yield_now().await;
            }
        })
    });
    let users = join_all(users);
    for number in 0..20 {
        let change =
            Change::new().uri_path(path(&format!("path-{number}"))).name(named(&format!("{number}")));
        kms.update_custom_key_store(&id, change).await.unwrap();
    }
    for ended in users.await {
        ended.unwrap();
    }
    let after = described(&kms, &id).await;
    assert_eq!(after.custom_key_store_name, named("19"));
    assert_eq!(after.xks_proxy_configuration.unwrap().uri_path, path("path-19"));
    kms.shut_down();
    driving.await.unwrap();
    assert_eq!(manager.open_connections(), 0);
}

#[test]
fn changes_that_are_asked_for_at_once_are_made_one_after_the_other() {
    run(|kms, _| async move {
        let id = kms.create_custom_key_store(external("root")).await.unwrap();
        let changes = (0..20).map(|number| {
            let change = Change::new().name(named(&format!("name-{number}")));
            kms.update_custom_key_store(&id, change.uri_path(path(&format!("name-{number}"))))
        });
        join_all(changes).await.into_iter().for_each(Result::unwrap);
        let after = described(&kms, &id).await;
        let prefix = after.custom_key_store_name.to_string();
        assert_eq!(after.xks_proxy_configuration.unwrap().uri_path, path(&prefix));
        // What the others took on the way is free again.
        for number in 0..20 {
            let name = format!("name-{number}");
            let created = kms.create_custom_key_store(external(&name)).await;
            assert_eq!(created.is_err(), name == prefix, "{name}");
        }
    });
}

#[test]
fn a_change_goes_on_when_nobody_waits_for_it() {
    run(|kms, _| async move {
        let id = kms.create_custom_key_store(external("root")).await.unwrap();
        let updating = kms.update_custom_key_store(&id, Change::new().uri_path(path("new")));
        drop(updating.now_or_never());
        while described(&kms, &id).await.xks_proxy_configuration.unwrap().uri_path != path("new") {
            turn().await;
        }
    });
}

#[test]
fn after_a_restart_the_new_values_count() {
    restart::run(async |world| {
        let (id, hsm) = world
            .process(async |kms, manager| {
                let (id, _) = store_with_key(&kms, &manager, "root").await;
                let hsm = kms.create_custom_key_store(cloud_hsm("hsm", "abcdefghij2")).await.unwrap();
                // Live.
                manager.set_credential(rotated());
                let change = Change::new().name(named("new")).credential(rotated()).uri_path(path("new"));
                kms.update_custom_key_store(&id, change).await.unwrap();
                // And not.
                manager.set_password(KeyStorePassword::new("changedhorse").unwrap());
                let password = KeyStorePassword::new("changedhorse").unwrap();
                kms.update_custom_key_store(&hsm, Change::new().password(password)).await.unwrap();
                (id, hsm)
            })
            .await;
        world
            .process(async |kms, _| {
                // It was connected, and is so again by the credential that it was given last.
                until(&kms, &id, ConnectionState::Connected).await;
                let found = kms.describe_custom_key_store_named(&named("new")).await.unwrap();
                assert_eq!(found.custom_key_store_id, id);
                let proxy = found.xks_proxy_configuration.unwrap();
                assert_eq!((proxy.uri_path, proxy.access_key_id), (path("new"), rotated().access_key_id));
                let gone = kms.describe_custom_key_store_named(&named("root")).await;
                assert_eq!(exception(gone), Exception::CustomKeyStoreNotFound);
                // What it has is its own still, and what it gave up is not.
                let taken = kms.create_custom_key_store(at("other", endpoint("xks"), path("new"))).await;
                assert_eq!(exception(taken), Exception::XksProxyUriInUse);
                let free =
                    CreateCustomKeyStore::external(named("root"), endpoint("xks"), path("root"), rotated());
                kms.create_custom_key_store(free).await.unwrap();
                connect(&kms, &hsm).await;
            })
            .await;
    });
}
