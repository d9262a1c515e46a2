//! How a catalogue in a file is made and opened.

use std::fs::{self, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions as _, Connection as _};

use super::bodies::PAGE;
use super::connection::{bounded, run, scalar};
use super::failure::failure;
use super::lease;
use super::{SqliteCatalog, schema};
use crate::catalog::error::{CatalogError, CatalogErrorKind as Kind};
use crate::file::{Lease, folder_missing, private};

/// How long a writer waits for somebody who reads, and a reader for somebody who recovers the file.
const BUSY: Duration = Duration::from_secs(1);

/// How a [`SqliteCatalog`] is opened, where that is to differ from [`SqliteCatalog::open`].
#[derive(Debug, Clone)]
#[must_use]
pub struct SqliteBuilder {
    deadline: Duration,
    max_size: Option<u64>,
}

impl Default for SqliteBuilder {
    fn default() -> Self {
        Self { deadline: Duration::from_secs(30), max_size: None }
    }
}

impl SqliteBuilder {
    /// How long a call may take, waiting for others included, before it fails as
    /// [`Unavailable`](Kind::Unavailable). 30 seconds unless set.
    ///
    /// Opening has so long twice: for all else, and for looking the whole file over.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// The greatest size of the file in bytes, beyond which a commit fails as [`Full`](Kind::Full). Unless set,
    /// as large as SQLite allows, which is beyond what disks hold.
    ///
    /// A file that is larger already stays so. Its write-ahead log comes on top.
    pub fn max_size(mut self, bytes: u64) -> Self {
        self.max_size = Some(bytes);
        self
    }

    /// As [`SqliteCatalog::create`].
    ///
    /// # Errors
    ///
    /// Those of [`SqliteCatalog::create`].
    pub async fn create(&self, path: impl AsRef<Path> + Send) -> Result<SqliteCatalog, CatalogError> {
        let path = path.as_ref();
        self.make(path, false).await.map_err(|error| error.of_file(path))
    }

    /// As [`SqliteCatalog::open_or_create`].
    ///
    /// # Errors
    ///
    /// Those of [`SqliteCatalog::open_or_create`].
    pub async fn open_or_create(&self, path: impl AsRef<Path> + Send) -> Result<SqliteCatalog, CatalogError> {
        let path = path.as_ref();
        self.make(path, true).await.map_err(|error| error.of_file(path))
    }

    async fn make(&self, path: &Path, or_open: bool) -> Result<SqliteCatalog, CatalogError> {
        let path = absolute(path)?;
        if let Some(error) = folder_missing(&path) {
            return Err(lease::failure(error));
        }
        let lease = lease::take(&path)?;
        // Empty is what a creation leaves that was cut short: SQLite fills the file in one step. Cut short in the middle of
        // that, it has pages, of which opening it takes back all.
        let unfinished = || fs::metadata(&path).is_ok_and(|there| there.is_file() && there.len() == 0);
        match private(OpenOptions::new().write(true).create_new(true)).open(&path) {
            Ok(_) => {}
            Err(_) if unfinished() => {}
            Err(error) if or_open && error.kind() == io::ErrorKind::AlreadyExists => drop(existing(&path)?),
            Err(error) => return Err(lease::failure(error)),
        }
        self.own(path, lease, true).await
    }

    /// As [`SqliteCatalog::open`].
    ///
    /// # Errors
    ///
    /// Those of [`SqliteCatalog::open`].
    pub async fn open(&self, path: impl AsRef<Path> + Send) -> Result<SqliteCatalog, CatalogError> {
        let path = path.as_ref();
        self.open_at(path).await.map_err(|error| error.of_file(path))
    }

    async fn open_at(&self, path: &Path) -> Result<SqliteCatalog, CatalogError> {
        let path = existing(path)?;
        let lease = lease::take(&path)?;
        self.own(path, lease, false).await
    }

    /// As [`SqliteCatalog::open_read_only`].
    ///
    /// # Errors
    ///
    /// Those of [`SqliteCatalog::open_read_only`].
    pub async fn open_read_only(&self, path: impl AsRef<Path> + Send) -> Result<SqliteCatalog, CatalogError> {
        let path = path.as_ref();
        self.look_at(path).await.map_err(|error| error.of_file(path))
    }

    async fn look_at(&self, path: &Path) -> Result<SqliteCatalog, CatalogError> {
        let options = self.options(&existing(path)?).read_only(true);
        let mut reader = bounded(self.deadline, async {
            let mut reader = options.connect().await.map_err(failure)?;
            if schema::version(&mut reader).await? < schema::LATEST {
                return Err(CatalogError::caused_by(
                    Kind::ReadOnly,
                    "an older schema, which must be brought up to date",
                ));
            }
            Ok(reader)
        })
        .await?;
        bounded(self.deadline, look_over(&mut reader)).await?;
        SqliteCatalog::new(options, self.deadline, reader, None)
    }

    async fn own(
        &self,
        path: PathBuf,
        lease: Lease,
        may_create: bool,
    ) -> Result<SqliteCatalog, CatalogError> {
        let options = self.options(&path);
        let mut writer = bounded(self.deadline, async {
            let mut writer = options.connect().await.map_err(failure)?;
            // The connection keeps the lease for as long as a change that is under way may still take place, though
            // everybody who asked for it is gone; and it makes none without it.
            writer.lock_handle().await.map_err(failure)?.set_commit_hook(move || lease.holds());
            Ok(writer)
        })
        .await?;
        let options = options.read_only(true);
        match self.prepare(&mut writer, &options, may_create).await {
            Ok(reader) => {
                let catalog = SqliteCatalog::new(options, self.deadline, reader, Some(writer))?;
                // What the last owner could not do before it ended.
                catalog.erase().await;
                Ok(catalog)
            }
            Err(error) => {
                // Not left to its thread to do later, so that nobody owns the file when this returns.
                let _ = bounded(self.deadline, async { writer.close().await.map_err(failure) }).await;
                Err(error)
            }
        }
    }

    /// Makes a file ready to be written and read; gives the connection to read by.
    async fn prepare(
        &self,
        writer: &mut SqliteConnection,
        reading: &SqliteConnectOptions,
        may_create: bool,
    ) -> Result<SqliteConnection, CatalogError> {
        bounded(self.deadline, async {
            schema::migrate(writer, may_create).await?;
            let mode: String = scalar(writer, "PRAGMA journal_mode = WAL").await?;
            if mode != "wal" {
                return Err(CatalogError::caused_by(
                    Kind::Unavailable,
                    "the file system has no shared memory",
                ));
            }
            if let Some(bytes) = self.max_size {
                // Never zero, which would be no limit.
                let pages = (bytes / u64::from(PAGE)).clamp(1, u64::from(u32::MAX) - 1);
                run(writer, sqlx::AssertSqlSafe(format!("PRAGMA max_page_count = {pages}"))).await?;
            }
            Ok(())
        })
        .await?;
        bounded(self.deadline, look_over(writer)).await?;
        bounded(self.deadline, async { reading.connect().await.map_err(failure) }).await
    }

    fn options(&self, path: &Path) -> SqliteConnectOptions {
        SqliteConnectOptions::new()
            .filename(path)
            .busy_timeout(BUSY.min(self.deadline))
            .disable_statement_logging()
            // Heeded when the file is made.
            .page_size(PAGE)
            .pragma("synchronous", "FULL")
            // Where fsync does not reach the medium.
            .pragma("fullfsync", "ON")
            .pragma("checkpoint_fullfsync", "ON")
            .pragma("secure_delete", "ON")
            // Content goes to no file but these.
            .pragma("temp_store", "MEMORY")
            // A file is data, wherever it comes from.
            .pragma("trusted_schema", "OFF")
            .pragma("cell_size_check", "ON")
    }
}

/// Reads the whole file: damage that a lookup would take for a row that is not there is found here.
async fn look_over(connection: &mut SqliteConnection) -> Result<(), CatalogError> {
    let found: String = scalar(connection, "PRAGMA integrity_check(1)").await?;
    if found == "ok" { Ok(()) } else { Err(CatalogError::caused_by(Kind::Corrupt, found)) }
}

/// SQLite would take some relative paths for something else than a file.
fn absolute(path: &Path) -> Result<PathBuf, CatalogError> {
    std::path::absolute(path).map_err(lease::failure)
}

fn existing(path: &Path) -> Result<PathBuf, CatalogError> {
    let there = fs::metadata(path).map_err(lease::failure)?;
    if there.is_file() {
        absolute(path)
    } else {
        Err(CatalogError::caused_by(Kind::Corrupt, "it is no file"))
    }
}
