//! Each fault, and the scripts.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use custom_key_store::backend::software::{Fault, KeyManager, Method};
use custom_key_store::backend::{
    Backend as _, BackendErrorKind, BackingKeyId, Connection, ConnectionErrorCode, DeleteKeyRequest,
    EncryptRequest, GenerateKeyRequest, GenerateRandomRequest, KeySpec,
};
use custom_key_store::clock::ManualClock;
use futures::FutureExt as _;

use super::{
    cloud_hsm, connect, connected, decrypt, describe, encrypt, health, id, kind, metadata, try_connect,
};

/// Every method but `Connect` and `Close`, called once; the kind of the error, or `None` if it worked.
async fn call(connection: &dyn Connection, method: Method, key: &BackingKeyId) -> Option<BackendErrorKind> {
    let failed = match method {
        Method::DescribeKey => connection.describe_key(&describe(key)).await.err(),
        Method::GenerateKey => {
            connection.generate_key(&GenerateKeyRequest::new(metadata(), "label")).await.err()
        }
        Method::DeleteKey => connection.delete_key(&DeleteKeyRequest::new(metadata(), key)).await.err(),
        Method::GenerateRandom => {
            connection.generate_random(&GenerateRandomRequest::new(metadata(), 8)).await.err()
        }
        Method::Encrypt => encrypt(connection, key, b"plaintext", b"").await.err(),
        // Needs a ciphertext first, so this one calls `encrypt` too, which must not have a fault waiting.
        Method::Decrypt => {
            let ciphertext = encrypt(connection, key, b"plaintext", b"").await.unwrap();
            decrypt(connection, key, &ciphertext, b"").await.err()
        }
        Method::Health => connection.health(&health()).await.err(),
        Method::Close => connection.close().await.err(),
        _ => unreachable!("{method:?} is not a method of a connection"),
    };
    failed.map(|error| error.kind())
}

const OF_CONNECTIONS: [Method; 8] = [
    Method::DescribeKey,
    Method::GenerateKey,
    Method::GenerateRandom,
    Method::Encrypt,
    Method::Decrypt,
    Method::Health,
    Method::DeleteKey,
    Method::Close,
];

async fn cluster() -> (KeyManager, BackingKeyId, Arc<dyn Connection>) {
    let manager = KeyManager::builder().configuration(cloud_hsm()).build();
    manager.create_key(id("key"));
    let connection = connect(&manager).await;
    (manager, id("key"), connection)
}

#[tokio::test]
async fn an_injected_fault_fails_the_next_call_of_its_method_and_no_other() {
    let (manager, key, connection) = cluster().await;
    for method in OF_CONNECTIONS {
        manager.inject(method, Fault::Fail(BackendErrorKind::Throttled));
    }
    for method in OF_CONNECTIONS {
        let expected = Some(BackendErrorKind::Throttled);
        if method == Method::Decrypt {
            assert_eq!(call(&*connection, Method::Encrypt, &key).await, None);
        }
        assert_eq!(call(&*connection, method, &key).await, expected, "{method:?}");
        if method != Method::Close {
            assert_eq!(call(&*connection, method, &key).await, None, "{method:?}");
        }
    }
}

#[tokio::test]
async fn every_kind_of_error_can_be_rehearsed() {
    let (manager, key, connection) = connected().await;
    for kind in BackendErrorKind::ALL {
        manager.inject(Method::Encrypt, Fault::Fail(*kind));
        assert_eq!(call(&*connection, Method::Encrypt, &key).await, Some(*kind));
    }
    // A failure of cryptography stays silent even when it is scripted; any other says what it is.
    manager.inject(Method::Encrypt, Fault::Fail(BackendErrorKind::InvalidCiphertext));
    assert_eq!(encrypt(&*connection, &key, b"", b"").await.unwrap_err().detail(), None);
    manager.inject(Method::Encrypt, Fault::Fail(BackendErrorKind::Internal));
    assert!(encrypt(&*connection, &key, b"", b"").await.unwrap_err().detail().is_some());
}

#[tokio::test]
async fn injected_faults_precede_the_script_which_precedes_what_is_always_so() {
    let (manager, key, connection) = connected().await;
    let fail = Fault::Fail;
    manager.always(Method::Encrypt, fail(BackendErrorKind::Internal));
    manager.script(Method::Encrypt, [None, Some(fail(BackendErrorKind::TimedOut))]);
    manager.script(Method::Encrypt, [Some(fail(BackendErrorKind::Unreachable)), None]);
    manager.inject(Method::Encrypt, fail(BackendErrorKind::Throttled));
    manager.inject(Method::Encrypt, fail(BackendErrorKind::AccessDenied));

    let mut outcomes = Vec::new();
    for _ in 0..8 {
        outcomes.push(call(&*connection, Method::Encrypt, &key).await);
    }
    assert_eq!(
        outcomes,
        [
            Some(BackendErrorKind::Throttled),
            Some(BackendErrorKind::AccessDenied),
            None,
            Some(BackendErrorKind::TimedOut),
            Some(BackendErrorKind::Unreachable),
            None,
            Some(BackendErrorKind::Internal),
            Some(BackendErrorKind::Internal),
        ]
    );
    manager.inject(Method::Encrypt, Fault::Hang);
    manager.heal();
    assert_eq!(call(&*connection, Method::Encrypt, &key).await, None);
    assert_eq!(manager.calls(Method::Encrypt), 9);
}

#[tokio::test]
async fn a_refused_attempt_shows_the_scripted_code() {
    let manager = KeyManager::new();
    for code in ConnectionErrorCode::ALL {
        manager.inject(Method::Connect, Fault::Refuse(*code));
        let error = try_connect(&manager).await.unwrap_err();
        let external = manager.configuration().store_type();
        let expected = match code.store_type() {
            Some(other) if other != external => ConnectionErrorCode::InternalError,
            _ => *code,
        };
        assert_eq!(error.code(), expected);
        assert!(error.detail().is_some());
    }
    assert!(try_connect(&manager).await.is_ok());
}

#[tokio::test]
async fn a_failed_call_while_connecting_becomes_the_code_of_the_store_type() {
    let cases = [
        (
            BackendErrorKind::TimedOut,
            ConnectionErrorCode::XksProxyTimedOut,
            ConnectionErrorCode::NetworkErrors,
        ),
        (
            BackendErrorKind::AccessDenied,
            ConnectionErrorCode::XksProxyAccessDenied,
            ConnectionErrorCode::InternalError,
        ),
    ];
    for (kind, external, cluster) in cases {
        let manager = KeyManager::new();
        manager.inject(Method::Connect, Fault::Fail(kind));
        assert_eq!(try_connect(&manager).await.unwrap_err().code(), external);
        let manager = KeyManager::builder().configuration(cloud_hsm()).build();
        manager.inject(Method::Connect, Fault::Fail(kind));
        assert_eq!(try_connect(&manager).await.unwrap_err().code(), cluster);
        assert_eq!(manager.open_connections(), 0);
    }
}

#[tokio::test]
async fn a_refusal_of_anything_but_connect_is_an_internal_error() {
    let (manager, key, connection) = connected().await;
    manager.inject(Method::Encrypt, Fault::Refuse(ConnectionErrorCode::XksProxyTimedOut));
    assert_eq!(call(&*connection, Method::Encrypt, &key).await, Some(BackendErrorKind::Internal));
}

#[tokio::test]
async fn a_delayed_call_works_when_its_time_has_come() {
    let clock = ManualClock::new();
    let manager = KeyManager::builder().clock(clock.clone()).build();
    manager.create_key(id("key"));
    manager.script(Method::Connect, [Some(Fault::Delay(Duration::from_secs(2)))]);
    let mut attempt = Box::pin(connect(&manager));
    assert!(futures::poll!(&mut attempt).is_pending());
    assert_eq!(clock.sleepers(), 1);
    clock.advance(Duration::from_secs(2));
    let connection = attempt.await;

    manager.always(Method::Encrypt, Fault::Delay(Duration::from_secs(1)));
    let key = id("key");
    let mut slow = Box::pin(encrypt(&*connection, &key, b"", b""));
    assert!(futures::poll!(&mut slow).is_pending());
    clock.advance(Duration::from_millis(999));
    assert!(futures::poll!(&mut slow).is_pending());
    clock.advance(Duration::from_millis(1));
    assert!(slow.await.is_ok());
}

#[tokio::test]
async fn a_call_whose_connection_is_closed_while_it_is_delayed_is_refused() {
    let clock = ManualClock::new();
    let manager = KeyManager::builder().clock(clock.clone()).build();
    manager.create_key(id("key"));
    let connection = connect(&manager).await;
    manager.inject(Method::Encrypt, Fault::Delay(Duration::from_secs(1)));
    let key = id("key");
    let mut slow = Box::pin(encrypt(&*connection, &key, b"", b""));
    assert!(futures::poll!(&mut slow).is_pending());
    connection.close().await.unwrap();
    clock.advance(Duration::from_secs(1));
    assert_eq!(kind(slow.await), BackendErrorKind::Closed);
}

#[tokio::test]
async fn a_hung_call_never_resolves_and_dropping_it_leaves_the_connection_as_good_as_before() {
    let (manager, key, connection) = cluster().await;
    for method in OF_CONNECTIONS {
        manager.inject(method, Fault::Hang);
        assert_eq!(call(&*connection, method, &key).now_or_never(), None, "{method:?}");
        if method != Method::Close {
            assert_eq!(call(&*connection, method, &key).await, None, "{method:?}");
        }
    }
    // A goodbye that hangs has closed the connection.
    assert_eq!(manager.open_connections(), 0);
    assert_eq!(connection.close().await.unwrap().still_running, 0);

    manager.inject(Method::Connect, Fault::Hang);
    assert!(try_connect(&manager).now_or_never().is_none());
    assert_eq!(manager.open_connections(), 0);
}

#[tokio::test]
async fn a_panic_passes_and_leaves_the_manager_usable() {
    let (manager, key, connection) = cluster().await;
    for method in OF_CONNECTIONS {
        manager.inject(method, Fault::Panic);
        let caught = AssertUnwindSafe(call(&*connection, method, &key)).catch_unwind().await;
        let payload = caught.unwrap_err();
        let text = payload.downcast_ref::<String>().unwrap();
        assert!(text.contains("scripted") && text.contains(&format!("{method:?}")), "{text}");
        if method != Method::Close {
            assert_eq!(call(&*connection, method, &key).await, None, "{method:?}");
        }
    }
    assert_eq!(manager.open_connections(), 0);
    manager.inject(Method::Connect, Fault::Panic);
    assert!(AssertUnwindSafe(try_connect(&manager)).catch_unwind().await.is_err());
    assert!(try_connect(&manager).await.is_ok());
}

#[tokio::test]
async fn a_failed_goodbye_has_closed_the_connection_all_the_same() {
    let (manager, key, connection) = connected().await;
    manager.inject(Method::Close, Fault::Fail(BackendErrorKind::Unreachable));
    assert_eq!(kind(connection.close().await), BackendErrorKind::Unreachable);
    assert_eq!(manager.open_connections(), 0);
    assert_eq!(call(&*connection, Method::Encrypt, &key).await, Some(BackendErrorKind::Closed));
    assert!(connection.close().await.is_ok());
}

#[tokio::test]
async fn a_closed_connection_takes_no_entry_of_the_script() {
    let (manager, key, connection) = connected().await;
    let open = connect(&manager).await;
    connection.close().await.unwrap();
    manager.inject(Method::Encrypt, Fault::Fail(BackendErrorKind::Throttled));
    assert_eq!(call(&*connection, Method::Encrypt, &key).await, Some(BackendErrorKind::Closed));
    assert_eq!(call(&*open, Method::Encrypt, &key).await, Some(BackendErrorKind::Throttled));
}

#[tokio::test]
async fn a_corrupt_manager_damages_each_answer_in_its_own_way() {
    let (manager, key, connection) = cluster().await;
    for method in Method::ALL {
        manager.always(*method, Fault::Corrupt);
    }
    let error = try_connect(&manager).await.unwrap_err();
    assert_eq!(error.code(), ConnectionErrorCode::InternalError);

    let description = connection.describe_key(&describe(&key)).await.unwrap();
    assert!(matches!(description.spec, KeySpec::Other(_)));

    let generated = connection.generate_key(&GenerateKeyRequest::new(metadata(), "label")).await.unwrap();
    assert_eq!(manager.keys().len(), 2);
    assert!(!manager.keys().contains(&generated.key));

    connection.delete_key(&DeleteKeyRequest::new(metadata(), &key)).await.unwrap();
    assert!(manager.keys().contains(&key));
    let absent = id("absent");
    let outcome = connection.delete_key(&DeleteKeyRequest::new(metadata(), &absent)).await;
    assert_eq!(kind(outcome), BackendErrorKind::KeyNotFound);

    let random = connection.generate_random(&GenerateRandomRequest::new(metadata(), 8)).await.unwrap();
    assert_eq!(random.len(), 7);

    assert_eq!(connection.health(&health()).await.unwrap().instances, []);
    assert_eq!(connection.close().await.unwrap().still_running, 1);

    let proxy = KeyManager::new();
    proxy.inject(Method::Connect, Fault::Corrupt);
    let error = try_connect(&proxy).await.unwrap_err();
    assert_eq!(error.code(), ConnectionErrorCode::XksProxyInvalidResponse);
}

#[tokio::test]
async fn a_damaged_ciphertext_is_found_by_verification_and_otherwise_by_decryption() {
    let (manager, key, connection) = connected().await;
    for plaintext in [&b""[..], b"plaintext"] {
        let request = EncryptRequest::new(metadata(), &key, plaintext);
        manager.inject(Method::Encrypt, Fault::Corrupt);
        let outcome = connection.encrypt(&request).await;
        assert_eq!(kind(outcome), BackendErrorKind::IntegrityCheckFailed);

        manager.inject(Method::Encrypt, Fault::Corrupt);
        let damaged = connection.encrypt(&request.unverified()).await.unwrap();
        assert_eq!(damaged.bytes.len(), plaintext.len());
        let outcome = decrypt(&*connection, &key, &damaged, b"").await;
        assert_eq!(kind(outcome), BackendErrorKind::InvalidCiphertext);
    }
}

#[tokio::test]
async fn a_damaged_plaintext_is_not_what_was_encrypted() {
    let (manager, key, connection) = connected().await;
    for (plaintext, damaged) in [(&b""[..], &b"\0"[..]), (b"plaintext", b"qlaintext")] {
        let ciphertext = encrypt(&*connection, &key, plaintext, b"").await.unwrap();
        manager.inject(Method::Decrypt, Fault::Corrupt);
        assert_eq!(decrypt(&*connection, &key, &ciphertext, b"").await.unwrap(), damaged);
        assert_eq!(decrypt(&*connection, &key, &ciphertext, b"").await.unwrap(), plaintext);
    }
}
