//! A ledger whose entries are sealed by a key that somebody else controls: a crate as a user of
//! `custom-key-store` would write it, and small enough to read in its tests how to mock a key manager.

use std::collections::VecDeque;
use std::fmt;

use custom_key_store::backend::BackingKeyId;
use custom_key_store::{
    CiphertextBlob, Connected, DisconnectReport, Disconnected, EncryptionContext, Error, Failed, KeyId,
    KeyStore, NewKey, SecretBytes, TransitionError,
};

/// Entries that are sealed one by one, in order, and that wait when the key manager is away.
///
/// It owns a *connected* store, so it has no state in which it could not try to seal.
pub struct Ledger {
    store: KeyStore<Connected>,
    key: KeyId,
    sealed: Vec<CiphertextBlob>,
    waiting: VecDeque<SecretBytes>,
}

impl Ledger {
    /// Opens a ledger on this key of the key manager.
    ///
    /// # Errors
    ///
    /// [`OpenError`].
    pub async fn open(store: KeyStore<Disconnected>, key: BackingKeyId) -> Result<Self, OpenError> {
        let store = store.connect().await.map_err(OpenError::Connecting)?;
        let key = match store.create_key(&NewKey::external(key)).await {
            Ok(created) => created.key_id,
            Err(error) => {
                store.disconnect().await;
                return Err(OpenError::Key(error));
            }
        };
        Ok(Self { store, key, sealed: Vec::new(), waiting: VecDeque::new() })
    }

    /// Takes an entry and seals what it can. What the key manager cannot seal now waits, in order, for the
    /// next call; [`waiting`](Self::waiting) tells how many do.
    ///
    /// # Errors
    ///
    /// An error that waiting would not cure. The entry is kept nevertheless.
    pub async fn append(&mut self, entry: &str) -> Result<(), Error> {
        self.waiting.push_back(SecretBytes::from(entry.as_bytes()));
        self.catch_up().await
    }

    /// Seals what waits.
    ///
    /// # Errors
    ///
    /// An error that waiting would not cure.
    pub async fn catch_up(&mut self) -> Result<(), Error> {
        while let Some(entry) = self.waiting.front() {
            let context = self.context(self.sealed.len())?;
            match self.store.encrypt(&self.key, entry.expose(), &context).await {
                Ok(blob) => {
                    self.sealed.push(blob);
                    self.waiting.pop_front();
                }
                Err(error) if error.is_retryable() => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Reads a sealed entry; `None` when there is none of this number.
    ///
    /// # Errors
    ///
    /// Whatever the store answers.
    pub async fn read(&self, number: usize) -> Result<Option<SecretBytes>, Error> {
        let Some(blob) = self.sealed.get(number) else {
            return Ok(None);
        };
        self.store.decrypt_under(&self.key, blob.as_bytes(), &self.context(number)?).await.map(Some)
    }

    /// How many entries are sealed.
    #[must_use]
    pub const fn sealed(&self) -> usize {
        self.sealed.len()
    }

    /// How many entries wait to be sealed.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Says goodbye to the key manager, and how it went.
    pub async fn close(self) -> Option<DisconnectReport> {
        self.store.disconnect().await.disconnect_report().cloned()
    }

    /// Binds an entry to its place, so that no two can be exchanged.
    fn context(&self, number: usize) -> Result<EncryptionContext, Error> {
        let (ledger, number) = (self.store.id().to_string(), number.to_string());
        Ok(EncryptionContext::new([("ledger", ledger), ("entry", number)])?)
    }
}

/// A ledger was not opened.
#[derive(Debug)]
#[non_exhaustive]
pub enum OpenError {
    /// The store's own error when it does not connect; the failed store is in it, and the code.
    Connecting(TransitionError<Failed>),
    /// The key cannot be used. The store is disconnected again.
    Key(Error),
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connecting(error) => error.fmt(f),
            Self::Key(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for OpenError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Connecting(error) => error.source(),
            Self::Key(error) => error.source(),
        }
    }
}

impl fmt::Debug for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ledger")
            .field("sealed", &self.sealed.len())
            .field("waiting", &self.waiting.len())
            .finish_non_exhaustive()
    }
}
