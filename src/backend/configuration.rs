//! What a store says of the key manager it belongs to; what `describe()` prints, without a secret.

use serde::{Deserialize, Serialize};

use super::property::inconsistent;
use super::{
    AccessKeyId, AccountId, CloudHsmClusterId, CustomKeyStoreType, TrustAnchorCertificate, UriEndpoint,
    UriPath, VpcEndpointServiceName, XksProxyConnectivity,
};
use crate::value::InvalidValue;

/// How the key manager behind a store is configured, without its secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "CustomKeyStoreType")]
#[non_exhaustive]
pub enum StoreConfiguration {
    /// A CloudHSM cluster.
    #[serde(rename = "AWS_CLOUDHSM")]
    CloudHsm(CloudHsmConfiguration),
    /// An external key store proxy.
    #[serde(rename = "EXTERNAL_KEY_STORE")]
    External(XksProxyConfiguration),
}

impl StoreConfiguration {
    /// The store type.
    #[must_use]
    pub const fn store_type(&self) -> CustomKeyStoreType {
        match self {
            Self::CloudHsm(_) => CustomKeyStoreType::AwsCloudhsm,
            Self::External(_) => CustomKeyStoreType::ExternalKeyStore,
        }
    }

    /// Whether the key manager is asked before there is such a store. That of a VPC endpoint service is first reached when the
    /// store connects, and the password of a cluster first tried then.
    pub(crate) fn is_probed_when_created(&self) -> bool {
        matches!(self, Self::External(proxy) if proxy.connectivity == XksProxyConnectivity::PublicEndpoint)
    }

    /// The cluster of a CloudHSM key store.
    #[must_use]
    pub fn cluster_id(&self) -> Option<CloudHsmClusterId> {
        match self {
            Self::CloudHsm(cluster) => Some(cluster.cluster_id.clone()),
            Self::External(_) => None,
        }
    }
}

/// A CloudHSM cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
#[non_exhaustive]
pub struct CloudHsmConfiguration {
    /// Which cluster.
    #[serde(rename = "CloudHsmClusterId")]
    pub cluster_id: CloudHsmClusterId,
    /// What the cluster's certificate is signed by, where the library is told so.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub trust_anchor_certificate: Option<TrustAnchorCertificate>,
}

impl CloudHsmConfiguration {
    /// A cluster.
    #[must_use]
    pub const fn new(cluster_id: CloudHsmClusterId) -> Self {
        Self { cluster_id, trust_anchor_certificate: None }
    }

    /// The same, with what the cluster's certificate is signed by.
    #[must_use]
    pub fn with_trust_anchor(mut self, certificate: TrustAnchorCertificate) -> Self {
        self.trust_anchor_certificate = Some(certificate);
        self
    }
}

/// An external key store proxy, as `DescribeCustomKeyStores` prints it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
#[non_exhaustive]
pub struct XksProxyConfiguration {
    /// How it is reached.
    pub connectivity: XksProxyConnectivity,
    /// Which of its credentials is used.
    pub access_key_id: AccessKeyId,
    /// Where it is.
    pub uri_endpoint: UriEndpoint,
    /// Under which path.
    pub uri_path: UriPath,
    /// Through which VPC endpoint service, when it is reached so.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub vpc_endpoint_service_name: Option<VpcEndpointServiceName>,
    /// Whose service that is, when it is known.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub vpc_endpoint_service_owner: Option<AccountId>,
}

impl XksProxyConfiguration {
    /// A proxy with a public endpoint.
    #[must_use]
    pub const fn public(uri_endpoint: UriEndpoint, uri_path: UriPath, access_key_id: AccessKeyId) -> Self {
        Self {
            connectivity: XksProxyConnectivity::PublicEndpoint,
            access_key_id,
            uri_endpoint,
            uri_path,
            vpc_endpoint_service_name: None,
            vpc_endpoint_service_owner: None,
        }
    }

    /// The same, reached through a VPC endpoint service; `owner` is `None` for the store's own account.
    #[must_use]
    pub fn through_vpc_endpoint_service(
        mut self,
        name: VpcEndpointServiceName,
        owner: Option<AccountId>,
    ) -> Self {
        self.connectivity = XksProxyConnectivity::VpcEndpointService;
        self.vpc_endpoint_service_name = Some(name);
        self.vpc_endpoint_service_owner = owner;
        self
    }

    /// Checks that connectivity and VPC endpoint service fit together.
    ///
    /// # Errors
    ///
    /// [`InvalidValue`] when the service is missing though it is needed, or it or its owner present though there is none.
    pub fn check(&self) -> Result<(), InvalidValue> {
        let (name, owner) = (&self.vpc_endpoint_service_name, &self.vpc_endpoint_service_owner);
        match (self.connectivity, name, owner) {
            (XksProxyConnectivity::VpcEndpointService, None, _) => Err(inconsistent(
                "XksProxyVpcEndpointServiceName",
                "a service name with VPC_ENDPOINT_SERVICE",
                "XksProxyConnectivity",
            )),
            (XksProxyConnectivity::PublicEndpoint, Some(_), _) => Err(inconsistent(
                "XksProxyVpcEndpointServiceName",
                "no service name with PUBLIC_ENDPOINT",
                "XksProxyConnectivity",
            )),
            (XksProxyConnectivity::PublicEndpoint, None, Some(_)) => Err(inconsistent(
                "XksProxyVpcEndpointServiceOwner",
                "no owner of a service with PUBLIC_ENDPOINT",
                "XksProxyConnectivity",
            )),
            _ => Ok(()),
        }
    }
}
