//! The one connection that changes anything.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use sqlx::sqlite::SqliteConnection;

use super::connection::{run, scalar};
use super::failure::failure;
use super::rows::make;
use super::worker::Worker;
use crate::catalog::edit::Edit;
use crate::catalog::error::CatalogError;
use crate::catalog::row::Table;

/// Transactions are begun and ended by plain statements, not by sqlx's `Transaction`: that one does not notice when
/// SQLite has rolled back by itself, as it does when the medium is full, and would never begin another.
pub(super) struct Writer {
    worker: Worker,
    /// How many commits were left, dropped or too late, so that they may still be about to take place.
    left: AtomicU64,
    /// How many of these are over.
    settled: AtomicU64,
    log: Arc<Log>,
    transaction: Arc<Transaction>,
}

/// The write-ahead log, as far as it is to be erased.
struct Log {
    /// Whether it holds what was deleted.
    owed: AtomicBool,
    /// What a snapshot holds while it reads.
    reading: Arc<()>,
}

/// Whether what was there must be gone: whatever is deleted, and a secret that was sealed anew, which somebody may
/// unseal still.
fn erases(edit: &Edit) -> bool {
    match edit {
        Edit::Insert(_) | Edit::Require { .. } | Edit::RequireNone { .. } => false,
        Edit::Replace(row) => matches!(row.table, Table::Catalog | Table::Vaults),
        Edit::Delete { .. } => true,
    }
}

impl Writer {
    pub(super) fn new(connection: SqliteConnection) -> Result<Self, CatalogError> {
        // By the last owner, perhaps.
        let log = Log { owed: AtomicBool::new(true), reading: Arc::default() };
        Ok(Self {
            worker: Worker::new(connection)?,
            left: AtomicU64::new(0),
            settled: AtomicU64::new(0),
            log: Arc::new(log),
            transaction: Arc::default(),
        })
    }

    /// What a snapshot holds while it reads.
    pub(super) fn reading(&self) -> Arc<()> {
        Arc::clone(&self.log.reading)
    }

    pub(super) async fn commit(&self, edits: Vec<Edit>) -> Result<(), CatalogError> {
        let (log, transaction) = (Arc::clone(&self.log), Arc::clone(&self.transaction));
        let unless_left = Leaves(&self.left);
        let made = self
            .worker
            .run(async move |connection| {
                if edits.iter().any(erases) {
                    log.owed.store(true, Ordering::Release);
                }
                transaction.make(connection, &edits).await
            })
            .await;
        std::mem::forget(unless_left);
        made
    }

    /// After this, no commit that was left takes place any more, and one that did is seen.
    pub(super) async fn settle(&self) -> Result<(), CatalogError> {
        let left = self.left.load(Ordering::Acquire);
        if self.settled.load(Ordering::Acquire) >= left {
            return Ok(());
        }
        // It comes after everything that was asked for before.
        self.worker.run(async |_| Ok(())).await?;
        self.settled.fetch_max(left, Ordering::AcqRel);
        Ok(())
    }

    /// Empties the log, if it holds what was deleted and nobody reads it. Otherwise, and when it goes wrong, it is tried
    /// again after the next commit: what was committed is durable either way.
    pub(super) async fn erase(&self) {
        if self.log.owed.load(Ordering::Acquire) {
            let log = Arc::clone(&self.log);
            let erased = async move |connection: &mut SqliteConnection| {
                log.erase_on(connection).await;
                Ok(())
            };
            let _ = self.worker.run(erased).await;
        }
    }

    pub(super) async fn close(&self) -> Result<(), CatalogError> {
        self.erase().await;
        self.worker.close().await
    }
}

impl Log {
    async fn erase_on(&self, connection: &mut SqliteConnection) {
        if Arc::strong_count(&self.reading) > 1 {
            return;
        }
        // The first column says whether somebody was in the way.
        if let Ok(0) = scalar::<i64>(connection, "PRAGMA wal_checkpoint(TRUNCATE)").await {
            self.owed.store(false, Ordering::Release);
        }
    }
}

/// Says so when it is dropped.
struct Leaves<'a>(&'a AtomicU64);

impl Drop for Leaves<'_> {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::AcqRel);
    }
}

/// Whether a transaction may be open that was to be rolled back, and could not be.
#[derive(Default)]
struct Transaction {
    may_be_open: AtomicBool,
}

impl Transaction {
    async fn make(&self, connection: &mut SqliteConnection, edits: &[Edit]) -> Result<(), CatalogError> {
        self.roll_back(connection).await?;
        self.may_be_open.store(true, Ordering::Relaxed);
        let made = all(connection, edits).await;
        match made {
            Ok(()) => self.may_be_open.store(false, Ordering::Relaxed),
            // What went wrong is more worth telling than what goes wrong on the way back; that is tried again.
            Err(_) => drop(self.roll_back(connection).await),
        }
        made
    }

    async fn roll_back(&self, connection: &mut SqliteConnection) -> Result<(), CatalogError> {
        if self.may_be_open.load(Ordering::Relaxed) {
            match sqlx::query("ROLLBACK").execute(connection).await {
                // Nothing to roll back.
                Ok(_) | Err(sqlx::Error::Database(_)) => self.may_be_open.store(false, Ordering::Relaxed),
                Err(error) => return Err(failure(error)),
            }
        }
        Ok(())
    }
}

async fn all(connection: &mut SqliteConnection, edits: &[Edit]) -> Result<(), CatalogError> {
    run(connection, "BEGIN IMMEDIATE").await?;
    for edit in edits {
        make(connection, edit).await?;
    }
    run(connection, "COMMIT").await
}
