//! The row that says whose catalogue it is, and holds its root key, sealed.

use serde::{Deserialize, Serialize};

use super::base64_text;
use super::contract::Catalog;
use super::error::{CatalogError, CatalogErrorKind};
use super::ledger::{Keys, Record};
use super::row::{Row, Table};
use crate::crypto::{KEY_LEN, RootKey, SealError, Sealer};
use crate::identity::Identity;

/// There is one in a catalogue.
#[derive(Serialize, Deserialize)]
pub(super) struct Root {
    /// Of the rows' bodies: a later release that writes them otherwise counts it up.
    format: u32,
    pub(super) identity: Identity,
    #[serde(with = "base64_text")]
    sealed_root: Vec<u8>,
    /// Whether there is an audit log, so that the row that says where it ends cannot be taken away unseen. Releases that do not
    /// know of it pass it over.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub(super) is_audited: bool,
}

const FORMAT: u32 = 1;
const PURPOSE: &[u8] = b"custom-key-store catalog root key";

impl Root {
    pub(super) const ID: &str = "root";

    pub(super) async fn seal(
        root: &RootKey,
        sealer: &dyn Sealer,
        identity: Identity,
    ) -> Result<Self, CatalogError> {
        let sealed_root = sealer.seal(PURPOSE, root.expose()).await.map_err(refused)?;
        Ok(Self { format: FORMAT, identity, sealed_root, is_audited: false })
    }

    pub(super) async fn read(catalog: &dyn Catalog) -> Result<Option<Row>, CatalogError> {
        catalog.read(Self::TABLE, Self::ID).await
    }

    /// Its code cannot be checked before its key is unsealed.
    pub(super) fn from_row(row: &Row) -> Result<Self, CatalogError> {
        let corrupt = || CatalogError::at(CatalogErrorKind::Corrupt, row.table, row.id.clone());
        let root: Self = serde_json::from_slice(&row.body).map_err(|_| corrupt())?;
        if root.format == FORMAT { Ok(root) } else { Err(CatalogError::new(CatalogErrorKind::NewerSchema)) }
    }

    pub(super) async fn unseal(&self, sealer: &dyn Sealer) -> Result<RootKey, CatalogError> {
        let root = sealer.unseal(PURPOSE, &self.sealed_root).await.map_err(refused)?;
        let bytes: &[u8; KEY_LEN] = root
            .expose()
            .try_into()
            .map_err(|_| CatalogError::at(CatalogErrorKind::Corrupt, Self::TABLE, Self::ID))?;
        Ok(RootKey::new(bytes))
    }

    pub(super) fn row(&self, keys: &Keys, version: u64) -> Result<Row, CatalogError> {
        keys.row(self, version)
    }
}

fn refused(error: SealError) -> CatalogError {
    CatalogError::caused_by(CatalogErrorKind::Sealer, error)
}

impl Record for Root {
    const TABLE: Table = Table::Catalog;

    fn id(&self) -> String {
        Self::ID.to_owned()
    }
}
