//! The one that writes: a thread of its own.

use std::fs;
use std::io;
use std::mem;
use std::sync::Arc;
use std::time::Duration;

use super::head::Head;
use super::medium::{LogFile, Medium, failure};
use super::names::Names;
use super::queue::{Queue, Reply, Waiting, Work};
use crate::audit::chain::{Chain, Position};
use crate::audit::error::{AuditError, AuditErrorKind as Kind};
use crate::audit::record::{AuditOutcome, AuditRecord};
use crate::audit::verify::{Extent, Source};
use crate::backend::Operation;
use crate::catalog::AuditClaim;
use crate::clock::Clock;
use crate::file::Lease;

/// How many bytes are written at once, about.
const CHUNK: usize = 4 << 20;
/// After how long a medium that failed is tried again at first, and at most.
const RETRY: Duration = Duration::from_millis(50);
const RETRY_AT_MOST: Duration = Duration::from_secs(1);

/// What the last line is called that one owner of the log writes.
const CLOSE: &str = "CloseAuditLog";

/// Owns the file, and the end of the chain.
pub(super) struct Writer {
    pub(super) queue: Arc<Queue>,
    pub(super) chain: Chain,
    pub(super) names: Names,
    pub(super) medium: Medium,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) max_file_size: u64,
    pub(super) file: LogFile,
    /// The number of the first line of the file.
    pub(super) first: u64,
    /// The end of what is durable in the file.
    pub(super) written: Position,
    pub(super) head: Head,
    pub(super) batch: Batch,
    /// Set while the file is begun, but has not its name yet for good.
    pub(super) unnamed: Option<Unnamed>,
    pub(super) lease: Lease,
    pub(super) _claim: AuditClaim,
}

/// What is still to be done for a new file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unnamed {
    /// The name of the old file is to be durable before the new one takes its place.
    SyncOld,
    Rename,
    Sync,
}

/// Lines in their final form, on their way to the file, and who waits for them.
#[derive(Debug)]
pub(super) struct Batch {
    bytes: Vec<u8>,
    end: Position,
    lines: usize,
    weight: usize,
    replies: Vec<Reply>,
}

impl Batch {
    pub(super) const fn after(end: Position) -> Self {
        Self { bytes: Vec::new(), end, lines: 0, weight: 0, replies: Vec::new() }
    }

    pub(super) fn add(&mut self, chain: &Chain, record: &AuditRecord) {
        chain.append(&mut self.bytes, &mut self.end, record);
    }

    fn take(&mut self, chain: &Chain, Waiting { record, weight, reply }: Waiting) {
        self.add(chain, &record);
        self.lines += 1;
        self.weight += weight;
        self.replies.extend(reply);
    }
}

/// Who is to be told how it ended, once the file is nobody's any more.
type Ending = (Vec<Reply>, Result<(), AuditError>);

impl Writer {
    /// Writes until the log is closed.
    pub(super) fn run(self) {
        let abandon = Abandon(Arc::clone(&self.queue));
        let (replies, ending) = self.write_all();
        drop(abandon);
        tell(replies, &ending);
    }

    fn write_all(mut self) -> Ending {
        let (mut retry, mut room) = (None, Vec::new());
        loop {
            let Work { mut lines, flushes, extents, closing } = self.queue.next(retry, room);
            let mut outcome = Ok(());
            for line in lines.drain(..) {
                // What failed is tried again with the last of them.
                if outcome.is_ok() && self.is_full() {
                    outcome = self.try_to_write();
                }
                self.batch.take(&self.chain, line);
            }
            room = lines;
            if closing {
                let close = Operation::new(CLOSE);
                let record = AuditRecord::service(self.clock.wall(), close, AuditOutcome::Succeeded);
                self.batch.add(&self.chain, &record);
            }
            let outcome = self.try_to_write();
            if let Err(error) = &outcome {
                let error = error.clone();
                // What is not written now never will be.
                let said = if closing { AuditError::caused_by(Kind::Closed, error) } else { error };
                tell(mem::take(&mut self.batch.replies), &Err(said));
            }
            for extent in extents {
                let _ = extent.send(outcome.clone().and_then(|()| self.extent()));
            }
            if closing {
                return (flushes, outcome);
            }
            retry =
                outcome.is_err().then(|| retry.map_or(RETRY, |last: Duration| (last * 2).min(RETRY_AT_MOST)));
            tell(flushes, &outcome);
        }
    }

    /// Whether so much waits that it should be written before there is more.
    fn is_full(&self) -> bool {
        let (waiting, length) = (self.batch.bytes.len(), self.file.length());
        let fills = length < self.max_file_size && length + waiting as u64 >= self.max_file_size;
        fills || waiting >= CHUNK
    }

    /// Makes everything durable that was taken, and tells who waits for it. After an error it is kept, and nobody was told.
    fn try_to_write(&mut self) -> Result<(), AuditError> {
        self.write_and_say()?;
        self.queue.release(mem::take(&mut self.batch.lines), mem::take(&mut self.batch.weight));
        tell(mem::take(&mut self.batch.replies), &Ok(()));
        // Should it fail, the file that there is grows on, and it is tried again after the next lines.
        if self.file.length() >= self.max_file_size && self.begin_file().is_ok() {
            self.write_and_say()?;
        }
        Ok(())
    }

    fn write_and_say(&mut self) -> Result<(), AuditError> {
        let outcome = self.write();
        self.queue.settle(outcome.clone().map(|()| self.written.lines));
        outcome
    }

    pub(super) fn write(&mut self) -> Result<(), AuditError> {
        if !self.lease.holds() {
            return Err(AuditError::new(Kind::InUse).of_file(self.names.current().to_owned()));
        }
        self.name_file()?;
        if !self.batch.bytes.is_empty() {
            let current = self.names.current();
            let of_file = |error: io::Error| failure(error, current);
            // What somebody took away, or put in its place, holds no lines of ours.
            if let Some(kind) = self.file.differs(current).map_err(of_file)? {
                return Err(AuditError::new(kind).of_file(current.to_owned()));
            }
            self.file.append(&self.batch.bytes).map_err(of_file)?;
            self.written = self.batch.end;
            self.batch.bytes.clear();
            self.batch.bytes.shrink_to(CHUNK);
        }
        self.head.write(&self.written)
    }

    /// Begins a new file after the last line, when all lines are durable. After an error the old one is as it was.
    fn begin_file(&mut self) -> Result<(), AuditError> {
        let mut end = self.written;
        let header = self.chain.begin(&mut end, self.clock.wall(), None);
        let (current, next) = (self.names.current(), self.names.next());
        let file = self.medium.create(&next, &header).map_err(|error| failure(error, &next))?;
        let full =
            self.names.full(self.first, self.written.lines).map_err(|error| failure(error, current))?;
        self.medium.rename(current, &full).map_err(|error| failure(error, &full))?;
        // From here on there is no way back, but only on.
        self.file = file;
        self.first = end.lines;
        self.written = end;
        self.batch.end = end;
        self.unnamed = Some(Unnamed::SyncOld);
        Ok(())
    }

    /// Does what is still to be done before lines may go to the file. Nor does the catalogue hear of it before: after a
    /// crash the old one might have its name still.
    fn name_file(&mut self) -> Result<(), AuditError> {
        let current = self.names.current();
        if self.unnamed == Some(Unnamed::SyncOld) {
            self.medium.sync_folder(current).map_err(|error| failure(error, current))?;
            self.unnamed = Some(Unnamed::Rename);
        }
        if self.unnamed == Some(Unnamed::Rename) {
            self.medium.rename(&self.names.next(), current).map_err(|error| failure(error, current))?;
            self.unnamed = Some(Unnamed::Sync);
        }
        if self.unnamed == Some(Unnamed::Sync) {
            self.medium.sync_folder(current).map_err(|error| failure(error, current))?;
            self.unnamed = None;
        }
        Ok(())
    }

    /// The files, and how far they go.
    fn extent(&self) -> Result<Extent, AuditError> {
        let current = self.names.current();
        let of_file = |error| failure(error, current);
        let others = self.names.list_others().map_err(of_file)?;
        let mut sources: Vec<Source> = others.into_iter().map(Source::new).collect();
        // By its name it may be another one in a moment.
        let file = fs::File::open(current).map_err(of_file)?;
        sources.push(Source::opened(current, file, self.file.length()));
        Ok(Extent { sources, head: self.written })
    }
}

fn tell(replies: Vec<Reply>, outcome: &Result<(), AuditError>) {
    for reply in replies {
        // Who does not listen any more does not want to know.
        let _ = reply.send(outcome.clone());
    }
}

/// Lets nobody wait for a thread that has ended, however it has.
struct Abandon(Arc<Queue>);

impl Drop for Abandon {
    fn drop(&mut self) {
        self.0.abandon();
    }
}
