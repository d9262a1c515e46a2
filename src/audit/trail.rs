//! A sink, and what happens when it cannot take a line.

use std::fmt;
use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::error::{AuditError, AuditErrorKind};
use super::record::{AuditOutcome, AuditRecord};
use super::sink::{AuditSink, OnFailure};
use crate::backend::Operation;

/// An audit trail: the sink that takes its lines, and what becomes of operations while that cannot.
///
/// Cheap to clone; clones are the same trail.
///
/// # How an operation is written down
///
/// It [begins](Self::begin) before anything happens, which is refused if its line could not be taken and operations are
/// to be refused then; and at its end, however it ends, its record goes to the [`AuditEntry`] that it was given. What takes
/// the use of keys away [goes on in any case](Self::begin_regardless).
#[derive(Clone)]
pub struct AuditTrail(Arc<Inner>);

struct Inner {
    sink: Box<dyn AuditSink>,
    on_failure: OnFailure,
    lost: Count,
    refused: Count,
}

/// How many there were, and how many of them no line speaks of yet.
#[derive(Default)]
struct Count {
    all: AtomicU64,
    unsaid: AtomicU64,
}

impl Count {
    fn add(&self) {
        self.all.fetch_add(1, Ordering::Relaxed);
        self.unsaid.fetch_add(1, Ordering::Release);
    }

    fn any_unsaid(&self) -> bool {
        self.unsaid.load(Ordering::Acquire) > 0
    }

    /// Those of which a line is to speak now.
    fn say(&self) -> u64 {
        self.unsaid.swap(0, Ordering::AcqRel)
    }

    fn unsay(&self, number: u64) {
        self.unsaid.fetch_add(number, Ordering::Release);
    }
}

impl AuditTrail {
    /// A trail to this sink.
    #[must_use]
    pub fn new(sink: impl AuditSink, on_failure: OnFailure) -> Self {
        let sink = Box::new(sink);
        Self(Arc::new(Inner { sink, on_failure, lost: Count::default(), refused: Count::default() }))
    }

    /// What becomes of operations whose lines it cannot take.
    #[must_use]
    pub fn on_failure(&self) -> OnFailure {
        self.0.on_failure
    }

    /// An operation is about to begin. Costs a few nanoseconds.
    ///
    /// # Errors
    ///
    /// Under [`Refuse`](OnFailure::Refuse), why the sink cannot take its line: refuse the operation.
    pub fn begin(&self) -> Result<AuditEntry<'_>, AuditError> {
        let on_failure = self.0.on_failure;
        match (self.0.sink.reserve(on_failure), on_failure) {
            (Ok(()), _) => Ok(AuditEntry { trail: self, reserved: true, on_failure }),
            (Err(_), OnFailure::Continue) => Ok(AuditEntry { trail: self, reserved: false, on_failure }),
            (Err(error), OnFailure::Refuse) => {
                self.0.refused.add();
                Err(error)
            }
        }
    }

    /// An operation is about to begin that must not wait for the audit trail, such as the disconnect of a store: it goes on
    /// as under [`Continue`](OnFailure::Continue), whatever becomes of others. A line of it that is lost is counted.
    pub fn begin_regardless(&self) -> AuditEntry<'_> {
        let on_failure = OnFailure::Continue;
        AuditEntry { trail: self, reserved: self.0.sink.reserve(on_failure).is_ok(), on_failure }
    }

    /// Something has happened that nobody could have refused, such as the end of an attempt to connect.
    pub fn event(&self, record: AuditRecord) {
        // Kept as long as there is room, whatever becomes of operations.
        self.begin_regardless().enqueue(record);
    }

    /// Takes a line that can wait, unless it has no place for it now: then it is for whoever offers it to keep.
    pub(crate) fn offer(&self, record: AuditRecord) -> bool {
        let entry = self.begin_regardless();
        let has_place = entry.reserved;
        if has_place {
            entry.enqueue(record);
        }
        has_place
    }

    /// How many lines were lost since it was made: the sink had no place for them, or was closed.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.0.lost.all.load(Ordering::Relaxed)
    }

    /// How many operations were refused since it was made, since their lines could not have been taken.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.0.refused.all.load(Ordering::Relaxed)
    }

    /// Returns when all lines are durable that were taken before, and one that says how many were lost, if any were.
    ///
    /// # Errors
    ///
    /// Why they are not. They are kept.
    ///
    /// # Cancel safety
    ///
    /// May be dropped at will.
    pub async fn flush(&self) -> Result<(), AuditError> {
        self.0.sink.flush().await?;
        if self.owes() {
            // There is room now, if ever.
            self.say_what_was_lost(std::time::SystemTime::now());
            self.0.sink.flush().await?;
        }
        Ok(())
    }

    /// Writes what waits, and closes the sink. A second time it does nothing.
    ///
    /// # Errors
    ///
    /// Why lines that were taken are lost. It is closed all the same.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it resolves, it closes, or is left open.
    pub async fn close(&self) -> Result<(), AuditError> {
        let flushed = match self.flush().await {
            // Somebody closed it before, such as the driver of a `Kms`.
            Err(error) if error.kind() == AuditErrorKind::Closed => Ok(()),
            flushed => flushed,
        };
        self.0.sink.close().await.and(flushed)
    }

    fn owes(&self) -> bool {
        self.0.lost.any_unsaid() || self.0.refused.any_unsaid()
    }

    /// Writes how many lines are missing here, if any are and there is a place for that.
    fn say_what_was_lost(&self, time: std::time::SystemTime) {
        let Inner { sink, lost, refused, .. } = &*self.0;
        if !self.owes() || sink.reserve(OnFailure::Continue).is_err() {
            return;
        }
        let (lines, operations) = (lost.say(), refused.say());
        if lines == 0 && operations == 0 {
            // Another was faster.
            return sink.release();
        }
        let record = AuditRecord::service(time, Operation::new(LOST), AuditOutcome::Succeeded)
            .with_parameter("lostLines", lines)
            .with_parameter("refusedOperations", operations);
        if sink.enqueue(record).is_err() {
            lost.unsay(lines);
            refused.unsay(operations);
        }
    }
}

/// What the line is called that says how many are missing.
const LOST: &str = "LoseAuditLines";

/// The place of an operation's line. Dropped without a record, it is given back.
#[derive(Debug)]
#[must_use = "an operation that leaves no record is not in the audit trail"]
pub struct AuditEntry<'a> {
    trail: &'a AuditTrail,
    reserved: bool,
    /// Of this operation.
    on_failure: OnFailure,
}

impl AuditEntry<'_> {
    /// Writes the record down, soon. Never waits.
    pub fn enqueue(mut self, record: AuditRecord) {
        let Inner { sink, lost, .. } = &*self.trail.0;
        if !mem::take(&mut self.reserved) {
            return lost.add();
        }
        if self.trail.owes() {
            self.trail.say_what_was_lost(record.time);
        }
        if sink.enqueue(record).is_err() {
            lost.add();
        }
    }

    /// Writes the record down, and returns when it is durable.
    ///
    /// # Errors
    ///
    /// Under [`Refuse`](OnFailure::Refuse), why it is not durable, though it may still become so: what the operation did
    /// is done. Under [`Continue`](OnFailure::Continue), and of one that was [begun regardless](AuditTrail::begin_regardless),
    /// none.
    ///
    /// # Cancel safety
    ///
    /// Once it was polled, the record is written though the future be dropped.
    pub async fn write(mut self, record: AuditRecord) -> Result<(), AuditError> {
        let Inner { sink, lost, .. } = &*self.trail.0;
        if !mem::take(&mut self.reserved) {
            lost.add();
            return Ok(());
        }
        if self.trail.owes() {
            self.trail.say_what_was_lost(record.time);
        }
        let written = sink.write(record).await;
        if let Err(error) = &written
            && error.kind() == AuditErrorKind::Closed
        {
            lost.add();
        }
        match self.on_failure {
            OnFailure::Refuse => written,
            OnFailure::Continue => Ok(()),
        }
    }

    /// The same as a future of its own, for whoever may not wait until it ends. To be polled at once: its place is only then
    /// taken.
    pub(crate) fn writing(
        mut self,
        record: AuditRecord,
    ) -> impl Future<Output = Result<(), AuditError>> + Send + 'static {
        let (trail, on_failure) = (self.trail.clone(), self.on_failure);
        let reserved = mem::take(&mut self.reserved);
        async move { AuditEntry { trail: &trail, reserved, on_failure }.write(record).await }
    }
}

impl Drop for AuditEntry<'_> {
    fn drop(&mut self) {
        if self.reserved {
            self.trail.0.sink.release();
        }
    }
}

impl fmt::Debug for AuditTrail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuditTrail")
            .field("sink", &self.0.sink)
            .field("on_failure", &self.0.on_failure)
            .field("lost", &self.lost())
            .field("refused", &self.refused())
            .finish()
    }
}
