//! A store as `DescribeCustomKeyStores` prints it.

use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::core::Core;
use super::state::ConnectionState;
use crate::backend::{
    CloudHsmClusterId, ConnectionError, ConnectionErrorCode, CustomKeyStoreType, StoreConfiguration,
    StoreName, TrustAnchorCertificate, XksProxyConfiguration,
};
use crate::store_id::StoreId;

/// A custom key store in one moment: an entry of `DescribeCustomKeyStores`, by AWS's member names.
///
/// Serializes to what AWS's API answers, and from it. Holds no secret.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
#[serde(rename_all = "PascalCase")]
pub struct Description {
    /// Assigned once, for ever.
    pub custom_key_store_id: StoreId,
    /// The friendly name.
    pub custom_key_store_name: StoreName,
    /// Which of the two kinds.
    pub custom_key_store_type: CustomKeyStoreType,
    /// When the store was created; on the wire, seconds since the Unix epoch.
    #[serde(with = "crate::epoch::seconds")]
    pub creation_date: SystemTime,
    /// The state it is in.
    pub connection_state: ConnectionState,
    /// Why it failed, in state `FAILED` alone.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub connection_error_code: Option<ConnectionErrorCode>,
    /// The cluster of a CloudHSM key store.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub cloud_hsm_cluster_id: Option<CloudHsmClusterId>,
    /// The trust anchor of a CloudHSM key store.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub trust_anchor_certificate: Option<TrustAnchorCertificate>,
    /// The proxy of an external key store.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub xks_proxy_configuration: Option<XksProxyConfiguration>,
}

impl Description {
    pub(super) fn new(core: &Core, state: ConnectionState, error: Option<&ConnectionError>) -> Self {
        let (cluster, proxy) = match core.configuration.clone() {
            StoreConfiguration::CloudHsm(cluster) => (Some(cluster), None),
            StoreConfiguration::External(proxy) => (None, Some(proxy)),
        };
        let (cluster_id, trust_anchor) =
            cluster.map(|cluster| (cluster.cluster_id, cluster.trust_anchor_certificate)).unzip();
        Self {
            custom_key_store_id: core.id.clone(),
            custom_key_store_name: core.name.clone(),
            custom_key_store_type: core.store_type(),
            creation_date: core.created,
            connection_state: state,
            connection_error_code: error.map(ConnectionError::code),
            cloud_hsm_cluster_id: cluster_id,
            trust_anchor_certificate: trust_anchor,
            xks_proxy_configuration: proxy,
        }
    }
}
