//! What is answered, as HTTP.

use std::borrow::Cow;

use bytes::Bytes;
use http::header::{ALLOW, CONNECTION, CONTENT_TYPE};
use http::{HeaderValue, Response, StatusCode};
use http_body_util::Full;

use crate::backend::{BackendError, BackendErrorKind};
use crate::json::EncodedBody;
use crate::xks::wire::{Malformed, Refusal, error_body};
use crate::xks::{ErrorName, ProxyOperation};

pub(super) type HttpResponse = Response<Full<Bytes>>;

/// A request that is not carried out.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) refusal: Refusal,
    /// What the caller is not told, for our own log.
    pub(super) reason: Option<Cow<'static, str>>,
    /// The statement of a policy that denied it.
    pub(super) rule: Option<Cow<'static, str>>,
    /// Whether the connection is of no more use, as the rest of a body is in the way.
    pub(super) hang_up: bool,
}

impl Failure {
    pub(super) const fn new(name: ErrorName) -> Self {
        Self { refusal: Refusal::new(name), reason: None, rule: None, hang_up: false }
    }

    pub(super) fn because(mut self, reason: impl Into<Cow<'static, str>>) -> Self {
        self.reason = Some(reason.into());
        self
    }

    pub(super) fn saying(mut self, message: &'static str) -> Self {
        self.refusal = self.refusal.with_message(message);
        self
    }

    /// What the connection's error is to our caller; what it says of it stays with us.
    pub(super) fn upstream(error: &BackendError, operation: ProxyOperation) -> Self {
        let mut reason = error.to_string();
        if let Some(detail) = error.detail() {
            reason.push_str(": ");
            reason.push_str(detail);
        }
        let mut source = std::error::Error::source(error);
        while let Some(cause) = source {
            reason.push_str(": ");
            reason.push_str(&cause.to_string());
            source = cause.source();
        }
        let failure = Self::new(ErrorName::from_kind(error.kind(), operation)).because(reason);
        match error.kind() {
            BackendErrorKind::DependencyTimedOut | BackendErrorKind::TimedOut => {
                failure.saying("what stands behind this proxy did not answer in time")
            }
            _ => failure,
        }
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self { refusal, reason: None, rule: None, hang_up: false }
    }
}

impl From<Malformed> for Failure {
    fn from(malformed: Malformed) -> Self {
        Refusal::from(malformed).into()
    }
}

pub(super) fn success(body: EncodedBody) -> HttpResponse {
    json(StatusCode::OK, body)
}

pub(super) fn failure(failure: &Failure) -> HttpResponse {
    let name = failure.refusal.name;
    let status = StatusCode::from_u16(name.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = json(status, error_body(name, failure.refusal.message.as_deref()));
    if failure.hang_up {
        // hyper takes it as its own instruction in HTTP/1, and leaves it out in HTTP/2, where there is no need.
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// The body wipes itself when the last reference to it goes.
fn json(status: StatusCode, body: EncodedBody) -> HttpResponse {
    let mut response = Response::new(Full::new(Bytes::from_owner(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// The method is another than those: no error name belongs to it (XKS-P-07, XKS-P-08).
pub(super) fn method_not_allowed(allowed: &'static str) -> HttpResponse {
    let mut response = Response::new(Full::default());
    *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    response
}

/// To a load balancer.
pub(super) fn pong() -> HttpResponse {
    let mut response = Response::new(Full::new(Bytes::from_static(b"ok\n")));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    response
}
