//! Everything that must not compile while a store is `Disconnected`.
//!
//! Made from src/table.rs: edit that, and see the README.
#![allow(unused_imports, unused_mut, reason = "every program begins alike")]

use std::time::Duration;

use custom_key_store::backend::*;
use custom_key_store::*;
use custom_key_store_compile_fail::fixtures::*;

async fn illegal(mut store: KeyStore<Disconnected>) {
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
    store.connection_error();
    store.error_code();
    store.advice();
    store.disconnect();
    store.disconnect_within(Duration::ZERO);
}

fn main() {}
