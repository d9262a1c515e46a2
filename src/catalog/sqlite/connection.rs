//! What is done on a connection.

use std::future::ready;
use std::time::Duration;

use futures_util::TryStreamExt as _;
use sqlx::sqlite::SqliteConnection;
use sqlx::{Decode, SqlSafeStr, Sqlite, Type};

use super::failure::failure;
use super::rows::{Statement, decode};
use crate::catalog::error::{CatalogError, CatalogErrorKind as Kind};
use crate::catalog::row::Row;
use crate::clock::{SystemClock, within};

/// Gives the work so much time. By the machine's clock, since SQLite's own threads know no other.
pub(super) async fn bounded<T>(
    deadline: Duration,
    work: impl Future<Output = Result<T, CatalogError>> + Send,
) -> Result<T, CatalogError> {
    match within(&SystemClock, deadline, work).await {
        Some(outcome) => outcome,
        None => Err(CatalogError::caused_by(Kind::Unavailable, "the database did not answer in time")),
    }
}

/// Runs statements that give nothing.
pub(super) async fn run(connection: &mut SqliteConnection, sql: impl SqlSafeStr) -> Result<(), CatalogError> {
    sqlx::raw_sql(sql).execute(connection).await.map(drop).map_err(failure)
}

/// Runs a statement that gives one value.
pub(super) async fn scalar<T>(connection: &mut SqliteConnection, sql: &'static str) -> Result<T, CatalogError>
where
    T: for<'r> Decode<'r, Sqlite> + Type<Sqlite> + Send + Unpin,
{
    sqlx::query_scalar(sql).fetch_one(connection).await.map_err(failure)
}

/// Runs a statement that gives rows.
pub(super) async fn rows(
    connection: &mut SqliteConnection,
    statement: Statement<'_>,
) -> Result<Vec<Row>, CatalogError> {
    statement.fetch(connection).map_err(failure).and_then(|row| ready(decode(&row))).try_collect().await
}
