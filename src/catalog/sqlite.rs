//! A catalogue in a file, by SQLite.

mod bodies;
mod connection;
mod failure;
mod lease;
mod opening;
mod rows;
mod schema;
mod snapshot;
mod worker;
mod writer;

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};

use super::contract::{Catalog, Snapshot};
use super::edit::Edit;
use super::error::{CatalogError, CatalogErrorKind as Kind};
use super::row::{Row, Table};
use connection::bounded;
use rows::Statement;
use snapshot::SqliteSnapshot;
use worker::Worker;
use writer::Writer;

pub use opening::SqliteBuilder;

/// A catalogue in a file, by SQLite, which is part of the program.
///
/// ```
/// use custom_key_store::catalog::{Catalog as _, Edit, Row, SqliteCatalog, Table};
///
/// # futures::executor::block_on(async {
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("catalogue");
/// let catalogue = SqliteCatalog::create(&path).await?;
/// catalogue.commit(vec![Edit::Insert(Row::new(Table::Stores, "cks-1"))]).await?;
/// catalogue.close().await?;
///
/// let catalogue = SqliteCatalog::open(&path).await?;
/// assert!(catalogue.read(Table::Stores, "cks-1").await?.is_some());
/// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
/// ```
///
/// Needs no async runtime: SQLite works on threads of its own, two for each of the two connections of an open catalogue and
/// one for each snapshot. Reading does not wait for commits.
///
/// # The file and its companions
///
/// Beside `<path>` lie, while the catalogue is open and after a crash, `<path>-wal`, which holds what was committed
/// last, and `<path>-shm`; and always `<path>.lock`, which is empty. The folder must be writable. To back up a catalogue
/// that is open, use [`snapshot`](Catalog::snapshot): a copy of the file alone lacks what is in the log. All are
/// readable by their owner alone.
///
/// # One owner
///
/// A lock of the operating system on `<path>.lock` says that the catalogue is owned. It goes with the process that holds
/// it, so that nothing is to be cleared up after a crash. Do not remove the file: whoever does lets in a second owner,
/// and the first can commit nothing any more. A file system that has no such locks, as some network file systems, is not
/// for catalogues, as it is not for SQLite. A catalogue that is dropped without [`close`](Catalog::close) is owned until
/// what it was asked to do has ended.
///
/// # What is deleted
///
/// It is overwritten in the file before the commit returns, and the log, which held it too, is cut to nothing. While a
/// snapshot is being read, or another process reads the file, the log cannot be cut; it is then at the end of the
/// snapshot, after the next commit, on closing or when the catalogue is opened next. What the medium keeps of
/// overwritten blocks is beyond this.
///
/// # Damage
///
/// Opening reads the whole file and refuses one that is not sound, and each row has a checksum.
pub struct SqliteCatalog {
    options: SqliteConnectOptions,
    deadline: Duration,
    closed: AtomicBool,
    reader: Worker,
    /// `None` if it was opened for reading.
    writer: Option<Arc<Writer>>,
}

impl SqliteCatalog {
    /// Makes a catalogue and owns it. The folder must be there.
    ///
    /// # Errors
    ///
    /// - [`AlreadyExists`](Kind::AlreadyExists) if there is a file, unless it is empty.
    /// - [`InUse`](Kind::InUse) if there is a catalogue and somebody owns it: that is found out first.
    /// - [`NotFound`](Kind::NotFound) if the folder is missing.
    /// - Otherwise those of [`open`](Self::open).
    ///
    /// # Cancel safety
    ///
    /// A creation that was cut short can be made again.
    pub async fn create(path: impl AsRef<Path> + Send) -> Result<Self, CatalogError> {
        Self::builder().create(path).await
    }

    /// Opens a catalogue and owns it, and brings it up to date with this release. Takes a time in proportion to the
    /// size of the file.
    ///
    /// # Errors
    ///
    /// - [`NotFound`](Kind::NotFound) if there is no file.
    /// - [`InUse`](Kind::InUse) if it has an owner, in this process or another.
    /// - [`Corrupt`](Kind::Corrupt) if the file is damaged or something else.
    /// - [`NewerSchema`](Kind::NewerSchema) if a newer release made it.
    /// - [`ReadOnly`](Kind::ReadOnly), [`Full`](Kind::Full) if the file must be changed and cannot.
    /// - [`Unavailable`](Kind::Unavailable) if the medium fails or takes too long.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future gives up the ownership as soon as what it was doing has ended.
    pub async fn open(path: impl AsRef<Path> + Send) -> Result<Self, CatalogError> {
        Self::builder().open(path).await
    }

    /// Opens the catalogue that is there, or makes one: what a program does at each start.
    ///
    /// <div class="warning">
    ///
    /// Where the path is wrong, or its volume is not mounted, the catalogue is a new one, and has none of the keys. A
    /// program that was set up before had better [`open`](Self::open) it.
    ///
    /// </div>
    ///
    /// # Errors
    ///
    /// Those of [`open`](Self::open), where [`NotFound`](Kind::NotFound) says that the folder is missing.
    ///
    /// # Cancel safety
    ///
    /// As for [`create`](Self::create) and [`open`](Self::open).
    pub async fn open_or_create(path: impl AsRef<Path> + Send) -> Result<Self, CatalogError> {
        Self::builder().open_or_create(path).await
    }

    /// Opens a catalogue to look at it, whoever owns it. Every commit is refused as [`ReadOnly`](Kind::ReadOnly): a ledger
    /// on it lists stores and keys, and verifies; a store that is opened on it cannot connect.
    ///
    /// The folder must be writable nevertheless, unless an owner has it open: SQLite keeps track of readers there.
    ///
    /// # Errors
    ///
    /// Those of [`open`](Self::open) but [`InUse`](Kind::InUse).
    pub async fn open_read_only(path: impl AsRef<Path> + Send) -> Result<Self, CatalogError> {
        Self::builder().open_read_only(path).await
    }

    /// For a deadline and a size of one's own.
    pub fn builder() -> SqliteBuilder {
        SqliteBuilder::default()
    }

    fn new(
        options: SqliteConnectOptions,
        deadline: Duration,
        reader: SqliteConnection,
        writer: Option<SqliteConnection>,
    ) -> Result<Self, CatalogError> {
        Ok(Self {
            options,
            deadline,
            closed: AtomicBool::new(false),
            reader: Worker::new(reader)?,
            writer: writer.map(Writer::new).transpose()?.map(Arc::new),
        })
    }

    /// Refuses if the catalogue is closed. What was left by a commit that was dropped is settled first, so that nobody
    /// reads what is about to change by itself.
    async fn ready(&self) -> Result<(), CatalogError> {
        if self.closed.load(Ordering::Acquire) {
            return Err(closed());
        }
        match &self.writer {
            Some(writer) => writer.settle().await,
            None => Ok(()),
        }
    }

    async fn rows(&self, statement: Statement<'static>) -> Result<Vec<Row>, CatalogError> {
        bounded(self.deadline, async {
            self.ready().await?;
            self.reader.run(async move |reader| connection::rows(reader, statement).await).await
        })
        .await
        .map_err(|error| self.named_in(error))
    }

    fn named_in(&self, error: CatalogError) -> CatalogError {
        error.of_file(self.options.get_filename())
    }

    /// Has what was deleted erased from the log too.
    async fn erase(&self) {
        if let Some(writer) = &self.writer {
            let erased = async {
                writer.erase().await;
                Ok(())
            };
            // Tried again later if there is no time for it.
            let _ = bounded(self.deadline, erased).await;
        }
    }
}

fn closed() -> CatalogError {
    CatalogError::new(Kind::Closed)
}

/// As many as SQLite can count, which is more than there are.
fn signed(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

#[async_trait]
impl Catalog for SqliteCatalog {
    async fn read(&self, table: Table, id: &str) -> Result<Option<Row>, CatalogError> {
        let query = sqlx::query(rows::READ).bind(table.as_str()).bind(id.to_owned());
        Ok(self.rows(query).await?.pop())
    }

    async fn find(&self, table: Table, unique: &str) -> Result<Option<Row>, CatalogError> {
        let query = sqlx::query(rows::FIND).bind(table.as_str()).bind(unique.to_owned());
        Ok(self.rows(query).await?.pop())
    }

    async fn list(
        &self,
        table: Table,
        owner: Option<&str>,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Row>, CatalogError> {
        let statement = if owner.is_some() { rows::LIST_OF_OWNER } else { rows::LIST };
        // No id is empty.
        let after = after.unwrap_or_default().to_owned();
        let query = sqlx::query(statement).bind(table.as_str()).bind(after).bind(signed(limit));
        self.rows(match owner {
            Some(owner) => query.bind(owner.to_owned()),
            None => query,
        })
        .await
    }

    async fn due(
        &self,
        table: Table,
        owner: Option<&str>,
        until: i64,
        limit: usize,
    ) -> Result<Vec<Row>, CatalogError> {
        let statement = if owner.is_some() { rows::DUE_OF_OWNER } else { rows::DUE };
        let query = sqlx::query(statement).bind(table.as_str()).bind(until).bind(signed(limit));
        self.rows(match owner {
            Some(owner) => query.bind(owner.to_owned()),
            None => query,
        })
        .await
    }

    async fn commit(&self, edits: Vec<Edit>) -> Result<(), CatalogError> {
        let Some(writer) = &self.writer else {
            self.ready().await?;
            return Err(self.named_in(CatalogError::new(Kind::ReadOnly)));
        };
        bounded(self.deadline, async {
            self.ready().await?;
            writer.commit(edits).await
        })
        .await
        .map_err(|error| self.named_in(error))?;
        self.erase().await;
        Ok(())
    }

    async fn snapshot(&self) -> Result<Box<dyn Snapshot>, CatalogError> {
        bounded(self.deadline, async {
            self.ready().await?;
            let snapshot = SqliteSnapshot::begin(&self.options, self.deadline, self.writer.as_ref()).await?;
            Ok(Box::new(snapshot) as Box<dyn Snapshot>)
        })
        .await
        .map_err(|error| self.named_in(error))
    }

    async fn close(&self) -> Result<(), CatalogError> {
        self.closed.store(true, Ordering::Release);
        bounded(self.deadline, async {
            let read = self.reader.close().await;
            match &self.writer {
                Some(writer) => writer.close().await.and(read),
                None => read,
            }
        })
        .await
        .map_err(|error| self.named_in(error))
    }
}

impl fmt::Debug for SqliteCatalog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteCatalog").field("path", &self.options.get_filename()).finish_non_exhaustive()
    }
}
