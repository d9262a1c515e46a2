//! Who protects what an application must keep: the trait, and its error.

use std::error::Error as StdError;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;

use crate::secret::SecretBytes;

/// Protects secrets that are stored: what it sealed, only it unseals, and only for the same purpose.
///
/// The one built in is [`SealingKey`](crate::SealingKey). Implement the trait to have another key management service
/// hold the root: sealing happens when something is made or opened, never with each use of it.
///
/// ```
/// use custom_key_store::{Sealer, SealingKey};
///
/// # futures::executor::block_on(async {
/// let sealer = SealingKey::generate();
/// let sealed = sealer.seal(b"my program, the token of the printer", b"hunter2").await?;
/// let secret = sealer.unseal(b"my program, the token of the printer", &sealed).await?;
/// assert_eq!(secret.expose(), b"hunter2");
/// assert!(sealer.unseal(b"another purpose", &sealed).await.is_err());
/// # Ok::<(), custom_key_store::SealError>(()) }).unwrap();
/// ```
///
/// # For implementers
///
/// `purpose` must be authenticated, not hidden. Sealing the same twice should give two different results. The future
/// needs a deadline of its own, and dropping it must do no harm. `Debug` must show no secret.
#[async_trait]
pub trait Sealer: fmt::Debug + Send + Sync + 'static {
    /// Seals `secret` for `purpose`.
    ///
    /// # Errors
    ///
    /// [`SealError`], of kind [`Unavailable`](SealErrorKind::Unavailable) when the service that holds the key does not
    /// do its part.
    async fn seal(&self, purpose: &[u8], secret: &[u8]) -> Result<Vec<u8>, SealError>;

    /// Unseals what [`seal`](Self::seal) gave for the same `purpose`.
    ///
    /// # Errors
    ///
    /// [`SealError`]; its kind says whether another key is needed, the data is damaged, or a retry makes sense.
    async fn unseal(&self, purpose: &[u8], sealed: &[u8]) -> Result<SecretBytes, SealError>;
}

/// An `Arc` of a sealer is that sealer.
#[async_trait]
impl<S: Sealer + ?Sized> Sealer for Arc<S> {
    async fn seal(&self, purpose: &[u8], secret: &[u8]) -> Result<Vec<u8>, SealError> {
        (**self).seal(purpose, secret).await
    }

    async fn unseal(&self, purpose: &[u8], sealed: &[u8]) -> Result<SecretBytes, SealError> {
        (**self).unseal(purpose, sealed).await
    }
}

/// Sealing or unsealing failed. Cheap to clone; holds no secret.
#[derive(Debug, Clone)]
pub struct SealError {
    kind: SealErrorKind,
    /// The file that it is about, if it is about one.
    path: Option<Arc<Path>>,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

/// Why sealing or unsealing failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SealErrorKind {
    /// It was sealed under another key. Give the right one.
    WrongKey,
    /// The sealed bytes are not what sealing gave, or were sealed for another purpose. Restore them from a backup.
    Damaged,
    /// The sealed bytes are of a version that this release does not know. Use a newer one.
    UnknownVersion,
    /// The file of a key cannot be read or made; the source says why.
    File,
    /// The file of a key may be read by others than its owner. Take that away (`chmod 600`), and consider the key
    /// disclosed.
    FileIsNotPrivate,
    /// The file is not one that [`SealingKey::create_file`](crate::SealingKey::create_file) made, or is damaged.
    NotAKeyFile,
    /// Whoever holds the key does not do its part. The source says why; a retry may help.
    Unavailable,
}

impl SealError {
    /// An error of this kind without a source.
    #[must_use]
    pub const fn new(kind: SealErrorKind) -> Self {
        Self { kind, path: None, source: None }
    }

    /// The same, with the error that caused it.
    #[must_use]
    pub fn with_source(mut self, source: impl StdError + Send + Sync + 'static) -> Self {
        self.source = Some(Arc::new(source));
        self
    }

    /// The same, naming the file that it is about.
    pub(super) fn of_file(mut self, path: &Path) -> Self {
        self.path = Some(path.into());
        self
    }

    /// What went wrong.
    #[must_use]
    pub const fn kind(&self) -> SealErrorKind {
        self.kind
    }
}

impl fmt::Display for SealError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            SealErrorKind::WrongKey => "sealed under another key than the one given",
            SealErrorKind::Damaged => "the sealed data is damaged, or was sealed for another purpose",
            SealErrorKind::UnknownVersion => {
                "the sealed data is of a version that this release does not know"
            }
            SealErrorKind::File => "the file of the sealing key cannot be read or made",
            SealErrorKind::FileIsNotPrivate => {
                "the file of the sealing key may be read by others than its owner: chmod 600 it"
            }
            SealErrorKind::NotAKeyFile => "the file holds no sealing key, or is damaged",
            SealErrorKind::Unavailable => "whoever holds the sealing key does not do its part",
        })?;
        match &self.path {
            Some(path) => write!(f, " ({path:?})"),
            None => Ok(()),
        }
    }
}

impl StdError for SealError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}
