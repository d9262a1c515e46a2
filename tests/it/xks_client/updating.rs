//! A store on a proxy: its whole life, and changes while it is used.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use custom_key_store::backend::{
    AccessKeyId, Backend as _, Change, ConnectReason, InvalidChange, LiveChange, SecretAccessKey,
    UriEndpoint, UriPath, XksProxyCredential,
};
use custom_key_store::clock::ManualClock;
use custom_key_store::{EncryptionContext, KeyStore, NewKey, StoreName};

use crate::support::ledger;

use super::authority::Authority;
use super::fixture::{HOST, PATH, PLAINTEXT, connect_request, guarded, key, settings};
use super::server::{Manner, Reply, Server};
use super::sigv4;

const NEW_ID: &str = "NEWCREDENTIAL234567A";
const NEW_SECRET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopq=";

fn new_credential() -> XksProxyCredential {
    XksProxyCredential::new(AccessKeyId::new(NEW_ID).unwrap(), SecretAccessKey::new(NEW_SECRET).unwrap())
}

fn new_path() -> UriPath {
    UriPath::new("/tenant-b/kms/xks/v1").unwrap()
}

fn name() -> StoreName {
    StoreName::new("root keys").unwrap()
}

/// XKS-C-39: nothing reaches the proxy but while the store is connected.
#[tokio::test]
async fn a_store_lives_on_a_proxy() {
    let authority = Authority::new();
    let server = Server::start(Manner::Tls(authority.server())).await;
    let settings = settings().trust_roots(authority.trusted()).dial(server.address);
    let proxy = settings.build().unwrap();
    let counters = proxy.counters();
    let store = KeyStore::builder(proxy);
    let store = guarded(store.create(&ledger(), name())).await.unwrap();
    assert!(guarded(server.seen()).await.json()["requestMetadata"]["kmsOperation"] == "CreateCustomKeyStore");
    let store = guarded(async { store.connect().await }).await.unwrap();

    let id = guarded(store.create_key(&NewKey::external(key()))).await.unwrap().key_id;
    let context = EncryptionContext::new([("tenant", "blue")]).unwrap();
    let blob = guarded(store.encrypt(&id, PLAINTEXT, &context)).await.unwrap();
    assert_eq!(guarded(store.decrypt(blob.as_bytes(), &context)).await.unwrap().expose(), PLAINTEXT);
    guarded(store.describe_backing_key(&key())).await.unwrap();
    guarded(store.health()).await.unwrap();
    let handle = store.handle();
    let store = guarded(async { store.disconnect().await }).await;
    let before = counters.counts();
    assert!(handle.encrypt(&id, PLAINTEXT, &context).await.is_err());
    assert!(handle.decrypt(blob.as_bytes(), &context).await.is_err());
    assert!(handle.describe_backing_key(&key()).await.is_err());
    assert!(handle.health().await.is_err());
    assert_eq!(counters.counts(), before);
    // All but the first, which was looked at.
    for _ in 1..before.requests {
        guarded(server.seen()).await;
    }
    let store = guarded(async { store.connect().await }).await.unwrap();
    let next = guarded(server.seen()).await.json();
    assert_eq!(next["requestMetadata"]["kmsOperation"], "ConnectCustomKeyStore", "nothing came in between");
    drop(store);
}

/// XKS-C-26, and the whole point of it: no call fails while credential and path are exchanged.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn credential_and_path_are_exchanged_without_failing_a_call() {
    let server = Server::start(Manner::Plain).await;
    let proxy = settings().dangerous_plain_http_on_loopback(server.address).build().unwrap();
    let counters = proxy.counters();
    let store = KeyStore::ephemeral(name(), proxy);
    let mut store = guarded(async { store.connect().await }).await.unwrap();
    let id = guarded(store.create_key(&NewKey::external(key()))).await.unwrap().key_id;

    let (done, calls) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let users: Vec<_> = (0..4)
        .map(|_| {
            let (handle, done, calls) = (store.handle(), Arc::clone(&done), Arc::clone(&calls));
            tokio::spawn(async move {
                while !done.load(Ordering::Relaxed) {
                    handle.encrypt(&id, PLAINTEXT, &EncryptionContext::none()).await.unwrap();
                    calls.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    let more = async || {
        let before = calls.load(Ordering::Relaxed);
        while calls.load(Ordering::Relaxed) < before + 20 {
            tokio::task::yield_now().await;
        }
    };
    guarded(more()).await;
    let change = LiveChange::new().credential(new_credential()).uri_path(new_path());
    guarded(store.update(change)).await.unwrap();
    guarded(more()).await;
    done.store(true, Ordering::Relaxed);
    for user in users {
        guarded(user).await.unwrap();
    }

    // Old and new never mix, and afterwards there is only the new.
    let total = counters.counts();
    assert_eq!(total.successes, total.requests);
    let mut changed = false;
    for _ in 0..total.requests {
        let seen = guarded(server.seen()).await;
        let is_new = seen.header("authorization").contains(NEW_ID);
        assert_eq!(seen.path().starts_with("/tenant-b/"), is_new);
        if is_new {
            let expected = sigv4::authorization(&seen, NEW_ID, NEW_SECRET, "us-east-2");
            assert_eq!(seen.header("authorization"), expected);
        } else {
            assert!(seen.path().starts_with(PATH));
        }
        changed |= is_new;
    }
    assert!(changed);
    assert_eq!(store.describe().xks_proxy_configuration.unwrap().access_key_id.as_str(), NEW_ID);
}

/// XKS-C-26: one that the proxy does not take changes nothing.
#[tokio::test]
async fn a_credential_that_is_refused_leaves_the_old_one_in_use() {
    let server = Server::start(Manner::Plain).await;
    let clock = ManualClock::starting_at(SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000));
    let settings = settings().clock(clock.clone()).dangerous_plain_http_on_loopback(server.address);
    let proxy = settings.build().unwrap();
    let counters = proxy.counters();
    let given = counters.counts().credential_since;
    let store = KeyStore::ephemeral(name(), proxy);
    let mut store = guarded(async { store.connect().await }).await.unwrap();
    guarded(server.seen()).await;
    let id = guarded(store.create_key(&NewKey::external(key()))).await.unwrap().key_id;
    guarded(server.seen()).await;

    clock.advance(Duration::from_secs(60));
    server.will(Reply::error(401, "AuthenticationFailedException"));
    let change = || LiveChange::new().credential(new_credential());
    assert!(guarded(store.update(change())).await.is_err());
    let refused = guarded(server.seen()).await;
    assert_eq!(refused.json()["requestMetadata"]["kmsOperation"], "UpdateCustomKeyStore");
    guarded(store.encrypt(&id, PLAINTEXT, &EncryptionContext::none())).await.unwrap();
    assert!(!guarded(server.seen()).await.header("authorization").contains(NEW_ID));
    assert_eq!(counters.counts().credential_since, given);

    guarded(store.update(change())).await.unwrap();
    assert_eq!(counters.counts().credential_since, given + Duration::from_secs(60));
}

/// The address belongs to the old endpoint; what is trusted belongs to the store.
#[tokio::test]
async fn another_endpoint_is_looked_for_anew_and_another_path_is_not() {
    let authority = Authority::new();
    let server = Server::start(Manner::Tls(authority.server())).await;
    let settings = settings().trust_roots(authority.trusted());
    let proxy = settings.dial(server.address).build().unwrap();
    let connect = ConnectReason::Connect;

    let same = proxy.reconfigured(&Change::new().uri_path(new_path())).unwrap();
    guarded(same.connect(&connect_request(connect))).await.unwrap();
    assert!(guarded(server.seen()).await.path().starts_with("/tenant-b/"));
    let same = UriEndpoint::new(format!("https://{HOST}")).unwrap();
    let same = proxy.reconfigured(&Change::new().uri_endpoint(same)).unwrap();
    guarded(same.connect(&connect_request(connect))).await.unwrap();

    let other = UriEndpoint::new("https://nobody.invalid").unwrap();
    let other = proxy.reconfigured(&Change::new().uri_endpoint(other)).unwrap();
    assert!(guarded(other.connect(&connect_request(connect))).await.is_err());
    assert_eq!(server.accepted(), 2);
}

#[test]
fn changes_that_make_no_sense_are_refused() {
    let plain = settings().dangerous_plain_http_on_loopback("127.0.0.1:1".parse().unwrap()).build().unwrap();
    let password = custom_key_store::backend::KeyStorePassword::new("password1").unwrap();
    let wrong_type = plain.reconfigured(&Change::new().password(password)).unwrap_err();
    assert!(matches!(wrong_type, InvalidChange::WrongStoreType { .. }));
    let elsewhere = Change::new().uri_endpoint(UriEndpoint::new("https://other.example.com").unwrap());
    let unsupported = plain.reconfigured(&elsewhere).unwrap_err();
    assert_eq!(unsupported, InvalidChange::Unsupported { property: "XksProxyUriEndpoint" });
}
