//! What can go wrong with an audit trail.

use std::error::Error as StdError;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// An audit trail cannot take a line, or is not as it was left. Cheap to clone; holds no secret.
///
/// `Display` says one layer, the [`source`](StdError::source) is the next.
#[derive(Debug, Clone)]
pub struct AuditError {
    kind: AuditErrorKind,
    detail: Option<Arc<Detail>>,
}

#[derive(Debug, Default)]
struct Detail {
    file: Option<PathBuf>,
    line: Option<u64>,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

/// What went wrong, with what to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AuditErrorKind {
    /// More lines wait to be written than the queue may hold. Retry.
    Overflow,
    /// The medium has no room. What is waiting is tried again; make room.
    NoRoom,
    /// The medium or the catalogue fails; the source says how. What is waiting is tried again.
    Unavailable,
    /// It takes longer than it may. The line waits still, and is written when it can be.
    TooLate,
    /// It was closed, or its thread has ended.
    Closed,
    /// Another process, or another part of this one, has the log open. Close it there.
    InUse,
    /// There is no such file, or no folder to make one in.
    NotFound,
    /// The file has fewer lines than were written to it, or is gone. Find out who took them away; then
    /// [begin a new file](super::AuditLogBuilder::begin_anew), which says so.
    CutOff,
    /// A line is not as it was written, or not of this log. Find out who changed it; then
    /// [begin a new file](super::AuditLogBuilder::begin_anew), which says so.
    Altered,
}

impl AuditError {
    /// An error of this kind.
    #[must_use]
    pub const fn new(kind: AuditErrorKind) -> Self {
        Self { kind, detail: None }
    }

    /// An error of this kind with its cause.
    #[must_use]
    pub fn caused_by(kind: AuditErrorKind, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        let detail = Detail { source: Some(Arc::from(source.into())), ..Detail::default() };
        Self { kind, detail: Some(Arc::new(detail)) }
    }

    /// The same error about a file.
    pub(super) fn of_file(self, file: PathBuf) -> Self {
        self.at(file, None)
    }

    /// The same error about a line of a file, counted from 1.
    pub(super) fn at(self, file: PathBuf, line: Option<u64>) -> Self {
        let source = self.detail.as_ref().and_then(|detail| detail.source.clone());
        Self { kind: self.kind, detail: Some(Arc::new(Detail { file: Some(file), line, source })) }
    }

    /// What went wrong.
    #[must_use]
    pub const fn kind(&self) -> AuditErrorKind {
        self.kind
    }

    /// The file that it is about, and the line of it, from 1, if it is about one.
    #[must_use]
    pub fn place(&self) -> Option<(&std::path::Path, Option<u64>)> {
        let detail = self.detail.as_ref()?;
        Some((detail.file.as_deref()?, detail.line))
    }
}

impl fmt::Display for AuditError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            AuditErrorKind::Overflow => "more lines wait for the audit trail than may",
            AuditErrorKind::NoRoom => "there is no room for the audit trail",
            AuditErrorKind::Unavailable => "the audit trail cannot be written",
            AuditErrorKind::TooLate => "writing to the audit trail takes too long",
            AuditErrorKind::Closed => "the audit trail is closed",
            AuditErrorKind::InUse => "somebody else has the audit log open",
            AuditErrorKind::NotFound => "there is no such file or folder",
            AuditErrorKind::CutOff => "the audit log has fewer lines than were written to it",
            AuditErrorKind::Altered => "the audit log is not as it was written",
        })?;
        match self.place() {
            Some((file, Some(line))) => write!(f, " ({file:?}, line {line})"),
            Some((file, None)) => write!(f, " ({file:?})"),
            None => Ok(()),
        }
    }
}

impl StdError for AuditError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.detail.as_ref()?.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}
