//! What is wrong with a file, a folder or a medium has a name.

use std::error::Error as _;
use std::fs;
use std::time::Duration;

use custom_key_store::catalog::{
    Catalog as _, CatalogError, CatalogErrorKind as Kind, Edit, Row, SqliteCatalog, Table,
};
use futures::executor::block_on;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, Executor as _};

use super::{everything, filled};

fn row(number: usize, length: usize) -> Row {
    let mut row = Row::new(Table::Keys, format!("{number:05}"));
    row.body = vec![0xab; length];
    row
}

#[test]
fn what_is_not_there_is_not_found_and_not_made() {
    block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("catalogue");
        assert_eq!(SqliteCatalog::open(&path).await.unwrap_err().kind(), Kind::NotFound);
        assert_eq!(SqliteCatalog::open_read_only(&path).await.unwrap_err().kind(), Kind::NotFound);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        let deep = path.join("catalogue");
        assert_eq!(SqliteCatalog::create(&deep).await.unwrap_err().kind(), Kind::NotFound);
        assert_eq!(SqliteCatalog::open(&deep).await.unwrap_err().kind(), Kind::NotFound);
    });
}

#[test]
fn what_is_there_is_not_made_again() {
    block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("catalogue");
        let rows = filled(&path).await;
        let error = SqliteCatalog::create(&path).await.unwrap_err();
        assert_eq!((error.kind(), error.place()), (Kind::AlreadyExists, None));
        assert_eq!(error.to_string(), format!("there is something at the place already ({path:?})"));
        let catalog = SqliteCatalog::open(&path).await.unwrap();
        assert_eq!(everything(&catalog).await.unwrap()[0], rows);

        let other = folder.path().join("other");
        fs::write(&other, "a letter").unwrap();
        assert_eq!(SqliteCatalog::create(&other).await.unwrap_err().kind(), Kind::AlreadyExists);
        assert_eq!(fs::read(&other).unwrap(), b"a letter");
        assert_eq!(SqliteCatalog::create(folder.path()).await.unwrap_err().kind(), Kind::AlreadyExists);
    });
}

/// SQLite fills the file in one step, so that this is what a crash during the creation leaves.
#[test]
fn a_creation_that_was_cut_short_can_be_made_again() {
    block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("catalogue");
        fs::write(&path, "").unwrap();
        assert_eq!(SqliteCatalog::open(&path).await.unwrap_err().kind(), Kind::Corrupt);
        let catalog = SqliteCatalog::create(&path).await.unwrap();
        catalog.commit(vec![Edit::Insert(row(1, 1))]).await.unwrap();
    });
}

/// As a crash leaves it when some pages are in the file, and what takes them back is in the journal.
#[test]
fn a_creation_that_was_cut_short_in_the_middle_is_taken_back_and_made_again() {
    block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("catalogue");
        let being_made = folder.path().join("being-made");
        let options = SqliteConnectOptions::new().filename(&being_made).create_if_missing(true);
        let mut connection = options.pragma("cache_size", "1").connect().await.unwrap();
        let half = "BEGIN; PRAGMA application_id = 1668051761; CREATE TABLE half (x); \
                    INSERT INTO half VALUES (zeroblob(1000000))";
        connection.execute(half).await.unwrap();
        fs::copy(&being_made, &path).unwrap();
        fs::copy(folder.path().join("being-made-journal"), folder.path().join("catalogue-journal")).unwrap();
        assert!(fs::metadata(&path).unwrap().len() > 0);
        connection.close().await.unwrap();

        let catalog = SqliteCatalog::open_or_create(&path).await.unwrap();
        catalog.close().await.unwrap();
        SqliteCatalog::open(&path).await.unwrap();
    });
}

#[test]
fn a_file_of_something_else_is_corrupt_and_left_alone() {
    block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("catalogue");
        filled(&path).await;
        let mut other_application = fs::read(&path).unwrap();
        other_application[68..72].copy_from_slice(b"else");
        let noise: Vec<u8> = (0..=u8::MAX).cycle().take(9000).collect();
        let files = [b"a letter".to_vec(), vec![0; 5000], noise, other_application];
        for (number, bytes) in files.iter().enumerate() {
            let path = folder.path().join(format!("{number}"));
            fs::write(&path, bytes).unwrap();
            assert_eq!(SqliteCatalog::open(&path).await.unwrap_err().kind(), Kind::Corrupt, "{number}");
            assert_eq!(
                SqliteCatalog::open_read_only(&path).await.unwrap_err().kind(),
                Kind::Corrupt,
                "{number}"
            );
            assert!(fs::read(&path).unwrap() == *bytes, "{number}");
        }
        assert_eq!(SqliteCatalog::open(folder.path()).await.unwrap_err().kind(), Kind::Corrupt);
        assert_eq!(SqliteCatalog::open_read_only(folder.path()).await.unwrap_err().kind(), Kind::Corrupt);
    });
}

#[test]
fn a_newer_schema_is_refused_and_left_alone() {
    block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("catalogue");
        let rows = filled(&path).await;
        let mut bytes = fs::read(&path).unwrap();
        assert_eq!(bytes[60..64], [0, 0, 0, 2], "the version is where SQLite keeps it");
        bytes[63] = 3;
        fs::write(&path, &bytes).unwrap();
        assert_eq!(SqliteCatalog::open(&path).await.unwrap_err().kind(), Kind::NewerSchema);
        assert_eq!(SqliteCatalog::open_read_only(&path).await.unwrap_err().kind(), Kind::NewerSchema);
        assert!(fs::read(&path).unwrap() == bytes);
        // The release that made it finds everything.
        bytes[63] = 2;
        fs::write(&path, &bytes).unwrap();
        let catalog = SqliteCatalog::open(&path).await.unwrap();
        assert_eq!(everything(&catalog).await.unwrap()[0], rows);
    });
}

/// The second brought a table, and nothing of the shape.
#[test]
fn a_file_of_the_first_release_is_brought_up_to_date() {
    block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("catalogue");
        let rows = filled(&path).await;
        let mut bytes = fs::read(&path).unwrap();
        bytes[63] = 1;
        fs::write(&path, &bytes).unwrap();
        let error = SqliteCatalog::open_read_only(&path).await.unwrap_err();
        assert_eq!(error.kind(), Kind::ReadOnly, "who only looks leaves it as it is");
        let catalog = SqliteCatalog::open(&path).await.unwrap();
        assert_eq!(everything(&catalog).await.unwrap()[0], rows);
        catalog.close().await.unwrap();
        assert_eq!(fs::read(&path).unwrap()[60..64], [0, 0, 0, 2]);
    });
}

#[test]
fn a_full_catalogue_changes_nothing_and_goes_on_when_there_is_room() {
    block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("catalogue");
        let catalog = SqliteCatalog::builder().max_size(400_000).create(&path).await.unwrap();
        let mut number = 0;
        let error = loop {
            match catalog.commit(vec![Edit::Insert(row(number, 10_000))]).await {
                Ok(()) => number += 1,
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), Kind::Full);
        assert!((20..40).contains(&number), "{number}");
        // Of a commit of many, none.
        let many = (0..9).map(|more| Edit::Insert(row(number + more, 5_000))).collect();
        assert_eq!(catalog.commit(many).await.unwrap_err().kind(), Kind::Full);
        assert_eq!(catalog.list(Table::Keys, None, None, usize::MAX).await.unwrap().len(), number);
        catalog.commit(vec![Edit::delete(&row(0, 0)), Edit::delete(&row(1, 0))]).await.unwrap();
        catalog.commit(vec![Edit::Insert(row(number, 10_000))]).await.unwrap();
        catalog.close().await.unwrap();
        assert!(fs::metadata(&path).unwrap().len() <= 400_000);
        let catalog = SqliteCatalog::open(&path).await.unwrap();
        assert_eq!(catalog.list(Table::Keys, None, None, usize::MAX).await.unwrap().len(), number - 1);
        catalog.commit(vec![Edit::Insert(row(number + 1, 100_000))]).await.unwrap();
    });
}

#[test]
fn a_stranger_who_holds_the_file_is_waited_for_until_the_deadline() {
    block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("catalogue");
        let deadline = Duration::from_millis(200);
        let catalog = SqliteCatalog::builder().deadline(deadline).create(&path).await.unwrap();
        catalog.commit(vec![Edit::Insert(row(1, 1))]).await.unwrap();
        let mut stranger = SqliteConnectOptions::new().filename(&path).connect().await.unwrap();
        stranger.execute("BEGIN IMMEDIATE").await.unwrap();
        let error: CatalogError = catalog.commit(vec![Edit::Insert(row(2, 1))]).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Unavailable);
        assert!(error.source().is_some());
        assert!(catalog.read(Table::Keys, "00001").await.unwrap().is_some(), "reading waits for nobody");
        stranger.execute("ROLLBACK").await.unwrap();
        catalog.commit(vec![Edit::Insert(row(2, 1))]).await.unwrap();
        assert_eq!(catalog.list(Table::Keys, None, None, 9).await.unwrap().len(), 2);
    });
}

/// A row that somebody altered with SQLite's own means.
#[test]
fn a_row_that_was_altered_is_corrupt_and_named() {
    for change in [
        "UPDATE rows SET owner = 'mallory' WHERE id = '001'",
        "UPDATE rows SET due = NULL WHERE id = '001'",
        "UPDATE rows SET version = 2 WHERE id = '001'",
        "UPDATE rows SET mac = zeroblob(32) WHERE id = '001'",
        "UPDATE rows SET length = length - 1 WHERE id = '001'",
        "UPDATE bodies SET body = zeroblob(1014) WHERE number = (SELECT number FROM rows WHERE id = '001')",
    ] {
        block_on(async {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("catalogue");
            filled(&path).await;
            let mut stranger = SqliteConnectOptions::new().filename(&path).connect().await.unwrap();
            assert_eq!(stranger.execute(change).await.unwrap().rows_affected(), 1);
            stranger.close().await.unwrap();
            let catalog = SqliteCatalog::open(&path).await.unwrap();
            let error = catalog.read(Table::Stores, "001").await.unwrap_err();
            assert_eq!(
                (error.kind(), error.place()),
                (Kind::Corrupt, Some((Table::Stores, "001"))),
                "{change}"
            );
            assert!(catalog.read(Table::ALL[2], "002").await.unwrap().is_some());
        });
    }
}

#[test]
fn bodies_and_tables_that_are_gone_are_corrupt() {
    for change in [
        "DELETE FROM bodies",
        "DROP TABLE bodies",
        "UPDATE rows SET tbl = 'elsewhere' WHERE id = '001'",
        "UPDATE rows SET length = -1",
        "UPDATE rows SET length = 9999999",
        "UPDATE rows SET mac = x'00'",
        "DROP INDEX rows_by_id; DELETE FROM rows; DROP TABLE rows",
    ] {
        block_on(async {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("catalogue");
            filled(&path).await;
            let mut stranger = SqliteConnectOptions::new().filename(&path).connect().await.unwrap();
            stranger.execute(sqlx::AssertSqlSafe(change)).await.unwrap();
            stranger.close().await.unwrap();
            let catalog = SqliteCatalog::open(&path).await.unwrap();
            assert_eq!(everything(&catalog).await.unwrap_err().kind(), Kind::Corrupt, "{change}");
        });
    }
}
