//! Disconnecting takes effect when it is called, ends in bounded time and accounts for every call.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use custom_key_store::backend::software::{Fault, Method};
use custom_key_store::backend::{BackendErrorKind, BackingKeyId, ConnectionErrorCode};
use custom_key_store::{
    CiphertextBlob, ConnectionState, DataKeyLength, DisconnectReport, ErrorKind, Goodbye, Handle, KeyId,
    KeyStore, NewKey,
};

use crate::support::{
    connected, connected_with_key, key, manager, name, no_context, poll_once, timed_with_key,
};

type Call<'a> = Pin<Box<dyn Future<Output = Result<CiphertextBlob, custom_key_store::Error>> + Send + 'a>>;

/// An encryption that has been polled once and waits for the key manager.
fn waiting(handle: &Handle, id: KeyId) -> Call<'_> {
    let mut call: Call<'_> = Box::pin(async move { handle.encrypt(&id, b"plaintext", &no_context()).await });
    assert!(poll_once(&mut call).is_pending());
    call
}

fn kind<T: fmt::Debug>(result: Result<T, custom_key_store::Error>) -> ErrorKind {
    result.unwrap_err().kind()
}

fn counts(report: &DisconnectReport) -> [u64; 4] {
    [report.completed, report.dropped, report.abandoned, report.still_running]
}

#[tokio::test]
async fn from_the_call_on_no_operation_of_any_handle_reaches_the_key_manager() {
    let manager = manager();
    let other = BackingKeyId::new("other").unwrap();
    manager.create_key(other.clone());
    let (store, id) = connected_with_key(&manager).await;
    let handle = store.handle();
    let none = no_context();
    let blob = handle.encrypt(&id, b"before", &none).await.unwrap();
    let blob = blob.as_bytes();
    let made = || [Method::Encrypt, Method::Decrypt, Method::DescribeKey].map(|method| manager.calls(method));
    let before = made();

    let disconnecting = store.disconnect();
    // Not awaited yet.
    let clone = handle.clone();
    assert!(!handle.is_connected());
    let aes = DataKeyLength::AES_256;
    assert_eq!(kind(handle.encrypt(&id, b"after", &none).await), ErrorKind::NotConnected);
    assert_eq!(kind(clone.decrypt(blob, &none).await), ErrorKind::NotConnected);
    assert_eq!(kind(clone.decrypt_under(&id, blob, &none).await), ErrorKind::NotConnected);
    assert_eq!(kind(handle.re_encrypt(blob, &none, &id, &none).await), ErrorKind::NotConnected);
    assert_eq!(kind(handle.generate_data_key(&id, aes, &none).await), ErrorKind::NotConnected);
    let wrapped = handle.generate_data_key_without_plaintext(&id, aes, &none).await;
    assert_eq!(kind(wrapped), ErrorKind::NotConnected);
    assert_eq!(kind(handle.may_encrypt(&id).await), ErrorKind::NotConnected);
    assert_eq!(kind(handle.may_decrypt(blob, &none).await), ErrorKind::NotConnected);
    assert_eq!(kind(handle.create_key(&NewKey::external(other)).await), ErrorKind::NotConnected);
    assert_eq!(kind(handle.describe_backing_key(&key()).await), ErrorKind::NotConnected);
    assert_eq!(kind(handle.generate_random(8).await), ErrorKind::NotConnected);
    assert_eq!(kind(handle.health().await), ErrorKind::NotConnected);
    assert_eq!(made(), before);

    let store = disconnecting.await;
    assert_eq!(store.state(), ConnectionState::Disconnected);
    assert_eq!((manager.calls(Method::Close), manager.open_connections()), (1, 0));
    assert_eq!(kind(handle.health().await), ErrorKind::NotConnected);
}

#[tokio::test]
async fn a_stale_handle_stays_revoked_when_the_store_connects_again() {
    let manager = manager();
    let store = connected(&manager).await;
    let stale = store.handle();
    let store = store.disconnect().await.connect().await.unwrap();
    assert_eq!(kind(stale.health().await), ErrorKind::NotConnected);
    assert!(store.handle().health().await.is_ok());
}

#[tokio::test]
async fn calls_in_flight_are_given_their_answers_within_the_drain_limit() {
    let (manager, clock, store, id) = timed_with_key().await;
    manager.always(Method::Encrypt, Fault::Delay(Duration::from_secs(1)));
    let handle = store.handle();
    let (first, second) = (waiting(&handle, id), waiting(&handle, id));

    let mut disconnect = store.disconnect().into_future();
    assert!(poll_once(&mut disconnect).is_pending(), "it waits for the calls");
    clock.advance(Duration::from_secs(1));
    assert!(first.await.is_ok());
    assert!(poll_once(&mut disconnect).is_pending(), "one is left");
    assert!(second.await.is_ok());
    let store = disconnect.await;
    assert_eq!(counts(store.disconnect_report().unwrap()), [2, 0, 0, 0]);
    assert_eq!(clock.sleepers(), 0, "no timer is left behind");
}

#[tokio::test]
async fn what_takes_longer_than_the_drain_limit_is_woken_and_answers_not_connected() {
    let (manager, clock, store, id) = timed_with_key().await;
    manager.script(Method::Encrypt, [Some(Fault::Hang), Some(Fault::Delay(Duration::from_secs(1)))]);
    let handle = store.handle();
    let hanging = tokio::spawn({
        let handle = handle.clone();
        async move { handle.encrypt(&id, b"hangs", &no_context()).await }
    });
    while manager.calls(Method::Encrypt) == 0 {
        tokio::task::yield_now().await;
    }
    let answered = waiting(&handle, id);
    manager.inject(Method::Encrypt, Fault::Hang);
    let dropped = waiting(&handle, id);
    let mut disconnect = store.disconnect().into_future();
    assert!(poll_once(&mut disconnect).is_pending());
    drop(dropped);
    clock.advance(Duration::from_secs(1));
    assert!(answered.await.is_ok());

    clock.advance(Duration::from_secs(4));
    let store = disconnect.await;
    // A task that slept is woken: it does not hang until somebody polls it by chance.
    assert_eq!(kind(hanging.await.unwrap()), ErrorKind::NotConnected);
    assert_eq!(counts(store.disconnect_report().unwrap()), [1, 1, 1, 0]);
}

#[tokio::test]
async fn an_abandoned_call_never_delivers_even_if_its_answer_is_ready() {
    let (manager, clock, store, id) = timed_with_key().await;
    manager.always(Method::Encrypt, Fault::Delay(Duration::from_secs(1)));
    let handle = store.handle();
    let call = waiting(&handle, id);
    let store = store.disconnect_within(Duration::ZERO);
    let store = store.await;
    assert_eq!(counts(store.disconnect_report().unwrap()), [0, 0, 1, 0]);
    clock.advance(Duration::from_secs(10)); // the answer would be there now
    assert_eq!(kind(call.await), ErrorKind::NotConnected);
}

#[tokio::test]
async fn a_call_that_was_never_polled_is_refused_not_lost() {
    let manager = manager();
    let (store, id) = connected_with_key(&manager).await;
    let handle = store.handle();
    let call = Box::pin(async { handle.encrypt(&id, b"plaintext", &no_context()).await });
    let store = store.disconnect().await;
    assert_eq!(kind(call.await), ErrorKind::NotConnected);
    assert_eq!(counts(store.disconnect_report().unwrap()), [0, 0, 0, 0]);
}

#[tokio::test]
async fn a_goodbye_that_fails_hangs_or_panics_ends_disconnected_all_the_same() {
    for (fault, goodbye) in [
        (
            Fault::Fail(BackendErrorKind::Unreachable),
            "closed with an error (the key manager cannot be reached)",
        ),
        (Fault::Panic, "closed with an error (the backend panicked)"),
        (Fault::Hang, "cut off"),
    ] {
        let (manager, clock, store, _id) = timed_with_key().await;
        manager.inject(Method::Close, fault.clone());
        let mut disconnect = store.disconnect().into_future();
        if fault == Fault::Hang {
            assert!(poll_once(&mut disconnect).is_pending());
            clock.advance(Duration::from_secs(5));
        }
        let store = disconnect.await;
        assert_eq!(store.disconnect_report().unwrap().goodbye.to_string(), goodbye);
        assert_eq!(manager.open_connections(), 0);
        assert!(store.connect().await.is_ok());
    }
}

#[tokio::test]
async fn the_report_repeats_what_the_key_manager_could_not_stop() {
    let manager = manager();
    manager.inject(Method::Close, Fault::Corrupt); // counts one call as still running
    let store = connected(&manager).await.disconnect().await;
    let report = store.disconnect_report().unwrap();
    assert_eq!(report.still_running, 1);
    assert!(matches!(report.goodbye, Goodbye::Said(_)));
}

#[tokio::test]
async fn settled_can_be_dropped_and_goes_on_with_the_same_disconnect() {
    let (manager, clock, store, id) = timed_with_key().await;
    manager.inject(Method::Encrypt, Fault::Hang);
    let handle = store.handle();
    let call = waiting(&handle, id);
    let mut disconnecting = store.disconnect();
    for _ in 0..3 {
        assert!(poll_once(&mut Box::pin(disconnecting.settled())).is_pending());
    }
    clock.advance(Duration::from_secs(5));
    let report = disconnecting.settled().await;
    assert_eq!(report.abandoned, 1);
    assert_eq!(disconnecting.settled().await.abandoned, 1, "asking again is no harm");
    assert_eq!(manager.calls(Method::Close), 1);
    let store = disconnecting.await;
    assert_eq!(store.disconnect_report().unwrap().abandoned, 1);
    drop(call);
}

#[tokio::test]
async fn dropping_a_store_in_any_state_leaks_nothing_and_revokes_every_handle() {
    // Connected.
    let (manager, _clock, store, _id) = timed_with_key().await;
    let handle = store.handle();
    drop(store);
    assert_eq!(manager.open_connections(), 0);
    assert_eq!(kind(handle.health().await), ErrorKind::NotConnected);

    // Connected, with a call in flight: woken, and the connection goes with it.
    let (manager, _clock, store, id) = timed_with_key().await;
    manager.inject(Method::Encrypt, Fault::Hang);
    let handle = store.handle();
    let call = waiting(&handle, id);
    drop(store);
    assert_eq!(kind(call.await), ErrorKind::NotConnected);
    assert_eq!(manager.open_connections(), 0);

    // Disconnecting, at each poll.
    for polls in 0..2 {
        let (manager, clock, store, id) = timed_with_key().await;
        manager.inject(Method::Encrypt, Fault::Hang);
        let handle = store.handle();
        let call = waiting(&handle, id);
        let mut disconnect = store.disconnect().into_future();
        for _ in 0..polls {
            assert!(poll_once(&mut disconnect).is_pending());
        }
        drop(disconnect);
        assert_eq!(kind(call.await), ErrorKind::NotConnected);
        assert_eq!(manager.open_connections(), 0);
        assert_eq!(clock.sleepers(), 0);
    }

    // Connecting, with the connection there already.
    let other = self::manager();
    let mut connecting = KeyStore::ephemeral(name(), other.clone()).connect();
    connecting.settled().await;
    assert_eq!(other.open_connections(), 1);
    drop(connecting);
    assert_eq!(other.open_connections(), 0);
}

#[tokio::test]
async fn closed_resolves_for_every_task_when_the_store_disconnects_or_is_dropped() {
    for drops in [false, true] {
        let manager = manager();
        let store = connected(&manager).await;
        let tasks: Vec<_> = (0..4)
            .map(|_| {
                let handle = store.handle();
                tokio::spawn(async move { handle.closed().await })
            })
            .collect();
        let mut watch = Box::pin({
            let handle = store.handle();
            async move { handle.closed().await }
        });
        assert!(poll_once(&mut watch).is_pending());
        let disconnecting = if drops {
            drop(store);
            None
        } else {
            Some(store.disconnect())
        };
        assert!(poll_once(&mut watch).is_ready(), "at once, before anything is awaited");
        for task in tasks {
            task.await.unwrap();
        }
        drop(disconnecting);
    }
}

#[tokio::test]
async fn a_failed_store_disconnects_at_once() {
    let manager = manager();
    manager.inject(Method::Connect, Fault::Refuse(ConnectionErrorCode::NetworkErrors));
    let failed = KeyStore::ephemeral(name(), manager).connect().await.unwrap_err().into_store();
    let mut disconnect = failed.disconnect().into_future();
    let std::task::Poll::Ready(store) = poll_once(&mut disconnect) else {
        unreachable!("there is nothing to wait for");
    };
    assert_eq!(counts(store.disconnect_report().unwrap()), [0, 0, 0, 0]);
    assert_eq!(store.describe().connection_error_code, None, "the code is erased");
}
