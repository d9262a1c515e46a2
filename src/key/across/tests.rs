use std::collections::BTreeSet;
use std::future::{Future as _, pending};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use async_trait::async_trait;
use futures::executor::block_on;

use super::{DUE, find_alias, find_key, list_aliases, list_keys, stores_with_keys_due};
use crate::backend::software::KeyManager;
use crate::backend::{BackingKeyId, StoreName};
use crate::catalog::{
    Catalog, CatalogError, CatalogErrorKind, Edit, Ledger, MemoryCatalog, Row, Snapshot, Table,
};
use crate::clock::ManualClock;
use crate::crypto::SealingKey;
use crate::error::{Error, ErrorKind};
use crate::identity::Identity;
use crate::key::{AliasName, KeyId, NewKey, PageRequest, Timing};
use crate::store::{Connected, KeyStore, StoreBuilder};

/// A catalogue that counts the searches for what is due, and answers no more when it is told so.
#[derive(Debug, Default)]
struct Watched {
    catalog: MemoryCatalog,
    searches: AtomicUsize,
    hangs: AtomicBool,
}

impl Watched {
    async fn answer(&self) {
        if self.hangs.load(Ordering::SeqCst) {
            pending::<()>().await;
        }
    }
}

#[async_trait]
impl Catalog for Watched {
    async fn read(&self, table: Table, id: &str) -> Result<Option<Row>, CatalogError> {
        self.answer().await;
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
        self.answer().await;
        self.catalog.list(table, owner, after, limit).await
    }

    async fn due(
        &self,
        table: Table,
        owner: Option<&str>,
        until: i64,
        limit: usize,
    ) -> Result<Vec<Row>, CatalogError> {
        self.searches.fetch_add(1, Ordering::SeqCst);
        self.answer().await;
        self.catalog.due(table, owner, until, limit).await
    }

    async fn commit(&self, edits: Vec<Edit>) -> Result<(), CatalogError> {
        self.catalog.commit(edits).await
    }

    async fn snapshot(&self) -> Result<Box<dyn Snapshot>, CatalogError> {
        self.catalog.snapshot().await
    }

    async fn close(&self) -> Result<(), CatalogError> {
        self.catalog.close().await
    }
}

/// Two stores in one catalogue.
struct Stage {
    catalog: Arc<Watched>,
    clock: ManualClock,
    timing: Timing,
    ledger: Ledger,
    stores: [KeyStore<Connected>; 2],
}

const LIMIT: Duration = Duration::from_secs(5);

impl Stage {
    fn new() -> Self {
        let (catalog, clock) = (Arc::new(Watched::default()), ManualClock::new());
        let sealer = SealingKey::from_bytes(&[7; 32]);
        let ledger = block_on(Ledger::create(Arc::clone(&catalog), &sealer, Identity::nobody())).unwrap();
        let stores = ["first", "second"].map(|name| {
            let manager = KeyManager::new();
            (0..10).for_each(|number| manager.create_key(backing_key(number)));
            let builder = StoreBuilder::new(Arc::new(manager)).clock(clock.clone());
            let store = block_on(builder.create(&ledger, StoreName::new(name).unwrap())).unwrap();
            block_on(store.connect().into_future()).unwrap()
        });
        let timing = Timing { clock: Arc::new(clock.clone()), limit: LIMIT };
        Self { catalog, clock, timing, ledger, stores }
    }

    fn key(&self, store: usize, number: usize) -> KeyId {
        let new = NewKey::external(backing_key(number));
        block_on(self.stores[store].create_key(&new)).unwrap().key_id
    }

    fn alias(&self, name: &AliasName) -> Result<KeyId, Error> {
        block_on(find_alias(&self.ledger, &self.timing, name)).map(|alias| alias.key)
    }

    fn due(&self) -> Option<BTreeSet<crate::StoreId>> {
        block_on(stores_with_keys_due(&self.ledger, &self.timing)).unwrap()
    }
}

fn backing_key(number: usize) -> BackingKeyId {
    BackingKeyId::new(format!("key-{number}")).unwrap()
}

fn alias(name: &str) -> AliasName {
    AliasName::new(name).unwrap()
}

#[test]
fn a_key_is_found_with_the_store_that_it_belongs_to() {
    let stage = Stage::new();
    for (store, number) in [(0, 0), (1, 0), (1, 1)] {
        let id = stage.key(store, number);
        let key = block_on(find_key(&stage.ledger, &stage.timing, &id)).unwrap();
        assert_eq!((key.id, &key.store), (id, stage.stores[store].id()));
        assert_eq!(*key.backing_key(), backing_key(number));
    }
    let unknown = KeyId::from_bytes([1; 16]);
    let error = block_on(find_key(&stage.ledger, &stage.timing, &unknown)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::KeyNotFound);
}

#[test]
fn a_name_moves_from_a_key_of_one_store_to_that_of_another() {
    let stage = Stage::new();
    let (first, second) = (stage.key(0, 0), stage.key(1, 0));
    let name = alias("alias/moves");
    let keys = stage.stores.each_ref().map(|store| store.keys());
    assert_eq!(stage.alias(&name).unwrap_err().kind(), ErrorKind::AliasNotFound);
    assert_eq!(
        block_on(keys[1].take_alias(&name, &first, &second)).unwrap_err().kind(),
        ErrorKind::AliasNotFound
    );

    block_on(keys[0].create_alias(&name, &first)).unwrap();
    assert_eq!(stage.alias(&name).unwrap(), first);
    // Within one store it is as ever: the other one's name is none of its.
    assert_eq!(block_on(keys[1].update_alias(&name, &second)).unwrap_err().kind(), ErrorKind::AliasNotFound);

    // Not from a key that it does not stand for.
    assert_eq!(block_on(keys[1].take_alias(&name, &second, &second)).unwrap_err().kind(), ErrorKind::Busy);
    block_on(keys[1].take_alias(&name, &first, &second)).unwrap();
    assert_eq!(stage.alias(&name).unwrap(), second);
    assert_eq!(block_on(keys[1].resolve(&name)).unwrap(), second);
    assert_eq!(block_on(keys[0].resolve(&name)).unwrap_err().kind(), ErrorKind::AliasNotFound);
    assert!(block_on(keys[0].aliases(&first, &PageRequest::default())).unwrap().items.is_empty());
    assert_eq!(block_on(keys[0].delete_alias(&name)).unwrap_err().kind(), ErrorKind::AliasNotFound);

    // To no key that is not there, is another store's, or goes.
    for other in [KeyId::from_bytes([1; 16]), second] {
        assert_eq!(
            block_on(keys[0].take_alias(&name, &second, &other)).unwrap_err().kind(),
            ErrorKind::KeyNotFound
        );
    }
    block_on(keys[0].schedule_deletion(&first, 7)).unwrap();
    let error = block_on(keys[0].take_alias(&name, &second, &first)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::KeyPendingDeletion);
    assert_eq!(stage.alias(&name).unwrap(), second);

    assert_eq!(block_on(keys[1].delete_alias_of(&name, &first)).unwrap_err().kind(), ErrorKind::Busy);
    block_on(keys[1].delete_alias_of(&name, &second)).unwrap();
    assert_eq!(stage.alias(&name).unwrap_err().kind(), ErrorKind::AliasNotFound);
}

#[test]
fn all_keys_and_all_aliases_are_listed_in_order_and_in_pages() {
    let stage = Stage::new();
    let mut keys: Vec<KeyId> =
        (0..5).flat_map(|number| [stage.key(0, number), stage.key(1, number)]).collect();
    let mut names = Vec::new();
    for (number, key) in keys.iter().enumerate() {
        let name = alias(&format!("alias/{}", number * 7 % 10));
        block_on(stage.stores[number % 2].keys().create_alias(&name, key)).unwrap();
        names.push((name.to_string(), *key));
    }
    keys.sort_by_key(ToString::to_string);
    names.sort();

    let (mut found_keys, mut found_names, mut sizes) = (Vec::new(), Vec::new(), Vec::new());
    let first = PageRequest::first(4).unwrap();
    let (mut next_keys, mut next_names) = (Some(first.clone()), Some(first.clone()));
    while let (Some(of_keys), Some(of_names)) = (next_keys.take(), next_names.take()) {
        let page = block_on(list_keys(&stage.ledger, &stage.timing, &of_keys)).unwrap();
        sizes.push(page.items.len());
        found_keys.extend(page.items.iter().map(|key| key.id));
        next_keys = page.next.map(|marker| first.clone().after(marker));
        let page = block_on(list_aliases(&stage.ledger, &stage.timing, &of_names)).unwrap();
        found_names.extend(page.items.iter().map(|alias| (alias.name.to_string(), alias.key)));
        next_names = page.next.map(|marker| first.clone().after(marker));
    }
    assert_eq!((found_keys, found_names, sizes), (keys, names, vec![4, 4, 2]));

    // The marker of one list is none of another.
    let page = block_on(list_keys(&stage.ledger, &stage.timing, &first)).unwrap();
    let mixed = first.after(page.next.unwrap());
    let error = block_on(list_aliases(&stage.ledger, &stage.timing, &mixed)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    let error = block_on(stage.stores[0].keys().list(&mixed)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
}

#[test]
fn stores_with_keys_that_are_due_are_found_by_one_search() {
    let stage = Stage::new();
    let keys = [stage.key(0, 0), stage.key(1, 0), stage.key(1, 1)];
    let [first, second] = stage.stores.each_ref().map(|store| store.id().clone());
    assert_eq!((stage.due(), stage.catalog.searches.load(Ordering::SeqCst)), (Some(BTreeSet::new()), 1));

    let days = |days: u64| Duration::from_secs(days * 24 * 60 * 60);
    block_on(stage.stores[0].keys().schedule_deletion(&keys[0], 8)).unwrap();
    for key in &keys[1..] {
        block_on(stage.stores[1].keys().schedule_deletion(key, 7)).unwrap();
    }
    assert_eq!(stage.due(), Some(BTreeSet::new()));
    stage.clock.advance(days(7));
    assert_eq!(stage.due(), Some(BTreeSet::from([second.clone()])));
    stage.clock.advance(days(1));
    assert_eq!(stage.due(), Some(BTreeSet::from([first.clone(), second])));
    assert_eq!(block_on(stage.stores[1].keys().delete_due()).unwrap().deleted.len(), 2);
    assert_eq!(stage.due(), Some(BTreeSet::from([first])));
}

#[test]
fn more_keys_than_are_looked_at_may_be_those_of_every_store() {
    let stage = Stage::new();
    let manager = KeyManager::new();
    let builder = StoreBuilder::new(Arc::new(manager.clone())).clock(stage.clock.clone());
    let store = block_on(builder.create(&stage.ledger, StoreName::new("third").unwrap())).unwrap();
    let store = block_on(store.connect().into_future()).unwrap();
    for number in 0..=DUE {
        manager.create_key(backing_key(number));
        let new = NewKey::external(backing_key(number));
        let id = block_on(store.create_key(&new)).unwrap().key_id;
        block_on(store.keys().schedule_deletion(&id, 7)).unwrap();
    }
    stage.clock.advance(Duration::from_secs(7 * 24 * 60 * 60));
    assert_eq!(stage.due(), None);
    assert_eq!(block_on(store.keys().delete_due()).unwrap().deleted.len(), DUE + 1);
    assert_eq!(stage.due(), Some(BTreeSet::new()));
}

#[test]
fn a_catalogue_that_hangs_is_waited_for_no_longer_than_the_limit() {
    let stage = Stage::new();
    stage.catalog.hangs.store(true, Ordering::SeqCst);
    let (ledger, timing, page) = (&stage.ledger, &stage.timing, &PageRequest::default());
    let (id, name) = (KeyId::from_bytes([1; 16]), alias("alias/a"));
    let late = |kind: Result<(), Error>| kind.unwrap_err().kind();
    let mut work = [
        Box::pin(async { find_key(ledger, timing, &id).await.map(drop) })
            as futures::future::LocalBoxFuture<'_, Result<(), Error>>,
        Box::pin(async { find_alias(ledger, timing, &name).await.map(drop) }),
        Box::pin(async { list_keys(ledger, timing, page).await.map(drop) }),
        Box::pin(async { list_aliases(ledger, timing, page).await.map(drop) }),
        Box::pin(async { stores_with_keys_due(ledger, timing).await.map(drop) }),
    ];
    let mut cx = Context::from_waker(Waker::noop());
    for work in &mut work {
        assert!(pin!(work).poll(&mut cx).is_pending());
    }
    stage.clock.advance(LIMIT);
    for work in &mut work {
        let Poll::Ready(outcome) = pin!(work).poll(&mut cx) else { panic!("it waits on") };
        assert_eq!(late(outcome), ErrorKind::Catalog(CatalogErrorKind::Unavailable));
    }
}
