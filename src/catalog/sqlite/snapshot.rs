//! All rows of one moment.

use std::fmt;
use std::sync::{Arc, Weak};
use std::time::Duration;

use async_trait::async_trait;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions as _, Connection as _};

use super::connection::{bounded, run};
use super::failure::failure;
use super::rows::{SNAPSHOT, decode, number};
use super::writer::Writer;
use crate::catalog::contract::Snapshot;
use crate::catalog::error::CatalogError;
use crate::catalog::row::Row;

/// Rows that are read at once; a few of the longest are still bearable.
const PIECE: i64 = 32;

/// A reading transaction on a connection of its own.
pub(super) struct SqliteSnapshot {
    /// `None` after the last row.
    connection: Option<SqliteConnection>,
    after: i64,
    deadline: Duration,
    /// Counts the snapshots that keep what was deleted in the log.
    reading: Option<Arc<()>>,
    /// Not to keep the catalogue from being given up.
    writer: Weak<Writer>,
}

impl SqliteSnapshot {
    pub(super) async fn begin(
        options: &SqliteConnectOptions,
        deadline: Duration,
        writer: Option<&Arc<Writer>>,
    ) -> Result<Self, CatalogError> {
        let reading = writer.map(|writer| writer.reading());
        let mut connection = options.connect().await.map_err(failure)?;
        run(&mut connection, "BEGIN").await?;
        // Only reading something settles which moment it is.
        run(&mut connection, "SELECT number FROM rows LIMIT 1").await?;
        let writer = writer.map(Arc::downgrade).unwrap_or_default();
        Ok(Self { connection: Some(connection), after: i64::MIN, deadline, reading, writer })
    }

    async fn piece(&mut self) -> Result<Option<Vec<Row>>, CatalogError> {
        let Some(connection) = &mut self.connection else { return Ok(None) };
        let query = sqlx::query(SNAPSHOT).bind(self.after).bind(PIECE);
        let found = query.fetch_all(&mut *connection).await.map_err(failure)?;
        let rows = found.iter().map(decode).collect::<Result<Vec<_>, _>>()?;
        if let Some(last) = found.last() {
            self.after = number(last)?;
            return Ok(Some(rows));
        }
        if let Some(connection) = self.connection.take() {
            connection.close().await.map_err(failure)?;
        }
        self.reading = None;
        if let Some(writer) = self.writer.upgrade() {
            writer.erase().await;
        }
        Ok(None)
    }
}

#[async_trait]
impl Snapshot for SqliteSnapshot {
    async fn next(&mut self) -> Result<Option<Vec<Row>>, CatalogError> {
        bounded(self.deadline, self.piece()).await
    }
}

impl fmt::Debug for SqliteSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteSnapshot").finish_non_exhaustive()
    }
}
