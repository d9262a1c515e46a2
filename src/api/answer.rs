//! What is answered, as HTTP.

use bytes::Bytes;
use http::header::{ALLOW, CONNECTION, CONTENT_TYPE as CONTENT_TYPE_HEADER};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use http_body_util::Full;

use super::failure::{Failure, METHOD};
use super::wire::answers;
use crate::backend::RequestId;
use crate::json::EncodedBody;

pub(super) type HttpResponse = Response<Full<Bytes>>;

pub(super) const CONTENT_TYPE: &str = "application/x-amz-json-1.1";
const REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");
const ERROR_TYPE: HeaderName = HeaderName::from_static("x-amzn-errortype");

pub(super) fn success(body: EncodedBody, request_id: &RequestId) -> HttpResponse {
    json(StatusCode::OK, body, request_id)
}

pub(super) fn failure(failure: &Failure, request_id: &RequestId) -> HttpResponse {
    let name = failure.name;
    let status = StatusCode::from_u16(name.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = json(status, answers::error(name.as_str(), &failure.message), request_id);
    let headers = response.headers_mut();
    headers.insert(ERROR_TYPE, HeaderValue::from_static(name.as_str()));
    if name == METHOD {
        headers.insert(ALLOW, HeaderValue::from_static("POST"));
    }
    if failure.hang_up {
        // hyper takes it as its own instruction in HTTP/1, and leaves it out in HTTP/2, where there is no need.
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// The body wipes itself when the last reference to it goes.
fn json(status: StatusCode, body: EncodedBody, request_id: &RequestId) -> HttpResponse {
    let mut response = Response::new(Full::new(Bytes::from_owner(body)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE_HEADER, HeaderValue::from_static(CONTENT_TYPE));
    // Ids are made here, of hexadecimal digits and hyphens.
    if let Ok(id) = HeaderValue::try_from(request_id.to_string()) {
        headers.insert(REQUEST_ID, id);
    }
    response
}

/// To a load balancer.
pub(super) fn pong() -> HttpResponse {
    let mut response = Response::new(Full::new(Bytes::from_static(b"ok\n")));
    response.headers_mut().insert(CONTENT_TYPE_HEADER, HeaderValue::from_static("text/plain"));
    response
}

/// To a load balancer that asks otherwise.
pub(super) fn no_pong() -> HttpResponse {
    let mut response = Response::new(Full::default());
    *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
    response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
    response
}
