//! One HTTP/1.1 connection, which carries one request at a time.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Instant;

use bytes::Bytes;
use futures_util::FutureExt as _;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Body as _;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use zeroize::Zeroizing;

use super::connector::{Connector, Wire};
use super::failure::Failure;
use crate::xks::wire::MAX_BODY_LEN;

/// The most that an answer's head may have, in bytes and in headers. Load balancers add some; none adds that many.
const MAX_HEAD_LEN: usize = 16 * 1024;
const MAX_HEADERS: usize = 64;

/// An HTTP/1.1 connection that lives in whoever uses it: hyper's half of it is polled together with the request and
/// not by a task of its own.
pub(super) struct Lane {
    sender: SendRequest<Full<Bytes>>,
    driver: Driver,
    heard: Arc<AtomicBool>,
    /// Whether it has carried an answer before.
    served: bool,
    /// When it was last given back, and before that when it was opened.
    pub(super) idle_since: Instant,
}

/// What a proxy answered: the body is complete, within the limit, and wiped on drop.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Zeroizing<Vec<u8>>,
}

impl Lane {
    pub(super) async fn open(connector: &Connector, now: Instant) -> Result<Self, Failure> {
        let wire = connector.open().await?;
        let heard = wire.heard();
        let (sender, connection) = http1::Builder::new()
            .max_buf_size(MAX_HEAD_LEN)
            .max_headers(MAX_HEADERS)
            .handshake(TokioIo::new(wire))
            .await
            .map_err(|error| Failure::no_answer(error, false))?;
        Ok(Self { sender, driver: Driver(Some(connection)), heard, served: false, idle_since: now })
    }

    /// Sends a request and reads the whole answer. After an error, or when the future is dropped, the lane is in the
    /// middle of something: it is to be dropped.
    pub(super) async fn exchange(&mut self, request: Request<Full<Bytes>>) -> Result<Answer, Failure> {
        let Self { sender, driver, heard, .. } = self;
        heard.store(false, Ordering::Relaxed);
        let response = driver.drive(sender.send_request(request)).await;
        let response = response.map_err(|error| Failure::no_answer(error, heard.load(Ordering::Relaxed)))?;

        let (head, mut body) = response.into_parts();
        let too_long = || Failure::invalid("the answer's body is longer than 65,536 bytes");
        // XKS-C-08: what says that it is too long is not read, and what does not say it is read no further.
        let room = match body.size_hint().exact() {
            Some(length) => usize::try_from(length).ok().filter(|length| *length <= MAX_BODY_LEN),
            // It never grows: growing would leave a copy of what may be a plaintext.
            None => Some(MAX_BODY_LEN),
        };
        let mut bytes = Zeroizing::new(Vec::with_capacity(room.ok_or_else(too_long)?));
        while let Some(frame) = driver.drive(body.frame()).await {
            // Trailers mean nothing here.
            let Ok(data) = frame.map_err(Failure::half_an_answer)?.into_data() else { continue };
            if data.len() > MAX_BODY_LEN - bytes.len() {
                return Err(too_long());
            }
            bytes.extend_from_slice(&data);
        }
        self.served = true;
        Ok(Answer { status: head.status, headers: head.headers, body: bytes })
    }

    /// Whether it is a new one, on which no request was answered yet.
    pub(super) const fn is_new(&self) -> bool {
        !self.served
    }

    /// Whether no byte has come since the last request was sent, on a lane that had answered those before.
    pub(super) fn is_silent(&self) -> bool {
        self.served && !self.heard.load(Ordering::Relaxed)
    }

    /// Whether another request may be sent, as far as is known without waiting. Notices a peer that has hung up.
    ///
    /// Afterwards no task's waker is held, since an idle lane may outlive every task that has used it.
    pub(super) fn is_ready(&mut self) -> bool {
        let Self { sender, driver, .. } = self;
        driver.look();
        driver.0.is_some() && sender.is_ready()
    }
}

/// hyper's half of a connection; `None` once it has ended.
struct Driver(Option<http1::Connection<TokioIo<Wire>, Full<Bytes>>>);

impl Driver {
    /// Polls `work` and, for it, the connection.
    async fn drive<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        poll_fn(|cx| {
            if let Poll::Ready(done) = work.as_mut().poll(cx) {
                return Poll::Ready(done);
            }
            self.advance(cx);
            // What the connection has read is for the work, as is the news of its end.
            work.as_mut().poll(cx)
        })
        .await
    }

    /// Polls the connection once, with a waker of nobody.
    fn look(&mut self) {
        let once = poll_fn(|cx| {
            self.advance(cx);
            Poll::Ready(())
        });
        // A task that has used up its share of tokio's time would see nothing.
        let _done = tokio::task::unconstrained(once).now_or_never();
    }

    fn advance(&mut self, cx: &mut std::task::Context<'_>) {
        // Why it ended is told to the request, if there is one.
        if self.0.as_mut().is_some_and(|connection| Pin::new(connection).poll(cx).is_ready()) {
            self.0 = None;
        }
    }
}
