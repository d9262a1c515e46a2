//! What is done to files.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};

use crate::audit::error::{AuditError, AuditErrorKind as Kind};
use crate::file::{is_at, private, sync_directory};

#[cfg(test)]
use super::tests::Faults;

/// What the log does to files, step by step; in tests each step can be made to fail.
#[derive(Debug, Clone, Default)]
pub(super) struct Medium {
    #[cfg(test)]
    pub(super) faults: Faults,
}

/// A step, for whoever makes it fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Create,
    Write,
    Sync,
    Cut,
    Rename,
    SyncFolder,
}

impl Medium {
    #[cfg_attr(
        not(test),
        expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "tests let it fail")
    )]
    fn step(&self, _step: Step) -> io::Result<()> {
        #[cfg(test)]
        self.faults.meet(_step)?;
        Ok(())
    }

    /// Opens a file that is there, to be read and to be written to at its end.
    pub(super) fn open(&self, path: &Path) -> io::Result<LogFile> {
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "no regular file"));
        }
        let length = metadata.len();
        Ok(LogFile { file, good: length, dirty: false, medium: self.clone() })
    }

    /// Makes a file of this content. Returns when the content is durable; the name is not.
    pub(super) fn create(&self, path: &Path, content: &[u8]) -> io::Result<LogFile> {
        self.step(Step::Create)?;
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true);
        // What is left of a file that was begun; or what somebody put there, so that he can read or change what comes to be.
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let file = private(&mut options).open(path)?;
        let mut file = LogFile { file, good: 0, dirty: false, medium: self.clone() };
        file.append(content)?;
        Ok(file)
    }

    /// Gives a file another name, which is not durable yet.
    pub(super) fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.step(Step::Rename)?;
        fs::rename(from, to)
    }

    /// Makes the names in the folder of this file durable.
    pub(super) fn sync_folder(&self, path: &Path) -> io::Result<()> {
        self.step(Step::SyncFolder)?;
        sync_directory(path)
    }
}

/// A file that lines are added to, wholly or not at all.
#[derive(Debug)]
pub(super) struct LogFile {
    file: File,
    /// How long it is, without what was begun and not brought to an end.
    good: u64,
    /// Whether there may be more in it than that.
    dirty: bool,
    medium: Medium,
}

impl LogFile {
    pub(super) const fn length(&self) -> u64 {
        self.good
    }

    /// To be read from its beginning.
    pub(super) fn reader(&self) -> io::Result<io::Take<io::BufReader<File>>> {
        let mut file = self.file.try_clone()?;
        file.rewind()?;
        Ok(io::BufReader::with_capacity(64 << 10, file).take(self.good))
    }

    /// The last so many bytes, or of these as many as are wanted.
    pub(super) fn tail(&self, last: u64, most: u64) -> io::Result<Vec<u8>> {
        let mut file = self.file.try_clone()?;
        file.seek(io::SeekFrom::Start(self.good.saturating_sub(last)))?;
        let mut bytes = Vec::new();
        file.take(last.min(most)).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// Whether it is another file that has the name, or it is not as long as we left it; and what that means.
    pub(super) fn differs(&mut self, path: &Path) -> io::Result<Option<Kind>> {
        self.clean()?;
        let length = self.file.metadata()?.len();
        Ok(if !is_at(&self.file, path) || length < self.good {
            Some(Kind::CutOff)
        } else {
            (length > self.good).then_some(Kind::Altered)
        })
    }

    /// Adds lines. Returns when they are durable; after an error none of them are there, or will not be when the next are
    /// added.
    pub(super) fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        self.clean()?;
        // What a sync that failed leaves in doubt is written anew.
        self.dirty = true;
        self.file.seek(io::SeekFrom::Start(self.good))?;
        let written = self.write(lines).and_then(|()| {
            self.medium.step(Step::Sync)?;
            self.file.sync_data()
        });
        if let Err(error) = written {
            // What it is that went wrong is more worth telling than what goes wrong on the way back.
            let _ = self.clean();
            return Err(error);
        }
        self.dirty = false;
        self.good += lines.len() as u64;
        Ok(())
    }

    fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        if let Err(error) = self.medium.step(Step::Write) {
            // As a medium does that is full.
            let half = lines.get(..lines.len() / 2).unwrap_or_default();
            self.file.write_all(half)?;
            return Err(error);
        }
        self.file.write_all(lines)
    }

    /// Takes away what was begun and not brought to an end.
    pub(super) fn clean(&mut self) -> io::Result<()> {
        if self.dirty {
            self.medium.step(Step::Cut)?;
            self.file.set_len(self.good)?;
            self.dirty = false;
        }
        Ok(())
    }

    /// Cuts off everything after this length. Returns when that is durable.
    pub(super) fn cut(&mut self, length: u64) -> io::Result<()> {
        self.good = length;
        self.dirty = true;
        self.clean()?;
        self.medium.step(Step::Sync)?;
        self.file.sync_all()
    }
}

/// What an error of the file system means.
pub(in crate::audit) fn failure(error: io::Error, path: &Path) -> AuditError {
    let kind = match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Kind::NotFound,
        // A limit of the process on the size of files is no room either.
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            Kind::NoRoom
        }
        _ => Kind::Unavailable,
    };
    AuditError::caused_by(kind, error).of_file(PathBuf::from(path))
}
