//! Streams to a proxy.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::counters::XksCounters;
use super::expiry::not_after;
use super::failure::Failure;
use super::lookup::Lookups;
use super::public::is_public;
use crate::backend::UriEndpoint;

#[cfg(test)]
mod tests;

/// The protocol knows no other port (XKS-C-13).
const PORT: u16 = 443;

/// Enough for a proxy within the 35 ms that AWS asks for, and little enough for a second try within 250 ms.
const HEAD_START: Duration = Duration::from_millis(75);

/// The detail of an error that is the fault of whoever calls.
pub(super) const NO_RUNTIME: &str = "an XKS proxy can be reached only inside of a tokio runtime";

/// The way to a proxy.
#[derive(Clone)]
pub(super) enum Reach {
    Tls {
        config: Arc<ClientConfig>,
        /// Where to connect to instead of where the endpoint's name leads.
        dial: Option<SocketAddr>,
        /// Whether that name may lead to public addresses alone.
        public_only: bool,
    },
    /// Loopback only; the builder sees to that.
    PlainOnLoopback(SocketAddr),
}

/// Makes streams to one proxy.
#[derive(Debug)]
pub(super) struct Connector {
    pub(super) endpoint: UriEndpoint,
    pub(super) reach: Reach,
    pub(super) lookups: Arc<Lookups>,
    pub(super) counters: XksCounters,
}

impl Connector {
    /// A new stream. Dropping the future closes what it has of it.
    pub(super) async fn open(&self) -> Result<Wire, Failure> {
        // tokio itself would panic. Whoever calls has looked, but a future can be taken elsewhere half-way.
        Handle::try_current().map_err(Failure::no_runtime)?;
        self.counters.connection_opens();
        let stream = match &self.reach {
            Reach::PlainOnLoopback(address) => Stream::Plain(connect(*address).await?),
            Reach::Tls { config, dial, public_only } => {
                let tcp = self.dial(*dial, *public_only).await?;
                Stream::Tls(Box::new(self.secure(Arc::clone(config), tcp).await?))
            }
        };
        Ok(Wire { stream, heard: Arc::new(AtomicBool::new(false)) })
    }

    async fn dial(&self, address: Option<SocketAddr>, public_only: bool) -> Result<TcpStream, Failure> {
        if let Some(address) = address {
            return connect(address).await;
        }
        let host = self.endpoint.host().to_owned();
        let look_up = move || (host, PORT).to_socket_addrs().map(Iterator::collect);
        let found = self.lookups.join(look_up).await.map_err(Failure::unresolved)?;
        // Of these very addresses: who looked up the name again could be told something else.
        if public_only && let Some(address) = found.iter().map(SocketAddr::ip).find(|ip| !is_public(*ip)) {
            return Err(Failure::not_public(address));
        }
        first_to_connect(found.iter().copied()).await
    }

    async fn secure(
        &self,
        config: Arc<ClientConfig>,
        tcp: TcpStream,
    ) -> Result<TlsStream<TcpStream>, Failure> {
        // XKS-C-05: whatever address was dialled, the certificate must be the endpoint's.
        let name = ServerName::try_from(self.endpoint.host().to_owned())
            .map_err(|_| Failure::internal("the endpoint's host is no name for TLS"))?;
        let stream = TlsConnector::from(config).connect(name, tcp).await.map_err(Failure::no_tls_session)?;
        let leaf = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
        if let Some(expiry) = leaf.and_then(|leaf| not_after(leaf)) {
            self.counters.certificate_expires(expiry);
        }
        Ok(stream)
    }
}

async fn connect(address: SocketAddr) -> Result<TcpStream, Failure> {
    let connected = async {
        let stream = TcpStream::connect(address).await?;
        // A request is written at once and waited for: there is nothing to coalesce.
        stream.set_nodelay(true)?;
        Ok(stream)
    };
    connected.await.map_err(|error| Failure::unconnected(address, error))
}

/// Connects to the addresses of one host, each with a head start before the next is tried too: a machine whose IPv6
/// leads nowhere would otherwise use up every deadline with the first.
async fn first_to_connect(addresses: impl Iterator<Item = SocketAddr>) -> Result<TcpStream, Failure> {
    let mut attempts = FuturesUnordered::new();
    let mut last = Failure::unresolved(io::Error::from(io::ErrorKind::NotFound));
    for address in addresses {
        attempts.push(connect(address));
        match tokio::time::timeout(HEAD_START, attempts.next()).await {
            Ok(Some(Ok(stream))) => return Ok(stream),
            Ok(Some(Err(failure))) => last = failure,
            Ok(None) | Err(_) => {}
        }
    }
    // Nobody is left to be tried: those under way may take all the time there is.
    while let Some(attempt) = attempts.next().await {
        match attempt {
            Ok(stream) => return Ok(stream),
            Err(failure) => last = failure,
        }
    }
    Err(last)
}

/// A stream that tells whether anything was read from it.
pub(super) struct Wire {
    stream: Stream,
    heard: Arc<AtomicBool>,
}

enum Stream {
    Tls(Box<TlsStream<TcpStream>>),
    Plain(TcpStream),
}

impl Wire {
    /// Set with each byte of an answer; whoever sends a request clears it first.
    pub(super) fn heard(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.heard)
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Self { stream, heard } = self.get_mut();
        let before = buffer.filled().len();
        let polled = match stream {
            Stream::Tls(tls) => Pin::new(tls).poll_read(cx, buffer),
            Stream::Plain(tcp) => Pin::new(tcp).poll_read(cx, buffer),
        };
        if buffer.filled().len() > before {
            heard.store(true, Ordering::Relaxed);
        }
        polled
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().stream {
            Stream::Tls(tls) => Pin::new(tls).poll_write(cx, bytes),
            Stream::Plain(tcp) => Pin::new(tcp).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().stream {
            Stream::Tls(tls) => Pin::new(tls).poll_write_vectored(cx, slices),
            Stream::Plain(tcp) => Pin::new(tcp).poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match &self.stream {
            Stream::Tls(tls) => tls.is_write_vectored(),
            Stream::Plain(tcp) => tcp.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().stream {
            Stream::Tls(tls) => Pin::new(tls).poll_flush(cx),
            Stream::Plain(tcp) => Pin::new(tcp).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().stream {
            Stream::Tls(tls) => Pin::new(tls).poll_shutdown(cx),
            Stream::Plain(tcp) => Pin::new(tcp).poll_shutdown(cx),
        }
    }
}

impl std::fmt::Debug for Reach {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            // The TLS configuration holds a private key.
            Self::Tls { config: _, dial, public_only } => f
                .debug_struct("Tls")
                .field("dial", dial)
                .field("public_only", public_only)
                .finish_non_exhaustive(),
            Self::PlainOnLoopback(address) => f.debug_tuple("PlainOnLoopback").field(address).finish(),
        }
    }
}
