//! Who owns the file.

use std::io;
use std::path::Path;

use crate::catalog::error::{CatalogError, CatalogErrorKind as Kind};
use crate::file::Lease;

/// Takes the ownership of a catalogue, or fails at once.
///
/// Not SQLite's own exclusive mode: that would shut out those who only look, and its locks belong to the process, so that
/// two owners in one process would not see each other, and whoever closes the file anywhere in the process loses them.
pub(super) fn take(catalogue: &Path) -> Result<Lease, CatalogError> {
    Lease::take(catalogue).map_err(failure)?.ok_or_else(|| CatalogError::new(Kind::InUse))
}

/// What an error of the file system means.
pub(super) fn failure(error: io::Error) -> CatalogError {
    let kind = match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Kind::NotFound,
        io::ErrorKind::AlreadyExists => Kind::AlreadyExists,
        io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => Kind::ReadOnly,
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Kind::Full,
        _ => Kind::Unavailable,
    };
    CatalogError::caused_by(kind, error)
}
