//! Where a backend keeps the one secret that it changes by itself.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;

use super::BackendError;
use crate::secret::SecretBytes;

/// One sealed record that belongs to a backend, in the keeping of its store.
///
/// A backend that changes a password while it connects must know, after a crash at any point, which passwords
/// may be in force. It writes that here before it acts. What the record holds is the backend's own affair.
///
/// # For implementers
///
/// [`write`](Self::write) replaces the whole record atomically and returns only when it is durable, as far as
/// the keeper promises durability at all. Dropping its future leaves the old record or the new one. `Debug` does
/// not show the record.
#[async_trait]
pub trait Vault: fmt::Debug + Send + Sync + 'static {
    /// The record; `None` when none was ever written.
    ///
    /// # Errors
    ///
    /// [`Internal`](super::BackendErrorKind::Internal) when the keeper cannot read or unseal it.
    async fn read(&self) -> Result<Option<SecretBytes>, BackendError>;

    /// Replaces the record.
    ///
    /// # Errors
    ///
    /// [`Internal`](super::BackendErrorKind::Internal) when the keeper cannot store it: the old record stays.
    async fn write(&self, record: SecretBytes) -> Result<(), BackendError>;

    /// Whether the record outlives this process. A password is not changed to one that would be lost with it.
    fn is_durable(&self) -> bool;
}

/// An `Arc` of a vault is that vault.
#[async_trait]
impl<V: Vault + ?Sized> Vault for Arc<V> {
    async fn read(&self) -> Result<Option<SecretBytes>, BackendError> {
        (**self).read().await
    }

    async fn write(&self, record: SecretBytes) -> Result<(), BackendError> {
        (**self).write(record).await
    }

    fn is_durable(&self) -> bool {
        (**self).is_durable()
    }
}

/// A vault in memory, for a store that has no catalogue: the record dies with it.
#[derive(Default)]
pub struct MemoryVault(Mutex<Option<SecretBytes>>);

impl MemoryVault {
    /// An empty vault.
    #[must_use]
    pub const fn new() -> Self {
        Self(Mutex::new(None))
    }
}

#[async_trait]
impl Vault for MemoryVault {
    async fn read(&self) -> Result<Option<SecretBytes>, BackendError> {
        Ok(self.0.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }

    async fn write(&self, record: SecretBytes) -> Result<(), BackendError> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(record);
        Ok(())
    }

    fn is_durable(&self) -> bool {
        false
    }
}

impl fmt::Debug for MemoryVault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryVault").finish_non_exhaustive()
    }
}
