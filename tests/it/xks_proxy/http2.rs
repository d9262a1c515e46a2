//! A client that speaks HTTP/2, hyper's.

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http2 as client;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinHandle;

use super::support::Call;

impl Call {
    /// The request for HTTP/2, where `:authority` stands in for the Host header.
    pub(crate) fn http2(&self) -> hyper::Request<Full<Bytes>> {
        hyper::Request::post(format!("https://{}{}", self.host, self.path))
            .header("content-type", "application/json")
            .header("x-amz-date", &self.date)
            .header("authorization", self.authorization())
            .body(Full::new(Bytes::copy_from_slice(&self.body)))
            .unwrap()
    }
}

/// One connection that speaks HTTP/2 with hyper's client.
pub(crate) type Http2 = client::SendRequest<Full<Bytes>>;

/// Speaks HTTP/2 over a socket. The task ends when the connection does.
pub(crate) async fn http2(
    socket: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
) -> (Http2, JoinHandle<()>) {
    let executor = TokioExecutor::new();
    let io = TokioIo::new(socket);
    let (http, connection) = client::handshake(executor, io).await.unwrap();
    (http, tokio::spawn(async { drop(connection.await) }))
}
