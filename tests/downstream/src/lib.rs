//! A ledger whose entries are sealed by a key that somebody else controls: a crate as a user of
//! `custom-key-store` would write it, and small enough to read in its tests how to mock a key manager.

use std::collections::VecDeque;
use std::fmt;

use custom_key_store::backend::{BackingKeyId, Ciphertext};
use custom_key_store::{
    Connected, DisconnectReport, Disconnected, EncryptionContext, Error, Failed, KeyStore, SecretBytes,
    TransitionError,
};

/// Entries that are sealed one by one, in order, and that wait when the key manager is away.
///
/// It owns a *connected* store, so it has no state in which it could not try to seal.
pub struct Ledger {
    store: KeyStore<Connected>,
    key: BackingKeyId,
    sealed: Vec<Ciphertext>,
    waiting: VecDeque<SecretBytes>,
}

impl Ledger {
    /// Opens a ledger on this key.
    ///
    /// # Errors
    ///
    /// The store's own error when it does not connect; the failed store is in it, and the code.
    pub async fn open(
        store: KeyStore<Disconnected>,
        key: BackingKeyId,
    ) -> Result<Self, TransitionError<Failed>> {
        let store = store.connect().await?;
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
                Ok(ciphertext) => {
                    self.sealed.push(ciphertext);
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
        let Some(ciphertext) = self.sealed.get(number) else {
            return Ok(None);
        };
        self.store.decrypt(&self.key, ciphertext, &self.context(number)?).await.map(Some)
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

impl fmt::Debug for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ledger")
            .field("sealed", &self.sealed.len())
            .field("waiting", &self.waiting.len())
            .finish_non_exhaustive()
    }
}
