//! Keys in a key manager that nothing refers to any more.

use std::time::SystemTime;

use super::id::{KeyArn, KeyId};
use super::keys::{Keys, retry};
use super::page::{Page, PageRequest};
use super::record::OrphanRecord;
use crate::backend::BackingKeyId;
use crate::catalog::{Ledger, Stored};
use crate::epoch;
use crate::error::Error;

/// A key in the key manager that no KMS key refers to any more.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Orphan {
    /// The KMS key that it belonged to; the orphan carries it as its label.
    pub kms_key: KeyArn,
    /// Its name in the key manager, which no KMS key of the store rests on; `None` when it is unknown which one it is, or
    /// whether there is one at all.
    pub backing_key: Option<BackingKeyId>,
    /// Since when it is one.
    pub since: SystemTime,
}

/// Orphans.
impl Keys<'_> {
    /// Keys in the key manager that no KMS key refers to any more, since they could not be deleted with theirs. Each
    /// carries the ARN of its KMS key as a label. Whoever manages the cluster can delete them; then
    /// [`forget_orphan`](Self::forget_orphan). The list goes with the store when that is
    /// [deleted](crate::KeyStore::delete).
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) for the marker of another list, and
    /// [`Catalog`](crate::ErrorKind::Catalog).
    pub async fn orphans(&self, page: &PageRequest) -> Result<Page<Orphan>, Error> {
        let list = format!("orphans of {}", self.ring().store);
        let identity = self.ring().ledger.identity();
        self.page(&list, self.ring().store.as_str(), page, |orphan: OrphanRecord| Orphan {
            kms_key: orphan.key.arn(identity),
            backing_key: orphan.backing_key,
            since: epoch::from_millis(orphan.since),
        })
        .await
    }

    /// Takes an orphan off the list, by the id of the KMS key that it belonged to. Contacts nobody.
    ///
    /// # Errors
    ///
    /// [`KeyNotFound`](crate::ErrorKind::KeyNotFound) when it is not on the list, and
    /// [`Catalog`](crate::ErrorKind::Catalog).
    pub async fn forget_orphan(&self, id: &KeyId) -> Result<(), Error> {
        retry!(id, self.try_forget_orphan(id))
    }

    async fn try_forget_orphan(&self, id: &KeyId) -> Result<(), Error> {
        let found: Option<Stored<OrphanRecord>> =
            self.ring().bounded(self.ring().ledger.read(&id.to_string())).await?;
        let orphan = found
            .filter(|orphan| orphan.record.store == self.ring().store)
            .ok_or_else(|| Error::key_not_found(*id))?;
        self.commit(vec![Ledger::delete(&orphan)], *id, || Error::busy(*id)).await
    }
}
