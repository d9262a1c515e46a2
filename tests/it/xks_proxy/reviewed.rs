//! What a hostile reading has found: each failed first.

use std::num::NonZeroU32;
use std::sync::Arc;

use custom_key_store::backend::HealthStatus;
use custom_key_store::xks::proxy::{RateLimit, ServeOptions};

use super::support::{Call, Rig, connection, describe_body, health_body, key_id, until};

fn call() -> Call {
    Call::new("health", &health_body())
}

#[tokio::test]
async fn that_nobody_serves_is_not_kept() {
    let rig = Rig::new().await;
    rig.manager.set_health(vec![HealthStatus::Unavailable]);
    let bad = rig.send(&call()).await.ok();
    assert_eq!(bad["ekmFleetDetails"][0]["healthStatus"], "UNAVAILABLE");
    rig.manager.set_health(vec![HealthStatus::Active]);
    let good = rig.send(&call()).await.ok();
    assert_eq!(good["ekmFleetDetails"][0]["healthStatus"], "ACTIVE");
}

#[test]
fn a_client_identity_needs_a_name_and_a_dns_name_is_no_address() {
    use custom_key_store::xks::proxy::ClientIdentity;
    let key = rcgen::KeyPair::generate().unwrap();
    let root = rcgen::CertificateParams::new(vec!["ca".to_owned()]).unwrap().self_signed(&key).unwrap().pem();
    assert!(ClientIdentity::new(root.as_bytes(), "").is_err());
    let identity = ClientIdentity::new(root.as_bytes(), "cks.kms.us-east-1.amazonaws.com").unwrap();
    assert!(identity.clone().or_dns_name("10.0.0.1").is_err());
    assert!(identity.or_dns_name("kms.example.com").is_ok());
}

#[tokio::test]
async fn unknown_paths_count_towards_a_peers_limit() {
    let limit = RateLimit::per_second(NonZeroU32::new(1).unwrap());
    let rig = Rig::with(|t| t, |proxy| proxy.peer_rate_limit(limit), ServeOptions::plain_http()).await;
    let post = b"POST /nowhere HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n";
    let mut last = 0;
    for _ in 0..20 {
        last = rig.client().await.send_bytes(post).await.status;
    }
    assert_eq!(last, 429, "never limited");
}

/// Weak spot 16: the sample derived `Debug` over its secrets.
#[tokio::test]
async fn nothing_shows_a_secret_when_it_is_printed() {
    use super::support::{ID, OTHER_SECRET, SECRET, builder, credential};
    let rig = Rig::new().await;
    let begun = builder("/kms/xks/v1", connection(&rig.manager).await).credential(credential(ID, SECRET));
    for shown in [format!("{begun:?}"), format!("{:?}", rig.tenant), format!("{:?}", rig.proxy)] {
        assert!(shown.contains(ID) && !shown.contains(SECRET) && !shown.contains(OTHER_SECRET), "{shown}");
        let bytes = format!("{:?}", &SECRET.as_bytes()[..8]);
        assert!(!shown.contains(bytes.trim_matches(['[', ']'])), "{shown}");
    }
}

#[test]
fn no_error_about_a_certificate_quotes_the_key() {
    let key = rcgen::KeyPair::generate().unwrap();
    let cert =
        rcgen::CertificateParams::new(vec!["a.example".to_owned()]).unwrap().self_signed(&key).unwrap();
    let pem = key.serialize_pem();
    let secret = pem.lines().nth(1).unwrap().to_owned();
    let mut found = Vec::new();
    for (name, flat) in [
        ("flat", pem.replace('\n', "")),
        ("spaces", pem.replace('\n', " ")),
        ("no dashes", pem.replace("KEY-----\n", "KEY ")),
        ("escaped", pem.replace('\n', "\\n")),
    ] {
        let error =
            custom_key_store::xks::proxy::ServerCertificate::from_pem(cert.pem().as_bytes(), flat.as_bytes())
                .unwrap_err();
        let mut all = format!("{error:?}");
        let bytes = format!("{:?}", secret.as_bytes());
        let mut source = std::error::Error::source(&error);
        while let Some(cause) = source {
            all += &format!(" | {cause} | {cause:?}");
            source = cause.source();
        }
        if all.contains(&secret) || all.contains(bytes.trim_matches(|c| c == '[' || c == ']')) {
            found.push((name, all));
        }
    }
    assert!(found.is_empty(), "{found:?}");
}

#[tokio::test]
async fn a_key_that_was_removed_is_gone_though_every_key_is_exposed() {
    use custom_key_store::xks::proxy::KeyGrant;
    let rig = Rig::with_tenant(|t| t.expose_every_key_of_the_connection()).await;
    let id = key_id("probe");
    rig.tenant.set_key(&id, KeyGrant::new(key_id("probe")).only_for(["nobody"])).unwrap();
    let call = Call::on_key("metadata", "probe", &describe_body());
    rig.send(&call).await.is_error(403, "AccessDeniedException");
    assert!(rig.tenant.remove_key(&id));
    let reply = rig.send(&call).await;
    assert_eq!(reply.status, 404, "{reply:?}");
}

/// XKS-P-18: memory is for what has been sent. Three that announce much and send nothing leave room for a fourth.
#[tokio::test]
async fn an_announcement_takes_no_memory() {
    let rig = Rig::with(|tenant| tenant, |proxy| proxy.body_memory(8192), ServeOptions::plain_http()).await;
    let head =
        format!("POST {}/health HTTP/1.1\r\nhost: a\r\ncontent-length: 60000\r\n\r\n", super::support::PATH);
    let mut waiting = Vec::new();
    for so_far in 1..=3 {
        let mut client = rig.client().await;
        tokio::io::AsyncWriteExt::write_all(&mut client.0, head.as_bytes()).await.unwrap();
        waiting.push(client);
        until(|| rig.clock.sleepers() == so_far).await;
    }
    rig.send(&call()).await.ok();
    // And what is sent is counted: nobody gets more than is left.
    let client = &mut waiting[0];
    tokio::io::AsyncWriteExt::write_all(&mut client.0, &[b' '; 7000]).await.unwrap();
    client.receive().await.is_error(429, "ThrottlingException");
}

/// XKS-P-18: nor can one peer use up what there is for all, before anybody has authenticated.
#[tokio::test]
async fn one_peer_cannot_take_the_memory_of_all() {
    let options = ServeOptions::plain_http().max_connections(1000).max_connections_per_peer(10);
    let rig = Rig::with(|tenant| tenant, |proxy| proxy.body_memory(200_000), options).await;
    let head =
        format!("POST {}/health HTTP/1.1\r\nhost: a\r\ncontent-length: 65000\r\n\r\n", super::support::PATH);
    // A hundredth of it would be less than a body may be long, which everybody has room for.
    let most = [head.as_bytes(), &[b' '; 64_000]].concat();
    let mut hoards = rig.client().await;
    tokio::io::AsyncWriteExt::write_all(&mut hoards.0, &most).await.unwrap();
    until(|| rig.clock.sleepers() == 1).await;
    let mut same = rig.client().await;
    same.send_bytes(&most).await.is_error(429, "ThrottlingException");
    let mut other = rig.client_from("127.0.0.2:0").await;
    other.send(&call()).await.ok();
    drop(hoards);
    until(|| rig.clock.sleepers() == 0).await;
    rig.send(&call()).await.ok();
}

/// XKS-P-18: what is read before anybody has authenticated is bounded for all together.
#[tokio::test]
async fn bodies_that_are_being_read_share_a_bounded_memory() {
    let rig = Rig::with(|tenant| tenant, |proxy| proxy.body_memory(4096), ServeOptions::plain_http()).await;
    // Two bodies of 2 KiB are set aside for, and never come.
    let head =
        format!("POST {}/health HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\n", super::support::PATH);
    let mut waiting = Vec::new();
    for _ in 0..2 {
        let mut stream = tokio::net::TcpStream::connect(rig.address).await.unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut stream, head.as_bytes()).await.unwrap();
        waiting.push(stream);
    }
    // Which the server learns at its own pace.
    let mut status = 200;
    for _ in 0..1000 {
        status = rig.send(&call()).await.status;
        if status == 429 {
            break;
        }
        tokio::task::yield_now().await;
    }
    assert_eq!(status, 429);
    drop(waiting);
    for _ in 0..1000 {
        status = rig.send(&call()).await.status;
        if status == 200 {
            break;
        }
        tokio::task::yield_now().await;
    }
    assert_eq!(status, 200, "and it is given back");
}

/// What the last health check found out is kept, the connection that it asked is not.
#[tokio::test]
async fn a_connection_that_was_exchanged_is_let_go_of() {
    let rig = Rig::new().await;
    let old = connection(&rig.manager).await;
    let kept = Arc::downgrade(&old);
    rig.tenant.set_connection(old);
    rig.send(&call()).await.ok();
    rig.tenant.set_connection(connection(&rig.manager).await);
    assert!(kept.upgrade().is_none());
    rig.send(&call()).await.ok();
}
