//! This crate's client, and what it exchanges with this crate's server.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use custom_key_store::EncryptionContext;
use custom_key_store::backend::{
    Backend as _, BackendError, BackingKeyId, Ciphertext, ConnectReason, ConnectRequest, Connection,
    EncryptRequest, Operation, RequestId, RequestMetadata, UriEndpoint, XksProxyCredential,
};
use custom_key_store::xks::proxy::ServeOptions;
use custom_key_store::xks::{XksProxy, XksProxyBuilder};
use futures_util::future::try_join;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::header::{HOST as HOST_HEADER, HeaderMap};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, Uri};
use hyper_util::rt::TokioIo;

use super::server::{answer, listen, proxy};
use super::{Failure, HOST, KEY, LIMIT, Lane, PLAINTEXT, Wire, path, region};

/// Describes the client; where it dials and what it trusts is missing.
pub fn settings(credential: &XksProxyCredential) -> Result<XksProxyBuilder, Failure> {
    Ok(XksProxy::builder()
        .endpoint(UriEndpoint::new(format!("https://{HOST}"))?)
        .path(path()?)
        .credential(credential.clone())
        .region(region()?)
        .deadline(LIMIT))
}

/// A connection of this crate's client.
pub async fn connect(settings: XksProxyBuilder) -> Result<Arc<dyn Connection>, Failure> {
    Ok(settings.build()?.connect(&ConnectRequest::new(ConnectReason::Connect, LIMIT)).await?)
}

/// What each encryption asks for.
#[derive(Debug)]
pub struct Call {
    key: BackingKeyId,
    context: EncryptionContext,
    id: RequestId,
}

impl Call {
    /// 32 bytes with an encryption context.
    pub fn new() -> Result<Self, Failure> {
        let context = EncryptionContext::new([("tenant", "blue")])?;
        Ok(Self { key: BackingKeyId::new(KEY)?, context, id: RequestId::generate() })
    }

    /// Has it encrypted, with or without an integrity value.
    pub async fn encrypt(
        &self,
        connection: &dyn Connection,
        verified: bool,
    ) -> Result<Ciphertext, BackendError> {
        let metadata = RequestMetadata::new("bench", &Operation::ENCRYPT, &self.id);
        let request = EncryptRequest::new(metadata, &self.key, &PLAINTEXT).with_aad(self.context.canonical());
        connection.encrypt(&if verified { request } else { request.unverified() }).await
    }
}

/// A signed request as the client sent it, and the body of its answer.
#[derive(Debug, Clone)]
pub struct Exchange {
    /// Path or, for HTTP/2, the whole.
    pub uri: Uri,
    /// With those that hyper added.
    pub headers: HeaderMap,
    /// JSON.
    pub body: Bytes,
    /// JSON.
    pub answer: Bytes,
}

impl Exchange {
    /// As it is sent over `wire`: HTTP/2 has the host in the URI.
    pub fn over(&self, wire: Wire) -> Result<Self, Failure> {
        let mut exchange = self.clone();
        if wire == Wire::Http2 {
            exchange.uri = format!("https://{HOST}{}", self.uri).parse()?;
            exchange.headers.remove(HOST_HEADER);
        }
        Ok(exchange)
    }

    /// The request.
    #[must_use]
    pub fn request(&self) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(self.body.clone()));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = self.headers.clone();
        request
    }
}

/// What client and server of this crate exchange for each operation; the signatures hold for five minutes.
#[derive(Debug)]
pub struct Recorded {
    /// A health check.
    pub health: Exchange,
    /// An encryption without an integrity value.
    pub unverified: Exchange,
    /// An encryption with one.
    pub verified: Exchange,
}

impl Recorded {
    /// Has the client call the server through a relay that remembers what passes.
    pub async fn now(credential: &XksProxyCredential) -> Result<Self, Failure> {
        let upstream = proxy(credential, ServeOptions::plain_http()).await?;
        let (listener, relay) = listen().await?;
        let seen = Mutex::new(Vec::new());
        let relaying = async {
            let (socket, _) = listener.accept().await?;
            let service = service_fn(|request| relayed(request, upstream, &seen));
            Ok(http1::Builder::new().serve_connection(TokioIo::new(socket), service).await?)
        };
        let calling = async {
            let connection = connect(settings(credential)?.dangerous_plain_http_on_loopback(relay)).await?;
            let call = Call::new()?;
            call.encrypt(&*connection, false).await?;
            call.encrypt(&*connection, true).await?;
            // Dropping the connection ends the relay.
            Ok::<_, Failure>(())
        };
        try_join(relaying, calling).await?;
        let seen = seen.into_inner().unwrap_or_else(PoisonError::into_inner);
        let [health, unverified, verified] =
            seen.try_into().map_err(|_| "the client sends one request for each call")?;
        Ok(Self { health, unverified, verified })
    }
}

async fn relayed(
    request: Request<Incoming>,
    upstream: SocketAddr,
    seen: &Mutex<Vec<Exchange>>,
) -> Result<Response<Full<Bytes>>, Failure> {
    let (head, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let mut exchange = Exchange { uri: head.uri, headers: head.headers, body, answer: Bytes::new() };
    exchange.answer = Lane::plain(upstream).await?.exchange(exchange.request()).await?;
    let answer = answer(exchange.answer.clone());
    seen.lock().unwrap_or_else(PoisonError::into_inner).push(exchange);
    Ok(answer)
}
