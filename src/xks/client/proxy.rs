//! A proxy as a backend.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use tokio::runtime::Handle;

use super::builder::XksProxyBuilder;
use super::connection::XksConnection;
use super::connector::{Connector, NO_RUNTIME, Reach};
use super::counters::XksCounters;
use super::lookup::Lookups;
use super::pool::{Pool, PoolLimits};
use super::transport::Transport;
use crate::backend::{
    Backend, BackendError, BackendErrorKind, Change, ConnectRequest, Connection, ConnectionError,
    ConnectionErrorCode, CustomKeyStoreType, HealthRequest, HealthStatus, InvalidChange, RequestMetadata,
    StoreConfiguration, XksProxyConfiguration, XksProxyCredential,
};
use crate::clock::{Clock, within};
use crate::secret::SecretBytes;
use crate::sigv4::Signer;
use crate::xks::Region;
use crate::xks::scope::scope;

/// An external key store proxy: the [`Backend`] that reaches a key manager over the XKS proxy API, version 1, by
/// HTTPS.
///
/// ```
/// use custom_key_store::backend::{UriEndpoint, UriPath, XksProxyCredential};
/// use custom_key_store::xks::{Region, TrustRoots, XksProxy};
/// use custom_key_store::{KeyStore, StoreName};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let rcgen = rcgen::generate_simple_self_signed(["proxy.example.com".to_owned()])?;
/// # let authority = rcgen.cert.pem();
/// # let credential = XksProxyCredential::generate()?;
/// let proxy = XksProxy::builder()
///     .endpoint(UriEndpoint::new("https://proxy.example.com")?)
///     .path(UriPath::new("/tenant-a/kms/xks/v1")?)
///     .credential(credential)
///     .region(Region::new("us-east-1")?)
///     .trust_roots(TrustRoots::from_pem(authority.as_bytes())?)
///     .build()?;
/// let counters = proxy.counters();
///
/// let store = KeyStore::ephemeral(StoreName::new("root keys")?, proxy);
/// // let store = store.connect().await?;
/// assert_eq!(counters.counts().requests, 0);
/// # drop(store);
/// # Ok(()) }
/// ```
///
/// # Runtime
///
/// Connecting and every call need a tokio runtime around them, with I/O and time enabled. Without a runtime, connecting
/// fails with [`InternalError`](ConnectionErrorCode::InternalError) and a call with
/// [`InvalidRequest`](BackendErrorKind::InvalidRequest), whose detail says so; nothing is tried or counted. In one
/// without time, tokio's timer panics; that is caught, and what is not there at once has
/// [timed out](BackendErrorKind::TimedOut). In one without I/O, tokio panics out of the call. No task is spawned on the
/// runtime. A network connection belongs to the runtime in which it was opened, which has to be running still.
///
/// A host name is looked up on one of the runtime's blocking threads, with the system's resolver, which cannot be
/// stopped: where name servers are dead, a look-up outlives the call that gave it up. Calls share a look-up that began
/// less than a second ago, and a proxy has at most four under way, those of all its clones and connections together, so
/// that dead name servers do not use up the runtime's threads, however often it is connected. A
/// [`dial`](XksProxyBuilder::dial) address needs none.
///
/// # Connecting
///
/// `connect` opens a network connection and asks for the proxy's health, with the operation of the request's
/// [reason](crate::backend::ConnectReason::operation): so address, TLS, path and credential are proven, and that a
/// key manager serves.
///
/// # Calls
///
/// Each call is one signed POST over HTTP/1.1, on a network connection that carries no other meanwhile; connections are
/// kept for later calls. When nothing at all is heard on a kept connection within a call's deadline, those that were
/// idle all the while are not tried any more: a peer that has vanished costs the calls in flight, and not one for each
/// idle connection. It is this deadline alone that notices: a call that its caller drops earlier, because of a shorter
/// limit of his own or of the store's, teaches nothing. Redirects are not followed, nothing is compressed, and an
/// answer may have 65,536 bytes of body. A call ends within the [deadline](XksProxyBuilder::deadline).
///
/// The protocol demands the ARN of a KMS key with each encryption and decryption. Where the request has none, the
/// client sends `arn:aws:kms:<Region>:000000000000:key/<backing key id>`, so that the proxy's log tells the key.
///
/// | what happens | [`BackendErrorKind`] |
/// |---|---|
/// | the proxy answers with an `errorName` | that of the name |
/// | no address, no TCP connection, or one that breaks | `Unreachable` |
/// | no TLS session: version, suite, either side's certificate, plain HTTP on the port | `InvalidTls` |
/// | no answer within the deadline | `TimedOut` |
/// | an answer that is malformed, too large, cut off, not JSON or no success without an `errorName` | `InvalidResponse` |
/// | a key whose URI would have more than 256 characters | `InvalidRequest`; nothing is sent |
/// | a request with more than 65,536 bytes of body | `Unsupported`; nothing is sent |
/// | no tokio runtime | `InvalidRequest`; nothing is sent |
///
/// Their [detail](BackendError::detail) and source say more, and hold neither headers nor bodies.
///
/// # Secrets
///
/// The credential, and plaintexts in bodies that this crate makes, are wiped from memory when they are no longer
/// needed. The buffers of HTTP, TLS and the operating system, which also carry plaintexts, are not.
///
/// # Changing
///
/// [`reconfigured`](Backend::reconfigured) gives a proxy with the changes that shares trust roots, TLS sessions, client
/// certificate, counters and, for the same endpoint, look-ups with this one, and neither network connections nor
/// signing keys. A [`dial`](XksProxyBuilder::dial) address stays, unless the endpoint becomes another, whose address it
/// is not; that [only public addresses](XksProxyBuilder::public_addresses_only) are connected to stays in any case. A proxy on plain HTTP has no other endpoint: changing that is [`Unsupported`](InvalidChange::Unsupported).
///
/// # Closing
///
/// [`close`](Connection::close), like dropping the connection, closes the idle network connections at once; those in use
/// are closed when their call ends. The protocol has no goodbye.
#[derive(Clone)]
pub struct XksProxy {
    pub(super) configuration: XksProxyConfiguration,
    pub(super) credential: XksProxyCredential,
    pub(super) credential_since: SystemTime,
    pub(super) region: Region,
    pub(super) reach: Reach,
    pub(super) limits: Limits,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) counters: XksCounters,
    /// Of the endpoint's host, for all connections: whoever connects in a loop would otherwise begin them anew.
    pub(super) lookups: Arc<Lookups>,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) deadline: Duration,
    pub(super) connect_deadline: Duration,
    pub(super) pool: PoolLimits,
    pub(super) retries: u8,
}

impl XksProxy {
    /// Describes a proxy.
    pub fn builder() -> XksProxyBuilder {
        XksProxyBuilder::default()
    }

    /// What the proxy's connections count; see there.
    #[must_use]
    pub fn counters(&self) -> XksCounters {
        self.counters.clone()
    }

    fn signer(&self) -> Signer {
        let XksProxyCredential { access_key_id, secret_access_key, .. } = &self.credential;
        let secret = SecretBytes::from(secret_access_key.expose());
        Signer::new(access_key_id.as_str(), secret, scope(self.region.clone()))
    }

    fn connection(&self) -> XksConnection {
        let transport = Transport {
            connector: Connector {
                endpoint: self.configuration.uri_endpoint.clone(),
                reach: self.reach.clone(),
                lookups: Arc::clone(&self.lookups),
                counters: self.counters.clone(),
            },
            pool: Pool::new(self.limits.pool),
            signer: self.signer(),
            clock: Arc::clone(&self.clock),
            deadline: self.limits.deadline,
            retries: self.limits.retries,
        };
        XksConnection { transport, path: self.configuration.uri_path.clone(), region: self.region.clone() }
    }

    /// Opens a first connection, then proves with it that the proxy serves (XKS-C-58).
    async fn open(&self, request: &ConnectRequest) -> Result<XksConnection, ConnectionError> {
        let from_call = |error| ConnectionError::from_call(CustomKeyStoreType::ExternalKeyStore, error);
        let connection = self.connection();
        let limit = self.limits.connect_deadline;
        match within(&*self.clock, limit, connection.transport.warm_up()).await {
            Some(Ok(())) => {}
            Some(Err(error)) => return Err(from_call(error)),
            None => return Err(from_call(too_slow("no connection was made in time"))),
        }
        let operation = request.reason.operation();
        // A health check is on nobody's behalf: the principal is not sent (XKS-C-30).
        let metadata = RequestMetadata::new("", &operation, &request.request_id);
        let health = connection.health(&HealthRequest::new(metadata)).await.map_err(from_call)?;
        if health.status() == HealthStatus::Unavailable {
            // XKS-C-63
            return Err(ConnectionError::nobody_serves(CustomKeyStoreType::ExternalKeyStore));
        }
        Ok(connection)
    }
}

#[async_trait]
impl Backend for XksProxy {
    fn configuration(&self) -> StoreConfiguration {
        StoreConfiguration::External(self.configuration.clone())
    }

    fn reconfigured(&self, change: &Change) -> Result<Arc<dyn Backend>, InvalidChange> {
        let StoreConfiguration::External(configuration) = change.apply_to(&self.configuration())? else {
            // The type of a configuration does not change.
            return Err(InvalidChange::Unsupported { property: "CustomKeyStoreType" });
        };
        let mut changed = Self { configuration, ..self.clone() };
        if let Some(credential) = &change.credential {
            changed.credential = credential.clone();
            changed.credential_since = self.clock.wall();
        }
        if changed.configuration.uri_endpoint != self.configuration.uri_endpoint {
            changed.lookups = Arc::default();
            match &mut changed.reach {
                Reach::Tls { dial, config: _, public_only: _ } => *dial = None,
                Reach::PlainOnLoopback(_) => {
                    return Err(InvalidChange::Unsupported { property: "XksProxyUriEndpoint" });
                }
            }
        }
        Ok(Arc::new(changed))
    }

    async fn connect(&self, request: &ConnectRequest) -> Result<Arc<dyn Connection>, ConnectionError> {
        if let Err(error) = Handle::try_current() {
            // Our own side's fault, which none of the proxy's codes says.
            let error = ConnectionError::new(ConnectionErrorCode::InternalError).with_source(error);
            return Err(error.with_detail(NO_RUNTIME));
        }
        let opened = within(&*self.clock, request.timeout, self.open(request)).await;
        let connection = opened.unwrap_or_else(|| {
            let error = too_slow("connecting took longer than the store allows");
            Err(ConnectionError::from_call(CustomKeyStoreType::ExternalKeyStore, error))
        })?;
        // Only now is it certain that the credential is the one in use: a refused change leaves the old.
        self.counters.credential_is_used(self.credential_since);
        Ok(Arc::new(connection))
    }
}

fn too_slow(detail: &'static str) -> BackendError {
    BackendError::new(BackendErrorKind::TimedOut).with_detail(detail)
}

impl fmt::Debug for XksProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("XksProxy")
            .field("configuration", &self.configuration)
            .field("region", &self.region)
            .field("reach", &self.reach)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}
