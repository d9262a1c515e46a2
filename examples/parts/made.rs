//! What a start has made, and takes away again unless it succeeds: whoever mistyped a path finds no folder of that name.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// What this process, and nobody else, has made so far. Dropped, it is taken away, the last first.
#[derive(Debug, Default)]
pub(crate) struct Made(Vec<PathBuf>);

impl Made {
    /// A folder for its owner alone, with those that it lies in, unless it is there.
    pub(crate) fn folder(&mut self, path: &Path) -> io::Result<()> {
        match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() && !parent.try_exists()? => self.folder(parent)?,
            _ => {}
        }
        let mut builder = fs::DirBuilder::new();
        #[cfg(unix)]
        {
            use std::os::unix::fs::DirBuilderExt as _;
            builder.mode(0o700);
        }
        match builder.create(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
            created => created.map(|()| self.0.push(path.to_owned())),
        }
    }

    /// A file that was not there before.
    pub(crate) fn file(&mut self, path: impl Into<PathBuf>) {
        self.0.push(path.into());
    }

    /// The start has succeeded.
    pub(crate) fn keep(&mut self) {
        self.0.clear();
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        for path in self.0.iter().rev() {
            // Somebody else may have put something into a folder, which then stays.
            let _ = if path.is_dir() { fs::remove_dir(path) } else { fs::remove_file(path) };
        }
    }
}
