//! Where an audit trail goes.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

use super::error::AuditError;
use super::record::AuditRecord;

/// What becomes of operations while the audit trail cannot take their lines, since its queue or its medium is full, or
/// the medium fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum OnFailure {
    /// They are refused, before anything has happened, until it takes lines again. But for those that
    /// [go on in any case](super::AuditTrail::begin_regardless).
    #[default]
    Refuse,
    /// They go on. How many lines are lost is written into the trail as soon as it takes lines again.
    Continue,
}

/// Takes the lines of an audit trail: a file of the crate's own, an [`AuditLog`](super::AuditLog), or something of an
/// application's.
///
/// A sink does not decide what happens to operations whose lines it cannot take: that is for
/// [`AuditTrail`](super::AuditTrail), which asks it before each operation.
///
/// # For users
///
/// Every line needs a place, which is [reserved](Self::reserve) before, and taken once: by [`enqueue`](Self::enqueue), by
/// [`write`](Self::write), or given back by [`release`](Self::release). An `AuditTrail` sees to that.
///
/// # For implementers
///
/// - `reserve`, `release` and `enqueue` are called for every use of a key: they never wait, and do no input and output.
/// - Whoever has a place can enqueue, whatever has become of the medium. Only a sink that was closed may refuse, and the
///   line is then lost, and counted by who asked.
/// - Memory is bounded: places that are reserved and lines that wait are counted together.
/// - Lines are written in the order in which they were taken.
/// - A line that a `write` could not make durable at once is kept like one that was enqueued, and tried again.
/// - `write` takes the place when its future is polled first, and the line even if that is dropped after.
#[async_trait]
pub trait AuditSink: fmt::Debug + Send + Sync + 'static {
    /// Sets a place aside for one line.
    ///
    /// Under [`Refuse`](OnFailure::Refuse) that is refused as soon as it is known that lines do not become durable at
    /// present; under [`Continue`](OnFailure::Continue) only when there is no room to keep one more until they do.
    ///
    /// # Errors
    ///
    /// Why a line cannot be taken. No place was reserved then.
    fn reserve(&self, on_failure: OnFailure) -> Result<(), AuditError>;

    /// Gives a place back: there is no line after all.
    fn release(&self);

    /// Takes a line in its place, to be written soon.
    ///
    /// # Errors
    ///
    /// [`Closed`](super::AuditErrorKind::Closed): the line is lost. The place is taken all the same.
    fn enqueue(&self, record: AuditRecord) -> Result<(), AuditError>;

    /// Takes a line in its place, and returns when it is durable, and all that were taken before it.
    ///
    /// # Errors
    ///
    /// [`Closed`](super::AuditErrorKind::Closed): the line is lost. Otherwise why it is not durable yet; it is kept, and
    /// written when it can be.
    ///
    /// # Cancel safety
    ///
    /// Once it was polled, the line is written though the future be dropped.
    async fn write(&self, record: AuditRecord) -> Result<(), AuditError>;

    /// Returns when all lines are durable that were taken before.
    ///
    /// # Errors
    ///
    /// Why they are not. They are kept.
    ///
    /// # Cancel safety
    ///
    /// May be dropped at will.
    async fn flush(&self) -> Result<(), AuditError>;

    /// Writes what waits, and ends. A second time it does nothing.
    ///
    /// # Errors
    ///
    /// Why lines that were taken are lost. It is closed all the same.
    ///
    /// # Cancel safety
    ///
    /// Once it was polled, it closes though the future be dropped.
    async fn close(&self) -> Result<(), AuditError>;
}

/// An `Arc` of a sink is that sink.
#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<S: AuditSink + ?Sized> AuditSink for Arc<S> {
    fn reserve(&self, on_failure: OnFailure) -> Result<(), AuditError> {
        (**self).reserve(on_failure)
    }

    fn release(&self) {
        (**self).release();
    }

    fn enqueue(&self, record: AuditRecord) -> Result<(), AuditError> {
        (**self).enqueue(record)
    }

    async fn write(&self, record: AuditRecord) -> Result<(), AuditError> {
        (**self).write(record).await
    }

    async fn flush(&self) -> Result<(), AuditError> {
        (**self).flush().await
    }

    async fn close(&self) -> Result<(), AuditError> {
        (**self).close().await
    }
}
