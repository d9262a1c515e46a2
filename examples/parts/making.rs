//! What a start makes. It takes nothing away again, however it ends, since another process may count on it by then: so what can
//! be wrong is found out before.

use std::fs::DirBuilder;
use std::io;
use std::path::{Path, absolute};

/// A folder for its owner alone, with those that it lies in, unless it is there.
pub(crate) fn folder(path: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt as _;
        builder.mode(0o700);
    }
    builder.create(path)
}

/// Whether there is a folder for a file, or will be, when the one that is made is.
pub(crate) fn has_place(file: &Path, made: Option<&Path>) -> Result<(), String> {
    let shown = |error| format!("{}: {error}", file.display());
    let file_at = absolute(file).map_err(shown)?;
    let Some(parent) = file_at.parent() else { return Ok(()) };
    let is_made = match made {
        Some(made) => absolute(made).map_err(shown)?.starts_with(parent),
        None => false,
    };
    if is_made || parent.is_dir() {
        Ok(())
    } else {
        Err(format!("{}: the folder {} is not there", file.display(), parent.display()))
    }
}
