//! How a proxy is set up.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;

use super::service::Shared;
use super::{Proxy, RateLimit, SetupError, Tenant};
use crate::backend::ProxyDescription;
use crate::clock::{Clock, SystemClock};
use crate::serve::body::Bodies;
use crate::serve::limit::PeerLimit;
use crate::xks::path;
use crate::xks::wire::{MAX_BODY_LEN, SizeLimits};

/// The largest request that the protocol has, in bytes.
const LARGEST_LEGAL_BODY: usize = 21_309;

/// Sets up a [`Proxy`]: begun with [`Proxy::builder`]. What is not set has a sensible value.
#[derive(Debug)]
#[must_use]
pub struct ProxyBuilder {
    tenants: Vec<Tenant>,
    clock: Arc<dyn Clock>,
    deadline: Duration,
    body_limit: usize,
    body_timeout: Duration,
    body_memory: usize,
    sizes: SizeLimits,
    peer_limit: Option<RateLimit>,
    ping_path: String,
    description: ProxyDescription,
}

impl Default for ProxyBuilder {
    fn default() -> Self {
        Self {
            tenants: Vec::new(),
            clock: Arc::new(SystemClock),
            deadline: Duration::from_millis(150),
            body_limit: MAX_BODY_LEN,
            body_timeout: Duration::from_secs(5),
            body_memory: 64 * 1024 * 1024,
            sizes: SizeLimits::default(),
            peer_limit: None,
            ping_path: "/ping".to_owned(),
            description: ProxyDescription::new(
                1,
                "custom-key-store",
                concat!("custom-key-store XKS proxy ", env!("CARGO_PKG_VERSION")),
            ),
        }
    }
}

impl ProxyBuilder {
    /// Adds a tenant. More can come later.
    pub fn tenant(mut self, tenant: Tenant) -> Self {
        self.tenants.push(tenant);
        self
    }

    /// Where the time comes from: the recency of signatures, deadlines, quotas and the age of health results. The
    /// timeouts of [`serve`](super::serve()) go by tokio's.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// How long the connection behind a tenant may take for one request, both calls of a verified encryption
    /// together; then the answer is `DependencyTimeoutException`. 150 milliseconds unless it is set: a KMS waits
    /// for 250, the network included.
    pub const fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// The longest body that is read, in bytes: 65,536 unless it is set, and at least the 21,309 that a legal
    /// request may need.
    pub fn body_limit(mut self, bytes: usize) -> Self {
        self.body_limit = bytes.max(LARGEST_LEGAL_BODY);
        self
    }

    /// How long a body may take to arrive: 5 seconds unless it is set.
    pub const fn body_timeout(mut self, timeout: Duration) -> Self {
        self.body_timeout = timeout;
        self
    }

    /// How much memory the bodies of all requests may take together, in bytes: 64 MiB unless it is set. They are read
    /// before anybody has authenticated; what would be beyond is answered with `ThrottlingException`. A body takes
    /// 2 KiB at first, and more only as it arrives. Behind [`serve`](super::serve()) one peer has as large a part of it
    /// as it may have of the [connections](super::ServeOptions::max_connections_per_peer), and enough for one body.
    pub const fn body_memory(mut self, bytes: usize) -> Self {
        self.body_memory = bytes;
        self
    }

    /// The most data, and the most additional authenticated data, in a request, in bytes: 4,300 and 8,192 unless
    /// they are set, which is also the least; of the latter 65,535 are the most. What is longer is answered with
    /// `UnsupportedOperationException`. The limit of the body counts too.
    pub fn size_limits(mut self, data: usize, aad: usize) -> Self {
        self.sizes = SizeLimits::at_least(data, aad);
        self
    }

    /// How many requests one peer may send, whether it can authenticate or not; networks of IPv6 (/64) count as one
    /// peer. Unlimited unless it is set: a KMS calls from few addresses and often, and behind a load balancer all
    /// come from one. Needs the [`Peer`](super::Peer) of each request, which [`serve`](super::serve()) adds. Questions at
    /// the [ping path](Self::ping_path) are not counted.
    ///
    /// It is kept in half a mebibyte, however many peers there are: two of them share a limit with a chance of one in
    /// 65,536, drawn anew at each start, which nobody can bring about.
    pub const fn peer_rate_limit(mut self, limit: RateLimit) -> Self {
        self.peer_limit = Some(limit);
        self
    }

    /// Where a load balancer asks, by GET and without authenticating, whether this server is there: `/ping` unless
    /// it is set. No limit of rate applies, so that a balancer whose clients have used up theirs does not find the server
    /// out of order; the answer is three bytes, for which nothing is read or asked.
    pub fn ping_path(mut self, path: impl Into<String>) -> Self {
        self.ping_path = path.into();
        self
    }

    /// What a health check says of the proxy: one server, and this crate's name and version unless it is set.
    pub fn description(mut self, description: ProxyDescription) -> Self {
        self.description = description;
        self
    }

    /// The proxy.
    ///
    /// # Errors
    ///
    /// [`SetupError::PathTaken`] for two tenants at one path, [`SetupError::PingPath`] for a path that cannot be
    /// asked.
    pub fn build(self) -> Result<Proxy, SetupError> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'/' | b'-' | b'_' | b'.');
        let ping_path = self.ping_path;
        if !ping_path.starts_with('/') || !ping_path.bytes().all(plain) || path::parse(&ping_path).is_ok() {
            return Err(SetupError::PingPath);
        }
        let mut tenants = HashMap::new();
        for tenant in self.tenants {
            let path = tenant.path().clone();
            if tenants.insert(path.as_str().to_owned(), tenant).is_some() {
                return Err(SetupError::PathTaken(path));
            }
        }
        Ok(Proxy::assemble(Shared {
            tenants: ArcSwap::from_pointee(tenants),
            peers: self.peer_limit.map(|limit| PeerLimit::new(limit, &self.clock)),
            clock: self.clock,
            deadline: self.deadline,
            bodies: Bodies::new(self.body_limit, self.body_timeout, self.body_memory),
            sizes: self.sizes,
            ping_path,
            description: self.description,
        }))
    }
}
