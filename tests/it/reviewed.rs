//! What hostile readings of stores, keys and ledger found: a catalogue that hangs, lies, or answers too late.
use std::future::{Future, poll_fn};
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use async_trait::async_trait;
use custom_key_store::backend::software::KeyManager;
use custom_key_store::backend::{
    Backend, BackingKeyId, Change, ConnectRequest, Connection, ConnectionError, InvalidChange, LiveChange,
    StoreConfiguration,
};
use custom_key_store::catalog::{
    Catalog, CatalogError, CatalogErrorKind, Edit, Ledger, MemoryCatalog, Row, Snapshot, SqliteCatalog, Table,
};
use custom_key_store::clock::ManualClock;
use custom_key_store::{
    AliasName, Connected, ConnectionState, ErrorKind, KeyId, KeyStore, NewKey, PageRequest, SealingKey,
    SecretBytes, StoreId, TagKey, TagValue,
};

use crate::support::{identity, key, manager, name, no_context, other_name};

/// A catalogue that does not behave.
#[derive(Debug, Default)]
struct Odd {
    inner: MemoryCatalog,
    read_hangs: AtomicBool,
    commit_hangs: AtomicBool,
    /// Commits, then never says so.
    commit_silent: AtomicBool,
    /// Commits, then says that it may not have.
    commit_unavailable: AtomicBool,
    /// Commits nothing, and says that it may have.
    commit_refused: AtomicBool,
    reads: AtomicU64,
    commits: AtomicU64,
    fail_commit_at: AtomicU64,
    /// Whatever is read or due is answered with the row of this id.
    lie: Mutex<Option<String>>,
}

impl Odd {
    fn lie(&self) -> Option<String> {
        self.lie.lock().unwrap().clone()
    }
}

async fn pass(flag: &AtomicBool) {
    poll_fn(|cx| {
        if flag.load(SeqCst) {
            cx.waker().wake_by_ref();
            Poll::Pending
        } else {
            Poll::Ready(())
        }
    })
    .await
}

#[async_trait]
impl Catalog for Odd {
    async fn read(&self, table: Table, id: &str) -> Result<Option<Row>, CatalogError> {
        self.reads.fetch_add(1, SeqCst);
        pass(&self.read_hangs).await;
        let id = self.lie().unwrap_or_else(|| id.to_owned());
        self.inner.read(table, &id).await
    }

    async fn find(&self, table: Table, unique: &str) -> Result<Option<Row>, CatalogError> {
        match self.lie() {
            Some(id) => self.inner.read(table, &id).await,
            None => self.inner.find(table, unique).await,
        }
    }

    async fn list(
        &self,
        table: Table,
        owner: Option<&str>,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Row>, CatalogError> {
        match self.lie() {
            Some(id) => Ok(self.inner.read(table, &id).await?.into_iter().collect()),
            None => self.inner.list(table, owner, after, limit).await,
        }
    }

    async fn due(
        &self,
        table: Table,
        owner: Option<&str>,
        until: i64,
        limit: usize,
    ) -> Result<Vec<Row>, CatalogError> {
        match self.lie() {
            Some(id) => Ok(self.inner.read(table, &id).await?.into_iter().collect()),
            None => self.inner.due(table, owner, until, limit).await,
        }
    }

    async fn commit(&self, edits: Vec<Edit>) -> Result<(), CatalogError> {
        let nth = self.commits.fetch_add(1, SeqCst) + 1;
        if self.fail_commit_at.load(SeqCst) == nth {
            return Err(CatalogError::new(CatalogErrorKind::Full));
        }
        if self.commit_refused.load(SeqCst) {
            return Err(CatalogError::new(CatalogErrorKind::Unavailable));
        }
        pass(&self.commit_hangs).await;
        self.inner.commit(edits).await?;
        pass(&self.commit_silent).await;
        if self.commit_unavailable.load(SeqCst) {
            return Err(CatalogError::new(CatalogErrorKind::Unavailable));
        }
        Ok(())
    }

    async fn snapshot(&self) -> Result<Box<dyn Snapshot>, CatalogError> {
        self.inner.snapshot().await
    }

    async fn close(&self) -> Result<(), CatalogError> {
        self.inner.close().await
    }
}

fn sealer() -> SealingKey {
    SealingKey::from_bytes(&[7; 32])
}
async fn odd() -> (Arc<Odd>, Ledger) {
    let catalog = Arc::new(Odd::default());
    let ledger = Ledger::create(Arc::clone(&catalog), &sealer(), identity()).await.unwrap();
    (catalog, ledger)
}
fn poll<F: Future + ?Sized>(future: std::pin::Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// A connected store on such a catalogue, and a key of it.
async fn store() -> (Arc<Odd>, Ledger, KeyStore<Connected>, KeyId) {
    let (catalog, ledger) = odd().await;
    let store = KeyStore::builder(manager()).create(&ledger, name()).await.unwrap().connect().await.unwrap();
    let id = store.create_key(&NewKey::external(key())).await.unwrap().key_id;
    (catalog, ledger, store, id)
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
        let count = request.vault.read().await.unwrap().map_or(0, |kept| kept.expose()[0]);
        request.vault.write(SecretBytes::from([count + 1].as_slice())).await.unwrap();
        assert_eq!(request.vault.read().await.unwrap().unwrap().expose(), [count + 1]);
        self.0.connect(request).await
    }
}

#[tokio::test]
async fn what_a_backend_keeps_survives_a_restart_and_a_backup() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("catalogue");
    let ledger =
        Ledger::create(SqliteCatalog::create(&path).await.unwrap(), &sealer(), identity()).await.unwrap();
    let store = KeyStore::builder(Rotating(manager())).create(&ledger, name()).await.unwrap();
    let id = store.id().clone();
    drop(store.connect().await.unwrap());
    ledger.close().await.unwrap();

    let ledger = Ledger::open(SqliteCatalog::open(&path).await.unwrap(), &sealer()).await.unwrap();
    assert_eq!(ledger.verify().await.unwrap().altered, []);
    let mut store = KeyStore::builder(Rotating(manager())).open(&ledger, &id).await.unwrap();
    assert_eq!(store.settled().await, ConnectionState::Connected);
    let mut copy = Vec::new();
    ledger.backup(&mut copy).await.unwrap();
    let ledger = Ledger::restore(MemoryCatalog::new(), &sealer(), &mut &copy[..]).await.unwrap();
    let mut store = KeyStore::builder(Rotating(manager())).open(&ledger, &id).await.unwrap();
    assert_eq!(store.settled().await, ConnectionState::Connected);
}

#[tokio::test]
async fn a_call_that_nobody_polls_holds_up_no_other() {
    let (catalog, _ledger, store, id) = store().await;
    let handle = store.handle();
    catalog.read_hangs.store(true, SeqCst);
    let context = no_context();
    let mut first = Box::pin(handle.encrypt(&id, b"x", &context));
    assert!(poll(first.as_mut()).is_pending());
    catalog.read_hangs.store(false, SeqCst);
    handle.encrypt(&id, b"x", &context).await.unwrap();
    drop(first);
}

#[tokio::test]
async fn no_use_of_a_key_outlasts_its_timeout_or_the_disconnect() {
    let (catalog, ledger) = odd().await;
    let clock = ManualClock::new();
    let store = KeyStore::builder(manager()).clock(clock.clone()).call_timeout(Duration::from_secs(1));
    let store = store.create(&ledger, name()).await.unwrap().connect().await.unwrap();
    let id = store.create_key(&NewKey::external(key())).await.unwrap().key_id;
    let handle = store.handle();
    catalog.read_hangs.store(true, SeqCst);
    let context = no_context();
    let mut call = Box::pin(handle.encrypt(&id, b"x", &context));
    assert!(poll(call.as_mut()).is_pending());
    clock.advance(Duration::from_secs(1));
    let Poll::Ready(Err(error)) = poll(call.as_mut()) else { panic!("pending after its timeout") };
    assert_eq!(error.kind(), ErrorKind::Catalog(CatalogErrorKind::Unavailable));
    assert!(error.is_retryable());

    let mut call = Box::pin(handle.encrypt(&id, b"x", &context));
    assert!(poll(call.as_mut()).is_pending());
    let store = store.disconnect().await;
    let Poll::Ready(Err(error)) = poll(call.as_mut()) else { panic!("pending after the disconnect") };
    assert_eq!(error.kind(), ErrorKind::NotConnected);
    drop(store);
}

#[tokio::test]
async fn a_catalogue_that_hangs_holds_up_no_transition_for_ever() {
    let (catalog, ledger) = odd().await;
    let clock = ManualClock::new();
    let store = KeyStore::builder(manager()).clock(clock.clone()).create(&ledger, name()).await.unwrap();
    let store = store.connect().await.unwrap();
    catalog.commit_hangs.store(true, SeqCst);
    catalog.read_hangs.store(true, SeqCst);
    let mut disconnecting = store.disconnect();
    let report = {
        let mut settled = Box::pin(disconnecting.settled());
        loop {
            if let Poll::Ready(report) = poll(settled.as_mut()) {
                break report;
            }
            clock.advance(Duration::from_secs(5));
        }
    };
    assert_eq!(report.unrecorded.unwrap().kind(), CatalogErrorKind::Unavailable);
    let mut connecting = disconnecting.await.connect();
    let mut settled = Box::pin(connecting.settled());
    let state = loop {
        if let Poll::Ready(state) = poll(settled.as_mut()) {
            break state;
        }
        clock.advance(Duration::from_secs(5));
    };
    assert_eq!(state, ConnectionState::Failed);
}

#[tokio::test]
async fn a_disconnect_that_was_not_written_down_can_be_later() {
    let (catalog, ledger, store, _) = store().await;
    let id = store.id().clone();
    catalog.fail_commit_at.store(catalog.commits.load(SeqCst) + 1, SeqCst);
    let store = store.disconnect().await;
    assert!(store.disconnect_report().unwrap().unrecorded.is_some());
    store.record().await.unwrap();
    drop(store);
    let store = KeyStore::builder(manager()).open(&ledger, &id).await.unwrap();
    assert_eq!(store.state(), ConnectionState::Disconnected);
}

#[tokio::test]
async fn a_change_by_a_handle_from_before_is_seen_after_the_store_was_opened_again() {
    let (_, ledger) = odd().await;
    let clock = ManualClock::new();
    let manager = manager();
    let builder = || KeyStore::builder(manager.clone()).clock(clock.clone());
    let store = builder().create(&ledger, name()).await.unwrap().connect().await.unwrap();
    let id = store.create_key(&NewKey::external(key())).await.unwrap().key_id;
    let (old, store_id) = (store.handle(), store.id().clone());
    drop(store);
    let mut store = builder().open(&ledger, &store_id).await.unwrap();
    store.settled().await;
    let new = store.handle().unwrap();
    new.encrypt(&id, b"x", &no_context()).await.unwrap();
    old.keys().disable(&id).await.unwrap();
    let error = new.encrypt(&id, b"x", &no_context()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::KeyDisabled);
    old.keys().schedule_deletion(&id, 7).await.unwrap();
    clock.advance(Duration::from_secs(8 * 86400));
    assert_eq!(old.keys().delete_due().await.unwrap().deleted, [id]);
    let error = new.encrypt(&id, b"x", &no_context()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::KeyNotFound);
}

#[tokio::test]
async fn an_answer_to_another_question_is_refused() {
    let (catalog, ledger) = odd().await;
    let manager = manager();
    let second = BackingKeyId::new("second").unwrap();
    manager.create_key(second.clone());
    let store = KeyStore::builder(manager).create(&ledger, name()).await.unwrap().connect().await.unwrap();
    let one = store.create_key(&NewKey::external(key())).await.unwrap().key_id;
    let other = store.create_key(&NewKey::external(second)).await.unwrap().key_id;
    let altered = ErrorKind::Catalog(CatalogErrorKind::Altered);
    *catalog.lie.lock().unwrap() = Some(other.to_string());
    let error = store.encrypt(&one, b"x", &no_context()).await.unwrap_err();
    assert_eq!(error.kind(), altered);
    // Nobody scheduled its deletion.
    assert_eq!(store.keys().delete_due().await.unwrap_err().kind(), altered);
    let first = PageRequest::first(1).unwrap();
    *catalog.lie.lock().unwrap() = None;
    let page = store.keys().list(&first).await.unwrap();
    let (shown, next) = (page.items[0].key_id, page.next.unwrap());
    *catalog.lie.lock().unwrap() = Some(shown.to_string());
    let error = store.keys().list(&first.after(next)).await.unwrap_err();
    assert_eq!(error.kind(), altered);
    let error = store.create_key(&NewKey::external(BackingKeyId::new("third").unwrap())).await.unwrap_err();
    assert_eq!(error.kind(), altered);
    *catalog.lie.lock().unwrap() = None;
    store.keys().describe(&other).await.unwrap();
}

#[tokio::test]
async fn tags_of_a_new_key_are_checked_before_anything_is_made() {
    let (_, ledger) = odd().await;
    let cluster = crate::support::cluster();
    let before = cluster.keys().len();
    let store = KeyStore::builder(cluster.clone()).create(&ledger, name()).await.unwrap();
    let store = store.connect().await.unwrap();
    let tag = |name: &str| (TagKey::new(name).unwrap(), TagValue::new("x").unwrap());
    let many = (0..51).fold(NewKey::generated(), |new, number| {
        let (key, value) = tag(&format!("t{number}"));
        new.tag(key, value)
    });
    let ((one, value), (again, other)) = (tag("a"), tag("a"));
    for new in [many, NewKey::generated().tag(one, value).tag(again, other)] {
        assert_eq!(store.create_key(&new).await.unwrap_err().kind(), ErrorKind::InvalidInput);
    }
    assert_eq!(cluster.keys().len(), before);
    assert!(store.keys().orphans(&PageRequest::default()).await.unwrap().items.is_empty());
}

#[tokio::test]
async fn a_key_that_a_cluster_made_and_nobody_could_keep_is_listed_by_its_name() {
    let (catalog, ledger) = odd().await;
    let cluster = crate::support::cluster();
    let before = cluster.keys();
    let store = KeyStore::builder(cluster.clone()).create(&ledger, name()).await.unwrap();
    let store = store.connect().await.unwrap();
    catalog.fail_commit_at.store(catalog.commits.load(SeqCst) + 2, SeqCst);
    let error = store.create_key(&NewKey::generated()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Catalog(CatalogErrorKind::Full));
    let made = cluster.keys().into_iter().find(|key| !before.contains(key)).unwrap();
    let orphans = store.keys().orphans(&PageRequest::default()).await.unwrap().items;
    assert_eq!(orphans[0].backing_key, Some(made));
}

#[tokio::test]
async fn a_change_that_may_have_been_made_is_looked_up() {
    let (catalog, ledger, mut store, _) = store().await;
    catalog.commit_unavailable.store(true, SeqCst);
    store.update(LiveChange::new().name(other_name())).await.unwrap();
    catalog.commit_unavailable.store(false, SeqCst);
    assert_eq!(*store.name(), other_name());
    // The name of before is free, and only one has the new one.
    KeyStore::builder(manager()).create(&ledger, name()).await.unwrap();
    let stores = ledger.stores(&PageRequest::default()).await.unwrap().items;
    let mut names: Vec<_> = stores.into_iter().map(|store| store.custom_key_store_name).collect();
    names.sort_unstable();
    assert_eq!(names, [other_name(), name()]);
}

#[tokio::test]
async fn another_write_that_took_place_does_not_pass_for_this_one() {
    let (catalog, ledger, mut store, _) = store().await;
    let id = store.id().clone();
    // Takes place, and nobody is told.
    catalog.commit_silent.store(true, SeqCst);
    {
        let mut update = Box::pin(store.update(LiveChange::new().name(other_name())));
        assert!(poll(update.as_mut()).is_pending());
    }
    catalog.commit_silent.store(false, SeqCst);
    // Does not take place, and nobody knows.
    catalog.commit_refused.store(true, SeqCst);
    let store = store.disconnect().await;
    catalog.commit_refused.store(false, SeqCst);
    let unrecorded = store.disconnect_report().unwrap().unrecorded.clone().unwrap();
    assert_eq!(unrecorded.kind(), CatalogErrorKind::Unavailable);
    drop(store);
    let store = KeyStore::builder(manager()).open(&ledger, &id).await.unwrap();
    assert_eq!(store.state(), ConnectionState::Connecting);
}

#[tokio::test]
async fn a_catalogue_is_made_of_an_empty_one_alone() {
    let (catalog, ledger, store, _) = store().await;
    drop((store, ledger));
    let root = catalog.inner.read(Table::Catalog, "root").await.unwrap().unwrap();
    catalog.inner.commit(vec![Edit::delete(&root)]).await.unwrap();
    let error = Ledger::create(Arc::clone(&catalog), &sealer(), identity()).await.unwrap_err();
    assert_eq!(error.kind(), CatalogErrorKind::AlreadyExists);
}

#[tokio::test]
async fn what_the_old_sealer_sealed_is_not_left_in_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("catalogue");
    let catalog = Arc::new(SqliteCatalog::create(&path).await.unwrap());
    let ledger = Ledger::create(Arc::clone(&catalog), &sealer(), identity()).await.unwrap();
    let old = catalog.read(Table::Catalog, "root").await.unwrap().unwrap().body;
    ledger.reseal(&SealingKey::generate()).await.unwrap();
    let needle = &old[old.len() - 60..];
    for file in std::fs::read_dir(folder.path()).unwrap() {
        let file = file.unwrap().path();
        let bytes = std::fs::read(&file).unwrap();
        assert!(!bytes.windows(needle.len()).any(|window| window == needle), "{}", file.display());
    }
}

#[tokio::test]
async fn no_key_is_delivered_after_the_disconnect() {
    let (catalog, ledger) = odd().await;
    let store = KeyStore::builder(manager()).create(&ledger, name()).await.unwrap().connect().await.unwrap();
    let handle = store.handle();
    catalog.commit_hangs.store(true, SeqCst);
    let new = NewKey::external(key());
    let mut create = Box::pin(handle.create_key(&new));
    assert!(poll(create.as_mut()).is_pending());
    let mut store = store.disconnect();
    let mut settled = Box::pin(store.settled());
    assert!(poll(settled.as_mut()).is_pending());
    catalog.commit_hangs.store(false, SeqCst);
    settled.await;
    let error = create.await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotConnected);
    assert!(error.may_have_taken_effect());
}

#[tokio::test]
async fn a_key_whose_change_was_lost_is_quick_again_after_the_next() {
    let (catalog, _ledger, store, id) = store().await;
    let reads_of_ten_calls = async || {
        let before = catalog.reads.load(SeqCst);
        for _ in 0..10 {
            store.encrypt(&id, b"x", &no_context()).await.unwrap();
        }
        catalog.reads.load(SeqCst) - before
    };
    assert_eq!(reads_of_ten_calls().await, 2);
    catalog.commit_unavailable.store(true, SeqCst);
    store.keys().enable(&id).await.unwrap_err();
    catalog.commit_unavailable.store(false, SeqCst);
    assert_eq!(reads_of_ten_calls().await, 20);
    store.keys().enable(&id).await.unwrap();
    assert_eq!(reads_of_ten_calls().await, 2);
}

#[tokio::test]
async fn a_connect_that_succeeds_is_written_down_once() {
    let (catalog, ledger) = odd().await;
    let store = KeyStore::builder(manager()).create(&ledger, name()).await.unwrap();
    let before = catalog.commits.load(SeqCst);
    let store = store.connect().await.unwrap();
    assert_eq!(catalog.commits.load(SeqCst) - before, 1);
    drop(store);
}

#[tokio::test]
async fn one_key_that_cannot_be_deleted_does_not_keep_the_others() {
    let (catalog, ledger) = odd().await;
    let clock = ManualClock::new();
    let manager = manager();
    let second = BackingKeyId::new("second").unwrap();
    manager.create_key(second.clone());
    let store = KeyStore::builder(manager).clock(clock.clone()).create(&ledger, name()).await.unwrap();
    let store = store.connect().await.unwrap();
    let one = store.create_key(&NewKey::external(key())).await.unwrap().key_id;
    let other = store.create_key(&NewKey::external(second)).await.unwrap().key_id;
    store.keys().schedule_deletion(&one, 7).await.unwrap();
    store.keys().schedule_deletion(&other, 8).await.unwrap();
    let row = catalog.inner.read(Table::WrappingKeys, &one.to_string()).await.unwrap().unwrap();
    let mut bad = row.clone();
    bad.mac[0] ^= 1;
    catalog.inner.commit(vec![Edit::delete(&row), Edit::Insert(bad)]).await.unwrap();
    clock.advance(Duration::from_secs(20 * 86400));
    let report = store.keys().delete_due().await.unwrap();
    assert_eq!(report.deleted, [other]);
    let [(failed, error)] = &report.failed[..] else { panic!("{report:?}") };
    assert_eq!(*failed, one);
    assert_eq!(error.kind(), ErrorKind::Catalog(CatalogErrorKind::Altered));
}

#[tokio::test]
async fn many_keys_that_cannot_be_deleted_do_not_keep_one_that_can() {
    let (catalog, ledger) = odd().await;
    let (clock, manager) = (ManualClock::new(), manager());
    let store =
        KeyStore::builder(manager.clone()).clock(clock.clone()).create(&ledger, name()).await.unwrap();
    let store = store.connect().await.unwrap();
    let mut last = None;
    for number in 0..131 {
        let id = BackingKeyId::new(format!("key-{number}")).unwrap();
        manager.create_key(id.clone());
        let id = store.create_key(&NewKey::external(id)).await.unwrap().key_id;
        if number < 130 {
            let row = catalog.inner.read(Table::WrappingKeys, &id.to_string()).await.unwrap().unwrap();
            let mut bad = row.clone();
            bad.mac[0] ^= 1;
            catalog.inner.commit(vec![Edit::delete(&row), Edit::Insert(bad)]).await.unwrap();
        }
        store.keys().schedule_deletion(&id, if number < 130 { 7 } else { 8 }).await.unwrap();
        last = Some(id);
    }
    clock.advance(Duration::from_secs(20 * 86400));
    let report = store.keys().delete_due().await.unwrap();
    assert_eq!(report.deleted, [last.unwrap()]);
    assert_eq!(report.failed.len(), 130);
}

#[tokio::test]
async fn an_alias_that_moves_while_it_is_deleted_is_deleted() {
    let (catalog, _ledger, store, id) = store().await;
    let alias = AliasName::new("alias/a").unwrap();
    store.keys().create_alias(&alias, &id).await.unwrap();
    let keys = store.keys();
    catalog.commit_hangs.store(true, SeqCst);
    let mut delete = Box::pin(keys.delete_alias(&alias));
    assert!(poll(delete.as_mut()).is_pending());
    catalog.commit_hangs.store(false, SeqCst);
    keys.update_alias(&alias, &id).await.unwrap();
    delete.await.unwrap();
    assert_eq!(keys.resolve(&alias).await.unwrap_err().kind(), ErrorKind::AliasNotFound);
}

#[tokio::test]
async fn a_store_whose_creation_was_cut_off_is_found_by_its_id() {
    let (catalog, ledger) = odd().await;
    let id = StoreId::generate();
    catalog.commit_silent.store(true, SeqCst);
    {
        let mut create = Box::pin(KeyStore::builder(manager()).id(id.clone()).create(&ledger, name()));
        assert!(poll(create.as_mut()).is_pending());
    }
    catalog.commit_silent.store(false, SeqCst);
    let listed = ledger.stores(&PageRequest::default()).await.unwrap().items;
    assert_eq!(listed[0].custom_key_store_id, id);
    let store = KeyStore::builder(manager()).open(&ledger, &id).await.unwrap();
    assert_eq!(store.state(), ConnectionState::Disconnected);
}

#[tokio::test]
async fn a_store_is_deleted_when_its_keys_are() {
    let (_, ledger) = odd().await;
    let clock = ManualClock::new();
    let store = KeyStore::builder(manager()).clock(clock.clone()).create(&ledger, name()).await.unwrap();
    let store = store.connect().await.unwrap();
    let id = store.create_key(&NewKey::external(key())).await.unwrap().key_id;
    store.keys().schedule_deletion(&id, 7).await.unwrap();
    let error = store.disconnect().await.delete().await.unwrap_err();
    assert!(error.has_keys());
    let store = error.into_store();
    clock.advance(Duration::from_secs(7 * 86400));
    store.keys().delete_due().await.unwrap();
    let store_id = store.id().clone();
    store.delete().await.unwrap();
    assert!(ledger.stores(&PageRequest::default()).await.unwrap().items.is_empty());
    let error = KeyStore::builder(manager()).open(&ledger, &store_id).await.unwrap_err();
    assert_eq!(error.kind(), CatalogErrorKind::NotFound);
    KeyStore::builder(manager()).create(&ledger, name()).await.unwrap();
}

#[tokio::test]
async fn what_is_wrong_with_a_blob_counts_before_its_new_key() {
    let (_, _ledger, store, _) = store().await;
    let unknown = KeyId::new("00000000-0000-4000-8000-000000000000").unwrap();
    let error = store.re_encrypt(b"junk", &no_context(), &unknown, &no_context()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnknownVersion);
}
