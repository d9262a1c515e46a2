//! A damaged file gives an error or the rows that were written, and never a panic.

use std::fs;

use custom_key_store::catalog::{Catalog as _, CatalogErrorKind as Kind, Row, SqliteCatalog, Table};
use futures::executor::block_on;

use super::super::random::Random;
use super::{everything, filled};

/// Opens these bytes. They must be refused, or give all rows unaltered; says whether they were refused.
async fn refused(bytes: &[u8], rows: &[Row], what: &str) -> bool {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("damaged");
    fs::write(&path, bytes).unwrap();
    let opened = SqliteCatalog::open(&path).await;
    if let Err(error) = &opened {
        assert_ne!(error.kind(), Kind::InUse, "{what}: {error:?}");
        // A damaged header may look like many things, what follows it only like damage.
        let header = what.starts_with("header");
        assert!(header || error.kind() == Kind::Corrupt, "{what}: {error:?}");
    }
    let Ok(catalog) = opened else { return true };
    let Ok(all) = everything(&catalog).await else { return true };
    for found in all {
        assert!(found == rows, "{what}: altered unseen");
    }
    catalog.close().await.unwrap();
    false
}

#[test]
fn a_flipped_bit_is_an_error_or_changes_nothing() {
    block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("catalogue");
        let rows = filled(&path).await;
        let sound = fs::read(&path).unwrap();
        assert!(!refused(&sound, &rows, "the sound file").await);
        let mut random = Random(3);
        let (mut tried, mut found) = (0, 0);
        // The whole header, and some of each page.
        let pages = (100..sound.len()).step_by(97);
        for offset in (0..100).chain(pages) {
            let mut bytes = sound.clone();
            bytes[offset] ^= 1 << random.below(8);
            let what = if offset < 100 { "header" } else { "byte" };
            tried += 1;
            found += usize::from(refused(&bytes, &rows, &format!("{what} {offset}")).await);
        }
        assert!(found > tried / 3, "{found} of {tried} were found");
    });
}

#[test]
fn a_truncated_file_is_corrupt() {
    block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("catalogue");
        let rows = filled(&path).await;
        let sound = fs::read(&path).unwrap();
        let lengths = (0..sound.len()).step_by(499).chain((1..4).map(|back| sound.len() - back));
        for length in lengths {
            let refused = refused(&sound[..length], &rows, &format!("the first {length} bytes")).await;
            assert!(refused, "{length} bytes of {}", sound.len());
        }
    });
}

/// The log of a crash, whose end may be missing: what it held is there or not, wholly.
#[test]
fn a_damaged_log_loses_its_end_and_alters_nothing() {
    block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("catalogue");
        let rows = filled(&path).await;
        let catalog = SqliteCatalog::open(&path).await.unwrap();
        // Of a table whose changes stay in the log.
        let first = rows.iter().find(|row| row.table == Table::Keys).unwrap();
        let mut versions = Vec::new();
        for version in 2..12 {
            let mut row = first.clone();
            row.version = version;
            row.body = vec![0; 3000];
            catalog.commit(vec![custom_key_store::catalog::Edit::Replace(row.clone())]).await.unwrap();
            versions.push(row);
        }
        let log = fs::read(folder.path().join("catalogue-wal")).unwrap();
        let main = fs::read(&path).unwrap();
        let mut random = Random(4);
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..60 {
            let there = tempfile::tempdir().unwrap();
            let path = there.path().join("catalogue");
            let mut log = log.clone();
            let offset = random.below(log.len());
            log[offset] ^= 0x10;
            fs::write(&path, &main).unwrap();
            fs::write(there.path().join("catalogue-wal"), log).unwrap();
            let Ok(catalog) = SqliteCatalog::open(&path).await else { continue };
            let row = catalog.read(first.table, &first.id).await.unwrap().unwrap();
            assert!(row == *first || versions.contains(&row), "byte {offset}: altered");
            seen.insert(row.version);
        }
        assert!(seen.len() > 3, "{seen:?}");
    });
}
