//! Other names of KMS keys.

use std::time::SystemTime;

use super::id::KeyId;
use super::keys::{Keys, refuse_pending, retry};
use super::page::{Page, PageRequest};
use super::record::AliasRecord;
use super::value::AliasName;
use crate::catalog::{Ledger, Stored};
use crate::error::{Error, ErrorKind};

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

/// Aliases.
impl Keys<'_> {
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
        self.ring().stored(id).await?;
        let list = format!("aliases of {id}");
        self.page(&list, &id.to_string(), page, |alias: AliasRecord| alias.into()).await
    }

    /// Gives a key another name. A name stands for one key of a catalogue.
    ///
    /// # Errors
    ///
    /// [`AliasExists`](crate::ErrorKind::AliasExists),
    /// [`KeyPendingDeletion`](crate::ErrorKind::KeyPendingDeletion), and those of [the type](Self#errors).
    pub async fn create_alias(&self, name: &AliasName, id: &KeyId) -> Result<(), Error> {
        retry!(id, self.try_create_alias(name, id))
    }

    async fn try_create_alias(&self, name: &AliasName, id: &KeyId) -> Result<(), Error> {
        let key = self.ring().stored(id).await?;
        refuse_pending(&key.record)?;
        let now = self.ring().now();
        let alias = AliasRecord { name: name.clone(), key: *id, created: now, updated: now };
        let edits = vec![self.touch(&key)?, self.ring().ledger.insert(&alias)?];
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
        retry!(id, self.try_update_alias(name, id))
    }

    async fn try_update_alias(&self, name: &AliasName, id: &KeyId) -> Result<(), Error> {
        let alias = self.alias(name).await?;
        self.move_alias(alias, id).await
    }

    /// Has a name stand for a key of this store that stands for another one, of whichever store. `Busy`, at once, when it
    /// stands for a third by now: whether it may be taken from that nobody has said.
    pub(crate) async fn take_alias(&self, name: &AliasName, from: &KeyId, id: &KeyId) -> Result<(), Error> {
        self.retry_taking(name, from, id).await?.ok_or_else(|| Error::busy(*id))
    }

    async fn retry_taking(&self, name: &AliasName, from: &KeyId, id: &KeyId) -> Result<Option<()>, Error> {
        retry!(id, self.try_take_alias(name, from, id))
    }

    async fn try_take_alias(&self, name: &AliasName, from: &KeyId, id: &KeyId) -> Result<Option<()>, Error> {
        let alias = self.alias_of_any(name).await?;
        if alias.record.key != *from {
            return Ok(None);
        }
        self.move_alias(alias, id).await.map(Some)
    }

    /// Takes a name away that stands for this key. `Busy`, at once, when it stands for another by now.
    pub(crate) async fn delete_alias_of(&self, name: &AliasName, id: &KeyId) -> Result<(), Error> {
        self.retry_deleting(name, id).await?.ok_or_else(|| Error::busy(*id))
    }

    async fn retry_deleting(&self, name: &AliasName, id: &KeyId) -> Result<Option<()>, Error> {
        retry!(name, self.try_delete_alias_of(name, id))
    }

    async fn try_delete_alias_of(&self, name: &AliasName, id: &KeyId) -> Result<Option<()>, Error> {
        let alias = self.alias_of_any(name).await?;
        if alias.record.key != *id {
            return Ok(None);
        }
        self.commit(vec![Ledger::delete(&alias)], *id, || Error::busy(*id)).await.map(Some)
    }

    async fn move_alias(&self, alias: Stored<AliasRecord>, id: &KeyId) -> Result<(), Error> {
        let key = self.ring().stored(id).await?;
        refuse_pending(&key.record)?;
        let Stored { record: mut alias, version } = alias;
        alias.key = *id;
        alias.updated = self.ring().now();
        let edits = vec![self.touch(&key)?, self.ring().ledger.replace(version, &alias)?];
        self.commit(edits, *id, || Error::about(ErrorKind::AliasExists, &alias.name)).await
    }

    /// Takes a name away. The key stays as it is.
    ///
    /// # Errors
    ///
    /// [`AliasNotFound`](crate::ErrorKind::AliasNotFound), and [`Catalog`](crate::ErrorKind::Catalog).
    pub async fn delete_alias(&self, name: &AliasName) -> Result<(), Error> {
        retry!(name, self.try_delete_alias(name))
    }

    async fn try_delete_alias(&self, name: &AliasName) -> Result<(), Error> {
        let alias = self.alias(name).await?;
        let id = alias.record.key;
        self.commit(vec![Ledger::delete(&alias)], id, || Error::busy(id)).await
    }

    async fn alias(&self, name: &AliasName) -> Result<Stored<AliasRecord>, Error> {
        let alias = self.alias_of_any(name).await?;
        match self.ring().stored(&alias.record.key).await {
            Ok(_) => Ok(alias),
            Err(error) if error.kind() == ErrorKind::KeyNotFound => {
                Err(Error::about(ErrorKind::AliasNotFound, name))
            }
            Err(error) => Err(error),
        }
    }

    async fn alias_of_any(&self, name: &AliasName) -> Result<Stored<AliasRecord>, Error> {
        let found = self.ring().bounded(self.ring().ledger.read(name.as_str())).await?;
        found.ok_or_else(|| Error::about(ErrorKind::AliasNotFound, name))
    }
}
