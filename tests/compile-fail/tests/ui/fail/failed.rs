//! Everything that must not compile while a store is `Failed`.
//!
//! Made from src/table.rs: edit that, and see the README.
#![allow(unused_imports, unused_mut, reason = "every program begins alike")]

use std::time::Duration;

use custom_key_store::backend::*;
use custom_key_store::*;
use custom_key_store_compile_fail::fixtures::*;

async fn illegal(mut store: KeyStore<Failed>) {
    KeyStore::<Failed>::new(name(), manager());
    KeyStore::<Failed>::builder(name(), manager());
    store.connect();
    store.probe().await;
    store.update(Change::new().cluster_id(cluster())).await;
    store.update(LiveChange::new().name(name())).await;
    store.disconnect_report();
    store.await;
    store.settled().await;
    store.handle();
    store.encrypt(&key(), PLAINTEXT, &context()).await;
    store.decrypt(&key(), &ciphertext().await, &context()).await;
    store.describe_key(&key()).await;
    store.generate_key("label").await;
    store.delete_key(&key()).await;
    store.generate_random(32).await;
    store.health().await;
    store.disconnect_within(Duration::ZERO);
}

fn main() {}
