//! What is done to a catalogue.

use super::row::{Row, Table};

/// One change of a catalogue, made together with those it is [committed](super::Catalog::commit) with.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Edit {
    /// Adds a row, whose id and unique text must not be taken.
    Insert(Row),
    /// Puts a row in the place of its version before, which must be the latest.
    Replace(Row),
    /// Takes a row away, whose version must be the latest, and overwrites it as far as the medium allows.
    Delete {
        /// Where it is.
        table: Table,
        /// Which it is.
        id: String,
        /// The version that was seen.
        version: u64,
    },
}

impl Edit {
    /// The row that is changed.
    #[must_use]
    pub fn place(&self) -> (Table, &str) {
        match self {
            Self::Insert(row) | Self::Replace(row) => (row.table, &row.id),
            Self::Delete { table, id, .. } => (*table, id),
        }
    }

    /// Takes this row away.
    #[must_use]
    pub fn delete(row: &Row) -> Self {
        Self::Delete { table: row.table, id: row.id.clone(), version: row.version }
    }
}
