//! An error says what who reads the log must know, in itself and its sources.

use std::error::Error as StdError;

use custom_key_store::backend::software::{Fault, Method};
use custom_key_store::backend::{BackendErrorKind, ConnectionErrorCode};
use custom_key_store::catalog::{Catalog as _, CatalogErrorKind, Ledger, MemoryCatalog, SqliteCatalog};
use custom_key_store::envelope::{Envelope, EnvelopeError, StoreKey};
use custom_key_store::{ErrorKind, InvalidBlob, KeyStore, NewKey, SealErrorKind, SealingKey, StoreId};

use crate::support::{connected, connected_with_key, identity, key, ledger, manager, name, no_context};

/// What each layer of an error says, the outermost first.
fn chain(error: &dyn StdError) -> Vec<String> {
    let mut said = vec![error.to_string()];
    let mut source = error.source();
    while let Some(error) = source {
        said.push(error.to_string());
        source = error.source();
    }
    said
}

#[tokio::test]
async fn the_sources_of_an_error_say_what_the_key_manager_is_suspected_of() {
    let manager = manager();
    let (store, id) = connected_with_key(&manager).await;
    let blob = store.encrypt(&id, b"plaintext", &no_context()).await.unwrap();
    // Another key under the same name.
    manager.create_key(key());
    let error = store.decrypt(blob.as_bytes(), &no_context()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Backend(BackendErrorKind::InvalidResponse));
    let said = chain(&error);
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(said[1].contains("was the external key replaced?"), "{said:?}");
}

#[tokio::test]
async fn the_detail_of_a_backend_error_is_in_no_text_that_a_peer_is_given() {
    let manager = manager();
    let (store, id) = connected_with_key(&manager).await;
    let blob = store.encrypt(&id, b"plaintext", &no_context()).await.unwrap();
    manager.create_key(key());
    let error = store.decrypt(blob.as_bytes(), &no_context()).await.unwrap_err();
    let of_the_backend = error.backend_error().unwrap();
    assert!(of_the_backend.detail().is_some());
    assert_eq!(chain(of_the_backend), ["the key manager's answer is malformed"]);
}

#[tokio::test]
async fn an_error_of_the_key_manager_names_the_keys() {
    let manager = manager();
    let (store, id) = connected_with_key(&manager).await;
    let blob = store.encrypt(&id, b"plaintext", &no_context()).await.unwrap();
    manager.remove_key(&key());
    let both = format!("the key manager has no such key (backing key key, KMS key {id})");
    for error in [
        store.encrypt(&id, b"plaintext", &no_context()).await.unwrap_err(),
        store.decrypt(blob.as_bytes(), &no_context()).await.unwrap_err(),
    ] {
        assert_eq!(error.to_string(), both);
        assert!(format!("{error:?}").contains("backing_key"), "{error:?}");
    }
    let error = store.describe_backing_key(&key()).await.unwrap_err();
    assert_eq!(error.to_string(), "the key manager has no such key (backing key key)");
    let error = connected(&manager).await.create_key(&NewKey::external(key())).await.unwrap_err();
    assert_eq!(error.to_string(), "the key manager has no such key (backing key key)");
}

#[tokio::test]
async fn an_error_of_the_key_manager_that_is_no_keys_doing_names_none() {
    let manager = manager();
    let store = connected(&manager).await;
    manager.inject(Method::Health, Fault::Fail(BackendErrorKind::Unreachable));
    let error = store.health().await.unwrap_err();
    assert_eq!(error.to_string(), "the key manager cannot be reached");
}

#[tokio::test]
async fn what_cannot_be_decrypted_may_be_so_for_three_reasons_and_none_is_told() {
    let (store, id) = connected_with_key(&manager()).await;
    let all = |text: &str| ["key", "encryption context"].iter().all(|part| text.contains(part));
    let text = store.decrypt(b"\x01", &no_context()).await.unwrap_err().to_string();
    assert!(text.contains("ciphertext") && all(&text), "{text}");

    let envelope = Envelope::new(StoreKey::new(&store.handle(), id));
    let record = envelope.seal(b"plaintext", &no_context()).await.unwrap();
    let text = envelope.open(&record[..40], &no_context()).await.unwrap_err().to_string();
    assert!(text.contains("data") && all(&text), "{text}");
}

#[tokio::test]
async fn what_is_of_no_known_version_may_be_none_at_all() {
    let (store, id) = connected_with_key(&manager()).await;
    let envelope = Envelope::new(StoreKey::new(&store.handle(), id));
    let error = envelope.open(b"no record, and long enough to be one", &no_context()).await.unwrap_err();
    assert!(matches!(error, EnvelopeError::UnknownVersion(b'n')), "{error:?}");
    for text in [error.to_string(), InvalidBlob::UnknownVersion(9).to_string()] {
        assert!(text.contains("or it is none"), "{text}");
    }
}

#[test]
fn a_sealing_key_file_is_named_by_the_error_about_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sealing.key");
    let missing = SealingKey::from_file(&path).unwrap_err();
    assert!(missing.is_not_found());
    std::fs::write(&path, "something else").unwrap();
    let other = SealingKey::from_file(&path).unwrap_err();
    let there = SealingKey::create_file(&path).unwrap_err();
    for error in [missing, other, there] {
        assert!(error.to_string().contains(&format!("{path:?}")), "{error}");
    }
}

#[test]
fn a_sealing_key_is_not_made_in_a_folder_that_is_missing_and_the_error_says_so() {
    let folder = tempfile::tempdir().unwrap().path().join("missing");
    let error = SealingKey::create_file(folder.join("sealing.key")).unwrap_err();
    assert_eq!(error.kind(), SealErrorKind::File);
    assert_eq!(chain(&error)[1], format!("the folder {folder:?} is missing"));
}

#[tokio::test]
async fn a_catalogue_file_is_named_by_the_error_about_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("stores.sqlite");
    let missing = SqliteCatalog::open(&path).await.unwrap_err();
    let unseen = SqliteCatalog::open_read_only(&path).await.unwrap_err();
    let owner = SqliteCatalog::create(&path).await.unwrap();
    let in_use = SqliteCatalog::create(&path).await.unwrap_err();
    assert_eq!(in_use.kind(), CatalogErrorKind::InUse);
    owner.close().await.unwrap();
    let there = SqliteCatalog::create(&path).await.unwrap_err();
    std::fs::write(&path, "something else").unwrap();
    let other = SqliteCatalog::open(&path).await.unwrap_err();
    for error in [missing, unseen, in_use, there, other] {
        assert!(error.to_string().contains(&format!("{path:?}")), "{error}");
        assert_eq!(error.place(), None);
    }
}

#[tokio::test]
async fn a_catalogue_is_not_made_in_a_folder_that_is_missing_and_the_error_says_so() {
    let folder = tempfile::tempdir().unwrap().path().join("missing");
    let error = SqliteCatalog::create(folder.join("stores.sqlite")).await.unwrap_err();
    assert_eq!(error.kind(), CatalogErrorKind::NotFound);
    assert_eq!(chain(&error)[1], format!("the folder {folder:?} is missing"));
}

#[tokio::test]
async fn a_store_that_is_not_there_is_called_a_store() {
    let id = StoreId::new("cks-none").unwrap();
    let error = KeyStore::builder(manager()).open(&ledger(), &id).await.unwrap_err();
    assert_eq!(error.to_string(), "there is no such custom key store (stores: \"cks-none\")");
}

#[tokio::test]
async fn a_store_that_could_not_be_written_down_says_why_before_it_connects() {
    let ledger = Ledger::create(MemoryCatalog::new(), &SealingKey::generate(), identity()).await.unwrap();
    let store = KeyStore::builder(manager()).create(&ledger, name()).await.unwrap();
    ledger.close().await.unwrap();
    let error = store.connect().await.unwrap_err();
    assert_eq!(error.code(), ConnectionErrorCode::InternalError);
    assert!(chain(&error)[1].contains("the catalogue is closed"), "{error:?}");
}

#[tokio::test]
async fn a_number_of_days_is_out_of_range_and_has_no_form() {
    let (store, id) = connected_with_key(&manager()).await;
    let error = store.keys().schedule_deletion(&id, 3).await.unwrap_err();
    assert_eq!(error.to_string(), "PendingWindowInDays is invalid: it is out of range (expected 7 to 30)");
}

#[tokio::test]
async fn a_key_that_the_cluster_should_make_lacks_an_external_key_where_there_is_no_cluster() {
    let store = connected(&manager()).await;
    let error = store.create_key(&NewKey::generated()).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "XksKeyId is missing (expected a key of the external key manager: NewKey::external)"
    );
}

#[tokio::test]
async fn a_store_that_has_keys_says_that_those_to_be_deleted_count() {
    let ledger = ledger();
    let store = KeyStore::builder(manager()).create(&ledger, name()).await.unwrap();
    let store = store.connect().await.unwrap();
    let id = store.create_key(&NewKey::external(key())).await.unwrap().key_id;
    store.keys().schedule_deletion(&id, 7).await.unwrap();
    let error = store.disconnect().await.delete().await.unwrap_err();
    assert!(error.has_keys());
    assert!(error.to_string().contains("until `delete_due` has deleted them"), "{error}");
}
