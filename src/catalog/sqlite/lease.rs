//! Who owns the file.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use crate::catalog::error::{CatalogError, CatalogErrorKind as Kind};

/// The ownership of a catalogue: a lock of the operating system on a file of its own beside it, `<path>.lock`.
///
/// The system lets go of it when the process ends, however it ends, so that nobody has to clear up after a crash. Not
/// SQLite's own exclusive mode: that would shut out those who only look, and its locks belong to the process, so that
/// two owners in one process would not see each other, and whoever closes the file anywhere in the process loses them.
/// On a file of its own, which is never deleted, since where locks are mandatory one on the catalogue would shut out
/// SQLite itself.
#[derive(Debug)]
pub(super) struct Lease {
    // Held for the lock that is on it.
    #[cfg_attr(not(unix), expect(dead_code, reason = "an open file cannot be removed there"))]
    file: File,
    #[cfg_attr(not(unix), expect(dead_code, reason = "an open file cannot be removed there"))]
    path: PathBuf,
}

impl Lease {
    /// Takes it, or fails at once.
    pub(super) fn take(catalogue: &Path) -> Result<Self, CatalogError> {
        let mut path = catalogue.as_os_str().to_owned();
        path.push(".lock");
        let path = PathBuf::from(path);
        let file = private(OpenOptions::new().write(true).create(true).truncate(false)).open(&path);
        let file = file.map_err(failure)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(CatalogError::new(Kind::InUse)),
            Err(TryLockError::Error(error)) => return Err(failure(error)),
        }
        let lease = Self { file, path };
        // Somebody may have removed the file before it was locked.
        if lease.holds() { Ok(lease) } else { Err(CatalogError::new(Kind::InUse)) }
    }

    /// Whether the file is still where others look for it. Who removes it lets in another owner; then this one must
    /// change nothing any more.
    #[cfg(unix)]
    pub(super) fn holds(&self) -> bool {
        use std::os::unix::fs::MetadataExt as _;

        let same = |ours: std::fs::Metadata, there: std::fs::Metadata| {
            (ours.dev(), ours.ino()) == (there.dev(), there.ino())
        };
        match (self.file.metadata(), std::fs::metadata(&self.path)) {
            (Ok(ours), Ok(there)) => same(ours, there),
            _ => false,
        }
    }

    #[cfg(not(unix))]
    pub(super) fn holds(&self) -> bool {
        true
    }
}

/// A file that only its owner may read.
pub(super) fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options
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
