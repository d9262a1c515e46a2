//! The request to connect, and why one failed.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::{
    BackendError, BackendErrorKind, ConnectionErrorCode, CustomKeyStoreType, MemoryVault, Operation,
    RequestId, Telling, Vault,
};

/// Asks a [`Backend`](super::Backend) for a connection.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ConnectRequest {
    /// Why.
    pub reason: ConnectReason,
    /// Finds the attempt again in the logs of every party.
    pub request_id: RequestId,
    /// After how long, from the first poll, the store gives up and drops the future.
    pub timeout: Duration,
    /// Where a backend that changes its password keeps it.
    pub vault: Arc<dyn Vault>,
    /// When the store was told a password last, if ever by an update, and which. It is kept with the store, so that it is the
    /// same after a restart. A backend that writes down that a password was refused writes its [id](Telling::id) beside it:
    /// only when that is another, and the password is the one that was told, the password may be tried again.
    pub telling: Option<Telling>,
}

impl ConnectRequest {
    /// A request with an id of its own and a vault in memory.
    #[must_use]
    pub fn new(reason: ConnectReason, timeout: Duration) -> Self {
        let vault = Arc::new(MemoryVault::new());
        Self { reason, request_id: RequestId::generate(), timeout, vault, telling: None }
    }

    /// The same with another vault.
    #[must_use]
    pub fn with_vault(mut self, vault: impl Vault) -> Self {
        self.vault = Arc::new(vault);
        self
    }

    /// The same of a store that was told this password then.
    #[must_use]
    pub fn with_telling(mut self, telling: Telling) -> Self {
        self.telling = Some(telling);
        self
    }
}

/// Why a connection is asked for. A backend never changes a password unless it is [`Connect`](Self::Connect).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ConnectReason {
    /// A store is being created: does its configuration work?
    Create,
    /// A store connects, to be used.
    Connect,
    /// The configuration of a store is being changed: does the new one work?
    Update,
    /// A dry run: would it connect? The connection is closed again.
    Probe,
    /// A store that was connected when its process ended is connected again.
    Resume,
}

impl ConnectReason {
    /// The KMS operation of this name, as the XKS protocol's health request reports it.
    #[must_use]
    pub const fn operation(self) -> Operation {
        match self {
            Self::Create => Operation::CREATE_CUSTOM_KEY_STORE,
            Self::Connect | Self::Resume => Operation::CONNECT_CUSTOM_KEY_STORE,
            Self::Update => Operation::UPDATE_CUSTOM_KEY_STORE,
            Self::Probe => Operation::HEALTH_CHECK,
        }
    }
}

/// A backend could not connect.
///
/// Small and cheap to clone. `Display` says the code and its meaning; what lies beneath is the
/// [`source`](StdError::source).
///
/// ```
/// use custom_key_store::backend::{ConnectionError, ConnectionErrorCode, Responsible};
///
/// let error = ConnectionError::new(ConnectionErrorCode::UserLockedOut);
/// assert_eq!(error.code().advice(None).by, Responsible::CryptoOfficer);
/// assert!(error.to_string().starts_with("USER_LOCKED_OUT: "));
/// ```
#[derive(Clone)]
pub struct ConnectionError {
    code: ConnectionErrorCode,
    detail: Option<Arc<str>>,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

impl ConnectionError {
    /// An error with this code and nothing more.
    #[must_use]
    pub const fn new(code: ConnectionErrorCode) -> Self {
        Self { code, detail: None, source: None }
    }

    /// The same with a text for the operator: what exactly was found. It must hold nothing secret.
    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<Cow<'static, str>>) -> Self {
        self.detail = Some(detail.into().into());
        self
    }

    /// The same with what lies beneath.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into().into());
        self
    }

    /// The code for a call that failed while connecting to a key manager of this type.
    #[must_use]
    pub fn from_call(store_type: CustomKeyStoreType, error: BackendError) -> Self {
        let detail = error.detail().map(str::to_owned);
        let made = Self::new(code_of(store_type, error.kind())).with_source(error);
        // What the operator's log needs most should not take a look at the source.
        match detail {
            Some(detail) => made.with_detail(detail),
            None => made,
        }
    }

    /// No instance of a key manager of this type serves.
    #[must_use]
    pub fn nobody_serves(store_type: CustomKeyStoreType) -> Self {
        Self::new(match store_type {
            CustomKeyStoreType::ExternalKeyStore => ConnectionErrorCode::XksProxyNotReachable,
            CustomKeyStoreType::AwsCloudhsm => ConnectionErrorCode::InsufficientCloudhsmHsms,
        })
        .with_detail("no instance of the key manager serves")
    }

    /// The same, unless its code is one that only stores of the other type can show: then `INTERNAL_ERROR`, with
    /// this error as its source.
    #[must_use]
    pub(crate) fn of_store_type(self, store_type: CustomKeyStoreType) -> Self {
        if self.code.store_type().is_none_or(|of| of == store_type) {
            return self;
        }
        Self::new(ConnectionErrorCode::InternalError)
            .with_detail("the backend gave a code of the other store type")
            .with_source(self)
    }

    /// The code that a store in state `FAILED` shows.
    #[must_use]
    pub const fn code(&self) -> ConnectionErrorCode {
        self.code
    }

    /// What exactly was found, for the operator.
    #[must_use]
    pub fn detail(&self) -> Option<&str> {
        self.detail.as_deref()
    }
}

// One table for both store types. Sources: facts on KMS, 3.1 to 3.3 and 4.3; facts on XKS, 3.1, where undocumented.
const fn code_of(store_type: CustomKeyStoreType, kind: BackendErrorKind) -> ConnectionErrorCode {
    use BackendErrorKind as Kind;
    use ConnectionErrorCode as Code;

    let external = matches!(store_type, CustomKeyStoreType::ExternalKeyStore);
    match kind {
        Kind::AuthenticationFailed => Code::InvalidCredentials,
        Kind::Panicked | Kind::Closed => Code::InternalError,
        _ if !external => match kind {
            Kind::Unreachable
            | Kind::InvalidTls
            | Kind::TimedOut
            | Kind::DependencyTimedOut
            | Kind::Throttled => Code::NetworkErrors,
            _ => Code::InternalError,
        },
        Kind::AccessDenied => Code::XksProxyAccessDenied,
        Kind::InvalidPath => Code::XksProxyInvalidConfiguration,
        Kind::Unreachable | Kind::Throttled => Code::XksProxyNotReachable,
        Kind::InvalidTls => Code::XksProxyInvalidTlsConfiguration,
        Kind::TimedOut | Kind::DependencyTimedOut => Code::XksProxyTimedOut,
        Kind::InvalidRequest
        | Kind::InvalidKeyState
        | Kind::InvalidCiphertext
        | Kind::InvalidKeyUsage
        | Kind::KeyNotFound
        | Kind::Unsupported
        | Kind::Internal
        | Kind::InvalidResponse
        | Kind::IntegrityCheckFailed => Code::XksProxyInvalidResponse,
    }
}

impl fmt::Display for ConnectionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.code.meaning())?;
        match &self.detail {
            Some(detail) => write!(f, " ({detail})"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for ConnectionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectionError")
            .field("code", &self.code)
            .field("detail", &self.detail)
            .field("source", &self.source)
            .finish()
    }
}

impl StdError for ConnectionError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        let source = self.source.as_deref()?;
        Some(source)
    }
}
