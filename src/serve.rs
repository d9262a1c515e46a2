//! A service behind a listener: TLS, limits for each peer, timeouts, a graceful end. And what the services that stand there
//! need before they know who asks: a limit of rate, and bodies in bounded memory.
//!
//! Nothing here knows a protocol above HTTP.

pub(crate) mod body;
mod client;
mod connection;
mod error;
pub(crate) mod limit;
pub(crate) mod log;
mod options;
mod peers;
mod subject;
mod tls;

pub use client::ClientIdentity;
pub use error::InvalidTls;
pub use options::ServeOptions;
pub use tls::{CertificateHandle, ServerCertificate, TlsOptions};

use std::convert::Infallible;
use std::fmt;
use std::future::pending;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tower_service::Service;

use connection::Connected;
use peers::Peers;

/// How long to wait when the system has no more sockets to give.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Who is at the other end, as an extension of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "made by whoever mounts a service elsewhere, in one go")]
pub struct Peer(pub SocketAddr);

type Answer = Response<Full<Bytes>>;

/// Serves a service to whoever connects, HTTP/1.1 and HTTP/2, until it is told to shut down.
///
/// Each request gets its own clone of the service, and the [`Peer`] among its extensions. Must be polled within a tokio runtime with its clock and network enabled; each connection is a task of its own.
/// Connections that break off, fail their handshake or are too slow are not errors: they end, with an event of
/// `tracing` at `DEBUG`. Each event names the peer and, as `at`, the address that is listened at.
///
/// ```no_run
/// # async fn example(service: custom_key_store::xks::proxy::Proxy) -> Result<(), Box<dyn std::error::Error>> {
/// use custom_key_store::xks::proxy::{ServeOptions, ServerCertificate, TlsOptions, serve};
///
/// let certificate = ServerCertificate::from_pem(&std::fs::read("chain.pem")?, &std::fs::read("key.pem")?)?;
/// let options = ServeOptions::https(TlsOptions::new(certificate)?);
/// let listener = tokio::net::TcpListener::bind("0.0.0.0:443").await?;
///
/// let (serving, handle) = serve(listener, service, options);
/// tokio::spawn(async move {
///     // … until it is time to stop, then:
///     handle.shut_down();
/// });
/// let drained = serving.await;
/// println!("{} connections were cut off", drained.cut_off);
/// # Ok(()) }
/// ```
#[must_use = "nothing is served unless the first part is awaited"]
pub fn serve<S>(listener: TcpListener, service: S, options: ServeOptions) -> (Serving, ServerHandle)
where
    S: Service<Request<Incoming>, Response = Response<Full<Bytes>>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send,
{
    let (shut_down, told) = watch::channel(false);
    let handle = ServerHandle { shut_down: Arc::new(shut_down) };
    (Serving { work: accept(listener, service, Arc::new(options), told).boxed() }, handle)
}

/// The work of a server: resolves when it has shut down.
///
/// # Cancellation
///
/// Dropping it cuts all connections off at once.
#[must_use = "nothing is served unless it is awaited"]
pub struct Serving {
    work: BoxFuture<'static, Drained>,
}

impl Future for Serving {
    type Output = Drained;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Drained> {
        self.work.poll_unpin(context)
    }
}

impl fmt::Debug for Serving {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Serving")
    }
}

/// Tells a server to stop. Clones tell the same one. When all are dropped without a word, it goes on.
#[derive(Debug, Clone)]
pub struct ServerHandle {
    shut_down: Arc<watch::Sender<bool>>,
}

impl ServerHandle {
    /// Accepts nobody any more, lets requests whose headers have arrived finish, up to the drain limit, and closes
    /// all connections.
    pub fn shut_down(&self) {
        self.shut_down.send_replace(true);
    }
}

/// How a server's shutdown went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Drained {
    /// How many connections were still busy at the drain limit and were cut off.
    pub cut_off: usize,
}

async fn accept<S>(
    listener: TcpListener,
    service: S,
    options: Arc<ServeOptions>,
    told: watch::Receiver<bool>,
) -> Drained
where
    S: Service<Request<Incoming>, Response = Answer, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    let mut tasks = JoinSet::new();
    // For the log alone; the system knows it of each that listens.
    let at = listener.local_addr().unwrap_or_else(|_| SocketAddr::from(([0; 4], 0)));
    let peers = Peers::new(options.max_connections_per_peer, options.max_connections);
    let (mut stop, drain_limit) = (told.clone(), options.drain_limit);
    let admit = move |socket: TcpStream, peer: SocketAddr, tasks: &mut JoinSet<()>| {
        reap(tasks);
        // Closed at once: whoever balances load tries the next server.
        if tasks.len() >= options.max_connections {
            return tracing::warn!(%peer, %at, "too many connections");
        }
        let Some(seat) = peers.seat(peer.ip()) else {
            return tracing::warn!(%peer, %at, "too many connections of this peer");
        };
        let connected = Connected {
            peer: Peer(peer),
            at,
            service: service.clone(),
            options: Arc::clone(&options),
            told: told.clone(),
            seat,
        };
        tasks.spawn(connected.serve(socket));
    };
    loop {
        tokio::select! {
            () = wait_for(&mut stop) => break,
            Some(_ended) = tasks.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((socket, peer)) => admit(socket, peer, &mut tasks),
                Err(error) if is_of_one_connection(&error) => {
                    tracing::debug!(%at, error = %error, "a connection broke before it was accepted");
                }
                Err(error) => {
                    tracing::warn!(%at, error = %error, "no connection could be accepted");
                    sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    // Whoever connects now is refused by the system.
    drop(listener);

    let mut limit = pin!(sleep(drain_limit));
    loop {
        tokio::select! {
            ended = tasks.join_next() => if ended.is_none() {
                return Drained { cut_off: 0 };
            },
            () = limit.as_mut() => break,
        }
    }
    reap(&mut tasks);
    let cut_off = tasks.len();
    tasks.shutdown().await;
    Drained { cut_off }
}

/// Forgets the tasks that have ended, so that they do not count.
fn reap(tasks: &mut JoinSet<()>) {
    while tasks.try_join_next().is_some() {}
}

/// Whether it is the fault of whoever was to be accepted: to pause for it would let him keep others waiting.
fn is_of_one_connection(error: &std::io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionAborted | ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset
    )
}

/// Resolves when it has been said; never when nobody is left to say it.
async fn wait_for(told: &mut watch::Receiver<bool>) {
    if told.wait_for(|told| *told).await.is_err() {
        pending::<()>().await;
    }
}
