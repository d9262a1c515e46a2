//! A transition that nobody waits for would take the store with it.
//!
//! Made from src/table.rs: edit that, and see the README.
#![deny(unused_must_use)]
#![allow(unused_imports, unused_mut, reason = "every program begins alike")]

use std::time::Duration;

use custom_key_store::backend::*;
use custom_key_store::*;
use custom_key_store_compile_fail::fixtures::*;

async fn connect_while_disconnected(store: KeyStore<Disconnected>) {
    store.connect();
}

async fn delete_while_disconnected(store: KeyStore<Disconnected>) {
    store.delete();
}

async fn await_while_connecting(store: KeyStore<Connecting>) {
    store.await;
}

async fn await_while_disconnecting(store: KeyStore<Disconnecting>) {
    store.await;
}

async fn disconnect_while_connecting(store: KeyStore<Connecting>) {
    store.disconnect();
}

async fn disconnect_while_connected(store: KeyStore<Connected>) {
    store.disconnect();
}

async fn disconnect_while_failed(store: KeyStore<Failed>) {
    store.disconnect();
}

async fn disconnect_within_while_connected(store: KeyStore<Connected>) {
    store.disconnect_within(Duration::ZERO);
}

fn main() {}
