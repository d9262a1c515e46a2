//! The end of a process, and of a store.

use futures::executor::block_on;

use super::{Stage, key, poll, poll_store};
use crate::backend::ConnectionErrorCode;
use crate::backend::software::{Fault, Method};
use crate::catalog::CatalogErrorKind;
use crate::store::{ConnectionState, Kept, has_keys};
use crate::{EncryptionContext, ErrorKind};

#[test]
fn a_connected_store_that_retires_says_goodbye_and_is_connected_again_by_a_restart() {
    let stage = Stage::new();
    let store = stage.connected();
    let (id, handle) = (key(&store), store.handle().unwrap());
    stage.manager.inject(Method::Encrypt, Fault::Delay(std::time::Duration::from_secs(1)));
    let context = EncryptionContext::none();
    let mut call = Box::pin(handle.encrypt(&id, b"x", &context));
    assert!(poll(&mut call).is_pending());

    let mut retiring = store.retire();
    assert!(!handle.is_connected(), "from this moment on");
    assert!(poll(&mut retiring).is_pending(), "it waits for the call");
    let error = stage.builder().open_listed(&stage.ledger, stage.record()).unwrap_err();
    assert_eq!(error.kind(), CatalogErrorKind::InUse);
    stage.clock.advance(std::time::Duration::from_secs(1));
    assert!(block_on(call).is_ok());
    let report = block_on(retiring);
    assert_eq!((report.completed, report.abandoned), (1, 0));
    // And that of the probe of the creation.
    assert_eq!((stage.manager.open_connections(), stage.manager.calls(Method::Close)), (0, 2));

    assert_eq!(stage.kept(), Kept::Connected);
    let mut store = stage.restarted();
    assert_eq!(block_on(store.settled()), ConnectionState::Connected);
}

#[test]
fn what_is_left_when_a_retiring_store_is_dropped_is_let_go_of() {
    let stage = Stage::new();
    let store = stage.connected();
    stage.manager.inject(Method::Close, Fault::Hang);
    let mut retiring = store.retire();
    assert!(poll(&mut retiring).is_pending());
    drop(retiring);
    assert_eq!(stage.manager.open_connections(), 0);
    assert_eq!(stage.restarted().state(), ConnectionState::Connecting);
}

#[test]
fn a_store_that_retires_is_found_as_it_was_in_every_state() {
    let stage = Stage::new();
    let store = stage.store();
    block_on(store.retire());
    let mut store = stage.restarted();
    assert_eq!(store.state(), ConnectionState::Disconnected);

    // While it connects, before and after there is a connection.
    stage.manager.inject(Method::Connect, Fault::Hang);
    store.connect().unwrap();
    assert!(block_on(store.recording().unwrap()).is_none());
    assert!(poll_store(&mut store).is_pending());
    block_on(store.retire());
    let mut store = stage.restarted();
    assert_eq!(store.state(), ConnectionState::Connecting);
    assert_eq!(block_on(store.settled()), ConnectionState::Connected);
    block_on(store.retire());

    // While it disconnects, which takes its course.
    let mut store = stage.restarted();
    block_on(store.settled());
    store.disconnect().unwrap();
    block_on(store.retire());
    assert_eq!(stage.kept(), Kept::Disconnected);

    // When it has failed.
    let mut store = stage.restarted();
    stage.manager.inject(Method::Connect, Fault::Refuse(ConnectionErrorCode::XksProxyAccessDenied));
    store.connect().unwrap();
    block_on(store.settled());
    block_on(store.retire());
    assert_eq!(stage.restarted().state(), ConnectionState::Failed);
}

#[test]
fn a_deletion_that_is_refused_leaves_the_store_as_it_was() {
    let stage = Stage::new();
    let mut store = stage.connected();
    let id = key(&store);
    assert!(store.deletion().is_none());
    store.disconnect().unwrap();
    assert!(store.deletion().is_none());
    block_on(store.settled());
    let error = block_on(store.deletion().unwrap()).unwrap_err();
    assert!(has_keys(&error), "{error:?}");

    store.connect().unwrap();
    assert!(store.deletion().is_none());
    assert_eq!(block_on(store.settled()), ConnectionState::Connected);
    assert!(block_on(store.keys().describe(&id)).is_ok());
}

#[test]
fn a_store_is_deleted_while_it_is_held() {
    let stage = Stage::new();
    let mut store = stage.store();
    block_on(store.deletion().unwrap()).unwrap();
    assert!(block_on(stage.ledger.find_store(store.name())).unwrap().is_none());
    // What is held still cannot come back.
    store.connect().unwrap();
    assert_eq!(block_on(store.recording().unwrap()).unwrap().kind(), CatalogErrorKind::NotFound);
    assert_eq!(block_on(store.settled()), ConnectionState::Failed);
    assert!(block_on(stage.ledger.find_store(store.name())).unwrap().is_none());
    let error = block_on(store.keys().describe(&crate::KeyId::from_bytes([1; 16]))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::KeyNotFound);
}
