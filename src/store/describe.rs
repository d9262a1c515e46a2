//! A store as `DescribeCustomKeyStores` prints it.

use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::core::Core;
use super::register::{Kept, StoreRecord};
use super::state::ConnectionState;
use crate::backend::{
    CloudHsmClusterId, ConnectionError, ConnectionErrorCode, CustomKeyStoreType, StoreConfiguration,
    StoreName, TrustAnchorCertificate, XksProxyConfiguration,
};
use crate::epoch;
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
        let (id, name) = (core.id.clone(), core.name.clone());
        let code = error.map(ConnectionError::code);
        Self::of(id, name, core.created, core.configuration.clone(), state, code)
    }

    /// A store that nobody has: as it is kept.
    pub(super) fn kept(record: StoreRecord) -> Self {
        let (state, code) = match record.state {
            Kept::Disconnected => (ConnectionState::Disconnected, None),
            Kept::Connected => (ConnectionState::Connected, None),
            Kept::Failed(code) => (ConnectionState::Failed, Some(code)),
        };
        let created = epoch::from_millis(record.created);
        Self::of(record.id, record.name, created, record.configuration, state, code)
    }

    fn of(
        id: StoreId,
        name: StoreName,
        created: SystemTime,
        configuration: StoreConfiguration,
        state: ConnectionState,
        error: Option<ConnectionErrorCode>,
    ) -> Self {
        let store_type = configuration.store_type();
        let (cluster, proxy) = match configuration {
            StoreConfiguration::CloudHsm(cluster) => (Some(cluster), None),
            StoreConfiguration::External(proxy) => (None, Some(proxy)),
        };
        let (cluster_id, trust_anchor) =
            cluster.map(|cluster| (cluster.cluster_id, cluster.trust_anchor_certificate)).unzip();
        Self {
            custom_key_store_id: id,
            custom_key_store_name: name,
            custom_key_store_type: store_type,
            creation_date: created,
            connection_state: state,
            connection_error_code: error,
            cloud_hsm_cluster_id: cluster_id,
            trust_anchor_certificate: trust_anchor.flatten(),
            xks_proxy_configuration: proxy,
        }
    }
}
