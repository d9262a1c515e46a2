//! Backends by configuration, filled in by the application.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::future::BoxFuture;

use super::backends::{Backends, Purpose, Refusal};
use super::request::StoreSecret;
use crate::backend::software::KeyManager;
use crate::backend::{Backend, StoreConfiguration};

#[cfg(feature = "cloudhsm")]
mod clusters;
#[cfg(feature = "xks")]
mod external;

#[cfg(feature = "cloudhsm")]
use clusters::Clusters;
#[cfg(feature = "xks")]
pub use external::ExternalProxies;

/// What makes a backend of a configuration that it knows, or leaves it to the next.
type Kind =
    dyn Fn(&StoreConfiguration, &StoreSecret) -> Option<Result<Arc<dyn Backend>, Refusal>> + Send + Sync;

/// What looks at the surroundings of a key manager.
type Inspector = dyn Fn(StoreConfiguration, Purpose) -> BoxFuture<'static, Result<(), Refusal>> + Send + Sync;

/// [`Backends`] to be filled in. Empty, it makes none: what it has not been told of is refused.
///
/// ```
/// use custom_key_store::backend::software::KeyManager;
/// use custom_key_store::kms::BackendMap;
///
/// // Every custom key store is one of a key manager in this process, which can be told to fail: for tests.
/// let manager = KeyManager::new();
/// let backends = BackendMap::new().software(manager.clone());
/// # let _ = backends;
/// ```
#[derive(Default)]
#[must_use]
pub struct BackendMap {
    kinds: Vec<Box<Kind>>,
    inspector: Option<Box<Inspector>>,
    software: Option<KeyManager>,
    #[cfg(feature = "xks")]
    external: Option<ExternalProxies>,
    #[cfg(feature = "cloudhsm")]
    clusters: Clusters,
}

impl BackendMap {
    /// One that knows nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a kind of the application's own. Kinds are asked first, in the order in which they were added; one that does not
    /// know a configuration gives `None`. The backend's own configuration must be the one given.
    pub fn kind<F>(mut self, kind: F) -> Self
    where
        F: Fn(&StoreConfiguration, &StoreSecret) -> Option<Result<Arc<dyn Backend>, Refusal>>
            + Send
            + Sync
            + 'static,
    {
        self.kinds.push(Box::new(kind));
        self
    }

    /// Looks at what lies around a key manager: see [`Backends::inspect`].
    pub fn inspect_with<F, W>(mut self, inspector: F) -> Self
    where
        F: Fn(StoreConfiguration, Purpose) -> W + Send + Sync + 'static,
        W: Future<Output = Result<(), Refusal>> + Send + 'static,
    {
        self.inspector =
            Some(Box::new(move |configuration, purpose| Box::pin(inspector(configuration, purpose))));
        self
    }

    /// Has every store that nothing else knows be one of this key manager in memory, of whichever type it is, and whatever
    /// endpoint or cluster it names: for tests, and to rehearse what a key manager can do to its stores. Its keys die with the
    /// process.
    pub fn software(mut self, manager: KeyManager) -> Self {
        self.software = Some(manager);
        self
    }

    /// Knows external key stores: each is reached at the endpoint that its configuration names, as these settings say.
    #[cfg(feature = "xks")]
    pub fn external(mut self, proxies: ExternalProxies) -> Self {
        self.external = Some(proxies);
        self
    }

    /// Knows a CloudHSM cluster, described by everything but the password, which stores bring: its library and token are the
    /// application's to say, and never a caller's. A trust anchor certificate in the description is what a store that names the
    /// cluster must give.
    ///
    /// # Errors
    ///
    /// [`InvalidSetup`](crate::cloudhsm::InvalidSetup) for a description that lacks something else.
    #[cfg(feature = "cloudhsm")]
    pub fn cluster(
        mut self,
        description: crate::cloudhsm::CloudHsmBuilder,
    ) -> Result<Self, crate::cloudhsm::InvalidSetup> {
        self.clusters.add(description)?;
        Ok(self)
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Backends for BackendMap {
    fn backend(
        &self,
        configuration: &StoreConfiguration,
        secret: &StoreSecret,
    ) -> Result<Arc<dyn Backend>, Refusal> {
        if let Some(made) = self.kinds.iter().find_map(|kind| kind(configuration, secret)) {
            return made;
        }
        match (configuration, secret) {
            #[cfg(feature = "xks")]
            (StoreConfiguration::External(proxy), StoreSecret::Credential(credential)) => {
                if let Some(external) = &self.external {
                    return external.backend(proxy, credential);
                }
            }
            #[cfg(feature = "cloudhsm")]
            (StoreConfiguration::CloudHsm(cluster), StoreSecret::Password(password)) => {
                if let Some(made) = self.clusters.backend(cluster, password) {
                    return made;
                }
            }
            _ => {}
        }
        let Some(manager) = &self.software else { return Err(unknown(configuration)) };
        let (credential, password) = match secret {
            StoreSecret::Credential(credential) => (Some(credential.clone()), None),
            StoreSecret::Password(password) => (None, Some(password.clone())),
        };
        Ok(Arc::new(manager.client(configuration.clone(), credential, password)))
    }

    async fn inspect(&self, configuration: &StoreConfiguration, purpose: Purpose) -> Result<(), Refusal> {
        #[cfg(feature = "cloudhsm")]
        if let StoreConfiguration::CloudHsm(cluster) = configuration {
            self.clusters.inspect(cluster, purpose).await?;
        }
        match &self.inspector {
            Some(inspector) => inspector(configuration.clone(), purpose).await,
            None => Ok(()),
        }
    }
}

fn unknown(configuration: &StoreConfiguration) -> Refusal {
    match configuration {
        StoreConfiguration::CloudHsm(_) => Refusal::ClusterNotFound,
        StoreConfiguration::External(_) => Refusal::Unsupported(configuration.store_type().to_string()),
    }
}

impl fmt::Debug for BackendMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BackendMap").field("kinds", &self.kinds.len()).finish_non_exhaustive()
    }
}
