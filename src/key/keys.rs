//! KMS keys, viewed and managed in every state of their store.

use std::fmt;
use std::time::SystemTime;

use async_trait::async_trait;

use super::id::{KeyArn, KeyId};
use super::metadata::KeyMetadata;
use super::page::{Page, PageRequest};
use super::record::{AliasRecord, KeyRecord, OrphanRecord, TagRecord};
use super::ring::Keyring;
use super::value::{AliasName, KeyText, TagKey, TagValue};
use crate::backend::BackingKeyId;
use crate::catalog::{CatalogError, CatalogErrorKind, Edit, Ledger, Record, Stored};
use crate::epoch;
use crate::error::{Error, ErrorKind};
use crate::value::{InvalidValue, Problem};

/// How often a change is tried again when somebody else changed the same key meanwhile.
const TRIES: usize = 16;
const MAX_TAGS: usize = 50;

/// Tries again what somebody else's change of the same key got in the way of.
macro_rules! retry {
    ($id:expr, $attempt:expr) => {{
        for _ in 0..TRIES {
            match $attempt.await {
                Err(error) if error.kind() == ErrorKind::Busy => {}
                other => return other,
            }
        }
        Err(Error::busy($id))
    }};
}

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
            return Err(InvalidValue::new("PendingWindowInDays", "7 to 30", Problem::Malformed).into());
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

    /// The key that an alias stands for.
    ///
    /// # Errors
    ///
    /// [`AliasNotFound`](crate::ErrorKind::AliasNotFound), also for an alias of another store's key, and
    /// [`Catalog`](crate::ErrorKind::Catalog).
    pub async fn resolve(&self, alias: &AliasName) -> Result<KeyId, Error> {
        Ok(self.alias(alias).await?.record.key)
    }

    /// The aliases of a key, in the order of their names.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) for the marker of another list, and those of
    /// [the type](Self#errors).
    pub async fn aliases(&self, id: &KeyId, page: &PageRequest) -> Result<Page<Alias>, Error> {
        self.ring.stored(id).await?;
        let list = format!("aliases of {id}");
        self.page(&list, &id.to_string(), page, |alias: AliasRecord| Alias {
            created: epoch::from_millis(alias.created),
            updated: epoch::from_millis(alias.updated),
            name: alias.name,
            key: alias.key,
        })
        .await
    }

    /// Gives a key another name. A name stands for one key of a catalogue.
    ///
    /// # Errors
    ///
    /// [`AliasExists`](crate::ErrorKind::AliasExists),
    /// [`KeyPendingDeletion`](crate::ErrorKind::KeyPendingDeletion), and those of [the type](Self#errors).
    pub async fn create_alias(&self, name: &AliasName, id: &KeyId) -> Result<(), Error> {
        retry!(*id, self.try_create_alias(name, id))
    }

    async fn try_create_alias(&self, name: &AliasName, id: &KeyId) -> Result<(), Error> {
        let key = self.ring.stored(id).await?;
        refuse_pending(&key.record)?;
        let now = self.ring.now();
        let alias = AliasRecord { name: name.clone(), key: *id, created: now, updated: now };
        let edits = vec![self.touch(&key)?, self.ring.ledger.insert(&alias)?];
        self.commit(edits, *id, || Error::about(ErrorKind::AliasExists, name)).await
    }

    /// Has a name stand for another key of the same store.
    ///
    /// # Errors
    ///
    /// [`AliasNotFound`](crate::ErrorKind::AliasNotFound),
    /// [`KeyPendingDeletion`](crate::ErrorKind::KeyPendingDeletion) of the new key, and those of
    /// [the type](Self#errors).
    pub async fn update_alias(&self, name: &AliasName, id: &KeyId) -> Result<(), Error> {
        retry!(*id, self.try_update_alias(name, id))
    }

    async fn try_update_alias(&self, name: &AliasName, id: &KeyId) -> Result<(), Error> {
        let key = self.ring.stored(id).await?;
        refuse_pending(&key.record)?;
        let Stored { record: mut alias, version } = self.alias(name).await?;
        alias.key = *id;
        alias.updated = self.ring.now();
        let edits = vec![self.touch(&key)?, self.ring.ledger.replace(version, &alias)?];
        self.commit(edits, *id, || Error::about(ErrorKind::AliasExists, name)).await
    }

    /// Takes a name away. The key stays as it is.
    ///
    /// # Errors
    ///
    /// [`AliasNotFound`](crate::ErrorKind::AliasNotFound), and [`Catalog`](crate::ErrorKind::Catalog).
    pub async fn delete_alias(&self, name: &AliasName) -> Result<(), Error> {
        retry!(self.alias(name).await?.record.key, self.try_delete_alias(name))
    }

    async fn try_delete_alias(&self, name: &AliasName) -> Result<(), Error> {
        let alias = self.alias(name).await?;
        let id = alias.record.key;
        self.commit(vec![Ledger::delete(&alias)], id, || Error::busy(id)).await
    }

    async fn alias(&self, name: &AliasName) -> Result<Stored<AliasRecord>, Error> {
        let found: Option<Stored<AliasRecord>> =
            self.ring.bounded(self.ring.ledger.read(name.as_str())).await?;
        let not_found = || Error::about(ErrorKind::AliasNotFound, name);
        let alias = found.ok_or_else(not_found)?;
        match self.ring.stored(&alias.record.key).await {
            Ok(_) => Ok(alias),
            Err(error) if error.kind() == ErrorKind::KeyNotFound => Err(not_found()),
            Err(error) => Err(error),
        }
    }

    /// The tags of a key, in the order of their keys.
    ///
    /// # Errors
    ///
    /// Those of [the type](Self#errors).
    pub async fn tags(&self, id: &KeyId) -> Result<Vec<(TagKey, TagValue)>, Error> {
        self.ring.stored(id).await?;
        let tags = self.stored_tags(id).await?;
        Ok(tags.into_iter().map(|tag| (tag.record.tag, tag.record.value)).collect())
    }

    /// Adds tags to a key, and changes those that it has already: all of them or none. A key has at most 50.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) when a tag comes twice or there would be too many,
    /// [`KeyPendingDeletion`](crate::ErrorKind::KeyPendingDeletion), and those of [the type](Self#errors).
    pub async fn tag(&self, id: &KeyId, tags: &[(TagKey, TagValue)]) -> Result<(), Error> {
        retry!(*id, self.try_tag(id, tags))
    }

    async fn try_tag(&self, id: &KeyId, tags: &[(TagKey, TagValue)]) -> Result<(), Error> {
        let key = self.ring.stored(id).await?;
        refuse_pending(&key.record)?;
        let old = self.stored_tags(id).await?;
        let new = tags.iter().filter(|(tag, _)| old.iter().all(|old| old.record.tag != *tag)).count();
        check_tags(tags, old.len() + new)?;
        let mut edits = vec![self.touch(&key)?];
        for (tag, value) in tags {
            let record = TagRecord { key: *id, tag: tag.clone(), value: value.clone() };
            edits.push(match old.iter().find(|old| old.record.tag == record.tag) {
                Some(old) => self.ring.ledger.replace(old.version, &record)?,
                None => self.ring.ledger.insert(&record)?,
            });
        }
        self.commit(edits, *id, || Error::busy(*id)).await
    }

    /// Takes tags away from a key; those that it does not have are no error.
    ///
    /// # Errors
    ///
    /// [`KeyPendingDeletion`](crate::ErrorKind::KeyPendingDeletion), and those of [the type](Self#errors).
    pub async fn untag(&self, id: &KeyId, tags: &[TagKey]) -> Result<(), Error> {
        retry!(*id, self.try_untag(id, tags))
    }

    async fn try_untag(&self, id: &KeyId, tags: &[TagKey]) -> Result<(), Error> {
        let key = self.ring.stored(id).await?;
        refuse_pending(&key.record)?;
        let old = self.stored_tags(id).await?;
        let gone = old.iter().filter(|old| tags.contains(&old.record.tag)).map(Ledger::delete);
        let edits = std::iter::once(self.touch(&key)?).chain(gone).collect();
        self.commit(edits, *id, || Error::busy(*id)).await
    }

    pub(super) async fn stored_tags(&self, id: &KeyId) -> Result<Vec<Stored<TagRecord>>, Error> {
        // More than a key can have, should there ever be.
        self.ring.bounded(self.ring.ledger.list(Some(&id.to_string()), None, PageRequest::MAX_LIMIT)).await
    }

    /// Keys in the key manager that no KMS key refers to any more, since they could not be deleted with theirs. Each
    /// carries the ARN of its KMS key as a label. Whoever manages the cluster can delete them; then
    /// [`forget_orphan`](Self::forget_orphan).
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) for the marker of another list, and
    /// [`Catalog`](crate::ErrorKind::Catalog).
    pub async fn orphans(&self, page: &PageRequest) -> Result<Page<Orphan>, Error> {
        let list = format!("orphans of {}", self.ring.store);
        let identity = self.ring.ledger.identity();
        self.page(&list, self.ring.store.as_str(), page, |orphan: OrphanRecord| Orphan {
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
        retry!(*id, self.try_forget_orphan(id))
    }

    async fn try_forget_orphan(&self, id: &KeyId) -> Result<(), Error> {
        let found: Option<Stored<OrphanRecord>> =
            self.ring.bounded(self.ring.ledger.read(&id.to_string())).await?;
        let orphan = found
            .filter(|orphan| orphan.record.store == self.ring.store)
            .ok_or_else(|| Error::key_not_found(*id))?;
        self.commit(vec![Ledger::delete(&orphan)], *id, || Error::busy(*id)).await
    }

    async fn page<R: Record, T>(
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
        retry!(*id, self.try_change(id, &change))
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
    fn touch(&self, key: &Stored<KeyRecord>) -> Result<Edit, Error> {
        Ok(self.ring.ledger.replace(key.version, &key.record)?)
    }

    async fn commit(&self, edits: Vec<Edit>, id: KeyId, taken: impl FnOnce() -> Error) -> Result<(), Error> {
        match self.ring.timing().bounded(self.ring.ledger.commit(edits)).await {
            Err(error) if error.kind() == CatalogErrorKind::AlreadyExists => Err(taken()),
            other => other.map_err(|error| conflict(error, id)),
        }
    }
}

/// Refuses tags of which one comes twice, or with which the key would have too many.
pub(super) fn check_tags(tags: &[(TagKey, TagValue)], count: usize) -> Result<(), InvalidValue> {
    let mut seen = std::collections::HashSet::new();
    if !tags.iter().all(|(tag, _)| seen.insert(tag)) {
        return Err(InvalidValue::new("Tags", "every key once", Problem::Malformed));
    }
    if count > MAX_TAGS {
        let problem = Problem::TooLong { length: count, maximum: MAX_TAGS };
        return Err(InvalidValue::new("Tags", "at most 50 tags of a key", problem));
    }
    Ok(())
}

/// Somebody else changed the key between our reading and our writing it.
pub(super) fn conflict(error: CatalogError, id: KeyId) -> Error {
    if error.kind() == CatalogErrorKind::Conflict { Error::busy(id) } else { error.into() }
}

pub(super) fn refuse_pending(key: &KeyRecord) -> Result<(), Error> {
    match key.deletion {
        Some(_) => Err(Error::about(ErrorKind::KeyPendingDeletion, &key.id)),
        None => Ok(()),
    }
}

/// Another name of a KMS key.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Alias {
    /// The name.
    pub name: AliasName,
    /// The key that it stands for.
    pub key: KeyId,
    /// When it was created.
    pub created: SystemTime,
    /// When it last came to stand for a key.
    pub updated: SystemTime,
}

/// A key in the key manager that no KMS key refers to any more.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Orphan {
    /// The KMS key that it belonged to; the orphan carries it as its label.
    pub kms_key: KeyArn,
    /// Its name in the key manager; `None` when it is unknown whether there is one at all.
    pub backing_key: Option<BackingKeyId>,
    /// Since when it is one.
    pub since: SystemTime,
}

impl fmt::Debug for Keys<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys").field("store", &self.ring.store).finish_non_exhaustive()
    }
}
