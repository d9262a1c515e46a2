//! A KMS key as `DescribeKey` prints it.

use std::time::SystemTime;

use serde::{Serialize, Serializer};

use super::id::{KeyArn, KeyId};
use super::record::{Backing, KeyRecord};
use super::state::{KeyOrigin, KeyState};
use super::value::KeyText;
use crate::backend::{AccountId, BackingKeyId, CloudHsmClusterId};
use crate::epoch;
use crate::identity::Identity;
use crate::store_id::StoreId;

/// A KMS key in one moment: `KeyMetadata`, by AWS's member names. Holds no secret.
///
/// Serializes to what AWS's API answers, the members included that are alike for every key of a custom key store.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyMetadata {
    /// Assigned once, for ever.
    pub key_id: KeyId,
    /// The same, with whose key it is.
    pub arn: KeyArn,
    /// The account that owns it.
    pub account: AccountId,
    /// When it was created.
    pub creation_date: SystemTime,
    /// What it is for.
    pub description: KeyText,
    /// The state it is in. Whether it can be used is whether it is [`Enabled`](KeyState::Enabled).
    pub key_state: KeyState,
    /// When it is deleted, in state [`PendingDeletion`](KeyState::PendingDeletion) alone.
    pub deletion_date: Option<SystemTime>,
    /// Where its material comes from.
    pub origin: KeyOrigin,
    /// The store that it belongs to.
    pub custom_key_store_id: StoreId,
    /// The cluster that holds its material, in a CloudHSM key store alone.
    pub cloud_hsm_cluster_id: Option<CloudHsmClusterId>,
    /// The external key that it refers to, in an external key store alone.
    pub xks_key_id: Option<BackingKeyId>,
}

impl KeyMetadata {
    pub(super) fn new(
        record: &KeyRecord,
        identity: &Identity,
        cluster: Option<&CloudHsmClusterId>,
        connected: bool,
    ) -> Self {
        let (origin, xks_key_id) = match &record.backing {
            Backing::External { key, .. } => (KeyOrigin::ExternalKeyStore, Some(key.clone())),
            Backing::CloudHsm { .. } => (KeyOrigin::AwsCloudhsm, None),
        };
        Self {
            key_id: record.id,
            arn: record.id.arn(identity),
            account: identity.account.clone(),
            creation_date: epoch::from_millis(record.created),
            description: record.description.clone(),
            key_state: record.state(connected),
            deletion_date: record.deletion_date(),
            cloud_hsm_cluster_id: cluster.filter(|_| origin == KeyOrigin::AwsCloudhsm).cloned(),
            origin,
            custom_key_store_id: record.store.clone(),
            xks_key_id,
        }
    }
}

impl Serialize for KeyMetadata {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        #[serde(rename_all = "PascalCase")]
        struct XksKeyConfiguration<'a> {
            id: &'a BackingKeyId,
        }

        #[derive(Serialize)]
        #[serde(rename_all = "PascalCase")]
        struct Wire<'a> {
            #[serde(rename = "AWSAccountId")]
            account: &'a AccountId,
            key_id: &'a KeyId,
            arn: &'a KeyArn,
            #[serde(with = "epoch::seconds")]
            creation_date: &'a SystemTime,
            enabled: bool,
            description: &'a KeyText,
            key_usage: &'static str,
            key_state: KeyState,
            #[serde(skip_serializing_if = "Option::is_none")]
            deletion_date: Option<Seconds>,
            origin: KeyOrigin,
            custom_key_store_id: &'a StoreId,
            #[serde(skip_serializing_if = "Option::is_none")]
            cloud_hsm_cluster_id: Option<&'a CloudHsmClusterId>,
            key_manager: &'static str,
            customer_master_key_spec: &'static str,
            key_spec: &'static str,
            encryption_algorithms: [&'static str; 1],
            multi_region: bool,
            #[serde(skip_serializing_if = "Option::is_none")]
            xks_key_configuration: Option<XksKeyConfiguration<'a>>,
        }

        #[derive(Serialize)]
        #[serde(transparent)]
        struct Seconds(#[serde(with = "epoch::seconds")] SystemTime);

        let wire = Wire {
            account: &self.account,
            key_id: &self.key_id,
            arn: &self.arn,
            creation_date: &self.creation_date,
            enabled: self.key_state == KeyState::Enabled,
            description: &self.description,
            key_usage: "ENCRYPT_DECRYPT",
            key_state: self.key_state,
            deletion_date: self.deletion_date.map(Seconds),
            origin: self.origin,
            custom_key_store_id: &self.custom_key_store_id,
            cloud_hsm_cluster_id: self.cloud_hsm_cluster_id.as_ref(),
            key_manager: "CUSTOMER",
            customer_master_key_spec: "SYMMETRIC_DEFAULT",
            key_spec: "SYMMETRIC_DEFAULT",
            encryption_algorithms: ["SYMMETRIC_DEFAULT"],
            multi_region: false,
            xks_key_configuration: self.xks_key_id.as_ref().map(|id| XksKeyConfiguration { id }),
        };
        wire.serialize(serializer)
    }
}
