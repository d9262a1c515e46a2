//! One connection: its handshake, its requests, and those who waste its time.

use std::convert::Infallible;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use hyper::rt::{Read, Write};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tower_service::Service;

use super::peers::Seat;
use super::{Answer, Peer, ServeOptions, wait_for};

/// Somebody has connected.
pub(super) struct Connected<S> {
    pub(super) peer: Peer,
    /// Where it has connected to, which tells one server's events from another's.
    pub(super) at: SocketAddr,
    pub(super) service: S,
    pub(super) options: Arc<ServeOptions>,
    pub(super) told: watch::Receiver<bool>,
    /// Free for the next when this is dropped.
    pub(super) seat: Seat,
}

impl<S> Connected<S>
where
    S: Service<Request<Incoming>, Response = Answer, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    pub(super) async fn serve(mut self, socket: TcpStream) {
        let (Peer(peer), at) = (self.peer, self.at);
        // An answer is one small write: waiting for more to send would only delay it.
        let _best_effort = socket.set_nodelay(true);
        let Some(tls) = self.options.tls.clone() else {
            return self.converse(TokioIo::new(socket)).await;
        };
        let handshake = timeout(self.options.handshake_timeout, TlsAcceptor::from(tls).accept(socket));
        let done = tokio::select! {
            () = wait_for(&mut self.told) => return,
            done = handshake => done,
        };
        match done {
            Ok(Ok(socket)) => self.converse(TokioIo::new(socket)).await,
            Ok(Err(error)) => tracing::debug!(%peer, %at, error = %error, "the handshake failed"),
            Err(_elapsed) => tracing::debug!(%peer, %at, "the handshake took too long"),
        }
    }

    async fn converse(mut self, io: impl Read + Write + Unpin + Send + 'static) {
        let (Peer(peer), at) = (self.peer, self.at);
        let activity = Arc::new(Activity::begin());
        let mut http = auto::Builder::new(TokioExecutor::new());
        let options = &*self.options;
        // How long a header may take is seen to below, by one rule for both versions, as hyper has a timer for the
        // first of them alone.
        http.http1().header_read_timeout(None).max_buf_size(options.max_header_bytes);
        http.http2()
            .max_concurrent_streams(options.max_concurrent_streams)
            // Enough for the usual request, and no more: what is buffered below us is buffered for anybody.
            .initial_stream_window_size(64 * 1024)
            .initial_connection_window_size(256 * 1024)
            .max_header_list_size(u32::try_from(options.max_header_bytes).unwrap_or(u32::MAX));

        let (who, share, service) = (self.peer, self.seat.share().clone(), self.service.clone());
        let activities = Arc::clone(&activity);
        // Owns all it needs, so that nobody has to be able to share a service between threads.
        let service = service_fn(move |mut request: Request<Incoming>| {
            let busy = Busy::begin(&activities);
            request.extensions_mut().insert(who);
            request.extensions_mut().insert(share.clone());
            let mut service = service.clone();
            async move {
                let _until_answered = busy;
                poll_fn(|context| service.poll_ready(context)).await?;
                service.call(request).await
            }
        });
        let mut connection = pin!(http.serve_connection(io, service));
        let mut leaving = None;
        loop {
            tokio::select! {
                ended = connection.as_mut() => {
                    if let Err(error) = ended {
                        tracing::debug!(%peer, %at, error = %error, "the connection broke");
                    }
                    return;
                }
                () = wait_for(&mut self.told), if leaving.is_none() => {
                    leaving = Some(Instant::now());
                    connection.as_mut().graceful_shutdown();
                }
                () = sleep(activity.look_again(options, leaving)) => if activity.is_over(options, leaving) {
                    tracing::debug!(%peer, %at, "the connection was idle for too long");
                    return;
                },
            }
        }
    }
}

/// How long an answer may take to be written while the server shuts down, and a client to see that it has to go:
/// otherwise whoever sends half a header, or does not read, would hold up every shutdown until its limit.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// As fine as tokio's timer is.
const TICK: Duration = Duration::from_millis(1);

/// Since when nothing has happened on a connection.
struct Activity {
    in_flight: AtomicUsize,
    last: Mutex<Last>,
}

#[derive(Clone, Copy)]
struct Last {
    at: Instant,
    served_any: bool,
}

impl Activity {
    fn begin() -> Self {
        let last = Mutex::new(Last { at: Instant::now(), served_any: false });
        Self { in_flight: AtomicUsize::new(0), last }
    }

    /// For how much longer it may go on like this; `None` while requests are in flight. `leaving` is when a shutdown
    /// began.
    fn patience(&self, options: &ServeOptions, leaving: Option<Instant>) -> Option<Duration> {
        if self.in_flight.load(Ordering::SeqCst) > 0 {
            return None;
        }
        let last = *self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let allowed = if last.served_any { options.idle_timeout } else { options.first_request_timeout };
        let left = allowed.saturating_sub(last.at.elapsed());
        Some(match leaving {
            None => left,
            Some(since) => left.min(LAST_WORDS.saturating_sub(since.max(last.at).elapsed())),
        })
    }

    fn is_over(&self, options: &ServeOptions, leaving: Option<Instant>) -> bool {
        self.patience(options, leaving).is_some_and(|left| left.is_zero())
    }

    /// After what time to look: never later than the shortest silence that closes, since a request that ends
    /// meanwhile, of which nobody tells us, is followed by that much at least. So no end is missed, and none comes
    /// too early.
    fn look_again(&self, options: &ServeOptions, leaving: Option<Instant>) -> Duration {
        let silence =
            if leaving.is_some() { LAST_WORDS.min(options.idle_timeout) } else { options.idle_timeout };
        self.patience(options, leaving).map_or(silence, |left| left.min(silence)).max(TICK)
    }
}

/// A request in flight.
struct Busy(Arc<Activity>);

impl Busy {
    fn begin(activity: &Arc<Activity>) -> Self {
        activity.in_flight.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(activity))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let last = Last { at: Instant::now(), served_any: true };
        *self.0.last.lock().unwrap_or_else(PoisonError::into_inner) = last;
        self.0.in_flight.fetch_sub(1, Ordering::SeqCst);
    }
}
