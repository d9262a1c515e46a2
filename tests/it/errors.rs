//! An error says what who reads the log must know, in itself and its sources.

use std::error::Error as StdError;

use custom_key_store::backend::BackendErrorKind;
use custom_key_store::backend::software::{Fault, Method};
use custom_key_store::{ErrorKind, NewKey};

use crate::support::{connected, connected_with_key, key, manager, no_context};

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
