//! Many threads at once: keys are used on several stores while others connect, disconnect, are changed in use, and names go from
//! one key to another.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use custom_key_store::backend::software::{KeyManager, Method};
use custom_key_store::backend::{BackingKeyId, Change, StoreConfiguration, XksProxyCredential};
use custom_key_store::catalog::{Ledger, SqliteCatalog};
use custom_key_store::kms::{
    BackendMap, ConnectionEvents, CreateCustomKeyStore, Decrypt, Encrypt, Exception, KeyRef, Kms, KmsError,
    ReEncrypt, StoreSecret,
};
use custom_key_store::{
    AliasName, ConnectionState, EncryptionContext, KeyId, KeyText, NewKey, PageRequest, SealingKey, StoreId,
    StoreName, TagKey, TagValue,
};
use futures::StreamExt as _;
use tokio::task::JoinSet;

use super::support::{cloud_hsm, connect, external};
use crate::support::{identity, ledger};

/// How often each task does what it does.
#[derive(Debug, Clone, Copy)]
struct Times {
    uses: usize,
    connections: usize,
    changes: usize,
}

/// A store, its key, and its key manager.
#[derive(Clone)]
struct Place {
    id: StoreId,
    key: KeyId,
    manager: KeyManager,
    /// Odd while a disconnect has returned and no connect has been called.
    connections: Arc<AtomicU64>,
}

/// How many uses of keys succeeded.
#[derive(Debug, Default)]
struct Counts {
    encrypted: AtomicU64,
    decrypted: AtomicU64,
}

/// Each store has a key manager of its own: by its path or its cluster.
fn backends(managers: Vec<(&'static str, KeyManager)>) -> BackendMap {
    BackendMap::new().kind(move |configuration: &StoreConfiguration, _: &StoreSecret| {
        let shown = format!("{configuration:?}");
        let (_, manager) = managers.iter().find(|(mark, _)| shown.contains(mark))?;
        Some(Ok(Arc::new(manager.client(configuration.clone(), None, None))))
    })
}

async fn place(kms: &Kms, create: CreateCustomKeyStore, new: NewKey, manager: &KeyManager) -> Place {
    let id = kms.create_custom_key_store(create).await.unwrap();
    connect(kms, &id).await;
    let key = kms.create_key(&id, &new).await.unwrap().key_id;
    Place { id, key, manager: manager.clone(), connections: Arc::default() }
}

fn context(number: usize) -> EncryptionContext {
    EncryptionContext::new([("number", number.to_string())]).unwrap()
}

/// Uses keys of all stores, one after the other. Those of the first two are there all the time.
async fn uses(kms: Kms, places: Vec<Place>, counts: Arc<Vec<Counts>>, times: usize) {
    for number in 0..times {
        let index = number % places.len();
        let place = &places[index];
        let (key, context) = (KeyRef::Id(place.key), context(number));
        let plaintext = format!("plaintext {number}");
        let before = place.connections.load(SeqCst);
        let used = async {
            let sealed = kms.encrypt(&Encrypt::new(&key, plaintext.as_bytes()).context(&context)).await?;
            counts[index].encrypted.fetch_add(1, SeqCst);
            let request = Decrypt::new(sealed.ciphertext.as_bytes()).context(&context).key(&key);
            let opened = kms.decrypt(&request).await?;
            counts[index].decrypted.fetch_add(1, SeqCst);
            assert_eq!(opened.plaintext.expose(), plaintext.as_bytes());
            // Into one of the two that are there, and with another context.
            let to = KeyRef::Id(places[number % 2].key);
            let request = ReEncrypt::new(sealed.ciphertext.as_bytes(), &to).source_context(&context);
            let moved = kms.re_encrypt(&request).await?;
            counts[index].decrypted.fetch_add(1, SeqCst);
            counts[number % 2].encrypted.fetch_add(1, SeqCst);
            let opened = kms.decrypt(&Decrypt::new(moved.ciphertext.as_bytes())).await?;
            counts[number % 2].decrypted.fetch_add(1, SeqCst);
            assert_eq!(opened.plaintext.expose(), plaintext.as_bytes());
            Ok::<(), KmsError>(())
        };
        let outcome = used.await;
        let gone = before % 2 == 1 && place.connections.load(SeqCst) == before;
        match outcome {
            Ok(()) => assert!(!gone, "used after its disconnect had returned"),
            Err(error) => {
                assert!(index >= 2, "{error:?}");
                assert_eq!(error.exception(), Exception::KmsInvalidState, "{error:?}");
            }
        }
    }
}

/// Connects and disconnects a store, again and again.
async fn connects(kms: Kms, place: Place, times: usize) {
    let key = KeyRef::Id(place.key);
    for _ in 0..times {
        kms.disconnect_custom_key_store(&place.id).await.unwrap();
        place.connections.fetch_add(1, SeqCst);
        let refused = kms.encrypt(&Encrypt::new(&key, b"too late")).await.unwrap_err();
        assert_eq!(refused.exception(), Exception::KmsInvalidState);
        let settled = kms.settled(&place.id).await.unwrap();
        assert_eq!(settled.connection_state, ConnectionState::Disconnected);
        place.connections.fetch_add(1, SeqCst);
        connect(&kms, &place.id).await;
    }
}

/// Changes a store that is used all the time.
async fn changes(kms: Kms, place: Place, times: usize) {
    for number in 0..times {
        let name = StoreName::new(format!("steady {}", number % 3)).unwrap();
        let change = Change::new().name(name.clone()).credential(XksProxyCredential::generate().unwrap());
        kms.update_custom_key_store(&place.id, change).await.unwrap();
        let named = kms.describe_custom_key_store_named(&name).await.unwrap();
        assert_eq!(named.custom_key_store_id, place.id);
    }
}

/// Gives a name of its own, and one that all want, to one key after the other.
async fn names(kms: Kms, own: usize, places: Vec<Place>, times: usize) {
    let own = AliasName::new(format!("alias/own-{own}")).unwrap();
    let shared = AliasName::new("alias/shared").unwrap();
    kms.create_alias(&own, &places[0].key).await.unwrap();
    for number in 0..times {
        let key = &places[number % places.len()].key;
        kms.update_alias(&own, key).await.unwrap();
        assert_eq!(kms.describe_key(&KeyRef::Alias(own.clone())).await.unwrap().key_id, *key);
        let (outcome, other) = match number % 3 {
            0 => (kms.create_alias(&shared, key).await, Exception::AlreadyExists),
            1 => (kms.update_alias(&shared, key).await, Exception::NotFound),
            _ => (kms.delete_alias(&shared).await, Exception::NotFound),
        };
        assert!(outcome.as_ref().err().is_none_or(|error| error.exception() == other), "{outcome:?}");
    }
    kms.delete_alias(&own).await.unwrap();
}

/// Makes keys, describes and tags them and lets them go.
async fn keys(kms: Kms, place: Place, times: usize) -> Vec<KeyId> {
    let mut made = Vec::new();
    for number in 0..times {
        let key = kms.create_key(&place.id, &NewKey::generated()).await.unwrap().key_id;
        kms.update_key_description(&key, KeyText::new(number.to_string()).unwrap()).await.unwrap();
        let tag = (TagKey::new("number").unwrap(), TagValue::new(number.to_string()).unwrap());
        kms.tag_resource(&key, std::slice::from_ref(&tag)).await.unwrap();
        assert_eq!(kms.list_resource_tags(&key).await.unwrap(), [tag]);
        kms.disable_key(&key).await.unwrap();
        let refused = kms.encrypt(&Encrypt::new(&key.into(), b"secret")).await.unwrap_err();
        assert_eq!(refused.exception(), Exception::Disabled);
        made.push(key);
    }
    made
}

/// Looks at everything, whatever is being done to it.
async fn looks(kms: Kms, stores: usize, times: usize) {
    for _ in 0..times {
        let page = PageRequest::first(2).unwrap();
        let first = kms.describe_custom_key_stores(&page).await.unwrap();
        let rest = kms.describe_custom_key_stores(&page.after(first.next.unwrap())).await.unwrap();
        assert_eq!(first.items.len() + rest.items.len(), stores);
        kms.list_keys(&PageRequest::default()).await.unwrap();
        kms.list_aliases(None, &PageRequest::default()).await.unwrap();
        tokio::task::yield_now().await;
    }
}

/// How often each store came to each state; each event must begin where the one before it ended.
async fn listens(mut events: ConnectionEvents) -> BTreeMap<(StoreId, ConnectionState), usize> {
    let (mut counts, mut last) = (BTreeMap::new(), BTreeMap::new());
    while let Some(event) = events.next().await {
        assert_eq!(event.missed, 0);
        let from = last.insert(event.store.clone(), event.to).unwrap_or(ConnectionState::Disconnected);
        assert_eq!(event.from, from, "{event:?}");
        *counts.entry((event.store, event.to)).or_default() += 1;
    }
    counts
}

async fn hammer(ledger: Ledger, times: Times) {
    let managers: Vec<_> = ["steady", "cluster-aaaa", "restless", "cluster-bbbb"]
        .into_iter()
        .map(|mark| (mark, KeyManager::new()))
        .collect();
    let of = |index: usize| &managers[index].1;
    let backing = BackingKeyId::new("root").unwrap();
    for (_, manager) in &managers {
        manager.create_key(backing.clone());
    }
    let opening = Kms::builder(ledger, backends(managers.clone())).without_quota().open();
    let (kms, driver) = opening.await.unwrap();
    let driver = tokio::spawn(driver);
    let listening = tokio::spawn(listens(kms.events()));
    let on_root = || NewKey::external(backing.clone());
    let places = vec![
        place(&kms, external("steady"), on_root(), of(0)).await,
        place(&kms, cloud_hsm("steady hsm", "aaaaaaaaaaa"), NewKey::generated(), of(1)).await,
        place(&kms, external("restless"), on_root(), of(2)).await,
        place(&kms, cloud_hsm("restless hsm", "bbbbbbbbbbb"), NewKey::generated(), of(3)).await,
    ];
    let counts: Arc<Vec<Counts>> = Arc::new(places.iter().map(|_| Counts::default()).collect());

    let mut tasks = JoinSet::new();
    for _ in 0..4 {
        tasks.spawn(uses(kms.clone(), places.clone(), Arc::clone(&counts), times.uses));
    }
    for place in &places[2..] {
        tasks.spawn(connects(kms.clone(), place.clone(), times.connections));
    }
    tasks.spawn(changes(kms.clone(), places[0].clone(), times.changes));
    for own in 0..3 {
        tasks.spawn(names(kms.clone(), own, places.clone(), times.changes));
    }
    tasks.spawn(looks(kms.clone(), places.len(), times.changes));
    let making = tokio::spawn(keys(kms.clone(), places[1].clone(), times.changes));
    while let Some(ended) = tasks.join_next().await {
        ended.unwrap();
    }
    let mut made = making.await.unwrap();

    // Every key is there, and no other.
    made.extend(places.iter().map(|place| place.key));
    made.sort_unstable();
    let page = PageRequest::first(PageRequest::MAX_LIMIT).unwrap();
    let listed = kms.list_keys(&page).await.unwrap().items;
    assert_eq!(listed.iter().map(|arn| arn.key_id()).collect::<Vec<_>>(), made);
    // Where nothing was cut off, what was asked for and what was done are the same.
    for (place, counts) in places.iter().zip(&*counts).take(2) {
        assert_eq!(place.manager.calls(Method::Encrypt), counts.encrypted.load(SeqCst));
        assert_eq!(place.manager.calls(Method::Decrypt), counts.decrypted.load(SeqCst));
    }

    kms.shut_down();
    driver.await.unwrap();
    let events = listening.await.unwrap();
    for (index, place) in places.iter().enumerate() {
        let again = if index < 2 { 0 } else { times.connections };
        let came_to = |state| events.get(&(place.id.clone(), state)).copied().unwrap_or(0);
        assert_eq!(came_to(ConnectionState::Connecting), 1 + again);
        assert_eq!(came_to(ConnectionState::Connected), 1 + again);
        assert_eq!(came_to(ConnectionState::Disconnecting), again);
        assert_eq!(came_to(ConnectionState::Disconnected), again);
        assert_eq!(came_to(ConnectionState::Failed), 0);
        assert_eq!(place.manager.open_connections(), 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_is_lost_and_nothing_comes_late_whatever_is_done_at_once() {
    hammer(ledger(), Times { uses: 400, connections: 60, changes: 60 }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nor_is_it_where_a_file_is_the_catalogue() {
    let folder = tempfile::tempdir().unwrap();
    let file = SqliteCatalog::create(folder.path().join("catalogue")).await.unwrap();
    let ledger = Ledger::create(file, &SealingKey::generate(), identity()).await.unwrap();
    hammer(ledger, Times { uses: 40, connections: 6, changes: 6 }).await;
}
