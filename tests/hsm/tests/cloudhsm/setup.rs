//! What the tests have in common.

use std::path::Path;
use std::time::Duration;

use custom_key_store::backend::{AccountId, Change, ConnectionErrorCode};
use custom_key_store::backend::{
    Backend as _, CloudHsmClusterId, ConnectReason, ConnectRequest, Connection, ConnectionError,
    KeyStorePassword,
};
use custom_key_store::catalog::{CatalogErrorKind, Ledger, SqliteCatalog};
use custom_key_store::clock::ManualClock;
use custom_key_store::cloudhsm::{CloudHsmBuilder, CloudHsmCluster, Pin, TokenName};
use custom_key_store::{
    AnyKeyStore, ConnectionState, Disconnected, Identity, KeyStore, Partition, Region, SealingKey, StoreId,
    StoreName,
};
use custom_key_store_hsm::{Hsm, Token};
use futures::executor::block_on;
use std::sync::Arc;

/// A cluster that is this token, through this library.
pub(crate) fn described(library: &Path, token: &Token) -> CloudHsmBuilder {
    named(library, token, TokenName::Label(token.label().to_owned()))
}

/// The same by another name.
pub(crate) fn named(library: &Path, token: &Token, name: TokenName) -> CloudHsmBuilder {
    CloudHsmCluster::builder()
        .library(library)
        .token(name)
        .cluster_id(CloudHsmClusterId::new("cluster-abcdefghij2").unwrap())
        .pin(Pin::new(&token.pin()).unwrap())
}

/// The first token, through the shim.
pub(crate) fn cluster(hsm: &Hsm) -> CloudHsmBuilder {
    described(hsm.shim().library(), hsm.token())
}

pub(crate) fn request(reason: ConnectReason) -> ConnectRequest {
    ConnectRequest::new(reason, Duration::from_secs(10))
}

pub(crate) async fn connect(cluster: &CloudHsmCluster) -> Result<Arc<dyn Connection>, ConnectionError> {
    cluster.connect(&request(ConnectReason::Connect)).await
}

/// A store in memory alone.
pub(crate) fn ephemeral(cluster: CloudHsmBuilder) -> KeyStore<Disconnected> {
    KeyStore::ephemeral(StoreName::new("hsm").unwrap(), cluster.build().unwrap())
}

pub(crate) fn password(text: &str) -> KeyStorePassword {
    KeyStorePassword::new(text).unwrap()
}

/// Tells the store a password.
pub(crate) async fn tell(store: &mut KeyStore<Disconnected>, text: &str) {
    store.update(Change::new().password(password(text))).await.unwrap();
}

/// Connects a store, which fails with this code, and leads it out. Gives the detail too.
pub(crate) async fn fails(
    store: KeyStore<Disconnected>,
    code: ConnectionErrorCode,
) -> (KeyStore<Disconnected>, String) {
    let failed = store.connect().await.unwrap_err().into_store();
    assert_eq!(failed.error_code(), code, "{}", failed.connection_error());
    let description = failed.describe();
    assert_eq!(description.connection_state, ConnectionState::Failed);
    assert_eq!(description.connection_error_code, Some(code));
    let detail = failed.connection_error().detail().unwrap_or_default().to_owned();
    let store = failed.disconnect().await;
    assert_eq!(store.describe().connection_error_code, None);
    (store, detail)
}

/// Connects and disconnects a store, which works.
pub(crate) async fn works(store: KeyStore<Disconnected>) -> KeyStore<Disconnected> {
    let store = store.connect().await.unwrap();
    assert_eq!(store.generate_random(16).await.unwrap().len(), 16);
    store.disconnect().await
}

/// Awaits this, and has the cluster's deadline pass whenever a call of the function hangs.
pub(crate) fn past_the_deadline<T: Send>(
    hsm: &Hsm,
    clock: &ManualClock,
    function: &str,
    work: impl Future<Output = T> + Send,
) -> T {
    std::thread::scope(|scope| {
        let working = scope.spawn(|| block_on(work));
        while !working.is_finished() {
            if hsm.shim().hanging(function) > 0 {
                // Time and again: the call may hang before anybody waits for it.
                clock.advance(Duration::from_secs(2));
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        working.join().unwrap()
    })
}

pub(crate) fn identity() -> Identity {
    Identity::new(
        Partition::new("aws").unwrap(),
        Region::new("eu-central-1").unwrap(),
        AccountId::new("111122223333").unwrap(),
    )
}

/// A store in a new catalogue in this file.
pub(crate) async fn kept(path: &Path, cluster: CloudHsmBuilder) -> KeyStore<Disconnected> {
    let catalog = SqliteCatalog::create(path).await.unwrap();
    let ledger = Ledger::create(catalog, &SealingKey::from_bytes(&[7; 32]), identity()).await.unwrap();
    let name = StoreName::new("hsm").unwrap();
    KeyStore::builder(cluster.build().unwrap()).create(&ledger, name).await.unwrap()
}

/// The store that is in this file, as after the end of the process that had it.
pub(crate) async fn opened(path: &Path, id: &StoreId, cluster: CloudHsmBuilder) -> AnyKeyStore {
    // Whoever had the file lets go of it on a thread of its own.
    let catalog = loop {
        match SqliteCatalog::open(path).await {
            Ok(catalog) => break catalog,
            Err(error) => assert_eq!(error.kind(), CatalogErrorKind::InUse),
        }
        std::thread::sleep(Duration::from_millis(1));
    };
    let ledger = Ledger::open(catalog, &SealingKey::from_bytes(&[7; 32])).await.unwrap();
    KeyStore::builder(cluster.build().unwrap()).open(&ledger, id).await.unwrap()
}

/// Waits until all sessions are closed, and so whoever was logged in is no more.
pub(crate) fn await_no_sessions(hsm: &Hsm) {
    while hsm.shim().sessions() > 0 {
        std::thread::sleep(Duration::from_millis(1));
    }
    hsm.shim().settle();
}

/// Somebody in the process logs out, which is for everybody: a login is of no session.
pub(crate) fn log_out(hsm: &Hsm) {
    let context = hsm.initialized(hsm.shim().library());
    context.open_rw_session(hsm.token().slot(&context)).unwrap().logout().unwrap();
}
