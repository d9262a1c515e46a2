//! How a log is found again: its files are compared with what the catalogue says of them.

use std::path::PathBuf;
use std::sync::Arc;

use super::head::{Asking, Head};
use super::medium::{LogFile, Medium, failure};
use super::names::Names;
use super::queue::Queue;
use super::writer::{Batch, Writer};
use crate::audit::chain::{Chain, Line, Position};
use crate::audit::error::{AuditError, AuditErrorKind as Kind};
use crate::audit::lines::{Content, Lines};
use crate::audit::record::{AuditOutcome, AuditRecord};
use crate::backend::Operation;
use crate::catalog::AuditClaim;
use crate::file::{Lease, folder_missing};

/// What the first line is called that one owner of the log writes.
const OPEN: &str = "OpenAuditLog";

/// How much is kept of what is cut off, in bytes: more than any batch of lines has.
const KEPT: u64 = 64 << 20;

/// What a log is opened with.
pub(super) struct Opening {
    pub(super) path: PathBuf,
    pub(super) asking: Asking,
    pub(super) queue: Arc<Queue>,
    pub(super) medium: Medium,
    pub(super) max_file_size: u64,
    pub(super) begin_anew: bool,
}

/// What was found of a log.
struct Found {
    /// The file that is written to, if there is one, and the number of its first line.
    current: Option<(LogFile, u64)>,
    end: Position,
    /// How many bytes at the end of it are no lines.
    torn: u64,
}

impl Opening {
    /// Blocks. The claim on the ledger's log is given up when it fails.
    pub(super) fn open(self, claim: AuditClaim) -> Result<Writer, AuditError> {
        let path = std::path::absolute(&self.path).map_err(|error| failure(error, &self.path))?;
        if let Some(error) = folder_missing(&path) {
            return Err(failure(error, &path));
        }
        let not_a_file = || AuditError::new(Kind::NotFound).of_file(path.clone());
        let names = Names::new(&path).ok_or_else(not_a_file)?;
        let lease = Lease::take(&path).map_err(|error| failure(error, &path))?;
        let lease = lease.ok_or_else(|| AuditError::new(Kind::InUse).of_file(path.clone()))?;
        let chain = Chain::new(&self.asking.ledger);
        let (head, known) = Head::read(self.asking.clone())?;

        // Where that was taken away, no file is known to be whole.
        let (known, looked) = match known {
            Ok(known) => (known, Ok(candidates(&names, &known)?)),
            Err(gone) => (Position::START, Err(gone.of_file(path.clone()))),
        };
        let looked = looked.and_then(|files| look(&self.medium, &chain, &names, &files, known));
        let (found, why) = match looked {
            Err(damage) if self.begin_anew && is_damage(&damage) => {
                put_aside(&self.medium, &names, candidates(&names, &known)?, &known)?;
                (Found { current: None, end: known, torn: 0 }, Some(("begunAnew", damage.to_string())))
            }
            found => (found?, None),
        };
        let Found { current, mut end, torn } = found;
        let adopted = end.lines - known.lines;
        let clock = Arc::clone(&self.asking.clock);
        let (mut file, first) = match current {
            Some(current) => current,
            None => {
                let header = chain.begin(&mut end, clock.wall(), why);
                (self.begin(&names, &header)?, end.lines)
            }
        };
        let mut kept = None;
        if torn > 0 {
            kept = Some((self.keep(&names, &file, torn, &end)?, torn.min(KEPT)));
            file.cut(file.length() - torn).map_err(|error| failure(error, &path))?;
        }
        let mut open = AuditRecord::service(clock.wall(), Operation::new(OPEN), AuditOutcome::Succeeded);
        if adopted > 0 {
            open = open.with_parameter("adoptedLines", adopted);
        }
        if torn > 0 {
            open = open.with_parameter("cutOffBytes", torn);
        }
        if let Some((kept, bytes)) = kept {
            open = open.with_parameter("keptAs", kept).with_parameter("keptBytes", bytes);
        }
        let mut batch = Batch::after(end);
        batch.add(&chain, &open);
        let mut writer = Writer {
            queue: self.queue,
            chain,
            names,
            medium: self.medium,
            clock,
            max_file_size: self.max_file_size,
            file,
            first,
            written: end,
            head,
            batch,
            unnamed: None,
            lease,
            _claim: claim,
        };
        writer.write()?;
        writer.queue.settle(Ok(writer.written.lines));
        Ok(writer)
    }

    /// Keeps what is cut off at the end of a file: it may be half a line that was being written, or what somebody put there.
    /// Gives the name of the file that it is in. Until it is whole it has another, so that starts that fail for want of room
    /// leave one file behind and not one each.
    fn keep(&self, names: &Names, file: &LogFile, torn: u64, end: &Position) -> Result<String, AuditError> {
        let current = names.current();
        let kept = file.tail(torn, KEPT).and_then(|bytes| {
            let next = names.next();
            self.medium.create(&next, &bytes)?;
            let aside = names.torn(end.lines)?;
            self.medium.rename(&next, &aside)?;
            self.medium.sync_folder(current)?;
            Ok(aside.file_name().unwrap_or_default().to_string_lossy().into_owned())
        });
        kept.map_err(|error| failure(error, current))
    }

    /// Makes the file that is written to. Until it is whole it has another name, so that nobody finds half of it.
    fn begin(&self, names: &Names, header: &[u8]) -> Result<LogFile, AuditError> {
        let (next, current) = (names.next(), names.current());
        let file = self.medium.create(&next, header);
        let named = file.and_then(|file| {
            self.medium.rename(&next, current)?;
            self.medium.sync_folder(current)?;
            Ok(file)
        });
        named.map_err(|error| failure(error, current))
    }
}

/// The files that hold the line that the catalogue knows as the last, or lines after it; in their order.
fn candidates(names: &Names, known: &Position) -> Result<Vec<PathBuf>, AuditError> {
    let current = names.current();
    let full = names.list_full().map_err(|error| failure(error, current))?;
    let mut found: Vec<PathBuf> =
        full.into_iter().filter(|full| full.last >= known.lines).map(|full| full.path).collect();
    let there = |metadata: std::fs::Metadata| !metadata.is_file() || metadata.len() > 0;
    if std::fs::metadata(current).is_ok_and(there) {
        found.push(current.to_owned());
    }
    Ok(found)
}

const fn is_damage(error: &AuditError) -> bool {
    matches!(error.kind(), Kind::CutOff | Kind::Altered)
}

/// Follows the chain through the files, past the line that the catalogue knows as the last, up to the end.
fn look(
    medium: &Medium,
    chain: &Chain,
    names: &Names,
    candidates: &[PathBuf],
    known: Position,
) -> Result<Found, AuditError> {
    let current = names.current();
    let mut end = (known.lines == 0).then_some(known);
    let mut found = Found { current: None, end: known, torn: 0 };
    for path in candidates {
        let cannot = |error| failure(error, path);
        let at_line = |kind, line| AuditError::new(kind).at(path.clone(), line);
        let is_current = path == current;
        let file = medium.open(path).map_err(cannot)?;
        let length = file.length();
        let mut lines = Lines::new(file.reader().map_err(cannot)?);
        let mut first = None;
        while let Some((spot, content)) = lines.next().map_err(cannot)? {
            let line = match content {
                Content::Whole(bytes) => Line::parse(bytes),
                Content::TooLong | Content::Torn => None,
            };
            let is_torn = matches!(content, Content::Torn);
            // The first line of all says itself what came before.
            let before = line.and_then(|line| match end {
                Some(end) => Some(end),
                None => Some(Position { lines: line.sequence - 1, code: line.previous()? }),
            });
            let next = line.zip(before).filter(|(line, before)| {
                line.sequence == before.lines + 1 && chain.follows(&before.code, line)
            });
            let passed = end.is_some_and(|end| end.lines >= known.lines);
            let Some((line, before)) = next else {
                // A crash in the middle of writing leaves lines that nobody was told are durable.
                if passed && is_current && first.is_some() {
                    found.torn = length - spot.offset;
                    break;
                }
                let kind =
                    if is_torn && is_current && first.is_some() { Kind::CutOff } else { Kind::Altered };
                return Err(at_line(kind, Some(spot.number)));
            };
            if before.lines > known.lines && !passed {
                // Those between are gone.
                return Err(at_line(Kind::CutOff, Some(spot.number)));
            }
            let now = Position { lines: line.sequence, code: line.code };
            for reached in [before, now] {
                if reached.lines == known.lines && reached != known {
                    return Err(at_line(Kind::Altered, Some(spot.number)));
                }
            }
            first = first.or(Some(line.sequence));
            end = Some(now);
        }
        if let (true, Some(first)) = (is_current, first) {
            found.current = Some((file, first));
        }
    }
    match end {
        Some(end) if end.lines >= known.lines => Ok(Found { end, ..found }),
        _ => Err(AuditError::new(Kind::CutOff).of_file(current.to_owned())),
    }
}

/// Gives what is not as it should be other names: it is evidence.
fn put_aside(
    medium: &Medium,
    names: &Names,
    files: Vec<PathBuf>,
    known: &Position,
) -> Result<(), AuditError> {
    for path in files {
        let aside = names.damaged(&path, known.lines).and_then(|aside| medium.rename(&path, &aside));
        aside.map_err(|error| failure(error, &path))?;
    }
    medium.sync_folder(names.current()).map_err(|error| failure(error, names.current()))
}
