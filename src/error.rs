//! The one error of using a store.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use crate::backend::{BackendError, BackendErrorKind, BackingKeyId};
use crate::catalog::{CatalogError, CatalogErrorKind};
use crate::crypto::InvalidBlob;
use crate::key::KeyId;
use crate::value::InvalidValue;

/// An operation of a store failed.
///
/// Opaque, small and cheap to clone; decide by its [`kind`](Self::kind). `Display` says one layer, the
/// [`source`](StdError::source) is the next. Among the sources are the key manager's own words, for the log and not for
/// a peer; an error of the key manager names the key that it is about. Holds no secret. A failure of cryptography has
/// neither text nor source: nobody shall learn from it what exactly was wrong.
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
    UnknownVersion(u8),
    /// About a KMS key, an alias or a key of the key manager, by its name.
    About(ErrorKind, Arc<str>),
    Catalog(CatalogError),
    /// What the key manager answered, and about which key.
    Backend(BackendError, Option<Arc<OnKey>>),
}

/// The key that the key manager was asked about.
#[derive(Debug)]
struct OnKey {
    backing_key: BackingKeyId,
    /// `None` where no KMS key refers to it, or none yet.
    key: Option<KeyId>,
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
    /// The ciphertext blob was made by a newer release, or it is none. Use that one.
    UnknownVersion,
    /// The store has no such KMS key (AWS: `NotFoundException`). Do not retry.
    KeyNotFound,
    /// Somebody disabled the KMS key (AWS: `DisabledException`). Do not retry before it is enabled.
    KeyDisabled,
    /// The deletion of the KMS key was scheduled (AWS: `KMSInvalidStateException`). Cancel it, if the key is needed.
    KeyPendingDeletion,
    /// There is no deletion to be cancelled (AWS: `KMSInvalidStateException`).
    KeyNotPendingDeletion,
    /// The ciphertext blob was encrypted under another KMS key than the one named (AWS: `IncorrectKeyException`).
    IncorrectKey,
    /// There is no such alias (AWS: `NotFoundException`). Do not retry.
    AliasNotFound,
    /// There is such an alias already (AWS: `AlreadyExistsException`).
    AliasExists,
    /// Another KMS key of the store refers to the external key (AWS: `XksKeyAlreadyInUseException`). Use another one.
    ExternalKeyInUse,
    /// The external key cannot serve a KMS key: it must be an enabled AES-256 key that may encrypt and decrypt (AWS:
    /// `XksKeyInvalidConfigurationException`). Its owner's to change.
    UnsuitableExternalKey,
    /// Others change the same KMS key all the time. Retry.
    Busy,
    /// The catalogue refused or failed. Its docs say what to do.
    Catalog(CatalogErrorKind),
    /// The key manager refused or failed; never [`BackendErrorKind::InvalidCiphertext`], which is
    /// [`InvalidCiphertext`](Self::InvalidCiphertext) here. Its docs say whose fault it is.
    Backend(BackendErrorKind),
}

impl ErrorKind {
    /// What is said of the key or the alias that an error is about.
    const fn text(self) -> &'static str {
        match self {
            Self::KeyNotFound => "there is no such KMS key",
            Self::KeyDisabled => "the KMS key is disabled",
            Self::KeyPendingDeletion => "the deletion of the KMS key is scheduled",
            Self::KeyNotPendingDeletion => "no deletion of the KMS key is scheduled",
            Self::IncorrectKey => "the ciphertext blob was encrypted under another KMS key",
            Self::AliasNotFound => "there is no such alias",
            Self::AliasExists => "there is such an alias already",
            Self::ExternalKeyInUse => "another KMS key of the custom key store refers to the external key",
            Self::UnsuitableExternalKey => {
                "the external key is not an enabled AES-256 key that may encrypt and decrypt"
            }
            Self::Busy => "others are changing the KMS key",
            _ => "the operation failed",
        }
    }
}

impl Error {
    /// Refused at the gate.
    pub(crate) const NOT_CONNECTED: Self = Self(Repr::NotConnected { abandoned: false });
    /// Cut off by a disconnect.
    pub(crate) const ABANDONED: Self = Self(Repr::NotConnected { abandoned: true });

    pub(crate) const INVALID_CIPHERTEXT: Self = Self(Repr::InvalidCiphertext);

    /// What went wrong.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        match &self.0 {
            Repr::NotConnected { .. } => ErrorKind::NotConnected,
            Repr::InvalidInput(_) => ErrorKind::InvalidInput,
            Repr::InvalidCiphertext => ErrorKind::InvalidCiphertext,
            Repr::UnknownVersion(_) => ErrorKind::UnknownVersion,
            Repr::About(kind, _) => *kind,
            Repr::Catalog(error) => ErrorKind::Catalog(error.kind()),
            Repr::Backend(error, _) => ErrorKind::Backend(error.kind()),
        }
    }

    /// Whether the same operation may succeed later with nothing else changed.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        match &self.0 {
            Repr::Backend(error, _) => error.is_retryable(),
            Repr::Catalog(error) => matches!(error.kind(), CatalogErrorKind::Unavailable),
            Repr::About(kind, _) => matches!(kind, ErrorKind::Busy),
            Repr::NotConnected { .. }
            | Repr::InvalidInput(_)
            | Repr::InvalidCiphertext
            | Repr::UnknownVersion(_) => false,
        }
    }

    /// Whether the operation may have been carried out by the key manager all the same, its answer being lost or
    /// damaged. Matters where a key was to be made or deleted; encrypting and decrypting once more does no harm.
    #[must_use]
    pub const fn may_have_taken_effect(&self) -> bool {
        match &self.0 {
            Repr::NotConnected { abandoned } => *abandoned,
            Repr::InvalidInput(_) | Repr::InvalidCiphertext | Repr::UnknownVersion(_) | Repr::About(..) => {
                false
            }
            Repr::Catalog(error) => matches!(error.kind(), CatalogErrorKind::Unavailable),
            Repr::Backend(error, _) => error.kind().may_have_taken_effect(),
        }
    }

    /// What the key manager answered, with its [detail](BackendError::detail) for the log, when it did.
    #[must_use]
    pub const fn backend_error(&self) -> Option<&BackendError> {
        match &self.0 {
            Repr::Backend(error, _) => Some(error),
            _ => None,
        }
    }

    /// The value that breaks the rule of its field, when one does.
    #[must_use]
    pub fn invalid_value(&self) -> Option<&InvalidValue> {
        match &self.0 {
            Repr::InvalidInput(error) => Some(error),
            _ => None,
        }
    }

    /// What the key manager made of a ciphertext that is right, or of none: when it calls that invalid, it is wrong itself.
    pub(crate) fn of_the_key_manager(self) -> Self {
        match self.0 {
            Repr::InvalidCiphertext => BackendError::new(BackendErrorKind::InvalidResponse)
                .with_detail(
                    "it calls a ciphertext invalid that it made itself, or was not given; was the external key replaced?",
                )
                .into(),
            _ => self,
        }
    }

    /// Says which key the key manager was asked about; and for which KMS key, if there is one.
    pub(crate) fn on_key(self, backing_key: &BackingKeyId, key: Option<KeyId>) -> Self {
        match self.0 {
            Repr::Backend(error, _) => {
                let on_key = OnKey { backing_key: backing_key.clone(), key };
                Self(Repr::Backend(error, Some(Arc::new(on_key))))
            }
            _ => self,
        }
    }

    /// The key manager gave a plaintext that is not what was encrypted.
    pub(crate) fn wrong_plaintext() -> Self {
        let error = BackendError::new(BackendErrorKind::InvalidResponse);
        error.with_detail("it decrypted to something else than was encrypted").into()
    }

    /// The cluster gave a key that another KMS key rests on already.
    pub(crate) fn taken_key_generated() -> Self {
        let error = BackendError::new(BackendErrorKind::InvalidResponse);
        error.with_detail("it made a key of a name that another KMS key rests on").into()
    }

    /// Says which key the cluster made, since nothing in the catalogue does.
    pub(crate) fn naming(self, key: &BackingKeyId) -> Self {
        match self.0 {
            Repr::Catalog(error) => {
                error.because(format!("the cluster has made the key {key}, which is listed nowhere")).into()
            }
            _ => self,
        }
    }

    pub(crate) fn about(kind: ErrorKind, what: &impl ToString) -> Self {
        Self(Repr::About(kind, what.to_string().into()))
    }

    pub(crate) fn key_not_found(id: KeyId) -> Self {
        Self::about(ErrorKind::KeyNotFound, &id)
    }

    pub(crate) fn busy(id: KeyId) -> Self {
        Self::about(ErrorKind::Busy, &id)
    }
}

impl From<CatalogError> for Error {
    fn from(error: CatalogError) -> Self {
        Self(Repr::Catalog(error))
    }
}

impl From<InvalidBlob> for Error {
    fn from(error: InvalidBlob) -> Self {
        match error {
            InvalidBlob::UnknownVersion(version) => Self(Repr::UnknownVersion(version)),
            InvalidBlob::Malformed => Self(Repr::InvalidCiphertext),
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
            _ => Self(Repr::Backend(error, None)),
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
            // One text for all three.
            Repr::InvalidCiphertext => f.write_str(
                "the ciphertext is invalid: it was changed, or the key or the encryption context is another than it was \
                 encrypted with",
            ),
            Repr::UnknownVersion(version) => {
                write!(
                    f,
                    "the ciphertext blob is of version {version}, which this release does not know, or it is none"
                )
            }
            Repr::About(kind, what) => write!(f, "{} ({what})", kind.text()),
            Repr::Catalog(_) => f.write_str("the catalogue of the custom key store refused or failed"),
            Repr::Backend(error, None) => fmt::Display::fmt(error, f),
            Repr::Backend(error, Some(on)) => match &on.key {
                Some(key) => write!(f, "{error} (backing key {}, KMS key {key})", on.backing_key),
                None => write!(f, "{error} (backing key {})", on.backing_key),
            },
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Error");
        debug.field("kind", &self.kind());
        match &self.0 {
            Repr::InvalidInput(error) => debug.field("error", error),
            Repr::Backend(error, None) => debug.field("error", error),
            Repr::Backend(error, Some(on)) => debug.field("error", error).field("on", on),
            Repr::NotConnected { abandoned } => debug.field("abandoned", abandoned),
            Repr::About(_, what) => debug.field("about", what),
            Repr::Catalog(error) => debug.field("error", error),
            Repr::UnknownVersion(version) => debug.field("version", version),
            Repr::InvalidCiphertext => &mut debug,
        }
        .finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match &self.0 {
            // What the key manager says is this error's own text; what lies beneath it is our source.
            Repr::Backend(error, _) => error.beneath(),
            Repr::Catalog(error) => Some(error),
            _ => None,
        }
    }
}
