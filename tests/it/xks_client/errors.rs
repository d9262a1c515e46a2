//! Every error that a proxy names, on each operation and when connecting.

use std::error::Error as _;

use custom_key_store::backend::{
    Backend as _, BackendError, BackendErrorKind, ConnectReason, ConnectionErrorCode,
};
use custom_key_store::xks::{ErrorName, ProxyOperation};

use super::fixture::{connect, connect_request, failing, guarded, health, plain, settings};
use super::server::{Manner, Reply, Server};

/// The table of the protocol, as a client reads it: name, status, kind, and what a failed connect shows.
const TABLE: [(&str, u16, BackendErrorKind, ConnectionErrorCode); 12] = {
    use BackendErrorKind as Kind;
    use ConnectionErrorCode as Code;
    [
        ("ValidationException", 400, Kind::InvalidRequest, Code::XksProxyInvalidResponse),
        ("InvalidStateException", 400, Kind::InvalidKeyState, Code::XksProxyInvalidResponse),
        ("InvalidCiphertextException", 400, Kind::InvalidCiphertext, Code::XksProxyInvalidResponse),
        ("InvalidKeyUsageException", 400, Kind::InvalidKeyUsage, Code::XksProxyInvalidResponse),
        ("AuthenticationFailedException", 401, Kind::AuthenticationFailed, Code::InvalidCredentials),
        ("AccessDeniedException", 403, Kind::AccessDenied, Code::XksProxyAccessDenied),
        ("KeyNotFoundException", 404, Kind::KeyNotFound, Code::XksProxyInvalidResponse),
        ("InvalidUriPathException", 404, Kind::InvalidPath, Code::XksProxyInvalidConfiguration),
        ("ThrottlingException", 429, Kind::Throttled, Code::XksProxyNotReachable),
        ("UnsupportedOperationException", 501, Kind::Unsupported, Code::XksProxyInvalidResponse),
        ("DependencyTimeoutException", 503, Kind::DependencyTimedOut, Code::XksProxyTimedOut),
        ("InternalException", 500, Kind::Internal, Code::XksProxyInvalidResponse),
    ]
};

/// XKS-C-64, XKS-C-65 as far as a connection goes, XKS-C-68: the name decides, the message is for the log alone.
#[tokio::test]
async fn every_name_is_its_kind_on_every_operation() {
    assert_eq!(
        TABLE.map(|(name, ..)| name).as_slice(),
        ErrorName::ALL.iter().map(|n| n.as_str()).collect::<Vec<_>>()
    );
    let (server, _proxy, connection) = plain().await;
    for (name, status, kind, _) in TABLE {
        for operation in ProxyOperation::ALL {
            let error = failing(&server, &*connection, *operation, Reply::error(status, name)).await;
            assert_eq!(error.kind(), kind, "{name} on {operation}");
            assert!(!error.to_string().contains("for the log"));
            let detail = (kind != BackendErrorKind::InvalidCiphertext).then_some("for the log");
            assert_eq!(error.detail(), detail, "{name} on {operation}");
        }
    }
    assert_eq!(server.accepted(), 1, "an error is an answer: the network connection goes on");
}

/// XKS-C-64: the status does not count, but for success.
#[tokio::test]
async fn a_name_counts_with_any_status_but_success() {
    let (server, _proxy, connection) = plain().await;
    for status in [400, 403, 418, 500, 503, 599] {
        let reply = Reply::error(status, "ThrottlingException");
        let error = failing(&server, &*connection, ProxyOperation::Encrypt, reply).await;
        assert_eq!(error.kind(), BackendErrorKind::Throttled, "{status}");
    }
}

/// XKS-C-65, XKS-C-66: what a store in state `FAILED` shows.
#[tokio::test]
async fn every_name_is_its_code_when_connecting() {
    let server = Server::start(Manner::Plain).await;
    let proxy = settings().dangerous_plain_http_on_loopback(server.address).build().unwrap();
    for (name, status, kind, code) in TABLE {
        server.will(Reply::error(status, name));
        let request = connect_request(ConnectReason::Connect);
        let error = guarded(proxy.connect(&request)).await.unwrap_err();
        assert_eq!(error.code(), code, "{name}");
        let source = error.source().unwrap().downcast_ref::<BackendError>().unwrap();
        assert_eq!(source.kind(), kind, "{name}");
    }
    connect(&proxy).await;
}

/// XKS-C-63
#[tokio::test]
async fn nobody_serves_when_all_managers_are_unavailable() {
    let server = Server::start(Manner::Plain).await;
    let proxy = settings().dangerous_plain_http_on_loopback(server.address).build().unwrap();
    let mut sick = health();
    sick["ekmFleetDetails"][0]["healthStatus"] = "UNAVAILABLE".into();
    server.will(Reply::json(200, &sick.to_string()));
    connect(&proxy).await; // one is DEGRADED still

    sick["ekmFleetDetails"][1]["healthStatus"] = "UNAVAILABLE".into();
    server.will(Reply::json(200, &sick.to_string()));
    let error = guarded(proxy.connect(&connect_request(ConnectReason::Connect))).await.unwrap_err();
    assert_eq!(error.code(), ConnectionErrorCode::XksProxyNotReachable);
    assert_eq!(error.detail(), Some("no instance of the key manager serves"));
}

/// XKS-C-67, XKS-C-72
#[tokio::test]
async fn an_error_without_a_name_of_the_protocol_is_malformed() {
    let (server, _proxy, connection) = plain().await;
    for reply in [
        Reply::json(405, ""),
        Reply::error(405, "InternalException"),
        Reply::error(400, "TeapotException"),
        Reply::json(500, "{}"),
        Reply::json(500, "Internal Server Error"),
        Reply::json(503, ""),
        Reply::json(204, ""),
        Reply::json(201, &health().to_string()),
        // XKS-C-41: 200 is success, and a success has no name of an error.
        Reply::error(200, "KeyNotFoundException"),
        // XKS-C-08: not followed.
        Reply::Raw(
            b"HTTP/1.1 307 X\r\nlocation: http://127.0.0.1:1/\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"
                .to_vec(),
        ),
        // Another protocol was not asked for.
        Reply::Raw(b"HTTP/1.1 101 X\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n".to_vec()),
        Reply::Raw(b"HTTP/1.1 405 X\r\nallow: POST\r\ncontent-length: 0\r\n\r\n".to_vec()),
    ] {
        let shown = format!("{reply:?}");
        let error = failing(&server, &*connection, ProxyOperation::GetHealthStatus, reply).await;
        assert_eq!(error.kind(), BackendErrorKind::InvalidResponse, "{shown}");
    }
}

/// XKS-C-69: what goes to the log is cut and escaped; the name still counts.
#[tokio::test]
async fn a_message_cannot_forge_a_log() {
    let (server, _proxy, connection) = plain().await;
    let message = format!(r"one\ntwo \u001b[31m {}", "x".repeat(600));
    let body = format!(r#"{{"errorName":"InternalException","errorMessage":"{message}"}}"#);
    let error = failing(&server, &*connection, ProxyOperation::Decrypt, Reply::json(500, &body)).await;
    assert_eq!(error.kind(), BackendErrorKind::Internal);
    let detail = error.detail().unwrap();
    assert!(detail.len() < 512 && detail.bytes().all(|byte| (0x20..0x7f).contains(&byte)), "{detail}");
}
