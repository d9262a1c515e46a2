//! A transition takes the store: what it was is gone.
//!
//! Made from src/table.rs: edit that, and see the README.
#![allow(unused_imports, unused_mut, reason = "every program begins alike")]

use std::time::Duration;

use custom_key_store::backend::*;
use custom_key_store::*;
use custom_key_store_compile_fail::fixtures::*;

async fn connect_while_disconnected(store: KeyStore<Disconnected>) {
    let _next = store.connect();
    store.id();
}

async fn delete_while_disconnected(store: KeyStore<Disconnected>) {
    let _next = store.delete();
    store.id();
}

async fn await_while_connecting(store: KeyStore<Connecting>) {
    let _next = async move { store.await };
    store.id();
}

async fn await_while_disconnecting(store: KeyStore<Disconnecting>) {
    let _next = async move { store.await };
    store.id();
}

async fn disconnect_while_connecting(store: KeyStore<Connecting>) {
    let _next = store.disconnect();
    store.id();
}

async fn disconnect_while_connected(store: KeyStore<Connected>) {
    let _next = store.disconnect();
    store.id();
}

async fn disconnect_while_failed(store: KeyStore<Failed>) {
    let _next = store.disconnect();
    store.id();
}

async fn disconnect_within_while_connected(store: KeyStore<Connected>) {
    let _next = store.disconnect_within(Duration::ZERO);
    store.id();
}

fn main() {}
