//! New KMS keys.

use super::id::KeyId;
use super::metadata::KeyMetadata;
use super::record::{Backing, KeyRecord, TagRecord};
use super::ring::Keyring;
use super::tags::check_tags;
use super::value::{KeyText, TagKey, TagValue};
use crate::backend::{BackingKeyId, KeyDescription, KeySpec, KeyStatus, KeyUsages};
use crate::catalog::{CatalogErrorKind, Edit, Ledger, Stored};
use crate::crypto::{MaterialId, random};
use crate::error::{Error, ErrorKind};
use crate::value::InvalidValue;

/// A KMS key that is to be created.
///
/// ```
/// use custom_key_store::{KeyText, NewKey, TagKey, TagValue, backend::BackingKeyId};
///
/// let new = NewKey::external(BackingKeyId::new("payroll-root")?)
///     .description(KeyText::new("wraps the data keys of payroll")?)
///     .tag(TagKey::new("team")?, TagValue::new("payroll")?);
/// # let _ = new;
/// # Ok::<(), custom_key_store::InvalidValue>(())
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct NewKey {
    external: Option<BackingKeyId>,
    description: KeyText,
    tags: Vec<(TagKey, TagValue)>,
}

impl NewKey {
    /// A key of an external key store, which refers to this key of the external key manager. That one must exist, be an
    /// enabled AES-256 key that may encrypt and decrypt, and serve no other KMS key of the store.
    pub fn external(key: BackingKeyId) -> Self {
        Self::new(Some(key))
    }

    /// A key of a CloudHSM key store, which the cluster makes.
    pub fn generated() -> Self {
        Self::new(None)
    }

    fn new(external: Option<BackingKeyId>) -> Self {
        Self { external, description: KeyText::empty(), tags: Vec::new() }
    }

    /// What the key is for.
    pub fn description(mut self, description: KeyText) -> Self {
        self.description = description;
        self
    }

    /// Adds a tag; up to 50, each key once.
    pub fn tag(mut self, key: TagKey, value: TagValue) -> Self {
        self.tags.push((key, value));
        self
    }

    /// Refuses what no key can have, before anything is made.
    pub(crate) fn check(&self) -> Result<(), InvalidValue> {
        check_tags(&self.tags, self.tags.len())
    }

    /// What the key is for, and its tags.
    pub(crate) fn labels(&self) -> (&KeyText, &[(TagKey, TagValue)]) {
        (&self.description, &self.tags)
    }

    /// The key of the external key manager, if it is to refer to one.
    pub(crate) const fn external_key(&self) -> Option<&BackingKeyId> {
        self.external.as_ref()
    }
}

impl Keyring {
    /// Refuses an external key that serves another KMS key of the store.
    pub(crate) async fn refuse_taken(&self, key: &BackingKeyId) -> Result<(), Error> {
        let claim = KeyRecord::claim(&self.store, key);
        let holder: Option<Stored<KeyRecord>> = self.bounded(self.ledger.find(&claim)).await?;
        if holder.is_some() { Err(Error::about(ErrorKind::ExternalKeyInUse, key)) } else { Ok(()) }
    }

    /// Keeps a new key that refers to `key` of an external key manager.
    pub(crate) async fn keep_external(
        &self,
        id: KeyId,
        new: &NewKey,
        key: &BackingKeyId,
    ) -> Result<KeyMetadata, Error> {
        let (material, wrapping) = self.new_material(id)?;
        let record = self.record(id, new, Backing::External { key: key.clone(), material });
        self.keep(&record, new, vec![wrapping]).await
    }

    /// Writes down that a cluster is about to make a key, which might be forgotten otherwise.
    pub(crate) async fn expect_generated(&self, id: KeyId) -> Result<(), Error> {
        Ok(self.add(vec![self.ledger.insert(&self.orphan(id, None))?]).await?)
    }

    /// The cluster made none.
    pub(crate) async fn expect_no_more(&self, id: KeyId) -> Result<(), Error> {
        self.bounded(self.ledger.commit(vec![self.expected(id)])).await
    }

    /// Keeps a new key that rests on `key`, which a cluster made.
    pub(crate) async fn keep_generated(
        &self,
        id: KeyId,
        new: &NewKey,
        key: BackingKeyId,
    ) -> Result<KeyMetadata, Error> {
        let material_id: MaterialId = random();
        let backing = Backing::CloudHsm { key: key.clone(), material_id: material_id.to_vec() };
        let kept = self.keep(&self.record(id, new, backing), new, vec![self.expected(id)]).await;
        let Err(error) = kept else { return kept };
        // Should this fail, the label of the key says so all the same.
        let error = match self.list_generated(id, &key).await {
            Err(gone) if gone.kind() == ErrorKind::Catalog(CatalogErrorKind::NotFound) => gone,
            _ => error,
        };
        Err(match error.kind() {
            // The list went with the store.
            ErrorKind::Catalog(CatalogErrorKind::NotFound) => error.naming(&key),
            ErrorKind::ExternalKeyInUse => Error::taken_key_generated(),
            _ => error,
        })
    }

    /// Says of an orphan which key it is, now that it is known which one nobody refers to.
    async fn list_generated(&self, id: KeyId, key: &BackingKeyId) -> Result<(), Error> {
        // Whoever reads the list deletes what is on it: no key that is in use.
        self.refuse_taken(key).await?;
        let orphan = self.orphan(id, Some(key.clone()));
        match self.add(vec![self.ledger.replace(1, &orphan)?]).await {
            Err(error) if error.kind() == CatalogErrorKind::Conflict => {}
            other => return Ok(other?),
        }
        // Somebody took it off the list when it was not known yet that there is one; or the KMS key was kept after all,
        // by a commit that was too late.
        self.refuse_taken(key).await?;
        Ok(self.add(vec![self.ledger.insert(&orphan)?]).await?)
    }

    fn expected(&self, id: KeyId) -> Edit {
        Ledger::delete(&Stored { record: self.orphan(id, None), version: 1 })
    }

    fn record(&self, id: KeyId, new: &NewKey, backing: Backing) -> KeyRecord {
        KeyRecord {
            id,
            store: self.store.clone(),
            created: self.now(),
            description: new.description.clone(),
            enabled: true,
            deletion: None,
            backing,
        }
    }

    async fn keep(
        &self,
        record: &KeyRecord,
        new: &NewKey,
        mut edits: Vec<Edit>,
    ) -> Result<KeyMetadata, Error> {
        edits.push(self.ledger.insert(record)?);
        for (tag, value) in &new.tags {
            let tag = TagRecord { key: record.id, tag: tag.clone(), value: value.clone() };
            edits.push(self.ledger.insert(&tag)?);
        }
        match self.add(edits).await {
            Ok(()) => Ok(self.describe(record, true)),
            Err(error) if error.kind() == CatalogErrorKind::UniqueTaken => {
                Err(Error::about(ErrorKind::ExternalKeyInUse, record.backing_key()))
            }
            Err(error) => Err(error.into()),
        }
    }
}

impl KeyDescription {
    /// Whether the key can serve a KMS key: what `CreateKey` demands of an external key.
    pub(crate) fn refuse_unsuitable(&self, key: &BackingKeyId) -> Result<(), Error> {
        let suitable = self.spec == KeySpec::Aes256
            && self.usages == KeyUsages::ENCRYPT_DECRYPT
            && self.status == KeyStatus::Enabled;
        if suitable { Ok(()) } else { Err(Error::about(ErrorKind::UnsuitableExternalKey, key)) }
    }
}
