//! Stores: from their creation to their deletion.

use std::time::{Duration, SystemTime};

use aws_sdk_kms::error::ProvideErrorMetadata as _;
use aws_sdk_kms::types::{
    ConnectionErrorCodeType, ConnectionStateType, CustomKeyStoreType, KeyState, XksProxyConnectivityType,
};
use custom_key_store::backend::software::{Fault, Method};
use custom_key_store::backend::{AccessKeyId, ConnectionErrorCode, SecretAccessKey, XksProxyCredential};

use crate::support::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_external_key_store_lives_from_its_creation_to_its_deletion() {
    let endpoint = Endpoint::start().await;
    let client = endpoint.client();
    let store = external(&client, "payroll").send().await.unwrap().custom_key_store_id.unwrap();
    assert!(store.starts_with("cks-"));

    let entry = described(&client, &store).await;
    assert_eq!(entry.custom_key_store_id(), Some(&*store));
    assert_eq!(entry.custom_key_store_name(), Some("payroll"));
    assert_eq!(entry.custom_key_store_type, Some(CustomKeyStoreType::ExternalKeyStore));
    assert_eq!(entry.connection_state, Some(ConnectionStateType::Disconnected));
    assert_eq!(entry.connection_error_code, None);
    assert_eq!((entry.cloud_hsm_cluster_id(), entry.trust_anchor_certificate()), (None, None));
    // Seconds are what a timestamp counts: in another unit it would be far off.
    let created = SystemTime::try_from(entry.creation_date.unwrap()).unwrap();
    let age = SystemTime::now().duration_since(created).unwrap_or_else(|early| early.duration());
    assert!(age < Duration::from_secs(600), "{age:?}");
    let proxy = entry.xks_proxy_configuration.unwrap();
    assert_eq!(proxy.connectivity, Some(XksProxyConnectivityType::PublicEndpoint));
    assert_eq!(proxy.uri_endpoint(), Some("https://xks.example.com"));
    assert_eq!(proxy.uri_path(), Some("/payroll/kms/xks/v1"));
    assert_eq!(proxy.access_key_id(), Some(&*"A".repeat(20)));
    assert_eq!((proxy.vpc_endpoint_service_name(), proxy.vpc_endpoint_service_owner()), (None, None));

    connect(&client, &store).await;
    // Once more asks nothing.
    client.connect_custom_key_store().custom_key_store_id(&store).send().await.unwrap();
    endpoint.external_key("payroll-key");
    let key = create_key(&client, &store, "payroll-key").await.key_id;

    // Name, credential and path while it is connected.
    client
        .update_custom_key_store()
        .custom_key_store_id(&store)
        .new_custom_key_store_name("wages")
        .xks_proxy_authentication_credential(proxy_credential('B'))
        .xks_proxy_uri_path(path("wages"))
        .send()
        .await
        .unwrap();
    let entry = described(&client, &store).await;
    assert_eq!(entry.custom_key_store_name(), Some("wages"));
    assert_eq!(entry.connection_state, Some(ConnectionStateType::Connected));
    let proxy = entry.xks_proxy_configuration.unwrap();
    assert_eq!(proxy.access_key_id(), Some(&*"B".repeat(20)));
    assert_eq!(proxy.uri_path(), Some("/wages/kms/xks/v1"));

    // The endpoint only while it is disconnected.
    let move_away = || {
        let update = client.update_custom_key_store().custom_key_store_id(&store);
        update.xks_proxy_uri_endpoint("https://other.example.com")
    };
    let refused = move_away().send().await.unwrap_err().into_service_error();
    assert!(refused.is_custom_key_store_invalid_state_exception());
    disconnect(&client, &store).await;
    move_away().send().await.unwrap();
    let proxy = described(&client, &store).await.xks_proxy_configuration.unwrap();
    assert_eq!(proxy.uri_endpoint(), Some("https://other.example.com"));

    // Behind an endpoint service, and back.
    client
        .update_custom_key_store()
        .custom_key_store_id(&store)
        .xks_proxy_connectivity(XksProxyConnectivityType::VpcEndpointService)
        .xks_proxy_uri_endpoint("https://inside.example.com")
        .xks_proxy_vpc_endpoint_service_name(service_name("0a1b2c3d4e5f"))
        .xks_proxy_vpc_endpoint_service_owner("444455556666")
        .send()
        .await
        .unwrap();
    let proxy = described(&client, &store).await.xks_proxy_configuration.unwrap();
    assert_eq!(proxy.connectivity, Some(XksProxyConnectivityType::VpcEndpointService));
    assert_eq!(proxy.vpc_endpoint_service_name(), Some(&*service_name("0a1b2c3d4e5f")));
    assert_eq!(proxy.vpc_endpoint_service_owner(), Some("444455556666"));
    client
        .update_custom_key_store()
        .custom_key_store_id(&store)
        .xks_proxy_connectivity(XksProxyConnectivityType::PublicEndpoint)
        .xks_proxy_uri_endpoint("https://xks.example.com")
        .xks_proxy_vpc_endpoint_service_name("")
        .send()
        .await
        .unwrap();
    let proxy = described(&client, &store).await.xks_proxy_configuration.unwrap();
    assert_eq!(proxy.connectivity, Some(XksProxyConnectivityType::PublicEndpoint));
    assert_eq!((proxy.vpc_endpoint_service_name(), proxy.vpc_endpoint_service_owner()), (None, None));

    // A connection that fails says why; the way back.
    endpoint.manager.inject(Method::Connect, Fault::Refuse(ConnectionErrorCode::XksProxyTimedOut));
    client.connect_custom_key_store().custom_key_store_id(&store).send().await.unwrap();
    until(&client, &store, ConnectionStateType::Failed).await;
    let code = described(&client, &store).await.connection_error_code;
    assert_eq!(code, Some(ConnectionErrorCodeType::XksProxyTimedOut));
    disconnect(&client, &store).await;
    assert_eq!(described(&client, &store).await.connection_error_code, None);
    connect(&client, &store).await;
    disconnect(&client, &store).await;

    // It has a key, which is there for seven days yet.
    let delete = || client.delete_custom_key_store().custom_key_store_id(&store).send();
    client.schedule_key_deletion().key_id(&key).pending_window_in_days(7).send().await.unwrap();
    assert!(delete().await.unwrap_err().into_service_error().is_custom_key_store_has_cm_ks_exception());

    let other = external(&client, "without-keys").send().await.unwrap().custom_key_store_id.unwrap();
    client.delete_custom_key_store().custom_key_store_id(&other).send().await.unwrap();
    let gone = client.describe_custom_key_stores().custom_key_store_id(&other).send().await.unwrap_err();
    assert!(gone.into_service_error().is_custom_key_store_not_found_exception());
    endpoint.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cloud_hsm_key_store_lives_from_its_creation_to_its_deletion() {
    let endpoint = Endpoint::start().await;
    let client = endpoint.client();
    let store = cluster(&client, "hardware", "one").send().await.unwrap().custom_key_store_id.unwrap();
    // Once more is taken for a retry.
    let again = cluster(&client, "hardware", "one").send().await.unwrap().custom_key_store_id.unwrap();
    assert_eq!(again, store);

    let entry = described(&client, &store).await;
    assert_eq!(entry.custom_key_store_type, Some(CustomKeyStoreType::AwsCloudhsm));
    assert_eq!(entry.cloud_hsm_cluster_id(), Some(&*cluster_id("one")));
    assert_eq!(entry.trust_anchor_certificate(), Some("-----one-----"));
    assert!(entry.xks_proxy_configuration.is_none());

    connect(&client, &store).await;
    let random =
        client.generate_random().number_of_bytes(48).custom_key_store_id(&store).send().await.unwrap();
    assert_eq!(random.plaintext.unwrap().as_ref().len(), 48);
    assert_eq!(endpoint.manager.calls(Method::GenerateRandom), 1);

    let password = || {
        let update = client.update_custom_key_store().custom_key_store_id(&store);
        update.key_store_password("batterystaple").send()
    };
    let refused = password().await.unwrap_err().into_service_error();
    assert!(refused.is_custom_key_store_invalid_state_exception());
    disconnect(&client, &store).await;
    password().await.unwrap();
    client
        .update_custom_key_store()
        .custom_key_store_id(&store)
        .cloud_hsm_cluster_id(cluster_id("two"))
        .send()
        .await
        .unwrap();
    assert_eq!(described(&client, &store).await.cloud_hsm_cluster_id(), Some(&*cluster_id("two")));
    // The new password is the one that is used.
    endpoint.manager.set_password(custom_key_store::backend::KeyStorePassword::new("batterystaple").unwrap());
    connect(&client, &store).await;
    disconnect(&client, &store).await;

    client.delete_custom_key_store().custom_key_store_id(&store).send().await.unwrap();
    let left = client.describe_custom_key_stores().send().await.unwrap();
    assert!(left.custom_key_stores().is_empty());
    endpoint.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stores_are_described_by_id_by_name_and_page_by_page() {
    let endpoint = Endpoint::start().await;
    let client = endpoint.client();
    let mut created = Vec::new();
    for name in ["alpha", "beta", "gamma", "delta", "epsilon"] {
        created.push(external(&client, name).send().await.unwrap().custom_key_store_id.unwrap());
    }
    created.push(cluster(&client, "zeta", "zeta").send().await.unwrap().custom_key_store_id.unwrap());
    created.sort();

    for size in [1, 2, 6, 1000] {
        let pages = client.describe_custom_key_stores().into_paginator().page_size(size);
        let all: Result<Vec<_>, _> = pages.items().send().collect().await;
        let mut ids: Vec<_> =
            all.unwrap().into_iter().map(|entry| entry.custom_key_store_id.unwrap()).collect();
        ids.sort();
        assert_eq!(ids, created, "in pages of {size}");
    }
    let pages = client.describe_custom_key_stores().into_paginator().page_size(4);
    let pages: Result<Vec<_>, _> = pages.send().collect().await;
    let shape: Vec<_> = pages
        .unwrap()
        .iter()
        .map(|page| (page.custom_key_stores().len(), page.truncated, page.next_marker().is_some()))
        .collect();
    assert_eq!(shape, [(4, true, true), (2, false, false)]);

    let named = client.describe_custom_key_stores().custom_key_store_name("delta").send().await.unwrap();
    assert_eq!(named.custom_key_stores().len(), 1);
    assert_eq!(named.custom_key_stores()[0].custom_key_store_name(), Some("delta"));
    let both = client.describe_custom_key_stores().custom_key_store_name("delta");
    let both = both.custom_key_store_id(&created[0]).send().await.unwrap_err();
    assert_eq!(both.code(), Some("ValidationException"));
    endpoint.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_wrong_credential_fails_a_connection_and_is_put_right() {
    let endpoint = Endpoint::start().await;
    let client = endpoint.client();
    let (store, key) = endpoint.store_with_key(&client, "payroll").await;
    let right = XksProxyCredential::new(
        AccessKeyId::new("B".repeat(20)).unwrap(),
        SecretAccessKey::new(&"B".repeat(43)).unwrap(),
    );
    endpoint.manager.set_credential(right);
    disconnect(&client, &store).await;
    client.connect_custom_key_store().custom_key_store_id(&store).send().await.unwrap();
    until(&client, &store, ConnectionStateType::Failed).await;
    let code = described(&client, &store).await.connection_error_code;
    assert_eq!(code, Some(ConnectionErrorCodeType::InvalidCredentials));

    // In FAILED the one way is to disconnect.
    let again = client.connect_custom_key_store().custom_key_store_id(&store).send().await.unwrap_err();
    assert!(again.into_service_error().is_custom_key_store_invalid_state_exception());
    let seen = client.describe_key().key_id(&key.key_id).send().await.unwrap().key_metadata.unwrap();
    assert_eq!(seen.key_state, Some(KeyState::Unavailable));
    disconnect(&client, &store).await;
    let update = client.update_custom_key_store().custom_key_store_id(&store);
    update.xks_proxy_authentication_credential(proxy_credential('B')).send().await.unwrap();
    connect(&client, &store).await;
    let seen = client.describe_key().key_id(&key.key_id).send().await.unwrap().key_metadata.unwrap();
    assert_eq!(seen.key_state, Some(KeyState::Enabled));
    endpoint.stop().await;
}
