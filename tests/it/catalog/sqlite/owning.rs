//! A catalogue has one owner, and whoever looks at it gets in nobody's way.

use std::fs;
use std::path::Path;

use custom_key_store::catalog::{Catalog as _, CatalogErrorKind as Kind, Edit, Row, SqliteCatalog, Table};
use futures::executor::block_on;

use super::open_patiently;

fn insert(id: &str) -> Vec<Edit> {
    vec![Edit::Insert(Row::new(Table::Keys, id))]
}

#[test]
fn a_second_owner_in_the_process_is_refused_until_the_first_is_gone() {
    block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("catalogue");
        let first = SqliteCatalog::create(&path).await.unwrap();
        // By whatever name.
        let detour = folder.path().join(".").join("catalogue");
        for path in [&path, &detour] {
            assert_eq!(SqliteCatalog::open(path).await.unwrap_err().kind(), Kind::InUse);
            assert_eq!(SqliteCatalog::create(path).await.unwrap_err().kind(), Kind::InUse);
        }
        first.commit(insert("1")).await.unwrap();
        first.close().await.unwrap();
        let second = SqliteCatalog::open(&path).await.unwrap();
        assert_eq!(first.commit(insert("2")).await.unwrap_err().kind(), Kind::Closed);
        second.commit(insert("2")).await.unwrap();
        drop(second);
        let third = open_patiently(&path).await;
        assert_eq!(third.list(Table::Keys, None, None, 9).await.unwrap().len(), 2);
    });
}

#[test]
fn an_opening_that_failed_owns_nothing() {
    block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("catalogue");
        fs::write(&path, vec![0; 4096]).unwrap();
        for _ in 0..200 {
            assert_eq!(SqliteCatalog::open(&path).await.unwrap_err().kind(), Kind::Corrupt);
        }
    });
}

#[cfg(unix)]
#[test]
fn an_owner_whose_lock_was_removed_changes_nothing_any_more() {
    block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("catalogue");
        let first = SqliteCatalog::create(&path).await.unwrap();
        first.commit(insert("1")).await.unwrap();
        fs::remove_file(folder.path().join("catalogue.lock")).unwrap();
        assert_eq!(first.commit(insert("2")).await.unwrap_err().kind(), Kind::InUse);
        let second = SqliteCatalog::open(&path).await.unwrap();
        assert_eq!(first.commit(insert("2")).await.unwrap_err().kind(), Kind::InUse);
        assert_eq!(second.read(Table::Keys, "2").await.unwrap(), None);
        second.commit(insert("2")).await.unwrap();
        assert!(first.read(Table::Keys, "2").await.unwrap().is_some());
    });
}

#[test]
fn who_only_looks_sees_what_is_committed_and_commits_nothing() {
    block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("catalogue");
        let owner = SqliteCatalog::create(&path).await.unwrap();
        owner.commit(insert("1")).await.unwrap();
        let look = SqliteCatalog::open_read_only(&path).await.unwrap();
        assert!(look.read(Table::Keys, "1").await.unwrap().is_some());
        owner.commit(insert("2")).await.unwrap();
        assert!(look.read(Table::Keys, "2").await.unwrap().is_some());
        assert_eq!(look.commit(insert("3")).await.unwrap_err().kind(), Kind::ReadOnly);
        assert_eq!(look.commit(Vec::new()).await.unwrap_err().kind(), Kind::ReadOnly);
        let mut snapshot = look.snapshot().await.unwrap();
        assert_eq!(snapshot.next().await.unwrap().unwrap().len(), 2);
        owner.close().await.unwrap();
        // Somebody who looks keeps nobody out.
        let next = SqliteCatalog::open(&path).await.unwrap();
        next.commit(insert("3")).await.unwrap();
        assert!(look.read(Table::Keys, "3").await.unwrap().is_some());
        look.close().await.unwrap();
        assert_eq!(look.read(Table::Keys, "3").await.unwrap_err().kind(), Kind::Closed);
        assert_eq!(look.commit(insert("4")).await.unwrap_err().kind(), Kind::Closed);
    });
}

#[cfg(unix)]
#[test]
fn all_files_are_their_owners_alone() {
    use std::os::unix::fs::PermissionsExt as _;

    block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let catalog = SqliteCatalog::create(folder.path().join("catalogue")).await.unwrap();
        catalog.commit(insert("1")).await.unwrap();
        let mut names = Vec::new();
        for file in fs::read_dir(folder.path()).unwrap() {
            let file = file.unwrap();
            let mode = file.metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{file:?}");
            names.push(file.file_name().into_string().unwrap());
        }
        names.sort();
        assert_eq!(names, ["catalogue", "catalogue-shm", "catalogue-wal", "catalogue.lock"]);
        catalog.close().await.unwrap();
        let left = |name: &str| Path::new(folder.path()).join(name).exists();
        assert!(left("catalogue.lock") && !left("catalogue-wal") && !left("catalogue-shm"));
    });
}

/// Threads that add to the same row, each trying again where another was faster.
#[test]
fn threads_that_change_the_same_row_lose_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let catalog = block_on(SqliteCatalog::create(folder.path().join("catalogue"))).unwrap();
    block_on(catalog.commit(insert("counter"))).unwrap();
    let conflicts: usize = std::thread::scope(|scope| {
        let add = || {
            block_on(async {
                let (mut done, mut conflicts) = (0, 0);
                while done < 40 {
                    let mut row = catalog.read(Table::Keys, "counter").await.unwrap().unwrap();
                    row.version += 1;
                    match catalog.commit(vec![Edit::Replace(row)]).await {
                        Ok(()) => done += 1,
                        Err(error) if error.kind() == Kind::Conflict => conflicts += 1,
                        Err(error) => panic!("{error:?}"),
                    }
                }
                conflicts
            })
        };
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(add)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    let row = block_on(catalog.read(Table::Keys, "counter")).unwrap().unwrap();
    assert_eq!(row.version, 1 + 4 * 40);
    assert!(conflicts > 0, "they were never at it at the same time");
}
