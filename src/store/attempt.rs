//! Attempts to connect, with their deadlines and their panics.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;

use super::core::Limits;
use super::guard::{Shielded, answer};
use super::live::close;
use super::register::Register;
use super::report::Goodbye;
use crate::backend::{
    Backend, BackendError, ConnectReason, ConnectRequest, Connection, ConnectionError, ConnectionErrorCode,
    CustomKeyStoreType, Health, HealthRequest, HealthStatus, RequestId, RequestMetadata, Telling, Vault,
};
use crate::catalog::CatalogError;
use crate::clock::Clock;

/// A connection attempt under way. Not spawned: dropping it ends it.
pub(super) type Attempt = Shielded<'static, Result<Arc<dyn Connection>, ConnectionError>>;

/// What a key manager is contacted with on behalf of a store, apart from the store.
pub(super) struct Contact {
    pub(super) store_type: CustomKeyStoreType,
    pub(super) backend: Arc<dyn Backend>,
    pub(super) vault: Arc<dyn Vault>,
    /// What a store that is not kept was told.
    pub(super) telling: Option<Telling>,
    /// Where it is written down what a store was told that is.
    pub(super) register: Option<Arc<Register>>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) principal: Arc<str>,
    pub(super) limits: Limits,
}

impl Contact {
    /// Connects within the connect timeout; a panic and the end of patience are errors like others.
    pub(super) fn attempt(&self, reason: ConnectReason) -> Attempt {
        let mut request = ConnectRequest {
            reason,
            request_id: RequestId::generate(),
            timeout: self.limits.connect_timeout,
            vault: Arc::clone(&self.vault),
            telling: self.telling.clone(),
        };
        let register = self.register.clone();
        let (store_type, backend) = (self.store_type, Arc::clone(&self.backend));
        let clock = Arc::clone(&self.clock);
        let attempt = async move {
            // Not before the attempt is written down, by which is known what an update did that was cut off: it may have told
            // the store a password, be it this one.
            if let Some(register) = register {
                request.telling = register.telling().map_err(untold)?;
            }
            let work = async { backend.connect(&request).await }.boxed();
            match answer(&*clock, request.timeout, work).await {
                Ok(outcome) => outcome.map_err(|error| error.of_store_type(store_type)),
                Err(lost) => Err(ConnectionError::from_call(store_type, lost.into())),
            }
        };
        Shielded::new(attempt.boxed())
    }

    /// A dry run: connects, asks for the health and says goodbye.
    ///
    /// Dropping the future drops the connection with it.
    pub(super) async fn probe(&self, reason: ConnectReason) -> Result<ProbeReport, ConnectionError> {
        let clock = &*self.clock;
        let since = |start: Instant| clock.monotonic().saturating_duration_since(start);

        let started = clock.monotonic();
        let connection = self.attempt(reason).await?;
        let connecting = since(started);

        let started = clock.monotonic();
        let health = self.ask_health(&*connection, reason).await;
        let answering = since(started);

        let goodbye = close(clock, self.limits.close_timeout, &*connection).await;
        drop(connection);
        let health = health.map_err(|error| ConnectionError::from_call(self.store_type, error))?;
        if health.status() == HealthStatus::Unavailable {
            return Err(ConnectionError::nobody_serves(self.store_type));
        }
        Ok(ProbeReport { connecting, health, answering, goodbye })
    }

    async fn ask_health(
        &self,
        connection: &dyn Connection,
        reason: ConnectReason,
    ) -> Result<Health, BackendError> {
        let (operation, request_id) = (reason.operation(), RequestId::generate());
        let request = HealthRequest::new(RequestMetadata::new(&self.principal, &operation, &request_id));
        let work = async { connection.health(&request).await }.boxed();
        answer(&*self.clock, self.limits.call_timeout, work).await.unwrap_or_else(|lost| Err(lost.into()))
    }
}

/// What the store was told is not known.
fn untold(error: CatalogError) -> ConnectionError {
    ConnectionError::new(ConnectionErrorCode::InternalError)
        .with_detail(format!("which password the store was told could not be read, since {error}"))
        .with_source(error)
}

/// What a dry run found.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ProbeReport {
    /// How long connecting took.
    pub connecting: Duration,
    /// How the key manager is.
    pub health: Health,
    /// How long it took to say so.
    pub answering: Duration,
    /// How the goodbye went.
    pub goodbye: Goodbye,
}
