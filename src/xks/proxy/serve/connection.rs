//! One connection: its handshake, its requests, and those who waste its time.

use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use hyper::body::Incoming;
use hyper::rt::{Read, Write};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_rustls::TlsAcceptor;
use tower_service::Service as _;

use super::{ServeOptions, wait_for};
use crate::xks::proxy::{Peer, Proxy};

/// Somebody has connected.
pub(super) struct Connected {
    pub(super) peer: Peer,
    pub(super) proxy: Proxy,
    pub(super) options: Arc<ServeOptions>,
    pub(super) told: watch::Receiver<bool>,
}

impl Connected {
    pub(super) async fn serve(mut self, socket: TcpStream) {
        let Peer(peer) = self.peer;
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
            Ok(Err(error)) => tracing::debug!(%peer, error = %error, "the handshake failed"),
            Err(_elapsed) => tracing::debug!(%peer, "the handshake took too long"),
        }
    }

    async fn converse(mut self, io: impl Read + Write + Unpin + Send + 'static) {
        let Peer(peer) = self.peer;
        let activity = Arc::new(Activity::begin());
        let mut http = auto::Builder::new(TokioExecutor::new());
        let options = &*self.options;
        // hyper's timer runs while a connection is idle too, so it cannot be shorter than that may last; what
        // trickles in before the first request is bounded below.
        http.http1()
            .timer(TokioTimer::new())
            .header_read_timeout(options.idle_timeout)
            .max_buf_size(options.max_header_bytes);
        http.http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(options.max_concurrent_streams)
            // Enough for the longest request, and no more: what is buffered below us is buffered for anybody.
            .initial_stream_window_size(64 * 1024)
            .initial_connection_window_size(256 * 1024)
            .max_header_list_size(u32::try_from(options.max_header_bytes).unwrap_or(u32::MAX));

        let service = service_fn(|mut request: http::Request<Incoming>| {
            let busy = Busy::begin(&activity);
            request.extensions_mut().insert(self.peer);
            let answer = self.proxy.clone().call(request);
            async move {
                let _until_answered = busy;
                answer.await
            }
        });
        let mut connection = pin!(http.serve_connection(io, service));
        let mut leaving = false;
        loop {
            let patience = activity.patience(options);
            tokio::select! {
                ended = connection.as_mut() => {
                    if let Err(error) = ended {
                        tracing::debug!(%peer, error = %error, "the connection broke");
                    }
                    return;
                }
                () = wait_for(&mut self.told), if !leaving => {
                    leaving = true;
                    connection.as_mut().graceful_shutdown();
                }
                () = sleep_until(patience) => if activity.is_over(options) {
                    tracing::debug!(%peer, "the connection was idle for too long");
                    return;
                },
            }
        }
    }
}

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

    /// When to look again. While requests are in flight, that is not before one could have ended and been followed
    /// by silence.
    fn patience(&self, options: &ServeOptions) -> Instant {
        let last = self.last();
        let allowed = if last.served_any { options.idle_timeout } else { options.first_request_timeout };
        let from = if self.is_busy() { Instant::now() } else { last.at };
        from + allowed
    }

    fn is_over(&self, options: &ServeOptions) -> bool {
        !self.is_busy() && self.patience(options) <= Instant::now()
    }

    fn is_busy(&self) -> bool {
        self.in_flight.load(Ordering::SeqCst) > 0
    }

    fn last(&self) -> Last {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner)
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
