//! Whether the lines of a log are all there, as they were written, and in their order.

mod prover;
mod report;

use std::fmt;
use std::fs::File;
use std::io::{BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_channel::oneshot;

use super::chain::{Chain, Line, Position};
use super::error::{AuditError, AuditErrorKind as Kind};
use super::lines::{Content, Lines};
use super::log::head::{position, refused};
use super::log::medium::failure;
use crate::catalog::Ledger;
use prover::Prover;

pub use report::{AuditFinding, AuditFindingKind, AuditReport};

/// Checks the files of a whole log, or copies of them, against the ledger that it belongs to: that each line from the
/// first to the last that the catalogue knows of is there once, in its place, as it was written.
///
/// The files may be given in any order. They are read line by line, on a thread of their own, whatever they hold. A log that
/// is open [verifies itself](super::AuditLog::verify) better: of a file that is written to meanwhile the last line may be
/// half a line.
///
/// # Errors
///
/// Why the files or the catalogue cannot be read. What is wrong with the log is in the report.
///
/// # Cancel safety
///
/// May be dropped at will.
pub async fn verify(
    ledger: &Ledger,
    files: impl IntoIterator<Item = impl AsRef<Path>> + Send,
) -> Result<AuditReport, AuditError> {
    let sources = sources(files);
    let head = position(ledger).await.map_err(refused)?;
    run(ledger, sources, true, Some(head)).await
}

/// Checks the last files of a log, or copies of them: as [`verify`], but the first line of the log need not be among theirs. For
/// a log whose full files are moved elsewhere, or that was [begun anew](super::AuditLogBuilder::begin_anew), from that on.
///
/// # Errors
///
/// Those of [`verify`].
///
/// # Cancel safety
///
/// May be dropped at will.
pub async fn verify_end(
    ledger: &Ledger,
    files: impl IntoIterator<Item = impl AsRef<Path>> + Send,
) -> Result<AuditReport, AuditError> {
    let sources = sources(files);
    let head = position(ledger).await.map_err(refused)?;
    run(ledger, sources, false, Some(head)).await
}

/// Checks some files of a log that follow each other, or copies of them: as [`verify`], but neither need the first line of
/// the log be among theirs, nor the last.
///
/// # Errors
///
/// Why the files cannot be read. What is wrong with them is in the report.
///
/// # Cancel safety
///
/// May be dropped at will.
pub async fn verify_part(
    ledger: &Ledger,
    files: impl IntoIterator<Item = impl AsRef<Path>> + Send,
) -> Result<AuditReport, AuditError> {
    let sources = sources(files);
    run(ledger, sources, false, None).await
}

fn sources(files: impl IntoIterator<Item = impl AsRef<Path>>) -> Vec<Source> {
    files.into_iter().map(|file| Source::new(file.as_ref().to_owned())).collect()
}

/// The files of a log that is open, and how far they go.
pub(super) struct Extent {
    pub(super) sources: Vec<Source>,
    pub(super) head: Position,
}

/// A file, or as much of it as is to be read.
#[derive(Debug)]
pub(super) struct Source {
    path: PathBuf,
    opened: Option<(File, u64)>,
}

impl Source {
    pub(super) const fn new(path: PathBuf) -> Self {
        Self { path, opened: None }
    }

    pub(super) fn opened(path: &Path, file: File, length: u64) -> Self {
        Self { path: path.to_owned(), opened: Some((file, length)) }
    }

    /// Its lines, from the first.
    fn lines(&self) -> Result<Lines<impl std::io::BufRead + use<>>, AuditError> {
        let cannot = |error| failure(error, &self.path);
        let (file, length) = match &self.opened {
            Some((file, length)) => (file.try_clone().map_err(cannot)?, *length),
            None => {
                // Before it is opened: a pipe would wait for somebody to write.
                if !std::fs::metadata(&self.path).map_err(cannot)?.is_file() {
                    let error = AuditError::caused_by(Kind::Unavailable, "no regular file");
                    return Err(error.of_file(self.path.clone()));
                }
                (File::open(&self.path).map_err(cannot)?, u64::MAX)
            }
        };
        std::io::Seek::rewind(&mut &file).map_err(cannot)?;
        Ok(Lines::new(BufReader::with_capacity(1 << 16, file).take(length)))
    }

    /// The number that its first line says it has.
    fn first(&self) -> Result<Option<u64>, AuditError> {
        let mut lines = self.lines()?;
        Ok(match lines.next().map_err(|error| failure(error, &self.path))? {
            Some((_, Content::Whole(bytes))) => Line::parse(bytes).map(|line| line.sequence),
            _ => None,
        })
    }
}

/// Checks what a log says are its files.
pub(super) async fn extent(ledger: &Ledger, extent: Extent) -> Result<AuditReport, AuditError> {
    run(ledger, extent.sources, true, Some(extent.head)).await
}

async fn run(
    ledger: &Ledger,
    sources: Vec<Source>,
    begins: bool,
    head: Option<Position>,
) -> Result<AuditReport, AuditError> {
    let prover = Prover::new(Chain::new(ledger), begins, head);
    let wanted = Wanted(Arc::new(AtomicBool::new(true)));
    let still_wanted = Arc::clone(&wanted.0);
    let (tell, told) = oneshot::channel();
    let check = move || drop(tell.send(check(prover, sources, &still_wanted)));
    let thread = std::thread::Builder::new().name("audit-verify".to_owned()).spawn(check);
    thread.map_err(|error| AuditError::caused_by(Kind::Unavailable, error))?;
    let report = told.await.unwrap_or_else(|_| Err(AuditError::new(Kind::Closed)));
    drop(wanted);
    report
}

/// Ends the check when nobody waits for it any more.
struct Wanted(Arc<AtomicBool>);

impl Drop for Wanted {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

fn check(
    mut prover: Prover,
    mut sources: Vec<Source>,
    wanted: &AtomicBool,
) -> Result<AuditReport, AuditError> {
    // In the order of their lines; those that do not say where they belong stay where they were given.
    let mut firsts = sources.iter().map(Source::first).collect::<Result<Vec<_>, _>>()?;
    let mut last = 0;
    for first in &mut firsts {
        last = first.unwrap_or(last);
        *first = Some(last);
    }
    let mut numbered: Vec<_> = firsts.into_iter().zip(sources.drain(..)).collect();
    numbered.sort_by_key(|(first, _)| *first);

    for (_, source) in numbered {
        let mut lines = source.lines()?;
        prover.begin_file(&source.path);
        while let Some((spot, content)) = lines.next().map_err(|error| failure(error, &source.path))? {
            if !wanted.load(Ordering::Relaxed) {
                return Err(AuditError::new(Kind::Closed));
            }
            prover.take(spot, content);
        }
        prover.end_file(lines.end());
    }
    Ok(prover.end())
}

impl fmt::Debug for Extent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Extent").field("sources", &self.sources).finish_non_exhaustive()
    }
}
