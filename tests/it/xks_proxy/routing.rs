//! Path, method, length: what is judged before anybody has authenticated.

use std::num::NonZeroU32;
use std::time::Duration;

use custom_key_store::backend::{UriEndpoint, UriPath};
use custom_key_store::xks::proxy::{KeyGrant, Proxy, RateLimit, ServeOptions, SetupError};
use tokio::io::AsyncWriteExt as _;

use super::support::{
    Call, KEY, OTHER_PATH, PATH, Rig, builder, connection, credential, decrypt_body, describe_body,
    encrypt_body, health_body, key_id, unbase64, until, verified,
};

fn unsigned(method: &str, path: &str) -> String {
    format!("{method} {path} HTTP/1.1\r\nhost: xks.example.com\r\ncontent-length: 0\r\n\r\n")
}

/// XKS-P-07, XKS-P-08, XKS-P-09, weak spot: an unsigned GET was 401.
#[tokio::test]
async fn another_method_is_405_before_authentication() {
    let rig = Rig::new().await;
    let mut client = rig.client().await;
    for operation in ["health", "keys/any/metadata", "keys/any/encrypt", "keys/any/decrypt"] {
        for method in ["GET", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH"] {
            let reply = client.send_bytes(unsigned(method, &format!("{PATH}/{operation}")).as_bytes()).await;
            assert_eq!(reply.status, 405, "{method} {operation}");
            assert!(reply.head.contains("\r\nallow: post\r\n"));
        }
    }
    let mut signed = Call::new("health", &health_body());
    signed.method = "GET";
    assert_eq!(rig.send(&signed).await.status, 405);
}

/// XKS-P-16, XKS-P-17: all on one connection, which survives.
#[tokio::test]
async fn what_is_no_path_of_the_protocol_is_404() {
    let rig = Rig::new().await;
    let mut client = rig.client().await;
    let key = format!("{PATH}/keys/{KEY}");
    for path in [
        "/".to_owned(),
        "/kms/xks/v1/health".to_owned(),
        format!("/nobody{PATH}/health"),
        format!("{PATH}/keys/{KEY}"),
        format!("{key}/sign"),
        format!("{key}/encrypt/"),
        format!("{key}/encrypt?"),
        format!("{key}/encrypt?a=b"),
        format!("{key}/%65ncrypt"),
        format!("{PATH}/keys/a%2Db/encrypt"),
        format!("{PATH}/keys/../encrypt"),
        format!("{PATH}/keys/./encrypt"),
        format!("{PATH}/keys//encrypt"),
        format!("{PATH}//keys/{KEY}/encrypt"),
        format!("/{key}/encrypt"),
        format!("{PATH}/keys/{}/encrypt", "k".repeat(129)),
        format!("{PATH}/health/"),
        format!("{PATH}/keys/a~b/encrypt"),
    ] {
        client.send_bytes(unsigned("POST", &path).as_bytes()).await.is_error(404, "InvalidUriPathException");
        let mut signed = Call::new("", &health_body());
        signed.path = path;
        client.send(&signed).await.is_error(404, "InvalidUriPathException");
    }
    // `...` is harmless, and known or not is a matter of the key table.
    client
        .send(&Call::on_key("metadata", "...", &describe_body()))
        .await
        .is_error(404, "KeyNotFoundException");
}

/// As by clients that send it by a call of its own.
#[tokio::test]
async fn whoever_is_refused_by_path_or_method_hears_it_though_the_body_comes_later() {
    let rig = Rig::new().await;
    let mut client = rig.client().await;
    let head = |method: &str, path: &str, length: usize| {
        format!("{method} {path} HTTP/1.1\r\nhost: xks.example.com\r\ncontent-length: {length}\r\n\r\n")
    };
    let health = format!("{PATH}/health");
    for (method, path, status) in [("POST", "/wrong/kms/xks/v1/health", 404), ("PUT", &*health, 405)] {
        for _ in 0..2 {
            client.0.write_all(head(method, path, 2).as_bytes()).await.unwrap();
            // The server has seen what it is, and waits.
            until(|| rig.clock.sleepers() == 1).await;
            assert_eq!(client.send_bytes(b"{}").await.status, status);
        }
    }
    // Not without end, and not for what is long.
    let mut late = rig.client().await;
    late.0.write_all(head("POST", "/wrong/kms/xks/v1/health", 2).as_bytes()).await.unwrap();
    until(|| rig.clock.sleepers() == 1).await;
    rig.clock.advance(Duration::from_secs(1));
    let mut long = rig.client().await;
    long.0.write_all(head("POST", "/wrong/kms/xks/v1/health", 64 * 1024 + 1).as_bytes()).await.unwrap();
    for mut client in [late, long] {
        client.receive().await.is_error(404, "InvalidUriPathException");
        client.closed().await;
    }
}

/// XKS-P-156: without authentication, and not the health of the protocol.
#[tokio::test]
async fn a_load_balancer_is_answered() {
    let rig = Rig::new().await;
    let mut client = rig.client().await;
    let reply = client.send_bytes(unsigned("GET", "/ping").as_bytes()).await;
    assert_eq!((reply.status, reply.body.as_slice()), (200, b"ok\n".as_slice()));
    assert_eq!(client.send_bytes(unsigned("POST", "/ping").as_bytes()).await.status, 405);
    rig.tenant.suspend();
    assert_eq!(client.send_bytes(unsigned("GET", "/ping").as_bytes()).await.status, 200);
}

/// XKS-P-18, weak spot 3: 600 MB without a signature filled the memory. Announced or not, what is too long is
/// answered while most of it has not been sent.
#[tokio::test]
async fn a_long_body_is_refused_unread() {
    let rig = Rig::new().await;
    let head = format!("POST {PATH}/health HTTP/1.1\r\nhost: xks.example.com\r\n");

    let mut client = rig.client().await;
    let announced = format!("{head}content-length: 600000000\r\n\r\n");
    let reply = client.send_bytes(announced.as_bytes()).await;
    reply.is_error(501, "UnsupportedOperationException");
    assert!(reply.head.contains("connection: close"));
    client.closed().await;

    let mut client = rig.client().await;
    client.0.write_all(format!("{head}transfer-encoding: chunked\r\n\r\n").as_bytes()).await.unwrap();
    let chunk = [b"2000\r\n".as_slice(), &[b' '; 0x2000], b"\r\n"].concat();
    for _ in 0..9 {
        client.0.write_all(&chunk).await.unwrap();
    }
    client.receive().await.is_error(501, "UnsupportedOperationException");

    // As long as is allowed: read, and found to be unsigned.
    let longest = format!("{head}content-length: 65536\r\n\r\n{}", " ".repeat(65536));
    rig.client().await.send_bytes(longest.as_bytes()).await.is_error(401, "AuthenticationFailedException");
}

/// XKS-P-18, XKS-P-25: the largest legal request of each operation passes.
#[tokio::test]
async fn the_largest_legal_requests_are_served() {
    let rig = Rig::new().await;
    let largest = |operation: &str, mut body: serde_json::Value| {
        body["requestMetadata"]["awsPrincipalArn"] = "a".repeat(2048).into();
        body["requestMetadata"]["kmsKeyArn"] = "k".repeat(2048).into();
        Call::new(operation, &body)
    };
    let aad = [8; 8192];
    let encrypt = largest(&format!("keys/{KEY}/encrypt"), verified(encrypt_body(&[7; 4300], Some(&aad))));
    assert!(encrypt.body.len() > 20_000);
    let encrypted = rig.send(&encrypt).await.ok();
    let decrypt = largest(&format!("keys/{KEY}/decrypt"), decrypt_body(&encrypted, Some(&aad)));
    assert!(decrypt.body.len() > 20_000);
    assert_eq!(unbase64(&rig.send(&decrypt).await.ok()["plaintext"]), [7; 4300]);
    rig.send(&largest(&format!("keys/{KEY}/metadata"), describe_body())).await.ok();
    rig.send(&largest("health", health_body())).await.ok();
}

/// A flood before authentication: the peer's own limit, by its own bucket (XKS-P-113).
#[tokio::test]
async fn a_peer_has_a_limit_before_authentication() {
    let limit = RateLimit::per_second(NonZeroU32::new(2).unwrap());
    let rig =
        Rig::with(|tenant| tenant, |proxy| proxy.peer_rate_limit(limit), ServeOptions::plain_http()).await;
    let post = unsigned("POST", &format!("{PATH}/health"));
    for _ in 0..2 {
        rig.client().await.send_bytes(post.as_bytes()).await.is_error(401, "AuthenticationFailedException");
    }
    rig.client().await.send_bytes(post.as_bytes()).await.is_error(429, "ThrottlingException");
    rig.send(&Call::new("health", &health_body())).await.is_error(429, "ThrottlingException");
    // A balancer's question is not counted: it would find a server out of order that is not.
    for _ in 0..3 {
        assert_eq!(rig.client().await.send_bytes(unsigned("GET", "/ping").as_bytes()).await.status, 200);
    }
    rig.clock.advance(Duration::from_millis(500));
    rig.send(&Call::new("health", &health_body())).await.ok();
}

/// XKS-P-10 to XKS-P-14, XKS-P-17, XKS-P-19 to XKS-P-22, XKS-P-132: refused when it is configured.
#[tokio::test]
async fn a_wrong_configuration_is_refused() {
    let rig = Rig::new().await;
    let link = connection(&rig.manager).await;
    let one = || credential(super::support::ID, super::support::SECRET);
    let begin = || builder(PATH, std::sync::Arc::clone(&link)).credential(one());

    assert!(UriPath::new("/a//b/kms/xks/v1").is_err() && UriPath::new("/a/kms/xks/v2").is_err());
    assert!(custom_key_store::backend::BackingKeyId::new("..").is_err());
    assert!(UriEndpoint::new("https://192.0.2.1").is_err());

    let missing = builder(PATH, std::sync::Arc::clone(&link)).build();
    assert!(matches!(missing, Err(SetupError::NoCredential)));
    let missing = custom_key_store::xks::proxy::Tenant::builder(
        UriPath::new(PATH).unwrap(),
        std::sync::Arc::clone(&link),
    );
    assert!(matches!(missing.credential(one()).build(), Err(SetupError::NoRegion)));
    assert!(matches!(begin().credential(one()).build(), Err(SetupError::CredentialExists)));
    let grant = || KeyGrant::new(key_id("in-key"));
    let twice = begin().key(key_id("a"), grant()).key(key_id("a"), grant());
    assert!(matches!(twice.build(), Err(SetupError::KeyExists)));

    let endpoint = UriEndpoint::new(format!("https://{}.example.com", "x".repeat(60))).unwrap();
    let long = key_id(&"k".repeat(128));
    let too_long = begin().endpoint(endpoint.clone()).key(long.clone(), grant());
    assert!(matches!(too_long.build(), Err(SetupError::Value(_))));
    let tenant = begin().endpoint(endpoint).build().unwrap();
    assert!(tenant.set_key(&long, grant()).is_err());

    let proxy = Proxy::builder().tenant(tenant.clone()).tenant(tenant.clone());
    assert!(matches!(proxy.build(), Err(SetupError::PathTaken(_))));
    assert!(matches!(rig.proxy.add_tenant(&tenant), Err(SetupError::PathTaken(_))));
    for ping in ["ping", "/p%69ng", "/ping?a", "/kms/xks/v1/health"] {
        assert!(matches!(Proxy::builder().ping_path(ping).build(), Err(SetupError::PingPath)), "{ping}");
    }
}

/// A tenant comes and goes while the proxy serves.
#[tokio::test]
async fn tenants_come_and_go() {
    let rig = Rig::new().await;
    let call = Call::new("health", &health_body()).of_the_other();
    rig.send(&call).await.ok();
    assert!(rig.proxy.remove_tenant(&UriPath::new(OTHER_PATH).unwrap()));
    rig.send(&call).await.is_error(404, "InvalidUriPathException");
    let again = builder(OTHER_PATH, connection(&rig.manager).await);
    let again = again.credential(credential(super::support::OTHER_ID, super::support::OTHER_SECRET));
    rig.proxy.add_tenant(&again.build().unwrap()).unwrap();
    rig.send(&call).await.ok();
}
