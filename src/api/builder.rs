//! How an endpoint is set up.

use std::sync::Arc;
use std::time::Duration;

use super::auth::KMS;
use super::callers::{CallerKeyId, CallerResolver};
use super::hosts::Hosts;
use super::service::Shared;
use super::{KmsApi, RateLimit};
use crate::clock::{Clock, SystemClock};
use crate::kms::Kms;
use crate::serve::body::Bodies;
use crate::serve::limit::PeerLimit;
use crate::sigv4::{Scope, Verifier};

/// More than any request needs that custom key stores have, written as wordily as JSON allows.
const LEAST_BODY: usize = 256 * 1024;

/// An endpoint, or a part of one, cannot be set up or changed like this.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum SetupError {
    /// An access key id leads to exactly one secret; this one is there already.
    #[error("there is a caller with the access key id {0} already")]
    CallerExists(CallerKeyId),
    /// The path of the load balancer's check is not a plain path, or that of the protocol.
    #[error("the ping path is not a plain path other than /")]
    PingPath,
    /// One of the hosts can be none, or the list of them is empty.
    #[error(
        "the list of hosts is empty, or one of them is no name or address of one: letters, digits, - and ., and a port if it \
         has one of its own; leave the list out to accept what is signed for any host"
    )]
    Host,
}

/// Sets up a [`KmsApi`]: begun with [`KmsApi::builder`]. What is not set has a sensible value.
#[derive(Debug)]
#[must_use]
pub struct KmsApiBuilder {
    kms: Kms,
    callers: Arc<dyn CallerResolver>,
    resolver_timeout: Duration,
    clock: Arc<dyn Clock>,
    body_limit: usize,
    body_timeout: Duration,
    body_memory: usize,
    peer_limit: Option<RateLimit>,
    ping_path: String,
    hosts: Option<Vec<String>>,
}

impl KmsApiBuilder {
    pub(super) fn new(kms: Kms, callers: Arc<dyn CallerResolver>) -> Self {
        Self {
            kms,
            callers,
            resolver_timeout: Duration::from_secs(2),
            clock: Arc::new(SystemClock),
            body_limit: 1024 * 1024,
            body_timeout: Duration::from_secs(5),
            body_memory: 64 * 1024 * 1024,
            peer_limit: None,
            ping_path: "/ping".to_owned(),
            hosts: None,
        }
    }

    /// Where the time comes from: the recency of signatures, deadlines and limits. The timeouts of
    /// [`serve`](super::serve()) go by tokio's.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// How long it may take to look up who an access key id belongs to, then the answer is `DependencyTimeoutException`:
    /// 2 seconds unless it is set.
    pub const fn resolver_timeout(mut self, timeout: Duration) -> Self {
        self.resolver_timeout = timeout;
        self
    }

    /// The longest body that is read, in bytes: 1 MiB unless it is set, and 256 KiB at least. Longer ones are answered with
    /// the status 413.
    pub fn body_limit(mut self, bytes: usize) -> Self {
        self.body_limit = bytes.max(LEAST_BODY);
        self
    }

    /// The names by which clients know this endpoint, such as `kms.example.com`, with a port or without; requests that are signed
    /// for another host are refused with `InvalidSignatureException`. Unless it is set they may be signed for any: what an
    /// endpoint is called is known to those who call, and behind load balancers and tunnels to them alone. To be set where
    /// callers use the same access key ids at several endpoints of one Region, so that what was sent to one of them cannot be
    /// sent to another within the five minutes for which it holds. An empty list is an error, and does not mean any.
    pub fn hosts<H: Into<String>>(mut self, names: impl IntoIterator<Item = H>) -> Self {
        self.hosts = Some(names.into_iter().map(Into::into).collect());
        self
    }

    /// How long a body may take to arrive: 5 seconds unless it is set.
    pub const fn body_timeout(mut self, timeout: Duration) -> Self {
        self.body_timeout = timeout;
        self
    }

    /// How much memory the bodies of all requests may take together, in bytes: 64 MiB unless it is set. They are read
    /// before a signature can be checked, of whoever names an access key id that there is; what would be beyond is answered with `ThrottlingException`. A body takes 2 KiB at
    /// first, and more only as it arrives. Behind [`serve`](super::serve()) one peer has as large a part of it as it may have
    /// of the [connections](super::ServeOptions::max_connections_per_peer), and enough for one body.
    pub const fn body_memory(mut self, bytes: usize) -> Self {
        self.body_memory = bytes;
        self
    }

    /// How many requests one peer may send, whether it can authenticate or not; networks of IPv6 (/64) count as one peer.
    /// Unlimited unless it is set: behind a load balancer all come from one. Needs the [`Peer`](super::Peer) of each request,
    /// which [`serve`](super::serve()) adds. Questions at the [ping path](Self::ping_path) are not counted.
    ///
    /// It is kept in half a mebibyte, however many peers there are: two of them share a limit with a chance of one in
    /// 65,536, drawn anew at each start, which nobody can bring about.
    pub const fn peer_rate_limit(mut self, limit: RateLimit) -> Self {
        self.peer_limit = Some(limit);
        self
    }

    /// Where a load balancer asks, by GET and without authenticating, whether this server is there: `/ping` unless it is
    /// set. No limit of rate applies; the answer is three bytes, for which nothing is read or asked.
    pub fn ping_path(mut self, path: impl Into<String>) -> Self {
        self.ping_path = path.into();
        self
    }

    /// Whether every caller may do everything, since the [`Kms`] has neither [rules](crate::kms::Rules) nor another
    /// [`Authorizer`](crate::kms::Authorizer). A server should say so where its operator sees it; [`build`](Self::build) says
    /// it to `tracing`.
    #[must_use]
    pub fn every_caller_is_administrator(&self) -> bool {
        !self.kms.has_authorizer()
    }

    /// The endpoint. It accepts signatures for the service `kms` in the Region of the [`Kms`]'s
    /// [identity](Kms::identity).
    ///
    /// # Errors
    ///
    /// [`SetupError::PingPath`] for a path that cannot be asked, [`SetupError::Host`] for a host that can be none, and
    /// for an empty list of them.
    pub fn build(self) -> Result<KmsApi, SetupError> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'/' | b'-' | b'_' | b'.');
        let path = &self.ping_path;
        if !path.starts_with('/') || path == "/" || !path.bytes().all(plain) {
            return Err(SetupError::PingPath);
        }
        let hosts = Hosts::new(self.hosts).ok_or(SetupError::Host)?;
        if !self.kms.has_authorizer() {
            tracing::warn!(
                "no rules: every caller of the KMS endpoint is an administrator of all stores and keys"
            );
        }
        Ok(KmsApi::assemble(Shared {
            verifier: Verifier::new(Scope::new(self.kms.identity().region.clone(), KMS)),
            kms: self.kms,
            callers: self.callers,
            resolver_timeout: self.resolver_timeout,
            bodies: Bodies::new(self.body_limit, self.body_timeout, self.body_memory),
            peers: self.peer_limit.map(|limit| PeerLimit::new(limit, &self.clock)),
            clock: self.clock,
            ping_path: self.ping_path,
            hosts,
        }))
    }
}
