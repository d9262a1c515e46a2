//! Everything that a store can do while it is `Disconnected`.
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
            let outcome = KeyStore::<Disconnected>::ephemeral(name(), manager());
            assert_eq!(outcome.state(), ConnectionState::Disconnected);
        }
        {
            let outcome = KeyStore::<Disconnected>::builder(manager());
            assert_eq!(outcome.ephemeral(name()).name(), &name());
        }
        {
            let mut store = disconnected().await;
            let outcome = store.id();
            assert!(outcome.as_str().starts_with("cks-"));
        }
        {
            let mut store = disconnected().await;
            let outcome = store.name();
            assert_eq!(outcome, &name());
        }
        {
            let mut store = disconnected().await;
            let outcome = store.store_type();
            assert_eq!(outcome, CustomKeyStoreType::AwsCloudhsm);
        }
        {
            let mut store = disconnected().await;
            let outcome = store.state();
            assert_eq!(outcome, ConnectionState::Disconnected);
        }
        {
            let mut store = disconnected().await;
            let outcome = store.describe();
            assert_eq!(outcome.connection_state, ConnectionState::Disconnected);
        }
        {
            let mut store = disconnected().await;
            let outcome = store.keys();
            assert!(outcome.list(&PageRequest::default()).await.is_ok());
        }
        {
            let mut store = disconnected().await;
            let outcome = store.connect();
            assert!(outcome.await.is_ok());
        }
        {
            let mut store = disconnected().await;
            let outcome = store.probe().await;
            assert!(outcome.is_ok());
        }
        {
            let mut store = disconnected().await;
            let outcome = store.update(Change::new().cluster_id(cluster())).await;
            assert!(outcome.is_ok());
        }
        {
            let mut store = disconnected().await;
            let outcome = store.update(LiveChange::new().name(name())).await;
            assert!(outcome.is_ok());
        }
        {
            let mut store = disconnected().await;
            let outcome = store.record().await;
            assert!(outcome.is_ok());
        }
        {
            let mut store = disconnected().await;
            let outcome = store.delete();
            assert!(outcome.await.is_ok());
        }
        {
            let mut store = disconnected().await;
            let outcome = store.disconnect_report();
            assert!(outcome.is_none());
        }
        assert_ne!(Change::new().name(name()), Change::new());
        assert_ne!(Change::new().credential(credential()), Change::new());
        assert_ne!(Change::new().uri_path(path()), Change::new());
        assert_ne!(Change::new().uri_endpoint(endpoint()), Change::new());
        assert_ne!(Change::new().public_endpoint(endpoint()), Change::new());
        assert_ne!(Change::new().vpc_endpoint_service(endpoint(), service()), Change::new());
        assert_ne!(Change::new().vpc_endpoint_service_name(service()), Change::new());
        assert_ne!(Change::new().vpc_endpoint_service_owner(account()), Change::new());
        assert_ne!(Change::new().password(password()), Change::new());
        assert_ne!(Change::new().cluster_id(cluster()), Change::new());
    });
}
