//! What a catalogue has to do with the audit log that belongs to it.

use std::sync::atomic::Ordering;

use zeroize::Zeroizing;

use super::Ledger;
use crate::catalog::edit::Edit;
use crate::catalog::error::{CatalogError, CatalogErrorKind};
use crate::catalog::root::Root;
use crate::crypto::KEY_LEN;

impl Ledger {
    /// Takes the audit log, of which there is one; `None` while somebody else has it.
    pub(crate) fn claim_audit(&self) -> Option<AuditClaim> {
        (!self.0.audited.swap(true, Ordering::AcqRel)).then(|| AuditClaim { ledger: self.clone() })
    }

    /// Whether there is an audit log, or was one, whatever has become of the row that says where it ends.
    pub(crate) async fn is_audited(&self) -> Result<bool, CatalogError> {
        Ok(self.root().await?.is_some_and(|(root, _)| root.is_audited))
    }

    /// What says so from now on, unless it is said.
    pub(crate) async fn mark_audited(&self) -> Result<Option<Edit>, CatalogError> {
        let Some((mut root, version)) = self.root().await? else { return Ok(None) };
        if root.is_audited {
            return Ok(None);
        }
        root.is_audited = true;
        Ok(Some(Edit::Replace(root.row(&self.0.keys, version + 1)?)))
    }

    /// The root row with its version; one that dies with the process has none.
    async fn root(&self) -> Result<Option<(Root, u64)>, CatalogError> {
        match self.root_row().await {
            Ok(row) => Ok(Some((Root::from_row(&row)?, row.version))),
            Err(error) if error.kind() == CatalogErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The key of the codes of an audit log.
    pub(crate) fn audit_key(&self) -> Zeroizing<[u8; KEY_LEN]> {
        self.0.keys.root.derive("custom-key-store audit chain v1", &[])
    }
}

/// The audit log is somebody's, until this is dropped.
pub(crate) struct AuditClaim {
    ledger: Ledger,
}

impl Drop for AuditClaim {
    fn drop(&mut self) {
        self.ledger.0.audited.store(false, Ordering::Release);
    }
}
