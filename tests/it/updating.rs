//! What may be changed in which state, and that a change happens as a whole or not at all.
//!
//! Source: facts on KMS, 1.4 and 2.2. That other updates do not compile is shown in `tests/compile-fail`.

use std::time::Duration;

use custom_key_store::backend::software::{Fault, KeyManager, Method};
use custom_key_store::backend::{
    AccessKeyId, AccountId, Change, CloudHsmClusterId, ConnectionErrorCode, InvalidChange, KeyStorePassword,
    LiveChange, SecretAccessKey, StoreName, UriEndpoint, UriPath, VpcEndpointServiceName,
    XksProxyConnectivity, XksProxyCredential,
};
use custom_key_store::{ErrorKind, KeyStore, UpdateError};

use crate::support::{
    cluster, connected, connected_with_key, key, manager, name, no_context, poll_once, timed_with_key,
};

fn path() -> UriPath {
    UriPath::new("/blue/kms/xks/v1").unwrap()
}

fn endpoint() -> UriEndpoint {
    UriEndpoint::new("https://other.example.com").unwrap()
}

fn service() -> VpcEndpointServiceName {
    VpcEndpointServiceName::new("com.amazonaws.vpce.us-east-1.vpce-svc-0123456789abcdef0").unwrap()
}

fn credential(letter: char) -> XksProxyCredential {
    XksProxyCredential::new(
        AccessKeyId::new(letter.to_string().repeat(20)).unwrap(),
        SecretAccessKey::new(&letter.to_string().repeat(44)).unwrap(),
    )
}

fn invalid(error: UpdateError) -> InvalidChange {
    match error {
        UpdateError::InvalidChange(invalid) => invalid,
        other => unreachable!("{other:?}"),
    }
}

fn refused(error: UpdateError) -> ConnectionErrorCode {
    match error {
        UpdateError::Refused(error) => error.code(),
        other => unreachable!("{other:?}"),
    }
}

#[tokio::test]
async fn a_name_changes_in_both_lasting_states_without_contacting_anybody() {
    let manager = manager();
    let mut store = KeyStore::ephemeral(name(), manager.clone());
    store.update(Change::new().name(StoreName::new("first").unwrap())).await.unwrap();
    assert_eq!((store.name().as_str(), manager.calls(Method::Connect)), ("first", 0));

    let mut store = store.connect().await.unwrap();
    store.update(LiveChange::new().name(StoreName::new("second").unwrap())).await.unwrap();
    assert_eq!((store.name().as_str(), manager.calls(Method::Connect)), ("second", 1));

    let mut cluster = connected(&cluster()).await;
    cluster.update(LiveChange::new().name(StoreName::new("third").unwrap())).await.unwrap();
    assert_eq!(cluster.name().as_str(), "third");
}

#[tokio::test]
async fn every_property_of_an_external_key_store_changes_while_it_is_disconnected() {
    let manager = manager();
    let mut store = KeyStore::ephemeral(name(), manager.clone());
    let owner = AccountId::new("111122223333").unwrap();
    let change = Change::new()
        .credential(credential('A'))
        .uri_path(path())
        .vpc_endpoint_service(endpoint(), service())
        .vpc_endpoint_service_owner(owner.clone());
    store.update(change).await.unwrap();

    let proxy = store.describe().xks_proxy_configuration.unwrap();
    assert_eq!(proxy.access_key_id, credential('A').access_key_id);
    assert_eq!((proxy.uri_path, proxy.uri_endpoint), (path(), endpoint()));
    assert_eq!(proxy.connectivity, XksProxyConnectivity::VpcEndpointService);
    assert_eq!(
        (proxy.vpc_endpoint_service_name, proxy.vpc_endpoint_service_owner),
        (Some(service()), Some(owner))
    );
    // Probed once, with the new values, and closed again.
    let calls = [Method::Connect, Method::Health, Method::Close].map(|method| manager.calls(method));
    assert_eq!((calls, manager.open_connections()), ([1, 1, 1], 0));

    // Back to a public endpoint: the service goes with it.
    store.update(Change::new().public_endpoint(endpoint())).await.unwrap();
    let proxy = store.describe().xks_proxy_configuration.unwrap();
    assert_eq!(proxy.connectivity, XksProxyConnectivity::PublicEndpoint);
    assert_eq!((proxy.vpc_endpoint_service_name, proxy.vpc_endpoint_service_owner), (None, None));
}

#[tokio::test]
async fn every_property_of_a_cloudhsm_key_store_changes_while_it_is_disconnected_and_nobody_is_contacted() {
    let manager = cluster();
    let mut store = KeyStore::ephemeral(name(), manager.clone());
    let other = CloudHsmClusterId::new("cluster-22222222222").unwrap();
    let change = Change::new().password(KeyStorePassword::new("kmsPswd1").unwrap()).cluster_id(other.clone());
    store.update(change).await.unwrap();
    assert_eq!(store.describe().cloud_hsm_cluster_id, Some(other));
    assert_eq!(
        manager.calls(Method::Connect),
        0,
        "a wrong password must not be tried behind the owner's back"
    );
}

#[tokio::test]
async fn properties_of_the_other_store_type_are_refused_by_name() {
    let mut external = KeyStore::ephemeral(name(), manager());
    let error = external.update(Change::new().password(KeyStorePassword::new("kmsPswd1").unwrap())).await;
    assert_eq!(
        invalid(error.unwrap_err()).to_string(),
        "a custom key store of type EXTERNAL_KEY_STORE has no property KeyStorePassword"
    );
    let mut cluster = connected(&cluster()).await;
    let error = cluster.update(LiveChange::new().uri_path(path())).await;
    assert_eq!(
        invalid(error.unwrap_err()).to_string(),
        "a custom key store of type AWS_CLOUDHSM has no property XksProxyUriPath"
    );
}

#[tokio::test]
async fn a_change_that_contradicts_itself_is_refused_and_nothing_changes() {
    let mut store = KeyStore::ephemeral(name(), manager());
    let before = store.describe();
    let new_name = StoreName::new("new").unwrap();
    let error = store.update(Change::new().name(new_name).vpc_endpoint_service_name(service())).await;
    assert!(matches!(invalid(error.unwrap_err()), InvalidChange::Inconsistent(_)));
    assert_eq!(store.describe(), before);
}

#[tokio::test]
async fn a_probe_that_fails_leaves_everything_as_it_was_in_both_states() {
    let manager = manager();
    let new_name = || StoreName::new("new").unwrap();

    let mut store = KeyStore::ephemeral(name(), manager.clone());
    let before = store.describe();
    manager.inject(Method::Connect, Fault::Refuse(ConnectionErrorCode::XksProxyInvalidConfiguration));
    let error = store.update(Change::new().name(new_name()).uri_path(path())).await.unwrap_err();
    assert_eq!(refused(error), ConnectionErrorCode::XksProxyInvalidConfiguration);
    assert_eq!(store.describe(), before);

    let mut store = store.connect().await.unwrap();
    let before = store.describe();
    manager.inject(Method::Connect, Fault::Panic);
    let error = store.update(LiveChange::new().name(new_name()).uri_path(path())).await.unwrap_err();
    assert_eq!(refused(error), ConnectionErrorCode::InternalError);
    assert_eq!(store.describe(), before);
    assert!(store.health().await.is_ok(), "the connection in use is untouched");
}

#[tokio::test]
async fn a_credential_is_exchanged_while_the_store_is_used_without_failing_a_call() {
    let manager = KeyManager::builder().credential(credential('A')).build();
    manager.create_key(key());
    let (mut store, id) = connected_with_key(&manager).await;
    let handle = store.handle();

    // The manager's side rotates; the store's old credential would be refused from now on.
    manager.set_credential(credential('B'));
    let error = store.update(LiveChange::new().credential(credential('C'))).await.unwrap_err();
    assert_eq!(refused(error), ConnectionErrorCode::InvalidCredentials);
    assert!(handle.encrypt(&id, b"between", &no_context()).await.is_ok());

    store.update(LiveChange::new().credential(credential('B'))).await.unwrap();
    assert!(handle.encrypt(&id, b"after", &no_context()).await.is_ok(), "the same handle");
    assert_eq!(manager.open_connections(), 1, "the old connection was closed");
    let proxy = store.describe().xks_proxy_configuration.unwrap();
    assert_eq!(proxy.access_key_id, credential('B').access_key_id);

    // The new credential stays with the store.
    let store = store.disconnect().await;
    assert!(store.connect().await.is_ok());
}

#[tokio::test]
async fn calls_in_flight_finish_on_the_old_connection_which_is_closed_after_the_last() {
    let (manager, clock, mut store, id) = timed_with_key().await;
    manager.inject(Method::Encrypt, Fault::Delay(Duration::from_secs(1)));
    let handle = store.handle();
    let mut call = Box::pin(async { handle.encrypt(&id, b"plaintext", &no_context()).await });
    assert!(poll_once(&mut call).is_pending());

    {
        let mut update = Box::pin(store.update(LiveChange::new().uri_path(path())));
        assert!(poll_once(&mut update).is_pending(), "it waits for the call");
        assert_eq!((manager.open_connections(), manager.calls(Method::Close)), (2, 0));
        assert!(handle.health().await.is_ok(), "new calls go to the new connection meanwhile");
        clock.advance(Duration::from_secs(1));
        assert!(call.await.is_ok(), "the call finishes on the old one");
        update.await.unwrap();
    }
    assert_eq!((manager.open_connections(), manager.calls(Method::Close)), (1, 1));
}

#[tokio::test]
async fn a_call_that_outlives_the_update_is_left_alone_and_accounted_for_by_the_disconnect() {
    let (manager, clock, mut store, id) = timed_with_key().await;
    manager.inject(Method::Encrypt, Fault::Delay(Duration::from_secs(4)));
    let handle = store.handle();
    let mut call = Box::pin(async { handle.encrypt(&id, b"plaintext", &no_context()).await });
    assert!(poll_once(&mut call).is_pending());
    {
        // Dropped while it waits for the old connection: the change has happened.
        let mut update = Box::pin(store.update(LiveChange::new().uri_path(path())));
        assert!(poll_once(&mut update).is_pending());
    }
    assert_eq!(store.describe().xks_proxy_configuration.unwrap().uri_path, path());
    assert_eq!(manager.open_connections(), 2);

    let store = store.disconnect_within(Duration::ZERO).await;
    assert_eq!(store.disconnect_report().unwrap().abandoned, 1);
    clock.advance(Duration::from_secs(4));
    assert_eq!(call.await.unwrap_err().kind(), ErrorKind::NotConnected);
    assert_eq!((manager.open_connections(), manager.calls(Method::Close)), (0, 2));
}

#[tokio::test]
async fn an_update_that_is_dropped_before_the_swap_has_changed_nothing() {
    let manager = manager();
    let mut store = connected(&manager).await;
    let before = store.describe();
    manager.inject(Method::Connect, Fault::Hang);
    {
        let mut update = Box::pin(store.update(LiveChange::new().uri_path(path())));
        assert!(poll_once(&mut update).is_pending());
    }
    assert_eq!(store.describe(), before);
    assert!(store.health().await.is_ok());
    assert_eq!(manager.open_connections(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_load_no_call_fails_while_the_configuration_changes() {
    let manager = manager();
    manager.always(Method::Encrypt, Fault::Delay(Duration::from_micros(200)));
    let (mut store, id) = connected_with_key(&manager).await;
    let tasks: Vec<_> = (0..4)
        .map(|_| {
            let handle = store.handle();
            tokio::spawn(async move {
                let mut calls = 0_u32;
                loop {
                    match handle.encrypt(&id, b"plaintext", &no_context()).await {
                        Ok(_) => calls += 1,
                        Err(error) if error.kind() == ErrorKind::NotConnected => return calls,
                        Err(error) => unreachable!("{error:?}"),
                    }
                }
            })
        })
        .collect();
    // At least fifty exchanges, and on until calls were made in between, however busy the machine is.
    let mut exchanges = 0;
    while exchanges < 50 || manager.calls(Method::Encrypt) < 100 {
        let number = exchanges;
        exchanges += 1;
        let path = UriPath::new(format!("/tenant-{number}/kms/xks/v1")).unwrap();
        store.update(LiveChange::new().uri_path(path)).await.unwrap();
    }
    let handle = store.handle();
    assert!(handle.is_connected());
    let store = store.disconnect().await;
    assert_eq!(store.disconnect_report().unwrap().abandoned, 0);
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(manager.open_connections(), 0);
    assert_eq!(manager.calls(Method::Close), exchanges + 1);
}
