//! Everything that a store can do while it is `Connected`.
//!
//! Made from src/table.rs: edit that, and see the README.
#![allow(unused_imports, unused_mut, reason = "every program begins alike")]

use std::time::Duration;

use custom_key_store::backend::*;
use custom_key_store::*;
use custom_key_store_compile_fail::fixtures::*;

fn main() {
    futures::executor::block_on(async {
        {
            let mut store = connected().await;
            let outcome = store.id();
            assert!(outcome.as_str().starts_with("cks-"));
        }
        {
            let mut store = connected().await;
            let outcome = store.name();
            assert_eq!(outcome, &name());
        }
        {
            let mut store = connected().await;
            let outcome = store.store_type();
            assert_eq!(outcome, CustomKeyStoreType::AwsCloudhsm);
        }
        {
            let mut store = connected().await;
            let outcome = store.state();
            assert_eq!(outcome, ConnectionState::Connected);
        }
        {
            let mut store = connected().await;
            let outcome = store.describe();
            assert_eq!(outcome.connection_state, ConnectionState::Connected);
        }
        {
            let mut store = connected().await;
            let outcome = store.keys();
            assert!(outcome.list(&PageRequest::default()).await.is_ok());
        }
        {
            let mut store = connected().await;
            let outcome = store.update(LiveChange::new().name(name())).await;
            assert!(outcome.is_ok());
        }
        {
            let mut store = connected().await;
            let outcome = store.handle();
            assert!(outcome.is_connected());
        }
        {
            let mut store = connected().await;
            let outcome = store.encrypt(&kms_key(), PLAINTEXT, &context()).await;
            assert!(outcome.is_ok());
        }
        {
            let mut store = connected().await;
            let outcome = store.decrypt(blob().as_bytes(), &context()).await;
            assert_eq!(outcome.unwrap().expose(), PLAINTEXT);
        }
        {
            let mut store = connected().await;
            let outcome = store.decrypt_under(&kms_key(), blob().as_bytes(), &context()).await;
            assert_eq!(outcome.unwrap().expose(), PLAINTEXT);
        }
        {
            let mut store = connected().await;
            let outcome = store.re_encrypt(blob().as_bytes(), &context(), &kms_key(), &context()).await;
            assert_ne!(outcome.unwrap(), blob());
        }
        {
            let mut store = connected().await;
            let outcome = store.create_key(&NewKey::generated()).await;
            assert_ne!(outcome.unwrap().key_id, kms_key());
        }
        {
            let mut store = connected().await;
            let outcome = store.generate_data_key(&kms_key(), DataKeyLength::AES_256, &context()).await;
            assert_eq!(outcome.unwrap().plaintext.len(), 32);
        }
        {
            let mut store = connected().await;
            let outcome = store.generate_data_key_without_plaintext(&kms_key(), DataKeyLength::AES_128, &context()).await;
            assert!(outcome.is_ok());
        }
        {
            let mut store = connected().await;
            let outcome = store.describe_backing_key(&key()).await;
            assert_eq!(outcome.unwrap().status, KeyStatus::Enabled);
        }
        {
            let mut store = connected().await;
            let outcome = store.generate_random(32).await;
            assert_eq!(outcome.unwrap().len(), 32);
        }
        {
            let mut store = connected().await;
            let outcome = store.health().await;
            assert!(outcome.is_ok());
        }
        {
            let mut store = connected().await;
            let outcome = store.disconnect();
            assert_eq!(outcome.await.state(), ConnectionState::Disconnected);
        }
        {
            let mut store = connected().await;
            let outcome = store.disconnect_within(Duration::ZERO);
            assert_eq!(outcome.await.state(), ConnectionState::Disconnected);
        }
        assert_ne!(LiveChange::new().name(name()), LiveChange::new());
        assert_ne!(LiveChange::new().credential(credential()), LiveChange::new());
        assert_ne!(LiveChange::new().uri_path(path()), LiveChange::new());
    });
}
