//! How a tenant is set up.

use std::collections::HashSet;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};

use super::credentials::Credentials;
use super::grants::Grants;
use super::health::HealthCheck;
use super::tenant::{Inner, Link, Policy};
use super::{Authorizer, KeyGrant, RateLimit, SetupError, Tenant};
use crate::backend::{BackingKeyId, Connection, UriEndpoint, UriPath, XksProxyCredential};
use crate::rate::Quota;
use crate::sigv4::Verifier;
use crate::xks::scope::scope;
use crate::xks::{Region, check_uri_length};

/// A cached result must not be older than a minute.
const MAX_HEALTH_AGE: Duration = Duration::from_mins(1);
const DEFAULT_HEALTH_AGE: Duration = Duration::from_secs(10);

/// Sets up a [`Tenant`]: begun with [`Tenant::builder`].
///
/// It needs a credential, a Region, and a key for health checks.
#[derive(Debug)]
#[must_use]
pub struct TenantBuilder {
    path: UriPath,
    connection: Arc<dyn Connection>,
    endpoint: Option<UriEndpoint>,
    regions: Vec<Region>,
    credentials: Vec<XksProxyCredential>,
    keys: Vec<(BackingKeyId, KeyGrant)>,
    every_key: bool,
    quota: Option<RateLimit>,
    authorizer: Option<Arc<dyn Authorizer>>,
    health_key: Option<BackingKeyId>,
    shallow: bool,
    health_age: Duration,
}

impl TenantBuilder {
    pub(super) fn new(path: UriPath, connection: Arc<dyn Connection>) -> Self {
        Self {
            path,
            connection,
            endpoint: None,
            regions: Vec::new(),
            credentials: Vec::new(),
            keys: Vec::new(),
            every_key: false,
            quota: None,
            authorizer: None,
            health_key: None,
            shallow: false,
            health_age: DEFAULT_HEALTH_AGE,
        }
    }

    /// Adds a Region that a KMS calls from. One at least.
    pub fn region(mut self, region: Region) -> Self {
        self.regions.push(region);
        self
    }

    /// Adds a credential. One at least; two or more while one is exchanged for another.
    pub fn credential(mut self, credential: XksProxyCredential) -> Self {
        self.credentials.push(credential);
        self
    }

    /// Offers a key under this external id. A key that is not offered is not found, even if the connection has it.
    pub fn key(mut self, id: BackingKeyId, grant: KeyGrant) -> Self {
        self.keys.push((id, grant));
        self
    }

    /// Offers **every** key of the connection under its own id, to every principal and for all it can do, besides
    /// those that are offered by name. Whoever else has keys behind the same connection has them offered too.
    pub const fn expose_every_key_of_the_connection(mut self) -> Self {
        self.every_key = true;
        self
    }

    /// The endpoint that the KMS knows the proxy by, so that keys are refused whose URI would be too long: 256
    /// characters, path and key id included. Not needed to serve.
    pub fn endpoint(mut self, endpoint: UriEndpoint) -> Self {
        self.endpoint = Some(endpoint);
        self
    }

    /// How many requests there may be, charged after authentication, on all proxies that serve the tenant together.
    /// Unlimited unless it is set.
    pub const fn rate_limit(mut self, limit: RateLimit) -> Self {
        self.quota = Some(limit);
        self
    }

    /// Who decides on requests beyond the grants.
    pub fn authorizer(mut self, authorizer: Arc<dyn Authorizer>) -> Self {
        self.authorizer = Some(authorizer);
        self
    }

    /// The key of the connection, by its backing id, that health checks encrypt and decrypt with. Made for that
    /// alone: it should not be offered.
    pub fn health_key(mut self, key: BackingKeyId) -> Self {
        self.health_key = Some(key);
        self
    }

    /// Has health checks ask the connection how it is, without trying whether it can encrypt: a key manager that
    /// answers but serves nobody passes for healthy.
    pub const fn shallow_health_check(mut self) -> Self {
        self.shallow = true;
        self
    }

    /// For how long a good result of a health check is given again: 10 seconds unless it is set, a minute at most.
    pub fn health_age(mut self, age: Duration) -> Self {
        self.health_age = age.min(MAX_HEALTH_AGE);
        self
    }

    /// The tenant.
    ///
    /// # Errors
    ///
    /// [`SetupError`] when something is missing, given twice, or too long.
    pub fn build(self) -> Result<Tenant, SetupError> {
        let Self {
            path,
            connection,
            endpoint,
            regions,
            credentials,
            keys,
            every_key,
            quota,
            authorizer,
            health_key,
            shallow,
            health_age,
        } = self;

        if credentials.is_empty() {
            return Err(SetupError::NoCredential);
        }
        if regions.is_empty() {
            return Err(SetupError::NoRegion);
        }
        if health_key.is_none() && !shallow {
            return Err(SetupError::NoHealthCheck);
        }
        let mut seen = HashSet::new();
        let verifiers = regions.into_iter().filter(|region| seen.insert(region.as_str().to_owned()));
        let verifiers: Vec<_> = verifiers.map(|region| Verifier::new(scope(region))).collect();

        let mut accepted = Credentials::default();
        for credential in credentials {
            accepted.add(credential, verifiers.len())?;
        }

        let mut grants = Grants::new(every_key);
        for (id, grant) in keys {
            if let Some(endpoint) = &endpoint {
                check_uri_length(endpoint, &path, &id)?;
            }
            if grants.set(&id, grant).is_some() {
                return Err(SetupError::KeyExists);
            }
        }
        Ok(Tenant::assemble(Inner {
            verifiers,
            path,
            endpoint,
            connection: ArcSwap::from_pointee(Link(connection)),
            credentials: ArcSwap::from_pointee(accepted),
            grants: ArcSwap::from_pointee(grants),
            quota: ArcSwapOption::from_pointee(quota.map(Quota::new)),
            authorizer: ArcSwapOption::from_pointee(authorizer.map(Policy)),
            suspended: AtomicBool::new(false),
            health: HealthCheck::new(health_key, health_age),
            changes: Mutex::new(()),
        }))
    }
}
