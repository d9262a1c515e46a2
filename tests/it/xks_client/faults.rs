//! What networks and broken proxies do: for each the kind, and that the next request works.

use std::time::{Duration, SystemTime};

use custom_key_store::backend::{
    Backend as _, BackendErrorKind, ConnectReason, ConnectionErrorCode, UriEndpoint,
};
use custom_key_store::clock::{Clock as _, ManualClock};
use custom_key_store::xks::ProxyOperation;
use tokio::net::TcpListener;

use super::authority::Authority;
use super::fixture::{call, connect, connect_request, failing, guarded, health, plain, plain_with, settings};
use super::server::{Manner, Reply, Server, response};

const OP: ProxyOperation = ProxyOperation::GetHealthStatus;
const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n{\"a";
const CHUNKED: &[u8] =
    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";

/// XKS-C-66: nobody listens, and then somebody does.
#[tokio::test]
async fn refused() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let proxy = settings().dangerous_plain_http_on_loopback(free).build().unwrap();
    let error = guarded(proxy.connect(&connect_request(ConnectReason::Connect))).await.unwrap_err();
    assert_eq!(error.code(), ConnectionErrorCode::XksProxyNotReachable);
    assert_eq!(proxy.counters().counts().retries, 0, "there was no connection to break");

    let _server = Server::start_at(free, Manner::Plain).await;
    guarded(call(&*connect(&proxy).await, OP)).await.unwrap();
}

/// XKS-C-66: it restarts, which leaves a while in which nobody listens.
#[tokio::test]
async fn refused_in_the_middle_of_a_connections_life() {
    let (server, proxy, connection) = plain().await;
    let address = server.address;
    server.stops().await;
    let error = guarded(call(&*connection, OP)).await.unwrap_err();
    assert_eq!(error.kind(), BackendErrorKind::Unreachable);
    let _server = Server::start_at(address, Manner::Plain).await;
    guarded(call(&*connection, OP)).await.unwrap();
    assert_eq!(proxy.counters().counts().errors(BackendErrorKind::Unreachable), 1);
}

/// XKS-C-66. The name is one that can never exist; that it is another's network fault shows in that an address helps.
#[tokio::test]
async fn unresolvable() {
    let authority = Authority::new();
    let endpoint = UriEndpoint::new("https://nobody.invalid").unwrap();
    let settings = settings().endpoint(endpoint).trust_roots(authority.trusted());
    let proxy = settings.clone().build().unwrap();
    for _ in 0..2 {
        let error = guarded(proxy.connect(&connect_request(ConnectReason::Connect))).await.unwrap_err();
        assert_eq!(error.code(), ConnectionErrorCode::XksProxyNotReachable);
    }
    let server = Server::start(Manner::Tls(authority.issue("nobody.invalid", |_| ()).server(&[]))).await;
    connect(&settings.dial(server.address).build().unwrap()).await;
}

/// Where the system knows the name, it is this machine's; and where it does not, it is nobody's. An address that is given
/// is whoever gave it's to answer for.
#[tokio::test]
async fn a_name_of_this_machine_where_only_public_addresses_are_connected_to() {
    let authority = Authority::new();
    let endpoint = UriEndpoint::new("https://proxy.localhost").unwrap();
    let settings = settings().endpoint(endpoint).trust_roots(authority.trusted()).public_addresses_only();
    let proxy = settings.clone().build().unwrap();
    let known = tokio::net::lookup_host("proxy.localhost:443").await.is_ok();
    let error = guarded(proxy.connect(&connect_request(ConnectReason::Connect))).await.unwrap_err();
    assert_eq!(error.code(), ConnectionErrorCode::XksProxyNotReachable);
    let why = if known { "an address that is not public" } else { "the host name has no address" };
    assert!(error.detail().unwrap().contains(why), "{error:?}");

    let server = Server::start(Manner::Tls(authority.issue("proxy.localhost", |_| ()).server(&[]))).await;
    connect(&settings.dial(server.address).build().unwrap()).await;
}

/// XKS-C-67: what a store in state `FAILED` shows of an answer that makes no sense, and that it is not for ever.
#[tokio::test]
async fn nonsense_when_connecting() {
    let server = Server::start(Manner::Plain).await;
    let proxy = settings().dangerous_plain_http_on_loopback(server.address).build().unwrap();
    let too_long =
        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 65537\r\n\r\n".to_vec();
    for reply in [
        Reply::json(200, "{"),
        Reply::json(200, "{}"),
        Reply::Raw(response(200, "text/html", &health().to_string())),
        Reply::RawThenNothing(too_long.clone()),
        Reply::Endless(too_long, vec![b' '; 4096]),
        Reply::RawThenClose(HEAD.to_vec()),
        Reply::Raw(b"SSH-2.0-OpenSSH_9\r\n\r\n".to_vec()),
    ] {
        let shown = format!("{reply:?}").chars().take(80).collect::<String>();
        server.will(reply);
        let error = guarded(proxy.connect(&connect_request(ConnectReason::Connect))).await.unwrap_err();
        assert_eq!(error.code(), ConnectionErrorCode::XksProxyInvalidResponse, "{shown}");
        guarded(call(&*connect(&proxy).await, OP)).await.unwrap();
    }
    assert_eq!(proxy.counters().counts().retries, 0);
}

/// XKS-C-66: hangs up on every connection before it has answered.
#[tokio::test]
async fn hung_up_when_connecting() {
    let server = Server::start(Manner::HangsUp).await;
    let proxy = settings().dangerous_plain_http_on_loopback(server.address).build().unwrap();
    let error = guarded(proxy.connect(&connect_request(ConnectReason::Connect))).await.unwrap_err();
    assert_eq!(error.code(), ConnectionErrorCode::XksProxyNotReachable);
    assert_eq!(server.accepted(), 2, "asked once more, on another connection");
    server.becomes(Manner::Plain);
    guarded(call(&*connect(&proxy).await, OP)).await.unwrap();
}

/// A second answer to one request would be taken for that to the next.
#[tokio::test]
async fn an_answer_that_nobody_asked_for_is_nobodys() {
    let (server, _proxy, connection) = plain().await;
    let good = response(200, "application/json", &health().to_string());
    let stray = response(403, "application/json", r#"{"errorName":"AccessDeniedException"}"#);
    server.will(Reply::Raw([good, stray].concat()));
    guarded(call(&*connection, OP)).await.unwrap();
    assert_eq!(guarded(server.closed()).await, 1);
    guarded(call(&*connection, OP)).await.unwrap();
}

/// A proxy whose time the test moves, and a call that is on its way: XKS-C-38.
async fn in_time(reply: Reply, retries: u8) {
    let clock = ManualClock::new();
    let (server, proxy, connection) = plain_with(|settings| {
        settings.clock(clock.clone()).deadline(Duration::from_millis(250)).retries(retries)
    })
    .await;
    let shown = format!("{reply:?}").chars().take(60).collect::<String>();
    server.will(reply);
    let slow = tokio::spawn({
        let connection = std::sync::Arc::clone(&connection);
        async move { call(&*connection, OP).await }
    });
    guarded(server.seen()).await;
    clock.advance(Duration::from_millis(249));
    tokio::task::yield_now().await;
    assert!(!slow.is_finished(), "not before the deadline: {shown}");
    clock.advance(Duration::from_millis(1));
    let error = guarded(slow).await.unwrap().unwrap_err();
    assert_eq!(error.kind(), BackendErrorKind::TimedOut, "{shown}");

    // Its network connection is gone with it, and the next call has another.
    assert_eq!(guarded(server.closed()).await, 1, "{shown}");
    guarded(call(&*connection, OP)).await.unwrap();
    assert_eq!(guarded(server.seen()).await.connection, 2);
    assert_eq!(proxy.counters().counts().errors(BackendErrorKind::TimedOut), 1);
}

#[tokio::test]
async fn nothing_is_answered() {
    in_time(Reply::RawThenNothing(Vec::new()), 1).await;
}

#[tokio::test]
async fn a_head_is_never_finished() {
    in_time(Reply::RawThenNothing(b"HTTP/1.1 200 OK\r\ncontent-type: app".to_vec()), 1).await;
}

#[tokio::test]
async fn a_body_trickles() {
    in_time(Reply::RawThenNothing(HEAD.to_vec()), 1).await;
}

#[tokio::test]
async fn a_body_trickles_in_chunks() {
    in_time(Reply::RawThenNothing([CHUNKED, b"2\r\n{\"\r\n"].concat()), 1).await;
}

/// Data that keeps coming is no answer either.
#[tokio::test]
async fn interim_answers_do_not_end() {
    in_time(Reply::Endless(Vec::new(), b"HTTP/1.1 102 Processing\r\n\r\n".to_vec()), 1).await;
}

/// XKS-C-38, XKS-C-66: the same when connecting, and what a store in state `FAILED` shows of it.
#[tokio::test]
async fn slow_when_connecting() {
    let server = Server::start(Manner::Plain).await;
    let clock = ManualClock::new();
    let settings = settings().clock(clock.clone()).deadline(Duration::from_millis(250));
    let proxy = settings.dangerous_plain_http_on_loopback(server.address).build().unwrap();
    for reply in [
        Reply::RawThenNothing(Vec::new()),
        Reply::RawThenNothing(b"HTTP/1.1 200 OK\r\ncontent-type: app".to_vec()),
        Reply::RawThenNothing(HEAD.to_vec()),
        Reply::RawThenNothing([CHUNKED, b"2\r\n{\"\r\n"].concat()),
    ] {
        let shown = format!("{reply:?}").chars().take(60).collect::<String>();
        server.will(reply);
        let attempt = tokio::spawn({
            let proxy = proxy.clone();
            async move { proxy.connect(&connect_request(ConnectReason::Connect)).await.map(drop) }
        });
        guarded(server.seen()).await;
        clock.advance(Duration::from_millis(250));
        let error = guarded(attempt).await.unwrap().unwrap_err();
        assert_eq!(error.code(), ConnectionErrorCode::XksProxyTimedOut, "{shown}");
        guarded(call(&*connect(&proxy).await, OP)).await.unwrap();
        for _ in 0..2 {
            guarded(server.seen()).await;
        }
    }
}

/// XKS-C-66: accepts and never says anything, with TLS: the attempt ends at its own deadline, not before.
#[tokio::test]
async fn black_holed_when_connecting() {
    let server = Server::start(Manner::Mute).await;
    let (clock, authority) = (ManualClock::starting_at(SystemTime::now()), Authority::new());
    let proxy = settings()
        .clock(clock.clone())
        .dial(server.address)
        .trust_roots(authority.trusted())
        .connect_deadline(Duration::from_secs(5))
        .build()
        .unwrap();
    let attempt = tokio::spawn({
        let proxy = proxy.clone();
        async move { proxy.connect(&connect_request(ConnectReason::Connect)).await.map(drop) }
    });
    guarded(server.seen()).await;
    clock.advance(Duration::from_millis(4_999));
    tokio::task::yield_now().await;
    assert!(!attempt.is_finished());
    clock.advance(Duration::from_millis(1));
    let error = guarded(attempt).await.unwrap().unwrap_err();
    assert_eq!(error.code(), ConnectionErrorCode::XksProxyTimedOut);
    assert_eq!(guarded(server.closed()).await, 1, "the socket went with the attempt");
    assert_eq!(clock.sleepers(), 0, "at {:?}", clock.wall());

    server.becomes(Manner::Tls(authority.server()));
    guarded(call(&*connect(&proxy).await, OP)).await.unwrap();
}

/// The store's own patience counts too.
#[tokio::test]
async fn connecting_takes_no_longer_than_the_request_allows() {
    let server = Server::start(Manner::Plain).await;
    server.will(Reply::RawThenNothing(Vec::new()));
    let clock = ManualClock::new();
    let settings = settings().clock(clock.clone()).dangerous_plain_http_on_loopback(server.address);
    let proxy = settings.build().unwrap();
    let attempt = tokio::spawn({
        let proxy = proxy.clone();
        async move {
            let mut request = connect_request(ConnectReason::Connect);
            request.timeout = Duration::from_secs(1);
            proxy.connect(&request).await.map(drop)
        }
    });
    guarded(server.seen()).await;
    clock.advance(Duration::from_secs(1));
    let error = guarded(attempt).await.unwrap().unwrap_err();
    assert_eq!(error.code(), ConnectionErrorCode::XksProxyTimedOut);
    guarded(call(&*connect(&proxy).await, OP)).await.unwrap();
}

/// The first connection is for the health check, however little an idle one may count.
#[tokio::test]
async fn connecting_takes_one_network_connection_although_none_may_be_idle() {
    let (server, _proxy, _connection) =
        plain_with(|settings| settings.idle_timeout(Duration::ZERO).max_idle_connections(0)).await;
    assert_eq!(server.accepted(), 1);
}

/// XKS-C-08: said to be too long, and too long without saying so.
#[tokio::test]
async fn too_long_a_body_is_not_read_to_its_end() {
    let (server, _proxy, connection) = plain().await;
    let said = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 65537\r\n\r\n".to_vec();
    let chunk = [b"1000\r\n".as_slice(), &[b' '; 4096], b"\r\n"].concat();
    let long = "x".repeat(20_000);
    for reply in [
        Reply::RawThenNothing(said.clone()),
        Reply::Endless(said, vec![b' '; 4096]),
        Reply::Endless(CHUNKED.to_vec(), chunk),
        // An end that is the end of the connection.
        Reply::Endless(
            b"HTTP/1.0 200 OK\r\ncontent-type: application/json\r\n\r\n".to_vec(),
            vec![b' '; 4096],
        ),
        // The head has a limit as well.
        Reply::Endless(b"HTTP/1.1 200 OK\r\n".to_vec(), b"x-more: and more\r\n".to_vec()),
        Reply::Raw(format!("HTTP/1.1 200 OK\r\nx-long: {long}\r\ncontent-length: 0\r\n\r\n").into_bytes()),
        Reply::Raw(b"HTTP/1.1 200 OK\r\ncontent-length: 18446744073709551616\r\n\r\n".to_vec()),
    ] {
        let shown = format!("{reply:?}").chars().take(80).collect::<String>();
        let error = failing(&server, &*connection, OP, reply).await;
        assert_eq!(error.kind(), BackendErrorKind::InvalidResponse, "{shown}");
    }
    // 65,536 are not too many.
    let padding = " ".repeat(65_536 - health().to_string().len());
    server.will(Reply::Raw(response(200, "application/json", &format!("{}{padding}", health()))));
    guarded(call(&*connection, OP)).await.unwrap();
}

/// XKS-C-67
#[tokio::test]
async fn half_an_answer_is_malformed_and_not_asked_for_again() {
    let (server, proxy, connection) = plain().await;
    for reply in [
        Reply::RawThenClose(HEAD.to_vec()),
        Reply::RawThenClose([CHUNKED, b"2\r\n{\"\r\n"].concat()),
        Reply::RawThenClose([CHUNKED, b"zz\r\n"].concat()),
        Reply::RawThenClose(b"HTTP/1.1 200 O".to_vec()),
        Reply::RawThenClose(b"SSH-2.0-OpenSSH_9\r\n".to_vec()),
        Reply::Raw(b"\0\0\0\0\0\0\0\0\r\n\r\n".to_vec()),
        Reply::Raw(b"<html>\r\n\r\n".to_vec()),
    ] {
        let shown = format!("{reply:?}");
        let error = failing(&server, &*connection, OP, reply).await;
        assert_eq!(error.kind(), BackendErrorKind::InvalidResponse, "{shown}");
    }
    assert_eq!(proxy.counters().counts().retries, 0);
}

/// A connection that breaks before a byte of the answer: asked once more, on another, and no more than that.
#[tokio::test]
async fn closed_in_the_middle_of_a_request() {
    let (server, proxy, connection) = plain().await;
    server.will(Reply::RawThenClose(Vec::new()));
    guarded(call(&*connection, OP)).await.unwrap();
    let [first, second] = [guarded(server.seen()).await, guarded(server.seen()).await];
    assert_eq!((first.connection, second.connection), (1, 2));
    assert_eq!(first.body, second.body);
    assert_eq!(first.header("authorization"), second.header("authorization"));
    assert_eq!(proxy.counters().counts().retries, 1);

    server.will(Reply::RawThenClose(Vec::new()));
    server.will(Reply::RawThenClose(Vec::new()));
    let error = guarded(call(&*connection, OP)).await.unwrap_err();
    assert_eq!(error.kind(), BackendErrorKind::Unreachable);
    guarded(call(&*connection, OP)).await.unwrap();
}

#[tokio::test]
async fn nothing_is_asked_twice_when_that_is_not_wanted() {
    let (server, proxy, connection) = plain_with(|settings| settings.retries(0)).await;
    let error = failing(&server, &*connection, OP, Reply::RawThenClose(Vec::new())).await;
    assert_eq!(error.kind(), BackendErrorKind::Unreachable);
    assert_eq!(proxy.counters().counts().retries, 0);
}

/// A connection that the proxy closed while it was idle costs the next call nothing, not even a retry.
#[tokio::test]
async fn closed_while_idle() {
    let (server, proxy, connection) = plain_with(|settings| settings.retries(0)).await;
    server.will(Reply::HonestThenClose);
    guarded(call(&*connection, OP)).await.unwrap();
    assert_eq!(guarded(server.closed()).await, 1);
    guarded(call(&*connection, OP)).await.unwrap();
    assert_eq!(server.accepted(), 2);
    assert_eq!(proxy.counters().counts().requests, 3);
}

/// What says nothing of an end of its own, and what the proxy does not want to be kept.
#[tokio::test]
async fn a_connection_is_kept_only_if_both_want_it() {
    let (server, _proxy, connection) = plain().await;
    let close = String::from_utf8(response(200, "application/json", &health().to_string())).unwrap();
    server.will(Reply::Raw(close.replacen("\r\n", "\r\nconnection: close\r\n", 1).into_bytes()));
    guarded(call(&*connection, OP)).await.unwrap();
    guarded(call(&*connection, OP)).await.unwrap();
    guarded(call(&*connection, OP)).await.unwrap();
    assert_eq!(server.accepted(), 2);

    let (server, _proxy, connection) = plain_with(|settings| settings.max_idle_connections(0)).await;
    guarded(call(&*connection, OP)).await.unwrap();
    assert_eq!(server.accepted(), 2);

    let clock = ManualClock::new();
    let timed = clock.clone();
    let idle = Duration::from_secs(50);
    let (server, _proxy, connection) =
        plain_with(move |settings| settings.clock(timed).idle_timeout(idle)).await;
    clock.advance(idle - Duration::from_nanos(1));
    guarded(call(&*connection, OP)).await.unwrap();
    assert_eq!(server.accepted(), 1);
    clock.advance(idle);
    guarded(call(&*connection, OP)).await.unwrap();
    assert_eq!(server.accepted(), 2);
    assert_eq!(guarded(server.closed()).await, 1);
}

/// Dropping a call closes its network connection: nobody gets half of another's answer.
#[tokio::test]
async fn a_dropped_call_takes_its_connection_with_it() {
    let (server, proxy, connection) = plain().await;
    server.will(Reply::RawThenNothing(HEAD.to_vec()));
    let mut dropped = Box::pin(call(&*connection, OP));
    tokio::select! {
        biased;
        outcome = &mut dropped => unreachable!("{outcome:?}"),
        seen = server.seen() => assert_eq!(seen.connection, 1),
    }
    drop(dropped);
    assert_eq!(guarded(server.closed()).await, 1);
    guarded(call(&*connection, OP)).await.unwrap();
    assert_eq!(guarded(server.seen()).await.connection, 2);
    assert_eq!(proxy.counters().counts().dropped, 1);
}

/// XKS-C-39 for those who hold a connection without a store: after `close` nothing is sent.
#[tokio::test]
async fn after_the_goodbye_every_call_is_refused_and_every_socket_closed() {
    let (server, proxy, connection) = plain().await;
    assert_eq!(guarded(connection.close()).await.unwrap().still_running, 0);
    assert_eq!(guarded(server.closed()).await, 1);
    assert_eq!(guarded(connection.close()).await.unwrap().still_running, 0);
    for operation in ProxyOperation::ALL {
        let error = guarded(call(&*connection, *operation)).await.unwrap_err();
        assert_eq!(error.kind(), BackendErrorKind::Closed);
    }
    assert_eq!(proxy.counters().counts().requests, 1, "the health check when connecting");
}
