//! How a proxy is described.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::clock::TokioClock;
use super::connector::Reach;
use super::counters::XksCounters;
use super::pool::PoolLimits;
use super::proxy::{Limits, XksProxy};
use super::tls::{self, ClientCertificate, TrustRoots};
use crate::backend::{
    AccountId, UriEndpoint, UriPath, VpcEndpointServiceName, XksProxyConfiguration, XksProxyCredential,
};
use crate::clock::Clock;
use crate::xks::Region;

/// What AWS KMS gives a proxy for one call, everything included.
const DEADLINE: Duration = Duration::from_millis(250);
/// Room for a lost packet or two: TCP sends its first anew after one second and after three.
const CONNECT_DEADLINE: Duration = Duration::from_secs(5);
/// Shorter than load balancers and servers keep an idle connection (60 seconds and more), so that it is we who close.
const IDLE_TIMEOUT: Duration = Duration::from_secs(50);
const MAX_IDLE: usize = 64;

/// Describes an [`XksProxy`]; made by [`XksProxy::builder`].
///
/// Four settings are required: [`endpoint`](Self::endpoint), [`path`](Self::path), [`credential`](Self::credential)
/// and [`region`](Self::region).
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct XksProxyBuilder {
    endpoint: Option<UriEndpoint>,
    path: Option<UriPath>,
    credential: Option<XksProxyCredential>,
    region: Option<Region>,
    service: Option<(VpcEndpointServiceName, Option<AccountId>)>,
    dial: Option<SocketAddr>,
    public_only: bool,
    plain: Option<SocketAddr>,
    roots: TrustRoots,
    certificate: Option<ClientCertificate>,
    deadline: Option<Duration>,
    connect_deadline: Option<Duration>,
    max_idle: Option<usize>,
    idle_timeout: Option<Duration>,
    retries: Option<u8>,
    clock: Option<Arc<dyn Clock>>,
}

impl XksProxyBuilder {
    /// Where the proxy is. Required. The port is 443, and the proxy's certificate must be of this host name.
    pub fn endpoint(mut self, endpoint: UriEndpoint) -> Self {
        self.endpoint = Some(endpoint);
        self
    }

    /// The path under which the proxy offers the protocol. Required.
    pub fn path(mut self, path: UriPath) -> Self {
        self.path = Some(path);
        self
    }

    /// What requests are signed with. Required.
    pub fn credential(mut self, credential: XksProxyCredential) -> Self {
        self.credential = Some(credential);
        self
    }

    /// The Region that requests are signed for: that of the store. Required.
    pub fn region(mut self, region: Region) -> Self {
        self.region = Some(region);
        self
    }

    /// The proxy is reached through this VPC endpoint service, of this account unless it is the store's own.
    /// Default: a public endpoint.
    ///
    /// It is what the store's description says; nothing else depends on it. The endpoint is the service's private
    /// DNS name.
    pub fn vpc_endpoint_service(mut self, name: VpcEndpointServiceName, owner: Option<AccountId>) -> Self {
        self.service = Some((name, owner));
        self
    }

    /// Connects to this address instead of asking where the endpoint's host is. The host name stays what is
    /// signed, what TLS asks for and what the certificate must name.
    pub const fn dial(mut self, address: SocketAddr) -> Self {
        self.dial = Some(address);
        self
    }

    /// Connects to public addresses of the Internet alone. For servers in which a caller names the endpoint, who could
    /// otherwise reach with it what only the server can reach. Default: to any address.
    ///
    /// When the host's name leads to an address of this machine (loopback), a private, shared, link-local or unique local
    /// one, one that is unspecified, reserved, multicast, for documents or benchmarks, or to one of IPv6 that stands for
    /// such a one of IPv4, be it one of several, no connection is made. That is
    /// [`Unreachable`](crate::backend::BackendErrorKind::Unreachable), and when connecting
    /// [`XksProxyNotReachable`](crate::backend::ConnectionErrorCode::XksProxyNotReachable), with a detail that says so. The
    /// addresses that were looked at are those that are connected to.
    ///
    /// A [`dial`](Self::dial) address is yours and not the caller's, and may be any. Public addresses of this machine or of
    /// its networks are public: keeping these apart is a firewall's affair.
    pub const fn public_addresses_only(mut self) -> Self {
        self.public_only = true;
        self
    }

    /// Whose certificates are trusted. Default: [`TrustRoots::system`].
    ///
    /// AWS KMS trusts a published list of public authorities, which is narrower than most systems'.
    pub fn trust_roots(mut self, roots: TrustRoots) -> Self {
        self.roots = roots;
        self
    }

    /// What to show a proxy that asks for a certificate. Default: nothing.
    pub fn client_certificate(mut self, certificate: ClientCertificate) -> Self {
        self.certificate = Some(certificate);
        self
    }

    /// How long a call may take, with a new network connection and retries where they are needed; then it is
    /// [`TimedOut`](crate::backend::BackendErrorKind::TimedOut). Default: 250 milliseconds, as in AWS KMS.
    pub const fn deadline(mut self, limit: Duration) -> Self {
        self.deadline = Some(limit);
        self
    }

    /// How long the first network connection of a [`connect`](crate::backend::Backend::connect) may take, name
    /// lookup and TLS included, before the health check on it, which has the [`deadline`](Self::deadline) of any
    /// call. Default: 5 seconds.
    ///
    /// Longer than the deadline, since it is needed once: a store should not be `FAILED` because of one lost packet.
    /// The store's own connect timeout bounds both.
    pub const fn connect_deadline(mut self, limit: Duration) -> Self {
        self.connect_deadline = Some(limit);
        self
    }

    /// How many idle network connections are kept. There is no limit of those in use: each call has one. Default: 64.
    pub const fn max_idle_connections(mut self, number: usize) -> Self {
        self.max_idle = Some(number);
        self
    }

    /// After how long an idle network connection is used no more. It is closed with the next call, since nothing
    /// happens in between. Default: 50 seconds.
    pub const fn idle_timeout(mut self, limit: Duration) -> Self {
        self.idle_timeout = Some(limit);
        self
    }

    /// How often a request is sent again, on a new network connection, when one breaks before a byte of the answer
    /// has come; for instance because the proxy had closed it while it was idle. Default: once.
    ///
    /// Within the deadline of the call. Never done after an answer, be it an error, nor when no connection can be
    /// made. All four operations can be repeated without harm.
    pub const fn retries(mut self, times: u8) -> Self {
        self.retries = Some(times);
        self
    }

    /// Where the time of signatures, deadlines and counters comes from. Default: the machine's clock and tokio's
    /// timer.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Some(Arc::new(clock));
        self
    }

    /// **Dangerous.** Speaks plain HTTP with this address, which must be a loopback address: without TLS nobody
    /// proves who they are, and every plaintext can be read on the way. For tests and experiments on one machine.
    ///
    /// The endpoint remains what is signed. [`dial`](Self::dial), trust roots and client certificate are ignored.
    pub const fn dangerous_plain_http_on_loopback(mut self, address: SocketAddr) -> Self {
        self.plain = Some(address);
        self
    }

    /// The proxy, as a [`Backend`](crate::backend::Backend). Contacts nobody, but reads the system's trust roots
    /// from its files where these are wanted, and neither this builder, nor one that it was cloned from or into, nor
    /// another with the same [`TrustRoots`] has read them.
    ///
    /// # Errors
    ///
    /// [`InvalidSetup`], which names the setting that is missing or wrong.
    pub fn build(self) -> Result<XksProxy, InvalidSetup> {
        let missing = |setting| move || InvalidSetup::Missing { setting };
        let endpoint = self.endpoint.ok_or_else(missing("endpoint"))?;
        let path = self.path.ok_or_else(missing("path"))?;
        let credential = self.credential.ok_or_else(missing("credential"))?;
        let region = self.region.ok_or_else(missing("region"))?;

        let reach = match self.plain {
            Some(address) if !address.ip().is_loopback() => {
                return Err(InvalidSetup::NotLoopback { address });
            }
            Some(address) => Reach::PlainOnLoopback(address),
            None => Reach::Tls {
                config: tls::configuration(&self.roots, self.certificate.as_ref())?,
                dial: self.dial,
                public_only: self.public_only,
            },
        };

        let mut configuration =
            XksProxyConfiguration::public(endpoint, path, credential.access_key_id.clone());
        if let Some((name, owner)) = self.service {
            configuration = configuration.through_vpc_endpoint_service(name, owner);
        }
        let limits = Limits {
            deadline: self.deadline.unwrap_or(DEADLINE),
            connect_deadline: self.connect_deadline.unwrap_or(CONNECT_DEADLINE),
            pool: PoolLimits {
                max_idle: self.max_idle.unwrap_or(MAX_IDLE),
                idle_timeout: self.idle_timeout.unwrap_or(IDLE_TIMEOUT),
            },
            retries: self.retries.unwrap_or(1),
        };
        let clock = self.clock.unwrap_or_else(|| Arc::new(TokioClock));
        let credential_since = clock.wall();
        let counters = XksCounters::new(credential_since);
        Ok(XksProxy {
            configuration,
            credential,
            credential_since,
            region,
            reach,
            limits,
            clock,
            counters,
            lookups: Arc::default(),
        })
    }
}

/// An [`XksProxy`] cannot be built from these settings. The caller's fault.
///
/// Holds no secret: what is wrong with a key is said without quoting it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidSetup {
    /// A required setting was not given.
    #[error("the setting {setting} is missing")]
    Missing {
        /// The builder's method of this name.
        setting: &'static str,
    },
    /// Plain HTTP was asked for with an address that is not on this machine.
    #[error("plain HTTP is for loopback addresses alone, and {address} is none")]
    NotLoopback {
        /// The address.
        address: SocketAddr,
    },
    /// The trust roots cannot be used.
    #[error("the trust roots are unusable: {reason}")]
    TrustRoots {
        /// Why not.
        reason: &'static str,
    },
    /// The client's certificate cannot be used.
    #[error("the client certificate is unusable: {reason}")]
    ClientCertificate {
        /// Why not.
        reason: &'static str,
    },
}
