//! Everything that must not compile while a store is `Disconnecting`.
//!
//! Made from src/table.rs: edit that, and see the README.
#![allow(unused_imports, unused_mut, reason = "every program begins alike")]

use std::time::Duration;

use custom_key_store::backend::*;
use custom_key_store::*;
use custom_key_store_compile_fail::fixtures::*;

async fn illegal(mut store: KeyStore<Disconnecting>) {
    KeyStore::<Disconnecting>::ephemeral(name(), manager());
    KeyStore::<Disconnecting>::builder(manager());
    store.connect();
    store.probe().await;
    store.update(Change::new().cluster_id(cluster())).await;
    store.update(LiveChange::new().name(name())).await;
    store.record().await;
    store.delete();
    store.disconnect_report();
    store.handle();
    store.encrypt(&kms_key(), PLAINTEXT, &context()).await;
    store.decrypt(blob().as_bytes(), &context()).await;
    store.decrypt_under(&kms_key(), blob().as_bytes(), &context()).await;
    store.re_encrypt(blob().as_bytes(), &context(), &kms_key(), &context()).await;
    store.create_key(&NewKey::generated()).await;
    store.generate_data_key(&kms_key(), DataKeyLength::AES_256, &context()).await;
    store.generate_data_key_without_plaintext(&kms_key(), DataKeyLength::AES_128, &context()).await;
    store.describe_backing_key(&key()).await;
    store.generate_random(32).await;
    store.health().await;
    store.connection_error();
    store.error_code();
    store.advice();
    store.disconnect();
    store.disconnect_within(Duration::ZERO);
}

fn main() {}
