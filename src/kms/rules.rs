//! Who may do what.

mod invalid;
mod pattern;
mod permission;
mod read;
mod set;

pub use invalid::{InvalidRule, InvalidRules};
pub use permission::Permission;
pub use set::{Rule, Rules};

use std::error::Error;
use std::fmt;

use super::action::Action;
use crate::identity::Identity;
use crate::key::KeyArn;
use crate::store_id::StoreId;

/// Decides which caller may do what, on which key or store.
///
/// Asked for every call, before it is carried out; so it must answer at once. Without one, everybody may do everything. A call
/// that concerns two keys is asked about twice: `ReEncrypt` as AWS has it, with the [permission](Permission) `ReEncryptFrom` of
/// the key that the ciphertext is under and `ReEncryptTo` of the one that it is to be under; `UpdateAlias` of the key that the
/// alias stands for and of the one that it is to stand for. So is `CreateKey` with tags: of the store, first as it is and then
/// as a `TagResource` about a key that is not there yet. About aliases themselves nobody is asked, where AWS asks about alias
/// and key. If it panics, the call is refused with `KMSInternalException`. [`Rules`] are one.
pub trait Authorizer: fmt::Debug + Send + Sync + 'static {
    /// Whether this call may be carried out.
    fn authorize(&self, request: &AuthorizationRequest<'_>) -> Decision;

    /// Whether it can decide about KMS keys of this partition, Region and account: asked once, when a [`Kms`](super::Kms) is
    /// opened. Unless it is implemented, it can.
    ///
    /// # Errors
    ///
    /// Why it cannot, and what to do; for whoever starts the program. The [`Kms`](super::Kms) is not opened then.
    fn check(&self, identity: &Identity) -> Result<(), Box<dyn Error + Send + Sync>> {
        let _ = identity;
        Ok(())
    }

    /// Whether it can decide about the custom key stores that there are when a [`Kms`](super::Kms) is opened: asked once, with
    /// their ids, after [`check`](Self::check). Unless it is implemented, it can. Stores that are made later have ids of the
    /// form `cks-` and 17 hexadecimal digits in lower case.
    ///
    /// # Errors
    ///
    /// Those of [`check`](Self::check).
    fn check_stores(&self, stores: &[StoreId]) -> Result<(), Box<dyn Error + Send + Sync>> {
        let _ = stores;
        Ok(())
    }
}

/// A call, as an [`Authorizer`] sees it.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct AuthorizationRequest<'a> {
    /// Who calls.
    pub principal: &'a str,
    /// What is called; of `CreateKey` with tags, when it is asked about a second time, `TagResource`.
    pub action: Action,
    /// What of it: the same, but for `ReEncrypt`.
    pub permission: Permission,
    /// The KMS key that it is about; `None` where it is about none, or about one that does not exist.
    pub key: Option<&'a KeyArn>,
    /// The custom key store that it is about, or that the key belongs to.
    pub store: Option<&'a StoreId>,
}

impl<'a> AuthorizationRequest<'a> {
    /// A call that is about no key and no store, to test an authorizer with: of an action, or of what of it.
    #[must_use]
    pub fn new(principal: &'a str, permission: impl Into<Permission>) -> Self {
        let permission = permission.into();
        Self { principal, action: permission.action(), permission, key: None, store: None }
    }

    /// The same about this KMS key.
    #[must_use]
    pub const fn on_key(mut self, key: &'a KeyArn) -> Self {
        self.key = Some(key);
        self
    }

    /// The same about this custom key store.
    #[must_use]
    pub const fn in_store(mut self, store: &'a StoreId) -> Self {
        self.store = Some(store);
        self
    }
}

/// What an [`Authorizer`] decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "there is no third")]
pub enum Decision {
    /// The call may be carried out.
    Allow,
    /// It is refused (AWS: `AccessDeniedException`).
    Deny,
}
