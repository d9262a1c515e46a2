//! KMS keys as the catalogue keeps them.

use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::id::KeyId;
use super::state::KeyState;
use super::value::{AliasName, KeyText, TagKey, TagValue};
use crate::backend::BackingKeyId;
use crate::catalog::{Record, Table, base64_text};
use crate::epoch;
use crate::store_id::StoreId;

/// A KMS key.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct KeyRecord {
    pub(crate) id: KeyId,
    pub(crate) store: StoreId,
    /// Milliseconds since the Unix epoch.
    pub(crate) created: i64,
    pub(crate) description: KeyText,
    pub(crate) enabled: bool,
    /// When a scheduled deletion is due.
    pub(crate) deletion: Option<i64>,
    pub(crate) backing: Backing,
}

/// What a KMS key rests on.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Backing {
    External {
        key: BackingKeyId,
        material: SealedMaterial,
    },
    CloudHsm {
        key: BackingKeyId,
        #[serde(with = "base64_text")]
        material_id: Vec<u8>,
    },
}

/// KMS-side material under the key's own wrapping key.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct SealedMaterial {
    #[serde(with = "base64_text")]
    pub(crate) id: Vec<u8>,
    #[serde(with = "base64_text")]
    pub(crate) sealed: Vec<u8>,
}

impl KeyRecord {
    pub(crate) const fn backing_key(&self) -> &BackingKeyId {
        match &self.backing {
            Backing::External { key, .. } | Backing::CloudHsm { key, .. } => key,
        }
    }

    /// What no two keys may have: a key of the key manager serves one KMS key of a store.
    pub(crate) fn claim(store: &StoreId, key: &BackingKeyId) -> String {
        // No id of a backing key has a slash, so that the last one ends that of the store.
        format!("{store}/{key}")
    }

    /// The state as it is seen while the store is connected, or not.
    pub(crate) const fn state(&self, connected: bool) -> KeyState {
        match (self.deletion, connected, self.enabled) {
            (Some(_), ..) => KeyState::PendingDeletion,
            (None, false, _) => KeyState::Unavailable,
            (None, true, true) => KeyState::Enabled,
            (None, true, false) => KeyState::Disabled,
        }
    }

    pub(crate) fn deletion_date(&self) -> Option<SystemTime> {
        self.deletion.map(epoch::from_millis)
    }
}

impl Record for KeyRecord {
    const TABLE: Table = Table::Keys;

    fn id(&self) -> String {
        self.id.to_string()
    }

    fn owner(&self) -> Option<String> {
        Some(self.store.to_string())
    }

    fn unique(&self) -> Option<String> {
        Some(Self::claim(&self.store, self.backing_key()))
    }

    fn due(&self) -> Option<i64> {
        self.deletion
    }
}

/// What the material of a KMS key is sealed under. Its deletion is what deletes the key.
#[derive(Serialize, Deserialize)]
pub(crate) struct WrappingKeyRecord {
    pub(crate) key: KeyId,
    #[serde(with = "base64_text")]
    pub(crate) sealed: Vec<u8>,
}

impl Record for WrappingKeyRecord {
    const TABLE: Table = Table::WrappingKeys;

    fn id(&self) -> String {
        self.key.to_string()
    }
}

/// Another name of a KMS key.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct AliasRecord {
    pub(crate) name: AliasName,
    pub(crate) key: KeyId,
    pub(crate) created: i64,
    pub(crate) updated: i64,
}

impl Record for AliasRecord {
    const TABLE: Table = Table::Aliases;

    fn id(&self) -> String {
        self.name.to_string()
    }

    fn owner(&self) -> Option<String> {
        Some(self.key.to_string())
    }
}

/// A tag of a KMS key.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct TagRecord {
    pub(crate) key: KeyId,
    pub(crate) tag: TagKey,
    pub(crate) value: TagValue,
}

impl TagRecord {
    pub(crate) fn row_id(key: &KeyId, tag: &TagKey) -> String {
        format!("{key}/{tag}")
    }
}

impl Record for TagRecord {
    const TABLE: Table = Table::Tags;

    fn id(&self) -> String {
        Self::row_id(&self.key, &self.tag)
    }

    fn owner(&self) -> Option<String> {
        Some(self.key.to_string())
    }
}

/// A key of the key manager that no KMS key refers to, not yet or not any more.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct OrphanRecord {
    pub(crate) store: StoreId,
    pub(crate) key: KeyId,
    /// `None` when it is unknown whether there is one: it carries the ARN of the KMS key as its label.
    pub(crate) backing_key: Option<BackingKeyId>,
    pub(crate) since: i64,
}

impl Record for OrphanRecord {
    const TABLE: Table = Table::Orphans;

    fn id(&self) -> String {
        self.key.to_string()
    }

    fn owner(&self) -> Option<String> {
        Some(self.store.to_string())
    }
}
