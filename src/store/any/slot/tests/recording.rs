//! Moves whose durability others wait for.

use futures::executor::block_on;
use futures::future::{join, join3};

use super::{Stage, name, poll, poll_store};
use crate::backend::ConnectionErrorCode;
use crate::backend::software::{Fault, Method};
use crate::store::{ConnectionState, Kept, Revision, StoreBuilder};

#[test]
fn whoever_waits_for_a_move_to_be_durable_makes_it_so_with_or_without_the_driver() {
    let stage = Stage::new();
    let mut store = stage.store();
    store.connect().unwrap();
    let recording = store.recording().unwrap();
    assert!(block_on(recording).is_none());
    assert_eq!(stage.kept(), Kept::Connected);
    // That of the creation: the attempt is the driver's.
    assert_eq!(stage.manager.calls(Method::Connect), 1);
    assert_eq!(block_on(store.settled()), ConnectionState::Connected);

    stage.manager.inject(Method::Close, Fault::Hang);
    store.disconnect().unwrap();
    let recording = store.recording().unwrap();
    // A farewell that hangs keeps nobody waiting for the row.
    assert!(poll_store(&mut store).is_pending());
    assert!(block_on(recording).is_none());
    assert_eq!(stage.kept(), Kept::Disconnected);
    assert!(poll_store(&mut store).is_pending());
}

#[test]
fn the_driver_makes_a_move_durable_for_whoever_waits() {
    let stage = Stage::new();
    let mut store = stage.store();
    store.connect().unwrap();
    let mut recording = store.recording().unwrap();
    assert!(poll(&mut recording).is_pending());
    block_on(store.settled());
    assert!(matches!(poll(&mut recording), std::task::Poll::Ready(None)));
    assert_eq!(stage.kept(), Kept::Connected);
}

#[test]
fn nothing_is_to_be_written_in_a_lasting_state_or_by_a_restart_or_of_a_store_in_memory() {
    let stage = Stage::new();
    let mut store = stage.connected();
    assert!(store.recording().is_none());
    store.disconnect().unwrap();
    block_on(store.settled());
    assert!(store.recording().is_none());
    stage.manager.inject(Method::Connect, Fault::Refuse(ConnectionErrorCode::XksProxyAccessDenied));
    store.connect().unwrap();
    assert_eq!(block_on(store.settled()), ConnectionState::Failed);
    assert!(store.recording().is_none());
    store.disconnect().unwrap();
    block_on(store.settled());
    store.connect().unwrap();
    block_on(store.settled());
    drop(store);

    let before = stage.record().version;
    let mut store = stage.restarted();
    assert!(store.recording().is_none());
    assert_eq!(block_on(store.settled()), ConnectionState::Connected);
    assert_eq!(stage.record().version, before);

    let mut store: crate::AnyKeyStore =
        StoreBuilder::new(std::sync::Arc::new(stage.manager.clone())).ephemeral(name("memory")).into();
    store.connect().unwrap();
    assert!(store.recording().is_none());
    block_on(store.settled());
    store.disconnect().unwrap();
    assert!(store.recording().is_none());
}

#[test]
fn a_move_that_nobody_polls_is_not_written_down() {
    let stage = Stage::new();
    let mut store = stage.connected();
    store.disconnect().unwrap();
    drop((store.recording(), store));
    assert_eq!(stage.kept(), Kept::Connected);
}

#[test]
fn what_is_written_late_does_not_undo_what_came_after_it() {
    let stage = Stage::new();
    let mut store = stage.store();
    // Once not begun, once cut off at each point of it.
    for polls in 0..8 {
        store.connect().unwrap();
        let mut connect = store.recording().unwrap();
        for _ in 0..polls {
            let _ = poll(&mut connect);
        }
        store.disconnect().unwrap();
        assert!(block_on(store.recording().unwrap()).is_none());
        assert_eq!(stage.kept(), Kept::Disconnected, "after {polls} polls");
        assert!(block_on(connect).is_none());
        assert_eq!(stage.kept(), Kept::Disconnected, "after {polls} polls, and all of it");
        block_on(store.settled());
    }
    // Both at once, neither before the other.
    store.connect().unwrap();
    let connect = store.recording().unwrap();
    store.disconnect().unwrap();
    let both = block_on(join(connect, store.recording().unwrap()));
    assert!(both.0.is_none() && both.1.is_none());
    assert_eq!(stage.kept(), Kept::Disconnected);
}

#[test]
fn a_disconnect_that_is_written_down_again_does_not_answer_for_a_later_one() {
    let stage = Stage::new();
    let mut store = stage.connected();
    store.disconnect().unwrap();
    // Somebody begins to write it down once more, as after a failure; then the store moves on.
    drop(store.recording_again().unwrap());
    block_on(store.settled());
    store.connect().unwrap();
    block_on(store.settled());
    assert_eq!(stage.kept(), Kept::Connected);

    store.disconnect().unwrap();
    let recording = store.recording().unwrap();
    let again = store.recording_again().unwrap();
    assert!(block_on(recording).is_none());
    assert_eq!(stage.kept(), Kept::Disconnected, "it was said to be durable");
    assert!(block_on(again).is_none());
    assert_eq!(stage.kept(), Kept::Disconnected);
}

#[test]
fn many_may_write_at_once_and_each_change_is_there() {
    let stage = Stage::new();
    let mut store = stage.connected();
    let revise = |revision| block_on(store.try_revision(revision).unwrap()).unwrap();
    let renamed = revise(Revision { name: Some(name("other")), ..Revision::default() });
    let told = revise(Revision { secret: Some(b"x".as_slice().into()), ..Revision::default() });
    store.disconnect().unwrap();
    let recording = store.recording().unwrap();
    let (first, second) = (store.record_revision(&renamed), store.record_revision(&told));
    let written = block_on(join3(first, recording, second));
    assert!(written.0.is_ok() && written.1.is_none() && written.2.is_ok(), "{written:?}");
    let record = stage.record().record;
    assert_eq!(
        (record.name, record.state, record.secret.is_some()),
        (name("other"), Kept::Disconnected, true)
    );
}

#[test]
fn a_failure_is_written_down_unless_the_store_has_moved_on() {
    let stage = Stage::new();
    let mut store = stage.store();
    stage.manager.inject(Method::Connect, Fault::Refuse(ConnectionErrorCode::XksProxyAccessDenied));
    store.connect().unwrap();
    assert_eq!(block_on(store.settled()), ConnectionState::Failed);
    assert_eq!(stage.kept(), Kept::Failed(ConnectionErrorCode::XksProxyAccessDenied));
}
