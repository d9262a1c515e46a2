//! A store that lasts is found after a restart as it was left.

use std::sync::Arc;

use async_trait::async_trait;
use custom_key_store::backend::software::{Fault, KeyManager, Method};
use custom_key_store::backend::{Change, ConnectionErrorCode, LiveChange};
use custom_key_store::catalog::{
    Catalog, CatalogError, CatalogErrorKind, Edit, Ledger, MemoryCatalog, Row, Snapshot, SqliteCatalog, Table,
};
use custom_key_store::{
    AnyKeyStore, Connected, ConnectionState, CreateError, KeyState, KeyStore, NewKey, SealingKey, StoreId,
    UpdateError,
};

use crate::support::{identity, key, manager, name, no_context, other_name};

/// A catalogue that fails on demand.
#[derive(Debug, Default)]
struct Sick {
    catalog: MemoryCatalog,
    fails: std::sync::atomic::AtomicBool,
}

impl Sick {
    fn set(&self, sick: bool) {
        self.fails.store(sick, std::sync::atomic::Ordering::SeqCst);
    }
}

#[async_trait]
impl Catalog for Sick {
    async fn read(&self, table: Table, id: &str) -> Result<Option<Row>, CatalogError> {
        self.catalog.read(table, id).await
    }
    async fn find(&self, table: Table, unique: &str) -> Result<Option<Row>, CatalogError> {
        self.catalog.find(table, unique).await
    }
    async fn list(
        &self,
        table: Table,
        owner: Option<&str>,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Row>, CatalogError> {
        self.catalog.list(table, owner, after, limit).await
    }
    async fn due(
        &self,
        table: Table,
        owner: Option<&str>,
        until: i64,
        limit: usize,
    ) -> Result<Vec<Row>, CatalogError> {
        self.catalog.due(table, owner, until, limit).await
    }
    async fn commit(&self, edits: Vec<Edit>) -> Result<(), CatalogError> {
        if self.fails.load(std::sync::atomic::Ordering::SeqCst) {
            return Err(CatalogError::new(CatalogErrorKind::Full));
        }
        self.catalog.commit(edits).await
    }
    async fn snapshot(&self) -> Result<Box<dyn Snapshot>, CatalogError> {
        self.catalog.snapshot().await
    }
    async fn close(&self) -> Result<(), CatalogError> {
        self.catalog.close().await
    }
}

async fn ledger() -> (Arc<Sick>, Ledger) {
    let catalog = Arc::new(Sick::default());
    let ledger =
        Ledger::create(Arc::clone(&catalog), &SealingKey::from_bytes(&[7; 32]), identity()).await.unwrap();
    (catalog, ledger)
}

/// As after the end of the process: a new ledger on what was kept.
async fn restarted(catalog: &Arc<Sick>, manager: &KeyManager, id: &StoreId) -> AnyKeyStore {
    let ledger = Ledger::open(Arc::clone(catalog), &SealingKey::from_bytes(&[7; 32])).await.unwrap();
    KeyStore::builder(manager.clone()).open(&ledger, id).await.unwrap()
}

async fn connected(ledger: &Ledger, manager: &KeyManager) -> KeyStore<Connected> {
    let store = KeyStore::builder(manager.clone()).create(ledger, name()).await.unwrap();
    store.connect().await.unwrap()
}

#[tokio::test]
async fn a_store_that_was_connected_connects_again_and_its_keys_work() {
    let (catalog, ledger) = ledger().await;
    let manager = manager();
    let store = connected(&ledger, &manager).await;
    let id = store.create_key(&NewKey::external(key())).await.unwrap().key_id;
    let blob = store.encrypt(&id, b"x", &no_context()).await.unwrap();
    let before = store.describe();
    drop(store);

    let mut store = restarted(&catalog, &manager, &before.custom_key_store_id).await;
    assert_eq!(store.state(), ConnectionState::Connecting);
    assert_eq!(store.keys().describe(&id).await.unwrap().key_state, KeyState::Unavailable);
    assert_eq!(store.settled().await, ConnectionState::Connected);
    assert_eq!(store.describe(), before);
    let handle = store.handle().unwrap();
    assert_eq!(handle.decrypt(blob.as_bytes(), &no_context()).await.unwrap().expose(), b"x");
}

#[tokio::test]
async fn a_store_that_was_disconnected_stays_so() {
    let (catalog, ledger) = ledger().await;
    let manager = manager();
    let store = connected(&ledger, &manager).await;
    let id = store.id().clone();
    let store = store.disconnect().await;
    assert!(store.disconnect_report().unwrap().unrecorded.is_none());
    drop(store);
    assert_eq!(restarted(&catalog, &manager, &id).await.state(), ConnectionState::Disconnected);
}

#[tokio::test]
async fn a_store_whose_disconnect_was_under_way_is_disconnected() {
    let (catalog, ledger) = ledger().await;
    let manager = manager();
    let store = connected(&ledger, &manager).await;
    let id = store.id().clone();
    manager.inject(Method::Close, Fault::Hang);
    let mut disconnecting = store.disconnect();
    {
        let settled = std::pin::pin!(disconnecting.settled());
        assert!(futures::FutureExt::now_or_never(settled).is_none());
    }
    drop(disconnecting);
    assert_eq!(restarted(&catalog, &manager, &id).await.state(), ConnectionState::Disconnected);
}

#[tokio::test]
async fn a_disconnect_that_nobody_awaits_is_not_written_down() {
    let (catalog, ledger) = ledger().await;
    let manager = manager();
    let store = connected(&ledger, &manager).await;
    let (id, handle) = (store.id().clone(), store.handle());
    drop(store.disconnect());
    // It took effect, and nobody remembers it.
    assert!(!handle.is_connected());
    assert_eq!(manager.open_connections(), 0);
    assert_eq!(restarted(&catalog, &manager, &id).await.state(), ConnectionState::Connecting);
}

#[tokio::test]
async fn a_store_that_had_failed_has_failed_with_its_code() {
    let (catalog, ledger) = ledger().await;
    let manager = manager();
    let store = KeyStore::builder(manager.clone()).create(&ledger, name()).await.unwrap();
    let id = store.id().clone();
    manager.inject(Method::Connect, Fault::Refuse(ConnectionErrorCode::XksProxyAccessDenied));
    let failed = store.connect().await.unwrap_err();
    drop(failed);
    let mut store = restarted(&catalog, &manager, &id).await;
    assert_eq!(store.state(), ConnectionState::Failed);
    assert_eq!(store.describe().connection_error_code, Some(ConnectionErrorCode::XksProxyAccessDenied));
    // The way out is the same as ever, and is kept too.
    store.disconnect().unwrap();
    store.settled().await;
    drop(store);
    assert_eq!(restarted(&catalog, &manager, &id).await.state(), ConnectionState::Disconnected);
}

#[tokio::test]
async fn a_store_that_was_being_connected_is_being_connected_again_unless_somebody_gave_it_up() {
    let (catalog, ledger) = ledger().await;
    let manager = manager();
    let store = KeyStore::builder(manager.clone()).create(&ledger, name()).await.unwrap();
    let id = store.id().clone();
    manager.inject(Method::Connect, Fault::Hang);
    let mut connecting = store.connect();
    {
        let settled = std::pin::pin!(connecting.settled());
        assert!(futures::FutureExt::now_or_never(settled).is_none());
    }
    drop(connecting);
    let mut store = restarted(&catalog, &manager, &id).await;
    assert_eq!(store.state(), ConnectionState::Connecting);
    store.disconnect().unwrap();
    assert_eq!(store.settled().await, ConnectionState::Disconnected);
    drop(store);
    assert_eq!(restarted(&catalog, &manager, &id).await.state(), ConnectionState::Disconnected);
}

#[tokio::test]
async fn an_attempt_that_cannot_be_written_down_fails_and_leaves_no_connection() {
    let (catalog, ledger) = ledger().await;
    let manager = manager();
    let store = KeyStore::builder(manager.clone()).create(&ledger, name()).await.unwrap();
    catalog.set(true);
    let error = store.connect().await.unwrap_err();
    assert_eq!(error.connection_error().code(), ConnectionErrorCode::InternalError);
    assert!(error.connection_error().detail().unwrap().contains("catalogue"), "{error:?}");
    assert_eq!(manager.open_connections(), 0);
    assert_eq!(manager.calls(Method::Connect), 1, "that of the creation");
}

#[tokio::test]
async fn a_disconnect_that_cannot_be_written_down_takes_place_and_says_so() {
    let (catalog, ledger) = ledger().await;
    let manager = manager();
    let store = connected(&ledger, &manager).await;
    let handle = store.handle();
    catalog.set(true);
    let store = store.disconnect().await;
    assert!(!handle.is_connected());
    assert_eq!(manager.open_connections(), 0);
    let unrecorded = store.disconnect_report().unwrap().unrecorded.clone().unwrap();
    assert_eq!(unrecorded.kind(), CatalogErrorKind::Full);
}

#[tokio::test]
async fn changes_are_kept_or_not_made() {
    let (catalog, ledger) = ledger().await;
    let manager = manager();
    let mut store = connected(&ledger, &manager).await;
    let id = store.id().clone();
    store.update(LiveChange::new().name(other_name())).await.unwrap();
    catalog.set(true);
    let error = store.update(LiveChange::new().name(name())).await.unwrap_err();
    assert!(matches!(error, UpdateError::Catalog(_)), "{error:?}");
    assert_eq!(*store.name(), other_name());
    catalog.set(false);
    let mut store = store.disconnect().await;
    store.update(Change::new().name(name())).await.unwrap();
    store.update(Change::new().name(other_name())).await.unwrap();
    drop(store);
    assert_eq!(*restarted(&catalog, &manager, &id).await.name(), other_name());
}

#[tokio::test]
async fn a_name_is_one_stores_alone() {
    let (_, ledger) = ledger().await;
    let first = KeyStore::builder(manager()).create(&ledger, name()).await.unwrap();
    let error = KeyStore::builder(manager()).create(&ledger, name()).await.unwrap_err();
    assert!(error.to_string().contains(name().as_str()), "{error}");
    assert!(matches!(error, CreateError::NameTaken(taken) if taken == name()));
    let mut second = KeyStore::builder(manager()).create(&ledger, other_name()).await.unwrap();
    let error = second.update(Change::new().name(name())).await.unwrap_err();
    let UpdateError::Catalog(error) = error else { panic!("{error:?}") };
    assert_eq!(error.kind(), CatalogErrorKind::UniqueTaken);
    assert_eq!(*second.name(), other_name());
    drop(first);
}

#[tokio::test]
async fn a_store_is_one_owners_at_a_time() {
    let (_, ledger) = ledger().await;
    let store = connected(&ledger, &manager()).await;
    let id = store.id().clone();
    let error = KeyStore::builder(manager()).open(&ledger, &id).await.unwrap_err();
    assert_eq!(error.kind(), CatalogErrorKind::InUse);
    drop(store);
    let opened = KeyStore::builder(manager()).open(&ledger, &id).await.unwrap();
    drop(opened);
    let missing = KeyStore::builder(manager()).open(&ledger, &StoreId::new("cks-none").unwrap()).await;
    assert_eq!(missing.unwrap_err().kind(), CatalogErrorKind::NotFound);
}

#[tokio::test]
async fn a_store_is_opened_by_a_backend_of_its_type() {
    let (_, ledger) = ledger().await;
    let store = KeyStore::builder(manager()).create(&ledger, name()).await.unwrap();
    let id = store.id().clone();
    drop(store);
    let error = KeyStore::builder(crate::support::cluster()).open(&ledger, &id).await.unwrap_err();
    assert_eq!(error.kind(), CatalogErrorKind::OtherType);
}

#[tokio::test]
async fn a_creation_that_the_key_manager_refuses_leaves_nothing_behind() {
    let (_, ledger) = ledger().await;
    let manager = manager();
    manager.inject(Method::Connect, Fault::Refuse(ConnectionErrorCode::XksProxyInvalidConfiguration));
    let error = KeyStore::builder(manager.clone()).create(&ledger, name()).await.unwrap_err();
    let CreateError::Refused(error) = error else { panic!("{error:?}") };
    assert_eq!(error.code(), ConnectionErrorCode::XksProxyInvalidConfiguration);
    KeyStore::builder(manager).create(&ledger, name()).await.unwrap();
}

#[tokio::test]
async fn a_store_in_a_file_is_found_again_with_its_keys() {
    let folder = tempfile::tempdir().unwrap();
    let (file, sealing_key) = (folder.path().join("keys.sqlite"), folder.path().join("sealing.key"));
    let manager = manager();
    let (store_id, key_id, blob) = {
        let sealer = SealingKey::create_file(&sealing_key).unwrap();
        let catalog = SqliteCatalog::create(&file).await.unwrap();
        let ledger = Ledger::create(catalog, &sealer, identity()).await.unwrap();
        let store = connected(&ledger, &manager).await;
        let key_id = store.create_key(&NewKey::external(key())).await.unwrap().key_id;
        let blob = store.encrypt(&key_id, b"x", &no_context()).await.unwrap();
        // The file is one owner's.
        assert_eq!(SqliteCatalog::open(&file).await.unwrap_err().kind(), CatalogErrorKind::InUse);
        let id = store.id().clone();
        drop(store);
        ledger.close().await.unwrap();
        (id, key_id, blob)
    };
    let sealer = SealingKey::from_file(&sealing_key).unwrap();
    let ledger = Ledger::open(SqliteCatalog::open(&file).await.unwrap(), &sealer).await.unwrap();
    assert_eq!(ledger.verify().await.unwrap().altered, []);
    let mut store = KeyStore::builder(manager.clone()).open(&ledger, &store_id).await.unwrap();
    assert_eq!(store.settled().await, ConnectionState::Connected);
    let handle = store.handle().unwrap();
    assert_eq!(handle.decrypt(blob.as_bytes(), &no_context()).await.unwrap().expose(), b"x");
    assert_eq!(handle.keys().describe(&key_id).await.unwrap().key_state, KeyState::Enabled);
}
