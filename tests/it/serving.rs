//! The server is one for any service, not only for those of this crate.

use std::cell::Cell;
use std::convert::Infallible;
use std::future::{Ready, ready};
use std::task::{Context, Poll};
use std::time::Duration;

use custom_key_store::api::{Peer, ServeOptions, serve};
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tower_service::Service;

/// Says who asks; cannot be shared between threads, and is ready only when it is asked a second time.
#[derive(Clone)]
struct Echo {
    asked: Cell<bool>,
}

impl Service<Request<Incoming>> for Echo {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        if self.asked.replace(true) {
            return Poll::Ready(Ok(()));
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }

    fn call(&mut self, request: Request<Incoming>) -> Self::Future {
        assert!(self.asked.get(), "a service is asked whether it is ready before it is called");
        let peer = request.extensions().get::<Peer>().unwrap().0;
        ready(Ok(Response::new(Full::from(format!("{} from {peer}", request.uri().path())))))
    }
}

#[tokio::test]
async fn any_service_is_served_and_told_who_asks() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let echo = Echo { asked: Cell::new(false) };
    let (serving, handle) = serve(listener, echo, ServeOptions::plain_http());
    let serving = tokio::spawn(serving);

    let mut client = TcpStream::connect(address).await.unwrap();
    let request = b"POST /what HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    client.write_all(request).await.unwrap();
    let mut answer = String::new();
    timeout(Duration::from_secs(20), client.read_to_string(&mut answer)).await.unwrap().unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.ends_with(&format!("/what from {}", client.local_addr().unwrap())), "{answer}");

    handle.shut_down();
    assert_eq!(timeout(Duration::from_secs(20), serving).await.unwrap().unwrap().cut_off, 0);
}
