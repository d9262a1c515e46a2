//! What can go wrong when data is sealed or opened.

use std::io;
use std::sync::Arc;

use crate::error::Error;

/// Sealing or opening failed. Holds no secret.
///
/// Streams hand it out inside [`io::Error`], where [`get_ref`](io::Error::get_ref) and a downcast find it.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum EnvelopeError {
    /// Not what was sealed, not under this data key, or not with this encryption context. Says nothing more, on
    /// purpose. Do not retry.
    #[error(
        "the sealed data is invalid: it was changed, or the key or the encryption context is another than it was \
         sealed with"
    )]
    Invalid,
    /// Made by a newer release, or no sealed data. Use that release.
    #[error("the sealed data is of version {0}, which this release does not know, or it is none")]
    UnknownVersion(u8),
    /// The stream ends before its end: it was cut off, or its writer was dropped before it had finished.
    #[error("the sealed stream is cut off")]
    Truncated,
    /// More than the format holds: 2^32 frames in a stream, 64 GiB in a record.
    #[error("too long to be sealed in one piece")]
    TooLong,
    /// The source of data keys refused or failed. [`Error::is_retryable`] says whether a retry makes sense.
    #[error("the source of data keys refused or failed")]
    Source(#[from] Error),
    /// What a stream is read from, or written to, failed.
    #[error("the stream could not be read or written")]
    Io(#[source] Arc<io::Error>),
}

impl From<io::Error> for EnvelopeError {
    /// The end where more was due is [`Truncated`](Self::Truncated).
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::Truncated,
            _ => Self::Io(Arc::new(error)),
        }
    }
}

impl From<EnvelopeError> for io::Error {
    fn from(error: EnvelopeError) -> Self {
        let kind = match &error {
            EnvelopeError::Invalid | EnvelopeError::UnknownVersion(_) => io::ErrorKind::InvalidData,
            EnvelopeError::Truncated => io::ErrorKind::UnexpectedEof,
            EnvelopeError::TooLong => io::ErrorKind::FileTooLarge,
            EnvelopeError::Source(_) => io::ErrorKind::Other,
            EnvelopeError::Io(source) => source.kind(),
        };
        Self::new(kind, error)
    }
}
