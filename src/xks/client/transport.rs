//! Sends requests, each on a connection of the pool or on a new one.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use http::{HeaderName, HeaderValue, Request};
use http_body_util::Full;

use super::connector::Connector;
use super::failure::Failure;
use super::lane::{Answer, Lane};
use super::pool::Pool;
use crate::backend::{BackendError, BackendErrorKind};
use crate::clock::{Clock, within};
use crate::json::EncodedBody;
use crate::sigv4::Signer;

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const X_AMZ_DATE: HeaderName = HeaderName::from_static("x-amz-date");

pub(super) struct Transport {
    pub(super) connector: Connector,
    pub(super) pool: Pool,
    pub(super) signer: Signer,
    pub(super) clock: Arc<dyn Clock>,
    /// Of one request, everything included.
    pub(super) deadline: Duration,
    pub(super) retries: u8,
}

impl Transport {
    /// Opens a connection for the first request to use.
    pub(super) async fn warm_up(&self) -> Result<(), BackendError> {
        let lane = Lane::open(&self.connector, self.clock.monotonic()).await;
        self.pool.begin_with(lane.map_err(Failure::into_error)?);
        Ok(())
    }

    /// Sends a signed POST and reads the answer, within the deadline (XKS-C-38).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future closes the connection that carries the request.
    pub(super) async fn post(&self, path: &str, body: EncodedBody) -> Result<Answer, BackendError> {
        let started = self.clock.monotonic();
        // Out here, so that what became of it is known when the time is up.
        let mut lane = self.idle_lane()?;
        match within(&*self.clock, self.deadline, self.send(&mut lane, path, body)).await {
            Some(outcome) => outcome,
            None => {
                if lane.is_some_and(|lane| lane.is_silent()) {
                    self.pool.distrust(started);
                }
                Err(BackendErrorKind::TimedOut.into())
            }
        }
    }

    /// Sends on the lane that there is, or on a new one; as long as it is under way, the lane lies in its place.
    async fn send(
        &self,
        lane: &mut Option<Lane>,
        path: &str,
        body: EncodedBody,
    ) -> Result<Answer, BackendError> {
        let host = self.connector.endpoint.host();
        let signed = self.signer.sign(host, path, body.as_bytes(), self.clock.wall());
        // The bytes that were signed, shared by all attempts and wiped after the last (XKS-C-27).
        let body = Bytes::from_owner(body);
        let request = || {
            Request::post(path)
                .header(HOST, host)
                .header(CONTENT_TYPE, JSON)
                .header(X_AMZ_DATE, &signed.x_amz_date)
                .header(AUTHORIZATION, &signed.authorization)
                .body(Full::new(body.clone()))
        };

        let mut attempts_left = self.retries;
        loop {
            let request =
                request().map_err(|_| Failure::internal("the path is none of HTTP").into_error())?;
            let failure = match self.exchange(lane, request).await {
                Ok(answer) => return Ok(answer),
                Err(failure) => failure,
            };
            if !failure.may_be_sent_again() || attempts_left == 0 || self.pool.is_closed() {
                return Err(failure.into_error());
            }
            *lane = None;
            // On a new connection: when one of the idle ones was stale, for instance because the proxy was started
            // anew, the others are too.
            attempts_left -= 1;
            self.connector.counters.retries();
        }
    }

    async fn exchange(
        &self,
        place: &mut Option<Lane>,
        request: Request<Full<Bytes>>,
    ) -> Result<Answer, Failure> {
        let lane = match place {
            Some(lane) => lane,
            None => place.insert(Lane::open(&self.connector, self.clock.monotonic()).await?),
        };
        let answer = lane.exchange(request).await?;
        if let Some(mut lane) = place.take()
            && lane.is_ready()
        {
            self.pool.give(lane, self.clock.monotonic());
        }
        Ok(answer)
    }

    /// An idle lane whose peer has not hung up.
    fn idle_lane(&self) -> Result<Option<Lane>, BackendError> {
        let closed = |_| BackendError::new(BackendErrorKind::Closed);
        while let Some(mut lane) = self.pool.take(self.clock.monotonic()).map_err(closed)? {
            if lane.is_ready() {
                return Ok(Some(lane));
            }
        }
        Ok(None)
    }
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transport")
            .field("connector", &self.connector)
            .field("limits", &self.pool.limits)
            .field("deadline", &self.deadline)
            .field("retries", &self.retries)
            .finish_non_exhaustive()
    }
}
