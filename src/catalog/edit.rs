//! What is done to a catalogue.

use super::row::{Row, Table};

/// One change of a catalogue, made together with those it is [committed](super::Catalog::commit) with, or a condition of
/// theirs.
///
/// A condition changes nothing. It sees what the edits before it did, and if it does not hold, nothing of the commit
/// takes place. It is for what belongs together but lies in several rows, where the version of none says that the others
/// are there still: a key is added to a store that may be deleted meanwhile.
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
    /// Demands that a row is there, at whatever version.
    Require {
        /// Where it is.
        table: Table,
        /// Which it is.
        id: String,
    },
    /// Demands that no row of a table belongs to an owner.
    RequireNone {
        /// Where none is to be.
        table: Table,
        /// Whose none is to be, as in [`Row::owner`].
        owner: String,
    },
}

impl Edit {
    /// What an error is about that refuses it: the table and the id of the row that is changed or required, or the
    /// owner whose row is in the way of a [`RequireNone`](Self::RequireNone).
    #[must_use]
    pub fn place(&self) -> (Table, &str) {
        match self {
            Self::Insert(row) | Self::Replace(row) => (row.table, &row.id),
            Self::Delete { table, id, .. } | Self::Require { table, id } => (*table, id),
            Self::RequireNone { table, owner } => (*table, owner),
        }
    }

    /// Takes this row away.
    #[must_use]
    pub fn delete(row: &Row) -> Self {
        Self::Delete { table: row.table, id: row.id.clone(), version: row.version }
    }
}
