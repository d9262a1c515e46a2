//! The health check.

use std::time::Duration;

use custom_key_store::backend::software::{Fault, Method};
use custom_key_store::backend::{BackendErrorKind, HealthStatus, ProxyDescription};
use custom_key_store::xks::proxy::ServeOptions;
use serde_json::json;

use super::support::{Call, Rig, describe_body, health_body, key_id, until};

fn call() -> Call {
    Call::new("health", &health_body())
}

/// XKS-P-98 to XKS-P-105: every member, by its rules.
#[tokio::test]
async fn all_members_are_there() {
    let rig = Rig::new().await;
    let health = rig.send(&call()).await.ok();
    assert_eq!(health["xksProxyFleetSize"], 1);
    assert_eq!(health["xksProxyVendor"], "custom-key-store");
    let model = health["xksProxyModel"].as_str().unwrap();
    assert!(model.contains("XKS proxy") && model.contains(env!("CARGO_PKG_VERSION")));
    assert_eq!(health["ekmVendor"], "custom-key-store");
    let fleet = health["ekmFleetDetails"].as_array().unwrap();
    assert_eq!(fleet.len(), 1);
    assert_eq!(fleet[0]["healthStatus"], "ACTIVE");
    assert!(fleet[0]["id"].is_string() && fleet[0]["model"].is_string());

    let named = ProxyDescription::new(3, "Example Corp", "Front 7");
    let rig = Rig::with(|tenant| tenant, |proxy| proxy.description(named), ServeOptions::plain_http()).await;
    rig.manager.set_health((0..13).map(|_| HealthStatus::Degraded).collect());
    let health = rig.send(&call()).await.ok();
    assert_eq!(health["xksProxyFleetSize"], 3);
    assert_eq!(health["xksProxyVendor"], "Example Corp");
    let fleet = health["ekmFleetDetails"].as_array().unwrap();
    assert_eq!(fleet.len(), 10);
    let ids: std::collections::HashSet<_> = fleet.iter().map(|entry| entry["id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), 10);
}

/// XKS-P-93 to XKS-P-96, XKS-P-106, weak spot 9: the sample said ACTIVE with no token. A key manager that answers and
/// cannot encrypt is not healthy, and KeyNotFoundException is not for health (XKS-P-114).
#[tokio::test]
async fn the_check_is_deep() {
    let rig = Rig::new().await;
    rig.send(&call()).await.ok();
    assert_eq!((rig.manager.calls(Method::Encrypt), rig.manager.calls(Method::Decrypt)), (1, 1));
    let over = || rig.clock.advance(Duration::from_secs(10));
    for (method, fault, expected) in [
        (Method::Encrypt, Fault::Fail(BackendErrorKind::Unreachable), (500, "InternalException")),
        (Method::Encrypt, Fault::Corrupt, (500, "InternalException")),
        (Method::Decrypt, Fault::Corrupt, (500, "InternalException")),
        (Method::Health, Fault::Corrupt, (500, "InternalException")),
        (Method::Decrypt, Fault::Fail(BackendErrorKind::TimedOut), (503, "DependencyTimeoutException")),
        (Method::Encrypt, Fault::Fail(BackendErrorKind::InvalidKeyState), (400, "InvalidStateException")),
    ] {
        over();
        rig.manager.inject(method, fault);
        rig.send(&call()).await.is_error(expected.0, expected.1);
    }
    over();
    rig.manager.remove_key(&key_id("probe"));
    rig.send(&call()).await.is_error(500, "InternalException");
}

/// XKS-P-107, XKS-P-108: cached for ten seconds, and never for more than a minute.
#[tokio::test]
async fn a_good_result_is_kept_for_a_while() {
    for (age, kept) in [(None, 10_u64), (Some(Duration::from_secs(3600)), 60)] {
        let rig = Rig::with_tenant(|tenant| match age {
            None => tenant,
            Some(age) => tenant.health_age(age),
        })
        .await;
        for _ in 0..3 {
            rig.send(&call()).await.ok();
        }
        assert_eq!(rig.manager.calls(Method::Health), 1);
        rig.clock.advance(Duration::from_secs(kept) - Duration::from_millis(1));
        rig.send(&call()).await.ok();
        assert_eq!(rig.manager.calls(Method::Health), 1);
        rig.clock.advance(Duration::from_millis(1));
        rig.send(&call()).await.ok();
        assert_eq!(rig.manager.calls(Method::Health), 2);
    }
}

/// XKS-P-109: never stale, and never stuck: a bad result is nobody else's.
#[tokio::test]
async fn nothing_sticks() {
    let rig = Rig::new().await;
    rig.send(&call()).await.ok();
    rig.clock.advance(Duration::from_secs(10));
    rig.manager.always(Method::Encrypt, Fault::Fail(BackendErrorKind::Unreachable));
    for _ in 0..3 {
        rig.send(&call()).await.is_error(500, "InternalException");
    }
    assert_eq!(rig.manager.calls(Method::Encrypt), 4);
    rig.manager.heal();
    rig.send(&call()).await.ok();
}

/// XKS-P-104: what the key manager says of itself is passed on.
#[tokio::test]
async fn a_sick_key_manager_is_reported() {
    let rig = Rig::new().await;
    rig.manager.set_health(vec![HealthStatus::Unavailable, HealthStatus::Unavailable]);
    let health = rig.send(&call()).await.ok();
    let statuses: Vec<_> =
        health["ekmFleetDetails"].as_array().unwrap().iter().map(|one| &one["healthStatus"]).collect();
    assert_eq!(statuses, ["UNAVAILABLE", "UNAVAILABLE"]);
}

/// One check at a time, also when its first client goes away.
#[tokio::test]
async fn many_wait_for_one_check() {
    let rig = Rig::new().await;
    rig.manager.inject(Method::Health, Fault::Delay(Duration::from_millis(100)));
    let mut first = rig.client().await;
    tokio::io::AsyncWriteExt::write_all(&mut first.0, &call().bytes()).await.unwrap();
    until(|| rig.manager.calls(Method::Health) == 1).await;
    let others: Vec<_> = (0..8)
        .map(|_| {
            let address = rig.address;
            tokio::spawn(async move { super::support::Client::connect(address).await.send(&call()).await })
        })
        .collect();
    // Somebody with another question shows that the server has had the time to read the others'.
    for _ in 0..20 {
        rig.send(&Call::on_key("metadata", super::support::KEY, &describe_body())).await.ok();
    }
    drop(first);
    for _ in 0..20 {
        rig.send(&Call::on_key("metadata", super::support::KEY, &describe_body())).await.ok();
    }
    rig.clock.advance(Duration::from_millis(100));
    for other in others {
        assert_eq!(other.await.unwrap().ok()["ekmVendor"], json!("custom-key-store"));
    }
    assert_eq!(rig.manager.calls(Method::Health), 1);
}

/// The explicit wish to go without.
#[tokio::test]
async fn a_shallow_check_encrypts_nothing() {
    let rig = Rig::new().await;
    let link = super::support::connection(&rig.manager).await;
    let tenant = custom_key_store::xks::proxy::Tenant::builder(
        custom_key_store::backend::UriPath::new("/shallow/kms/xks/v1").unwrap(),
        link,
    )
    .region(custom_key_store::xks::Region::new("us-east-2").unwrap())
    .credential(super::support::credential(super::support::ID, super::support::SECRET))
    .shallow_health_check();
    rig.proxy.add_tenant(&tenant.build().unwrap()).unwrap();
    let mut shallow = call();
    shallow.path = "/shallow/kms/xks/v1/health".into();
    rig.send(&shallow).await.ok();
    assert_eq!(rig.manager.calls(Method::Encrypt), 0);
}
