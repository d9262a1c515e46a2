//! What stands behind one path, and how it is changed while it serves.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use arc_swap::{ArcSwap, ArcSwapOption};

use super::credentials::Credentials;
use super::grants::Grants;
use super::health::HealthCheck;
use super::{Authorizer, KeyGrant, RateLimit, SetupError, TenantBuilder};
use crate::backend::{AccessKeyId, BackingKeyId, Connection, UriEndpoint, UriPath, XksProxyCredential};
use crate::clock::Clock;
use crate::rate::Quota;
use crate::sigv4::{Reason, SignedRequest, Unauthenticated, Verifier};
use crate::value::InvalidValue;
use crate::xks::check_uri_length;

/// One user of a proxy: a path, and what is behind it.
///
/// Its clones are handles of the same tenant, and cheap. A change made through any of them counts for each request
/// that comes to the point in question after it; no request is dropped for it, and no lock is taken to serve one.
#[derive(Clone)]
pub struct Tenant(Arc<Inner>);

pub(super) struct Inner {
    pub(super) path: UriPath,
    pub(super) endpoint: Option<UriEndpoint>,
    /// One for each Region.
    pub(super) verifiers: Vec<Verifier>,
    pub(super) connection: ArcSwap<Link>,
    pub(super) credentials: ArcSwap<Credentials>,
    pub(super) grants: ArcSwap<Grants>,
    pub(super) quota: ArcSwapOption<Quota>,
    pub(super) authorizer: ArcSwapOption<Policy>,
    pub(super) suspended: AtomicBool,
    pub(super) health: HealthCheck,
    /// Held by whoever changes something, so that no change is lost; never by a request.
    pub(super) changes: Mutex<()>,
}

/// Sized, as `ArcSwap` needs it.
#[derive(Debug)]
pub(super) struct Link(pub(super) Arc<dyn Connection>);

#[derive(Debug)]
pub(super) struct Policy(pub(super) Arc<dyn Authorizer>);

/// Making one.
impl Tenant {
    /// Begins a tenant at this path, whose keys are those of `connection`.
    ///
    /// The connection is the tenant's to use, not to close: whoever opened it does that, after the proxy has ended.
    pub fn builder(path: UriPath, connection: Arc<dyn Connection>) -> TenantBuilder {
        TenantBuilder::new(path, connection)
    }

    pub(super) fn assemble(inner: Inner) -> Self {
        Self(Arc::new(inner))
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &UriPath {
        &self.0.path
    }
}

/// The kill switch.
impl Tenant {
    /// Refuses every authenticated request from now on, health checks included, with `InvalidStateException`.
    /// Calls of the connection that are under way finish, and so do their requests.
    pub fn suspend(&self) {
        self.0.suspended.store(true, Ordering::SeqCst);
    }

    /// Serves again.
    pub fn resume(&self) {
        self.0.suspended.store(false, Ordering::SeqCst);
    }

    /// Whether it is suspended.
    #[must_use]
    pub fn is_suspended(&self) -> bool {
        self.0.suspended.load(Ordering::SeqCst)
    }
}

/// Who may authenticate.
impl Tenant {
    /// Accepts another credential besides those there are: the first step of a rotation.
    ///
    /// # Errors
    ///
    /// [`CredentialExists`](SetupError::CredentialExists) when the access key id is there, whatever its secret.
    pub fn add_credential(&self, credential: XksProxyCredential) -> Result<(), SetupError> {
        let regions = self.0.verifiers.len();
        self.change(&self.0.credentials, |credentials| credentials.add(credential, regions))
    }

    /// Accepts a credential no longer: the last step of a rotation. `false` when it was not there. Without any,
    /// nobody can authenticate.
    pub fn remove_credential(&self, id: &AccessKeyId) -> bool {
        self.change(&self.0.credentials, |credentials| credentials.remove(id))
    }

    /// The access key ids that are accepted, in the order in which they came.
    #[must_use]
    pub fn credentials(&self) -> Vec<AccessKeyId> {
        self.0.credentials.load().ids().cloned().collect()
    }
}

/// What they may use.
impl Tenant {
    /// Grants a key under this external id, in place of what was there.
    ///
    /// # Errors
    ///
    /// [`InvalidValue`] when the tenant's endpoint is known and the key's URI would be longer than 256 characters.
    pub fn set_key(&self, id: &BackingKeyId, grant: KeyGrant) -> Result<(), InvalidValue> {
        if let Some(endpoint) = &self.0.endpoint {
            check_uri_length(endpoint, &self.0.path, id)?;
        }
        self.change(&self.0.grants, |grants| drop(grants.set(id, grant)));
        Ok(())
    }

    /// Grants nothing under this external id any more. `false` when it was not there.
    pub fn remove_key(&self, id: &BackingKeyId) -> bool {
        self.change(&self.0.grants, |grants| grants.remove(id))
    }

    /// Sets the quota, charged after authentication; `None` for no limit.
    ///
    /// The same share of it is used up as of the quota before it, so that a change grants nobody a fresh burst. One
    /// that comes where there was none begins unused.
    pub fn set_rate_limit(&self, limit: Option<RateLimit>) {
        let _one_at_a_time = self.0.changes.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.0.quota.load_full();
        let quota = limit.map(|limit| before.map_or_else(|| Quota::new(limit), |before| before.with(limit)));
        self.0.quota.store(quota.map(Arc::new));
    }

    /// Sets who decides on requests beyond the grants; `None` for nobody.
    pub fn set_authorizer(&self, authorizer: Option<Arc<dyn Authorizer>>) {
        self.0.authorizer.store(authorizer.map(|authorizer| Arc::new(Policy(authorizer))));
    }

    /// Uses another connection from now on; requests under way finish on the one they have begun with.
    pub fn set_connection(&self, connection: Arc<dyn Connection>) {
        self.0.connection.store(Arc::new(Link(connection)));
    }
}

/// For the requests.
impl Tenant {
    pub(super) fn inner(&self) -> &Inner {
        &self.0
    }

    fn change<T: Clone, R>(&self, part: &ArcSwap<T>, change: impl FnOnce(&mut T) -> R) -> R {
        let _one_at_a_time = self.0.changes.lock().unwrap_or_else(PoisonError::into_inner);
        let mut changed = T::clone(&part.load());
        let outcome = change(&mut changed);
        part.store(Arc::new(changed));
        outcome
    }
}

impl Inner {
    /// Verifies the signature, and says whose it is.
    pub(super) fn authenticate<'a>(
        &'a self,
        request: SignedRequest<'a>,
        body: &[u8],
        now: SystemTime,
    ) -> Result<&'a str, Unauthenticated> {
        let mut refusal = Unauthenticated::from(Reason::ScopeRegion);
        for verifier in &self.verifiers {
            match verifier.claim(request, now) {
                Ok(claim) => {
                    let credentials = self.credentials.load();
                    claim.verify(body, credentials.find(claim.access_key_id()))?;
                    return Ok(claim.access_key_id());
                }
                Err(other) if other.reason() == Reason::ScopeRegion => {}
                Err(other) => refusal = other,
            }
        }
        Err(refusal)
    }

    /// Charges one request.
    pub(super) fn is_within_quota(&self, clock: &Arc<dyn Clock>) -> bool {
        self.quota.load().as_ref().is_none_or(|quota| quota.take(clock))
    }
}

impl fmt::Debug for Tenant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tenant")
            .field("path", &self.0.path)
            .field("credentials", &self.credentials())
            .field("keys", &self.0.grants.load().len())
            .field("suspended", &self.is_suspended())
            .finish_non_exhaustive()
    }
}
