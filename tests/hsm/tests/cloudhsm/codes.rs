//! Every connection error code that a library can see is provoked, and led out of. `CODES.md` has the list.

use std::io;
use std::sync::Arc;

use cryptoki::session::UserType;
use cryptoki::types::AuthPin;
use custom_key_store::backend::{
    Backend as _, BackendErrorKind, CloudHsmClusterId, ConnectReason, ConnectionErrorCode as Code,
};
use custom_key_store::clock::ManualClock;
use custom_key_store::cloudhsm::{CloudHsmCluster, InvalidSetup, LoginForm, TokenName};
use custom_key_store::{ErrorKind, KeyStore, NewKey, StoreName};
use custom_key_store_hsm::cryptoki_sys::{
    CKR_DEVICE_ERROR, CKR_DEVICE_REMOVED, CKR_OK, CKR_USER_PIN_NOT_INITIALIZED,
};
use custom_key_store_hsm::{Failure, alone};
use futures::executor::block_on;

use crate::setup::{
    cluster, described, ephemeral, fails, named, password, past_the_deadline, request, tell, works,
};
use crate::vault::{Disk, Fault};

#[test]
fn a_wrong_password_is_invalid_credentials() {
    alone(|hsm| {
        block_on(async {
            let store = ephemeral(cluster(hsm).password(password("wrong1234")));
            let (mut store, detail) = fails(store, Code::InvalidCredentials).await;
            assert_eq!(detail, r#"the token of label "first": C_Login: CKR_PIN_INCORRECT"#);
            tell(&mut store, &hsm.token().pin()).await;
            works(store).await;
        });
    });
}

#[test]
fn a_locked_user_is_locked_out() {
    alone(|hsm| {
        hsm.shim().lock_after(1);
        block_on(async {
            let store = ephemeral(cluster(hsm).password(password("wrong1234")));
            let (mut store, _) = fails(store, Code::InvalidCredentials).await;
            tell(&mut store, &hsm.token().pin()).await;
            let (store, _) = fails(store, Code::UserLockedOut).await;
            // It is not tried again, and why is not forgotten.
            let (mut store, detail) = fails(store, Code::UserLockedOut).await;
            assert!(detail.contains("refused before"), "{detail}");
            assert_eq!(hsm.shim().calls("C_Login"), 2);
            // The officer may well have given the user the password that the store had.
            hsm.shim().unlock();
            tell(&mut store, &hsm.token().pin()).await;
            works(store).await;
        });
    });
}

#[test]
fn a_user_without_a_pin_is_not_found() {
    alone(|hsm| {
        hsm.shim().fail("C_Login", Failure::new(CKR_USER_PIN_NOT_INITIALIZED));
        block_on(async {
            let (mut store, _) = fails(ephemeral(cluster(hsm)), Code::UserNotFound).await;
            hsm.shim().mend("C_Login");
            tell(&mut store, &hsm.token().pin()).await;
            works(store).await;
        });
    });
}

/// AWS's library tells nobody who exists.
#[test]
fn another_user_than_there_is_looks_like_a_wrong_password() {
    alone(|hsm| {
        hsm.shim().require_user("kmsuser");
        block_on(async {
            let cluster = cluster(hsm).login_form(LoginForm::UserAndPassword);
            fails(ephemeral(cluster.clone().user("nobody")), Code::InvalidCredentials).await;
            works(ephemeral(cluster)).await;
        });
    });
}

#[test]
fn a_user_whom_something_else_in_the_process_logged_in_is_logged_in() {
    alone(|hsm| {
        let context = hsm.initialized(hsm.shim().library());
        let session = hsm.token().session(&context);
        block_on(async {
            let mut store = ephemeral(cluster(hsm));
            // More often than a password would be tried.
            for _ in 0..5 {
                let detail;
                (store, detail) = fails(store, Code::UserLoggedIn).await;
                assert!(detail.contains("something else in this process"), "{detail}");
            }
            session.logout().unwrap();
            works(store).await;
        });
    });
}

#[test]
fn an_officer_who_is_logged_in_is_in_the_way_too() {
    alone(|hsm| {
        let context = hsm.initialized(hsm.shim().library());
        let session = context.open_rw_session(hsm.token().slot(&context)).unwrap();
        session.login(UserType::So, Some(&AuthPin::from(hsm.token().so_pin().to_owned()))).unwrap();
        block_on(async {
            let mut store = ephemeral(cluster(hsm));
            for _ in 0..5 {
                (store, _) = fails(store, Code::UserLoggedIn).await;
            }
            session.logout().unwrap();
            works(store).await;
        });
    });
}

#[test]
fn another_user_of_another_store_is_logged_in() {
    alone(|hsm| {
        block_on(async {
            let first = ephemeral(cluster(hsm).user("alice")).connect().await.unwrap();
            let (second, detail) = fails(ephemeral(cluster(hsm).user("bob")), Code::UserLoggedIn).await;
            assert!(detail.contains("another custom key store of this process"), "{detail}");
            assert!(detail.contains("alice"), "{detail}");
            first.disconnect().await;
            works(second).await;
        });
    });
}

/// Which of the two passwords is right nobody can say, and so neither is written off.
#[test]
fn another_password_of_another_store_is_not_tried() {
    alone(|hsm| {
        block_on(async {
            let first = ephemeral(cluster(hsm)).connect().await.unwrap();
            let second = ephemeral(cluster(hsm).password(password("another12")));
            let (second, detail) = fails(second, Code::UserLoggedIn).await;
            assert!(detail.contains("another password"), "{detail}");
            first.disconnect().await;
            assert_eq!(hsm.shim().calls("C_Login"), 1);
            fails(second, Code::InvalidCredentials).await;
        });
    });
}

#[test]
fn a_cluster_whose_token_is_not_there_is_not_found() {
    alone(|hsm| {
        block_on(async {
            for name in [TokenName::Label("absent".to_owned()), TokenName::Serial("1234".to_owned())] {
                let expected = name.to_string();
                let other = named(hsm.shim().library(), hsm.token(), name);
                let (_, detail) = fails(ephemeral(other), Code::ClusterNotFound).await;
                assert!(detail.contains(&expected), "{detail}");
            }
            let absent =
                || ephemeral(named(hsm.shim().library(), hsm.token(), TokenName::Label("absent".to_owned())));
            // SoftHSM shows one more, which is not initialized.
            let (_, detail) = fails(absent(), Code::ClusterNotFound).await;
            assert!(detail.ends_with(r#"no token of label "absent", but one of label "first""#), "{detail}");
            let second = hsm.another("second");
            let (_, detail) = fails(absent(), Code::ClusterNotFound).await;
            assert!(detail.contains("but 2 others: label \""), "{detail}");
            assert!(detail.contains("\"first\"") && detail.contains("\"second\""), "{detail}");
            hsm.token().take_away();
            second.take_away();
            let (_, detail) = fails(absent(), Code::ClusterNotFound).await;
            assert!(detail.ends_with("but none that is initialized"), "{detail}");
        });
    });
}

#[test]
fn a_library_that_shows_no_token_has_no_hsm() {
    alone(|hsm| {
        // It says that it answered, and wrote nothing.
        hsm.shim().fail("C_GetSlotList", Failure::new(CKR_OK));
        block_on(async {
            let (store, detail) = fails(ephemeral(cluster(hsm)), Code::InsufficientCloudhsmHsms).await;
            assert!(detail.contains("no token"), "{detail}");
            hsm.shim().mend("C_GetSlotList");
            works(store).await;
        });
    });
}

#[test]
fn a_cluster_without_an_active_hsm_is_not_asked() {
    alone(|hsm| {
        block_on(async {
            let counted =
                |active| cluster(hsm).active_hsms(move || async move { Ok::<_, io::Error>(active) });
            let (_, detail) = fails(ephemeral(counted(0)), Code::InsufficientCloudhsmHsms).await;
            assert!(detail.contains("0 of the cluster's HSMs"), "{detail}");
            assert_eq!(hsm.shim().calls("C_Initialize"), 0);

            // One is enough to connect, and too few to create a store or a key.
            let alone = counted(1).build().unwrap();
            for reason in [ConnectReason::Create, ConnectReason::Update] {
                let refused = alone.connect(&request(reason)).await.unwrap_err();
                assert_eq!(refused.code(), Code::InsufficientCloudhsmHsms);
            }
            let store = ephemeral(counted(1)).connect().await.unwrap();
            let refused = store.create_key(&NewKey::generated()).await.unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::Backend(BackendErrorKind::InvalidKeyState), "{refused}");
            store.disconnect().await;
            let store = ephemeral(counted(2)).connect().await.unwrap();
            store.create_key(&NewKey::generated()).await.unwrap();
        });
    });
}

#[test]
fn a_probe_of_the_active_hsms_that_fails_is_an_internal_error() {
    alone(|hsm| {
        block_on(async {
            let cluster =
                cluster(hsm).active_hsms(|| async { Err::<usize, _>(io::Error::other("no such cluster")) });
            let (_, detail) = fails(ephemeral(cluster), Code::InternalError).await;
            assert!(detail.contains("probe of the active HSMs failed"), "{detail}");
        });
    });
}

/// An attempt that never got as far as the password is none, however often it is made.
#[test]
fn a_device_that_is_gone_is_the_networks_fault_and_costs_no_attempt() {
    alone(|hsm| {
        block_on(async {
            let mut store = ephemeral(cluster(hsm));
            for (function, rv) in [
                ("C_Initialize", CKR_DEVICE_ERROR),
                ("C_GetSlotList", CKR_DEVICE_REMOVED),
                ("C_OpenSession", CKR_DEVICE_REMOVED),
                ("C_OpenSession", CKR_DEVICE_ERROR),
            ] {
                hsm.shim().fail(function, Failure::new(rv));
                for _ in 0..4 {
                    (store, _) = fails(store, Code::NetworkErrors).await;
                }
                hsm.shim().mend(function);
            }
            assert_eq!(hsm.shim().calls("C_Login"), 0);
            works(store).await;
        });
    });
}

#[test]
fn a_library_that_hangs_is_left_alone_and_the_networks_fault() {
    alone(|hsm| {
        for function in ["C_Initialize", "C_GetSlotList", "C_OpenSession", "C_Login"] {
            let clock = Arc::new(ManualClock::new());
            let store = ephemeral(cluster(hsm).clock(Arc::clone(&clock)));
            hsm.shim().hang(function);
            let failing = fails(store, Code::NetworkErrors);
            let (store, detail) = past_the_deadline(hsm, &clock, function, failing);
            assert!(detail.contains("did not come back"), "{function}: {detail}");
            hsm.shim().release(function);
            hsm.shim().settle();
            block_on(works(store));
        }
    });
}

/// Each attempt would leave a thread behind.
#[test]
fn not_every_attempt_hangs_in_the_library() {
    alone(|hsm| {
        let clock = Arc::new(ManualClock::new());
        let mut store = ephemeral(cluster(hsm).max_hanging(1).clock(Arc::clone(&clock)));
        hsm.shim().hang("C_Initialize");
        for expected in ["did not come back", "did not come back", "hang in loading", "hang in loading"] {
            let detail;
            let failing = fails(store, Code::NetworkErrors);
            (store, detail) = past_the_deadline(hsm, &clock, "C_Initialize", failing);
            assert!(detail.contains(expected), "{detail}");
        }
        hsm.shim().release("C_Initialize");
        block_on(async {
            // The two come back one after the other.
            let store = loop {
                match store.connect().await {
                    Ok(connected) => break connected,
                    Err(failed) => store = failed.into_store().disconnect().await,
                }
            };
            works(store.disconnect().await).await;
        });
    });
}

#[test]
fn a_library_that_is_none_is_an_internal_error_that_names_it() {
    alone(|hsm| {
        let text = hsm.home().join("notes.txt");
        std::fs::write(&text, "not a library").unwrap();
        block_on(async {
            // There is none; it is a text; it is one of C and not of PKCS#11.
            for library in [hsm.home().join("nothing.so"), text, "libc.so.6".into()] {
                let (_, detail) =
                    fails(ephemeral(described(&library, hsm.token())), Code::InternalError).await;
                assert!(detail.contains(&library.display().to_string()), "{detail}");
            }
        });
    });
}

#[test]
fn two_tokens_of_one_label_are_an_error_and_not_a_choice() {
    alone(|hsm| {
        let label = hsm.token().label();
        let _ = hsm.another(label);
        block_on(async {
            let (_, detail) = fails(ephemeral(cluster(hsm)), Code::InternalError).await;
            assert!(detail.contains("more than one") && detail.contains(label), "{detail}");
            assert_eq!(hsm.shim().calls("C_Login"), 0);
        });
    });
}

#[test]
fn a_vault_that_fails_is_an_internal_error() {
    alone(|hsm| {
        let disk = Disk::default();
        let cluster = cluster(hsm).build().unwrap();
        block_on(async {
            let mut store =
                KeyStore::builder(cluster).vault(disk.clone()).ephemeral(StoreName::new("hsm").unwrap());
            for (nth, expected, logins) in
                [(1, "could not be read", 0), (2, "written down", 0), (3, "was accepted", 1)]
            {
                disk.fail(nth, Fault::Refused);
                let detail;
                (store, detail) = fails(store, Code::InternalError).await;
                assert!(detail.contains(expected), "{detail}");
                assert_eq!(hsm.shim().calls("C_Login"), logins);
            }
            disk.mend();
            works(store).await;
        });
    });
}

#[test]
fn what_is_missing_is_named_in_the_documented_order() {
    let token = || TokenName::Label("first".to_owned());
    let id = || CloudHsmClusterId::new("cluster-abcdefghij2").unwrap();
    let empty = CloudHsmCluster::builder;
    for (builder, expected) in [
        (empty(), "library"),
        (empty().library("x.so"), "token"),
        (empty().library("x.so").token(token()), "cluster_id"),
        (empty().library("x.so").token(token()).cluster_id(id()), "password"),
    ] {
        assert_eq!(builder.build().unwrap_err(), InvalidSetup::Missing { setting: expected });
    }
}
