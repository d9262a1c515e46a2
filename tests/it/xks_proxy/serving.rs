//! The listener: slow and silent clients, limits, and the graceful end.

use std::time::{Duration, Instant};

use custom_key_store::backend::software::{Fault, Method};
use custom_key_store::xks::proxy::ServeOptions;
use tokio::io::AsyncWriteExt as _;

use super::support::{Call, Client, KEY, PATH, Rig, encrypt_body, health_body, until};

const SHORT: Duration = Duration::from_millis(150);

fn health() -> Call {
    Call::new("health", &health_body())
}

/// Weak spot 13: half-sent requests stayed open. Silent, half a header, or slow drops of it: closed, and others are
/// served meanwhile.
#[tokio::test]
async fn who_sends_no_request_is_closed() {
    let rig = Rig::with_options(ServeOptions::plain_http().first_request_timeout(SHORT)).await;
    let began = Instant::now();
    let mut silent = rig.client().await;
    let mut half = rig.client().await;
    half.0.write_all(b"POST /kms/xks/v1/health HTTP/1.1\r\nhost: a\r\n").await.unwrap();
    let mut preface = rig.client().await;
    preface.0.write_all(b"PRI * HTTP/2.0\r\n").await.unwrap();
    rig.send(&health()).await.ok();
    silent.closed().await;
    half.closed().await;
    preface.closed().await;
    assert!(began.elapsed() >= SHORT);
}

/// Idle afterwards, or with half of the next header; a connection in use is left alone.
#[tokio::test]
async fn who_falls_silent_is_closed() {
    let rig = Rig::with_options(ServeOptions::plain_http().idle_timeout(SHORT)).await;
    let (mut idle, mut half) = (rig.client().await, rig.client().await);
    idle.send(&health()).await.ok();
    half.send(&health()).await.ok();
    half.0.write_all(b"POST / HTTP").await.unwrap();
    idle.closed().await;
    half.closed().await;
}

/// A body that does not come: the proxy's own limit of time.
#[tokio::test]
async fn a_slow_body_is_refused() {
    let rig = Rig::new().await;
    let mut client = rig.client().await;
    let head = format!("POST {PATH}/health HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\nabc");
    client.0.write_all(head.as_bytes()).await.unwrap();
    until(|| rig.clock.sleepers() == 1).await;
    rig.clock.advance(Duration::from_secs(5));
    let reply = client.receive().await;
    reply.is_error(400, "ValidationException");
    client.closed().await;
}

#[tokio::test]
async fn a_long_header_is_refused() {
    let rig = Rig::with_options(ServeOptions::plain_http().max_header_bytes(8192)).await;
    let mut client = rig.client().await;
    let head = format!("POST {PATH}/health HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n", "x".repeat(20_000));
    let reply = client.send_bytes(head.as_bytes()).await;
    assert_eq!(reply.status, 431);
    rig.send(&health()).await.ok();
}

#[tokio::test]
async fn there_are_so_many_connections_and_no_more() {
    let rig = Rig::with_options(ServeOptions::plain_http().max_connections(2)).await;
    let (mut one, mut two) = (rig.client().await, rig.client().await);
    one.send(&health()).await.ok();
    two.send(&health()).await.ok();
    let mut three = rig.client().await;
    three.closed().await;
    one.send(&health()).await.ok();
    drop(one);
    // There is room again as soon as the server has seen it.
    loop {
        let mut next = rig.client().await;
        next.0.write_all(&health().bytes()).await.unwrap();
        let mut first = [0; 1];
        if tokio::io::AsyncReadExt::read(&mut next.0, &mut first).await.is_ok_and(|read| read == 1) {
            break;
        }
    }
}

/// Weak spot 12: a request in flight is answered, then its connection ends; nobody new is let in.
#[tokio::test]
async fn a_shutdown_lets_requests_finish() {
    let rig = Rig::new().await;
    let mut idle = rig.client().await;
    idle.send(&health()).await.ok();
    rig.manager.inject(Method::Encrypt, Fault::Delay(Duration::from_millis(100)));
    let mut busy = rig.client().await;
    busy.0.write_all(&Call::on_key("encrypt", KEY, &encrypt_body(b"x", None)).bytes()).await.unwrap();
    until(|| rig.clock.sleepers() == 2).await;

    rig.handle.shut_down();
    idle.closed().await;
    assert!(!rig.serving.is_finished());
    rig.clock.advance(Duration::from_millis(100));
    busy.receive().await.ok();
    busy.closed().await;
    let drained = rig.serving.await.unwrap();
    assert_eq!(drained.cut_off, 0);
    assert!(tokio::net::TcpStream::connect(rig.address).await.is_err());
}

/// What does not end by itself is cut off at the limit.
#[tokio::test]
async fn a_shutdown_has_a_limit() {
    let rig = Rig::with_options(ServeOptions::plain_http().drain_limit(SHORT)).await;
    rig.manager.inject(Method::Encrypt, Fault::Hang);
    let mut busy = rig.client().await;
    busy.0.write_all(&Call::on_key("encrypt", KEY, &encrypt_body(b"x", None)).bytes()).await.unwrap();
    until(|| rig.manager.calls(Method::Encrypt) == 1).await;
    rig.handle.shut_down();
    assert_eq!(rig.serving.await.unwrap().cut_off, 1);
    busy.closed().await;
}

/// Without a word from anybody, a server goes on.
#[tokio::test]
async fn without_a_handle_it_goes_on() {
    let rig = Rig::new().await;
    let Rig { address, handle, serving, .. } = rig;
    drop(handle);
    Client::connect(address).await.send(&health()).await.ok();
    assert!(!serving.is_finished());
}

/// XKS-P-160: a burst on many connections is served without an error. (Rates are measured elsewhere.)
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_connections_at_once() {
    let rig = Rig::new().await;
    let tasks: Vec<_> = (0..32)
        .map(|_| {
            let address = rig.address;
            tokio::spawn(async move {
                let mut client = Client::connect(address).await;
                for _ in 0..20 {
                    client.send(&Call::on_key("encrypt", KEY, &encrypt_body(&[1; 128], None))).await.ok();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(rig.manager.calls(Method::Encrypt), 640);
}
