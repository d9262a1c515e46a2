//! What a hostile reading has found: each failed first.

use std::num::NonZeroU32;

use custom_key_store::backend::HealthStatus;
use custom_key_store::xks::proxy::{RateLimit, ServeOptions};

use super::support::{Call, Rig, describe_body, health_body, key_id};

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
