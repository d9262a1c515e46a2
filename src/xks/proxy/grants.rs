//! Which keys a tenant offers, and for what.

use std::collections::HashMap;
use std::sync::Arc;

use crate::backend::{BackingKeyId, KeyUsages};

/// What is granted under one external key id.
///
/// ```
/// use custom_key_store::backend::{BackingKeyId, KeyUsages};
/// use custom_key_store::xks::proxy::KeyGrant;
///
/// let grant = KeyGrant::new(BackingKeyId::new("in-the-hsm")?)
///     .usages(KeyUsages::DECRYPT)
///     .only_for(["arn:aws:iam::111122223333:role/Payroll"]);
/// # Ok::<(), custom_key_store::InvalidValue>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct KeyGrant {
    pub(super) backing_key: BackingKeyId,
    pub(super) usages: KeyUsages,
    principals: Option<Vec<String>>,
}

impl KeyGrant {
    /// All that the backing key can do, for every principal.
    pub const fn new(backing_key: BackingKeyId) -> Self {
        Self { backing_key, usages: KeyUsages::ENCRYPT_DECRYPT, principals: None }
    }

    /// The same, for these uses alone; uses that the backing key itself lacks are not added.
    pub const fn usages(mut self, usages: KeyUsages) -> Self {
        self.usages = usages;
        self
    }

    /// The same, for these values of `awsPrincipalArn` alone, compared as they are.
    pub fn only_for(mut self, principals: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.principals = Some(principals.into_iter().map(Into::into).collect());
        self
    }

    /// The key behind it.
    #[must_use]
    pub const fn backing_key(&self) -> &BackingKeyId {
        &self.backing_key
    }

    pub(super) fn is_for(&self, principal: &str) -> bool {
        self.principals.as_ref().is_none_or(|allowed| allowed.iter().any(|one| one == principal))
    }
}

/// External key ids and their grants. One id, one grant: it is a map (XKS-P-19, XKS-P-20).
#[derive(Debug, Clone)]
pub(super) struct Grants {
    /// `None` is an id under which nothing is granted any more, though every key is.
    by_id: HashMap<String, Option<Arc<KeyGrant>>>,
    /// Whether ids that are not in the map stand for the backing keys of the same name.
    every_key: bool,
}

impl Grants {
    pub(super) fn new(every_key: bool) -> Self {
        Self { by_id: HashMap::new(), every_key }
    }

    pub(super) fn find(&self, id: &str) -> Option<Arc<KeyGrant>> {
        match self.by_id.get(id) {
            Some(grant) => grant.clone(),
            None if self.every_key => BackingKeyId::new(id).ok().map(|key| Arc::new(KeyGrant::new(key))),
            None => None,
        }
    }

    /// Puts a grant in and gives the one that it replaces.
    pub(super) fn set(&mut self, id: &BackingKeyId, grant: KeyGrant) -> Option<Arc<KeyGrant>> {
        self.by_id.insert(id.as_str().to_owned(), Some(Arc::new(grant))).flatten()
    }

    pub(super) fn remove(&mut self, id: &BackingKeyId) -> bool {
        let known = self.find(id.as_str()).is_some();
        if self.every_key {
            // Not forgotten: that would grant the backing key of the same name.
            self.by_id.insert(id.as_str().to_owned(), None);
        } else {
            self.by_id.remove(id.as_str());
        }
        known
    }

    pub(super) fn len(&self) -> usize {
        self.by_id.values().flatten().count()
    }
}
