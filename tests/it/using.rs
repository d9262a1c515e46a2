//! Using keys through a connected store: round trips, limits, deadlines, panics, and what a caller is told.

use std::error::Error as _;
use std::time::Duration;

use custom_key_store::backend::software::{Fault, KeyManager, Method, SoftwareKey};
use custom_key_store::backend::{
    BackendError, BackendErrorKind, BackingKeyId, ConnectionError, ConnectionErrorCode, CustomKeyStoreType,
    HealthStatus, KeyStatus, KeyUsages,
};
use custom_key_store::clock::ManualClock;
use custom_key_store::{
    Caller, ConnectionState, EncryptionContext, Error, ErrorKind, KeyOrigin, KeyState, KeyStore, NewKey,
    PageRequest,
};

use crate::support::{
    cluster, connected, connected_with_key, key, kms_key, manager, name, no_context, poll_once, timed,
    timed_with_key,
};

fn kind<T: std::fmt::Debug>(result: Result<T, Error>) -> ErrorKind {
    result.unwrap_err().kind()
}

const fn backend(kind: BackendErrorKind) -> ErrorKind {
    ErrorKind::Backend(kind)
}

#[tokio::test]
async fn what_is_encrypted_is_decrypted_under_the_same_key_and_context_alone() {
    for manager in [manager(), cluster()] {
        let (store, id) = connected_with_key(&manager).await;
        let new = match store.store_type() {
            CustomKeyStoreType::AwsCloudhsm => NewKey::generated(),
            _ => {
                let other = BackingKeyId::new("other").unwrap();
                manager.create_key(other.clone());
                NewKey::external(other)
            }
        };
        let other = store.create_key(&new).await.unwrap().key_id;
        let context = EncryptionContext::new([("tenant", "blue"), ("purpose", "test")]).unwrap();
        let blob = store.encrypt(&id, b"plaintext", &context).await.unwrap();
        let blob = blob.as_bytes();
        assert_eq!(store.decrypt(blob, &context).await.unwrap().expose(), b"plaintext");
        assert_eq!(store.decrypt_under(&id, blob, &context).await.unwrap().expose(), b"plaintext");

        let reordered = EncryptionContext::new([("purpose", "test"), ("tenant", "blue")]).unwrap();
        assert!(store.decrypt(blob, &reordered).await.is_ok());
        for wrong in [
            no_context(),
            EncryptionContext::new([("tenant", "blue")]).unwrap(),
            EncryptionContext::new([("tenant", "Blue"), ("purpose", "test")]).unwrap(),
        ] {
            let error = store.decrypt(blob, &wrong).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidCiphertext);
            assert!(error.source().is_none() && !error.is_retryable(), "a failure of cryptography is silent");
        }
        assert_eq!(kind(store.decrypt_under(&other, blob, &context).await), ErrorKind::IncorrectKey);
        let mut damaged = blob.to_vec();
        *damaged.last_mut().unwrap() ^= 1;
        assert_eq!(kind(store.decrypt(&damaged, &context).await), ErrorKind::InvalidCiphertext);
    }
}

#[tokio::test]
async fn sizes_are_checked_before_the_key_manager_is_asked() {
    let manager = cluster();
    let (store, id) = connected_with_key(&manager).await;
    for length in [1, 4096] {
        let plaintext = vec![7; length];
        let blob = store.encrypt(&id, &plaintext, &no_context()).await.unwrap();
        let decrypted = store.decrypt(blob.as_bytes(), &no_context()).await.unwrap();
        assert_eq!(decrypted.expose(), plaintext);
    }
    let asked = manager.calls(Method::Encrypt);
    for length in [0, 4097] {
        let error = store.encrypt(&id, &vec![7; length], &no_context()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().starts_with("Plaintext is invalid: "), "{error:?}");
    }
    assert_eq!(manager.calls(Method::Encrypt), asked);

    assert_eq!(store.generate_random(1).await.unwrap().len(), 1);
    assert_eq!(store.generate_random(1024).await.unwrap().len(), 1024);
    for length in [0, 1025] {
        assert_eq!(kind(store.generate_random(length).await), ErrorKind::InvalidInput);
    }
}

#[tokio::test]
async fn a_cluster_makes_its_keys_and_an_external_store_refers_to_somebody_else_s() {
    let manager = cluster();
    let store = connected(&manager).await;
    let made = store.create_key(&NewKey::generated()).await.unwrap();
    assert_eq!((made.origin, made.xks_key_id), (KeyOrigin::AwsCloudhsm, None));
    assert_eq!((made.key_state, manager.calls(Method::GenerateKey)), (KeyState::Enabled, 1));
    let labels = manager.keys().into_iter().filter_map(|key| manager.key_label(&key));
    assert!(labels.eq([made.arn.to_string()]), "a key in the cluster tells which KMS key it is for");
    assert!(store.encrypt(&made.key_id, b"plaintext", &no_context()).await.is_ok());
    assert_eq!(kind(store.create_key(&NewKey::external(key())).await), ErrorKind::InvalidInput);

    let store = connected(&self::manager()).await;
    let refers = store.create_key(&NewKey::external(key())).await.unwrap();
    assert_eq!((refers.origin, refers.xks_key_id), (KeyOrigin::ExternalKeyStore, Some(key())));
    assert_eq!(kind(store.create_key(&NewKey::external(key())).await), ErrorKind::ExternalKeyInUse);
    assert_eq!(kind(store.create_key(&NewKey::generated()).await), ErrorKind::InvalidInput);
    assert_eq!(kind(store.generate_random(8).await), backend(BackendErrorKind::Unsupported));
}

#[tokio::test]
async fn a_key_that_a_cluster_made_is_deleted_there_when_its_time_has_come() {
    let (manager, clock) = (cluster(), ManualClock::new());
    let before = manager.keys();
    let store = KeyStore::builder(manager.clone()).clock(clock.clone()).ephemeral(name());
    let store = store.connect().await.unwrap();
    let id = kms_key(&store).await;
    let day = Duration::from_secs(24 * 60 * 60);
    store.keys().schedule_deletion(&id, 7).await.unwrap();
    clock.advance(7 * day - Duration::from_secs(1));
    assert!(store.keys().delete_due().await.unwrap().deleted.is_empty());
    assert_ne!(manager.keys(), before);
    clock.advance(Duration::from_secs(1));
    assert_eq!(store.keys().delete_due().await.unwrap().deleted, [id]);
    assert_eq!(manager.keys(), before);
    assert_eq!(kind(store.keys().describe(&id).await), ErrorKind::KeyNotFound);
}

#[tokio::test]
async fn what_a_cluster_may_have_made_for_nothing_is_listed_and_what_it_refused_to_make_is_not() {
    let manager = cluster();
    let store = connected(&manager).await;
    let orphans = async || store.keys().orphans(&PageRequest::default()).await.unwrap().items.len();
    for (fault, listed) in [
        (Fault::Fail(BackendErrorKind::AccessDenied), 0),
        (Fault::Fail(BackendErrorKind::TimedOut), 1),
        (Fault::Panic, 2),
    ] {
        manager.inject(Method::GenerateKey, fault.clone());
        let error = store.create_key(&NewKey::generated()).await.unwrap_err();
        assert_eq!((orphans().await, error.may_have_taken_effect()), (listed, listed > 0), "{fault:?}");
    }
    store.create_key(&NewKey::generated()).await.unwrap();
    assert_eq!(orphans().await, 2, "one that is kept is no orphan");
    assert_eq!(store.keys().list(&PageRequest::default()).await.unwrap().items.len(), 1);
}

#[tokio::test]
async fn the_key_owners_decisions_reach_the_caller_by_kind() {
    let manager = manager();
    let decrypt_only = BackingKeyId::new("decrypt-only").unwrap();
    manager.insert_key(decrypt_only.clone(), SoftwareKey::generate().usages(KeyUsages::DECRYPT));
    let (disabled, another) = (BackingKeyId::new("disabled").unwrap(), BackingKeyId::new("another").unwrap());
    manager.create_key(disabled.clone());
    assert!(manager.set_key_status(&disabled, KeyStatus::Disabled));
    manager.create_key(another.clone());
    let (store, id) = connected_with_key(&manager).await;
    let create = async |key: BackingKeyId| kind(store.create_key(&NewKey::external(key)).await);
    let encrypt = async || kind(store.encrypt(&id, b"plaintext", &no_context()).await);

    assert_eq!(create(decrypt_only).await, ErrorKind::UnsuitableExternalKey);
    assert_eq!(create(disabled).await, ErrorKind::UnsuitableExternalKey);
    manager.inject(Method::DescribeKey, Fault::Corrupt); // of another spec
    assert_eq!(create(another.clone()).await, ErrorKind::UnsuitableExternalKey);
    assert!(store.create_key(&NewKey::external(another)).await.is_ok(), "a refusal has left nothing behind");
    assert_eq!(create(BackingKeyId::new("absent").unwrap()).await, backend(BackendErrorKind::KeyNotFound));
    let material = [9; 32];
    manager.insert_key(key(), SoftwareKey::from_bytes(&material).usages(KeyUsages::DECRYPT));
    assert_eq!(encrypt().await, backend(BackendErrorKind::InvalidKeyUsage));
    manager.insert_key(key(), SoftwareKey::from_bytes(&material));
    assert!(manager.set_key_status(&key(), KeyStatus::Disabled));
    assert_eq!(encrypt().await, backend(BackendErrorKind::InvalidKeyState));
    assert!(manager.remove_key(&key()));
    assert_eq!(encrypt().await, backend(BackendErrorKind::KeyNotFound));
    assert_eq!(store.state(), ConnectionState::Connected, "the store's state does not follow its keys");
}

#[tokio::test]
async fn a_sick_key_manager_is_a_reading_and_no_transition() {
    let manager = manager();
    let (store, id) = connected_with_key(&manager).await;
    manager.set_health(vec![HealthStatus::Unavailable]);
    assert_eq!(store.health().await.unwrap().status(), HealthStatus::Unavailable);
    manager.inject(Method::Health, Fault::Fail(BackendErrorKind::Unreachable));
    assert_eq!(kind(store.health().await), backend(BackendErrorKind::Unreachable));
    manager.always(Method::Encrypt, Fault::Fail(BackendErrorKind::Unreachable));
    for _ in 0..10 {
        assert!(store.encrypt(&id, b"plaintext", &no_context()).await.is_err());
    }
    assert_eq!(store.state(), ConnectionState::Connected);
    manager.heal();
    assert!(store.encrypt(&id, b"plaintext", &no_context()).await.is_ok());
}

#[tokio::test]
async fn a_call_that_hangs_ends_when_its_time_is_over_and_the_next_one_works() {
    let (manager, clock, store, id) = timed_with_key().await;
    manager.inject(Method::Encrypt, Fault::Hang);
    {
        let mut call = Box::pin(async { store.encrypt(&id, b"plaintext", &no_context()).await });
        assert!(poll_once(&mut call).is_pending());
        clock.advance(Duration::from_secs(4));
        assert!(poll_once(&mut call).is_pending());
        clock.advance(Duration::from_secs(1));
        let error = call.await.unwrap_err();
        assert_eq!(error.kind(), backend(BackendErrorKind::TimedOut));
        assert!(error.is_retryable());
    }
    assert_eq!(clock.sleepers(), 0);
    assert!(store.encrypt(&id, b"plaintext", &no_context()).await.is_ok());
    // The gate's count is right: nothing is in flight.
    let store = store.disconnect_within(Duration::ZERO).await;
    assert_eq!(store.disconnect_report().unwrap().abandoned, 0);
}

#[tokio::test]
async fn a_panic_is_that_calls_error_and_the_gate_counts_right() {
    let manager = manager();
    let (store, id) = connected_with_key(&manager).await;
    for method in [Method::Encrypt, Method::Health, Method::DescribeKey] {
        manager.inject(method, Fault::Panic);
    }
    let panicked = backend(BackendErrorKind::Panicked);
    assert_eq!(kind(store.encrypt(&id, b"plaintext", &no_context()).await), panicked);
    assert_eq!(kind(store.health().await), panicked);
    assert_eq!(kind(store.describe_backing_key(&key()).await), panicked);
    assert!(store.encrypt(&id, b"plaintext", &no_context()).await.is_ok());
    let store = store.disconnect_within(Duration::ZERO).await;
    let report = store.disconnect_report().unwrap();
    assert_eq!((report.completed, report.dropped, report.abandoned), (0, 0, 0));
}

#[tokio::test]
async fn a_call_that_is_dropped_at_any_poll_leaves_the_gate_counting_right() {
    for polls in 0..4 {
        let (manager, clock, store, id) = timed_with_key().await;
        manager.inject(Method::Encrypt, Fault::Hang);
        let mut call = Box::pin(async { store.encrypt(&id, b"plaintext", &no_context()).await });
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
    let (store, id) = connected_with_key(&manager()).await;
    let caller = Caller::new("arn:aws:iam::111122223333:role/app")
        .with_source("vpc-1", "vpce-1")
        .with_via_service("ebs.amazonaws.com");
    let handle = store.handle().on_behalf_of(caller);
    assert!(handle.encrypt(&id, b"plaintext", &no_context()).await.is_ok());
    let _store = store.disconnect().await;
    assert_eq!(kind(handle.encrypt(&id, b"plaintext", &no_context()).await), ErrorKind::NotConnected);
}

#[tokio::test]
async fn every_kind_of_the_key_manager_reaches_the_caller_with_its_retryability_and_text() {
    let manager = manager();
    let store = connected(&manager).await;
    for &kind in BackendErrorKind::ALL {
        manager.inject(Method::DescribeKey, Fault::Fail(kind));
        let error = store.describe_backing_key(&key()).await.unwrap_err();
        if kind == BackendErrorKind::InvalidCiphertext {
            // It was given none.
            assert_eq!(error.kind(), backend(BackendErrorKind::InvalidResponse));
        } else {
            assert_eq!((error.kind(), error.is_retryable()), (backend(kind), kind.is_retryable()));
            assert_eq!(error.to_string(), format!("{} (backing key key)", BackendError::new(kind)));
            assert_eq!(error.backend_error().unwrap().kind(), kind);
            let source = error.source().unwrap();
            assert_eq!(source.to_string(), "a scripted fault of the software key manager");
            assert!(source.source().is_none(), "nothing lies beneath");
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
async fn an_error_says_whether_the_operation_may_have_taken_effect() {
    let (manager, clock, store) = timed();
    let store = store.connect().await.unwrap();
    let handle = store.handle();
    let effect = async |fault: Fault| {
        manager.inject(Method::DescribeKey, fault);
        handle.describe_backing_key(&key()).await.unwrap_err().may_have_taken_effect()
    };
    assert!(!effect(Fault::Fail(BackendErrorKind::AccessDenied)).await);
    assert!(!effect(Fault::Fail(BackendErrorKind::Throttled)).await);
    assert!(effect(Fault::Fail(BackendErrorKind::TimedOut)).await);
    assert!(effect(Fault::Fail(BackendErrorKind::Unreachable)).await);
    assert!(effect(Fault::Panic).await);
    let refused = handle.create_key(&NewKey::generated()).await.unwrap_err();
    assert!(!refused.may_have_taken_effect(), "it was not asked");

    // Cut off against refused.
    manager.inject(Method::DescribeKey, Fault::Hang);
    let mut call = Box::pin(async { handle.describe_backing_key(&key()).await });
    assert!(poll_once(&mut call).is_pending());
    let store = store.disconnect_within(Duration::ZERO).await;
    assert!(call.await.unwrap_err().may_have_taken_effect());
    assert!(!handle.describe_backing_key(&key()).await.unwrap_err().may_have_taken_effect());
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
            let store = KeyStore::builder(manager)
                .call_timeout(Duration::from_millis(5))
                .ephemeral(name())
                .connect()
                .await
                .unwrap();
            let id = kms_key(&store).await;
            let hung = store.encrypt(&id, b"plaintext", &no_context()).await;
            assert_eq!(kind(hung), backend(BackendErrorKind::TimedOut));
        });
    })
    .join()
    .unwrap();
}
