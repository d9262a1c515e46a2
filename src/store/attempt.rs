//! One attempt to connect, with its deadline and its panics.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;

use super::core::Core;
use super::guard::{Shielded, answer};
use super::live::close;
use super::report::Goodbye;
use crate::backend::{
    Backend, BackendError, ConnectReason, ConnectRequest, Connection, ConnectionError, CustomKeyStoreType,
    Health, HealthRequest, HealthStatus, RequestId, RequestMetadata,
};
use crate::clock::Clock;

/// A connection attempt under way. Not spawned: dropping it ends it.
pub(super) type Attempt = Shielded<'static, Result<Arc<dyn Connection>, ConnectionError>>;

/// Connects within the request's timeout; a panic and the end of patience are errors like others.
pub(super) fn connect(
    store_type: CustomKeyStoreType,
    backend: Arc<dyn Backend>,
    request: ConnectRequest,
    clock: Arc<dyn Clock>,
) -> Attempt {
    let attempt = async move {
        let work = async { backend.connect(&request).await }.boxed();
        match answer(&*clock, request.timeout, work).await {
            Ok(outcome) => outcome.map_err(|error| error.of_store_type(store_type)),
            Err(lost) => Err(ConnectionError::from_call(store_type, lost.into())),
        }
    };
    Shielded::new(attempt.boxed())
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

/// Connects `backend`, asks for its health and says goodbye.
///
/// Dropping the future drops the connection with it.
pub(super) async fn probe(
    core: &Core,
    backend: &Arc<dyn Backend>,
    reason: ConnectReason,
) -> Result<ProbeReport, ConnectionError> {
    let clock = &*core.clock;
    let since = |start: Instant| clock.monotonic().saturating_duration_since(start);
    let store_type = core.store_type();

    let started = clock.monotonic();
    let connection = core.attempt(backend, reason).await?;
    let connecting = since(started);

    let started = clock.monotonic();
    let health = ask_health(core, &*connection, reason).await;
    let answering = since(started);

    let goodbye = close(clock, core.limits.close_timeout, &*connection).await;
    drop(connection);
    let health = health.map_err(|error| ConnectionError::from_call(store_type, error))?;
    if health.status() == HealthStatus::Unavailable {
        return Err(ConnectionError::nobody_serves(store_type));
    }
    Ok(ProbeReport { connecting, health, answering, goodbye })
}

async fn ask_health(
    core: &Core,
    connection: &dyn Connection,
    reason: ConnectReason,
) -> Result<Health, BackendError> {
    let (operation, request_id) = (reason.operation(), RequestId::generate());
    let request = HealthRequest::new(RequestMetadata::new(&core.principal, &operation, &request_id));
    let work = async { connection.health(&request).await }.boxed();
    answer(&*core.clock, core.limits.call_timeout, work).await.unwrap_or_else(|lost| Err(lost.into()))
}
