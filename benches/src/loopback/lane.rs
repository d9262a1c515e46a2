//! hyper's client, without anything around it.

use std::fmt;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::{BoxFuture, Either, select};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::{http1, http2};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

use super::{Failure, HOST, Tls, Wire};

/// How many lanes share one connection of HTTP/2: fewer than every server allows.
const STREAMS: usize = 16;

/// Carries one request at a time.
pub struct Lane(Kind);

enum Kind {
    Http1 {
        sender: http1::SendRequest<Full<Bytes>>,
        /// `None` when it is a task of its own.
        driver: Option<BoxFuture<'static, hyper::Result<()>>>,
    },
    /// A share of a connection, which is a task of its own.
    Http2(http2::SendRequest<Full<Bytes>>),
}

/// Opens `number` lanes to a server.
pub async fn lanes(number: usize, address: SocketAddr, wire: Wire, tls: &Tls) -> Result<Vec<Lane>, Failure> {
    let mut lanes = Vec::with_capacity(number);
    while lanes.len() < number {
        match Lane::open(address, wire, tls).await?.0 {
            Kind::Http2(sender) => {
                let share = STREAMS.min(number - lanes.len());
                lanes.extend((0..share).map(|_| Lane(Kind::Http2(sender.clone()))));
            }
            only => lanes.push(Lane(only)),
        }
    }
    Ok(lanes)
}

impl Lane {
    async fn open(address: SocketAddr, wire: Wire, tls: &Tls) -> Result<Self, Failure> {
        let socket = TcpStream::connect(address).await?;
        socket.set_nodelay(true)?;
        if !wire.is_tls() {
            return Self::http1(socket).await;
        }
        let connector = TlsConnector::from(Arc::new(tls.client(wire)?));
        let socket = connector.connect(ServerName::try_from(HOST)?, socket).await?;
        if wire == Wire::Tls {
            return Self::http1(socket).await;
        }
        let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(socket)).await?;
        tokio::spawn(connection);
        Ok(Self(Kind::Http2(sender)))
    }

    pub(super) async fn plain(address: SocketAddr) -> Result<Self, Failure> {
        Self::http1(TcpStream::connect(address).await?).await
    }

    async fn http1(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Result<Self, Failure> {
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        Ok(Self(Kind::Http1 { sender, driver: Some(Box::pin(connection)) }))
    }

    /// As hyper's documentation does it; otherwise a connection of HTTP/1.1 is polled by the call that uses it.
    #[must_use]
    pub fn spawned(mut self) -> Self {
        if let Kind::Http1 { driver, .. } = &mut self.0 {
            driver.take().map(tokio::spawn);
        }
        self
    }

    /// The body of a success.
    pub async fn exchange(&mut self, request: Request<Full<Bytes>>) -> Result<Bytes, Failure> {
        match &mut self.0 {
            Kind::Http2(sender) => {
                sender.ready().await?;
                body(sender.send_request(request).await?).await
            }
            Kind::Http1 { sender, driver } => {
                let work = pin!(async {
                    sender.ready().await?;
                    body(sender.send_request(request).await?).await
                });
                match driver {
                    None => work.await,
                    Some(driver) => match select(work, driver).await {
                        Either::Left((body, _)) => body,
                        Either::Right(_) => Err("the server hung up".into()),
                    },
                }
            }
        }
    }
}

async fn body(response: Response<hyper::body::Incoming>) -> Result<Bytes, Failure> {
    let status = response.status();
    let body = response.into_body().collect().await?.to_bytes();
    if status == StatusCode::OK { Ok(body) } else { Err(format!("{status}: {body:?}").into()) }
}

impl fmt::Debug for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lane").finish_non_exhaustive()
    }
}
