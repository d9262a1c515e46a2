//! A service starts by the same code the first time and every later time, also after a start that was cut off.

use std::path::Path;
use std::sync::Arc;

use custom_key_store::backend::software::{Fault, KeyManager, Method};
use custom_key_store::backend::{AccountId, Change, ConnectionErrorCode};
use custom_key_store::catalog::{
    Catalog as _, CatalogErrorKind, Edit, Ledger, MemoryCatalog, Row, SqliteCatalog, Table,
};
use custom_key_store::{
    AliasName, Connected, CreateError, Error, ErrorKind, Identity, KeyId, KeyStore, NewKey, SealingKey,
};

use crate::support::{cluster, identity, key, ledger, manager, name, no_context, other_name};

type Failure = Box<dyn std::error::Error>;

/// What the front page has a service do.
async fn start(folder: &Path, manager: &KeyManager) -> Result<(Ledger, KeyStore<Connected>), Failure> {
    let (catalog, sealing_key) = (folder.join("stores.sqlite"), folder.join("sealing.key"));
    let sealer = match SealingKey::from_file(&sealing_key) {
        Err(error) if error.is_not_found() && !catalog.try_exists()? => {
            SealingKey::create_file(&sealing_key)?
        }
        found => found?,
    };
    let catalog = SqliteCatalog::open_or_create(catalog).await?;
    let ledger = Ledger::open_or_create(catalog, &sealer, identity()).await?;
    let store = KeyStore::builder(manager.clone()).open_or_create(&ledger, name()).await?;
    Ok((ledger, store.into_connected().await?))
}

async fn key_of(store: &KeyStore<Connected>) -> Result<KeyId, Error> {
    let alias = AliasName::new("alias/payroll").unwrap();
    match store.keys().resolve(&alias).await {
        Err(error) if error.kind() == ErrorKind::AliasNotFound => {
            let id = store.create_key(&NewKey::external(key())).await?.key_id;
            store.keys().create_alias(&alias, &id).await?;
            Ok(id)
        }
        found => found,
    }
}

#[tokio::test]
async fn the_first_start_and_every_later_one_are_the_same_code() {
    let folder = tempfile::tempdir().unwrap();
    let manager = manager();
    let mut blobs: Vec<Vec<u8>> = Vec::new();
    for disconnects in [false, true, false] {
        let (ledger, store) = start(folder.path(), &manager).await.unwrap();
        let id = key_of(&store).await.unwrap();
        blobs.push(store.encrypt(&id, b"x", &no_context()).await.unwrap().into_bytes());
        for blob in &blobs {
            assert_eq!(store.decrypt(blob, &no_context()).await.unwrap().expose(), b"x");
        }
        if disconnects {
            drop(store.disconnect().await);
        } else {
            drop(store);
        }
        ledger.close().await.unwrap();
    }
}

#[tokio::test]
async fn a_start_that_was_cut_off_at_any_point_is_made_up_for() {
    let manager = manager();
    for cut_off in 0..4 {
        let folder = tempfile::tempdir().unwrap();
        let sealer = SealingKey::create_file(folder.path().join("sealing.key")).unwrap();
        let path = folder.path().join("stores.sqlite");
        match cut_off {
            0 => {}
            // What is left of a file that SQLite had not filled yet.
            1 => drop(std::fs::File::create(&path).unwrap()),
            2 => SqliteCatalog::create(&path).await.unwrap().close().await.unwrap(),
            _ => {
                let catalog = SqliteCatalog::create(&path).await.unwrap();
                let ledger = Ledger::create(catalog, &sealer, identity()).await.unwrap();
                ledger.close().await.unwrap();
            }
        }
        let (ledger, store) = start(folder.path(), &manager).await.unwrap();
        drop(store);
        ledger.close().await.unwrap();
    }
}

#[tokio::test]
async fn no_sealing_key_is_made_for_a_catalogue_that_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let (ledger, store) = start(folder.path(), &manager()).await.unwrap();
    drop(store);
    ledger.close().await.unwrap();
    std::fs::remove_file(folder.path().join("sealing.key")).unwrap();
    let error = start(folder.path(), &manager()).await.unwrap_err();
    assert!(error.to_string().contains("sealing.key"), "{error}");
    assert!(!folder.path().join("sealing.key").exists());
}

#[tokio::test]
async fn a_ledger_that_is_there_keeps_its_identity_and_wants_its_sealer() {
    let catalog = Arc::new(MemoryCatalog::new());
    let sealer = SealingKey::from_bytes(&[7; 32]);
    let made = Ledger::open_or_create(Arc::clone(&catalog), &sealer, identity()).await.unwrap();
    drop(made);
    let mut other: Identity = identity();
    other.account = AccountId::new("444455556666").unwrap();
    let opened = Ledger::open_or_create(Arc::clone(&catalog), &sealer, other.clone()).await.unwrap();
    assert_eq!(*opened.identity(), identity());
    drop(opened);
    let error = Ledger::open_or_create(catalog, &SealingKey::generate(), other).await.unwrap_err();
    assert_eq!(error.kind(), CatalogErrorKind::Sealer);
}

#[tokio::test]
async fn rows_that_belong_to_no_ledger_are_not_made_one() {
    let catalog = MemoryCatalog::new();
    catalog.commit(vec![Edit::Insert(Row::new(Table::Stores, "cks-1"))]).await.unwrap();
    let error = Ledger::open_or_create(catalog, &SealingKey::generate(), identity()).await.unwrap_err();
    assert_eq!(error.kind(), CatalogErrorKind::AlreadyExists);
}

#[tokio::test]
async fn a_file_that_is_no_catalogue_is_neither_opened_nor_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notes.txt");
    std::fs::write(&path, "something else").unwrap();
    assert_eq!(SqliteCatalog::open_or_create(&path).await.unwrap_err().kind(), CatalogErrorKind::Corrupt);
    assert_eq!(std::fs::read(&path).unwrap(), b"something else");
    let error = SqliteCatalog::open_or_create(folder.path()).await.unwrap_err();
    assert_eq!(error.kind(), CatalogErrorKind::Corrupt);
    let error = SqliteCatalog::open_or_create(folder.path().join("missing/stores.sqlite")).await.unwrap_err();
    assert_eq!(error.kind(), CatalogErrorKind::NotFound);
}

#[tokio::test]
async fn a_store_is_found_by_its_name_as_it_is_now() {
    let ledger = ledger();
    assert_eq!(ledger.find_store(&name()).await.unwrap(), None);
    let mut store = KeyStore::builder(manager()).create(&ledger, name()).await.unwrap();
    assert_eq!(ledger.find_store(&name()).await.unwrap(), Some(store.describe()));
    store.update(Change::new().name(other_name())).await.unwrap();
    assert_eq!(ledger.find_store(&name()).await.unwrap(), None);
    assert_eq!(ledger.find_store(&other_name()).await.unwrap(), Some(store.describe()));
}

#[tokio::test]
async fn a_store_that_is_there_is_opened_and_none_is_created() {
    let ledger = ledger();
    let manager = manager();
    let builder = || KeyStore::builder(manager.clone());
    let store = builder().open_or_create(&ledger, name()).await.unwrap();
    let id = store.id().clone();
    let error = builder().open_or_create(&ledger, name()).await.unwrap_err();
    assert!(matches!(&error, CreateError::NotOpened(error) if error.kind() == CatalogErrorKind::InUse));
    drop(store);
    assert_eq!(*builder().open_or_create(&ledger, name()).await.unwrap().id(), id);
    let error = KeyStore::builder(cluster()).open_or_create(&ledger, name()).await.unwrap_err();
    assert!(matches!(&error, CreateError::NotOpened(error) if error.kind() == CatalogErrorKind::OtherType));
    assert_eq!(manager.calls(Method::Connect), 1, "that of the creation");
}

#[tokio::test]
async fn a_store_that_its_key_manager_refuses_is_not_created() {
    let (ledger, manager) = (ledger(), manager());
    manager.inject(Method::Connect, Fault::Refuse(ConnectionErrorCode::XksProxyAccessDenied));
    let error = KeyStore::builder(manager).open_or_create(&ledger, name()).await.unwrap_err();
    assert!(matches!(error, CreateError::Refused(_)), "{error:?}");
    assert_eq!(ledger.find_store(&name()).await.unwrap(), None);
}
