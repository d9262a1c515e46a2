//! Who may do what.

mod pattern;
mod set;

pub use set::{InvalidRule, Rule, Rules};

use std::fmt;

use super::action::Action;
use crate::key::KeyArn;
use crate::store_id::StoreId;

/// Decides which caller may do what, on which key or store.
///
/// Asked for every call, before it is carried out; so it must answer at once. Without one, everybody may do everything. A call
/// that concerns two keys is asked about twice: `ReEncrypt`, and `UpdateAlias`, of the key that the alias stands for and of the
/// one that it is to stand for. If it panics, the call is refused with `KMSInternalException`. [`Rules`] are one.
pub trait Authorizer: fmt::Debug + Send + Sync + 'static {
    /// Whether this call may be carried out.
    fn authorize(&self, request: &AuthorizationRequest<'_>) -> Decision;
}

/// A call, as an [`Authorizer`] sees it.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct AuthorizationRequest<'a> {
    /// Who calls.
    pub principal: &'a str,
    /// What is called.
    pub action: Action,
    /// The KMS key that it is about; `None` where it is about none, or about one that does not exist.
    pub key: Option<&'a KeyArn>,
    /// The custom key store that it is about, or that the key belongs to.
    pub store: Option<&'a StoreId>,
}

impl<'a> AuthorizationRequest<'a> {
    /// A call that is about no key and no store, to test an authorizer with.
    #[must_use]
    pub const fn new(principal: &'a str, action: Action) -> Self {
        Self { principal, action, key: None, store: None }
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
