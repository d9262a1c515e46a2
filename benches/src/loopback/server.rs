//! Servers: hyper's, without anything around it, and this crate's; and threads for them.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use custom_key_store::backend::software::KeyManager;
use custom_key_store::backend::{
    Backend as _, BackingKeyId, ConnectReason, ConnectRequest, Connection, XksProxyCredential,
};
use custom_key_store::xks::proxy::{KeyGrant, Proxy, ServeOptions, Tenant, serve};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::rt::{Read, Write};
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustix::time::{ClockId, clock_gettime};
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Handle};
use tokio_rustls::TlsAcceptor;

use super::{Failure, KEY, LIMIT, Recorded, Wire, path, region};

/// A thread with a runtime, which lasts as long as the process.
#[derive(Debug)]
pub struct Elsewhere(Handle);

impl Elsewhere {
    /// Starts it.
    pub fn start() -> Result<Self, Failure> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        thread::spawn(move || runtime.block_on(std::future::pending::<()>()));
        Ok(Self(handle))
    }

    /// Runs `work` there.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, Failure>> + Send + 'static,
    ) -> Result<T, Failure> {
        self.0.spawn(work).await?
    }

    /// For how long the thread has been computing so far, in its own code or in the system's.
    pub async fn computed(&self) -> Result<Duration, Failure> {
        self.run(async { Ok(clock_gettime(ClockId::ThreadCPUTime).try_into()?) }).await
    }
}

/// Binds a port of loopback.
pub(super) async fn listen() -> io::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

/// This crate's server, with a software key behind it.
pub async fn proxy(credential: &XksProxyCredential, options: ServeOptions) -> Result<SocketAddr, Failure> {
    let manager = KeyManager::new();
    manager.create_key(BackingKeyId::new(KEY)?);
    let connection = manager.connect(&ConnectRequest::new(ConnectReason::Connect, LIMIT)).await?;
    proxy_over(connection, credential, options).await
}

/// This crate's server, with this connection behind it, which has the [key](KEY).
pub async fn proxy_over(
    connection: Arc<dyn Connection>,
    credential: &XksProxyCredential,
    options: ServeOptions,
) -> Result<SocketAddr, Failure> {
    let tenant = Tenant::builder(path()?, connection)
        .region(region()?)
        .credential(credential.clone())
        .key(BackingKeyId::new(KEY)?, KeyGrant::new(BackingKeyId::new(KEY)?))
        .health_key(BackingKeyId::new(KEY)?)
        .build()?;
    let proxy = Proxy::builder().tenant(tenant).deadline(LIMIT).build()?;
    let (listener, address) = listen().await?;
    // Without its handle it serves until the runtime ends.
    let (serving, _) = serve(listener, proxy, options);
    tokio::spawn(serving);
    Ok(address)
}

/// hyper's server, which answers a health check and, to whatever else is asked, a verified encryption, with the bytes
/// that were recorded.
pub async fn constant(recorded: &Recorded, wire: Wire, acceptor: TlsAcceptor) -> Result<SocketAddr, Failure> {
    always((recorded.health.answer.clone(), recorded.verified.answer.clone()), wire, acceptor).await
}

/// hyper's server, which answers the first to a health check, and the second to whatever else is asked.
pub async fn always(
    answers: (Bytes, Bytes),
    wire: Wire,
    acceptor: TlsAcceptor,
) -> Result<SocketAddr, Failure> {
    let (listener, address) = listen().await?;
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let (answers, acceptor) = (answers.clone(), acceptor.clone());
            tokio::spawn(async move {
                socket.set_nodelay(true)?;
                if wire.is_tls() {
                    answer_with(TokioIo::new(acceptor.accept(socket).await?), wire, answers).await
                } else {
                    answer_with(TokioIo::new(socket), wire, answers).await
                }
            });
        }
    });
    Ok(address)
}

async fn answer_with(
    io: impl Read + Write + Unpin + Send + 'static,
    wire: Wire,
    (health, encrypted): (Bytes, Bytes),
) -> Result<(), Failure> {
    let service = service_fn(move |request: Request<Incoming>| {
        let body = if request.uri().path().ends_with("/health") { &health } else { &encrypted };
        let body = body.clone();
        async move {
            request.into_body().collect().await?;
            Ok::<_, hyper::Error>(answer(body))
        }
    });
    if wire == Wire::Http2 {
        return Ok(http2::Builder::new(TokioExecutor::new()).serve_connection(io, service).await?);
    }
    Ok(http1::Builder::new().serve_connection(io, service).await?)
}

pub(super) fn answer(body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
