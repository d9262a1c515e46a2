//! Who owns a file.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use super::{is_at, private};

/// The ownership of a file: a lock of the operating system on one of its own beside it, `<path>.lock`.
///
/// The system lets go of it when the process ends, however it ends, so that nobody has to clear up after a crash. On a
/// file of its own, which is never deleted, since where locks are mandatory one on the file itself would shut out whoever
/// only looks at it.
#[derive(Debug)]
pub(crate) struct Lease {
    // Held for the lock that is on it.
    file: File,
    path: PathBuf,
}

impl Lease {
    /// Takes it, at once; `None` if somebody else has it.
    pub(crate) fn take(owned: &Path) -> io::Result<Option<Self>> {
        let mut path = owned.as_os_str().to_owned();
        path.push(".lock");
        let path = PathBuf::from(path);
        let file = private(OpenOptions::new().write(true).create(true).truncate(false)).open(&path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        let lease = Self { file, path };
        // Somebody may have removed the file before it was locked.
        Ok(lease.holds().then_some(lease))
    }

    /// Whether the lock is still where others look for it. Who removes it lets in another owner; then this one must
    /// change nothing any more.
    pub(crate) fn holds(&self) -> bool {
        is_at(&self.file, &self.path)
    }
}

/// Not left to the closing of the file: a process that is being forked has it open too, for a moment.
impl Drop for Lease {
    fn drop(&mut self) {
        let _ = self.file.unlock();
    }
}
