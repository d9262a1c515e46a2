//! What is deleted is in no byte of the folder.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use custom_key_store::catalog::{Catalog as _, Edit, Row, SqliteCatalog, Table};
use futures::executor::block_on;

use super::super::random::Random;

type Marker = [u8; 16];

fn marker(random: &mut Random) -> Marker {
    let mut marker = *b"MARKER: ________";
    marker[8..].copy_from_slice(&random.next().to_be_bytes());
    marker
}

/// Made of one marker, over and over, so that every piece of it can be recognised.
fn row(id: &str, marker: Marker, length: usize) -> Row {
    let mut row = Row::new(Table::WrappingKeys, id);
    row.body = marker.into_iter().cycle().take(length).collect();
    row
}

/// The markers in all files of the folder.
fn markers(folder: &Path) -> HashSet<Marker> {
    let mut found = HashSet::new();
    for file in fs::read_dir(folder).unwrap() {
        let bytes = fs::read(file.unwrap().path()).unwrap();
        let whole = bytes.windows(16).filter(|window| window.starts_with(b"MARKER: "));
        found.extend(whole.map(|window| Marker::try_from(window).unwrap()));
    }
    found
}

/// Rows of these lengths come, change and go; what is gone is looked for all the time.
fn come_and_go(seed: u64, rounds: usize, lengths: &[usize]) {
    block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let catalog = SqliteCatalog::create(folder.path().join("catalogue")).await.unwrap();
        let mut random = Random(seed);
        let mut live: Vec<(Row, Marker)> = Vec::new();
        let mut gone = HashSet::new();
        for round in 0..rounds {
            let mut edits = Vec::new();
            for number in 0..40 {
                let (marker, length) = (marker(&mut random), lengths[random.below(lengths.len())]);
                if live.is_empty() || random.below(100) < 45 {
                    let row = row(&format!("{:x} {round} {number}", random.below(16)), marker, length);
                    edits.push(Edit::Insert(row.clone()));
                    live.push((row, marker));
                } else if random.below(2) == 0 {
                    let place = random.below(live.len());
                    let mut next = row(&live[place].0.id, marker, length);
                    next.version = live[place].0.version + 1;
                    edits.push(Edit::Replace(next.clone()));
                    gone.insert(std::mem::replace(&mut live[place], (next, marker)).1);
                } else {
                    let (row, marker) = live.swap_remove(random.below(live.len()));
                    edits.push(Edit::delete(&row));
                    gone.insert(marker);
                }
            }
            catalog.commit(edits).await.unwrap();
            let there = markers(folder.path());
            assert!(live.iter().all(|(_, marker)| there.contains(marker)), "what is there is found");
            let left = there.intersection(&gone).count();
            assert_eq!(left, 0, "of {} that are gone, after {round} commits of seed {seed}", gone.len());
        }
    });
}

#[test]
fn a_deleted_body_is_in_no_file() {
    // Some beside others in a page of any size, and some of many pages.
    come_and_go(1, 20, &[24, 100, 300, 500, 900]);
    come_and_go(2, 10, &[60, 300, 3000, 20_000]);
}

/// Whoever reads an older moment keeps what it held in the log, and no longer.
#[test]
fn what_a_snapshot_kept_is_erased_after_it() {
    block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let catalog = SqliteCatalog::create(folder.path().join("catalogue")).await.unwrap();
        let mut random = Random(5);
        for read_to_the_end in [true, false] {
            let marker = marker(&mut random);
            let secret = row("secret", marker, 500);
            catalog.commit(vec![Edit::Insert(secret.clone())]).await.unwrap();
            let mut snapshot = catalog.snapshot().await.unwrap();
            catalog.commit(vec![Edit::delete(&secret)]).await.unwrap();
            assert!(markers(folder.path()).contains(&marker), "the snapshot can still be read");
            assert_eq!(snapshot.next().await.unwrap().unwrap(), [secret]);
            if read_to_the_end {
                assert_eq!(snapshot.next().await.unwrap(), None);
            } else {
                drop(snapshot);
                catalog.commit(Vec::new()).await.unwrap();
            }
            assert!(!markers(folder.path()).contains(&marker), "{read_to_the_end}");
        }
    });
}
