//! Everything that a store can do while it is `Failed`.
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
            let mut store = failed().await;
            let outcome = store.id();
            assert!(outcome.as_str().starts_with("cks-"));
        }
        {
            let mut store = failed().await;
            let outcome = store.name();
            assert_eq!(outcome, &name());
        }
        {
            let mut store = failed().await;
            let outcome = store.store_type();
            assert_eq!(outcome, CustomKeyStoreType::AwsCloudhsm);
        }
        {
            let mut store = failed().await;
            let outcome = store.state();
            assert_eq!(outcome, ConnectionState::Failed);
        }
        {
            let mut store = failed().await;
            let outcome = store.describe();
            assert_eq!(outcome.connection_state, ConnectionState::Failed);
        }
        {
            let mut store = failed().await;
            let outcome = store.keys();
            assert!(outcome.list(&PageRequest::default()).await.is_ok());
        }
        {
            let mut store = failed().await;
            let outcome = store.connection_error();
            assert_eq!(outcome.code(), ConnectionErrorCode::UserLockedOut);
        }
        {
            let mut store = failed().await;
            let outcome = store.error_code();
            assert_eq!(outcome, ConnectionErrorCode::UserLockedOut);
        }
        {
            let mut store = failed().await;
            let outcome = store.advice();
            assert_eq!(outcome.by, Responsible::CryptoOfficer);
        }
        {
            let mut store = failed().await;
            let outcome = store.disconnect();
            assert_eq!(outcome.await.state(), ConnectionState::Disconnected);
        }
    });
}
