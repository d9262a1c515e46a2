//! Who makes a backend of a configuration.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

use super::request::StoreSecret;
use crate::backend::{Backend, StoreConfiguration};

/// What stands between the configuration of a custom key store, which callers give, and a key manager that is dialled, or
/// a library that is loaded, which the application alone decides.
///
/// [`BackendMap`](super::BackendMap) is one to be filled in: external proxies and CloudHSM clusters by their features, and
/// kinds of the application's own.
#[async_trait]
pub trait Backends: fmt::Debug + Send + Sync + 'static {
    /// The backend of a custom key store of this configuration. Contacts nobody, and returns at once: it is called for
    /// every store when [`Kms`](super::Kms) opens. Its [`configuration`](Backend::configuration) is to be the one given.
    ///
    /// # Errors
    ///
    /// [`Refusal`], when there is to be no such store. What becomes of one that is there already is said at
    /// [`KmsBuilder::open`](super::KmsBuilder::open).
    fn backend(
        &self,
        configuration: &StoreConfiguration,
        secret: &StoreSecret,
    ) -> Result<Arc<dyn Backend>, Refusal>;

    /// Looks at what lies around the key manager, as AWS KMS looks at a cluster and at a VPC endpoint service: before a
    /// store is created, connected or updated, and before a CloudHSM key store makes a key. Default: there is nothing to
    /// look at. Ends within the call timeout of the stores, or counts as refused for [`Refusal::TimedOut`].
    ///
    /// # Errors
    ///
    /// [`Refusal`]; the operation does not take place, and the store stays as it is. But a store that is to connect fails to,
    /// with the code that AWS documents, unless it is for a cluster that is not active or not set up as it must be.
    ///
    /// # Cancel safety
    ///
    /// May be dropped at will.
    async fn inspect(&self, configuration: &StoreConfiguration, purpose: Purpose) -> Result<(), Refusal> {
        let _ = (configuration, purpose);
        Ok(())
    }
}

/// What a backend is wanted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Purpose {
    /// A new store.
    Create,
    /// To connect one.
    Connect,
    /// To change one, to this configuration.
    Update,
    /// To make a key in the cluster.
    CreateKey,
}

/// Why there is no backend for a configuration. Texts are for whoever called.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// There is no such cluster (AWS: `CloudHsmClusterNotFoundException`).
    #[error("there is no such CloudHSM cluster")]
    ClusterNotFound,
    /// The cluster is not initialized and activated (AWS: `CloudHsmClusterNotActiveException`).
    #[error("the CloudHSM cluster is not active")]
    ClusterNotActive,
    /// The cluster is not set up as it must be (AWS: `CloudHsmClusterInvalidConfigurationException`).
    #[error("the CloudHSM cluster is not set up as it must be: {0}")]
    ClusterInvalidConfiguration(String),
    /// The cluster has another certificate than the one it is to replace (AWS: `CloudHsmClusterNotRelatedException`).
    #[error("the CloudHSM cluster shares no backup with the one of the custom key store")]
    ClusterNotRelated,
    /// The certificate is not that of the cluster (AWS: `IncorrectTrustAnchorException`).
    #[error("the trust anchor certificate is not that of the CloudHSM cluster")]
    IncorrectTrustAnchor,
    /// There is no such VPC endpoint service (AWS: `XksProxyVpcEndpointServiceNotFoundException`).
    #[error("there is no such VPC endpoint service, or it lets nobody in from here")]
    VpcEndpointServiceNotFound,
    /// The VPC endpoint service is not set up as it must be (AWS:
    /// `XksProxyVpcEndpointServiceInvalidConfigurationException`).
    #[error("the VPC endpoint service is not set up as it must be: {0}")]
    VpcEndpointServiceInvalidConfiguration(String),
    /// The endpoint is none that may be dialled from here (AWS: `XksProxyUriUnreachableException`).
    #[error("the endpoint cannot be reached from here: {0}")]
    Unreachable(String),
    /// No key manager of this kind can be had here (AWS: `UnsupportedOperationException` of a key; for a custom key store,
    /// which has no such one, `ValidationException`).
    #[error("such a custom key store is not supported here: {0}")]
    Unsupported(String),
    /// Looking took too long (AWS: `KMSInternalException`).
    #[error("what belongs to the custom key store could not be looked at in time")]
    TimedOut,
    /// Something failed that is nobody's business who calls (AWS: `KMSInternalException`).
    #[error("what belongs to the custom key store could not be looked at")]
    Internal,
}
