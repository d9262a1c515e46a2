//! The manager's own side: keys, credentials, health, connections, and what is never shown.

use std::sync::Arc;

use custom_key_store::StoreName;
use custom_key_store::backend::software::{KeyManager, Method, SoftwareKey};
use custom_key_store::backend::{
    Backend, BackendErrorKind, Change, ConnectionErrorCode, CustomKeyStoreType, DecryptRequest,
    DeleteKeyRequest, EncryptRequest, GenerateKeyRequest, GenerateRandomRequest, HealthStatus, InvalidChange,
    KeySpec, KeyStatus, KeyStorePassword, KeyUsages, StoreConfiguration, UriPath,
};

use super::{
    cloud_hsm, connect, connected, credential, decrypt, describe, encrypt, health, id, kind, metadata,
    try_connect,
};

#[tokio::test]
async fn a_key_lives_from_its_creation_to_its_removal() {
    let (manager, key, connection) = connected().await;
    assert_eq!(manager.keys(), std::slice::from_ref(&key));
    let description = connection.describe_key(&describe(&key)).await.unwrap();
    assert_eq!(description.spec, KeySpec::Aes256);
    assert_eq!(description.usages, KeyUsages::ENCRYPT_DECRYPT);
    assert_eq!(description.status, KeyStatus::Enabled);

    assert!(manager.set_key_status(&key, KeyStatus::Disabled));
    let description = connection.describe_key(&describe(&key)).await.unwrap();
    assert_eq!(description.status, KeyStatus::Disabled);
    assert!(manager.set_key_status(&key, KeyStatus::Enabled));
    assert!(encrypt(&*connection, &key, b"", b"").await.is_ok());

    assert!(manager.remove_key(&key));
    assert!(!manager.remove_key(&key));
    assert!(!manager.set_key_status(&key, KeyStatus::Enabled));
    assert_eq!(kind(connection.describe_key(&describe(&key)).await), BackendErrorKind::KeyNotFound);
    assert_eq!(kind(encrypt(&*connection, &key, b"", b"").await), BackendErrorKind::KeyNotFound);
    assert_eq!(manager.keys(), []);
}

#[tokio::test]
async fn a_replaced_key_does_not_decrypt_what_the_old_one_encrypted() {
    let (manager, key, connection) = connected().await;
    let ciphertext = encrypt(&*connection, &key, b"plaintext", b"").await.unwrap();
    manager.create_key(key.clone());
    let outcome = decrypt(&*connection, &key, &ciphertext, b"").await;
    assert_eq!(kind(outcome), BackendErrorKind::InvalidCiphertext);
}

#[tokio::test]
async fn a_cluster_makes_keys_and_deletes_them() {
    let manager = KeyManager::builder().configuration(cloud_hsm()).build();
    let connection = connect(&manager).await;
    let request = GenerateKeyRequest::new(metadata(), "arn:of:the:kms-key");
    let key = connection.generate_key(&request).await.unwrap().key;
    let other = connection.generate_key(&request).await.unwrap().key;
    assert_ne!(key, other);
    assert_eq!(key.as_str().len(), 32);
    assert_eq!(manager.key_label(&key).as_deref(), Some("arn:of:the:kms-key"));

    let ciphertext = encrypt(&*connection, &key, b"plaintext", b"").await.unwrap();
    assert_eq!(decrypt(&*connection, &key, &ciphertext, b"").await.unwrap(), b"plaintext");

    let delete = DeleteKeyRequest::new(metadata(), &key);
    connection.delete_key(&delete).await.unwrap();
    assert_eq!(kind(connection.delete_key(&delete).await), BackendErrorKind::KeyNotFound);
    assert_eq!(manager.keys(), [other]);
}

#[tokio::test]
async fn a_cluster_gives_as_many_random_bytes_as_asked_for() {
    let manager = KeyManager::builder().configuration(cloud_hsm()).build();
    let connection = connect(&manager).await;
    for length in [0, 1, 32, 1024] {
        let request = GenerateRandomRequest::new(metadata(), length);
        assert_eq!(connection.generate_random(&request).await.unwrap().len(), length);
    }
    let request = GenerateRandomRequest::new(metadata(), 32);
    let (one, two) = (connection.generate_random(&request).await, connection.generate_random(&request).await);
    assert_ne!(one.unwrap(), two.unwrap());
    let request = GenerateRandomRequest::new(metadata(), usize::MAX);
    assert_eq!(kind(connection.generate_random(&request).await), BackendErrorKind::Unsupported);
}

#[tokio::test]
async fn an_external_key_store_has_no_calls_that_the_protocol_lacks() {
    let (manager, key, connection) = connected().await;
    let generate = GenerateKeyRequest::new(metadata(), "label");
    assert_eq!(kind(connection.generate_key(&generate).await), BackendErrorKind::Unsupported);
    let delete = DeleteKeyRequest::new(metadata(), &key);
    assert_eq!(kind(connection.delete_key(&delete).await), BackendErrorKind::Unsupported);
    let random = GenerateRandomRequest::new(metadata(), 1);
    assert_eq!(kind(connection.generate_random(&random).await), BackendErrorKind::Unsupported);
    assert_eq!(manager.keys(), [key]);
}

#[tokio::test]
async fn the_default_configuration_is_a_public_proxy() {
    let StoreConfiguration::External(proxy) = KeyManager::default().configuration() else {
        panic!("an external key store is the default");
    };
    proxy.check().unwrap();
    assert_eq!(proxy.uri_endpoint.as_str(), "https://software.example.com");
    assert_eq!(proxy.uri_path.as_str(), "/kms/xks/v1");
}

#[tokio::test]
async fn a_proxy_accepts_its_credential_and_no_other() {
    let right = credential("ACCESSKEYIDOFTESTERS", 'a');
    let manager = KeyManager::builder().credential(right.clone()).build();
    let StoreConfiguration::External(proxy) = manager.configuration() else { unreachable!() };
    assert_eq!(proxy.access_key_id, right.access_key_id);
    connect(&manager).await;

    for wrong in [credential("ACCESSKEYIDOFTESTERS", 'b'), credential("ACCESSKEYIDOFOTHERS2", 'a')] {
        let stranger = manager.reconfigured(&Change::new().credential(wrong)).unwrap();
        let error = try_connect(&*stranger).await.unwrap_err();
        assert_eq!(error.code(), ConnectionErrorCode::InvalidCredentials);
    }
    assert_eq!(manager.open_connections(), 0);
    assert_eq!(manager.calls(Method::Connect), 3);
}

#[tokio::test]
async fn a_credential_is_rotated_on_both_sides() {
    let (old, new) = (credential("ACCESSKEYIDOFTESTERS", 'a'), credential("ACCESSKEYIDOFTESTER2", 'b'));
    let manager = KeyManager::builder().credential(old).build();
    manager.create_key(id("key"));
    let before = connect(&manager).await;

    manager.set_credential(new.clone());
    let error = try_connect(&manager).await.unwrap_err();
    assert_eq!(error.code(), ConnectionErrorCode::InvalidCredentials);
    assert!(std::error::Error::source(&error).is_some());

    let updated = manager.reconfigured(&Change::new().credential(new.clone())).unwrap();
    let StoreConfiguration::External(proxy) = updated.configuration() else { unreachable!() };
    assert_eq!(proxy.access_key_id, new.access_key_id);
    let after = connect(&*updated).await;
    // The same keys behind both.
    let ciphertext = encrypt(&*before, &id("key"), b"plaintext", b"").await.unwrap();
    assert_eq!(decrypt(&*after, &id("key"), &ciphertext, b"").await.unwrap(), b"plaintext");
    assert_eq!(manager.open_connections(), 2);
}

#[tokio::test]
async fn a_cluster_accepts_its_password_and_no_other() {
    let password = |text| KeyStorePassword::new(text).unwrap();
    let manager = KeyManager::builder().configuration(cloud_hsm()).password(password("kmsPswd1")).build();
    connect(&manager).await;
    manager.set_password(password("kmsPswd2"));
    let error = try_connect(&manager).await.unwrap_err();
    assert_eq!(error.code(), ConnectionErrorCode::InvalidCredentials);
    let updated = manager.reconfigured(&Change::new().password(password("kmsPswd2"))).unwrap();
    connect(&*updated).await;
}

#[tokio::test]
async fn without_a_credential_set_any_is_accepted() {
    let manager = KeyManager::new();
    connect(&manager).await;
    let change = Change::new().credential(credential("ACCESSKEYIDOFTESTERS", 'a'));
    connect(&*manager.reconfigured(&change).unwrap()).await;
    // Once one is set, a client without any is refused.
    manager.set_credential(credential("ACCESSKEYIDOFTESTERS", 'a'));
    let error = try_connect(&manager).await.unwrap_err();
    assert_eq!(error.code(), ConnectionErrorCode::InvalidCredentials);
}

#[test]
fn a_change_makes_another_client_and_leaves_this_one_as_it_is() {
    let manager = KeyManager::new();
    let path = UriPath::new("/tenant-a/kms/xks/v1").unwrap();
    let change = Change::new().name(StoreName::new("name").unwrap()).uri_path(path.clone());
    let changed = manager.reconfigured(&change).unwrap();
    let StoreConfiguration::External(proxy) = changed.configuration() else { unreachable!() };
    assert_eq!(proxy.uri_path, path);
    assert_ne!(manager.configuration(), changed.configuration());

    let wrong = manager.reconfigured(&Change::new().password(KeyStorePassword::new("kmsPswd").unwrap()));
    assert!(matches!(wrong, Err(InvalidChange::WrongStoreType { .. })));
}

#[tokio::test]
async fn health_is_a_reading_and_a_dead_manager_cannot_be_connected_to() {
    let (manager, key, connection) = connected().await;
    let reading = connection.health(&health()).await.unwrap();
    assert_eq!(reading.status(), HealthStatus::Active);
    assert_eq!(reading.instances.len(), 1);
    assert!(reading.proxy.is_some());

    manager.set_health(vec![HealthStatus::Active, HealthStatus::Unavailable]);
    let reading = connection.health(&health()).await.unwrap();
    assert_eq!(reading.status(), HealthStatus::Degraded);
    assert_ne!(reading.instances[0].id, reading.instances[1].id);
    connect(&manager).await;

    for dead in [vec![HealthStatus::Unavailable; 2], vec![]] {
        manager.set_health(dead);
        let error = try_connect(&manager).await.unwrap_err();
        assert_eq!(error.code(), ConnectionErrorCode::XksProxyNotReachable);
        assert_eq!(connection.health(&health()).await.unwrap().status(), HealthStatus::Unavailable);
        assert!(encrypt(&*connection, &key, b"", b"").await.is_ok());
    }

    let cluster = KeyManager::builder().configuration(cloud_hsm()).build();
    let reading = connect(&cluster).await.health(&health()).await.unwrap();
    assert!(reading.proxy.is_none());
    cluster.set_health(vec![HealthStatus::Unavailable]);
    let error = try_connect(&cluster).await.unwrap_err();
    assert_eq!(error.code(), ConnectionErrorCode::InsufficientCloudhsmHsms);
    assert_eq!(error.code().store_type(), Some(CustomKeyStoreType::AwsCloudhsm));
}

#[tokio::test]
async fn a_closed_connection_answers_that_it_is_closed_to_everything() {
    let manager = KeyManager::builder().configuration(cloud_hsm()).build();
    let key = id("key");
    manager.create_key(key.clone());
    let connection = connect(&manager).await;
    let ciphertext = encrypt(&*connection, &key, b"", b"").await.unwrap();
    assert_eq!(connection.close().await.unwrap().still_running, 0);
    assert_eq!(connection.close().await.unwrap().still_running, 0);

    let outcomes = [
        kind(connection.describe_key(&describe(&key)).await),
        kind(connection.generate_key(&GenerateKeyRequest::new(metadata(), "label")).await),
        kind(connection.delete_key(&DeleteKeyRequest::new(metadata(), &key)).await),
        kind(connection.generate_random(&GenerateRandomRequest::new(metadata(), 1)).await),
        kind(encrypt(&*connection, &key, b"", b"").await),
        kind(decrypt(&*connection, &key, &ciphertext, b"").await),
        kind(connection.health(&health()).await),
    ];
    assert_eq!(outcomes, [BackendErrorKind::Closed; 7]);
    for method in Method::ALL {
        let expected = match method {
            Method::Encrypt | Method::Close => 2,
            _ => 1,
        };
        assert_eq!(manager.calls(*method), expected, "{method:?}");
    }
    // Another connection is not concerned.
    assert!(connect(&manager).await.describe_key(&describe(&key)).await.is_ok());
}

#[tokio::test]
async fn connections_are_counted_until_they_are_closed_or_dropped() {
    let manager = KeyManager::new();
    let clone = manager.clone();
    let (one, two) = (connect(&manager).await, connect(&clone).await);
    let also_two = Arc::clone(&two);
    assert_eq!(clone.open_connections(), 2);
    one.close().await.unwrap();
    one.close().await.unwrap();
    assert_eq!(manager.open_connections(), 1);
    drop(one);
    drop(two);
    assert_eq!(manager.open_connections(), 1);
    drop(also_two);
    assert_eq!(manager.open_connections(), 0);
}

#[tokio::test]
async fn nothing_secret_is_printed() {
    let secret = credential("ACCESSKEYIDOFTESTERS", 'Q');
    let builder =
        KeyManager::builder().credential(secret).password(KeyStorePassword::new("hunter2hunter2").unwrap());
    let key = SoftwareKey::from_bytes(b"KEYBYTESKEYBYTESKEYBYTESKEYBYTES");
    let mut printed = format!("{builder:?} {builder:#?} {key:?} {key:#?}");

    let manager = builder.build();
    manager.insert_key(id("key"), key);
    let connection = connect(&manager).await;
    let name = id("key");
    let request = EncryptRequest::new(metadata(), &name, b"PLAINTEXT");
    let ciphertext = connection.encrypt(&request).await.unwrap();
    let request_back = DecryptRequest::new(metadata(), &name, &ciphertext);
    let decrypted = connection.decrypt(&request_back).await.unwrap();
    printed += &format!("{manager:?} {manager:#?} {connection:?} {request:?} {ciphertext:?} {decrypted:?}");

    for bytes in [&b"KEYBYTES"[..], b"PLAINTEXT", b"QQQQ", b"hunter2"] {
        assert!(!printed.contains(std::str::from_utf8(bytes).unwrap()), "{printed}");
        let digits: Vec<_> = bytes.iter().map(u8::to_string).collect();
        assert!(!printed.contains(&digits.join(", ")), "{printed}");
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        assert!(!printed.contains(&hex), "{printed}");
    }
}
