//! A ciphertext blob opens under the key and the context that it was made with, in every bit, or not at all.

use custom_key_store::backend::software::{Fault, KeyManager, Method};
use custom_key_store::backend::{BackendErrorKind, BackingKeyId};
use custom_key_store::{
    CiphertextBlob, Connected, EncryptionContext, ErrorKind, InvalidBlob, KeyId, KeyStore, NewKey,
};
use proptest::prelude::*;

use crate::recording::Recording;
use crate::support::{cluster_configuration, connected, key, manager, name, no_context};

fn context() -> EncryptionContext {
    EncryptionContext::new([("tenant", "blue"), ("purpose", "backup")]).unwrap()
}

async fn external() -> (KeyManager, KeyStore<Connected>, KeyId) {
    let manager = manager();
    let store = connected(&manager).await;
    let id = store.create_key(&NewKey::external(key())).await.unwrap().key_id;
    (manager, store, id)
}

async fn in_cluster() -> (KeyManager, KeyStore<Connected>, KeyId) {
    let manager = KeyManager::builder().configuration(cluster_configuration()).build();
    let store = KeyStore::ephemeral(name(), manager.clone()).connect().await.unwrap();
    let id = store.create_key(&NewKey::generated()).await.unwrap().key_id;
    (manager, store, id)
}

fn kind<T: std::fmt::Debug>(outcome: Result<T, custom_key_store::Error>) -> ErrorKind {
    outcome.unwrap_err().kind()
}

#[tokio::test]
async fn plaintexts_of_every_legal_length_come_back() {
    for (manager, store, id) in [external().await, in_cluster().await] {
        for length in [1, 2, 15, 16, 17, 4095, 4096] {
            let plaintext = vec![0xa5; length];
            let blob = store.encrypt(&id, &plaintext, &context()).await.unwrap();
            assert_eq!(blob.key_id(), id);
            assert!(blob.as_bytes().len() <= CiphertextBlob::MAX_LEN);
            let again = store.decrypt(blob.as_bytes(), &context()).await.unwrap();
            assert_eq!(again.expose(), plaintext);
            let again = store.decrypt_under(&id, blob.as_bytes(), &context()).await.unwrap();
            assert_eq!(again.expose(), plaintext);
        }
        for length in [0, 4097] {
            let error = kind(store.encrypt(&id, &vec![0; length], &context()).await);
            assert_eq!(error, ErrorKind::InvalidInput, "{length}");
        }
        drop(manager);
    }
}

#[tokio::test]
async fn what_a_blob_adds_is_known() {
    let (_manager, store, id) = external().await;
    let blob = store.encrypt(&id, &[0; 4096], &context()).await.unwrap();
    // 12 bytes of initialization vector and 1 of metadata, as the software key manager has them.
    assert_eq!(blob.as_bytes().len(), 4096 + 147);
    let (_manager, store, id) = in_cluster().await;
    let blob = store.encrypt(&id, &[0; 4096], &context()).await.unwrap();
    assert_eq!(blob.as_bytes().len(), 4096 + 67);
}

#[tokio::test]
async fn the_largest_fits_what_every_proxy_accepts() {
    // XKS-C-34: 4,300 bytes of plaintext and 8,192 of additional authenticated data.
    let (manager, store, id) = external().await;
    let largest = EncryptionContext::new([("k", "v".repeat(8192 - 9))]).unwrap();
    assert_eq!(largest.canonical().len(), 8192);
    let blob = store.encrypt(&id, &[7; 4096], &largest).await.unwrap();
    assert_eq!(store.decrypt(blob.as_bytes(), &largest).await.unwrap().expose(), [7; 4096]);
    assert_eq!(manager.calls(Method::Encrypt), 1);
}

#[tokio::test]
async fn a_flip_of_any_bit_is_refused_without_asking_the_key_manager() {
    let (manager, store, id) = external().await;
    let blob = store.encrypt(&id, b"attack at dawn", &context()).await.unwrap().into_bytes();
    for bit in 0..blob.len() * 8 {
        let mut damaged = blob.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        let expected = match bit / 8 {
            0 => ErrorKind::UnknownVersion,
            2..18 => ErrorKind::KeyNotFound,
            _ => ErrorKind::InvalidCiphertext,
        };
        assert_eq!(kind(store.decrypt(&damaged, &context()).await), expected, "bit {bit}");
        assert_eq!(kind(store.may_decrypt_by_handle(&damaged).await), expected, "bit {bit}");
    }
    assert_eq!(manager.calls(Method::Decrypt), 0);
    assert_eq!(store.decrypt(&blob, &context()).await.unwrap().expose(), b"attack at dawn");
}

/// The dry run, with the context of these tests.
trait DryRun {
    async fn may_decrypt_by_handle(&self, blob: &[u8]) -> Result<(), custom_key_store::Error>;
}

impl DryRun for KeyStore<Connected> {
    async fn may_decrypt_by_handle(&self, blob: &[u8]) -> Result<(), custom_key_store::Error> {
        self.handle().may_decrypt(blob, &context()).await
    }
}

#[tokio::test]
async fn a_flip_of_any_bit_is_refused_in_a_cluster_too() {
    let (_manager, store, id) = in_cluster().await;
    let blob = store.encrypt(&id, b"attack at dawn", &context()).await.unwrap().into_bytes();
    for bit in 0..blob.len() * 8 {
        let mut damaged = blob.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        let expected = match bit / 8 {
            0 => ErrorKind::UnknownVersion,
            2..18 => ErrorKind::KeyNotFound,
            _ => ErrorKind::InvalidCiphertext,
        };
        assert_eq!(kind(store.decrypt(&damaged, &context()).await), expected, "bit {bit}");
    }
}

#[tokio::test]
async fn nothing_cut_off_or_added_is_a_blob() {
    for (_manager, store, id) in [external().await, in_cluster().await] {
        let blob = store.encrypt(&id, b"x", &context()).await.unwrap().into_bytes();
        for length in 0..blob.len() {
            let cut = blob[..length].to_vec();
            assert_eq!(kind(store.decrypt(&cut, &context()).await), ErrorKind::InvalidCiphertext);
            assert_eq!(CiphertextBlob::from_bytes(cut), Err(InvalidBlob::Malformed));
        }
        let longer = [&blob[..], &[0]].concat();
        assert_eq!(kind(store.decrypt(&longer, &context()).await), ErrorKind::InvalidCiphertext);
    }
}

#[tokio::test]
async fn the_context_counts_in_every_pair_and_not_in_its_order() {
    for (manager, store, id) in [external().await, in_cluster().await] {
        let blob = store.encrypt(&id, b"x", &context()).await.unwrap();
        let reordered = EncryptionContext::new([("purpose", "backup"), ("tenant", "blue")]).unwrap();
        store.decrypt(blob.as_bytes(), &reordered).await.unwrap();
        let asked = manager.calls(Method::Decrypt);
        let wrong = [
            EncryptionContext::none(),
            EncryptionContext::new([("tenant", "blue")]).unwrap(),
            EncryptionContext::new([("tenant", "Blue"), ("purpose", "backup")]).unwrap(),
            EncryptionContext::new([("tenantb", "lue"), ("purpose", "backup")]).unwrap(),
        ];
        for context in wrong {
            assert_eq!(kind(store.decrypt(blob.as_bytes(), &context).await), ErrorKind::InvalidCiphertext);
        }
        let trips = manager.calls(Method::Decrypt) - asked;
        assert_eq!(trips, if store.store_type().as_str() == "AWS_CLOUDHSM" { 4 } else { 0 });
    }
}

#[tokio::test]
async fn a_blob_names_its_key() {
    let (manager, store, one) = external().await;
    let second = BackingKeyId::new("second").unwrap();
    manager.create_key(second.clone());
    let other = store.create_key(&NewKey::external(second)).await.unwrap().key_id;
    let blob = store.encrypt(&one, b"x", &context()).await.unwrap();
    let error = store.decrypt_under(&other, blob.as_bytes(), &context()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::IncorrectKey);

    // Made to name the other key, it is not one of that key's.
    let mut forged = blob.into_bytes();
    forged[2..18].copy_from_slice(other.as_bytes());
    assert_eq!(kind(store.decrypt(&forged, &context()).await), ErrorKind::InvalidCiphertext);
    assert_eq!(manager.calls(Method::Decrypt), 0);
}

#[tokio::test]
async fn a_blob_goes_from_key_to_key_and_from_context_to_context() {
    let (manager, store, one) = external().await;
    let second = BackingKeyId::new("second").unwrap();
    manager.create_key(second.clone());
    let other = store.create_key(&NewKey::external(second)).await.unwrap().key_id;
    let blob = store.encrypt(&one, b"x", &context()).await.unwrap();
    let moved = store.re_encrypt(blob.as_bytes(), &context(), &other, &no_context()).await.unwrap();
    assert_eq!(moved.key_id(), other);
    assert_eq!(store.decrypt(moved.as_bytes(), &no_context()).await.unwrap().expose(), b"x");
    assert_eq!(kind(store.decrypt(moved.as_bytes(), &context()).await), ErrorKind::InvalidCiphertext);

    // A destination that cannot be used is found out before anything is decrypted.
    store.keys().disable(&other).await.unwrap();
    let asked = manager.calls(Method::Decrypt);
    let error = store.re_encrypt(blob.as_bytes(), &context(), &other, &no_context()).await;
    assert_eq!(kind(error), ErrorKind::KeyDisabled);
    assert_eq!(manager.calls(Method::Decrypt), asked);
}

#[tokio::test]
async fn what_the_key_manager_gets_wrong_is_its_own_fault() {
    let (manager, store, id) = external().await;
    let blob = store.encrypt(&id, b"x", &context()).await.unwrap();
    // Somebody replaced the external key: the ciphertext is right, and the manager calls it wrong.
    manager.create_key(key());
    let error = store.decrypt(blob.as_bytes(), &context()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Backend(BackendErrorKind::InvalidResponse));
    assert!(error.backend_error().unwrap().detail().unwrap().contains("external key"), "{error:?}");

    manager.inject(Method::Encrypt, Fault::Fail(BackendErrorKind::Throttled));
    let error = store.encrypt(&id, b"x", &context()).await.unwrap_err();
    assert!(error.is_retryable());
}

#[tokio::test]
async fn a_key_manager_that_decrypts_to_something_else_is_named() {
    // XKS-C-71: the outer layer was decrypted, and the inner one is not what was encrypted.
    let (manager, store, id) = external().await;
    let blob = store.encrypt(&id, b"x", &context()).await.unwrap();
    manager.inject(Method::Decrypt, Fault::Corrupt);
    let error = store.decrypt(blob.as_bytes(), &context()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Backend(BackendErrorKind::InvalidResponse));
    let detail = error.backend_error().unwrap().detail().unwrap();
    assert!(detail.contains("something else than was encrypted"), "{detail}");
    assert_eq!(store.decrypt(blob.as_bytes(), &context()).await.unwrap().expose(), b"x");
}

#[tokio::test]
async fn the_key_manager_sees_neither_plaintext_nor_context() {
    use std::sync::Arc;

    let seen = Recording::new(manager());
    let log = Arc::clone(&seen.log);
    let store = KeyStore::ephemeral(name(), seen).connect().await.unwrap();
    let id = store.create_key(&NewKey::external(key())).await.unwrap().key_id;
    let secret = b"attack at dawn, attack at dawn";
    let blob = store.encrypt(&id, secret, &context()).await.unwrap();
    store.decrypt(blob.as_bytes(), &context()).await.unwrap();
    let log = log.lock().unwrap();
    assert_eq!(log.len(), 2);
    for (data, aad) in log.iter() {
        assert!(!contains(data, b"attack") && !contains(aad, b"tenant") && !contains(aad, b"blue"));
        assert_eq!(data.len(), secret.len() + 16);
        assert_eq!(aad.len(), 56);
        assert!(aad.starts_with(b"custom-key-store blob v1"));
    }
    fn contains(haystack: &[u8], needle: &[u8]) -> bool {
        haystack.windows(needle.len()).any(|window| window == needle)
    }
}

proptest! {
    #[test]
    fn any_bytes_are_a_blob_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = CiphertextBlob::from_bytes(bytes);
    }

    #[test]
    fn bytes_that_begin_like_a_blob_are_a_blob_or_an_error(
        origin in 1_u8..=2,
        rest in prop::collection::vec(any::<u8>(), 0..300),
        length in prop::sample::select(vec![12_u8, 16]),
        metadata in 0_u8..=21,
    ) {
        let mut bytes = vec![1, origin];
        bytes.extend(&rest);
        let at = if origin == 1 { 66 } else { 34 };
        if let Some(place) = bytes.get_mut(at) { *place = length; }
        if let Some(place) = bytes.get_mut(at + 1 + usize::from(length)) { *place = metadata; }
        if let Ok(blob) = CiphertextBlob::from_bytes(bytes.clone()) {
            prop_assert_eq!(blob.into_bytes(), bytes);
        }
    }
}
