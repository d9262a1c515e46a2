//! Where bodies lie, so that one that is deleted is gone.
//!
//! `secure_delete` overwrites a row that is deleted and every page that is freed. But SQLite moves rows between the pages
//! of a tree to keep it balanced, and leaves the bytes of those it moved away in the unused part of a page: when such a
//! row is deleted later, its copy stays. What is never moved, and overwritten as a whole, are overflow pages, which hold
//! what of a row exceeds a page. So each body is made as long as it takes for all of it to lie there: of a row that
//! spills, the tree keeps the first [`LOCAL`] bytes, if what is beyond fills its pages exactly, and these are zeros.
//! <https://www.sqlite.org/fileformat2.html#b_tree_pages>, "payload".

use sqlx::sqlite::SqliteConnection;

use super::failure::failure;
use crate::catalog::error::{CatalogError, CatalogErrorKind as Kind};
use crate::catalog::row::{Row, Table};

/// The size of a page. Small, since each body fills whole ones.
pub(super) const PAGE: u32 = 1024;

/// What of a row that spills stays in the tree: "M".
const LOCAL: usize = (PAGE as usize - 12) * 32 / 255 - 23;

/// What of it an overflow page holds.
const SPILLED: usize = PAGE as usize - 4;

/// The length of a row's header without the type of the body: its own length, and the types of `number` and `lead`.
const HEADER: usize = 4;

const INSERT: &str = "INSERT INTO bodies (number, lead, body) VALUES (?1, zeroblob(?2), ?3)";
const REPLACE: &str = "UPDATE bodies SET body = ?3 \
     WHERE number = (SELECT number FROM rows WHERE tbl = ?1 AND id = ?2)";
const DELETE: &str = "DELETE FROM bodies \
     WHERE number = (SELECT number FROM rows WHERE tbl = ?1 AND id = ?2 AND version = ?3)";

/// The body of a new row of this number.
pub(super) async fn insert(
    connection: &mut SqliteConnection,
    number: i64,
    row: &Row,
) -> Result<(), CatalogError> {
    let lead = i64::try_from(LOCAL).unwrap_or(0);
    let query = sqlx::query(INSERT).bind(number).bind(lead).bind(padded(&row.body));
    query.execute(connection).await.map(drop).map_err(failure)
}

/// The body of the next version of a row.
pub(super) async fn replace(connection: &mut SqliteConnection, row: &Row) -> Result<(), CatalogError> {
    let query = sqlx::query(REPLACE).bind(row.table.as_str()).bind(row.id.as_str()).bind(padded(&row.body));
    let done = query.execute(connection).await.map_err(failure)?;
    // Each row has one.
    if done.rows_affected() == 1 { Ok(()) } else { Err(CatalogError::new(Kind::Corrupt)) }
}

/// The body of a row that is about to be deleted, if it is there at this version.
pub(super) async fn delete(
    connection: &mut SqliteConnection,
    table: Table,
    id: &str,
    version: i64,
) -> Result<(), CatalogError> {
    let query = sqlx::query(DELETE).bind(table.as_str()).bind(id).bind(version);
    query.execute(connection).await.map(drop).map_err(failure)
}

/// With as many zeros behind it as it takes for the last overflow page to be full.
fn padded(body: &[u8]) -> Vec<u8> {
    let pages = (body.len() + HEADER + LONGEST_TYPE).div_ceil(SPILLED);
    let rest = pages * SPILLED - HEADER;
    // Its type says its length, and takes the more bytes the longer it is.
    let length = (2..=LONGEST_TYPE)
        .map(|bytes| (bytes, rest - bytes))
        .find(|(bytes, length)| *bytes == type_len(*length));
    let mut padded = body.to_vec();
    // There is one for every length that a body may have; see the test.
    padded.resize(length.map_or(rest, |(_, length)| length), 0);
    padded
}

/// The bytes that the type of the longest body takes.
const LONGEST_TYPE: usize = 4;

/// The bytes that the type of a blob takes: a varint, of seven bits each.
fn type_len(blob: usize) -> usize {
    (usize::BITS - (12 + 2 * blob).leading_zeros()).div_ceil(7) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_body_fills_its_overflow_pages() {
        for length in 0..=Row::MAX_BODY_LEN {
            // Sparing the copies: only the length matters.
            if length % 997 > 2 && length % SPILLED > 12 {
                continue;
            }
            let padded = padded(&vec![1; length]).len();
            let row = HEADER + type_len(padded) + LOCAL + padded;
            assert!(padded >= length && padded < length + SPILLED + LONGEST_TYPE, "{length}: {padded}");
            assert_eq!(row % SPILLED, LOCAL, "{length}");
        }
    }
}
