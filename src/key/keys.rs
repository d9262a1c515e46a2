//! KMS keys, viewed and managed in every state of their store.

use std::fmt;
use std::time::SystemTime;

use async_trait::async_trait;

use super::id::{KeyArn, KeyId};
use super::metadata::KeyMetadata;
use super::page::{Page, PageRequest};
use super::record::KeyRecord;
use super::ring::{Keyring, store_gone};
use super::value::KeyText;
use crate::backend::BackingKeyId;
use crate::catalog::{CatalogError, CatalogErrorKind, Edit, Record, Stored};
use crate::epoch;
use crate::error::{Error, ErrorKind};
use crate::value::{InvalidValue, Problem};

/// How often a change is tried again when somebody else changed the same key meanwhile. Each time somebody else has got
/// ahead, so that many are no waste; a thread that the system holds up can lose more than a few in a row.
pub(super) const TRIES: usize = 64;

/// Tries again what somebody else's change of the same key got in the way of.
macro_rules! retry {
    ($what:expr, $attempt:expr) => {{
        for _ in 0..$crate::key::keys::TRIES {
            match $attempt.await {
                Err(error) if error.kind() == $crate::ErrorKind::Busy => {}
                other => return other,
            }
        }
        Err($crate::Error::about($crate::ErrorKind::Busy, $what))
    }};
}
pub(super) use retry;

/// Whether the key manager of some keys can be reached.
#[async_trait]
#[expect(unnameable_types, reason = "public only because the sealed half of `State` mentions it")]
pub trait Reach: Sync {
    #[doc(hidden)]
    fn is_connected(&self) -> bool;

    /// Deletes a key that the key manager made.
    #[doc(hidden)]
    async fn delete_key(&self, key: &BackingKeyId, arn: &KeyArn) -> Result<(), Error>;
}

/// It cannot.
pub(crate) struct OutOfReach;

#[async_trait]
impl Reach for OutOfReach {
    fn is_connected(&self) -> bool {
        false
    }

    async fn delete_key(&self, _: &BackingKeyId, _: &KeyArn) -> Result<(), Error> {
        Err(Error::NOT_CONNECTED)
    }
}

/// The KMS keys of a store, to be viewed and managed: in every state of the store, whether the key manager can be
/// reached or not. To be created and used they need a [`Handle`](crate::Handle).
///
/// Gained by `keys()` of a store, an erased store or a handle. Contacts the catalogue alone.
///
/// # Errors
///
/// Every method: [`KeyNotFound`](crate::ErrorKind::KeyNotFound) when the store has no such key, and
/// [`Catalog`](crate::ErrorKind::Catalog) for what the catalogue answers.
///
/// # Cancel safety
///
/// A future that is dropped has changed everything or nothing.
#[derive(Clone, Copy)]
pub struct Keys<'s> {
    ring: &'s Keyring,
    reach: &'s dyn Reach,
}

impl<'s> Keys<'s> {
    pub(crate) const fn new(ring: &'s Keyring, reach: &'s dyn Reach) -> Self {
        Self { ring, reach }
    }

    pub(super) const fn ring(&self) -> &'s Keyring {
        self.ring
    }

    pub(super) const fn reach(&self) -> &'s dyn Reach {
        self.reach
    }

    /// The key as `DescribeKey` prints it.
    ///
    /// # Errors
    ///
    /// Those of [the type](Self#errors).
    pub async fn describe(&self, id: &KeyId) -> Result<KeyMetadata, Error> {
        let stored = self.ring.stored(id).await?;
        Ok(self.ring.describe(&stored.record, self.reach.is_connected()))
    }

    /// The keys of the store, in the order of their ids. The cost of a page does not depend on how many there are.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) for the marker of another list, and those of
    /// [the type](Self#errors).
    pub async fn list(&self, page: &PageRequest) -> Result<Page<KeyMetadata>, Error> {
        let connected = self.reach.is_connected();
        let list = format!("keys of {}", self.ring.store);
        self.page(&list, self.ring.store.as_str(), page, |key: KeyRecord| self.ring.describe(&key, connected))
            .await
    }

    /// Says what the key is for.
    ///
    /// # Errors
    ///
    /// [`KeyPendingDeletion`](crate::ErrorKind::KeyPendingDeletion), and those of [the type](Self#errors).
    pub async fn update_description(&self, id: &KeyId, description: KeyText) -> Result<(), Error> {
        self.change(id, |key| {
            refuse_pending(key)?;
            key.description = description.clone();
            Ok(())
        })
        .await
    }

    /// Lets the key be used again. While the store is not connected, it takes effect with the next connection.
    ///
    /// # Errors
    ///
    /// [`KeyPendingDeletion`](crate::ErrorKind::KeyPendingDeletion), and those of [the type](Self#errors).
    pub async fn enable(&self, id: &KeyId) -> Result<(), Error> {
        self.set_enabled(id, true).await
    }

    /// Lets the key be used no more. When this returns, no call that begins afterwards uses it, and its material is
    /// gone from memory as soon as those under way have ended. Data keys that it gave out go on working.
    ///
    /// # Errors
    ///
    /// [`KeyPendingDeletion`](crate::ErrorKind::KeyPendingDeletion), and those of [the type](Self#errors).
    pub async fn disable(&self, id: &KeyId) -> Result<(), Error> {
        self.set_enabled(id, false).await
    }

    async fn set_enabled(&self, id: &KeyId, enabled: bool) -> Result<(), Error> {
        self.change(id, |key| {
            refuse_pending(key)?;
            key.enabled = enabled;
            Ok(())
        })
        .await
    }

    /// Schedules the deletion of the key in 7 to 30 days, and says when it is due. Until then it cannot be used, and
    /// the deletion can be [cancelled](Self::cancel_deletion); it takes place in [`delete_due`](Self::delete_due).
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) for another number of days,
    /// [`KeyPendingDeletion`](crate::ErrorKind::KeyPendingDeletion), and those of [the type](Self#errors).
    pub async fn schedule_deletion(&self, id: &KeyId, days: u32) -> Result<SystemTime, Error> {
        if !(7..=30).contains(&days) {
            return Err(InvalidValue::new("PendingWindowInDays", "7 to 30", Problem::OutOfRange).into());
        }
        let window = i64::from(days) * 24 * 60 * 60 * 1000;
        let due = self.ring.now().saturating_add(window);
        self.change(id, |key| {
            refuse_pending(key)?;
            key.deletion = Some(due);
            // What a cancelled deletion leaves behind.
            key.enabled = false;
            Ok(())
        })
        .await?;
        Ok(epoch::from_millis(due))
    }

    /// Cancels a deletion that was scheduled. The key is then disabled.
    ///
    /// # Errors
    ///
    /// [`KeyNotPendingDeletion`](crate::ErrorKind::KeyNotPendingDeletion), and those of [the type](Self#errors).
    pub async fn cancel_deletion(&self, id: &KeyId) -> Result<(), Error> {
        self.change(id, |key| match key.deletion.take() {
            Some(_) => Ok(()),
            None => Err(Error::about(ErrorKind::KeyNotPendingDeletion, &key.id)),
        })
        .await
    }

    pub(super) async fn page<R: Record, T>(
        &self,
        list: &str,
        owner: &str,
        page: &PageRequest,
        item: impl Fn(R) -> T,
    ) -> Result<Page<T>, Error> {
        let after = page.after_id(list)?;
        let found =
            self.ring.bounded(self.ring.ledger.list::<R>(Some(owner), after, page.limit() + 1)).await?;
        Ok(Page::new(list, page.limit(), found, |row| row.record.id(), |row| item(row.record)))
    }

    /// Reads the key, changes it and writes it back; once more when somebody else did so meanwhile.
    async fn change(
        &self,
        id: &KeyId,
        change: impl Fn(&mut KeyRecord) -> Result<(), Error> + Sync,
    ) -> Result<(), Error> {
        retry!(id, self.try_change(id, &change))
    }

    async fn try_change(
        &self,
        id: &KeyId,
        change: &(impl Fn(&mut KeyRecord) -> Result<(), Error> + Sync),
    ) -> Result<(), Error> {
        let Stored { mut record, version } = self.ring.stored(id).await?;
        change(&mut record)?;
        let edits = vec![self.ring.ledger.replace(version, &record)?];
        self.ring.commit_change(*id, edits).await
    }

    /// Writes the key as it is, so that whatever else is written with it does not come between another's reading and
    /// writing of it: a tag must not be added to a key that is being deleted.
    pub(super) fn touch(&self, key: &Stored<KeyRecord>) -> Result<Edit, Error> {
        Ok(self.ring.ledger.replace(key.version, &key.record)?)
    }

    pub(super) async fn commit(
        &self,
        edits: Vec<Edit>,
        id: KeyId,
        taken: impl FnOnce() -> Error,
    ) -> Result<(), Error> {
        match self.ring.timing().bounded(self.ring.ledger.commit(edits)).await {
            Err(error) if error.kind() == CatalogErrorKind::AlreadyExists => Err(taken()),
            other => other.map_err(|error| conflict(error, id)),
        }
    }
}

/// Somebody else changed the key between our reading and our writing it.
pub(super) fn conflict(error: CatalogError, id: KeyId) -> Error {
    let error = store_gone(error);
    if error.kind() == CatalogErrorKind::Conflict { Error::busy(id) } else { error.into() }
}

pub(super) fn refuse_pending(key: &KeyRecord) -> Result<(), Error> {
    match key.deletion {
        Some(_) => Err(Error::about(ErrorKind::KeyPendingDeletion, &key.id)),
        None => Ok(()),
    }
}

impl fmt::Debug for Keys<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys").field("store", &self.ring.store).finish_non_exhaustive()
    }
}
