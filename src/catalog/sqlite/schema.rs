//! The shape of the file, and how it came to be.

use sqlx::AssertSqlSafe;
use sqlx::sqlite::SqliteConnection;

use super::bodies::PAGE;
use super::connection::{run, scalar};
use crate::catalog::error::{CatalogError, CatalogErrorKind as Kind};

/// Each brings a file from the version before to that of its number. One that was released is never changed: there are
/// files that were made by it. Those of [`Table`](crate::catalog::Table) that a release adds need a new number too, so
/// that the release before does not open what it cannot read.
const MIGRATIONS: &[&str] =
    &[include_str!("migrations/0001_rows.sql"), include_str!("migrations/0002_audit.sql")];

/// The version that this release reads and writes; 0 is an empty file.
pub(super) const LATEST: usize = MIGRATIONS.len();

/// Says in SQLite's header whose file it is: `cks1`.
const APPLICATION_ID: i32 = i32::from_be_bytes(*b"cks1");

/// The version of the file, if it is a catalogue that this release can read.
pub(super) async fn version(connection: &mut SqliteConnection) -> Result<usize, CatalogError> {
    if number(connection, "PRAGMA application_id").await? != APPLICATION_ID {
        return Err(CatalogError::caused_by(Kind::Corrupt, "a file of something else"));
    }
    let version = number(connection, "PRAGMA user_version").await?;
    let version = usize::try_from(version).map_err(|_| CatalogError::new(Kind::Corrupt))?;
    if version > LATEST {
        return Err(CatalogError::new(Kind::NewerSchema));
    }
    // What bodies rely on.
    if scalar::<u32>(connection, "PRAGMA page_size").await? != PAGE {
        return Err(CatalogError::caused_by(Kind::Corrupt, "pages of another size"));
    }
    Ok(version)
}

/// Brings the file up to date, in one step; an empty one too, if one may be made a catalogue.
pub(super) async fn migrate(connection: &mut SqliteConnection, may_create: bool) -> Result<(), CatalogError> {
    let create = may_create && scalar::<u32>(connection, "PRAGMA page_count").await? == 0;
    let version = if create { 0 } else { version(connection).await? };
    let missing = MIGRATIONS.get(version..).unwrap_or_default();
    if missing.is_empty() {
        return Ok(());
    }
    run(connection, "BEGIN IMMEDIATE").await?;
    if create {
        run(connection, AssertSqlSafe(format!("PRAGMA application_id = {APPLICATION_ID}"))).await?;
    }
    for migration in missing {
        run(connection, *migration).await?;
    }
    run(connection, AssertSqlSafe(format!("PRAGMA user_version = {LATEST}"))).await?;
    run(connection, "COMMIT").await
}

async fn number(connection: &mut SqliteConnection, pragma: &'static str) -> Result<i32, CatalogError> {
    scalar(connection, pragma).await
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::digest::{SHA256, digest};

    use super::MIGRATIONS;

    /// A released migration is history. A new one gets a line here; no line ever changes.
    #[test]
    fn migrations_are_what_they_were() {
        let hashes = [
            "92237247fe99b4e02fddbf1ee3506f1434d9cbf6a50fea1a680565fe2565abf9",
            "d8de3a5adf72a3d302c9f26da48f7d6408b9476dc7c91d291a33e804d6dfc5b2",
        ];
        let found: Vec<_> =
            MIGRATIONS.iter().map(|sql| hex(digest(&SHA256, sql.as_bytes()).as_ref())).collect();
        assert_eq!(found, hashes);
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}
