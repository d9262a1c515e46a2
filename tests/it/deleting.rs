//! A store is deleted when nothing belongs to it, and nothing is left of it, whatever was under way. Until then its list
//! has every key that a cluster made in vain, and none that is in use.

use std::error::Error as _;
use std::future::poll_fn;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use async_trait::async_trait;
use custom_key_store::backend::software::{Fault, KeyManager, Method};
use custom_key_store::backend::{
    Backend, BackendErrorKind, BackingKeyId, Change, ConnectRequest, Connection, ConnectionError,
    GeneratedKey, InvalidChange, MockBackend, MockConnection, StoreConfiguration,
};
use custom_key_store::catalog::{
    Catalog, CatalogError, CatalogErrorKind, Edit, Ledger, MemoryCatalog, Row, Snapshot, Table,
};
use custom_key_store::clock::ManualClock;
use custom_key_store::{
    Connected, Disconnected, Error, ErrorKind, Handle, KeyStore, NewKey, Orphan, PageRequest, SealingKey,
    SecretBytes,
};

use crate::support::{cluster, cluster_configuration, identity, key, manager, name, other_name, poll_once};

/// How long a store waits for its catalogue here.
const LIMIT: Duration = Duration::from_secs(1);

/// A catalogue whose commits can be held up. One that is dropped meanwhile takes place before the next, which the
/// contract allows.
#[derive(Debug)]
struct Held {
    inner: MemoryCatalog,
    /// How many more commits are not held up.
    free: AtomicUsize,
    left: Mutex<Vec<Vec<Edit>>>,
}

impl Held {
    fn hold_after(&self, commits: usize) {
        self.free.store(commits, SeqCst);
    }

    fn release(&self) {
        self.hold_after(usize::MAX);
    }

    /// Has what was dropped never take place, which the contract allows too.
    fn lose(&self) {
        self.left.lock().unwrap().clear();
    }

    /// The tables in which anything is but what the catalogue says of itself, with the number of rows.
    async fn tables(&self) -> Vec<(Table, usize)> {
        let mut tables = Vec::new();
        for table in Table::ALL.iter().copied().filter(|table| *table != Table::Catalog) {
            let rows = self.inner.list(table, None, None, usize::MAX).await.unwrap();
            tables.extend((!rows.is_empty()).then_some((table, rows.len())));
        }
        tables
    }
}

/// A commit that is held up.
struct Left<'c>(&'c Held, Vec<Edit>);

impl Drop for Left<'_> {
    fn drop(&mut self) {
        let edits = std::mem::take(&mut self.1);
        if !edits.is_empty() {
            self.0.left.lock().unwrap().push(edits);
        }
    }
}

#[async_trait]
impl Catalog for Held {
    async fn read(&self, table: Table, id: &str) -> Result<Option<Row>, CatalogError> {
        self.inner.read(table, id).await
    }

    async fn find(&self, table: Table, unique: &str) -> Result<Option<Row>, CatalogError> {
        self.inner.find(table, unique).await
    }

    async fn list(
        &self,
        table: Table,
        owner: Option<&str>,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Row>, CatalogError> {
        self.inner.list(table, owner, after, limit).await
    }

    async fn due(
        &self,
        table: Table,
        owner: Option<&str>,
        until: i64,
        limit: usize,
    ) -> Result<Vec<Row>, CatalogError> {
        self.inner.due(table, owner, until, limit).await
    }

    async fn commit(&self, edits: Vec<Edit>) -> Result<(), CatalogError> {
        let mut held = Left(self, edits);
        poll_fn(|cx| match self.free.fetch_update(SeqCst, SeqCst, |free| free.checked_sub(1)) {
            Ok(_) => Poll::Ready(()),
            Err(_) => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
        })
        .await;
        let edits = std::mem::take(&mut held.1);
        let left = std::mem::take(&mut *self.left.lock().unwrap());
        for edits in left {
            // Nobody is there to be told.
            let _ = self.inner.commit(edits).await;
        }
        self.inner.commit(edits).await
    }

    async fn snapshot(&self) -> Result<Box<dyn Snapshot>, CatalogError> {
        self.inner.snapshot().await
    }

    async fn close(&self) -> Result<(), CatalogError> {
        self.inner.close().await
    }
}

/// A new store on such a catalogue, by a clock that the test moves.
async fn created(backend: impl Backend) -> (Arc<Held>, ManualClock, KeyStore<Disconnected>) {
    let catalog = Arc::new(Held {
        inner: MemoryCatalog::new(),
        free: AtomicUsize::new(usize::MAX),
        left: Mutex::default(),
    });
    let sealer = SealingKey::from_bytes(&[7; 32]);
    let ledger = Ledger::create(Arc::clone(&catalog), &sealer, identity()).await.unwrap();
    let clock = ManualClock::new();
    let store = KeyStore::builder(backend).clock(clock.clone()).call_timeout(LIMIT);
    (catalog, clock, store.create(&ledger, name()).await.unwrap())
}

async fn connected(manager: &KeyManager) -> (Arc<Held>, KeyStore<Connected>) {
    let (catalog, _clock, store) = created(manager.clone()).await;
    (catalog, store.connect().await.unwrap())
}

/// A cluster that gives every key it makes the same name.
fn repetitive() -> MockBackend {
    let mut cluster = MockBackend::new();
    cluster.expect_configuration().returning(cluster_configuration);
    cluster.expect_connect().returning(|_| {
        let mut connection = MockConnection::new();
        connection.expect_generate_key().returning(|_| Ok(GeneratedKey::new(key())));
        Ok(Arc::new(connection))
    });
    cluster
}

/// Writes its vault when it connects, as a backend that rotates a password does.
#[derive(Debug)]
struct Rotating(KeyManager);

#[async_trait]
impl Backend for Rotating {
    fn configuration(&self) -> StoreConfiguration {
        self.0.configuration()
    }

    fn reconfigured(&self, change: &Change) -> Result<Arc<dyn Backend>, InvalidChange> {
        self.0.reconfigured(change)
    }

    async fn connect(&self, request: &ConnectRequest) -> Result<Arc<dyn Connection>, ConnectionError> {
        request.vault.write(SecretBytes::from([1].as_slice())).await.unwrap();
        self.0.connect(request).await
    }
}

/// Keys that a cluster may have made, for which nobody knows.
async fn orphans(manager: &KeyManager, store: &KeyStore<Connected>, count: usize) {
    for _ in 0..count {
        manager.inject(Method::GenerateKey, Fault::Fail(BackendErrorKind::TimedOut));
        store.create_key(&NewKey::generated()).await.unwrap_err();
    }
}

async fn listed(handle: &Handle) -> Vec<Orphan> {
    handle.keys().orphans(&PageRequest::default()).await.unwrap().items
}

/// The key of the cluster that was not there at first.
fn made(cluster: &KeyManager) -> BackingKeyId {
    cluster.keys().into_iter().find(|made| *made != key()).unwrap()
}

/// An error with all its sources.
fn said(error: &Error) -> String {
    let mut said = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        said = format!("{said}: {error}");
        source = error.source();
    }
    said
}

#[tokio::test]
async fn a_key_whose_creation_was_under_way_is_not_kept_when_its_store_is_gone() {
    let (catalog, store) = connected(&manager()).await;
    let (handle, id, new) = (store.handle(), store.id().clone(), NewKey::external(key()));
    catalog.hold_after(0);
    let mut create = Box::pin(handle.create_key(&new));
    assert!(poll_once(&mut create).is_pending());
    catalog.release();
    store.disconnect().await.delete().await.unwrap();
    let error = create.await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Catalog(CatalogErrorKind::NotFound));
    assert!(said(&error).contains(id.as_str()), "{}", said(&error));
    assert!(!error.is_retryable() && !error.may_have_taken_effect());
    assert_eq!(catalog.tables().await, []);
}

#[tokio::test]
async fn a_store_is_not_deleted_when_a_key_arrives_in_the_last_moment() {
    let (catalog, store) = connected(&manager()).await;
    let (handle, new) = (store.handle(), NewKey::external(key()));
    catalog.hold_after(0);
    let mut create = Box::pin(handle.create_key(&new));
    assert!(poll_once(&mut create).is_pending());
    catalog.release();
    let store = store.disconnect().await;
    catalog.hold_after(0);
    let mut delete = Box::pin(store.delete());
    assert!(poll_once(&mut delete).is_pending());
    catalog.release();
    assert!(create.await.unwrap_err().may_have_taken_effect());
    let error = delete.await.unwrap_err();
    assert!(error.has_keys());
    let keys = error.into_store().keys().list(&PageRequest::default()).await.unwrap();
    assert_eq!(keys.items.len(), 1);
}

#[tokio::test]
async fn a_store_is_not_deleted_when_a_key_arrives_whose_creation_was_dropped() {
    let (catalog, store) = connected(&manager()).await;
    let (handle, new) = (store.handle(), NewKey::external(key()));
    catalog.hold_after(0);
    let mut create = Box::pin(handle.create_key(&new));
    assert!(poll_once(&mut create).is_pending());
    catalog.release();
    let store = store.disconnect().await;
    drop(create);
    let error = store.delete().await.unwrap_err();
    assert!(error.has_keys());
    assert_eq!(error.into_store().keys().list(&PageRequest::default()).await.unwrap().items.len(), 1);
}

#[tokio::test]
async fn a_key_that_a_cluster_made_for_a_store_that_is_gone_is_named_by_the_error() {
    let cluster = cluster();
    let (catalog, store) = connected(&cluster).await;
    let (handle, new) = (store.handle(), NewKey::generated());
    catalog.hold_after(1);
    let mut create = Box::pin(handle.create_key(&new));
    assert!(poll_once(&mut create).is_pending());
    catalog.release();
    store.disconnect().await.delete().await.unwrap();
    let error = create.await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Catalog(CatalogErrorKind::NotFound));
    assert!(said(&error).contains(made(&cluster).as_str()), "{}", said(&error));
    assert_eq!(catalog.tables().await, []);
}

#[tokio::test]
async fn no_cluster_is_asked_for_a_key_of_a_store_that_is_gone() {
    let cluster = cluster();
    let (catalog, store) = connected(&cluster).await;
    let (handle, new) = (store.handle(), NewKey::generated());
    catalog.hold_after(0);
    let mut create = Box::pin(handle.create_key(&new));
    assert!(poll_once(&mut create).is_pending());
    catalog.release();
    store.disconnect().await.delete().await.unwrap();
    let error = create.await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Catalog(CatalogErrorKind::NotFound));
    assert_eq!(cluster.calls(Method::GenerateKey), 0);
    assert_eq!(catalog.tables().await, []);
}

#[tokio::test]
async fn a_key_that_somebody_took_off_the_list_while_it_was_made_is_listed_again() {
    let cluster = cluster();
    let (catalog, store) = connected(&cluster).await;
    let (handle, new) = (store.handle(), NewKey::generated());
    catalog.hold_after(1);
    let mut create = Box::pin(handle.create_key(&new));
    assert!(poll_once(&mut create).is_pending());
    catalog.release();
    let expected = listed(&handle).await.remove(0);
    assert_eq!(expected.backing_key, None);
    store.keys().forget_orphan(&expected.kms_key.key_id()).await.unwrap();
    create.await.unwrap_err();
    let listed = listed(&handle).await;
    assert_eq!(listed[0].kms_key, expected.kms_key);
    assert_eq!(listed[0].backing_key, Some(made(&cluster)));
}

#[tokio::test]
async fn a_key_that_somebody_took_off_the_list_is_listed_again_though_the_catalogue_failed() {
    let cluster = cluster();
    let (catalog, clock, store) = created(cluster.clone()).await;
    let store = store.connect().await.unwrap();
    let (handle, new) = (store.handle(), NewKey::generated());
    catalog.hold_after(1);
    let mut create = Box::pin(handle.create_key(&new));
    assert!(poll_once(&mut create).is_pending());
    catalog.release();
    let expected = listed(&handle).await.remove(0);
    store.keys().forget_orphan(&expected.kms_key.key_id()).await.unwrap();
    catalog.hold_after(0);
    clock.advance(LIMIT);
    assert!(poll_once(&mut create).is_pending());
    catalog.lose();
    catalog.release();
    assert!(create.await.unwrap_err().may_have_taken_effect());
    assert_eq!(listed(&handle).await[0].backing_key, Some(made(&cluster)));
}

#[tokio::test]
async fn a_key_that_was_kept_too_late_is_no_orphan() {
    let (catalog, clock, store) = created(cluster()).await;
    let store = store.connect().await.unwrap();
    let (handle, new) = (store.handle(), NewKey::generated());
    catalog.hold_after(1);
    let mut create = Box::pin(handle.create_key(&new));
    assert!(poll_once(&mut create).is_pending());
    clock.advance(LIMIT);
    assert!(poll_once(&mut create).is_pending());
    catalog.release();
    assert!(create.await.unwrap_err().may_have_taken_effect());
    assert_eq!(store.keys().list(&PageRequest::default()).await.unwrap().items.len(), 1);
    assert_eq!(listed(&handle).await, []);
}

#[tokio::test]
async fn no_orphan_is_listed_by_a_name_that_a_kms_key_rests_on() {
    let (catalog, clock, store) = created(repetitive()).await;
    let store = store.connect().await.unwrap();
    let (handle, new) = (store.handle(), NewKey::generated());
    store.create_key(&new).await.unwrap();
    let error = store.create_key(&new).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Backend(BackendErrorKind::InvalidResponse));
    let [orphan] = &listed(&handle).await[..] else { panic!("what it made may be there") };
    assert_eq!(orphan.backing_key, None);
    store.keys().forget_orphan(&orphan.kms_key.key_id()).await.unwrap();

    // Somebody took it off the list meanwhile.
    catalog.hold_after(1);
    let mut create = Box::pin(handle.create_key(&new));
    assert!(poll_once(&mut create).is_pending());
    catalog.release();
    let expected = listed(&handle).await.remove(0);
    store.keys().forget_orphan(&expected.kms_key.key_id()).await.unwrap();
    create.await.unwrap_err();
    assert_eq!(listed(&handle).await, []);

    // The catalogue does not say whether the KMS key was kept.
    catalog.hold_after(1);
    let mut create = Box::pin(handle.create_key(&new));
    assert!(poll_once(&mut create).is_pending());
    clock.advance(LIMIT);
    let outcome = poll_once(&mut create);
    catalog.release();
    if outcome.is_pending() {
        create.await.unwrap_err();
    }
    assert_eq!(listed(&handle).await[0].backing_key, None);
}

#[tokio::test]
async fn what_a_backend_keeps_goes_with_the_store() {
    let (catalog, _clock, store) = created(Rotating(cluster())).await;
    store.probe().await.unwrap();
    assert!(catalog.tables().await.contains(&(Table::Vaults, 1)));
    store.delete().await.unwrap();
    assert_eq!(catalog.tables().await, []);
}

#[tokio::test]
async fn what_a_backend_kept_in_the_last_moment_goes_with_the_store() {
    let (catalog, _clock, store) = created(Rotating(cluster())).await;
    catalog.hold_after(0);
    {
        let mut probe = Box::pin(store.probe());
        assert!(poll_once(&mut probe).is_pending());
    }
    catalog.release();
    store.delete().await.unwrap();
    assert_eq!(catalog.tables().await, []);
}

#[tokio::test]
async fn the_list_of_orphans_goes_with_the_store() {
    let cluster = cluster();
    for count in [1, 99, 100, 101, 230] {
        let (catalog, store) = connected(&cluster).await;
        orphans(&cluster, &store, count).await;
        assert!(catalog.tables().await.contains(&(Table::Orphans, count)));
        store.disconnect().await.delete().await.unwrap();
        assert_eq!(catalog.tables().await, [], "{count}");
    }
}

#[tokio::test]
async fn an_orphan_that_arrives_in_the_last_moment_goes_with_the_store() {
    let (catalog, store) = connected(&cluster()).await;
    let (handle, new) = (store.handle(), NewKey::generated());
    catalog.hold_after(0);
    let mut create = Box::pin(handle.create_key(&new));
    assert!(poll_once(&mut create).is_pending());
    catalog.release();
    let store = store.disconnect().await;
    drop(create);
    store.delete().await.unwrap();
    assert_eq!(catalog.tables().await, []);
}

#[tokio::test]
async fn a_store_that_has_keys_keeps_its_list_of_orphans() {
    let cluster = cluster();
    let (catalog, store) = connected(&cluster).await;
    store.create_key(&NewKey::generated()).await.unwrap();
    orphans(&cluster, &store, 150).await;
    let before = catalog.tables().await;
    assert!(store.disconnect().await.delete().await.unwrap_err().has_keys());
    assert_eq!(catalog.tables().await, before);
}

#[tokio::test]
async fn a_store_is_deleted_though_its_last_change_arrives_in_the_last_moment() {
    let (catalog, store) = connected(&manager()).await;
    let mut store = store.disconnect().await;
    catalog.hold_after(0);
    {
        let mut update = Box::pin(store.update(Change::new().name(other_name())));
        assert!(poll_once(&mut update).is_pending());
    }
    catalog.release();
    store.delete().await.unwrap();
    assert_eq!(catalog.tables().await, []);
}
