//! Using keys through a connected store: round trips, limits, deadlines, panics, and what a caller is told.

use std::error::Error as _;
use std::time::Duration;

use custom_key_store::backend::software::{Fault, KeyManager, Method, SoftwareKey};
use custom_key_store::backend::{
    BackendError, BackendErrorKind, BackingKeyId, ConnectionError, ConnectionErrorCode, CustomKeyStoreType,
    HealthStatus, KeyStatus, KeyUsages,
};
use custom_key_store::{Caller, ConnectionState, EncryptionContext, Error, ErrorKind};

use crate::support::{cluster, connected, key, manager, no_context, poll_once, timed};

fn kind<T: std::fmt::Debug>(result: Result<T, Error>) -> ErrorKind {
    result.unwrap_err().kind()
}

const fn backend(kind: BackendErrorKind) -> ErrorKind {
    ErrorKind::Backend(kind)
}

#[tokio::test]
async fn what_is_encrypted_is_decrypted_under_the_same_key_and_context_alone() {
    let manager = manager();
    let other = BackingKeyId::new("other").unwrap();
    manager.create_key(other.clone());
    let store = connected(&manager).await;
    let context = EncryptionContext::new([("tenant", "blue"), ("purpose", "test")]).unwrap();
    let ciphertext = store.encrypt(&key(), b"plaintext", &context).await.unwrap();
    assert_eq!(store.decrypt(&key(), &ciphertext, &context).await.unwrap().expose(), b"plaintext");

    let reordered = EncryptionContext::new([("purpose", "test"), ("tenant", "blue")]).unwrap();
    assert!(store.decrypt(&key(), &ciphertext, &reordered).await.is_ok());
    for wrong in [
        no_context(),
        EncryptionContext::new([("tenant", "blue")]).unwrap(),
        EncryptionContext::new([("tenant", "Blue"), ("purpose", "test")]).unwrap(),
    ] {
        let error = store.decrypt(&key(), &ciphertext, &wrong).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidCiphertext);
        assert!(error.source().is_none() && !error.is_retryable(), "a failure of cryptography is silent");
    }
    assert_eq!(kind(store.decrypt(&other, &ciphertext, &context).await), ErrorKind::InvalidCiphertext);
    let mut damaged = ciphertext.clone();
    damaged.bytes[0] ^= 1;
    assert_eq!(kind(store.decrypt(&key(), &damaged, &context).await), ErrorKind::InvalidCiphertext);
}

#[tokio::test]
async fn sizes_are_checked_before_the_key_manager_is_asked() {
    let manager = cluster();
    let store = connected(&manager).await;
    for length in [1, 4096] {
        let plaintext = vec![7; length];
        let ciphertext = store.encrypt(&key(), &plaintext, &no_context()).await.unwrap();
        assert_eq!(store.decrypt(&key(), &ciphertext, &no_context()).await.unwrap().expose(), plaintext);
    }
    let asked = manager.calls(Method::Encrypt);
    for length in [0, 4097] {
        let error = store.encrypt(&key(), &vec![7; length], &no_context()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().starts_with("Plaintext is invalid: "), "{error:?}");
    }
    assert_eq!(manager.calls(Method::Encrypt), asked);

    assert_eq!(store.generate_random(1).await.unwrap().len(), 1);
    assert_eq!(store.generate_random(1024).await.unwrap().len(), 1024);
    for length in [0, 1025] {
        assert_eq!(kind(store.generate_random(length).await), ErrorKind::InvalidInput);
    }
    assert_eq!(kind(store.generate_key("").await), ErrorKind::InvalidInput);
    assert_eq!(kind(store.generate_key(&"x".repeat(2049)).await), ErrorKind::InvalidInput);
}

#[tokio::test]
async fn keys_are_made_and_deleted_in_a_cluster_and_unsupported_in_an_external_store() {
    let store = connected(&cluster()).await;
    let made = store.generate_key("arn:aws:kms:us-east-1:111122223333:key/example").await.unwrap();
    assert_eq!(store.describe_key(&made).await.unwrap().status, KeyStatus::Enabled);
    assert!(store.encrypt(&made, b"plaintext", &no_context()).await.is_ok());
    store.delete_key(&made).await.unwrap();
    assert_eq!(kind(store.describe_key(&made).await), backend(BackendErrorKind::KeyNotFound));

    let store = connected(&manager()).await;
    let unsupported = backend(BackendErrorKind::Unsupported);
    assert_eq!(kind(store.generate_key("label").await), unsupported);
    assert_eq!(kind(store.delete_key(&key()).await), unsupported);
    assert_eq!(kind(store.generate_random(8).await), unsupported);
}

#[tokio::test]
async fn the_key_owners_decisions_reach_the_caller_by_kind() {
    let manager = manager();
    let decrypt_only = BackingKeyId::new("decrypt-only").unwrap();
    manager.insert_key(decrypt_only.clone(), SoftwareKey::generate().usages(KeyUsages::DECRYPT));
    let store = connected(&manager).await;
    let encrypt = async |key: &BackingKeyId| kind(store.encrypt(key, b"plaintext", &no_context()).await);

    assert_eq!(encrypt(&decrypt_only).await, backend(BackendErrorKind::InvalidKeyUsage));
    assert_eq!(encrypt(&BackingKeyId::new("absent").unwrap()).await, backend(BackendErrorKind::KeyNotFound));
    assert!(manager.set_key_status(&key(), KeyStatus::Disabled));
    assert_eq!(encrypt(&key()).await, backend(BackendErrorKind::InvalidKeyState));
    assert_eq!(store.state(), ConnectionState::Connected, "the store's state does not follow its keys");
}

#[tokio::test]
async fn a_sick_key_manager_is_a_reading_and_no_transition() {
    let manager = manager();
    let store = connected(&manager).await;
    manager.set_health(vec![HealthStatus::Unavailable]);
    assert_eq!(store.health().await.unwrap().status(), HealthStatus::Unavailable);
    manager.inject(Method::Health, Fault::Fail(BackendErrorKind::Unreachable));
    assert_eq!(kind(store.health().await), backend(BackendErrorKind::Unreachable));
    manager.always(Method::Encrypt, Fault::Fail(BackendErrorKind::Unreachable));
    for _ in 0..10 {
        assert!(store.encrypt(&key(), b"plaintext", &no_context()).await.is_err());
    }
    assert_eq!(store.state(), ConnectionState::Connected);
    manager.heal();
    assert!(store.encrypt(&key(), b"plaintext", &no_context()).await.is_ok());
}

#[tokio::test]
async fn a_call_that_hangs_ends_when_its_time_is_over_and_the_next_one_works() {
    let (manager, clock, store) = timed();
    let store = store.connect().await.unwrap();
    manager.inject(Method::Encrypt, Fault::Hang);
    {
        let mut call = Box::pin(async { store.encrypt(&key(), b"plaintext", &no_context()).await });
        assert!(poll_once(&mut call).is_pending());
        clock.advance(Duration::from_secs(4));
        assert!(poll_once(&mut call).is_pending());
        clock.advance(Duration::from_secs(1));
        let error = call.await.unwrap_err();
        assert_eq!(error.kind(), backend(BackendErrorKind::TimedOut));
        assert!(error.is_retryable());
    }
    assert_eq!(clock.sleepers(), 0);
    assert!(store.encrypt(&key(), b"plaintext", &no_context()).await.is_ok());
    // The gate's count is right: nothing is in flight.
    let store = store.disconnect_within(Duration::ZERO).await;
    assert_eq!(store.disconnect_report().unwrap().abandoned, 0);
}

#[tokio::test]
async fn a_panic_is_that_calls_error_and_the_gate_counts_right() {
    let manager = manager();
    let store = connected(&manager).await;
    for method in [Method::Encrypt, Method::Health, Method::DescribeKey] {
        manager.inject(method, Fault::Panic);
    }
    let panicked = backend(BackendErrorKind::Panicked);
    assert_eq!(kind(store.encrypt(&key(), b"plaintext", &no_context()).await), panicked);
    assert_eq!(kind(store.health().await), panicked);
    assert_eq!(kind(store.describe_key(&key()).await), panicked);
    assert!(store.encrypt(&key(), b"plaintext", &no_context()).await.is_ok());
    let store = store.disconnect_within(Duration::ZERO).await;
    let report = store.disconnect_report().unwrap();
    assert_eq!((report.completed, report.dropped, report.abandoned), (0, 0, 0));
}

#[tokio::test]
async fn a_call_that_is_dropped_at_any_poll_leaves_the_gate_counting_right() {
    for polls in 0..4 {
        let (manager, clock, store) = timed();
        let store = store.connect().await.unwrap();
        manager.inject(Method::Encrypt, Fault::Hang);
        let mut call = Box::pin(async { store.encrypt(&key(), b"plaintext", &no_context()).await });
        for _ in 0..polls {
            assert!(poll_once(&mut call).is_pending());
        }
        drop(call);
        assert_eq!(clock.sleepers(), 0);
        let store = store.disconnect_within(Duration::ZERO).await;
        let report = store.disconnect_report().unwrap();
        assert_eq!((report.completed, report.dropped, report.abandoned), (0, 0, 0), "{polls}");
    }
}

#[tokio::test]
async fn a_handle_on_behalf_of_somebody_works_like_any_other_and_is_revoked_with_the_rest() {
    let store = connected(&manager()).await;
    let caller = Caller::new("arn:aws:iam::111122223333:role/app")
        .with_source("vpc-1", "vpce-1")
        .with_via_service("ebs.amazonaws.com");
    let handle = store.handle().on_behalf_of(caller);
    assert!(handle.encrypt(&key(), b"plaintext", &no_context()).await.is_ok());
    let _store = store.disconnect().await;
    assert_eq!(kind(handle.encrypt(&key(), b"plaintext", &no_context()).await), ErrorKind::NotConnected);
}

#[tokio::test]
async fn every_kind_of_the_key_manager_reaches_the_caller_with_its_retryability_and_text() {
    let manager = manager();
    let store = connected(&manager).await;
    for &kind in BackendErrorKind::ALL {
        manager.inject(Method::DescribeKey, Fault::Fail(kind));
        let error = store.describe_key(&key()).await.unwrap_err();
        if kind == BackendErrorKind::InvalidCiphertext {
            assert_eq!(error.kind(), ErrorKind::InvalidCiphertext);
            assert!(error.source().is_none());
        } else {
            assert_eq!((error.kind(), error.is_retryable()), (backend(kind), kind.is_retryable()));
            assert_eq!(error.to_string(), BackendError::new(kind).to_string());
            assert_eq!(error.backend_error().unwrap().kind(), kind);
            assert!(error.source().is_none(), "nothing lies beneath a scripted fault");
        }
    }
}

#[tokio::test]
async fn a_reply_of_another_length_is_an_error_and_never_passed_on() {
    let manager = cluster();
    let store = connected(&manager).await;
    manager.inject(Method::GenerateRandom, Fault::Corrupt); // one byte short
    let error = store.generate_random(32).await.unwrap_err();
    assert_eq!(error.kind(), backend(BackendErrorKind::InvalidResponse));
    assert_eq!(error.backend_error().unwrap().detail(), Some("31 bytes where 32 were asked for"));
}

#[tokio::test]
async fn a_label_has_no_control_characters() {
    let manager = cluster();
    let store = connected(&manager).await;
    assert_eq!(kind(store.generate_key("two\nlines").await), ErrorKind::InvalidInput);
    assert_eq!(kind(store.generate_key("nul\0").await), ErrorKind::InvalidInput);
    assert_eq!(manager.calls(Method::GenerateKey), 0);
}

#[tokio::test]
async fn an_error_says_whether_the_operation_may_have_taken_effect() {
    let (manager, clock, store) = timed();
    let store = store.connect().await.unwrap();
    let handle = store.handle();
    let effect = async |fault: Fault| {
        manager.inject(Method::DescribeKey, fault);
        handle.describe_key(&key()).await.unwrap_err().may_have_taken_effect()
    };
    assert!(!effect(Fault::Fail(BackendErrorKind::AccessDenied)).await);
    assert!(!effect(Fault::Fail(BackendErrorKind::Throttled)).await);
    assert!(effect(Fault::Fail(BackendErrorKind::TimedOut)).await);
    assert!(effect(Fault::Fail(BackendErrorKind::Unreachable)).await);
    assert!(effect(Fault::Panic).await);
    assert!(!handle.generate_key("").await.unwrap_err().may_have_taken_effect(), "it was not asked");

    // Cut off against refused.
    manager.inject(Method::DescribeKey, Fault::Hang);
    let mut call = Box::pin(async { handle.describe_key(&key()).await });
    assert!(poll_once(&mut call).is_pending());
    let store = store.disconnect_within(Duration::ZERO).await;
    assert!(call.await.unwrap_err().may_have_taken_effect());
    assert!(!handle.describe_key(&key()).await.unwrap_err().may_have_taken_effect());
    drop((store, clock));
}

#[test]
fn text_for_our_log_and_sources_are_kept_apart_from_display_and_dropped_for_cryptography() {
    let with = |kind: BackendErrorKind| {
        BackendError::new(kind).with_source(std::io::Error::other("beneath")).with_detail("for the log")
    };
    let error = with(BackendErrorKind::Unreachable);
    assert_eq!(error.to_string(), "the key manager cannot be reached");
    assert_eq!(error.detail(), Some("for the log"));
    assert_eq!(error.source().unwrap().to_string(), "beneath");
    let shared = error.clone();
    assert_eq!(
        shared.with_detail("another").source().unwrap().to_string(),
        "beneath",
        "also once it is shared"
    );
    assert_eq!(error.detail(), Some("for the log"), "and the other keeps its own");

    let silent = with(BackendErrorKind::InvalidCiphertext);
    assert!(silent.detail().is_none() && silent.source().is_none());
}

#[test]
fn a_call_that_fails_while_connecting_has_the_code_of_the_facts() {
    use BackendErrorKind as Kind;
    use ConnectionErrorCode as Code;
    // Facts on KMS, 4.3, column Connect; and facts on XKS, 3.1 and 3.2.
    let external = [
        (Kind::AuthenticationFailed, Code::InvalidCredentials),
        (Kind::AccessDenied, Code::XksProxyAccessDenied),
        (Kind::InvalidPath, Code::XksProxyInvalidConfiguration),
        (Kind::Throttled, Code::XksProxyNotReachable),
        (Kind::DependencyTimedOut, Code::XksProxyTimedOut),
        (Kind::Internal, Code::XksProxyInvalidResponse),
        (Kind::InvalidRequest, Code::XksProxyInvalidResponse),
        (Kind::Unreachable, Code::XksProxyNotReachable),
        (Kind::InvalidTls, Code::XksProxyInvalidTlsConfiguration),
        (Kind::TimedOut, Code::XksProxyTimedOut),
        (Kind::InvalidResponse, Code::XksProxyInvalidResponse),
        (Kind::Panicked, Code::InternalError),
    ];
    for (kind, code) in external {
        let error = ConnectionError::from_call(CustomKeyStoreType::ExternalKeyStore, BackendError::new(kind));
        assert_eq!(error.code(), code, "{kind:?}");
        assert_eq!(error.source().unwrap().to_string(), BackendError::new(kind).to_string());
    }
    for store_type in CustomKeyStoreType::ALL {
        for kind in Kind::ALL {
            let code = ConnectionError::from_call(*store_type, BackendError::new(*kind)).code();
            assert!(code.store_type().is_none_or(|of| of == *store_type), "{store_type} {kind:?} {code}");
        }
    }
}

#[tokio::test]
async fn the_default_deadlines_need_no_runtime() {
    // On a thread without tokio: the timer is the crate's own.
    std::thread::spawn(|| {
        futures::executor::block_on(async {
            let manager = KeyManager::new();
            manager.create_key(key());
            manager.inject(Method::Encrypt, Fault::Hang);
            let store = custom_key_store::KeyStore::builder(crate::support::name(), manager)
                .call_timeout(Duration::from_millis(5))
                .build()
                .connect()
                .await
                .unwrap();
            let hung = store.encrypt(&key(), b"plaintext", &no_context()).await;
            assert_eq!(kind(hung), backend(BackendErrorKind::TimedOut));
        });
    })
    .join()
    .unwrap();
}
