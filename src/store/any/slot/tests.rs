//! What can be seen only with the store in a slot.

mod leaving;
mod recording;
mod revising;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use async_trait::async_trait;
use futures::executor::block_on;

use crate::backend::software::KeyManager;
use crate::backend::{BackingKeyId, StoreName};
use crate::catalog::{Catalog, CatalogError, Edit, Ledger, MemoryCatalog, Row, Snapshot, Stored, Table};
use crate::clock::ManualClock;
use crate::crypto::SealingKey;
use crate::identity::Identity;
use crate::key::{KeyId, NewKey};
use crate::store::{AnyKeyStore, ConnectionState, Kept, StoreBuilder, StoreRecord};

/// A store that is kept, with all that it depends on.
struct Stage {
    manager: KeyManager,
    clock: ManualClock,
    ledger: Ledger,
}

fn name(text: &str) -> StoreName {
    StoreName::new(text).unwrap()
}

impl Stage {
    fn new() -> Self {
        let clock = ManualClock::new();
        let manager = KeyManager::builder().clock(clock.clone()).build();
        manager.create_key(BackingKeyId::new("key").unwrap());
        let catalog = Yielding(MemoryCatalog::new());
        let sealer = SealingKey::from_bytes(&[7; 32]);
        let ledger = block_on(Ledger::create(catalog, &sealer, Identity::nobody())).unwrap();
        Self { manager, clock, ledger }
    }

    fn builder(&self) -> StoreBuilder {
        StoreBuilder::new(Arc::new(self.manager.clone())).clock(self.clock.clone())
    }

    fn store(&self) -> AnyKeyStore {
        block_on(self.builder().create(&self.ledger, name("root"))).unwrap().into()
    }

    fn connected(&self) -> AnyKeyStore {
        let mut store = self.store();
        store.connect().unwrap();
        assert_eq!(block_on(store.settled()), ConnectionState::Connected);
        store
    }

    fn record(&self) -> Stored<StoreRecord> {
        block_on(self.ledger.list(None, None, 10)).unwrap().pop().unwrap()
    }

    fn kept(&self) -> Kept {
        self.record().record.state
    }

    /// As a process that begins finds it.
    fn restarted(&self) -> AnyKeyStore {
        self.builder().open_listed(&self.ledger, self.record()).unwrap()
    }
}

/// A new KMS key, ready for use.
fn key(store: &AnyKeyStore) -> KeyId {
    let new = NewKey::external(BackingKeyId::new("key").unwrap());
    let handle = store.handle().unwrap();
    let id = block_on(handle.create_key(&new)).unwrap().key_id;
    block_on(handle.may_encrypt(&id)).unwrap();
    id
}

fn poll<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}

fn poll_store(store: &mut AnyKeyStore) -> Poll<ConnectionState> {
    store.poll_settled(&mut Context::from_waker(Waker::noop()))
}

/// A catalogue in which everything takes a moment, so that others come in between.
#[derive(Debug)]
struct Yielding(MemoryCatalog);

async fn moment() {
    let mut waited = false;
    std::future::poll_fn(|cx| {
        if std::mem::replace(&mut waited, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

#[async_trait]
impl Catalog for Yielding {
    async fn read(&self, table: Table, id: &str) -> Result<Option<Row>, CatalogError> {
        moment().await;
        self.0.read(table, id).await
    }

    async fn find(&self, table: Table, unique: &str) -> Result<Option<Row>, CatalogError> {
        self.0.find(table, unique).await
    }

    async fn list(
        &self,
        table: Table,
        owner: Option<&str>,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Row>, CatalogError> {
        self.0.list(table, owner, after, limit).await
    }

    async fn due(
        &self,
        table: Table,
        owner: Option<&str>,
        until: i64,
        limit: usize,
    ) -> Result<Vec<Row>, CatalogError> {
        self.0.due(table, owner, until, limit).await
    }

    async fn commit(&self, edits: Vec<Edit>) -> Result<(), CatalogError> {
        moment().await;
        self.0.commit(edits).await
    }

    async fn snapshot(&self) -> Result<Box<dyn Snapshot>, CatalogError> {
        self.0.snapshot().await
    }

    async fn close(&self) -> Result<(), CatalogError> {
        self.0.close().await
    }
}
