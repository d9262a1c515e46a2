//! An audit log in files, whose lines are chained.

mod builder;
pub(super) mod head;
pub(super) mod medium;
mod names;
mod opening;
mod queue;
#[cfg(test)]
mod tests;
mod writer;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_channel::oneshot;

use super::error::{AuditError, AuditErrorKind as Kind};
use super::record::AuditRecord;
use super::sink::{AuditSink, OnFailure};
use super::verify::{self, AuditReport};
use crate::catalog::Ledger;
use crate::clock::{Clock, within};
use medium::failure;
use names::Names;
use queue::Queue;

pub use builder::AuditLogBuilder;

/// An audit log in files, one JSON object a line, each of which is authenticated together with all lines before it.
///
/// ```
/// # use custom_key_store::backend::AccountId;
/// # use custom_key_store::catalog::{Ledger, MemoryCatalog};
/// # use custom_key_store::{Identity, Partition, Region, SealingKey};
/// use std::time::SystemTime;
///
/// use custom_key_store::audit::{self, AuditCategory, AuditLog, AuditOutcome, AuditRecord, AuditTrail, OnFailure};
/// use custom_key_store::backend::Operation;
///
/// # futures::executor::block_on(async {
/// # let identity =
/// #     Identity::new(Partition::new("aws")?, Region::new("eu-central-1")?, AccountId::new("111122223333")?);
/// # let ledger = Ledger::create(MemoryCatalog::new(), &SealingKey::generate(), identity).await?;
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("audit.jsonl");
/// let log = AuditLog::open(&ledger, &path).await?;
/// let trail = AuditTrail::new(log.clone(), OnFailure::Refuse);
///
/// let entry = trail.begin()?; // or the operation is refused
/// let record = AuditRecord::call(SystemTime::now(), AuditCategory::Management, Operation::new("DisableKey"));
/// entry.write(record.with_outcome(AuditOutcome::Succeeded)).await?;
/// trail.close().await?;
///
/// let report = audit::verify(&ledger, [&path]).await?;
/// assert!(report.is_intact(), "{report}");
/// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
/// ```
///
/// That every call of a [`Kms`](crate::kms::Kms) is written to it does
/// [`KmsBuilder::audit`](crate::kms::KmsBuilder::audit), given the trail.
///
/// It belongs to a [`Ledger`], which has one: the key of its codes is derived from that ledger's root key, and where it
/// ends is kept in the catalogue, after each batch of lines. So whoever can change the files can neither edit, insert nor
/// reorder lines unseen, nor take any away, the last ones included. What is not seen is that somebody puts both the files
/// and the catalogue back to what they were at an earlier time.
///
/// # Writing
///
/// A thread of its own, `audit`, writes; callers do no input and output. Lines that wait are written together, with one
/// sync of the file and one commit of the catalogue for all. Lines of management are written at once, and are durable when
/// [`write`](AuditSink::write) returns; others at most [a moment](AuditLogBuilder::delay) later. If the medium is full or
/// fails, nothing is half written, lines are kept and tried again until they are durable.
///
/// [`close`](AuditSink::close) the log before the program ends, and before its ledger. When the last of its clones is
/// dropped instead, the thread writes what waits and ends by itself; what the end of the process leaves it no time for is
/// lost.
///
/// # Files
///
/// `audit.jsonl`, if that is the path, is written to. When it is [full](AuditLogBuilder::max_file_size), it becomes
/// `audit.<first>-<last>.jsonl`, by the numbers of its lines, and may be moved elsewhere; the next goes on where it ends.
/// `audit.jsonl.lock`, which is empty, says by a lock of the operating system that somebody writes. All are readable by
/// their owner alone. Each file begins with a line `BeginAuditFile`; the log says `OpenAuditLog` and `CloseAuditLog`: where
/// the latter is missing, a process ended without closing it.
///
/// A record whose line would be longer than 256 KiB is written without its contexts and parameters, and with its texts cut.
///
/// # Opening
///
/// Reads the file that was written to last, and compares it with the catalogue. Lines that the catalogue does not know of,
/// since the process ended before it could be told, are adopted; what comes behind them, such as half a line, is cut off, and
/// kept as `audit.jsonl.torn-<lines>`, of more than 64 MiB the first 64 MiB; either is said in the log, with how much it is. Anything else is an error. To look without changing anything
/// there are [`AuditLog::files`] and [`verify`](super::verify()).
#[derive(Clone)]
pub struct AuditLog(Arc<Inner>);

struct Inner {
    queue: Arc<Queue>,
    ledger: Ledger,
    clock: Arc<dyn Clock>,
    deadline: Duration,
}

impl AuditLog {
    fn new(queue: Arc<Queue>, ledger: &Ledger, clock: &Arc<dyn Clock>, deadline: Duration) -> Self {
        Self(Arc::new(Inner { queue, ledger: ledger.clone(), clock: Arc::clone(clock), deadline }))
    }

    /// How it is opened, where that is to differ from [`open`](Self::open).
    pub fn builder(ledger: &Ledger) -> AuditLogBuilder {
        AuditLogBuilder::new(ledger)
    }

    /// Opens the log of a ledger, or begins it, in the file of this name, whose folder must be there.
    ///
    /// # Errors
    ///
    /// - [`InUse`](Kind::InUse) if somebody has the file open, or the log of the ledger.
    /// - [`NotFound`](Kind::NotFound) if the folder is missing.
    /// - [`CutOff`](Kind::CutOff), [`Altered`](Kind::Altered) if the file is not as it was left.
    /// - [`NoRoom`](Kind::NoRoom), [`Unavailable`](Kind::Unavailable), [`TooLate`](Kind::TooLate) if the file or the
    ///   catalogue cannot be read, or written to.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it resolves, the log is closed again as soon as it is open.
    pub async fn open(ledger: &Ledger, path: impl AsRef<Path> + Send) -> Result<Self, AuditError> {
        Self::builder(ledger).open(path).await
    }

    /// The files of the log by this name that are in its folder, those that were put aside as damaged included.
    ///
    /// # Errors
    ///
    /// Why the folder cannot be read.
    pub fn files(path: impl AsRef<Path>) -> Result<Vec<PathBuf>, AuditError> {
        let path = path.as_ref();
        let names =
            Names::new(path).ok_or_else(|| AuditError::new(Kind::NotFound).of_file(path.to_owned()))?;
        let mut files = names.list_others().map_err(|error| failure(error, path))?;
        if path.exists() {
            files.push(path.to_owned());
        }
        Ok(files)
    }

    /// How many lines there are that are durable, since the log was begun.
    #[must_use]
    pub fn lines(&self) -> u64 {
        self.0.queue.durable()
    }

    /// How many places are taken: lines that are not durable yet, and operations that are under way.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.0.queue.held()
    }

    /// Why lines do not become durable at present; `None` when they do.
    #[must_use]
    pub fn failure(&self) -> Option<AuditError> {
        self.0.queue.failure()
    }

    /// Reads all files of the log that are in its folder, and checks every line. Lines go on being written meanwhile.
    ///
    /// # Errors
    ///
    /// Why they cannot be read. What is wrong with them is in the report.
    ///
    /// # Cancel safety
    ///
    /// May be dropped at will.
    pub async fn verify(&self) -> Result<AuditReport, AuditError> {
        let (tell, told) = oneshot::channel();
        self.0.queue.ask(|work| work.extents.push(tell))?;
        let extent = self.in_time(told).await?;
        verify::extent(&self.0.ledger, extent).await
    }

    /// What the writer answers.
    async fn in_time<T: Send>(
        &self,
        told: oneshot::Receiver<Result<T, AuditError>>,
    ) -> Result<T, AuditError> {
        match within(&*self.0.clock, self.0.deadline, told).await {
            Some(Ok(answer)) => answer,
            // It has ended.
            Some(Err(_)) => Err(AuditError::new(Kind::Closed)),
            None => Err(AuditError::new(Kind::TooLate)),
        }
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl AuditSink for AuditLog {
    fn reserve(&self, on_failure: OnFailure) -> Result<(), AuditError> {
        self.0.queue.reserve(on_failure)
    }

    fn release(&self) {
        self.0.queue.release(1, 0);
    }

    fn enqueue(&self, record: AuditRecord) -> Result<(), AuditError> {
        self.0.queue.push(record, None)
    }

    async fn write(&self, record: AuditRecord) -> Result<(), AuditError> {
        let (tell, told) = oneshot::channel();
        self.0.queue.push(record, Some(tell))?;
        self.in_time(told).await
    }

    async fn flush(&self) -> Result<(), AuditError> {
        let (tell, told) = oneshot::channel();
        self.0.queue.ask(|work| work.flushes.push(tell))?;
        self.in_time(told).await
    }

    async fn close(&self) -> Result<(), AuditError> {
        let (tell, told) = oneshot::channel();
        match self.0.queue.close(Some(tell)) {
            true => self.in_time(told).await,
            false => Ok(()),
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.queue.close(None);
    }
}

impl fmt::Debug for AuditLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuditLog").field("queue", &self.0.queue).finish_non_exhaustive()
    }
}
