//! Everything that holds a store can be sent and shared, and is small.

use std::mem::size_of;

use custom_key_store::backend::{Backend, BackendError, Connection, ConnectionError};
use custom_key_store::{
    AnyKeyStore, Connected, Connecting, Disconnected, Disconnecting, Error, Failed, Handle, KeyStore, Settle,
    TransitionError, UpdateError,
};
use static_assertions::{assert_impl_all, assert_not_impl_any, assert_obj_safe};

assert_impl_all!(KeyStore<Disconnected>: Send, Sync);
assert_impl_all!(KeyStore<Connecting>: Send, Sync);
assert_impl_all!(KeyStore<Connected>: Send, Sync);
assert_impl_all!(KeyStore<Disconnecting>: Send, Sync);
assert_impl_all!(KeyStore<Failed>: Send, Sync);
assert_impl_all!(AnyKeyStore: Send, Sync);
assert_impl_all!(Handle: Send, Sync, Clone);
assert_impl_all!(Settle<Connecting>: Send, Sync, Unpin);
assert_impl_all!(Settle<Disconnecting>: Send, Sync, Unpin);
assert_impl_all!(TransitionError<Failed>: std::error::Error, Send, Sync);
assert_impl_all!(Error: std::error::Error, Send, Sync, Clone);
assert_impl_all!(UpdateError: std::error::Error, Send, Sync, Clone);
assert_impl_all!(ConnectionError: std::error::Error, Send, Sync, Clone);
assert_impl_all!(BackendError: std::error::Error, Send, Sync, Clone);
assert_obj_safe!(Backend, Connection);
// One owner decides: a store cannot be cloned.
assert_not_impl_any!(KeyStore<Connected>: Clone);

const fn is_static<T: 'static>() {}

#[test]
fn everything_is_static_and_small() {
    is_static::<KeyStore<Connected>>();
    is_static::<AnyKeyStore>();
    is_static::<Handle>();
    // Compared with each other, not with a number of bytes: a word is not as wide everywhere.
    let word = size_of::<usize>();
    assert!(size_of::<KeyStore<Connected>>() <= 10 * word);
    assert!(size_of::<Result<KeyStore<Connected>, TransitionError<Failed>>>() <= 11 * word);
    assert!(size_of::<Result<(), Error>>() <= 6 * word);
    assert!(size_of::<BackendError>() <= 2 * word);
}

#[test]
fn futures_of_stores_and_handles_can_be_spawned() {
    fn spawnable<T: Send + 'static>(_: T) {}
    let context = crate::support::no_context();
    let manager = crate::support::manager();
    futures::executor::block_on(async {
        let ledger = crate::support::ledger();
        let builder = KeyStore::builder(manager.clone());
        spawnable(async move {
            builder.open_or_create(&ledger, crate::support::name()).await.unwrap().into_connected().await
        });
        let (mut store, id) = crate::support::connected_with_key(&manager).await;
        let handle = store.handle();
        spawnable(async move { handle.encrypt(&id, b"plaintext", &context).await });
        let (handle, new) = (store.handle(), custom_key_store::NewKey::generated());
        spawnable(async move { handle.create_key(&new).await.map(drop) });
        let handle = store.handle();
        spawnable(async move {
            handle.keys().disable(&id).await?;
            handle.keys().schedule_deletion(&id, 7).await?;
            handle.keys().delete_due().await
        });
        let handle = store.handle();
        spawnable(async move { handle.closed().await });
        spawnable(async move {
            let change = custom_key_store::backend::LiveChange::new();
            store.update(change).await.map(|()| store.disconnect())
        });
    });
}
