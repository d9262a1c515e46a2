//! What SQLite's failures mean.

use sqlx::Error;

use crate::catalog::error::{CatalogError, CatalogErrorKind as Kind};

/// Result codes, of which an extended one goes before the primary one it belongs to. What is not here is
/// [`Unavailable`](Kind::Unavailable): busy, locked, interrupted, no memory, input and output.
/// <https://www.sqlite.org/rescode.html>
const KINDS: &[(i32, Kind)] = &[
    // SQLITE_ERROR: our statements are right, so it is a schema that is not ours.
    (1, Kind::Corrupt),
    // SQLITE_READONLY_DBMOVED: the file was moved away or deleted.
    (1032, Kind::NotFound),
    (8, Kind::ReadOnly),
    // SQLITE_IOERR_SHORT_READ, SQLITE_IOERR_CORRUPTFS, SQLITE_IOERR_DATA
    (522, Kind::Corrupt),
    (8458, Kind::Corrupt),
    (8202, Kind::Corrupt),
    // SQLITE_CORRUPT
    (11, Kind::Corrupt),
    // SQLITE_FULL
    (13, Kind::Full),
    // SQLITE_CONSTRAINT_COMMITHOOK: the hook says that we own the file no more.
    (531, Kind::InUse),
    // SQLITE_CONSTRAINT: every other is provided for, unless the file is damaged.
    (19, Kind::Corrupt),
    // SQLITE_MISMATCH
    (20, Kind::Corrupt),
    // SQLITE_FORMAT, SQLITE_NOTADB
    (24, Kind::Corrupt),
    (26, Kind::Corrupt),
];

pub(super) fn failure(error: Error) -> CatalogError {
    let kind = match &error {
        Error::Database(error) => {
            let code = error.code().and_then(|code| code.parse().ok()).unwrap_or(0);
            of_code(code)
        }
        // A value of a type that was never written, or a text that is none.
        Error::RowNotFound
        | Error::TypeNotFound { .. }
        | Error::ColumnNotFound(_)
        | Error::ColumnIndexOutOfBounds { .. }
        | Error::ColumnDecode { .. }
        | Error::Decode(_) => Kind::Corrupt,
        _ => Kind::Unavailable,
    };
    CatalogError::caused_by(kind, error)
}

fn of_code(code: i32) -> Kind {
    let named = |wanted: i32| KINDS.iter().find(|(code, _)| *code == wanted).map(|(_, kind)| *kind);
    named(code).or_else(|| named(code & 0xff)).unwrap_or(Kind::Unavailable)
}
