//! Stores that are kept in a catalogue: which there are, and the end of one.

use std::fmt;

use super::KeyStore;
use super::describe::Description;
use super::disconnected::Disconnected;
use super::register::{StoreRecord, has_keys};
use crate::backend::StoreName;
use crate::catalog::{CatalogError, Ledger, Record as _};
use crate::error::Error;
use crate::key::{Page, PageRequest};

/// What is kept of stores.
impl Ledger {
    /// The stores that are kept, in the order of their ids, each as `DescribeCustomKeyStores` prints it. `CONNECTED` says
    /// that the store is, or is to be, connected: what becomes of one that somebody has open, he knows.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) for the marker of another list, and
    /// [`Catalog`](crate::ErrorKind::Catalog).
    ///
    /// # Cancel safety
    ///
    /// May be dropped at will.
    pub async fn stores(&self, page: &PageRequest) -> Result<Page<Description>, Error> {
        const LIST: &str = "stores";
        let after = page.after_id(LIST)?;
        let found = self.list::<StoreRecord>(None, after, page.limit() + 1).await?;
        Ok(Page::new(LIST, page.limit(), found, |row| row.record.id(), |row| Description::kept(row.record)))
    }

    /// The store of this name, as [`stores`](Self::stores) lists it; `None` when there is none. The cost does not depend on
    /// how many there are.
    ///
    /// # Errors
    ///
    /// [`Catalog`](crate::ErrorKind::Catalog).
    ///
    /// # Cancel safety
    ///
    /// May be dropped at will.
    pub async fn find_store(&self, name: &StoreName) -> Result<Option<Description>, Error> {
        let found = self.find::<StoreRecord>(name.as_str()).await?;
        Ok(found.map(|row| Description::kept(row.record)))
    }
}

/// What is kept of a store.
impl KeyStore<Disconnected> {
    /// Deletes the store, which must have no KMS keys: those must have been deleted, by
    /// [`delete_due`](crate::Keys::delete_due), and not only scheduled to be. A
    /// creation of one that is under way, or was dropped, either comes first, so that the store is not deleted, or is
    /// refused. A store in memory alone is just dropped.
    ///
    /// What is in the key manager stays as it is, and so do [orphans](crate::Keys::orphans) in the cluster, which KMS
    /// leaves alone too. Their list goes with the store: see to them before, or find them by their labels, the ARNs of
    /// their KMS keys. A password that the store has made itself (`CloudHsmBuilder::rotate_password`) is lost with it:
    /// an officer of the HSM must reset it then.
    ///
    /// # Errors
    ///
    /// [`DeleteError`], which gives the store back. Of a hundred orphans or more, some or all may be off the list then.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it resolves, the store is dropped, and is deleted or not, with the same reservation.
    pub async fn delete(self) -> Result<(), DeleteError> {
        // <https://docs.aws.amazon.com/kms/latest/APIReference/API_DeleteCustomKeyStore.html>
        Disconnected::deletion(&self.core).await.map_err(|error| DeleteError {
            store: Box::new(self),
            error: (!has_keys(&error)).then(|| error.into()),
        })
    }

    /// Writes down that the store is disconnected, where the disconnect itself
    /// [could not](crate::DisconnectReport::unrecorded). Does nothing for a store in memory alone.
    ///
    /// # Errors
    ///
    /// What the catalogue answers.
    ///
    /// # Cancel safety
    ///
    /// May be dropped at will.
    pub async fn record(&self) -> Result<(), CatalogError> {
        let Some(recording) = self.core.recorded_disconnect_again() else { return Ok(()) };
        recording.await.map_or(Ok(()), Err)
    }
}

/// A store was not deleted.
#[derive(Debug)]
pub struct DeleteError {
    store: Box<KeyStore<Disconnected>>,
    /// `None` when it has keys.
    error: Option<Error>,
}

impl DeleteError {
    /// Whether the store has KMS keys still (AWS: `CustomKeyStoreHasCMKsException`).
    #[must_use]
    pub const fn has_keys(&self) -> bool {
        self.error.is_none()
    }

    /// The store, as it was.
    pub fn into_store(self) -> KeyStore<Disconnected> {
        *self.store
    }
}

impl fmt::Display for DeleteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = self.store.id();
        match &self.error {
            None => write!(
                f,
                "the custom key store {id} was not deleted, since it has KMS keys; those whose deletion is scheduled \
                 count until `delete_due` has deleted them"
            ),
            Some(_) => write!(f, "the custom key store {id} was not deleted"),
        }
    }
}

impl std::error::Error for DeleteError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.error.as_ref().map(|error| error as &(dyn std::error::Error + 'static))
    }
}
