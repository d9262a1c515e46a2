//! No secret shows in `Debug`, `Display` or an error.

use custom_key_store::backend::software::{Fault, KeyManager, Method};
use custom_key_store::backend::{
    AccessKeyId, BackingKeyId, Change, ConnectReason, ConnectRequest, EncryptRequest, KeyStorePassword,
    LiveChange, MemoryVault, Operation, RequestId, RequestMetadata, SecretAccessKey, Vault,
    XksProxyCredential,
};
use custom_key_store::{AnyKeyStore, KeyStore, SecretBytes};
use std::time::Duration;

use crate::support::{connected_with_key, key, kms_key, manager, name, no_context};

const SECRET: &str = "S3cretS3cretS3cretS3cretS3cretS3cretS3cretS3cret";
const PASSWORD: &str = "S3cretPassw0rd";

/// Neither the text nor its bytes as `Debug` prints lists of them.
fn hides(shown: &str) {
    for secret in [SECRET, PASSWORD] {
        assert!(!shown.contains(secret), "{shown}");
        let bytes = format!("{:?}", secret.as_bytes());
        assert!(!shown.contains(bytes.trim_matches(['[', ']'])), "{shown}");
    }
}

fn credential() -> XksProxyCredential {
    XksProxyCredential::new(AccessKeyId::new("A".repeat(20)).unwrap(), SecretAccessKey::new(SECRET).unwrap())
}

#[test]
fn secret_types_and_what_holds_them_hide_them() {
    hides(&format!("{:?}", SecretBytes::from(SECRET.as_bytes())));
    hides(&format!("{:?}", SecretAccessKey::new(SECRET).unwrap()));
    hides(&format!("{:?}", KeyStorePassword::new(PASSWORD).unwrap()));
    hides(&format!("{:#?}", credential()));
    let password = KeyStorePassword::new(PASSWORD).unwrap();
    hides(&format!("{:#?}", Change::new().credential(credential()).password(password)));
    hides(&format!("{:#?}", LiveChange::new().credential(credential())));
}

#[test]
fn a_refused_secret_is_not_in_the_error() {
    let spoilt = format!("{SECRET}!");
    let error = SecretAccessKey::new(&spoilt).unwrap_err();
    hides(&format!("{error} {error:?}"));
    let error = KeyStorePassword::new(&format!("{PASSWORD}!")).unwrap_err();
    hides(&format!("{error} {error:?}"));
}

#[test]
fn requests_show_the_length_of_a_plaintext_only() {
    let (operation, id) = (Operation::ENCRYPT, RequestId::generate());
    let metadata = RequestMetadata::new("principal", &operation, &id);
    let key = BackingKeyId::new("key").unwrap();
    let shown = format!("{:#?}", EncryptRequest::new(metadata, &key, SECRET.as_bytes()));
    hides(&shown);
    assert!(shown.contains(&format!("[{} bytes]", SECRET.len())), "{shown}");
}

#[tokio::test]
async fn a_vault_hides_its_record() {
    let vault = MemoryVault::new();
    assert_eq!(vault.read().await.unwrap(), None);
    vault.write(SecretBytes::from(SECRET.as_bytes())).await.unwrap();
    assert_eq!(vault.read().await.unwrap().unwrap().expose(), SECRET.as_bytes());
    hides(&format!("{vault:#?}"));
    let request = ConnectRequest::new(ConnectReason::Connect, Duration::ZERO).with_vault(vault);
    hides(&format!("{request:#?}"));
}

#[tokio::test]
async fn stores_handles_and_errors_show_nothing_of_credential_or_plaintext() {
    let manager = KeyManager::builder().credential(credential()).build();
    manager.create_key(key());
    let store = KeyStore::ephemeral(name(), manager.clone());
    hides(&format!("{store:#?}"));
    let store = store.connect();
    hides(&format!("{store:#?}"));
    let store = store.await.unwrap();
    let id = kms_key(&store).await;
    let blob = store.encrypt(&id, SECRET.as_bytes(), &no_context()).await.unwrap();
    let plaintext = store.decrypt(blob.as_bytes(), &no_context()).await.unwrap();
    hides(&format!("{store:#?} {:#?} {plaintext:#?} {blob:#?} {manager:#?}", store.handle()));
    hides(&format!("{:#?} {:#?}", store.keys(), store.keys().describe(&id).await.unwrap()));
    hides(&serde_json::to_string(&store.describe()).unwrap());
    for fault in [Fault::Corrupt, Fault::Panic] {
        manager.inject(Method::Encrypt, fault);
        let error = store.encrypt(&id, SECRET.as_bytes(), &no_context()).await.unwrap_err();
        hides(&format!("{error} {error:#?}"));
    }
    let any: AnyKeyStore = store.into();
    hides(&format!("{any:#?}"));
}

#[tokio::test]
async fn what_a_panicking_backend_said_is_not_repeated() {
    // The software manager's panic names itself; the error must not.
    let manager = manager();
    let (store, id) = connected_with_key(&manager).await;
    manager.inject(Method::Encrypt, Fault::Panic);
    let error = store.encrypt(&id, b"plaintext", &no_context()).await.unwrap_err();
    assert!(!format!("{error:#?}").contains("script"), "{error:#?}");
}

#[test]
fn secrets_compare_by_value_and_are_cut_without_a_trace() {
    let mut secret = SecretBytes::from(b"0123456789".as_slice());
    assert_eq!(secret, SecretBytes::from(b"0123456789".as_slice()));
    assert_ne!(secret, SecretBytes::from(b"0123456780".as_slice()));
    assert_ne!(secret, SecretBytes::from(b"012345678".as_slice()));
    secret.truncate(4);
    assert_eq!((secret.expose(), secret.len()), (b"0123".as_slice(), 4));
    secret.truncate(9);
    assert_eq!(secret.len(), 4);
    assert!(!secret.is_empty() && SecretBytes::default().is_empty());
}

#[test]
fn a_request_of_kms_shows_neither_plaintext_nor_ciphertext() {
    use custom_key_store::kms::{Decrypt, Encrypt, KeyRef, ReEncrypt};

    let key: KeyRef =
        "1234abcd-12ab-34cd-56ef-1234567890ab".parse::<custom_key_store::KeyId>().unwrap().into();
    let secret = b"attack at dawn";
    let shown = [
        format!("{:?}", Encrypt::new(&key, secret)),
        format!("{:?}", Decrypt::new(secret)),
        format!("{:?}", ReEncrypt::new(secret, &key)),
    ];
    let (text, bytes) = ("attack", format!("{secret:?}"));
    for shown in shown {
        assert!(shown.contains("[14 bytes]") && !shown.contains(text), "{shown}");
        assert!(!shown.contains(bytes.trim_matches(['[', ']'])), "{shown}");
    }
}
