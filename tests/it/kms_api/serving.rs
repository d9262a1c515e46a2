//! Over sockets.

use std::num::NonZeroU32;
use std::time::Duration;

use custom_key_store::RateLimit;
use custom_key_store::api::{KmsApi, ServeOptions};
use http_body_util::BodyExt as _;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::json;
use tokio::io::AsyncWriteExt as _;

use super::support::{Rig, call, call_with, callers, is_error};
use crate::xks_proxy::http2::http2;
use crate::xks_proxy::support::{Call, Client, LONG, until};

#[tokio::test]
async fn one_connection_serves_right_and_wrong_requests_one_after_the_other() {
    let rig = Rig::new().await;
    let (mut client, handle) = rig.client().await;
    let right = call("Encrypt", &json!({ "KeyId": "alias/payroll", "Plaintext": "AA==" }));
    let mut wrong_secret = right.clone();
    wrong_secret.secret.push('x');
    let mut nobody = right.clone();
    nobody.id = "AKIANOBODY".to_owned();
    for _ in 0..3 {
        assert_eq!(client.send(&right).await.status, 200);
        is_error(&client.send(&wrong_secret).await, 400, "InvalidSignatureException");
        // A short body that nobody wants is no reason to hang up.
        is_error(&client.send(&nobody).await, 400, "UnrecognizedClientException");
        is_error(&client.send(&call("Encrypt", &json!({}))).await, 400, "ValidationException");
        is_error(&client.send(&call("Sign", &json!({}))).await, 400, "UnsupportedOperationException");
        is_error(&client.send(&call_with("Encrypt", Vec::new())).await, 400, "SerializationException");
    }
    handle.shut_down();
    client.closed().await;
}

#[tokio::test]
async fn http2_serves_many_requests_at_once() {
    let rig = Rig::new().await;
    let (address, _handle) = rig.serve(ServeOptions::plain_http()).await;
    let (http, _connection) = http2(tokio::net::TcpStream::connect(address).await.unwrap()).await;
    let call = call("Encrypt", &json!({ "KeyId": "alias/payroll", "Plaintext": "AA==" }));
    let requests = (0..30).map(|_| {
        let mut http = http.clone();
        let mut request = hyper::Request::post("http://kms.example.com/");
        for (name, value) in call.signed_headers() {
            if name != "host" {
                request = request.header(name, value);
            }
        }
        let request = request.header("authorization", call.authorization());
        let body = http_body_util::Full::new(bytes::Bytes::from(call.body.clone()));
        async move {
            http.ready().await.unwrap();
            let response = http.send_request(request.body(body).unwrap()).await.unwrap();
            assert_eq!(response.status(), 200);
            let body = response.into_body().collect().await.unwrap().to_bytes();
            serde_json::from_slice::<serde_json::Value>(&body).unwrap()["CiphertextBlob"].clone()
        }
    });
    let blobs: std::collections::HashSet<_> = futures::future::join_all(requests).await.into_iter().collect();
    assert_eq!(blobs.len(), 30);
}

#[tokio::test]
async fn a_body_that_is_too_long_costs_the_connection_whether_it_is_announced_or_not() {
    let rig = Rig::new().await;
    let (address, _handle) = rig.serve(ServeOptions::plain_http()).await;
    let head = |length: &str| {
        let call = call("ListKeys", &json!({}));
        let mut head = "POST / HTTP/1.1\r\n".to_owned();
        for (name, value) in call.signed_headers() {
            head += &format!("{name}: {value}\r\n");
        }
        format!("{head}authorization: {}\r\n{length}\r\n\r\n", call.authorization())
    };
    let mut client = Client::connect(address).await;
    let announced = head("content-length: 10485760");
    let reply = client.send_bytes(announced.as_bytes()).await;
    is_error(&reply, 413, "RequestEntityTooLargeException");
    assert!(reply.head.contains("connection: close"), "{reply:?}");
    client.closed().await;

    let mut client = Client::connect(address).await;
    client.0.write_all(head("transfer-encoding: chunked").as_bytes()).await.unwrap();
    let chunk = [b"100000\r\n".as_slice(), &vec![b' '; 1 << 20], b"\r\n"].concat();
    // The other side may close before all of it is written.
    let _ = client.0.write_all(&chunk).await;
    let _ = client.0.write_all(b"1\r\nx\r\n").await;
    is_error(&client.receive().await, 413, "RequestEntityTooLargeException");
    client.closed().await;
    let mut client = Client::connect(address).await;
    assert_eq!(client.send(&call("ListKeys", &json!({}))).await.status, 200);
}

fn nobodys(body: &serde_json::Value) -> Call {
    let mut nobody = call("ListKeys", body);
    nobody.id = "AKIANOBODY".to_owned();
    nobody
}

#[tokio::test]
async fn a_stranger_whose_body_does_not_come_is_answered_without_it() {
    let rig = Rig::new().await;
    let (mut client, _handle) = rig.client().await;
    let sleepers = rig.clock.sleepers();
    let bytes = nobodys(&json!({ "Limit": 1 })).bytes();
    client.0.write_all(&bytes[..bytes.len() - 1]).await.unwrap();
    let (reply, ()) = futures::join!(client.receive(), async {
        until(|| rig.clock.sleepers() > sleepers).await;
        rig.clock.advance(Duration::from_secs(1));
    });
    is_error(&reply, 400, "UnrecognizedClientException");
    client.closed().await;
    // What is too much to be thrown away is not waited for: the clock stands still.
    let (mut client, _handle) = rig.client().await;
    let bytes = nobodys(&json!({ "Marker": "x".repeat(64 * 1024) })).bytes();
    client.0.write_all(&bytes[..bytes.len() - 1]).await.unwrap();
    is_error(&client.receive().await, 400, "UnrecognizedClientException");
    client.closed().await;
}

/// As by clients that send it by a call of its own.
#[tokio::test]
async fn a_stranger_whose_body_comes_after_the_headers_hears_the_answer() {
    let rig = Rig::new().await;
    let (mut client, _handle) = rig.client().await;
    let sleepers = rig.clock.sleepers();
    for _ in 0..3 {
        let nobody = nobodys(&json!({ "Limit": 1 }));
        let bytes = nobody.bytes();
        let (head, body) = bytes.split_at(bytes.len() - nobody.body.len());
        client.0.write_all(head).await.unwrap();
        // The server has seen who it is, and waits.
        until(|| rig.clock.sleepers() > sleepers).await;
        client.0.write_all(body).await.unwrap();
        is_error(&client.receive().await, 400, "UnrecognizedClientException");
    }
    let (address, _handle) = rig.serve(ServeOptions::plain_http()).await;
    let io = TokioIo::new(tokio::net::TcpStream::connect(address).await.unwrap());
    let (mut http, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.unwrap();
    tokio::spawn(async { drop(connection.await) });
    let (sending, sent) = futures::channel::oneshot::channel::<bytes::Bytes>();
    let frame = async { sent.await.map(http_body::Frame::data) };
    let body = http_body_util::StreamBody::new(futures::stream::once(Box::pin(frame)));
    http.ready().await.unwrap();
    let answered = http.send_request(hyper::Request::post("http://kms.example.com/").body(body).unwrap());
    let (response, ()) = futures::join!(answered, async {
        until(|| rig.clock.sleepers() > sleepers).await;
        sending.send("{}".into()).unwrap();
    });
    assert_eq!(response.unwrap().status(), 400);
}

#[tokio::test]
async fn a_body_that_does_not_come_is_waited_for_no_longer_than_was_set() {
    let rig =
        Rig::with(|kms| kms, |kms| KmsApi::builder(kms, callers()).body_timeout(Duration::from_secs(7)))
            .await;
    let (mut client, _handle) = rig.client().await;
    let sleepers = rig.clock.sleepers();
    let bytes = call("ListKeys", &json!({ "Limit": 1 })).bytes();
    client.0.write_all(&bytes[..bytes.len() - 1]).await.unwrap();
    let (reply, ()) = futures::join!(client.receive(), async {
        // Until the server waits for it.
        until(|| rig.clock.sleepers() > sleepers).await;
        rig.clock.advance(Duration::from_secs(7));
    });
    is_error(&reply, 400, "RequestTimeoutException");
    client.closed().await;
}

#[tokio::test]
async fn a_peer_that_asks_too_often_is_throttled_before_anything_else_and_may_ping() {
    let few = RateLimit::per_second(NonZeroU32::new(2).unwrap());
    let rig = Rig::with(|kms| kms, |kms| KmsApi::builder(kms, callers()).peer_rate_limit(few)).await;
    let (address, _handle) = rig.serve(ServeOptions::plain_http()).await;
    let right = call("ListKeys", &json!({}));
    let mut unsigned = right.clone();
    unsigned.id = "NOBODY".to_owned();
    let mut client = Client::connect(address).await;
    assert_eq!(client.send(&right).await.status, 200);
    is_error(&client.send(&unsigned).await, 400, "UnrecognizedClientException");
    is_error(&client.send(&right).await, 400, "ThrottlingException");
    client.closed().await;
    let mut client = Client::connect(address).await;
    let reply = client.send_bytes(b"GET /ping HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert_eq!(reply.status, 200);
    rig.clock.advance(Duration::from_secs(1));
    assert_eq!(client.send(&right).await.status, 200);
}

#[tokio::test]
async fn memory_for_bodies_is_bounded() {
    let rig = Rig::with(|kms| kms, |kms| KmsApi::builder(kms, callers()).body_memory(300 * 1024)).await;
    let (address, _handle) = rig.serve(ServeOptions::plain_http()).await;
    let large = call_with("ListKeys", [b"{\"New\":\"".as_slice(), &vec![b'x'; 200 * 1024], b"\"}"].concat());
    let bytes = large.bytes();
    let mut first = Client::connect(address).await;
    first.0.write_all(&bytes[..bytes.len() - 1]).await.unwrap();
    // The first has its memory when the second is refused.
    let refused = async {
        loop {
            let reply = Client::connect(address).await.send(&large).await;
            if reply.status != 200 {
                return reply;
            }
        }
    };
    let reply = tokio::time::timeout(LONG, refused).await.unwrap();
    is_error(&reply, 400, "ThrottlingException");
    let reply = first.send_bytes(&bytes[bytes.len() - 1..]).await;
    assert_eq!(reply.status, 200);
    assert_eq!(Client::connect(address).await.send(&large).await.status, 200);
}

#[tokio::test]
async fn whoever_goes_away_leaves_what_it_began_to_the_driver() {
    use custom_key_store::backend::software::{Fault, Method};

    let rig = Rig::new().await;
    let (mut client, _handle) = rig.client().await;
    rig.manager.inject(Method::Encrypt, Fault::Hang);
    let calls = rig.manager.calls(Method::Encrypt);
    let encrypt = call("Encrypt", &json!({ "KeyId": "alias/payroll", "Plaintext": "AA==" }));
    client.0.write_all(&encrypt.bytes()).await.unwrap();
    until(|| rig.manager.calls(Method::Encrypt) > calls).await;
    drop(client);
    rig.ok("Encrypt", &json!({ "KeyId": "alias/payroll", "Plaintext": "AA==" })).await;
    rig.ok("DisconnectCustomKeyStore", &json!({ "CustomKeyStoreId": rig.store })).await;
    crate::kms::support::until(&rig.kms, &rig.store, custom_key_store::ConnectionState::Disconnected).await;
}
