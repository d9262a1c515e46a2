//! What somebody else writes into a catalogue is seen, and what is secret in it is sealed.

use std::sync::Arc;

use custom_key_store::catalog::{Catalog, CatalogErrorKind, Edit, Ledger, MemoryCatalog, Row, Table};
use custom_key_store::{
    AliasName, ErrorKind, KeyId, KeyStore, NewKey, PageRequest, SealError, SealErrorKind, SealingKey, TagKey,
    TagValue,
};

use crate::support::{identity, key, manager, name, no_context};

fn sealer() -> SealingKey {
    SealingKey::from_bytes(&[7; 32])
}

/// A catalogue with a store, a key, an alias and a tag.
async fn filled() -> (Arc<MemoryCatalog>, Ledger, KeyId) {
    let catalog = Arc::new(MemoryCatalog::new());
    let ledger = Ledger::create(Arc::clone(&catalog), &sealer(), identity()).await.unwrap();
    let store = KeyStore::builder(manager()).create(&ledger, name()).await.unwrap().connect().await.unwrap();
    let id = store.create_key(&NewKey::external(key())).await.unwrap().key_id;
    store.keys().create_alias(&AliasName::new("alias/a").unwrap(), &id).await.unwrap();
    let tag = (TagKey::new("team").unwrap(), TagValue::new("payroll").unwrap());
    store.keys().tag(&id, &[tag]).await.unwrap();
    (catalog, ledger, id)
}

async fn all_rows(catalog: &dyn Catalog) -> Vec<Row> {
    let mut snapshot = catalog.snapshot().await.unwrap();
    let mut rows = Vec::new();
    while let Some(some) = snapshot.next().await.unwrap() {
        rows.extend(some);
    }
    rows
}

/// Writes behind the ledger's back, as somebody with access to the file would: the version is kept.
async fn overwrite(catalog: &dyn Catalog, old: &Row, new: Row) {
    catalog.commit(vec![Edit::delete(old), Edit::Insert(new)]).await.unwrap();
}

#[tokio::test]
async fn a_catalogue_is_made_once_and_opened_by_its_sealer() {
    let (catalog, _, _) = filled().await;
    let again = Ledger::create(Arc::clone(&catalog), &sealer(), identity()).await.unwrap_err();
    assert_eq!(again.kind(), CatalogErrorKind::AlreadyExists);
    let opened = Ledger::open(Arc::clone(&catalog), &sealer()).await.unwrap();
    assert_eq!(*opened.identity(), identity());
    assert_eq!(opened.verify().await.unwrap().altered, []);

    let error = Ledger::open(Arc::clone(&catalog), &SealingKey::generate()).await.unwrap_err();
    assert_eq!(error.kind(), CatalogErrorKind::Sealer);
    let source = std::error::Error::source(&error).unwrap().downcast_ref::<SealError>().unwrap();
    assert_eq!(source.kind(), SealErrorKind::WrongKey);
    let empty = Ledger::open(MemoryCatalog::new(), &sealer()).await.unwrap_err();
    assert_eq!(empty.kind(), CatalogErrorKind::NotFound);
}

#[tokio::test]
async fn a_change_of_any_column_of_any_row_is_seen() {
    let (catalog, ledger, _) = filled().await;
    let rows = all_rows(&*catalog).await;
    let mut tables: Vec<Table> = rows.iter().map(|row| row.table).collect();
    tables.dedup();
    assert_eq!(
        tables,
        [Table::Catalog, Table::Stores, Table::Keys, Table::WrappingKeys, Table::Aliases, Table::Tags]
    );
    let mut tried = 0;
    for row in &rows {
        for altered in alterations(row) {
            overwrite(&*catalog, row, altered.clone()).await;
            let found = ledger.verify().await.unwrap();
            assert_eq!(found.altered, [(altered.table, altered.id.clone())], "{altered:?}");
            assert_eq!(found.rows, rows.len() as u64);
            overwrite(&*catalog, &altered, row.clone()).await;
            tried += 1;
        }
    }
    assert!(tried > 1000, "{tried}");
    assert_eq!(ledger.verify().await.unwrap().altered, []);
}

/// The row with each of its columns changed, and with each bit of its body.
fn alterations(row: &Row) -> Vec<Row> {
    let with = |change: &dyn Fn(&mut Row)| {
        let mut altered = row.clone();
        change(&mut altered);
        altered
    };
    let mut altered = vec![
        with(&|row| row.id.push('x')),
        with(&|row| row.version += 1),
        with(&|row| row.owner = Some(row.owner.clone().unwrap_or_default() + "x")),
        with(&|row| row.unique = Some(row.unique.clone().unwrap_or_default() + "x")),
        with(&|row| row.due = Some(row.due.unwrap_or_default() + 1)),
        with(&|row| row.mac[0] ^= 1),
        with(&|row| row.mac[31] ^= 0x80),
        with(&|row| row.body.push(b' ')),
    ];
    if row.owner.is_some() {
        altered.push(with(&|row| row.owner = None));
    }
    if row.unique.is_some() {
        altered.push(with(&|row| row.unique = None));
    }
    altered.extend((0..row.body.len() * 8).map(|bit| with(&|row| row.body[bit / 8] ^= 1 << (bit % 8))));
    altered
}

#[tokio::test]
async fn an_altered_row_is_not_used() {
    let (catalog, ledger, id) = filled().await;
    let row = catalog.read(Table::Keys, &id.to_string()).await.unwrap().unwrap();
    let mut altered = row.clone();
    // Enabled, in a body that is as long as before.
    altered.body = String::from_utf8(row.body.clone()).unwrap().replace("true", "null").into_bytes();
    overwrite(&*catalog, &row, altered).await;
    let store_id =
        all_rows(&*catalog).await.iter().find(|row| row.table == Table::Stores).unwrap().id.clone();
    let store_id = custom_key_store::StoreId::new(store_id).unwrap();
    let store = KeyStore::builder(manager()).open(&ledger, &store_id).await.unwrap();
    let error = store.keys().describe(&id).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Catalog(CatalogErrorKind::Altered));
    let error = store.keys().list(&PageRequest::default()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Catalog(CatalogErrorKind::Altered));
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert!(source.contains(&id.to_string()), "{source}");
}

#[tokio::test]
async fn rows_cannot_be_exchanged() {
    let (catalog, ledger, id) = filled().await;
    let other_id = {
        let manager = manager();
        let store = KeyStore::builder(manager).create(&ledger, crate::support::other_name()).await.unwrap();
        let store = store.connect().await.unwrap();
        store.create_key(&NewKey::external(key())).await.unwrap().key_id
    };
    let read = async |id: &KeyId| catalog.read(Table::WrappingKeys, &id.to_string()).await.unwrap().unwrap();
    let (one, other) = (read(&id).await, read(&other_id).await);
    let mut swapped = other.clone();
    swapped.id.clone_from(&one.id);
    overwrite(&*catalog, &one, swapped).await;
    assert_eq!(ledger.verify().await.unwrap().altered, [(Table::WrappingKeys, id.to_string())]);
}

#[tokio::test]
async fn another_sealer_takes_over_while_the_catalogue_is_used() {
    let (catalog, ledger, id) = filled().await;
    let new = SealingKey::generate();
    ledger.reseal(&new).await.unwrap();
    assert_eq!(ledger.verify().await.unwrap().altered, []);
    let error = Ledger::open(Arc::clone(&catalog), &sealer()).await.unwrap_err();
    assert_eq!(error.kind(), CatalogErrorKind::Sealer);
    let opened = Ledger::open(Arc::clone(&catalog), &new).await.unwrap();
    assert_eq!(opened.verify().await.unwrap().altered, []);
    // And once more, from the ledger that was open all the time.
    ledger.reseal(&sealer()).await.unwrap();
    Ledger::open(catalog, &sealer()).await.unwrap();
    let _ = id;
}

#[tokio::test]
async fn no_secret_is_in_the_catalogue_in_the_clear() {
    let (catalog, ledger, _) = filled().await;
    for row in all_rows(&*catalog).await {
        let shown = format!("{row:?}");
        assert!(!shown.contains("mac") && !shown.contains("sealed"), "{shown}");
    }
    assert!(!format!("{ledger:?}").contains("root"));
}

#[tokio::test]
async fn a_deleted_key_leaves_no_row_behind() {
    use custom_key_store::clock::ManualClock;
    let catalog = Arc::new(MemoryCatalog::new());
    let ledger = Ledger::create(Arc::clone(&catalog), &sealer(), identity()).await.unwrap();
    let clock = ManualClock::new();
    let store = KeyStore::builder(manager()).clock(clock.clone()).create(&ledger, name()).await.unwrap();
    let before = all_rows(&*catalog).await.len();
    let store = store.connect().await.unwrap();
    let id = store.create_key(&NewKey::external(key())).await.unwrap().key_id;
    store.encrypt(&id, b"x", &no_context()).await.unwrap();
    for number in 0..3 {
        let alias = AliasName::new(format!("alias/{number}")).unwrap();
        store.keys().create_alias(&alias, &id).await.unwrap();
        let tag = (TagKey::new(format!("t{number}")).unwrap(), TagValue::new("").unwrap());
        store.keys().tag(&id, &[tag]).await.unwrap();
    }
    store.keys().schedule_deletion(&id, 7).await.unwrap();
    clock.advance(std::time::Duration::from_secs(7 * 24 * 60 * 60));
    assert_eq!(store.keys().delete_due().await.unwrap().deleted, [id]);
    assert_eq!(all_rows(&*catalog).await.len(), before);
}

async fn backed_up(ledger: &Ledger) -> Vec<u8> {
    let mut copy = Vec::new();
    ledger.backup(&mut copy).await.unwrap();
    copy
}

async fn restored(
    copy: &[u8],
    sealer: &SealingKey,
) -> Result<(Arc<MemoryCatalog>, Ledger), CatalogErrorKind> {
    let catalog = Arc::new(MemoryCatalog::new());
    let ledger = Ledger::restore(Arc::clone(&catalog), sealer, &mut &copy[..]).await;
    match ledger {
        Ok(ledger) => Ok((catalog, ledger)),
        Err(error) => {
            // What was begun does not pass for a catalogue.
            let opened = Ledger::open(catalog, sealer).await.unwrap_err();
            assert_eq!(opened.kind(), CatalogErrorKind::NotFound);
            Err(error.kind())
        }
    }
}

#[tokio::test]
async fn a_backup_gives_everything_back() {
    let (catalog, ledger, id) = filled().await;
    let copy = backed_up(&ledger).await;
    // What happens afterwards is not in it.
    ledger.reseal(&SealingKey::generate()).await.unwrap();
    let (restored_catalog, restored_ledger) = restored(&copy, &sealer()).await.unwrap();
    assert_eq!(restored_ledger.verify().await.unwrap().altered, []);
    let without_root =
        |rows: Vec<Row>| rows.into_iter().filter(|row| row.table != Table::Catalog).collect::<Vec<_>>();
    assert_eq!(without_root(all_rows(&*restored_catalog).await), without_root(all_rows(&*catalog).await));
    let opened = Ledger::open(restored_catalog, &sealer()).await.unwrap();
    assert_eq!(*opened.identity(), identity());
    let _ = id;
}

#[tokio::test]
async fn a_key_works_after_a_restore() {
    let ledger = Ledger::create(MemoryCatalog::new(), &sealer(), identity()).await.unwrap();
    let manager = manager();
    let store = KeyStore::builder(manager.clone()).create(&ledger, name()).await.unwrap();
    let store = store.connect().await.unwrap();
    let store_id = store.id().clone();
    let id = store.create_key(&NewKey::external(key())).await.unwrap().key_id;
    let blob = store.encrypt(&id, b"x", &no_context()).await.unwrap();
    let copy = backed_up(&ledger).await;
    drop((store, ledger));

    let (_, ledger) = restored(&copy, &sealer()).await.unwrap();
    let mut store = KeyStore::builder(manager).open(&ledger, &store_id).await.unwrap();
    store.settled().await;
    let handle = store.handle().unwrap();
    assert_eq!(handle.decrypt(blob.as_bytes(), &no_context()).await.unwrap().expose(), b"x");
}

#[tokio::test]
async fn a_backup_is_restored_whole_or_not_at_all() {
    let (_, ledger, _) = filled().await;
    let copy = backed_up(&ledger).await;
    for length in 0..copy.len() {
        assert_eq!(
            restored(&copy[..length], &sealer()).await.unwrap_err(),
            CatalogErrorKind::Corrupt,
            "{length}"
        );
    }
    for at in 0..copy.len() {
        let mut damaged = copy.clone();
        damaged[at] ^= 1;
        // The first piece may also say that it is of a newer format, of another key, or of somebody else.
        let Err(kind) = restored(&damaged, &sealer()).await else { panic!("byte {at}") };
        let expected = [
            CatalogErrorKind::Corrupt,
            CatalogErrorKind::Sealer,
            CatalogErrorKind::NewerSchema,
            CatalogErrorKind::Altered,
        ];
        assert!(expected.contains(&kind), "byte {at}: {kind:?}");
    }
    assert_eq!(restored(&copy, &SealingKey::generate()).await.unwrap_err(), CatalogErrorKind::Sealer);
    let (catalog, _, _) = filled().await;
    let error = Ledger::restore(catalog, &sealer(), &mut &copy[..]).await.unwrap_err();
    assert_eq!(error.kind(), CatalogErrorKind::AlreadyExists);
}

#[tokio::test]
async fn pieces_of_backups_cannot_be_exchanged_or_left_out() {
    let manager = manager();
    let ledger = Ledger::create(MemoryCatalog::new(), &sealer(), identity()).await.unwrap();
    let store =
        KeyStore::builder(manager.clone()).create(&ledger, name()).await.unwrap().connect().await.unwrap();
    // More than a piece holds.
    for number in 0..300 {
        let id = custom_key_store::backend::BackingKeyId::new(format!("key-{number}")).unwrap();
        manager.create_key(id.clone());
        store.create_key(&NewKey::external(id)).await.unwrap();
    }
    let (one, other) = (pieces(&backed_up(&ledger).await), pieces(&backed_up(&ledger).await));
    assert!(one.len() >= 5, "{}", one.len());
    restored(&one.concat(), &sealer()).await.unwrap();
    let mut wrong = Vec::new();
    for left_out in 0..one.len() {
        let mut pieces = one.clone();
        pieces.remove(left_out);
        wrong.push(pieces);
    }
    let mut swapped = one.clone();
    swapped.swap(2, 3);
    wrong.push(swapped);
    let mut spliced = one.clone();
    spliced[3].clone_from(&other[3]);
    wrong.push(spliced);
    for pieces in wrong {
        assert_eq!(restored(&pieces.concat(), &sealer()).await.unwrap_err(), CatalogErrorKind::Corrupt);
    }
}

fn pieces(mut copy: &[u8]) -> Vec<Vec<u8>> {
    let mut pieces = Vec::new();
    while let Some(length) = copy.first_chunk::<4>() {
        let (piece, rest) = copy.split_at(4 + u32::from_be_bytes(*length) as usize);
        pieces.push(piece.to_vec());
        copy = rest;
    }
    pieces
}
