//! What a store is in every state.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use super::attempt::{self, Attempt};
use super::disconnected::UpdateError;
use super::guard::{Shielded, ask};
use super::register::{Kept, Register, keep_failure, unrecorded};
use crate::backend::{
    Backend, Change, ConnectReason, ConnectRequest, ConnectionError, ConnectionErrorCode, CustomKeyStoreType,
    InvalidChange, MemoryVault, RequestId, StoreConfiguration, StoreName, Vault,
};
use crate::catalog::CatalogError;
use crate::clock::Clock;
use crate::key::Keyring;
use crate::store_id::StoreId;

/// What a store is in every state. States hold the rest.
pub(super) struct Core {
    pub(super) id: StoreId,
    pub(super) name: StoreName,
    pub(super) created: SystemTime,
    pub(super) backend: Arc<dyn Backend>,
    /// What the backend says of itself, asked once.
    pub(super) configuration: StoreConfiguration,
    pub(super) vault: Arc<dyn Vault>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) principal: Arc<str>,
    pub(super) limits: Limits,
    /// The KMS keys of the store.
    pub(super) ring: Arc<Keyring>,
    /// Where it is written down what becomes of the store; nowhere, if it is ephemeral.
    pub(super) register: Option<Arc<Register>>,
}

/// How long a store waits for what.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) connect_timeout: Duration,
    pub(super) call_timeout: Duration,
    pub(super) drain_limit: Duration,
    pub(super) close_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(60),
            call_timeout: Duration::from_secs(5),
            drain_limit: Duration::from_secs(5),
            close_timeout: Duration::from_secs(5),
        }
    }
}

impl Core {
    /// A store whose KMS keys are in `ring`.
    pub(super) fn new(
        id: StoreId,
        name: StoreName,
        created: SystemTime,
        backend: Arc<dyn Backend>,
        clock: Arc<dyn Clock>,
        limits: Limits,
        ring: Arc<Keyring>,
    ) -> Self {
        let configuration = backend.configuration();
        ring.set_cluster(configuration.cluster_id());
        Self {
            id,
            name,
            created,
            configuration,
            backend,
            vault: Arc::new(MemoryVault::new()),
            clock,
            principal: "custom-key-store".into(),
            limits,
            ring,
            register: None,
        }
    }

    pub(super) const fn store_type(&self) -> CustomKeyStoreType {
        self.configuration.store_type()
    }

    /// Takes a changed backend. Gives the old one back, to be dropped when the change is whole: its destructor is
    /// foreign code.
    #[must_use]
    pub(super) fn adopt(
        &mut self,
        backend: Arc<dyn Backend>,
        configuration: StoreConfiguration,
    ) -> Arc<dyn Backend> {
        self.ring.set_cluster(configuration.cluster_id());
        self.configuration = configuration;
        std::mem::replace(&mut self.backend, backend)
    }

    pub(super) fn rename(&mut self, name: Option<StoreName>) {
        if let Some(name) = name {
            self.name = name;
        }
    }

    /// An attempt to connect `backend`, which need not be the store's own yet.
    pub(super) fn attempt(&self, backend: &Arc<dyn Backend>, reason: ConnectReason) -> Attempt {
        let request = ConnectRequest {
            reason,
            request_id: RequestId::generate(),
            timeout: self.limits.connect_timeout,
            vault: Arc::clone(&self.vault),
        };
        attempt::connect(self.store_type(), Arc::clone(backend), request, Arc::clone(&self.clock))
    }

    /// An attempt that is written down before it begins, and once more if it fails.
    pub(super) fn recorded_attempt(&self, reason: ConnectReason) -> Attempt {
        let attempt = self.attempt(&self.backend, reason);
        let Some(register) = self.register.clone() else { return attempt };
        let recorded = async move {
            register.keep(Kept::Connected).await.map_err(unrecorded)?;
            keep_failure(&register, attempt.await).await
        };
        Shielded::new(recorded.boxed())
    }

    /// What is written down when the store is being disconnected.
    pub(super) fn recorded_disconnect(&self) -> BoxFuture<'static, Option<CatalogError>> {
        let register = self.register.clone();
        async move { register?.keep(Kept::Disconnected).await.err() }.boxed()
    }

    /// Writes down a change of name and configuration. When this fails nothing has changed, unless the catalogue does not
    /// say.
    pub(super) async fn record_change(
        &self,
        name: Option<&StoreName>,
        configuration: Option<&StoreConfiguration>,
    ) -> Result<(), CatalogError> {
        let Some(register) = &self.register else { return Ok(()) };
        register
            .write(|record| {
                if let Some(name) = name {
                    record.name = name.clone();
                }
                if let Some(configuration) = configuration {
                    record.configuration = configuration.clone();
                }
            })
            .await
    }

    /// The backend with a change applied, and what it says of itself. Nothing is changed here.
    pub(super) fn reconfigured(
        &self,
        change: &Change,
    ) -> Result<(Arc<dyn Backend>, StoreConfiguration), UpdateError> {
        let asked = ask(|| {
            let backend = self.backend.reconfigured(change)?;
            let configuration = backend.configuration();
            Ok::<_, InvalidChange>((backend, configuration))
        });
        match asked {
            Ok(Ok((_, configuration))) if configuration.store_type() != self.store_type() => {
                let error = ConnectionError::new(ConnectionErrorCode::InternalError);
                Err(error.with_detail("the changed backend is of the other store type").into())
            }
            Ok(reconfigured) => Ok(reconfigured?),
            Err(panicked) => Err(ConnectionError::from_call(self.store_type(), panicked.into()).into()),
        }
    }
}

/// What AWS's JSON can say, so that a description equals itself read back.
pub(super) fn to_the_millisecond(time: SystemTime) -> SystemTime {
    // A time before the epoch is a clock that was never set: it reads as the epoch.
    time.duration_since(SystemTime::UNIX_EPOCH).map_or(SystemTime::UNIX_EPOCH, |since| {
        let below = Duration::from_nanos(u64::from(since.subsec_nanos() % 1_000_000));
        time.checked_sub(below).unwrap_or(time)
    })
}

impl fmt::Debug for Core {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Core")
            .field("id", &self.id)
            .field("name", &self.name)
            .field("backend", &self.backend)
            .finish_non_exhaustive()
    }
}
