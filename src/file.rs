//! What is said of files.

use std::io;
use std::path::Path;

/// Says, if it is so, that the folder of a file that is to be made is missing: the system would speak of the file.
pub(crate) fn folder_missing(path: &Path) -> Option<io::Error> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty())?;
    let missing = || io::Error::new(io::ErrorKind::NotFound, format!("the folder {folder:?} is missing"));
    (!folder.try_exists().unwrap_or(true)).then(missing)
}
