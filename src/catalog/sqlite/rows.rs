//! Rows as SQLite keeps them, and the statements about them.

use aws_lc_rs::digest::{Context, SHA256};
use sqlx::query::Query;
use sqlx::sqlite::{SqliteArguments, SqliteConnection, SqliteRow};
use sqlx::{Row as _, Sqlite};

use super::bodies;
use super::failure::failure;
use crate::catalog::edit::Edit;
use crate::catalog::error::{CatalogError, CatalogErrorKind as Kind};
use crate::catalog::row::{Row, Table};

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT number, tbl, id, version, owner, uniq, due, mac, length, body, checksum ",
            "FROM rows LEFT JOIN bodies USING (number) ",
            $rest
        )
    };
}

pub(super) const READ: &str = select!("WHERE tbl = ?1 AND id = ?2");
pub(super) const FIND: &str = select!("WHERE tbl = ?1 AND uniq = ?2");
pub(super) const LIST: &str = select!("WHERE tbl = ?1 AND id > ?2 ORDER BY id LIMIT ?3");
pub(super) const LIST_OF_OWNER: &str =
    select!("WHERE tbl = ?1 AND owner = ?4 AND id > ?2 ORDER BY id LIMIT ?3");
pub(super) const DUE: &str = select!("WHERE tbl = ?1 AND due <= ?2 ORDER BY due, id LIMIT ?3");
pub(super) const DUE_OF_OWNER: &str =
    select!("WHERE tbl = ?1 AND owner = ?4 AND due <= ?2 ORDER BY due, id LIMIT ?3");
pub(super) const SNAPSHOT: &str = select!("WHERE number > ?1 ORDER BY number LIMIT ?2");

const INSERT: &str = "INSERT INTO rows (tbl, id, version, owner, uniq, due, mac, length, checksum) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT DO NOTHING";
const REPLACE: &str = "UPDATE OR IGNORE rows \
     SET version = ?3, owner = ?4, uniq = ?5, due = ?6, mac = ?7, length = ?8, checksum = ?9 \
     WHERE tbl = ?1 AND id = ?2 AND version = ?3 - 1";
const DELETE: &str = "DELETE FROM rows WHERE tbl = ?1 AND id = ?2 AND version = ?3";
const VERSION: &str = "SELECT version FROM rows WHERE tbl = ?1 AND id = ?2";
const OF_OWNER: &str = "SELECT 1 FROM rows WHERE tbl = ?1 AND owner = ?2 LIMIT 1";

/// The row, if it is as it was written.
pub(super) fn decode(from: &SqliteRow) -> Result<Row, CatalogError> {
    let table: &str = from.try_get("tbl").map_err(failure)?;
    let table = Table::from_name(table).ok_or_else(|| CatalogError::new(Kind::Corrupt))?;
    let version: i64 = from.try_get("version").map_err(failure)?;
    let mac: &[u8] = from.try_get("mac").map_err(failure)?;
    let length: i64 = from.try_get("length").map_err(failure)?;
    let padded: &[u8] = from.try_get("body").map_err(failure)?;
    let body = usize::try_from(length).ok().and_then(|length| padded.get(..length));
    let row = Row {
        table,
        id: from.try_get("id").map_err(failure)?,
        version: version.try_into().map_err(|_| CatalogError::new(Kind::Corrupt))?,
        owner: from.try_get("owner").map_err(failure)?,
        unique: from.try_get("uniq").map_err(failure)?,
        due: from.try_get("due").map_err(failure)?,
        body: body.ok_or_else(|| CatalogError::new(Kind::Corrupt))?.to_vec(),
        mac: mac.try_into().map_err(|_| CatalogError::new(Kind::Corrupt))?,
    };
    let kept: &[u8] = from.try_get("checksum").map_err(failure)?;
    if kept == checksum(&row) { Ok(row) } else { Err(CatalogError::at(Kind::Corrupt, table, row.id)) }
}

/// The place of a row among all, for a snapshot to go on from.
pub(super) fn number(of: &SqliteRow) -> Result<i64, CatalogError> {
    of.try_get("number").map_err(failure)
}

/// Makes one change inside a transaction. What it requires holds until that ends: nobody else writes meanwhile.
pub(super) async fn make(connection: &mut SqliteConnection, edit: &Edit) -> Result<(), CatalogError> {
    let (table, id) = edit.place();
    let refuse = |kind| Err(CatalogError::at(kind, table, id));
    match edit {
        Edit::Insert(row) => {
            row.check()?;
            let done = bound(INSERT, row).execute(&mut *connection).await.map_err(failure)?;
            if done.rows_affected() == 0 {
                let taken = version(connection, table, id).await?.is_some();
                return refuse(if taken { Kind::AlreadyExists } else { Kind::UniqueTaken });
            }
            bodies::insert(connection, done.last_insert_rowid(), row).await
        }
        Edit::Replace(row) => {
            row.check()?;
            let done = bound(REPLACE, row).execute(&mut *connection).await.map_err(failure)?;
            if done.rows_affected() == 0 {
                let latest = version(connection, table, id).await? == Some(signed(row.version) - 1);
                return refuse(if latest { Kind::UniqueTaken } else { Kind::Conflict });
            }
            bodies::replace(connection, row).await
        }
        Edit::Delete { version, .. } => {
            // A greater version than can be kept is none that was seen.
            let Ok(version) = i64::try_from(*version) else { return refuse(Kind::Conflict) };
            bodies::delete(connection, table, id, version).await?;
            let query = sqlx::query(DELETE).bind(table.as_str()).bind(id).bind(version);
            let done = query.execute(connection).await.map_err(failure)?;
            if done.rows_affected() == 0 { refuse(Kind::Conflict) } else { Ok(()) }
        }
        Edit::Require { .. } => match version(connection, table, id).await? {
            Some(_) => Ok(()),
            None => refuse(Kind::Conflict),
        },
        Edit::RequireNone { owner, .. } => {
            let query = sqlx::query(OF_OWNER).bind(table.as_str()).bind(owner);
            let found = query.fetch_optional(connection).await.map_err(failure)?;
            if found.is_some() { refuse(Kind::Conflict) } else { Ok(()) }
        }
    }
}

/// A statement with its values.
pub(super) type Statement<'q> = Query<'q, Sqlite, SqliteArguments>;

fn bound<'q>(statement: &'static str, row: &'q Row) -> Statement<'q> {
    sqlx::query(statement)
        .bind(row.table.as_str())
        .bind(row.id.as_str())
        .bind(signed(row.version))
        .bind(row.owner.as_deref())
        .bind(row.unique.as_deref())
        .bind(row.due)
        .bind(row.mac.as_slice())
        .bind(i64::try_from(row.body.len()).unwrap_or(i64::MAX))
        .bind(checksum(row).to_vec())
}

async fn version(
    connection: &mut SqliteConnection,
    table: Table,
    id: &str,
) -> Result<Option<i64>, CatalogError> {
    let query = sqlx::query_scalar(VERSION).bind(table.as_str()).bind(id);
    query.fetch_optional(connection).await.map_err(failure)
}

/// The version as SQLite keeps it. [`Row::check`] has seen that it can be kept.
fn signed(version: u64) -> i64 {
    i64::try_from(version).unwrap_or(i64::MAX)
}

/// What tells an altered row, since SQLite has no checksums of its own. Every part is preceded by its length.
fn checksum(row: &Row) -> [u8; 16] {
    let mut context = Context::new(&SHA256);
    let mut part = |bytes: Option<&[u8]>| {
        // A text that is not there is unlike an empty one.
        let length = bytes.map_or(u64::MAX, |bytes| bytes.len() as u64);
        context.update(&length.to_be_bytes());
        context.update(bytes.unwrap_or_default());
    };
    part(Some(row.table.as_str().as_bytes()));
    part(Some(row.id.as_bytes()));
    part(Some(&row.version.to_be_bytes()));
    part(row.owner.as_deref().map(str::as_bytes));
    part(row.unique.as_deref().map(str::as_bytes));
    part(row.due.map(i64::to_be_bytes).as_ref().map(<[u8; 8]>::as_slice));
    part(Some(&row.body));
    part(Some(&row.mac));
    let mut half = [0; 16];
    // Half of a SHA-256 is there.
    half.copy_from_slice(&context.finish().as_ref()[..16]);
    half
}

#[cfg(test)]
mod tests {
    use futures::executor::block_on;
    use sqlx::ConnectOptions as _;
    use sqlx::sqlite::SqliteConnectOptions;

    use super::super::bodies::PAGE;
    use super::super::schema;
    use super::*;

    /// What SQLite does for a statement, one step a line.
    async fn plan(connection: &mut SqliteConnection, statement: &str) -> Vec<String> {
        let query = sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {statement}"));
        let steps = sqlx::query(query).fetch_all(connection).await.unwrap();
        steps.iter().map(|step| step.get("detail")).collect()
    }

    /// Each goes straight to the first row and on from there: no scan, and nothing sorted.
    #[test]
    fn every_statement_follows_an_index() {
        block_on(async {
            let options = SqliteConnectOptions::new().in_memory(true).page_size(PAGE);
            let mut connection = options.connect().await.unwrap();
            schema::migrate(&mut connection, true).await.unwrap();
            for (statement, search) in [
                (READ, "USING INDEX rows_by_id (tbl=? AND id=?)"),
                (FIND, "USING INDEX rows_by_unique (tbl=? AND uniq=?)"),
                (LIST, "USING INDEX rows_by_id (tbl=? AND id>?)"),
                (LIST_OF_OWNER, "USING INDEX rows_by_owner (tbl=? AND owner=? AND id>?)"),
                (DUE, "USING INDEX rows_by_due (tbl=? AND due<?)"),
                (DUE_OF_OWNER, "USING INDEX rows_by_due_of_owner (tbl=? AND owner=? AND due<?)"),
                (SNAPSHOT, "USING INTEGER PRIMARY KEY (rowid>?)"),
            ] {
                let body = "SEARCH bodies USING INTEGER PRIMARY KEY (rowid=?) LEFT-JOIN";
                let plan = plan(&mut connection, statement).await;
                assert_eq!(plan, [format!("SEARCH rows {search}"), body.into()], "{statement}");
            }
            for statement in [REPLACE, DELETE, VERSION] {
                let plan = plan(&mut connection, statement).await.concat();
                assert!(plan.starts_with("SEARCH rows USING INDEX rows_by_id (tbl=? AND id=?)"), "{plan}");
            }
            let plan = plan(&mut connection, OF_OWNER).await;
            assert_eq!(plan, ["SEARCH rows USING COVERING INDEX rows_by_owner (tbl=? AND owner=?)"]);
        });
    }
}
