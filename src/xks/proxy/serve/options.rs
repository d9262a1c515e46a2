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
    /// on the same machine. The protocol demands HTTPS.
    pub const fn plain_http() -> Self {
        Self {
            tls: None,
            max_connections: 1024,
            max_header_bytes: 16 * 1024,
            max_concurrent_streams: 32,
            handshake_timeout: Duration::from_secs(5),
            first_request_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(60),
            drain_limit: Duration::from_secs(10),
        }
    }

    /// How many connections there may be at once: 1,024 unless it is set. Those beyond are closed at once.
    pub const fn max_connections(mut self, connections: usize) -> Self {
        self.max_connections = connections;
        self
    }

    /// The most bytes of all of a request's headers: 16,384 unless it is set, 8,192 at least. A request with more is
    /// refused with 431.
    pub fn max_header_bytes(mut self, bytes: usize) -> Self {
        self.max_header_bytes = bytes.max(8192);
        self
    }

    /// How many requests one connection of HTTP/2 may have in flight: 32 unless it is set.
    pub const fn max_concurrent_streams(mut self, streams: u32) -> Self {
        self.max_concurrent_streams = streams;
        self
    }

    /// How long a TLS handshake may take: 5 seconds unless it is set.
    pub const fn handshake_timeout(mut self, timeout: Duration) -> Self {
        self.handshake_timeout = timeout;
        self
    }

    /// How long a new connection may take until the headers of its first request are there: 10 seconds unless it is
    /// set.
    pub const fn first_request_timeout(mut self, timeout: Duration) -> Self {
        self.first_request_timeout = timeout;
        self
    }

    /// How long a connection may be without a request afterwards, one whose headers have not all arrived included:
    /// a minute unless it is set. (How long a body may take is the [proxy's](crate::xks::proxy::ProxyBuilder)
    /// affair.)
    pub const fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.idle_timeout = timeout;
        self
    }

    /// How long requests in flight may take after a shutdown has begun: 10 seconds unless it is set. Then they are
    /// cut off.
    pub const fn drain_limit(mut self, limit: Duration) -> Self {
        self.drain_limit = limit;
        self
    }
}
