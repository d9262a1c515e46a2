//! The protocol's names for what went wrong, and the table of where each may appear.

use super::ProxyOperation;
use crate::backend::BackendErrorKind;
use crate::value::wire_enum;

#[cfg(test)]
mod tests;

wire_enum! {
    /// What an external key store proxy calls an error (`errorName`).
    ///
    /// ```
    /// use custom_key_store::xks::{ErrorName, ProxyOperation};
    ///
    /// let name: ErrorName = "KeyNotFoundException".parse()?;
    /// assert_eq!(name.http_status(), 404);
    /// assert!(!name.allowed_on(ProxyOperation::GetHealthStatus));
    /// # Ok::<(), custom_key_store::InvalidValue>(())
    /// ```
    #[non_exhaustive]
    ErrorName, field: "errorName" {
        /// A member of the request is absent, or of the wrong type or value.
        Validation = "ValidationException",
        /// The key, or the whole key store, is disabled, deactivated or blocked.
        InvalidState = "InvalidStateException",
        /// Ciphertext, initialization vector, authenticated data or tag is corrupt, missing or wrong.
        InvalidCiphertext = "InvalidCiphertextException",
        /// The key exists and may not do this.
        InvalidKeyUsage = "InvalidKeyUsageException",
        /// The signature does not hold, whatever the reason.
        AuthenticationFailed = "AuthenticationFailedException",
        /// The proxy's own authorization said no.
        AccessDenied = "AccessDeniedException",
        /// There is no such key under this path.
        KeyNotFound = "KeyNotFoundException",
        /// There is no such path.
        InvalidUriPath = "InvalidUriPathException",
        /// The proxy is overloaded, or the caller's quota used up.
        Throttling = "ThrottlingException",
        /// Not implemented, or not for so much data.
        UnsupportedOperation = "UnsupportedOperationException",
        /// Something behind the proxy was too slow.
        DependencyTimeout = "DependencyTimeoutException",
        /// Any other failure of the proxy or what stands behind it.
        Internal = "InternalException",
    }
}

impl ErrorName {
    /// The HTTP status that goes with it.
    #[must_use]
    pub const fn http_status(self) -> u16 {
        match self {
            Self::Validation | Self::InvalidState | Self::InvalidCiphertext | Self::InvalidKeyUsage => 400,
            Self::AuthenticationFailed => 401,
            Self::AccessDenied => 403,
            Self::KeyNotFound | Self::InvalidUriPath => 404,
            Self::Throttling => 429,
            Self::UnsupportedOperation => 501,
            Self::DependencyTimeout => 503,
            Self::Internal => 500,
        }
    }

    /// Whether a proxy may answer `operation` with it.
    ///
    /// `ValidationException` is allowed on a health check: the specification's table has no entry for it, but
    /// AWS's own test client demands it of a malformed one.
    #[must_use]
    pub const fn allowed_on(self, operation: ProxyOperation) -> bool {
        use ProxyOperation::{Decrypt, Encrypt, GetHealthStatus};
        match self {
            Self::Validation
            | Self::InvalidState
            | Self::AuthenticationFailed
            | Self::InvalidUriPath
            | Self::Throttling
            | Self::UnsupportedOperation
            | Self::DependencyTimeout
            | Self::Internal => true,
            Self::AccessDenied | Self::KeyNotFound => !matches!(operation, GetHealthStatus),
            Self::InvalidKeyUsage => matches!(operation, Encrypt | Decrypt),
            Self::InvalidCiphertext => matches!(operation, Decrypt),
        }
    }

    /// What a client makes of it.
    ///
    /// Deliberately without an operation: a name where the table has none is understood all the same.
    #[must_use]
    pub const fn kind(self) -> BackendErrorKind {
        match self {
            Self::Validation => BackendErrorKind::InvalidRequest,
            Self::InvalidState => BackendErrorKind::InvalidKeyState,
            Self::InvalidCiphertext => BackendErrorKind::InvalidCiphertext,
            Self::InvalidKeyUsage => BackendErrorKind::InvalidKeyUsage,
            Self::AuthenticationFailed => BackendErrorKind::AuthenticationFailed,
            Self::AccessDenied => BackendErrorKind::AccessDenied,
            Self::KeyNotFound => BackendErrorKind::KeyNotFound,
            Self::InvalidUriPath => BackendErrorKind::InvalidPath,
            Self::Throttling => BackendErrorKind::Throttled,
            Self::UnsupportedOperation => BackendErrorKind::Unsupported,
            Self::DependencyTimeout => BackendErrorKind::DependencyTimedOut,
            Self::Internal => BackendErrorKind::Internal,
        }
    }

    /// What a proxy says when the connection behind it fails at `operation`.
    ///
    /// That the proxy cannot authenticate, find or reach what stands behind it is the proxy's own affair: its
    /// caller would look for the fault in its own credential or path. A name that the table does not allow on
    /// the operation becomes `InternalException`.
    #[must_use]
    pub const fn from_kind(kind: BackendErrorKind, operation: ProxyOperation) -> Self {
        let name = match kind {
            BackendErrorKind::InvalidRequest => Self::Validation,
            BackendErrorKind::InvalidKeyState => Self::InvalidState,
            BackendErrorKind::InvalidCiphertext => Self::InvalidCiphertext,
            BackendErrorKind::InvalidKeyUsage => Self::InvalidKeyUsage,
            BackendErrorKind::AccessDenied => Self::AccessDenied,
            BackendErrorKind::KeyNotFound => Self::KeyNotFound,
            BackendErrorKind::Throttled => Self::Throttling,
            BackendErrorKind::Unsupported => Self::UnsupportedOperation,
            BackendErrorKind::DependencyTimedOut | BackendErrorKind::TimedOut => Self::DependencyTimeout,
            BackendErrorKind::AuthenticationFailed
            | BackendErrorKind::InvalidPath
            | BackendErrorKind::Internal
            | BackendErrorKind::Unreachable
            | BackendErrorKind::InvalidTls
            | BackendErrorKind::InvalidResponse
            | BackendErrorKind::IntegrityCheckFailed
            | BackendErrorKind::Closed
            | BackendErrorKind::Panicked => Self::Internal,
        };
        if name.allowed_on(operation) { name } else { Self::Internal }
    }
}
