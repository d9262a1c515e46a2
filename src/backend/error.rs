//! What can go wrong in a call on a connection.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

/// A call on a [`Connection`](super::Connection) failed.
///
/// Small and cheap to clone. `Display` says this layer; what lies beneath is the [`source`](StdError::source).
/// A failure of cryptography is one silent kind: it carries neither text nor source, so that nobody learns
/// from it which part of a ciphertext was wrong.
///
/// ```
/// use custom_key_store::backend::{BackendError, BackendErrorKind};
///
/// let error = BackendError::new(BackendErrorKind::Throttled).with_detail("quota of tenant blue used up");
/// assert!(error.is_retryable());
/// assert_eq!(error.to_string(), "the key manager refused the request because it has too many");
/// ```
#[derive(Clone)]
pub struct BackendError {
    kind: BackendErrorKind,
    cause: Option<Arc<Cause>>,
}

#[derive(Debug, Clone, Default)]
struct Cause {
    detail: Option<Cow<'static, str>>,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

impl BackendError {
    /// An error of this kind and nothing more.
    #[must_use]
    pub const fn new(kind: BackendErrorKind) -> Self {
        Self { kind, cause: None }
    }

    /// The same with a text for the operator's log, such as what a proxy says of its reason.
    ///
    /// It must hold nothing secret. It is part of neither `Display` nor [`source`](StdError::source): a peer never sees
    /// it. A [store's error](crate::Error) has it among its sources. Ignored for
    /// [`InvalidCiphertext`](BackendErrorKind::InvalidCiphertext).
    #[must_use]
    pub fn with_detail(self, detail: impl Into<Cow<'static, str>>) -> Self {
        let detail = Some(detail.into());
        self.with_cause(|cause| cause.detail = detail)
    }

    /// The same with what lies beneath. Ignored for [`InvalidCiphertext`](BackendErrorKind::InvalidCiphertext).
    #[must_use]
    pub fn with_source(self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        let source = Some(Arc::from(source.into()));
        self.with_cause(|cause| cause.source = source)
    }

    fn with_cause(mut self, change: impl FnOnce(&mut Cause)) -> Self {
        if self.kind != BackendErrorKind::InvalidCiphertext {
            change(Arc::make_mut(self.cause.get_or_insert_default()));
        }
        self
    }

    /// What went wrong.
    #[must_use]
    pub const fn kind(&self) -> BackendErrorKind {
        self.kind
    }

    /// The text for the operator's log.
    #[must_use]
    pub fn detail(&self) -> Option<&str> {
        self.cause.as_ref()?.detail.as_deref()
    }

    /// Whether the same call may succeed later with nothing else changed.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        self.kind.is_retryable()
    }

    /// What lies beneath for a reader of our own: the detail, if there is one, as a layer before the source.
    pub(crate) fn beneath(&self) -> Option<&(dyn StdError + 'static)> {
        match self.cause.as_deref() {
            Some(cause) if cause.detail.is_some() => Some(cause),
            _ => self.source(),
        }
    }
}

/// As an error of its own it says the detail.
impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.detail.as_deref().unwrap_or_default())
    }
}

impl StdError for Cause {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        let source = self.source.as_deref()?;
        Some(source)
    }
}

impl From<BackendErrorKind> for BackendError {
    fn from(kind: BackendErrorKind) -> Self {
        Self::new(kind)
    }
}

impl fmt::Display for BackendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.text())
    }
}

impl fmt::Debug for BackendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("BackendError");
        debug.field("kind", &self.kind);
        if let Some(detail) = self.detail() {
            debug.field("detail", &detail);
        }
        if let Some(source) = self.source() {
            debug.field("source", &source);
        }
        debug.finish()
    }
}

impl StdError for BackendError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.cause.as_ref()?.source()
    }
}

/// Declares the kinds with their text and whether a retry makes sense, so that no kind lacks either.
macro_rules! kinds {
    ($( $(#[$doc:meta])* $kind:ident, retryable: $retryable:literal, $text:literal; )+) => {
        /// What went wrong in a call on a connection: one kind for each error of the XKS protocol and one for
        /// each way in which a transport fails.
        ///
        /// Each says whose fault it is and whether the same call may succeed later
        /// ([`is_retryable`](Self::is_retryable)).
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum BackendErrorKind {
            $( $(#[$doc])* $kind, )+
        }

        impl BackendErrorKind {
            /// Every kind.
            pub const ALL: &'static [Self] = &[$(Self::$kind),+];

            /// Whether the same call may succeed later with nothing else changed.
            #[must_use]
            pub const fn is_retryable(self) -> bool {
                match self {
                    $(Self::$kind => $retryable,)+
                }
            }

            /// Whether the key manager may have done what it was asked for all the same.
            #[must_use]
            pub const fn may_have_taken_effect(self) -> bool {
                matches!(
                    self,
                    Self::DependencyTimedOut
                        | Self::Internal
                        | Self::Unreachable
                        | Self::TimedOut
                        | Self::InvalidResponse
                        | Self::IntegrityCheckFailed
                        | Self::Panicked
                )
            }

            const fn text(self) -> &'static str {
                match self {
                    $(Self::$kind => $text,)+
                }
            }
        }
    };
}

kinds! {
    /// The caller's fault: a part of the request is missing, too large or wrong (`ValidationException`).
    /// Do not retry.
    InvalidRequest, retryable: false, "the key manager found the request invalid";
    /// The key owner's decision: the key, or the whole key manager, is disabled or blocked
    /// (`InvalidStateException`). Do not retry before it is enabled again.
    InvalidKeyState, retryable: false, "the key, or the whole key manager, is disabled";
    /// The ciphertext, its metadata or the authenticated data is not what an encryption gave
    /// (`InvalidCiphertextException`). Do not retry.
    InvalidCiphertext, retryable: false, "the ciphertext is invalid";
    /// The key exists and may not do this (`InvalidKeyUsageException`). Do not retry.
    InvalidKeyUsage, retryable: false, "the key may not be used for this";
    /// Configuration: the key manager does not accept our credential (`AuthenticationFailedException`).
    /// Do not retry before it is changed.
    AuthenticationFailed, retryable: false, "the key manager refused the credential";
    /// The key owner's decision: this principal may not do this (`AccessDeniedException`). Do not retry.
    AccessDenied, retryable: false, "the key manager denied access";
    /// The key manager has no such key (`KeyNotFoundException`). Do not retry.
    KeyNotFound, retryable: false, "the key manager has no such key";
    /// Configuration: nobody answers at this path (`InvalidUriPathException`). Do not retry.
    InvalidPath, retryable: false, "the key manager's proxy does not know this path";
    /// The key manager is overloaded, or our quota is used up (`ThrottlingException`). Retry later, slower.
    Throttled, retryable: true, "the key manager refused the request because it has too many";
    /// The key manager cannot do this at all, or not for so much data (`UnsupportedOperationException`).
    /// Do not retry.
    Unsupported, retryable: false, "the key manager does not support this";
    /// Something behind the key manager's proxy was too slow (`DependencyTimeoutException`). Retry.
    DependencyTimedOut, retryable: true, "something behind the key manager's proxy timed out";
    /// The key manager's fault (`InternalException`). Retry.
    Internal, retryable: true, "the key manager failed";
    /// The network: no connection could be made, or it broke. Retry.
    Unreachable, retryable: true, "the key manager cannot be reached";
    /// Configuration: no TLS session could be agreed on. Do not retry before a certificate is changed.
    InvalidTls, retryable: false, "no TLS session with the key manager could be agreed on";
    /// The answer did not come in time. Retry.
    TimedOut, retryable: true, "the key manager did not answer in time";
    /// The key manager's fault: the answer is not what the protocol demands. A retry seldom helps.
    InvalidResponse, retryable: false, "the key manager's answer is malformed";
    /// A verified encryption was asked for, and the reply fails the check. Retry; if it happens again, the key
    /// manager or what lies between is damaging data.
    IntegrityCheckFailed, retryable: true, "the key manager's ciphertext failed its integrity check";
    /// This connection was closed. Do not retry on it.
    Closed, retryable: false, "the connection is closed";
    /// The implementation of the connection panicked: a bug in it. Retrying may do the same again.
    Panicked, retryable: false, "the backend panicked";
}

#[cfg(feature = "conformance")]
impl crate::conformance::Fault for BackendError {
    type Kind = BackendErrorKind;

    fn kind(&self) -> BackendErrorKind {
        self.kind
    }
}
