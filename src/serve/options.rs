//! How a server is set up.

use std::sync::Arc;
use std::time::Duration;

use super::TlsOptions;

/// What a server speaks, and its limits; what is not set has a sensible value.
#[derive(Debug, Clone)]
#[must_use]
pub struct ServeOptions {
    pub(super) tls: Option<Arc<rustls::ServerConfig>>,
    pub(super) max_connections: usize,
    pub(super) max_connections_per_peer: usize,
    pub(super) max_header_bytes: usize,
    pub(super) max_concurrent_streams: u32,
    pub(super) handshake_timeout: Duration,
    pub(super) first_request_timeout: Duration,
    pub(super) idle_timeout: Duration,
    pub(super) drain_limit: Duration,
}

impl ServeOptions {
    /// HTTPS alone.
    pub fn https(tls: TlsOptions) -> Self {
        Self { tls: Some(tls.into_config()), ..Self::plain_http() }
    }

    /// Plain HTTP alone: whoever is on the way reads every plaintext. For tests, and behind something that ends TLS
    /// on the same machine. The protocols of KMS and of its external key stores demand HTTPS.
    pub const fn plain_http() -> Self {
        Self {
            tls: None,
            max_connections: 1024,
            max_connections_per_peer: 128,
            max_header_bytes: 16 * 1024,
            max_concurrent_streams: 32,
            handshake_timeout: Duration::from_secs(5),
            first_request_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(60),
            drain_limit: Duration::from_secs(10),
        }
    }

    /// How many connections there may be at once: 1,024 unless it is set, one at least. Those beyond are closed at
    /// once.
    pub const fn max_connections(mut self, connections: usize) -> Self {
        self.max_connections = if connections == 0 { 1 } else { connections };
        self
    }

    /// How many of them one peer may have at once: 128 unless it is set, one at least. Those beyond are closed at once,
    /// so that one peer cannot take all there are; nor more than the same part of the memory that the service sets aside for
    /// bodies. Together they can, by as many peers as
    /// `max_connections` divided by this: by 8 unless either is set. An address of IPv4 is a peer, and so is a network
    /// of IPv6 (/64).
    ///
    /// Over HTTP/1.1 each request in flight has a connection: 128 carry the 1,800 requests a second that AWS plans for
    /// while each takes 70 milliseconds. A peer that asks more at once, or a slower key manager, needs more.
    ///
    /// Behind a load balancer, or anything else that connects in the name of others, the peer is the balancer: give
    /// it as many as there may be in all, by the same number as for [`max_connections`](Self::max_connections), and
    /// leave the limit for each client to it.
    pub const fn max_connections_per_peer(mut self, connections: usize) -> Self {
        self.max_connections_per_peer = if connections == 0 { 1 } else { connections };
        self
    }

    /// The most bytes of all of a request's headers: 16,384 unless it is set, 8,192 at least. A request with more is
    /// refused with 431.
    pub fn max_header_bytes(mut self, bytes: usize) -> Self {
        self.max_header_bytes = bytes.max(8192);
        self
    }

    /// How many requests one connection of HTTP/2 may have in flight: 32 unless it is set, one at least.
    pub const fn max_concurrent_streams(mut self, streams: u32) -> Self {
        self.max_concurrent_streams = if streams == 0 { 1 } else { streams };
        self
    }

    /// How long a TLS handshake may take: 5 seconds unless it is set.
    pub const fn handshake_timeout(mut self, timeout: Duration) -> Self {
        self.handshake_timeout = timeout;
        self
    }

    /// How long a new connection may take, after its TLS handshake, until the headers of its first request are there:
    /// 10 seconds unless it is set. The idle timeout does not shorten it.
    pub const fn first_request_timeout(mut self, timeout: Duration) -> Self {
        self.first_request_timeout = timeout;
        self
    }

    /// How long a connection may be without a request afterwards: a minute unless it is set. It counts from the moment
    /// when the last answer was made, of HTTP/1.1 as of HTTP/2, so that a request whose headers have not all arrived
    /// by then comes too late, and an answer that has not been read by then is lost. While a request is in flight it
    /// does not count. (How long a body may take is the affair of the service.)
    pub const fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.idle_timeout = timeout;
        self
    }

    /// How long requests in flight may take after a shutdown has begun: 10 seconds unless it is set. Then they are
    /// cut off. A connection without one is closed within a second, whatever of a request it has sent.
    pub const fn drain_limit(mut self, limit: Duration) -> Self {
        self.drain_limit = limit;
        self
    }
}
