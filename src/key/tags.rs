//! Tags of KMS keys.

use super::id::KeyId;
use super::keys::{Keys, refuse_pending, retry};
use super::page::PageRequest;
use super::record::TagRecord;
use super::value::{TagKey, TagValue};
use crate::catalog::{Ledger, Stored};
use crate::error::Error;
use crate::value::{InvalidValue, Problem};

/// How many a key can have.
pub(crate) const MAX_TAGS: usize = 50;

/// Tags.
impl Keys<'_> {
    /// The tags of a key, in the order of their keys.
    ///
    /// # Errors
    ///
    /// Those of [the type](Self#errors).
    pub async fn tags(&self, id: &KeyId) -> Result<Vec<(TagKey, TagValue)>, Error> {
        self.ring().stored(id).await?;
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
        retry!(id, self.try_tag(id, tags))
    }

    async fn try_tag(&self, id: &KeyId, tags: &[(TagKey, TagValue)]) -> Result<(), Error> {
        let key = self.ring().stored(id).await?;
        refuse_pending(&key.record)?;
        let old = self.stored_tags(id).await?;
        let new = tags.iter().filter(|(tag, _)| old.iter().all(|old| old.record.tag != *tag)).count();
        check_tags(tags, old.len() + new)?;
        let mut edits = vec![self.touch(&key)?];
        for (tag, value) in tags {
            let record = TagRecord { key: *id, tag: tag.clone(), value: value.clone() };
            edits.push(match old.iter().find(|old| old.record.tag == record.tag) {
                Some(old) => self.ring().ledger.replace(old.version, &record)?,
                None => self.ring().ledger.insert(&record)?,
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
        retry!(id, self.try_untag(id, tags))
    }

    async fn try_untag(&self, id: &KeyId, tags: &[TagKey]) -> Result<(), Error> {
        let key = self.ring().stored(id).await?;
        refuse_pending(&key.record)?;
        let old = self.stored_tags(id).await?;
        let gone = old.iter().filter(|old| tags.contains(&old.record.tag)).map(Ledger::delete);
        let edits = std::iter::once(self.touch(&key)?).chain(gone).collect();
        self.commit(edits, *id, || Error::busy(*id)).await
    }

    pub(super) async fn stored_tags(&self, id: &KeyId) -> Result<Vec<Stored<TagRecord>>, Error> {
        // More than a key can have, should there ever be.
        self.ring()
            .bounded(self.ring().ledger.list(Some(&id.to_string()), None, PageRequest::MAX_LIMIT))
            .await
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
