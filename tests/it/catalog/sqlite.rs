//! The catalogue in a file.

mod crashing;
mod damage;
mod erasing;
mod faults;
mod owning;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use custom_key_store::catalog::conformance::{Report, Suite};
use custom_key_store::catalog::{
    Catalog as _, CatalogError, CatalogErrorKind, Edit, Row, SqliteCatalog, Table,
};
use futures::executor::block_on;

async fn create_or_open(path: PathBuf) -> Result<SqliteCatalog, CatalogError> {
    if path.exists() { SqliteCatalog::open(path).await } else { SqliteCatalog::create(path).await }
}

fn suite(folder: &Path) -> Suite {
    let folder = folder.to_owned();
    let places = AtomicUsize::new(0);
    Suite::durable(move || {
        let path = folder.join(places.fetch_add(1, Ordering::Relaxed).to_string());
        move || create_or_open(path.clone())
    })
}

fn all_were_made(report: &Report) {
    report.assert();
    assert!(report.to_string().ends_with(" 0 failed, 0 not applicable"), "{report}");
}

#[test]
fn conforms_without_a_runtime() {
    let folder = tempfile::tempdir().unwrap();
    all_were_made(&block_on(suite(folder.path()).run()));
}

#[tokio::test]
async fn conforms_under_tokio() {
    let folder = tempfile::tempdir().unwrap();
    all_were_made(&suite(folder.path()).run().await);
}

/// A closed catalogue with rows of every kind, and those rows.
async fn filled(path: &Path) -> Vec<Row> {
    let catalog = SqliteCatalog::create(path).await.unwrap();
    let mut rows: Vec<Row> = (0..60)
        .map(|number: usize| {
            let mut row = Row::new(Table::ALL[number % 6], format!("{number:03}"));
            row.owner = Some(format!("owner {}", number % 3));
            row.unique = Some(format!("unique {number}"));
            row.due = Some(i64::try_from(number).unwrap());
            row.body = vec![u8::try_from(number).unwrap(); number * 40];
            row.mac = [u8::try_from(number).unwrap(); 32];
            row
        })
        .collect();
    catalog.commit(rows.iter().cloned().map(Edit::Insert).collect()).await.unwrap();
    catalog.close().await.unwrap();
    rows.sort_by(|one, other| (one.table, &one.id).cmp(&(other.table, &other.id)));
    rows
}

/// Everything in it, by way of the snapshot and of each index; in order.
async fn everything(catalog: &SqliteCatalog) -> Result<[Vec<Row>; 4], CatalogError> {
    let mut all: [Vec<Row>; 4] = Default::default();
    let mut snapshot = catalog.snapshot().await?;
    while let Some(piece) = snapshot.next().await? {
        all[0].extend(piece);
    }
    for table in Table::ALL {
        all[1].extend(catalog.list(*table, None, None, usize::MAX).await?);
        all[2].extend(catalog.due(*table, None, i64::MAX, usize::MAX).await?);
        for owner in 0..3 {
            all[3].extend(catalog.list(*table, Some(&format!("owner {owner}")), None, usize::MAX).await?);
        }
    }
    for rows in &mut all {
        rows.sort_by(|one, other| (one.table, &one.id).cmp(&(other.table, &other.id)));
    }
    for row in all[1].clone() {
        assert_eq!(catalog.read(row.table, &row.id).await?.as_ref(), Some(&row));
        assert_eq!(catalog.find(row.table, row.unique.as_ref().unwrap()).await?.as_ref(), Some(&row));
    }
    Ok(all)
}

/// Opens what was dropped without being closed: that ends on a thread of its own.
async fn open_patiently(path: &Path) -> SqliteCatalog {
    let start = Instant::now();
    loop {
        match SqliteCatalog::open(path).await {
            Err(error)
                if error.kind() == CatalogErrorKind::InUse && start.elapsed() < Duration::from_secs(30) =>
            {
                std::thread::yield_now();
            }
            opened => return opened.unwrap(),
        }
    }
}
