//! Who may do what: tenants apart, principals, the hook, quotas, and the kill switch.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use custom_key_store::backend::software::Method;
use custom_key_store::xks::ProxyOperation;
use custom_key_store::xks::proxy::{
    AuthorizationRequest, Authorizer, Decision, KeyGrant, Proxy, RateLimit, ServeOptions, serve,
};
use serde_json::json;
use tokio::net::TcpListener;

use super::support::{
    Call, Client, ID, KEY, Rig, connection, decrypt_body, describe_body, encrypt_body, health_body, key_id,
};

/// XKS-P-24: keys and credentials belong to their path.
#[tokio::test]
async fn tenants_are_apart() {
    let rig = Rig::new().await;
    let other = Call::on_key("metadata", "other", &describe_body());
    rig.send(&other).await.is_error(404, "KeyNotFoundException");
    rig.send(&other.clone().of_the_other()).await.ok();
    rig.send(&Call::on_key("metadata", KEY, &describe_body()).of_the_other())
        .await
        .is_error(404, "KeyNotFoundException");
    // The credential of one at the path of the other, signed rightly.
    let mut crossed = other.of_the_other();
    (crossed.id, crossed.secret) = (ID.into(), super::support::SECRET.into());
    rig.send(&crossed).await.is_error(401, "AuthenticationFailedException");
}

#[tokio::test]
async fn every_key_must_be_asked_for_by_name() {
    let unlisted = Call::on_key("metadata", "unlisted", &describe_body());
    Rig::new().await.send(&unlisted).await.is_error(404, "KeyNotFoundException");
    let rig = Rig::with_tenant(|tenant| tenant.expose_every_key_of_the_connection()).await;
    rig.send(&unlisted).await.ok();
    rig.send(&Call::on_key("metadata", "nobody", &describe_body()))
        .await
        .is_error(404, "KeyNotFoundException");
}

/// XKS-P-145
#[tokio::test]
async fn a_key_is_for_its_principals_alone() {
    let rig = Rig::new().await;
    let encrypt = Call::on_key("encrypt", "mine", &encrypt_body(b"x", None));
    let grant = |principal: &str| KeyGrant::new(key_id("in-key")).only_for(["somebody", principal]);
    rig.tenant.set_key(&key_id("mine"), grant("arn:aws:iam::111122223333:role/XksVector")).unwrap();
    rig.send(&encrypt).await.ok();
    rig.tenant.set_key(&key_id("mine"), grant("arn:aws:iam::111122223333:role/Xks")).unwrap();
    let before = rig.manager.calls(Method::Encrypt);
    rig.send(&encrypt).await.is_error(403, "AccessDeniedException");
    assert_eq!(rig.manager.calls(Method::Encrypt), before);
}

#[derive(Debug, Default)]
struct Policy(AtomicU64);

impl Authorizer for Policy {
    fn authorize(&self, request: &AuthorizationRequest<'_>) -> Decision {
        self.0.fetch_add(1, Ordering::SeqCst);
        assert_eq!(request.access_key_id, ID);
        assert_eq!(request.key, KEY);
        assert_ne!(request.metadata.operation.as_str(), "Panic");
        if request.operation == ProxyOperation::Decrypt
            || request.metadata.operation.as_str() == "InventTomorrow"
        {
            Decision::deny("write-only")
        } else {
            Decision::Allow
        }
    }
}

/// XKS-P-27, XKS-P-97, XKS-P-143, XKS-P-144: asked about all but health; its panic is not a permission.
#[tokio::test]
async fn the_hook_decides() {
    let policy = Arc::new(Policy::default());
    let hook = Arc::clone(&policy);
    let rig = Rig::with_tenant(|tenant| tenant.authorizer(hook)).await;
    let mut client = rig.client().await;
    let encrypted = client.send(&Call::on_key("encrypt", KEY, &encrypt_body(b"x", None))).await.ok();
    let decrypt = Call::on_key("decrypt", KEY, &decrypt_body(&encrypted, None));
    let denied = client.send(&decrypt).await;
    denied.is_error(403, "AccessDeniedException");
    assert!(!String::from_utf8_lossy(&denied.body).contains("write-only"), "XKS-P-115");
    client.send(&Call::on_key("metadata", KEY, &describe_body())).await.ok();
    let mut body = encrypt_body(b"x", None);
    body["requestMetadata"]["kmsOperation"] = json!("InventTomorrow");
    client.send(&Call::on_key("encrypt", KEY, &body)).await.is_error(403, "AccessDeniedException");

    let asked = policy.0.load(Ordering::SeqCst);
    client.send(&Call::new("health", &health_body())).await.ok();
    // An unknown key is unknown before anybody is asked.
    client
        .send(&Call::on_key("metadata", "nobody", &describe_body()))
        .await
        .is_error(404, "KeyNotFoundException");
    assert_eq!(policy.0.load(Ordering::SeqCst), asked);

    let before = rig.manager.calls(Method::Encrypt);
    body["requestMetadata"]["kmsOperation"] = json!("Panic");
    client.send(&Call::on_key("encrypt", KEY, &body)).await.is_error(500, "InternalException");
    assert_eq!(rig.manager.calls(Method::Encrypt), before);

    rig.tenant.set_authorizer(None);
    client.send(&decrypt).await.ok();
}

/// XKS-P-15: after authentication, for each tenant by itself.
#[tokio::test]
async fn a_tenant_has_a_quota() {
    let limit = RateLimit::per_second(NonZeroU32::new(10).unwrap()).burst(NonZeroU32::new(2).unwrap());
    let rig = Rig::with_tenant(|tenant| tenant.rate_limit(limit)).await;
    let mut client = rig.client().await;
    let call = Call::on_key("encrypt", KEY, &encrypt_body(b"x", None));
    let mut wrong = call.clone();
    wrong.secret = super::support::OTHER_SECRET.into();
    for _ in 0..5 {
        client.send(&wrong).await.is_error(401, "AuthenticationFailedException");
    }
    for _ in 0..2 {
        client.send(&call).await.ok();
    }
    client.send(&call).await.is_error(429, "ThrottlingException");
    client.send(&Call::new("health", &health_body())).await.is_error(429, "ThrottlingException");
    client.send(&Call::new("health", &health_body()).of_the_other()).await.ok();
    rig.clock.advance(Duration::from_millis(100));
    client.send(&call).await.ok();
    client.send(&call).await.is_error(429, "ThrottlingException");
    rig.tenant.set_rate_limit(None);
    client.send(&call).await.ok();
}

/// A tenant outlives the proxies that it is added to: what it has used of its quota comes back with time, whichever
/// proxy is asked, and however long the one before had run.
#[tokio::test]
async fn a_quota_goes_on_in_another_proxy() {
    let limit = RateLimit::per_second(NonZeroU32::new(1).unwrap());
    let rig = Rig::with_tenant(|tenant| tenant.rate_limit(limit)).await;
    // As long as a signature holds.
    rig.clock.advance(Duration::from_secs(240));
    let call = Call::on_key("encrypt", KEY, &encrypt_body(b"x", None));
    rig.send(&call).await.ok();
    rig.send(&call).await.is_error(429, "ThrottlingException");

    let younger = Proxy::builder().clock(rig.clock.clone()).tenant(rig.tenant.clone()).build().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (serving, _handle) = serve(listener, younger, ServeOptions::plain_http());
    let _serving = tokio::spawn(serving);
    let mut client = Client::connect(address).await;
    client.send(&call).await.is_error(429, "ThrottlingException");
    rig.clock.advance(Duration::from_secs(1));
    client.send(&call).await.ok();
    rig.send(&call).await.is_error(429, "ThrottlingException");
}

/// Another limit is no gift: what share of the old one was used up is used up of the new one.
#[tokio::test]
async fn another_quota_grants_no_fresh_burst() {
    let limit = |rate: u32, burst: u32| {
        Some(RateLimit::per_second(NonZeroU32::new(rate).unwrap()).burst(NonZeroU32::new(burst).unwrap()))
    };
    let rig = Rig::new().await;
    rig.tenant.set_rate_limit(limit(10, 2));
    let mut client = rig.client().await;
    let call = Call::on_key("encrypt", KEY, &encrypt_body(b"x", None));
    client.send(&call).await.ok();
    client.send(&call).await.ok();
    // Larger, smaller, of the other shape, and one after another without a request between them.
    for (rate, burst) in [(1000, 1000), (10, 100), (1, 1), (10, 2)] {
        rig.tenant.set_rate_limit(limit(rate, burst));
        client.send(&call).await.is_error(429, "ThrottlingException");
    }
    rig.tenant.set_rate_limit(limit(1000, 1000));
    rig.tenant.set_rate_limit(limit(10, 10));
    client.send(&call).await.is_error(429, "ThrottlingException");

    // Half of it is there again, and half of whatever comes.
    rig.clock.advance(Duration::from_millis(500));
    rig.tenant.set_rate_limit(limit(1, 4));
    client.send(&call).await.ok();
    client.send(&call).await.ok();
    client.send(&call).await.is_error(429, "ThrottlingException");
    rig.clock.advance(Duration::from_secs(1));
    client.send(&call).await.ok();
    client.send(&call).await.is_error(429, "ThrottlingException");
}

/// The key manager's kill switch: everything, health included, and only after authentication.
#[tokio::test]
async fn a_tenant_is_suspended_and_resumed() {
    let rig = Rig::new().await;
    let mut client = rig.client().await;
    let encrypted = client.send(&Call::on_key("encrypt", KEY, &encrypt_body(b"x", None))).await.ok();
    let calls = [
        Call::new("health", &health_body()),
        Call::on_key("metadata", KEY, &describe_body()),
        Call::on_key("metadata", "nobody", &describe_body()),
        Call::on_key("encrypt", KEY, &encrypt_body(b"x", None)),
        Call::on_key("decrypt", KEY, &decrypt_body(&encrypted, None)),
        Call::on_key("decrypt", KEY, &json!({})),
    ];
    client.send(&calls[0]).await.ok();
    rig.tenant.suspend();
    assert!(rig.tenant.is_suspended());
    let total = || Method::ALL.iter().map(|method| rig.manager.calls(*method)).sum::<u64>();
    let before = total();
    for call in &calls {
        client.send(call).await.is_error(400, "InvalidStateException");
    }
    assert_eq!(total(), before);
    let mut wrong = calls[0].clone();
    wrong.secret = super::support::OTHER_SECRET.into();
    client.send(&wrong).await.is_error(401, "AuthenticationFailedException");
    client.send(&Call::new("health", &health_body()).of_the_other()).await.ok();
    rig.tenant.resume();
    client.send(&calls[0]).await.ok();
    client.send(&calls[3]).await.ok();
}

/// A connection that was closed is exchanged, and the tenant serves again.
#[tokio::test]
async fn the_connection_is_exchanged() {
    let rig = Rig::new().await;
    let old = connection(&rig.manager).await;
    rig.tenant.set_connection(Arc::clone(&old));
    let health = Call::new("health", &health_body());
    rig.send(&health).await.ok();
    old.close().await.unwrap();
    let encrypt = Call::on_key("encrypt", KEY, &encrypt_body(b"x", None));
    rig.send(&encrypt).await.is_error(500, "InternalException");
    rig.tenant.set_connection(connection(&rig.manager).await);
    rig.send(&encrypt).await.ok();
    let before = rig.manager.calls(Method::Health);
    rig.send(&health).await.ok();
    assert_eq!(
        rig.manager.calls(Method::Health),
        before + 1,
        "the old connection's health is not the new one's"
    );
}
