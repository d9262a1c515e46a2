//! Sessions and logins that are lost are had again, and the application sees no more of it than the time it takes.

use std::sync::Arc;

use cryptoki::session::{Session, UserType};
use custom_key_store::backend::{BackendErrorKind as Kind, Connection, HealthStatus, KeySpec};
use custom_key_store::{ConnectionState, EncryptionContext, KeyStore, NewKey, StoreName};
use custom_key_store_hsm::cryptoki_sys::{
    CK_RV, CKR_CRYPTOKI_NOT_INITIALIZED, CKR_DEVICE_ERROR, CKR_DEVICE_REMOVED, CKR_KEY_HANDLE_INVALID,
    CKR_PIN_INCORRECT, CKR_SESSION_CLOSED, CKR_SESSION_HANDLE_INVALID, CKR_TOKEN_NOT_PRESENT,
    CKR_USER_NOT_LOGGED_IN,
};
use custom_key_store_hsm::{Failure, Hsm, alone};
use futures::future::join_all;

use crate::calls::{
    TEXT, all_is_well, decrypt, delete, describe, encrypt, encrypt_verified, generate, health, on_one_thread,
    random, restart,
};
use crate::setup::{cluster, connect};

const LOST: [CK_RV; 8] = [
    CKR_SESSION_HANDLE_INVALID,
    CKR_SESSION_CLOSED,
    CKR_DEVICE_ERROR,
    CKR_DEVICE_REMOVED,
    CKR_TOKEN_NOT_PRESENT,
    CKR_USER_NOT_LOGGED_IN,
    CKR_CRYPTOKI_NOT_INITIALIZED,
    CKR_KEY_HANDLE_INVALID,
];

/// A connection to the first token, which has the keys 1 and 2.
async fn connected(hsm: &Hsm) -> Arc<dyn Connection> {
    hsm.token().plant_key("key", &[1; 16], 256);
    hsm.token().plant_key("another", &[2; 16], 256);
    connect(&cluster(hsm).build().unwrap()).await.unwrap()
}

/// Somebody else in this process, who is logged in since the connection is.
fn somebody_else(hsm: &Hsm) -> Session {
    let context = hsm.initialized(hsm.shim().library());
    context.open_rw_session(hsm.token().slot(&context)).unwrap()
}

#[test]
fn every_answer_of_a_lost_session_is_mended_in_every_function() {
    alone(|hsm| {
        on_one_thread(async {
            drop(connected(hsm).await);
            // One session, which is lost once in each call, not twice.
            let connection = connect(&cluster(hsm).max_sessions(1).build().unwrap()).await.unwrap();
            let sealed = encrypt(&*connection, 1).await.unwrap();
            for rv in LOST {
                let lost = Failure::new(rv).times(1);
                for function in ["C_EncryptInit", "C_Encrypt"] {
                    hsm.shim().fail(function, lost);
                    let sealed = encrypt(&*connection, 1).await;
                    assert!(sealed.is_ok(), "{function}, {rv:#x}: {sealed:?}");
                }
                for function in ["C_DecryptInit", "C_Decrypt"] {
                    hsm.shim().fail(function, lost);
                    let opened = decrypt(&*connection, 1, &sealed).await;
                    assert_eq!(opened.unwrap().expose(), TEXT, "{function}, {rv:#x}");
                }
                for function in
                    ["C_GetAttributeValue", "C_GenerateRandom", "C_GenerateKey", "C_DestroyObject"]
                {
                    hsm.shim().fail(function, lost);
                    assert_eq!(describe(&*connection, 1).await, Ok(KeySpec::Aes256), "{function}, {rv:#x}");
                    assert_eq!(random(&*connection).await, Ok(32), "{function}, {rv:#x}");
                    let made = generate(&*connection).await.unwrap();
                    assert_eq!(delete(&*connection, &made).await, Ok(()), "{function}, {rv:#x}");
                    assert_eq!(hsm.shim().failed(function), 1, "{function}, {rv:#x}");
                    hsm.shim().forget_calls();
                }
                // A session that ends is looked for a key in, and logged in with.
                for function in ["C_FindObjectsInit", "C_FindObjects", "C_OpenSession", "C_GetSessionInfo"] {
                    hsm.shim().fail(function, lost);
                    hsm.shim().lose_sessions();
                    assert!(encrypt(&*connection, 2).await.is_ok(), "{function}, {rv:#x}");
                }
            }
            connection.close().await.unwrap();
            assert_eq!(hsm.shim().sessions(), 0);
        });
        assert_eq!(hsm.token().keys().len(), 2);
    });
}

#[test]
fn a_restart_of_the_hsm_is_not_noticed() {
    alone(|hsm| {
        on_one_thread(async {
            let connection = connected(hsm).await;
            let sealed = encrypt_verified(&*connection, 1).await.unwrap();
            restart(hsm);
            assert_eq!(decrypt(&*connection, 1, &sealed).await.unwrap().expose(), TEXT);
            restart(hsm);
            encrypt_verified(&*connection, 1).await.unwrap();
            restart(hsm);
            assert_eq!(describe(&*connection, 2).await, Ok(KeySpec::Aes256));
            restart(hsm);
            let made = generate(&*connection).await.unwrap();
            restart(hsm);
            assert_eq!(delete(&*connection, &made).await, Ok(()));
            restart(hsm);
            assert_eq!(random(&*connection).await, Ok(32));
            restart(hsm);
            assert_eq!(health(&*connection).await.unwrap().status(), HealthStatus::Active);
            // Many at once, of whom each finds its session gone.
            for _ in 0..5 {
                let calls = join_all((0..40).map(|_| encrypt_verified(&*connection, 1))).await;
                assert!(calls.iter().all(Result::is_ok), "{calls:?}");
                restart(hsm);
            }
        });
    });
}

#[test]
fn a_store_stays_connected_through_a_restart() {
    alone(|hsm| {
        on_one_thread(async {
            let store = KeyStore::ephemeral(StoreName::new("hsm").unwrap(), cluster(hsm).build().unwrap());
            let store = store.connect().await.unwrap();
            let key = store.create_key(&NewKey::generated()).await.unwrap();
            let context = EncryptionContext::new([("tenant", "blue")]).unwrap();
            let blob = store.encrypt(&key.key_id, TEXT, &context).await.unwrap();
            hsm.shim().lose_sessions();
            assert_eq!(store.decrypt(blob.as_bytes(), &context).await.unwrap().expose(), TEXT);
            assert_eq!(store.describe().connection_state, ConnectionState::Connected);
        });
    });
}

#[test]
fn a_key_is_not_said_to_be_missing_when_the_login_is() {
    alone(|hsm| {
        on_one_thread(async {
            let connection = connected(hsm).await;
            join_all((0..40).map(|_| encrypt(&*connection, 1))).await;
            let sessions = hsm.shim().sessions();
            // The sessions stay, and find no private objects any more.
            somebody_else(hsm).logout().unwrap();
            assert_eq!(describe(&*connection, 1).await, Ok(KeySpec::Aes256));
            // One that was found before.
            somebody_else(hsm).logout().unwrap();
            encrypt(&*connection, 1).await.unwrap();
            somebody_else(hsm).logout().unwrap();
            let made = generate(&*connection).await.unwrap();
            somebody_else(hsm).logout().unwrap();
            assert_eq!(delete(&*connection, &made).await, Ok(()));
            somebody_else(hsm).logout().unwrap();
            assert_eq!(describe(&*connection, 9).await, Err(Kind::KeyNotFound), "and this one is missing");
            let calls = join_all((0..40).map(|_| encrypt(&*connection, 1))).await;
            assert!(calls.iter().all(Result::is_ok), "{calls:?}");
            assert!(hsm.shim().sessions() >= sessions, "those that were there are used on");
            connection.close().await.unwrap();
            assert_eq!(hsm.shim().sessions(), 0);
        });
        assert_eq!(hsm.token().keys().len(), 2);
    });
}

#[test]
fn somebody_may_finalize_the_library_under_us() {
    alone(|hsm| {
        on_one_thread(async {
            let connection = connected(hsm).await;
            let context = || hsm.initialized(hsm.shim().library());
            for round in 0..10 {
                let calls = join_all((0..40).map(|_| encrypt_verified(&*connection, 1))).await;
                assert!(calls.iter().all(Result::is_ok), "round {round}: {calls:?}");
                context().finalize().unwrap();
            }
            all_is_well(&*connection, 1).await;
            // Somebody who has use for it initializes it again before we do. One call after the other: at once, a handle
            // from before could be in use beside the same one from after, of which nobody can know.
            context().finalize().unwrap();
            drop(context());
            for _ in 0..40 {
                encrypt_verified(&*connection, 1).await.unwrap();
            }
            connection.close().await.unwrap();
            assert_eq!(hsm.shim().sessions(), 0);
        });
    });
}

#[test]
fn no_handle_of_before_is_used_in_a_session_of_after() {
    alone(|hsm| {
        let shim = hsm.shim();
        on_one_thread(async {
            let first = connected(hsm).await;
            let second = connect(&cluster(hsm).build().unwrap()).await.unwrap();
            for connection in [&first, &second] {
                encrypt(&**connection, 1).await.unwrap();
            }
            shim.lose_sessions();
            // The first logs in again, for the second too, which sees no login that was lost.
            encrypt(&*first, 1).await.unwrap();
            shim.forget_calls();
            encrypt(&*second, 1).await.unwrap();
            assert_eq!(shim.calls("C_FindObjectsInit"), 1);
            // In the session that is gone, unless a worker has it who had none, and in the new one; with a handle of before
            // it would be one more.
            assert!(matches!(shim.calls("C_EncryptInit"), 1 | 2), "{}", shim.calls("C_EncryptInit"));
            assert_eq!(shim.calls("C_Login"), 0);
        });
    });
}

#[test]
fn a_password_that_is_refused_meanwhile_is_tried_once() {
    alone(|hsm| {
        let shim = hsm.shim();
        on_one_thread(async {
            let connection = connected(hsm).await;
            join_all((0..40).map(|_| encrypt(&*connection, 1))).await;
            shim.forget_calls();
            shim.fail("C_Login", Failure::new(CKR_PIN_INCORRECT));
            restart(hsm);
            let calls = join_all((0..40).map(|_| encrypt(&*connection, 1))).await;
            assert!(calls.iter().all(|call| *call == Err(Kind::AuthenticationFailed)), "{calls:?}");
            assert_eq!(shim.calls("C_Login"), 1);
        });
    });
}

#[test]
fn a_token_that_is_taken_away_says_so_and_is_used_again_when_it_is_back() {
    alone(|hsm| {
        on_one_thread(async {
            let connection = connected(hsm).await;
            let sealed = encrypt(&*connection, 1).await.unwrap();
            hsm.token().take_away();
            for key in [1, 2] {
                assert_eq!(describe(&*connection, key).await, Err(Kind::Internal), "key {key}");
            }
            assert_eq!(decrypt(&*connection, 1, &sealed).await.unwrap_err(), Kind::Internal);
            generate(&*connection).await.unwrap_err();
            let reading = health(&*connection).await.unwrap();
            assert_eq!(reading.status(), HealthStatus::Unavailable);

            hsm.token().put_back();
            // SoftHSM looks for its tokens when it is initialized.
            hsm.initialized(hsm.shim().library()).finalize().unwrap();
            all_is_well(&*connection, 1).await;
            assert_eq!(health(&*connection).await.unwrap().status(), HealthStatus::Active);
        });
    });
}

#[test]
fn a_library_without_tokens_is_unreachable_until_they_are_back() {
    alone(|hsm| {
        on_one_thread(async {
            let connection = connected(hsm).await;
            encrypt(&*connection, 1).await.unwrap();
            hsm.token().take_away();
            hsm.initialized(hsm.shim().library()).finalize().unwrap();
            assert_eq!(encrypt(&*connection, 1).await, Err(Kind::Unreachable));
            assert_eq!(describe(&*connection, 2).await, Err(Kind::Unreachable));
            assert_eq!(health(&*connection).await.unwrap().status(), HealthStatus::Unavailable);
            hsm.token().put_back();
            hsm.initialized(hsm.shim().library()).finalize().unwrap();
            all_is_well(&*connection, 1).await;
        });
    });
}

/// A check of the test itself: whoever is logged in here is so for the connection too.
#[test]
fn somebody_else_shares_the_login_of_the_process() {
    alone(|hsm| {
        on_one_thread(async {
            let _connection = connected(hsm).await;
            let pin = cryptoki::types::AuthPin::from(hsm.token().pin());
            somebody_else(hsm).login(UserType::User, Some(&pin)).unwrap_err();
        });
    });
}
