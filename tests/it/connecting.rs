//! Connecting ends `Connected` or `Failed`, can be raced and given up, and never loses the store.

use std::error::Error as _;
use std::time::Duration;

use custom_key_store::backend::software::{Fault, KeyManager, Method};
use custom_key_store::backend::{
    BackendErrorKind, ConnectionErrorCode, CustomKeyStoreType, HealthStatus, Responsible,
};
use custom_key_store::{ConnectionState, CreateError, KeyStore, StoreName};

use crate::support::{cluster, cluster_configuration, connected, ledger, manager, name, poll_once, timed};

#[tokio::test]
async fn nothing_happens_before_the_attempt_is_polled() {
    let manager = manager();
    let connecting = KeyStore::ephemeral(name(), manager.clone()).connect();
    assert_eq!(connecting.state(), ConnectionState::Connecting);
    assert_eq!(manager.calls(Method::Connect), 0);
}

#[tokio::test]
async fn an_attempt_that_succeeds_ends_connected() {
    let manager = manager();
    let store = connected(&manager).await;
    assert_eq!(store.state(), ConnectionState::Connected);
    assert_eq!(manager.open_connections(), 1);
}

#[tokio::test]
async fn an_attempt_that_fails_gives_the_store_back_with_its_code_and_advice() {
    let manager = manager();
    manager.inject(Method::Connect, Fault::Refuse(ConnectionErrorCode::XksProxyAccessDenied));
    let store = KeyStore::ephemeral(name(), manager.clone());
    let id = store.id().clone();

    let error = store.connect().await.unwrap_err();
    assert_eq!(error.code(), ConnectionErrorCode::XksProxyAccessDenied);
    assert_eq!(error.advice().by, Responsible::ProxyOperator);
    assert_eq!(
        error.to_string(),
        "the custom key store \"root keys\" did not connect and is now FAILED (XKS_PROXY_ACCESS_DENIED)"
    );
    assert!(format!("{error:?}").contains("XksProxyAccessDenied"), "what an unwrap shows: {error:?}");
    assert!(error.source().unwrap().to_string().starts_with("XKS_PROXY_ACCESS_DENIED: "));

    let failed = error.into_store();
    assert_eq!(*failed.id(), id);
    assert_eq!(failed.error_code(), ConnectionErrorCode::XksProxyAccessDenied);

    // The way back: disconnect, connect.
    let store = failed.disconnect().await;
    assert_eq!(store.state(), ConnectionState::Disconnected);
    assert!(store.connect().await.is_ok());
}

#[tokio::test]
async fn every_code_that_a_backend_gives_is_the_code_that_the_store_shows() {
    for &code in ConnectionErrorCode::ALL {
        let manager = match code.store_type() {
            Some(CustomKeyStoreType::AwsCloudhsm) => cluster(),
            _ => manager(),
        };
        manager.inject(Method::Connect, Fault::Refuse(code));
        let failed = KeyStore::ephemeral(name(), manager).connect().await.unwrap_err().into_store();
        assert_eq!(failed.error_code(), code);
        assert_eq!(failed.describe().connection_error_code, Some(code));
    }
}

#[tokio::test]
async fn settled_can_be_dropped_and_goes_on_with_the_same_attempt() {
    let (manager, clock, store) = timed();
    manager.inject(Method::Connect, Fault::Delay(Duration::from_secs(2)));
    let mut connecting = store.connect();
    for _ in 0..3 {
        assert!(poll_once(&mut Box::pin(connecting.settled())).is_pending());
    }
    assert_eq!(manager.calls(Method::Connect), 1);

    clock.advance(Duration::from_secs(2));
    assert_eq!(connecting.settled().await, ConnectionState::Connected);
    assert_eq!(connecting.settled().await, ConnectionState::Connected, "asking again is no harm");
    assert_eq!(connecting.state(), ConnectionState::Connecting, "until it is awaited");
    let store = connecting.await.unwrap();
    assert_eq!(manager.calls(Method::Connect), 1);
    assert!(store.health().await.is_ok());
}

#[tokio::test]
async fn settled_tells_of_a_failure_and_awaiting_gives_it() {
    let manager = manager();
    manager.inject(Method::Connect, Fault::Refuse(ConnectionErrorCode::NetworkErrors));
    let mut connecting = KeyStore::ephemeral(name(), manager).connect();
    assert_eq!(connecting.settled().await, ConnectionState::Failed);
    assert_eq!(connecting.await.unwrap_err().code(), ConnectionErrorCode::NetworkErrors);
}

#[tokio::test]
async fn an_attempt_that_hangs_can_be_given_up_and_the_store_connects_later() {
    let (manager, _clock, store) = timed();
    manager.inject(Method::Connect, Fault::Hang);
    let mut connecting = store.connect();
    assert!(poll_once(&mut Box::pin(connecting.settled())).is_pending());

    let store = connecting.disconnect().await;
    assert_eq!(manager.open_connections(), 0);
    assert!(store.connect().await.is_ok());
}

#[tokio::test]
async fn a_connection_that_is_there_when_the_attempt_is_given_up_is_closed_in_good_order() {
    let manager = manager();
    let mut connecting = KeyStore::ephemeral(name(), manager.clone()).connect();
    connecting.settled().await;
    assert_eq!(manager.open_connections(), 1);
    let store = connecting.disconnect().await;
    assert_eq!(manager.calls(Method::Close), 1);
    assert_eq!(manager.open_connections(), 0);
    assert!(store.disconnect_report().is_some());
}

#[tokio::test]
async fn an_attempt_that_hangs_ends_failed_when_its_time_is_over() {
    for (configuration, code) in [
        (None, ConnectionErrorCode::XksProxyTimedOut),
        (Some(cluster_configuration()), ConnectionErrorCode::NetworkErrors),
    ] {
        let clock = custom_key_store::clock::ManualClock::new();
        let mut builder = KeyManager::builder().clock(clock.clone());
        if let Some(configuration) = configuration {
            builder = builder.configuration(configuration);
        }
        let manager = builder.build();
        manager.inject(Method::Connect, Fault::Hang);
        let mut attempt = KeyStore::builder(manager.clone())
            .clock(clock.clone())
            .connect_timeout(Duration::from_secs(30))
            .ephemeral(name())
            .connect()
            .into_future();
        assert!(poll_once(&mut attempt).is_pending());
        clock.advance(Duration::from_secs(29));
        assert!(poll_once(&mut attempt).is_pending());
        clock.advance(Duration::from_secs(1));
        assert_eq!(attempt.await.unwrap_err().code(), code);
    }
}

#[tokio::test]
async fn an_attempt_that_panics_ends_failed_with_internal_error() {
    let manager = manager();
    manager.inject(Method::Connect, Fault::Panic);
    let error = KeyStore::ephemeral(name(), manager.clone()).connect().await.unwrap_err();
    assert_eq!(error.code(), ConnectionErrorCode::InternalError);
    let store = error.into_store().disconnect().await;
    assert!(store.connect().await.is_ok(), "the store is as good as before");
}

#[tokio::test]
async fn dropping_an_attempt_at_any_poll_leaks_nothing() {
    for polls in 0..3 {
        let (manager, clock, store) = timed();
        manager.inject(Method::Connect, Fault::Delay(Duration::from_secs(1)));
        let mut attempt = store.connect().into_future();
        for _ in 0..polls {
            assert!(poll_once(&mut attempt).is_pending());
        }
        drop(attempt);
        assert_eq!(manager.open_connections(), 0);
        assert_eq!(clock.sleepers(), 0, "no timer is left behind");
    }
}

#[tokio::test]
async fn a_dry_run_connects_asks_for_health_closes_and_leaves_the_store_disconnected() {
    let manager = manager();
    let store = KeyStore::ephemeral(name(), manager.clone());
    let report = store.probe().await.unwrap();
    assert_eq!(report.health.status(), HealthStatus::Active);
    assert_eq!(store.state(), ConnectionState::Disconnected);
    let calls = [Method::Connect, Method::Health, Method::Close].map(|method| manager.calls(method));
    assert_eq!(calls, [1, 1, 1]);
    assert_eq!(manager.open_connections(), 0);
}

#[tokio::test]
async fn a_dry_run_finds_what_connecting_would_find_and_more() {
    let store_with = |fault: Fault, method: Method| {
        let manager = manager();
        manager.inject(method, fault);
        (manager.clone(), KeyStore::ephemeral(name(), manager))
    };
    let refuse = Fault::Refuse(ConnectionErrorCode::XksProxyInvalidConfiguration);
    for (method, fault, code) in [
        (Method::Connect, refuse, ConnectionErrorCode::XksProxyInvalidConfiguration),
        (Method::Connect, Fault::Panic, ConnectionErrorCode::InternalError),
        (
            Method::Health,
            Fault::Fail(BackendErrorKind::AuthenticationFailed),
            ConnectionErrorCode::InvalidCredentials,
        ),
        (Method::Health, Fault::Panic, ConnectionErrorCode::InternalError),
        // No instance at all serves nobody.
        (Method::Health, Fault::Corrupt, ConnectionErrorCode::XksProxyNotReachable),
    ] {
        let (manager, store) = store_with(fault.clone(), method);
        let error = store.probe().await.unwrap_err();
        assert_eq!(error.code(), code, "{method:?} {fault:?}");
        assert_eq!(manager.open_connections(), 0, "{method:?} {fault:?}");
    }

    // A goodbye that fails is told, and is no reason to refuse.
    let (manager, store) = store_with(Fault::Fail(BackendErrorKind::Internal), Method::Close);
    assert_eq!(
        store.probe().await.unwrap().goodbye.to_string(),
        "closed with an error (the key manager failed)"
    );
    assert_eq!(manager.open_connections(), 0);
}

#[tokio::test]
async fn a_dry_run_that_is_dropped_leaks_nothing() {
    for method in [Method::Connect, Method::Health, Method::Close] {
        let manager = manager();
        manager.inject(method, Fault::Hang);
        let store = KeyStore::ephemeral(name(), manager.clone());
        let mut probe = Box::pin(store.probe());
        assert!(poll_once(&mut probe).is_pending());
        drop(probe);
        assert_eq!(manager.open_connections(), 0, "{method:?}");
    }
}

#[tokio::test]
async fn creating_probes_an_external_key_store_and_not_a_cluster() {
    let manager = manager();
    let ledger = ledger();
    let store = KeyStore::builder(manager.clone()).create(&ledger, name()).await.unwrap();
    assert_eq!(store.state(), ConnectionState::Disconnected);
    assert_eq!((manager.calls(Method::Connect), manager.open_connections()), (1, 0));

    manager.inject(Method::Connect, Fault::Refuse(ConnectionErrorCode::InvalidCredentials));
    let other = StoreName::new("other").unwrap();
    let error = KeyStore::builder(manager.clone()).create(&ledger, other.clone()).await.unwrap_err();
    assert!(error.source().unwrap().to_string().starts_with("INVALID_CREDENTIALS: "));
    let CreateError::Refused(refused) = error else { unreachable!("{error:?}") };
    assert_eq!(refused.code(), ConnectionErrorCode::InvalidCredentials);
    let retried = KeyStore::builder(manager).create(&ledger, other).await;
    assert!(retried.unwrap().connect().await.is_ok(), "what was refused has left nothing behind");

    let cluster = cluster();
    let name = StoreName::new("cluster").unwrap();
    assert!(KeyStore::builder(cluster.clone()).create(&ledger, name).await.is_ok());
    assert_eq!(cluster.calls(Method::Connect), 0);
}
