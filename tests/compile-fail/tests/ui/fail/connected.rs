//! Everything that must not compile while a store is `Connected`.
//!
//! Made from src/table.rs: edit that, and see the README.
#![allow(unused_imports, unused_mut, reason = "every program begins alike")]

use std::time::Duration;

use custom_key_store::backend::*;
use custom_key_store::*;
use custom_key_store_compile_fail::fixtures::*;

async fn illegal(mut store: KeyStore<Connected>) {
    KeyStore::<Connected>::ephemeral(name(), manager());
    KeyStore::<Connected>::builder(manager());
    store.connect();
    store.probe().await;
    store.update(Change::new().cluster_id(cluster())).await;
    store.record().await;
    store.delete();
    store.disconnect_report();
    store.await;
    store.settled().await;
    store.connection_error();
    store.error_code();
    store.advice();
    store.update(LiveChange::new().uri_endpoint(endpoint())).await;
    store.update(LiveChange::new().public_endpoint(endpoint())).await;
    store.update(LiveChange::new().vpc_endpoint_service(endpoint(), service())).await;
    store.update(LiveChange::new().vpc_endpoint_service_name(service())).await;
    store.update(LiveChange::new().vpc_endpoint_service_owner(account())).await;
    store.update(LiveChange::new().password(password())).await;
    store.update(LiveChange::new().cluster_id(cluster())).await;
}

fn main() {}
