//! What a backend writes down, in the catalogue.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::backend::{BackendError, BackendErrorKind, Vault};
use crate::catalog::{CatalogError, Ledger, Record, Stored, Table, base64_text};
use crate::secret::SecretBytes;
use crate::store_id::StoreId;

/// The sealed record of a backend, in the catalogue.
#[derive(Serialize, Deserialize)]
pub(super) struct VaultRecord {
    store: StoreId,
    #[serde(with = "base64_text")]
    sealed: Vec<u8>,
}

impl Record for VaultRecord {
    const TABLE: Table = Table::Vaults;

    fn id(&self) -> String {
        self.store.to_string()
    }

    /// So that a commit can require that there is none.
    fn owner(&self) -> Option<String> {
        Some(self.store.to_string())
    }
}

/// Keeps the one secret that a backend changes by itself.
pub(in crate::store) struct LedgerVault {
    ledger: Ledger,
    store: StoreId,
}

impl LedgerVault {
    pub(in crate::store) fn new(ledger: &Ledger, store: &StoreId) -> Arc<Self> {
        Arc::new(Self { ledger: ledger.clone(), store: store.clone() })
    }

    async fn stored(&self) -> Result<Option<Stored<VaultRecord>>, BackendError> {
        self.ledger.read(self.store.as_str()).await.map_err(failed)
    }
}

#[async_trait::async_trait]
impl Vault for LedgerVault {
    async fn read(&self) -> Result<Option<SecretBytes>, BackendError> {
        let Some(stored) = self.stored().await? else { return Ok(None) };
        let unsealed = self.ledger.unseal(Table::Vaults, self.store.as_str(), &stored.record.sealed);
        unsealed.map(Some).map_err(failed)
    }

    async fn write(&self, record: SecretBytes) -> Result<(), BackendError> {
        let sealed = self.ledger.seal(Table::Vaults, self.store.as_str(), record.expose());
        let record = VaultRecord { store: self.store.clone(), sealed };
        let edit = match self.stored().await? {
            Some(old) => self.ledger.replace(old.version, &record),
            None => self.ledger.insert(&record),
        };
        self.ledger.commit(vec![edit.map_err(failed)?]).await.map_err(failed)
    }

    fn is_durable(&self) -> bool {
        self.ledger.is_durable()
    }
}

fn failed(error: CatalogError) -> BackendError {
    BackendError::new(BackendErrorKind::Internal)
        .with_detail("the catalogue of the custom key store failed")
        .with_source(error)
}

impl fmt::Debug for LedgerVault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LedgerVault").field("store", &self.store).finish_non_exhaustive()
    }
}
