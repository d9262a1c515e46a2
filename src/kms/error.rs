//! Why a call was refused.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::exception::Exception;
use crate::store::ConnectionState;

/// A call of [`Kms`](super::Kms) was refused or failed.
///
/// Carries the [name](Self::exception) that AWS documents, a [message](Self::message) for whoever called, the
/// [connection state](Self::connection_state) that was found where that decided, and [what to do](Self::advice). The message
/// says nothing that only the operator may know; what the key manager or the catalogue said is the
/// [source](StdError::source), for the log. Small, and cheap to clone. Holds no secret.
#[derive(Clone)]
pub struct KmsError(Arc<Repr>);

struct Repr {
    exception: Exception,
    message: String,
    found: Option<ConnectionState>,
    advice: Option<&'static str>,
    /// Whether what lies below may answer otherwise later, although the name does not say so.
    may_pass: bool,
    /// Whether the audit trail knows of it.
    is_audited: AtomicBool,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl KmsError {
    /// An error of this name, with a message for whoever called.
    #[must_use]
    pub fn new(exception: Exception, message: impl Into<String>) -> Self {
        Self(Arc::new(Repr {
            exception,
            message: message.into(),
            found: None,
            advice: None,
            may_pass: false,
            is_audited: AtomicBool::new(false),
            source: None,
        }))
    }

    /// The same, where this connection state decided.
    #[must_use]
    pub(crate) fn found(self, state: ConnectionState) -> Self {
        self.with(|repr| repr.found = Some(state))
    }

    /// The same, with a way on.
    #[must_use]
    pub(crate) fn advised(self, advice: &'static str) -> Self {
        self.with(|repr| repr.advice = Some(advice))
    }

    /// The same, of an error that may pass by itself, or not.
    #[must_use]
    pub(crate) fn passing(self, may_pass: bool) -> Self {
        self.with(|repr| repr.may_pass = may_pass)
    }

    /// The same, with what the log should know.
    #[must_use]
    pub(crate) fn because(self, source: impl StdError + Send + Sync + 'static) -> Self {
        self.with(|repr| repr.source = Some(Box::new(source)))
    }

    /// The audit trail has a line of it, or has counted it: nobody else need tell it.
    pub(super) fn audited(&self) {
        self.0.is_audited.store(true, Ordering::Relaxed);
    }

    #[cfg(feature = "kms-api")]
    pub(crate) fn is_audited(&self) -> bool {
        self.0.is_audited.load(Ordering::Relaxed)
    }

    /// Only while it is being made, when nobody else has it.
    fn with(mut self, change: impl FnOnce(&mut Repr)) -> Self {
        if let Some(repr) = Arc::get_mut(&mut self.0) {
            change(repr);
        }
        self
    }

    /// The name that AWS documents.
    #[must_use]
    pub fn exception(&self) -> Exception {
        self.0.exception
    }

    /// What is wrong, for whoever called.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The connection state in which the custom key store was found, where that decided.
    #[must_use]
    pub fn connection_state(&self) -> Option<ConnectionState> {
        self.0.found
    }

    /// What to do about it.
    #[must_use]
    pub fn advice(&self) -> &'static str {
        self.0.advice.unwrap_or_else(|| self.0.exception.advice())
    }

    /// The same by another name, with the way on that it had.
    #[must_use]
    pub(super) fn named(mut self, exception: Exception) -> Self {
        let advice = self.advice();
        if let Some(repr) = Arc::get_mut(&mut self.0) {
            (repr.exception, repr.advice) = (exception, Some(advice));
            return self;
        }
        // Somebody else has it, by its old name.
        let (message, found, may_pass) = (self.message().to_owned(), self.0.found, self.0.may_pass);
        let is_audited = self.0.is_audited.load(Ordering::Relaxed);
        let renamed = Self::new(exception, message).advised(advice).passing(may_pass).because(self);
        renamed.with(|repr| (repr.found, repr.is_audited) = (found, is_audited.into()))
    }

    /// Whether the same call may succeed later with nothing else changed.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        self.0.may_pass || self.0.exception.is_fault() || self.0.exception == Exception::Throttling
    }
}

impl fmt::Display for KmsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.exception, self.0.message)
    }
}

impl fmt::Debug for KmsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Repr { exception, message, found, source, .. } = &*self.0;
        let mut debug = f.debug_struct("KmsError");
        debug.field("exception", exception).field("message", message);
        if let Some(found) = found {
            debug.field("found", found);
        }
        if let Some(source) = source {
            debug.field("source", source);
        }
        debug.finish()
    }
}

impl StdError for KmsError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        let source = self.0.source.as_deref()?;
        Some(source)
    }
}
