//! The second layer of authorization: who may do what, after the signature has been verified.

use std::borrow::Cow;
use std::fmt::Debug;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::backend::RequestMetadata;
use crate::xks::ProxyOperation;

/// Decides whether a request that is authenticated may be carried out.
///
/// # For implementers
///
/// Called for each request but health checks, on the task that serves it: it must not block. Operations that do not
/// exist yet will come ([`RequestMetadata::operation`]); a principal is not always an ARN. A panic is answered as
/// `InternalException`, and nothing is done.
///
/// ```
/// use custom_key_store::xks::proxy::{AuthorizationRequest, Authorizer, Decision};
///
/// #[derive(Debug)]
/// struct OneAccount;
///
/// impl Authorizer for OneAccount {
///     fn authorize(&self, request: &AuthorizationRequest<'_>) -> Decision {
///         if request.metadata.principal.starts_with("arn:aws:iam::111122223333:") {
///             Decision::Allow
///         } else {
///             Decision::deny("one-account")
///         }
///     }
/// }
/// ```
pub trait Authorizer: Debug + Send + Sync + 'static {
    /// Decides.
    fn authorize(&self, request: &AuthorizationRequest<'_>) -> Decision;
}

/// What a decision can rest on. None of it is secret.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct AuthorizationRequest<'a> {
    /// What is to be done; never a health check.
    pub operation: ProxyOperation,
    /// With which key, by its external id.
    pub key: &'a str,
    /// Whose credential has signed the request.
    pub access_key_id: &'a str,
    /// What the KMS says of its own caller.
    pub metadata: RequestMetadata<'a>,
}

impl<'a> AuthorizationRequest<'a> {
    /// A request, to test an authorizer with.
    #[must_use]
    pub const fn new(
        operation: ProxyOperation,
        key: &'a str,
        access_key_id: &'a str,
        metadata: RequestMetadata<'a>,
    ) -> Self {
        Self { operation, key, access_key_id, metadata }
    }
}

/// What an [`Authorizer`] says.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Decision {
    /// It may be done.
    Allow,
    /// It may not. The caller learns no more than that.
    #[non_exhaustive]
    Deny {
        /// Names the statement of the policy that says so, for the log.
        rule: Cow<'static, str>,
    },
}

impl Decision {
    /// A denial by this rule.
    #[must_use]
    pub fn deny(rule: impl Into<Cow<'static, str>>) -> Self {
        Self::Deny { rule: rule.into() }
    }
}

/// Asks an authorizer; `None` when it panicked.
pub(super) fn ask(authorizer: &dyn Authorizer, request: &AuthorizationRequest<'_>) -> Option<Decision> {
    // The payload's destructor is foreign code, and may panic in its turn.
    catch_unwind(AssertUnwindSafe(|| authorizer.authorize(request))).map_err(std::mem::forget).ok()
}
