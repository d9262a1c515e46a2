//! What a store is in every state.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::FutureExt as _;

use super::attempt::{Attempt, Contact, ProbeReport};
use super::guard::Shielded;
use super::patience::Patience;
use super::register::{Kept, Recording, Register, keep_failure, unrecorded};
use crate::backend::{
    Backend, ConnectReason, ConnectionError, CustomKeyStoreType, MemoryVault, StoreConfiguration, StoreName,
    Telling, Vault,
};
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
    /// When it was told a password last, as far as this process knows. Of a store that is kept its record counts.
    pub(super) telling: Option<Telling>,
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
            telling: None,
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

    /// What `backend` is contacted with, which need not be the store's own yet.
    pub(super) fn contact(&self, backend: &Arc<dyn Backend>) -> Contact {
        let has_password = self.store_type() == CustomKeyStoreType::AwsCloudhsm;
        Contact {
            store_type: self.store_type(),
            backend: Arc::clone(backend),
            vault: Arc::clone(&self.vault),
            telling: self.telling.clone(),
            register: self.register.clone().filter(|_| has_password),
            clock: Arc::clone(&self.clock),
            principal: Arc::clone(&self.principal),
            limits: self.limits,
        }
    }

    /// A dry run of the store as it is.
    pub(super) async fn probe(&self) -> Result<ProbeReport, ConnectionError> {
        let contact = self.contact(&self.backend);
        if let Some(register) = &contact.register {
            // Not being written down, it would not find out by itself what the store was told.
            register.catch_up().await.map_err(unrecorded)?;
        }
        contact.probe(ConnectReason::Probe).await
    }

    /// An attempt that is written down before it begins, and once more if it fails.
    pub(super) fn recorded_attempt(&self, reason: ConnectReason) -> (Attempt, Option<Recording>) {
        let attempt = self.contact(&self.backend).attempt(reason);
        let Some(register) = self.register.clone() else { return (attempt, None) };
        let this = register.next_move();
        let recording = register.recording(this, Kept::Connected);
        let recorded = recording.clone();
        let attempt = async move {
            match recorded.await {
                None => keep_failure(&register, this, attempt.await).await,
                Some(error) => Err(unrecorded(error)),
            }
        };
        (Shielded::new(attempt.boxed()), Some(recording))
    }

    /// An attempt that a restart makes. It is written down already, and once more if it fails.
    pub(super) fn resumed_attempt(&self, patience: Option<Patience>) -> Attempt {
        let (contact, reason) = (self.contact(&self.backend), ConnectReason::Resume);
        let attempt = match patience {
            Some(patience) => patience.attempt(contact, reason),
            None => contact.attempt(reason),
        };
        let Some(register) = self.register.clone() else { return attempt };
        let this = register.next_move();
        Shielded::new(async move { keep_failure(&register, this, attempt.await).await }.boxed())
    }

    /// What is written down when the store is being disconnected, if it is kept.
    pub(super) fn recorded_disconnect(&self) -> Option<Recording> {
        let register = self.register.as_ref()?;
        Some(register.recording(register.next_move(), Kept::Disconnected))
    }

    /// The same once more, of a store that is disconnected or being so, for when it could not be written down.
    pub(super) fn recorded_disconnect_again(&self) -> Option<Recording> {
        let register = self.register.as_ref()?;
        Some(register.recording(register.latest_move(), Kept::Disconnected))
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
