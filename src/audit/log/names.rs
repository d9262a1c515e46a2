//! Which files a log has, by their names.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The names of a log's files: `audit.jsonl` for the one that is written to, `audit.<first>-<last>.jsonl` for those that
/// are full, by the numbers of their lines, and `audit.damaged-<lines>.jsonl`, or `audit.damaged-<first>-<last>.jsonl` for one that
/// is full, for those that were put aside. What was cut off at the end is in `audit.jsonl.torn-<lines>`, which is no file of lines.
#[derive(Debug, Clone)]
pub(super) struct Names {
    current: PathBuf,
    folder: PathBuf,
    stem: String,
    extension: String,
}

/// A file that is full.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Full {
    pub(super) first: u64,
    pub(super) last: u64,
    pub(super) path: PathBuf,
}

impl Names {
    /// For a file that is named so; `None` if the path names none, or not by text.
    pub(super) fn new(path: &Path) -> Option<Self> {
        let stem = path.file_stem()?.to_str()?.to_owned();
        let extension = path.extension().unwrap_or_default().to_str()?.to_owned();
        let folder = path.parent().unwrap_or_else(|| Path::new("")).to_owned();
        Some(Self { current: path.to_owned(), folder, stem, extension })
    }

    /// The file that is written to.
    pub(super) fn current(&self) -> &Path {
        &self.current
    }

    /// A file that is to take its place, while it is made.
    pub(super) fn next(&self) -> PathBuf {
        self.with("new")
    }

    /// A name that nothing has, for a file with these lines.
    pub(super) fn full(&self, first: u64, last: u64) -> io::Result<PathBuf> {
        Self::free(&format!("{first:012}-{last:012}"), |middle| self.with(middle))
    }

    /// A name that nothing has, for this file, which is not what it was when there were so many lines. One that is full
    /// keeps the numbers that it has: there may be more of them than one name is given to.
    pub(super) fn damaged(&self, path: &Path, lines: u64) -> io::Result<PathBuf> {
        let numbers = path.file_name().and_then(|name| self.middle(name)).and_then(numbers);
        let middle = match numbers {
            Some((first, last)) => format!("damaged-{first:012}-{last:012}"),
            None => format!("damaged-{lines:012}"),
        };
        Self::free(&middle, |middle| self.with(middle))
    }

    /// A name that nothing has, for what was cut off after so many lines.
    pub(super) fn torn(&self, lines: u64) -> io::Result<PathBuf> {
        Self::free(&format!("torn-{lines:012}"), |end| {
            let mut name = self.current.clone().into_os_string();
            name.push(".");
            name.push(end);
            name.into()
        })
    }

    /// Nothing that is there is written over, whoever put it there.
    fn free(middle: &str, named: impl Fn(&str) -> PathBuf) -> io::Result<PathBuf> {
        let mut path = named(middle);
        let mut number = 1_u64;
        // Not `try_exists`, which follows links.
        while !matches!(fs::symlink_metadata(&path), Err(error) if error.kind() == io::ErrorKind::NotFound) {
            if number > 1000 {
                return Err(io::Error::new(io::ErrorKind::AlreadyExists, format!("{path:?} is in the way")));
            }
            number += 1;
            path = named(&format!("{middle}.{number}"));
        }
        Ok(path)
    }

    fn with(&self, middle: &str) -> PathBuf {
        let mut name = self.stem.clone();
        for part in [middle, &self.extension].into_iter().filter(|part| !part.is_empty()) {
            name.push('.');
            name.push_str(part);
        }
        self.folder.join(name)
    }

    /// The full files that are there, in the order of their lines.
    pub(super) fn list_full(&self) -> io::Result<Vec<Full>> {
        let full = |(middle, path): (String, PathBuf)| {
            let (first, last) = numbers(&middle)?;
            Some(Full { first, last, path })
        };
        let mut found: Vec<Full> = self.list()?.into_iter().filter_map(full).collect();
        found.sort_by(|one, other| (one.first, &one.path).cmp(&(other.first, &other.path)));
        Ok(found)
    }

    /// All files of the log that are there but the one that is written to, whatever has become of them.
    pub(super) fn list_others(&self) -> io::Result<Vec<PathBuf>> {
        let ours = |(middle, path): (String, PathBuf)| {
            (middle.starts_with("damaged-") || middle.starts_with(|c: char| c.is_ascii_digit()))
                .then_some(path)
        };
        let mut found: Vec<PathBuf> = self.list()?.into_iter().filter_map(ours).collect();
        found.sort();
        Ok(found)
    }

    /// What stands between stem and extension, of each name that has both.
    fn list(&self) -> io::Result<Vec<(String, PathBuf)>> {
        let folder = if self.folder.as_os_str().is_empty() { Path::new(".") } else { &self.folder };
        let mut found = Vec::new();
        for entry in fs::read_dir(folder)? {
            let name = entry?.file_name();
            if let Some(middle) = self.middle(&name) {
                found.push((middle.to_owned(), self.folder.join(&name)));
            }
        }
        Ok(found)
    }

    fn middle<'a>(&self, name: &'a OsStr) -> Option<&'a str> {
        let rest = name.to_str()?.strip_prefix(&self.stem)?.strip_prefix('.')?;
        if self.extension.is_empty() {
            return Some(rest);
        }
        rest.strip_suffix(&self.extension)?.strip_suffix('.')
    }
}

/// Of the first and the last line of a file that is full, by what stands between stem and extension.
fn numbers(middle: &str) -> Option<(u64, u64)> {
    let (first, last) = middle.split('.').next()?.split_once('-')?;
    Some((first.parse().ok()?, last.parse().ok()?))
}
