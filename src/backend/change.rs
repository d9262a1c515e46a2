//! Changes of a store's configuration, split by type into what may change while it is connected and what may not.

use super::{
    AccountId, CloudHsmClusterId, CustomKeyStoreType, KeyStorePassword, StoreConfiguration, StoreName,
    UriEndpoint, UriPath, VpcEndpointServiceName, XksProxyConfiguration, XksProxyConnectivity,
    XksProxyCredential,
};
use crate::value::InvalidValue;

/// What may change while a store is `CONNECTED`: its name and, for an external key store, credential and path.
/// For anything else disconnect the store first and give it a [`Change`].
///
/// (AWS KMS API, `UpdateCustomKeyStore`. Nothing
/// changes in the transient states and in `FAILED`: those have no `update`.)
///
/// ```
/// use custom_key_store::StoreName;
/// use custom_key_store::backend::{LiveChange, UriPath};
///
/// let change = LiveChange::new()
///     .name(StoreName::new("root keys")?)
///     .uri_path(UriPath::new("/tenant-a/kms/xks/v1")?);
/// # Ok::<(), custom_key_store::InvalidValue>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[must_use]
pub struct LiveChange(Change);

impl LiveChange {
    /// No change yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Another friendly name.
    pub fn name(self, name: StoreName) -> Self {
        Self(self.0.name(name))
    }

    /// Another credential at the external key store proxy.
    pub fn credential(self, credential: XksProxyCredential) -> Self {
        Self(self.0.credential(credential))
    }

    /// Another path at the external key store proxy.
    pub fn uri_path(self, path: UriPath) -> Self {
        Self(self.0.uri_path(path))
    }
}

impl From<LiveChange> for Change {
    fn from(change: LiveChange) -> Self {
        change.0
    }
}

/// Any change of a store's configuration; what it does not mention stays.
///
/// A [`Backend`](super::Backend) applies what concerns the key manager and ignores the name, which is the
/// store's. `None` means "unchanged".
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
#[must_use]
pub struct Change {
    /// Another friendly name.
    pub name: Option<StoreName>,
    /// Another credential at the external key store proxy.
    pub credential: Option<XksProxyCredential>,
    /// Another path at the external key store proxy.
    pub uri_path: Option<UriPath>,
    /// Another external key store proxy, with the same keys behind it.
    pub uri_endpoint: Option<UriEndpoint>,
    /// Another way to reach the external key store proxy.
    pub connectivity: Option<XksProxyConnectivity>,
    /// Another VPC endpoint service.
    pub vpc_endpoint_service_name: Option<VpcEndpointServiceName>,
    /// Another owner of the VPC endpoint service.
    pub vpc_endpoint_service_owner: Option<AccountId>,
    /// The `kmsuser`'s password as it now is in the cluster.
    pub password: Option<KeyStorePassword>,
    /// Another CloudHSM cluster, with the same keys in it.
    pub cluster_id: Option<CloudHsmClusterId>,
}

impl Change {
    /// No change yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Another friendly name.
    pub fn name(mut self, name: StoreName) -> Self {
        self.name = Some(name);
        self
    }

    /// Another credential at the external key store proxy.
    pub fn credential(mut self, credential: XksProxyCredential) -> Self {
        self.credential = Some(credential);
        self
    }

    /// Another path at the external key store proxy.
    pub fn uri_path(mut self, path: UriPath) -> Self {
        self.uri_path = Some(path);
        self
    }

    /// Another external key store proxy. It must lead to the same keys: nobody can check that for you.
    pub fn uri_endpoint(mut self, endpoint: UriEndpoint) -> Self {
        self.uri_endpoint = Some(endpoint);
        self
    }

    /// Reach the external key store proxy over the internet, at this endpoint.
    pub fn public_endpoint(mut self, endpoint: UriEndpoint) -> Self {
        self.connectivity = Some(XksProxyConnectivity::PublicEndpoint);
        self.uri_endpoint(endpoint)
    }

    /// Reach the external key store proxy through this VPC endpoint service, at its private DNS name.
    pub fn vpc_endpoint_service(mut self, endpoint: UriEndpoint, name: VpcEndpointServiceName) -> Self {
        self.connectivity = Some(XksProxyConnectivity::VpcEndpointService);
        self.vpc_endpoint_service_name = Some(name);
        self.uri_endpoint(endpoint)
    }

    /// Another VPC endpoint service for a proxy that is reached through one already.
    pub fn vpc_endpoint_service_name(mut self, name: VpcEndpointServiceName) -> Self {
        self.vpc_endpoint_service_name = Some(name);
        self
    }

    /// Whose VPC endpoint service it is.
    pub fn vpc_endpoint_service_owner(mut self, owner: AccountId) -> Self {
        self.vpc_endpoint_service_owner = Some(owner);
        self
    }

    /// The `kmsuser`'s password as it now is in the cluster. Does not set it there.
    pub fn password(mut self, password: KeyStorePassword) -> Self {
        self.password = Some(password);
        self
    }

    /// Another CloudHSM cluster. It must hold the same keys, that is, come from a backup of the old one.
    pub fn cluster_id(mut self, id: CloudHsmClusterId) -> Self {
        self.cluster_id = Some(id);
        self
    }

    /// Whether anything but the name changes.
    #[must_use]
    pub fn concerns_backend(&self) -> bool {
        let Self { name: _, .. } = self;
        self.property_of(CustomKeyStoreType::AwsCloudhsm).is_some()
            || self.property_of(CustomKeyStoreType::ExternalKeyStore).is_some()
    }

    /// Whether a connected store could take it: whether it could have been a [`LiveChange`].
    #[must_use]
    pub fn is_live(&self) -> bool {
        let Self {
            name: _,
            credential: _,
            uri_path: _,
            uri_endpoint,
            connectivity,
            vpc_endpoint_service_name,
            vpc_endpoint_service_owner,
            password,
            cluster_id,
        } = self;
        uri_endpoint.is_none()
            && connectivity.is_none()
            && vpc_endpoint_service_name.is_none()
            && vpc_endpoint_service_owner.is_none()
            && password.is_none()
            && cluster_id.is_none()
    }

    /// What is changed, by AWS's names; of what is secret, that it is.
    pub(crate) fn to_be_shown(&self) -> Vec<(&'static str, String)> {
        let Self {
            name,
            credential,
            uri_path,
            uri_endpoint,
            connectivity,
            vpc_endpoint_service_name,
            vpc_endpoint_service_owner,
            password,
            cluster_id,
        } = self;
        let shown = [
            name.as_ref().map(|name| ("NewCustomKeyStoreName", name.to_string())),
            credential.as_ref().map(|credential| {
                ("XksProxyAuthenticationAccessKeyId", credential.access_key_id.to_string())
            }),
            uri_path.as_ref().map(|path| ("XksProxyUriPath", path.to_string())),
            uri_endpoint.as_ref().map(|endpoint| ("XksProxyUriEndpoint", endpoint.to_string())),
            connectivity.map(|connectivity| ("XksProxyConnectivity", connectivity.to_string())),
            vpc_endpoint_service_name
                .as_ref()
                .map(|name| ("XksProxyVpcEndpointServiceName", name.to_string())),
            vpc_endpoint_service_owner
                .as_ref()
                .map(|owner| ("XksProxyVpcEndpointServiceOwner", owner.to_string())),
            password.as_ref().map(|_| ("KeyStorePassword", "(hidden)".to_owned())),
            cluster_id.as_ref().map(|id| ("CloudHsmClusterId", id.to_string())),
        ];
        shown.into_iter().flatten().collect()
    }

    /// The first property here that only stores of this type have.
    fn property_of(&self, store_type: CustomKeyStoreType) -> Option<&'static str> {
        let Self {
            name: _,
            credential,
            uri_path,
            uri_endpoint,
            connectivity,
            vpc_endpoint_service_name,
            vpc_endpoint_service_owner,
            password,
            cluster_id,
        } = self;
        let present = match store_type {
            CustomKeyStoreType::ExternalKeyStore => [
                credential.as_ref().map(|_| "XksProxyAuthenticationCredential"),
                uri_path.as_ref().map(|_| "XksProxyUriPath"),
                uri_endpoint.as_ref().map(|_| "XksProxyUriEndpoint"),
                connectivity.as_ref().map(|_| "XksProxyConnectivity"),
                vpc_endpoint_service_name.as_ref().map(|_| "XksProxyVpcEndpointServiceName"),
                vpc_endpoint_service_owner.as_ref().map(|_| "XksProxyVpcEndpointServiceOwner"),
            ],
            CustomKeyStoreType::AwsCloudhsm => [
                password.as_ref().map(|_| "KeyStorePassword"),
                cluster_id.as_ref().map(|_| "CloudHsmClusterId"),
                None,
                None,
                None,
                None,
            ],
        };
        present.into_iter().flatten().next()
    }

    /// Applies the change to a configuration, for backends: everything but the secrets, checked.
    ///
    /// # Errors
    ///
    /// [`InvalidChange`] when the change has a property that this type of store does not have, or when
    /// connectivity and VPC endpoint service do not fit together afterwards.
    pub fn apply_to(&self, configuration: &StoreConfiguration) -> Result<StoreConfiguration, InvalidChange> {
        let store_type = configuration.store_type();
        let other_type = match store_type {
            CustomKeyStoreType::AwsCloudhsm => CustomKeyStoreType::ExternalKeyStore,
            CustomKeyStoreType::ExternalKeyStore => CustomKeyStoreType::AwsCloudhsm,
        };
        if let Some(property) = self.property_of(other_type) {
            return Err(InvalidChange::WrongStoreType { property, store_type });
        }
        match configuration.clone() {
            StoreConfiguration::CloudHsm(mut cluster) => {
                replace(&mut cluster.cluster_id, self.cluster_id.as_ref());
                Ok(StoreConfiguration::CloudHsm(cluster))
            }
            StoreConfiguration::External(proxy) => {
                Ok(StoreConfiguration::External(self.apply_to_proxy(proxy)?))
            }
        }
    }

    fn apply_to_proxy(
        &self,
        mut proxy: XksProxyConfiguration,
    ) -> Result<XksProxyConfiguration, InvalidValue> {
        replace(
            &mut proxy.access_key_id,
            self.credential.as_ref().map(|credential| &credential.access_key_id),
        );
        replace(&mut proxy.uri_path, self.uri_path.as_ref());
        replace(&mut proxy.uri_endpoint, self.uri_endpoint.as_ref());
        if let Some(connectivity) = self.connectivity {
            proxy.connectivity = connectivity;
            if connectivity == XksProxyConnectivity::PublicEndpoint {
                proxy.vpc_endpoint_service_name = None;
                proxy.vpc_endpoint_service_owner = None;
            }
        }
        if let Some(name) = &self.vpc_endpoint_service_name {
            proxy.vpc_endpoint_service_name = Some(name.clone());
        }
        if let Some(owner) = &self.vpc_endpoint_service_owner {
            proxy.vpc_endpoint_service_owner = Some(owner.clone());
        }
        proxy.check()?;
        Ok(proxy)
    }
}

fn replace<T: Clone>(place: &mut T, with: Option<&T>) {
    if let Some(value) = with {
        place.clone_from(value);
    }
}

/// A change that this store cannot take; nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidChange {
    /// The property belongs to the other type of custom key store. The caller's fault.
    #[error("a custom key store of type {store_type} has no property {property}")]
    WrongStoreType {
        /// The property, by AWS's name.
        property: &'static str,
        /// What the store is.
        store_type: CustomKeyStoreType,
    },
    /// The configuration would be inconsistent. The caller's fault.
    #[error("the changed configuration would be invalid")]
    Inconsistent(#[from] InvalidValue),
    /// This backend cannot change the property, though its type of store has it.
    #[error("this backend cannot change {property}")]
    Unsupported {
        /// The property, by AWS's name.
        property: &'static str,
    },
}
