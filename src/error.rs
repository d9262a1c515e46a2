//! The one error of using a store.

use std::error::Error as StdError;
use std::fmt;

use crate::backend::{BackendError, BackendErrorKind};
use crate::value::InvalidValue;

/// An operation of a store failed.
///
/// Opaque, small and cheap to clone; decide by its [`kind`](Self::kind). `Display` says one layer, the
/// [`source`](StdError::source) is the next; [`backend_error`](Self::backend_error) has the key manager's own words
/// for the log. Holds no secret. A failure of cryptography has neither text nor
/// source: nobody shall learn from it what exactly was wrong.
///
/// ```
/// use custom_key_store::{Error, ErrorKind};
///
/// fn again(error: &Error) -> bool {
///     match error.kind() {
///         ErrorKind::NotConnected => false, // somebody disconnected: ask the operator
///         _ => error.is_retryable(),
///     }
/// }
/// ```
#[derive(Clone)]
pub struct Error(Repr);

#[derive(Clone)]
enum Repr {
    NotConnected {
        abandoned: bool,
    },
    /// Boxed, so that every result that may hold an error stays small.
    InvalidInput(Box<InvalidValue>),
    InvalidCiphertext,
    Backend(BackendError),
}

/// What went wrong, with whose fault it is and whether a retry makes sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The store is not connected, or was disconnected while the operation was under way. Somebody's decision:
    /// retry when it is connected again. [`Error::may_have_taken_effect`] tells an operation that was refused from
    /// one that was cut off.
    NotConnected,
    /// The caller's fault: a value breaks the rule of its field. The key manager was not asked. Do not retry.
    InvalidInput,
    /// The ciphertext, the key or the encryption context is not what was used to encrypt. Do not retry.
    InvalidCiphertext,
    /// The key manager refused or failed; never [`BackendErrorKind::InvalidCiphertext`], which is
    /// [`InvalidCiphertext`](Self::InvalidCiphertext) here. Its docs say whose fault it is.
    Backend(BackendErrorKind),
}

impl Error {
    /// Refused at the gate.
    pub(crate) const NOT_CONNECTED: Self = Self(Repr::NotConnected { abandoned: false });
    /// Cut off by a disconnect.
    pub(crate) const ABANDONED: Self = Self(Repr::NotConnected { abandoned: true });

    /// What went wrong.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        match &self.0 {
            Repr::NotConnected { .. } => ErrorKind::NotConnected,
            Repr::InvalidInput(_) => ErrorKind::InvalidInput,
            Repr::InvalidCiphertext => ErrorKind::InvalidCiphertext,
            Repr::Backend(error) => ErrorKind::Backend(error.kind()),
        }
    }

    /// Whether the same operation may succeed later with nothing else changed.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        match &self.0 {
            Repr::Backend(error) => error.is_retryable(),
            Repr::NotConnected { .. } | Repr::InvalidInput(_) | Repr::InvalidCiphertext => false,
        }
    }

    /// Whether the operation may have been carried out by the key manager all the same, its answer being lost or
    /// damaged. Matters where a key was to be made or deleted; encrypting and decrypting once more does no harm.
    #[must_use]
    pub const fn may_have_taken_effect(&self) -> bool {
        match &self.0 {
            Repr::NotConnected { abandoned } => *abandoned,
            Repr::InvalidInput(_) | Repr::InvalidCiphertext => false,
            Repr::Backend(error) => error.kind().may_have_taken_effect(),
        }
    }

    /// What the key manager answered, with its [detail](BackendError::detail) for the log, when it did.
    #[must_use]
    pub const fn backend_error(&self) -> Option<&BackendError> {
        match &self.0 {
            Repr::Backend(error) => Some(error),
            Repr::NotConnected { .. } | Repr::InvalidInput(_) | Repr::InvalidCiphertext => None,
        }
    }
}

/// Text, limits and sizes only: the value itself is not in the error.
impl From<InvalidValue> for Error {
    fn from(error: InvalidValue) -> Self {
        Self(Repr::InvalidInput(Box::new(error)))
    }
}

impl From<BackendError> for Error {
    fn from(error: BackendError) -> Self {
        match error.kind() {
            BackendErrorKind::InvalidCiphertext => Self(Repr::InvalidCiphertext),
            _ => Self(Repr::Backend(error)),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Repr::NotConnected { abandoned: false } => f.write_str("the custom key store is not connected"),
            Repr::NotConnected { abandoned: true } => {
                f.write_str("the custom key store was disconnected before the operation was done")
            }
            Repr::InvalidInput(error) => error.fmt(f),
            Repr::InvalidCiphertext => f.write_str("the ciphertext is invalid"),
            Repr::Backend(error) => fmt::Display::fmt(error, f),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Error");
        debug.field("kind", &self.kind());
        match &self.0 {
            Repr::InvalidInput(error) => debug.field("error", error),
            Repr::Backend(error) => debug.field("error", error),
            Repr::NotConnected { abandoned } => debug.field("abandoned", abandoned),
            Repr::InvalidCiphertext => &mut debug,
        }
        .finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        // What the key manager says is this error's own text; its source is ours.
        self.backend_error()?.source()
    }
}
