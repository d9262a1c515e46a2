//! With the mocks of the feature `mock`.
//!
//! Requests borrow what they carry, so their type has a lifetime: write a closure in its place, as
//! `.returning(|request| ..)` or `.withf(|request| ..)`, and the compiler finds it. A function works as well when
//! its argument is written out, `fn seal(request: &EncryptRequest<'_>)`. What an expectation keeps of a request,
//! it must copy out.

use std::sync::{Arc, Mutex};

use custom_key_store::backend::{
    BackendErrorKind, Closed, ConnectReason, ConnectionError, ConnectionErrorCode, MockBackend,
    MockConnection, Responsible,
};
use custom_key_store::{ConnectionState, ErrorKind, Failed, Goodbye, TransitionError};
use custom_key_store_downstream::{Ledger, OpenError};

use super::{configuration, key, seal, store, unseal, usable};

/// A key manager to which one connection can be made, and that is this one.
fn manager(mut connection: MockConnection) -> MockBackend {
    connection.expect_describe_key().returning(|_| Ok(usable()));
    let mut backend = MockBackend::new();
    backend.expect_configuration().returning(configuration);
    backend
        .expect_connect()
        .withf(|request| request.reason == ConnectReason::Connect)
        .return_once(|_| Ok(Arc::new(connection)));
    backend
}

fn refused(error: OpenError) -> TransitionError<Failed> {
    let OpenError::Connecting(error) = error else { unreachable!("{error:?}") };
    error
}

#[tokio::test]
async fn entries_wait_while_the_key_manager_is_away_and_are_sealed_when_it_is_back() {
    let mut connection = MockConnection::new();
    // Expectations of one method are met in the order in which they are made: half way through, it fails.
    connection.expect_encrypt().times(1).returning(|request| Ok(seal(request)));
    connection.expect_encrypt().times(1).returning(|_| Err(BackendErrorKind::TimedOut.into()));
    connection.expect_encrypt().times(1).returning(|_| Err(BackendErrorKind::Unreachable.into()));
    connection.expect_encrypt().times(2).returning(|request| Ok(seal(request)));
    connection.expect_decrypt().times(3).returning(|request| Ok(unseal(request)));
    connection.expect_close().times(1).returning(|| Ok(Closed::new()));

    let mut ledger = Ledger::open(store(manager(connection)), key()).await.unwrap();
    ledger.append("opening balance").await.unwrap();
    ledger.append("two cows").await.unwrap();
    assert_eq!((ledger.sealed(), ledger.waiting()), (1, 1));
    ledger.append("one calf").await.unwrap();
    assert_eq!((ledger.sealed(), ledger.waiting()), (1, 2));

    ledger.catch_up().await.unwrap();
    assert_eq!((ledger.sealed(), ledger.waiting()), (3, 0));
    for (number, entry) in ["opening balance", "two cows", "one calf"].into_iter().enumerate() {
        assert_eq!(ledger.read(number).await.unwrap().unwrap().expose(), entry.as_bytes());
    }
    ledger.close().await.unwrap();
}

#[tokio::test]
async fn the_goodbye_is_said_even_to_a_key_manager_that_has_failed() {
    let mut connection = MockConnection::new();
    connection.expect_encrypt().times(1).returning(|_| Err(BackendErrorKind::Unreachable.into()));
    connection.expect_close().times(1).returning(|| Err(BackendErrorKind::Unreachable.into()));

    let mut ledger = Ledger::open(store(manager(connection)), key()).await.unwrap();
    ledger.append("lost in the post").await.unwrap();
    let report = ledger.close().await.unwrap();
    assert!(
        matches!(report.goodbye, Goodbye::Failed(error) if error.kind() == BackendErrorKind::Unreachable)
    );
}

#[tokio::test]
async fn a_ledger_does_not_wait_for_what_waiting_will_not_cure() {
    let mut connection = MockConnection::new();
    connection.expect_encrypt().returning(|_| Err(BackendErrorKind::AccessDenied.into()));
    connection.expect_close().times(1).returning(|| Ok(Closed::new()));

    let mut ledger = Ledger::open(store(manager(connection)), key()).await.unwrap();
    let error = ledger.append("not for us").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Backend(BackendErrorKind::AccessDenied));
    assert_eq!(ledger.waiting(), 1);
    ledger.close().await.unwrap();
}

#[tokio::test]
async fn every_entry_is_bound_to_its_place() {
    let contexts = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&contexts);
    let mut connection = MockConnection::new();
    connection
        .expect_encrypt()
        .withf(|request| request.key.as_str() == "ledger-key" && request.verified)
        .times(2)
        .returning(move |request| {
            seen.lock().unwrap().push(request.additional_authenticated_data.to_vec());
            Ok(seal(request))
        });
    connection.expect_close().returning(|| Ok(Closed::new()));

    let mut ledger = Ledger::open(store(manager(connection)), key()).await.unwrap();
    ledger.append("the same").await.unwrap();
    ledger.append("the same").await.unwrap();
    ledger.close().await.unwrap();
    let contexts = contexts.lock().unwrap();
    assert_ne!(contexts[0], contexts[1]);
}

#[tokio::test]
async fn a_ledger_that_cannot_be_opened_gives_the_store_back_and_says_who_can_help() {
    let mut backend = MockBackend::new();
    backend.expect_configuration().returning(configuration);
    backend
        .expect_connect()
        .times(1)
        .returning(|_| Err(ConnectionError::new(ConnectionErrorCode::XksProxyAccessDenied)));

    let error = refused(Ledger::open(store(backend), key()).await.unwrap_err());
    assert_eq!(error.code(), ConnectionErrorCode::XksProxyAccessDenied);
    assert_eq!(error.advice().by, Responsible::ProxyOperator);
    assert_eq!(error.into_store().disconnect().await.state(), ConnectionState::Disconnected);
}

#[tokio::test]
async fn a_ledger_on_a_key_that_is_not_there_says_goodbye_again() {
    let mut connection = MockConnection::new();
    connection.expect_describe_key().times(1).returning(|_| Err(BackendErrorKind::KeyNotFound.into()));
    connection.expect_close().times(1).returning(|| Ok(Closed::new()));

    let error = Ledger::open(store(manager(connection)), key()).await.unwrap_err();
    let OpenError::Key(error) = error else { unreachable!("{error:?}") };
    assert_eq!(error.kind(), ErrorKind::Backend(BackendErrorKind::KeyNotFound));
}

#[tokio::test]
async fn a_bug_in_the_key_managers_client_is_an_error_and_not_the_end_of_the_program() {
    let mut connection = MockConnection::new();
    connection.expect_encrypt().times(1).returning(|_| panic!("a bug in the client"));
    connection.expect_encrypt().times(1).returning(|request| Ok(seal(request)));
    connection.expect_close().times(1).returning(|| Ok(Closed::new()));

    let mut ledger = Ledger::open(store(manager(connection)), key()).await.unwrap();
    let error = ledger.append("unlucky").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Backend(BackendErrorKind::Panicked));
    // The connection is as good as before, and so is the ledger.
    ledger.catch_up().await.unwrap();
    assert_eq!((ledger.sealed(), ledger.waiting()), (1, 0));
    ledger.close().await.unwrap();
}

#[tokio::test]
async fn a_bug_while_connecting_fails_the_attempt() {
    let mut backend = MockBackend::new();
    backend.expect_configuration().returning(configuration);
    backend.expect_connect().returning(|_| panic!("a bug in the client"));

    let error = refused(Ledger::open(store(backend), key()).await.unwrap_err());
    assert_eq!(error.code(), ConnectionErrorCode::InternalError);
}

/// A mock panics on a call that nobody expects, and a store turns a panic into an error: so a test must look at
/// its errors, as this one does.
#[tokio::test]
async fn a_call_that_a_mock_does_not_expect_is_an_error_of_kind_panicked() {
    let mut connection = MockConnection::new();
    connection.expect_close().times(1).returning(|| Ok(Closed::new()));

    let mut ledger = Ledger::open(store(manager(connection)), key()).await.unwrap();
    let error = ledger.append("unexpected").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Backend(BackendErrorKind::Panicked));
    ledger.close().await.unwrap();
}

#[tokio::test]
#[should_panic(expected = "called 0 time(s) which is fewer than expected 1")]
async fn an_expectation_that_was_not_met_fails_the_test_at_the_disconnect() {
    let mut connection = MockConnection::new();
    connection.expect_encrypt().times(1).returning(|request| Ok(seal(request)));
    connection.expect_close().returning(|| Ok(Closed::new()));
    let store = store(manager(connection)).connect().await.unwrap();
    let _store = store.disconnect().await;
}
