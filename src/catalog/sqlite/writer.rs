//! The one connection that changes anything.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::lock::Mutex;
use sqlx::Connection as _;
use sqlx::sqlite::SqliteConnection;

use super::connection::{run, scalar};
use super::failure::failure;
use super::rows::make;
use crate::catalog::edit::Edit;
use crate::catalog::error::{CatalogError, CatalogErrorKind as Kind};
use crate::catalog::row::Table;

/// Transactions are begun and ended by plain statements, not by sqlx's `Transaction`: that one does not notice when
/// SQLite has rolled back by itself, as it does when the medium is full, and would never begin another.
pub(super) struct Writer {
    /// `None` once closed.
    connection: Mutex<Option<SqliteConnection>>,
    /// Whether a commit was left, dropped or too late, so that it may still be about to take place.
    unsettled: AtomicBool,
    /// Whether the log holds what was deleted.
    owed: AtomicBool,
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
    pub(super) fn new(connection: SqliteConnection) -> Self {
        Self {
            connection: Mutex::new(Some(connection)),
            unsettled: AtomicBool::new(false),
            // By the last owner, perhaps.
            owed: AtomicBool::new(true),
            reading: Arc::default(),
        }
    }

    /// What a snapshot holds while it reads.
    pub(super) fn reading(&self) -> Arc<()> {
        Arc::clone(&self.reading)
    }

    pub(super) async fn commit(&self, edits: &[Edit]) -> Result<(), CatalogError> {
        let mut connection = self.connection.lock().await;
        let connection = connection.as_mut().ok_or_else(|| CatalogError::new(Kind::Closed))?;
        self.settle_on(connection).await?;
        if edits.iter().any(erases) {
            self.owed.store(true, Ordering::Release);
        }
        let unless_left = Unsettles(&self.unsettled);
        let made = transaction(connection, edits).await;
        match made {
            Ok(()) => std::mem::forget(unless_left),
            Err(_) => {
                drop(unless_left);
                // What went wrong is more worth telling than what goes wrong on the way back; that is tried again.
                let _ = self.settle_on(connection).await;
            }
        }
        made
    }

    /// After this, no commit that was left takes place any more, and one that did is seen.
    pub(super) async fn settle(&self) -> Result<(), CatalogError> {
        if !self.unsettled.load(Ordering::Acquire) {
            return Ok(());
        }
        match self.connection.lock().await.as_mut() {
            Some(connection) => self.settle_on(connection).await,
            None => Ok(()),
        }
    }

    async fn settle_on(&self, connection: &mut SqliteConnection) -> Result<(), CatalogError> {
        if self.unsettled.load(Ordering::Acquire) {
            // It comes after everything that was asked for before.
            match sqlx::query("ROLLBACK").execute(connection).await {
                // Nothing to roll back.
                Ok(_) | Err(sqlx::Error::Database(_)) => self.unsettled.store(false, Ordering::Release),
                Err(error) => return Err(failure(error)),
            }
        }
        Ok(())
    }

    /// Empties the log, if it holds what was deleted and nobody reads it. Otherwise, and when it goes wrong, it is tried
    /// again after the next commit: what was committed is durable either way.
    pub(super) async fn erase(&self) {
        if !self.owed.load(Ordering::Acquire) {
            return;
        }
        if let Some(connection) = self.connection.lock().await.as_mut() {
            self.erase_on(connection).await;
        }
    }

    async fn erase_on(&self, connection: &mut SqliteConnection) {
        if Arc::strong_count(&self.reading) > 1 {
            return;
        }
        // The first column says whether somebody was in the way.
        if let Ok(0) = scalar::<i64>(connection, "PRAGMA wal_checkpoint(TRUNCATE)").await {
            self.owed.store(false, Ordering::Release);
        }
    }

    pub(super) async fn close(&self) -> Result<(), CatalogError> {
        let Some(mut connection) = self.connection.lock().await.take() else { return Ok(()) };
        let settled = self.settle_on(&mut connection).await;
        self.erase_on(&mut connection).await;
        connection.close().await.map_err(failure).and(settled)
    }
}

/// Says so when it is dropped.
struct Unsettles<'a>(&'a AtomicBool);

impl Drop for Unsettles<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

async fn transaction(connection: &mut SqliteConnection, edits: &[Edit]) -> Result<(), CatalogError> {
    run(connection, "BEGIN IMMEDIATE").await?;
    for edit in edits {
        make(connection, edit).await?;
    }
    run(connection, "COMMIT").await
}
