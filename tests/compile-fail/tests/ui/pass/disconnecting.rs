//! Everything that a store can do while it is `Disconnecting`.
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
            let mut store = disconnecting().await;
            let outcome = store.id();
            assert!(outcome.as_str().starts_with("cks-"));
        }
        {
            let mut store = disconnecting().await;
            let outcome = store.name();
            assert_eq!(outcome, &name());
        }
        {
            let mut store = disconnecting().await;
            let outcome = store.store_type();
            assert_eq!(outcome, CustomKeyStoreType::AwsCloudhsm);
        }
        {
            let mut store = disconnecting().await;
            let outcome = store.state();
            assert_eq!(outcome, ConnectionState::Disconnecting);
        }
        {
            let mut store = disconnecting().await;
            let outcome = store.describe();
            assert_eq!(outcome.connection_state, ConnectionState::Disconnecting);
        }
        {
            let mut store = disconnecting().await;
            let outcome = store.keys();
            assert!(outcome.list(&PageRequest::default()).await.is_ok());
        }
        {
            let mut store = disconnecting().await;
            let outcome = store.await;
            assert!(outcome.disconnect_report().is_some());
        }
        {
            let mut store = disconnecting().await;
            let outcome = store.settled().await;
            assert!(matches!(outcome.goodbye, Goodbye::Said(_)));
        }
    });
}
