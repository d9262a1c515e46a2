//! TLS: what is offered, what is accepted, and what each failure is.

use std::time::{Duration, SystemTime};

use custom_key_store::backend::{
    Backend as _, BackendError, BackendErrorKind, ConnectReason, ConnectionErrorCode,
};
use custom_key_store::xks::{ProxyOperation, TrustRoots, XksProxyBuilder};
use rcgen::{DnType, date_time_ymd};
use tokio_rustls::rustls::version::{TLS12, TLS13};

use super::authority::Authority;
use super::fixture::{HOST, call, connect, connect_request, guarded, settings};
use super::server::{Manner, Reply, Server};

const OP: ProxyOperation = ProxyOperation::Encrypt;

/// That no TLS session comes about, and what the store shows then: XKS-C-66. Where `good` is what the server should
/// have been, that it works as soon as it is.
async fn refused(server: Server, settings: XksProxyBuilder, good: Option<&Authority>) {
    let proxy = settings.dial(server.address).build().unwrap();
    let error = guarded(proxy.connect(&connect_request(ConnectReason::Connect))).await.unwrap_err();
    assert_eq!(error.code(), ConnectionErrorCode::XksProxyInvalidTlsConfiguration, "{error:?}");
    let source = std::error::Error::source(&error).unwrap().downcast_ref::<BackendError>().unwrap();
    assert_eq!(source.kind(), BackendErrorKind::InvalidTls);
    assert!(std::error::Error::source(source).is_some());
    assert_eq!(proxy.counters().counts().retries, 0, "that is not retried");
    if let Some(authority) = good {
        server.becomes(Manner::Tls(authority.server()));
        guarded(call(&*connect(&proxy).await, OP)).await.unwrap();
    }
}

/// XKS-C-03, XKS-C-04, XKS-C-05, XKS-C-06: with either version, the name being checked though the address is another.
#[tokio::test]
async fn both_versions_are_spoken() {
    let authority = Authority::new();
    for version in [&TLS12, &TLS13] {
        let config = authority.issue(HOST, |_| ()).server(&[version]);
        let server = Server::start(Manner::Tls(config)).await;
        let settings = settings().trust_roots(authority.trusted()).dial(server.address);
        let connection = connect(&settings.build().unwrap()).await;
        for operation in ProxyOperation::ALL {
            guarded(call(&*connection, *operation)).await.unwrap();
        }
        assert_eq!(server.accepted(), 1, "one network connection for all");
        assert_eq!(guarded(server.seen()).await.header("host"), HOST);

        // Faults look the same from inside TLS.
        server.will(Reply::RawThenClose(Vec::new()));
        guarded(call(&*connection, OP)).await.unwrap();
        server.will(Reply::RawThenClose(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{".to_vec()));
        let error = guarded(call(&*connection, OP)).await.unwrap_err();
        assert_eq!(error.kind(), BackendErrorKind::InvalidResponse);
        server.will(Reply::HonestThenClose);
        guarded(call(&*connection, OP)).await.unwrap();
        guarded(call(&*connection, OP)).await.unwrap();
    }
}

/// XKS-C-04: exactly the protocol's four suites, TLS 1.2 and 1.3, HTTP/1.1.
#[tokio::test]
async fn the_offer_is_that_of_the_protocol() {
    let server = Server::start(Manner::Says(Vec::new())).await;
    let settings = settings().trust_roots(Authority::new().trusted()).dial(server.address);
    let proxy = settings.build().unwrap();
    let attempt =
        tokio::spawn(async move { proxy.connect(&connect_request(ConnectReason::Connect)).await.map(drop) });
    let hello = guarded(server.seen()).await.body;
    attempt.abort();

    // Record header, handshake header, version, random, session id.
    let mut place = 5 + 4 + 2 + 32;
    place += 1 + usize::from(hello[place]);
    let length = usize::from(u16::from_be_bytes([hello[place], hello[place + 1]]));
    let suites = &hello[place + 2..place + 2 + length];
    let mut suites: Vec<_> = suites.chunks(2).map(|suite| u16::from_be_bytes([suite[0], suite[1]])).collect();
    suites.sort_unstable();
    // 0x00ff is no suite but the promise of secure renegotiation.
    assert_eq!(suites, [0x00ff, 0x1302, 0x1303, 0xc02c, 0xc030]);

    let offers = |extension: &[u8]| hello.windows(extension.len()).any(|window| window == extension);
    assert!(offers(&[0, 16, 0, 11, 0, 9, 8, b'h', b't', b't', b'p', b'/', b'1', b'.', b'1']), "ALPN");
    assert!(offers(&[0, 43, 0, 5, 4, 3, 4, 3, 3]), "versions 1.3 and 1.2");
}

#[tokio::test]
async fn an_expired_certificate_is_refused() {
    let authority = Authority::new();
    let issued = authority.issue(HOST, |params| {
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2020, 2, 1);
    });
    let server = Server::start(Manner::Tls(issued.server(&[]))).await;
    refused(server, settings().trust_roots(authority.trusted()), Some(&authority)).await;
}

/// What goes bad while a store is connected fails the calls that need a new network connection, until it is mended.
#[tokio::test]
async fn a_server_whose_tls_goes_bad_is_refused_in_a_call_too() {
    let authority = Authority::new();
    let server = Server::start(Manner::Tls(authority.server())).await;
    let settings = settings().trust_roots(authority.trusted()).dial(server.address).max_idle_connections(0);
    let proxy = settings.build().unwrap();
    let connection = connect(&proxy).await;
    let expired = authority.issue(HOST, |params| params.not_after = date_time_ymd(2020, 2, 1));
    let other = authority.issue("other.example.com", |_| ());
    let plain_http = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n".to_vec();
    for bad in [
        Manner::Tls(expired.server(&[])),
        Manner::Tls(other.server(&[])),
        Manner::Tls(Authority::new().server()),
        Manner::Says(plain_http),
        Manner::HangsUp,
    ] {
        server.becomes(bad);
        let error = guarded(call(&*connection, OP)).await.unwrap_err();
        assert_eq!(error.kind(), BackendErrorKind::InvalidTls, "{error:?}");
        server.becomes(Manner::Tls(authority.server()));
        guarded(call(&*connection, OP)).await.unwrap();
    }
    let counts = proxy.counters().counts();
    assert_eq!((counts.errors(BackendErrorKind::InvalidTls), counts.retries), (5, 0));
}

/// XKS-C-05
#[tokio::test]
async fn a_certificate_of_another_name_is_refused() {
    let authority = Authority::new();
    for name in ["other.example.com", "127.0.0.1", "proxy.example.com.evil.example"] {
        let server = Server::start(Manner::Tls(authority.issue(name, |_| ()).server(&[]))).await;
        refused(server, settings().trust_roots(authority.trusted()), Some(&authority)).await;
    }
}

/// XKS-C-06: of another authority, and of none that the system trusts.
#[tokio::test]
async fn a_certificate_of_an_authority_that_is_not_trusted_is_refused() {
    let server = Server::start(Manner::Tls(Authority::new().server())).await;
    let trusted = Authority::new();
    refused(server, settings().trust_roots(trusted.trusted()), Some(&trusted)).await;

    let server = Server::start(Manner::Tls(Authority::new().server())).await;
    let builder = settings().trust_roots(TrustRoots::system());
    // A machine without any trust root cannot build such a proxy, which is another test's affair.
    if builder.clone().build().is_ok() {
        refused(server, builder, None).await;
    }
}

/// XKS-C-04: one that refuses by alert, one that answers with version 1.1, and one that hangs up.
#[tokio::test]
async fn a_server_of_tls_1_1_is_refused() {
    let alert = vec![0x15, 3, 2, 0, 2, 2, 70];
    let mut hello = vec![0x16, 3, 2, 0, 42, 2, 0, 0, 38, 3, 2];
    hello.extend([7; 32]);
    hello.extend([0, 0xc0, 0x14, 0]);
    let authority = Authority::new();
    for manner in [Manner::Says(alert), Manner::Says(hello), Manner::HangsUp] {
        let server = Server::start(manner).await;
        refused(server, settings().trust_roots(authority.trusted()), Some(&authority)).await;
    }
}

/// XKS-C-01: the other protocol on the port.
#[tokio::test]
async fn plain_http_on_the_port_is_refused() {
    let answer = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n".to_vec();
    let server = Server::start(Manner::Says(answer)).await;
    let authority = Authority::new();
    refused(server, settings().trust_roots(authority.trusted()), Some(&authority)).await;
}

/// XKS-C-07
#[tokio::test]
async fn a_client_certificate_is_shown_to_whoever_asks() {
    let authority = Authority::new();
    let client = authority.issue("cks.kms.us-east-2.amazonaws.com", |params| {
        params.distinguished_name.push(DnType::CommonName, "cks.kms.us-east-2.amazonaws.com");
    });
    let server = Server::start(Manner::Tls(authority.mutual_server())).await;
    let builder = settings().trust_roots(authority.trusted()).dial(server.address);
    let proxy = builder.clone().client_certificate(client.client()).build().unwrap();
    connect(&proxy).await;
    assert_eq!(guarded(server.seen()).await.client_certificate.as_deref(), Some(&*client.chain[0]));

    // None, and one of somebody else: the server refuses either.
    let stranger = Authority::new().issue("cks.kms.us-east-2.amazonaws.com", |_| ()).client();
    for builder in [builder.clone(), builder.client_certificate(stranger)] {
        let server = Server::start(Manner::Tls(authority.mutual_server())).await;
        // Works as soon as the server asks no more.
        refused(server, builder, Some(&authority)).await;
    }
}

#[tokio::test]
async fn the_end_of_the_certificate_is_counted() {
    let authority = Authority::new();
    let issued = authority.issue(HOST, |params| params.not_after = date_time_ymd(2060, 6, 1));
    let server = Server::start(Manner::Tls(issued.server(&[]))).await;
    let settings = settings().trust_roots(authority.trusted()).dial(server.address);
    let proxy = settings.build().unwrap();
    assert_eq!(proxy.counters().counts().certificate_expiry, None);
    connect(&proxy).await;
    let end = SystemTime::UNIX_EPOCH + Duration::from_secs(2_853_273_600);
    assert_eq!(proxy.counters().counts().certificate_expiry, Some(end));
}
