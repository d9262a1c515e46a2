//! Wrapped data keys that are stored, wrapped anew under another KMS key.

use std::error::Error as StdError;

use async_trait::async_trait;
use futures_util::StreamExt as _;
use futures_util::stream;

use crate::crypto::{EncryptionContext, Parsed};
use crate::error::Error;
use crate::key::KeyId;
use crate::store::Handle;

/// Where an application stores wrapped data keys: rows of a database, or the headers of records
/// ([`wrapped_data_key`](super::wrapped_data_key), [`with_wrapped_data_key`](super::with_wrapped_data_key)).
///
/// # For implementers
///
/// Positions are names of your own, in an order that stays the same while a sweep goes on; what is stored meanwhile
/// should be wrapped under the new KMS key already. Calls need a deadline of their own, and may be dropped.
#[async_trait]
pub trait WrappedKeys: Send + Sync {
    /// The next ones after a position, or from the beginning, at most `limit`. None at the end, and only there.
    ///
    /// # Errors
    ///
    /// What the storage answers; it ends the sweep.
    async fn after(&self, position: Option<&str>, limit: usize) -> Result<Vec<StoredKey>, StorageError>;

    /// Puts `wrapped` in the place of `old`, if that is there unchanged; in one step. Whether it was.
    ///
    /// # Errors
    ///
    /// What the storage answers; it is noted, and the sweep goes on.
    async fn replace(&self, old: &StoredKey, wrapped: &[u8]) -> Result<bool, StorageError>;
}

/// An error of the application's own storage.
pub type StorageError = Box<dyn StdError + Send + Sync>;

/// A wrapped data key that is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoredKey {
    /// Where: a name that the storage gives.
    pub position: String,
    /// The wrapped data key.
    pub wrapped: Vec<u8>,
    /// The encryption context that it was wrapped with, and will be again.
    pub context: EncryptionContext,
}

impl StoredKey {
    /// All three.
    #[must_use]
    pub fn new(position: impl Into<String>, wrapped: Vec<u8>, context: EncryptionContext) -> Self {
        Self { position: position.into(), wrapped, context }
    }
}

/// Wraps all data keys that are stored anew, under another KMS key of the same store. The data stays as it is.
///
/// Run it when new data is sealed under the new KMS key already. It can be run again at any time, and passes over what
/// is done.
#[derive(Debug, Clone)]
#[must_use]
pub struct Sweep {
    handle: Handle,
    key: KeyId,
    batch: usize,
    concurrency: usize,
    after: Option<String>,
}

/// How far a sweep has come.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct SweepReport {
    /// Data keys that were wrapped anew and put in their place.
    pub rewrapped: u64,
    /// Data keys that were wrapped under the KMS key before.
    pub current: u64,
    /// Data keys that somebody changed meanwhile, so that they were left alone. Run the sweep again.
    pub changed: u64,
    /// Those that it could not do, by position, and why.
    pub failed: Vec<(String, SweepError)>,
    /// Up to where everything was looked at: go on [after](Sweep::after) it.
    pub position: Option<String>,
    /// Why the sweep ended before the end. What it began after [`position`](Self::position) will be looked at again.
    pub stopped: Option<SweepError>,
}

/// Why a data key was not wrapped anew, or a sweep went no further.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SweepError {
    /// The custom key store refused or failed.
    #[error("the data key could not be wrapped anew")]
    Store(#[from] Error),
    /// The application's storage failed.
    #[error("the storage of wrapped data keys failed")]
    Storage(#[source] StorageError),
}

enum Done {
    Rewrapped,
    Current,
    Changed,
}

impl Sweep {
    /// A sweep that wraps under this KMS key. Contacts nobody yet.
    pub fn new(handle: &Handle, key: KeyId) -> Self {
        Self { handle: handle.clone(), key, batch: 100, concurrency: 8, after: None }
    }

    /// How many are read, and reported, at a time. Default: 100. 0 is 1.
    pub const fn batch(mut self, batch: usize) -> Self {
        self.batch = batch;
        self
    }

    /// How many are wrapped at the same time. Default: 8. 0 is 1.
    pub const fn concurrency(mut self, concurrency: usize) -> Self {
        self.concurrency = concurrency;
        self
    }

    /// Goes on after this position, where one before it had come to.
    pub fn after(mut self, position: impl Into<String>) -> Self {
        self.after = Some(position.into());
        self
    }

    /// Runs to the end, or to where it cannot go on, and says how far it has come: in the end, and to `progress` after
    /// each batch. Stops when the storage cannot be read, and when the KMS key cannot be used; what is wrong with one
    /// data key alone is noted.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it has replaced some of a batch, each wholly. Go on after the position that `progress` was told last.
    pub async fn run(
        &self,
        stored: &dyn WrappedKeys,
        mut progress: impl FnMut(&SweepReport) + Send,
    ) -> SweepReport {
        let mut report = SweepReport { position: self.after.clone(), ..Default::default() };
        loop {
            match self.next(stored, &report).await {
                Ok(None) => return report,
                Ok(Some((position, done))) => {
                    for (position, done) in done {
                        match done {
                            Ok(Done::Rewrapped) => report.rewrapped += 1,
                            Ok(Done::Current) => report.current += 1,
                            Ok(Done::Changed) => report.changed += 1,
                            Err(error) => report.failed.push((position, error)),
                        }
                    }
                    report.position = Some(position);
                    progress(&report);
                }
                Err(error) => {
                    report.stopped = Some(error);
                    return report;
                }
            }
        }
    }

    /// A batch: the last position in it, and what became of each.
    async fn next(
        &self,
        stored: &dyn WrappedKeys,
        report: &SweepReport,
    ) -> Result<Option<(String, Vec<(String, Result<Done, SweepError>)>)>, SweepError> {
        let batch = stored.after(report.position.as_deref(), self.batch.max(1)).await;
        let batch = batch.map_err(SweepError::Storage)?;
        let Some(last) = batch.last().map(|last| last.position.clone()) else { return Ok(None) };
        self.handle.may_encrypt(&self.key).await?;
        let done = stream::iter(batch)
            .map(|old| async move {
                let done = self.rewrap(stored, &old).await;
                (old.position, done)
            })
            .buffered(self.concurrency.max(1))
            .collect()
            .await;
        // What failed for want of the KMS key is no fault of the data keys.
        self.handle.may_encrypt(&self.key).await?;
        Ok(Some((last, done)))
    }

    async fn rewrap(&self, stored: &dyn WrappedKeys, old: &StoredKey) -> Result<Done, SweepError> {
        if Parsed::new(&old.wrapped).is_ok_and(|blob| blob.key == self.key) {
            return Ok(Done::Current);
        }
        let anew = self.handle.re_encrypt(&old.wrapped, &old.context, &self.key, &old.context).await?;
        match stored.replace(old, anew.as_bytes()).await {
            Ok(true) => Ok(Done::Rewrapped),
            Ok(false) => Ok(Done::Changed),
            Err(error) => Err(SweepError::Storage(error)),
        }
    }
}
