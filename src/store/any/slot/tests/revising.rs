//! Updates in three steps, none of which borrows the store across an await.

use std::task::Poll;
use std::time::Duration;

use futures::executor::block_on;
use futures::future::BoxFuture;

use super::{Stage, key, name, poll, poll_store};
use crate::backend::software::{Fault, KeyManager, Method};
use crate::backend::{
    Backend as _, Change, CloudHsmClusterId, CloudHsmConfiguration, ConnectionErrorCode, StoreConfiguration,
    UriPath,
};
use crate::store::revision::TriedRevision;
use crate::store::{AnyKeyStore, ConnectionState, Kept, Revision, StoreBuilder, UpdateError};
use crate::{EncryptionContext, Error, ErrorKind, Handle, KeyId};

fn path() -> UriPath {
    UriPath::new("/other/kms/xks/v1").unwrap()
}

/// Another name, another path, and a secret.
fn revision(stage: &Stage) -> Revision {
    let backend = stage.manager.reconfigured(&Change::new().uri_path(path())).unwrap();
    let configuration = backend.configuration();
    Revision {
        name: Some(name("other")),
        backend: Some((backend, configuration)),
        secret: Some(b"correct horse".as_slice().into()),
        telling: None,
    }
}

fn tried(stage: &Stage, store: &AnyKeyStore) -> TriedRevision {
    block_on(store.try_revision(revision(stage)).unwrap()).unwrap()
}

fn is_changed(store: &AnyKeyStore) -> bool {
    let path_now = store.describe().xks_proxy_configuration.unwrap().uri_path;
    let changed = *store.name() == name("other");
    assert_eq!(changed, path_now == path(), "all or nothing");
    changed
}

/// A call that takes a second.
fn call(stage: &Stage, handle: Handle, key: KeyId) -> BoxFuture<'static, Result<(), Error>> {
    stage.manager.inject(Method::Encrypt, Fault::Delay(Duration::from_secs(1)));
    let mut call: BoxFuture<'static, _> =
        Box::pin(async move { handle.encrypt(&key, b"x", &EncryptionContext::none()).await.map(drop) });
    assert!(poll(&mut call).is_pending());
    call
}

/// How many goodbyes there were since the one of the creation.
fn goodbyes(stage: &Stage) -> u64 {
    stage.manager.calls(Method::Close) - 1
}

#[test]
fn a_connected_store_is_revised_in_use_and_all_of_it_is_in_one_row() {
    let stage = Stage::new();
    let mut store = stage.connected();
    let (id, handle) = (key(&store), store.handle().unwrap());
    let mut call = call(&stage, handle.clone(), id);
    let before = stage.record();

    let tried = tried(&stage, &store);
    assert!(!is_changed(&store));
    block_on(store.record_revision(&tried)).unwrap();
    let record = stage.record();
    assert_eq!(record.version, before.version + 1);
    assert_eq!((&record.record.name, record.record.state), (&name("other"), Kept::Connected));
    let StoreConfiguration::External(proxy) = &record.record.configuration else { panic!("{record:?}") };
    assert_eq!(proxy.uri_path, path());
    assert_eq!(store.secret().unwrap().unwrap().expose(), b"correct horse");
    assert!(!is_changed(&store));

    let mut rest = store.adopt_revision(tried).unwrap();
    assert!(is_changed(&store));
    assert_eq!((store.state(), stage.manager.open_connections()), (ConnectionState::Connected, 2));
    assert!(poll(&mut rest).is_pending(), "it waits for the call");
    assert!(block_on(handle.health()).is_ok(), "others go to the new connection");
    stage.clock.advance(Duration::from_secs(1));
    assert!(matches!(poll(&mut call), Poll::Ready(Ok(()))));
    block_on(rest);
    assert_eq!((stage.manager.open_connections(), goodbyes(&stage)), (1, 1));
    store.disconnect().unwrap();
    block_on(store.settled());
    assert_eq!(goodbyes(&stage), 2);
}

#[test]
fn a_revision_that_hangs_is_in_nobodys_way() {
    let stage = Stage::new();
    let mut store = stage.connected();
    stage.manager.inject(Method::Connect, Fault::Hang);
    let mut trial = store.try_revision(revision(&stage)).unwrap();
    assert!(poll(&mut trial).is_pending());
    store.disconnect().unwrap();
    assert_eq!(block_on(store.settled()), ConnectionState::Disconnected);
    assert!(poll(&mut trial).is_pending());
    drop(trial);
    assert!(!is_changed(&store));
}

#[test]
fn a_connection_that_nobody_needs_any_more_is_closed_and_the_revision_adopted() {
    // Disconnected meanwhile; being connected; and connected anew.
    for polls in [None, Some(0), Some(10)] {
        let stage = Stage::new();
        let mut store = stage.connected();
        let tried = tried(&stage, &store);
        store.disconnect().unwrap();
        block_on(store.settled());
        if let Some(polls) = polls {
            store.connect().unwrap();
            (0..polls).for_each(|_| {
                let _ = poll_store(&mut store);
            });
        }
        let (before, said) = (store.state(), goodbyes(&stage));
        block_on(store.record_revision(&tried)).unwrap();
        let rest = store.adopt_revision(tried).unwrap();
        assert!(is_changed(&store));
        assert_eq!(store.state(), before);
        block_on(rest);
        assert_eq!(goodbyes(&stage), said + 1);
        let held = usize::from(before == ConnectionState::Connected);
        assert_eq!(stage.manager.open_connections(), held);
        assert_eq!(stage.record().record.name, name("other"));
    }
}

#[test]
fn what_was_tried_and_is_dropped_has_changed_nothing() {
    let stage = Stage::new();
    let store = stage.connected();
    let tried = tried(&stage, &store);
    assert_eq!(stage.manager.open_connections(), 2);
    drop(tried);
    assert_eq!((stage.manager.open_connections(), goodbyes(&stage)), (1, 0));
    assert!(!is_changed(&store));

    let tried = self::tried(&stage, &store);
    block_on(tried.withdraw().unwrap());
    assert_eq!((stage.manager.open_connections(), goodbyes(&stage)), (1, 1));
    assert!(!is_changed(&store));
    assert_eq!(stage.record().record.name, name("root"));
}

#[test]
fn a_disconnect_abandons_what_an_old_connection_is_waited_for() {
    let stage = Stage::new();
    let mut store = stage.connected();
    let (id, handle) = (key(&store), store.handle().unwrap());
    let mut old = call(&stage, handle.clone(), id);
    let tried = tried(&stage, &store);
    let mut rest = store.adopt_revision(tried).unwrap();
    assert!(poll(&mut rest).is_pending());
    let mut new = call(&stage, handle, id);

    store.disconnect_within(Duration::ZERO).unwrap();
    assert!(poll(&mut rest).is_ready(), "the disconnect sees to it");
    assert_eq!(stage.manager.open_connections(), 2);
    assert_eq!(block_on(store.settled()), ConnectionState::Disconnected);
    assert_eq!(store.disconnect_report().unwrap().abandoned, 2);
    for call in [&mut old, &mut new] {
        let Poll::Ready(Err(error)) = poll(call) else { panic!("it was abandoned") };
        assert_eq!(error.kind(), ErrorKind::NotConnected);
    }
    assert_eq!((stage.manager.open_connections(), goodbyes(&stage)), (0, 2));
}

#[test]
fn each_connection_is_said_goodbye_to_once_whoever_does_it() {
    // The rest of the revision: not polled, in the middle of a goodbye; and then dropped, polled on, or polled first.
    for (polled, then) in [(false, 0), (true, 0), (true, 1), (true, 2)] {
        let stage = Stage::new();
        let mut store = stage.connected();
        let tried = tried(&stage, &store);
        let mut rest = Some(store.adopt_revision(tried).unwrap());
        if polled {
            stage.manager.inject(Method::Close, Fault::Delay(Duration::from_secs(1)));
            assert!(poll(rest.as_mut().unwrap()).is_pending());
            assert_eq!(goodbyes(&stage), 1);
        }
        if then == 0 {
            rest = None;
        }
        store.disconnect().unwrap();
        if then == 2 {
            assert!(poll(&mut rest.take().unwrap()).is_ready(), "the disconnect sees to it");
        }
        while poll_store(&mut store).is_pending() {
            stage.clock.advance(Duration::from_secs(1));
        }
        rest.into_iter().for_each(block_on);
        assert_eq!((stage.manager.open_connections(), goodbyes(&stage)), (0, 2), "{polled} {then}");
    }
}

#[test]
fn the_goodbye_of_a_revision_is_part_of_the_report_of_a_disconnect_that_finds_it_under_way() {
    let stage = Stage::new();
    let mut store = stage.connected();
    let tried = tried(&stage, &store);
    let mut rest = store.adopt_revision(tried).unwrap();
    stage.manager.inject(Method::Close, Fault::Hang);
    assert!(poll(&mut rest).is_pending());
    store.disconnect().unwrap();
    while poll_store(&mut store).is_pending() {
        stage.clock.advance(Duration::from_secs(1));
    }
    let report = store.disconnect_report().unwrap();
    assert!(matches!(report.goodbye, crate::Goodbye::TimedOut), "{report}");
    assert_eq!((stage.manager.open_connections(), goodbyes(&stage)), (0, 2));
}

#[test]
fn a_store_that_is_dropped_while_an_old_connection_is_drained_keeps_nothing_alive() {
    let stage = Stage::new();
    let mut store = stage.connected();
    let (id, handle) = (key(&store), store.handle().unwrap());
    let call = call(&stage, handle, id);
    let tried = tried(&stage, &store);
    let mut rest = store.adopt_revision(tried).unwrap();
    assert!(poll(&mut rest).is_pending());
    drop(store);
    assert_eq!(block_on(call).unwrap_err().kind(), ErrorKind::NotConnected);
    assert!(poll(&mut rest).is_ready());
    assert_eq!(stage.manager.open_connections(), 0);
}

#[test]
fn two_revisions_of_one_connection_do_not_both_take_its_place() {
    let stage = Stage::new();
    let mut store = stage.connected();
    let (first, second) = (tried(&stage, &store), tried(&stage, &store));
    assert_eq!(stage.manager.open_connections(), 3);
    let rests = [store.adopt_revision(first), store.adopt_revision(second)];
    for rest in rests.into_iter().flatten() {
        block_on(rest);
    }
    assert_eq!((stage.manager.open_connections(), goodbyes(&stage)), (1, 2));
    assert!(block_on(store.handle().unwrap().health()).is_ok());
}

#[test]
fn a_disconnected_external_key_store_is_probed_and_a_cluster_is_left_alone() {
    let stage = Stage::new();
    let mut store = stage.store();
    let before = stage.manager.calls(Method::Connect);
    let tried = tried(&stage, &store);
    assert_eq!((stage.manager.calls(Method::Connect), stage.manager.open_connections()), (before + 1, 0));
    assert!(store.adopt_revision(tried).is_none());
    assert!(is_changed(&store));

    stage.manager.inject(Method::Connect, Fault::Refuse(ConnectionErrorCode::XksProxyAccessDenied));
    let error = block_on(store.try_revision(revision(&stage)).unwrap()).unwrap_err();
    assert!(matches!(error, UpdateError::Refused(_)), "{error:?}");

    let cluster_id = CloudHsmClusterId::new("cluster-abcdefghij2").unwrap();
    let configuration = StoreConfiguration::CloudHsm(CloudHsmConfiguration::new(cluster_id));
    let cluster = KeyManager::builder().configuration(configuration.clone()).build();
    let builder = StoreBuilder::new(std::sync::Arc::new(cluster.clone()));
    let mut store: AnyKeyStore = block_on(builder.create(&stage.ledger, name("cluster"))).unwrap().into();
    let backend = cluster.reconfigured(&Change::new()).unwrap();
    let revision = Revision { backend: Some((backend, configuration)), ..Revision::default() };
    let tried = block_on(store.try_revision(revision).unwrap()).unwrap();
    block_on(store.record_revision(&tried)).unwrap();
    assert!(store.adopt_revision(tried).is_none());
    assert_eq!(cluster.calls(Method::Connect), 0);
}

#[test]
fn a_name_alone_contacts_nobody() {
    let stage = Stage::new();
    let mut store = stage.connected();
    let before = stage.manager.calls(Method::Connect);
    let revision = Revision { name: Some(name("other")), ..Revision::default() };
    let tried = block_on(store.try_revision(revision).unwrap()).unwrap();
    assert!(store.adopt_revision(tried).is_none());
    assert_eq!((store.name(), stage.manager.calls(Method::Connect)), (&name("other"), before));
}

#[test]
fn a_revision_is_refused_in_every_other_state_and_for_the_other_type() {
    let stage = Stage::new();
    let mut store = stage.store();
    let refused = |store: &AnyKeyStore| match store.try_revision(revision(&stage)) {
        Err(UpdateError::InvalidState { id, found }) => {
            assert_eq!((&id, found), (store.id(), store.state()));
            found
        }
        other => panic!("{:?}", other.map(drop)),
    };
    stage.manager.inject(Method::Connect, Fault::Refuse(ConnectionErrorCode::XksProxyAccessDenied));
    store.connect().unwrap();
    assert_eq!(refused(&store), ConnectionState::Connecting);
    block_on(store.settled());
    assert_eq!(refused(&store), ConnectionState::Failed);
    store.disconnect().unwrap();
    assert_eq!(refused(&store), ConnectionState::Disconnecting);
    block_on(store.settled());

    let cluster_id = CloudHsmClusterId::new("cluster-abcdefghij2").unwrap();
    let configuration = StoreConfiguration::CloudHsm(CloudHsmConfiguration::new(cluster_id));
    let cluster = std::sync::Arc::new(KeyManager::builder().configuration(configuration.clone()).build());
    let revision = Revision { backend: Some((cluster, configuration)), ..Revision::default() };
    let before = stage.manager.calls(Method::Connect);
    let error = block_on(store.try_revision(revision).unwrap()).unwrap_err();
    let UpdateError::Refused(error) = error else { panic!("{error:?}") };
    assert_eq!(error.code(), ConnectionErrorCode::InternalError);
    assert_eq!(stage.manager.calls(Method::Connect), before);
}
