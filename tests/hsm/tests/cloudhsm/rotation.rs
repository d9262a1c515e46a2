//! A store that connects can change its password to one that it alone knows. What becomes of a change that is cut off is
//! in `crash.rs`.

use std::sync::Arc;

use custom_key_store::backend::{Backend as _, ConnectReason, ConnectionErrorCode as Code};
use custom_key_store::clock::ManualClock;
use custom_key_store::cloudhsm::{CloudHsmBuilder, CloudHsmCluster, PasswordRotation, TokenName};
use custom_key_store::{ConnectionState, Disconnected, KeyStore, StoreName};
use custom_key_store_hsm::cryptoki_sys::{
    CKR_DEVICE_ERROR, CKR_FUNCTION_NOT_SUPPORTED, CKR_PIN_INVALID, CKR_PIN_LEN_RANGE, CKR_PIN_TOO_WEAK,
};
use custom_key_store_hsm::{Failure, Hsm, alone};
use futures::executor::block_on;

use crate::setup::{
    await_no_sessions, cluster, ephemeral, fails, kept, log_out, opened, password, past_the_deadline,
    request, tell, works,
};
use crate::vault::Disk;

const GIVEN: &str = "userpin1";

fn rotating(hsm: &Hsm) -> CloudHsmBuilder {
    cluster(hsm).rotate_password(true)
}

/// A store whose vault outlives it.
fn lasting(cluster: &CloudHsmCluster, disk: &Disk) -> KeyStore<Disconnected> {
    KeyStore::builder(cluster.clone()).vault(disk.clone()).ephemeral(StoreName::new("hsm").unwrap())
}

#[test]
fn each_connect_changes_the_password_and_a_restart_does_not() {
    alone(|hsm| {
        let (path, shim) = (hsm.home().join("catalogue"), hsm.shim());
        block_on(async {
            assert!(hsm.token().accepts(GIVEN));
            let store = kept(&path, rotating(hsm)).await;
            let id = store.id().clone();
            let store = store.connect().await.unwrap();
            assert!(!hsm.token().accepts(GIVEN));
            assert_eq!(shim.calls("C_SetPIN"), 1);
            let store = store.disconnect().await;
            let store = store.connect().await.unwrap();
            assert_eq!((shim.calls("C_Login"), shim.calls("C_SetPIN")), (2, 2));
            drop(store);
            await_no_sessions(hsm);

            let mut store = opened(&path, &id, rotating(hsm)).await;
            assert_eq!(store.settled().await, ConnectionState::Connected);
            assert_eq!((shim.calls("C_Login"), shim.calls("C_SetPIN")), (3, 2));
            drop(store);
            await_no_sessions(hsm);

            // The given password is the store's still, as a name for the one that was made of it.
            let mut store = opened(&path, &id, cluster(hsm)).await;
            assert_eq!(store.settled().await, ConnectionState::Connected);
            assert_eq!((shim.calls("C_Login"), shim.calls("C_SetPIN")), (4, 2));
        });
    });
}

#[test]
fn nothing_but_a_connect_changes_the_password() {
    alone(|hsm| {
        let cluster = rotating(hsm).build().unwrap();
        let disk = Disk::default();
        block_on(async {
            let reasons =
                [ConnectReason::Create, ConnectReason::Update, ConnectReason::Probe, ConnectReason::Resume];
            for reason in reasons {
                let connection = cluster.connect(&request(reason).with_vault(disk.clone())).await.unwrap();
                connection.close().await.unwrap();
            }
            lasting(&cluster, &disk).probe().await.unwrap();
            assert_eq!(cluster.password_rotation(), PasswordRotation::NotDone);
            assert_eq!(hsm.shim().calls("C_SetPIN"), 0);
            let store = lasting(&cluster, &disk).connect().await.unwrap();
            assert_eq!(cluster.password_rotation(), PasswordRotation::Changed);
            store.disconnect().await.probe().await.unwrap();
            assert_eq!(hsm.shim().calls("C_SetPIN"), 1);
        });
    });
}

#[test]
fn a_password_is_not_changed_to_one_that_would_be_lost() {
    alone(|hsm| {
        let cluster = rotating(hsm).build().unwrap();
        block_on(async {
            let store = KeyStore::ephemeral(StoreName::new("hsm").unwrap(), cluster.clone());
            works(works(store).await).await;
        });
        assert_eq!(cluster.password_rotation(), PasswordRotation::NotKept);
        assert_eq!(hsm.shim().calls("C_SetPIN"), 0);
        assert!(hsm.token().accepts(GIVEN));
    });
}

#[test]
fn a_library_that_cannot_change_the_password_leaves_it() {
    alone(|hsm| {
        let disk = Disk::default();
        let supported = rotating(hsm).build().unwrap();
        block_on(async {
            hsm.shim().fail("C_SetPIN", Failure::new(CKR_FUNCTION_NOT_SUPPORTED));
            works(works(lasting(&supported, &disk)).await).await;
            assert_eq!(supported.password_rotation(), PasswordRotation::Unsupported);
            hsm.shim().mend("C_SetPIN");
            // As AWS's Client SDK 5.
            hsm.shim().hide("C_SetPIN");
            let hidden = rotating(hsm).build().unwrap();
            works(works(lasting(&hidden, &disk)).await).await;
            assert_eq!(hidden.password_rotation(), PasswordRotation::Unsupported);
        });
        assert_eq!(hsm.shim().calls("C_Login"), 4);
        assert!(hsm.token().accepts(GIVEN));
    });
}

#[test]
fn a_password_that_breaks_the_tokens_policy_is_forgotten() {
    alone(|hsm| {
        let (cluster, disk) = (rotating(hsm).build().unwrap(), Disk::default());
        block_on(async {
            let mut store = lasting(&cluster, &disk);
            for rv in [CKR_PIN_LEN_RANGE, CKR_PIN_INVALID, CKR_PIN_TOO_WEAK] {
                hsm.shim().fail("C_SetPIN", Failure::new(rv));
                store = works(store).await;
                assert_eq!(cluster.password_rotation(), PasswordRotation::Failed);
                assert!(hsm.token().accepts(GIVEN));
            }
            // None of them was tried.
            assert_eq!(hsm.shim().calls("C_Login"), 3);
            hsm.shim().mend("C_SetPIN");
            works(store).await;
            assert_eq!(cluster.password_rotation(), PasswordRotation::Changed);
        });
    });
}

#[test]
fn a_login_that_two_stores_share_keeps_its_password() {
    alone(|hsm| {
        let (cluster, disk) = (rotating(hsm).build().unwrap(), Disk::default());
        block_on(async {
            let other = ephemeral(crate::setup::cluster(hsm)).connect().await.unwrap();
            let store = works(lasting(&cluster, &disk)).await;
            assert_eq!(cluster.password_rotation(), PasswordRotation::Shared);
            assert_eq!(hsm.shim().calls("C_SetPIN"), 0);
            other.disconnect().await;
            works(store).await;
            assert_eq!(cluster.password_rotation(), PasswordRotation::Changed);
        });
    });
}

#[test]
fn the_password_of_several_tokens_is_not_changed() {
    alone(|hsm| {
        let second = hsm.another("second");
        let cluster = rotating(hsm).token(TokenName::Label(second.label().to_owned())).build().unwrap();
        block_on(async {
            works(lasting(&cluster, &Disk::default())).await;
        });
        assert_eq!(cluster.password_rotation(), PasswordRotation::Shared);
        assert_eq!(hsm.shim().calls("C_SetPIN"), 0);
    });
}

/// It would share in a login that it could not repeat.
#[test]
fn no_other_store_gets_in_while_the_password_is_being_changed() {
    alone(|hsm| {
        let clock = Arc::new(ManualClock::new());
        let cluster = rotating(hsm).clock(Arc::clone(&clock)).build().unwrap();
        let (disk, shim) = (Disk::default(), hsm.shim());
        shim.hang_late("C_SetPIN");
        let failing = fails(lasting(&cluster, &disk), Code::NetworkErrors);
        let (store, _) = past_the_deadline(hsm, &clock, "C_SetPIN", failing);
        block_on(async {
            let (other, detail) = fails(ephemeral(crate::setup::cluster(hsm)), Code::UserLoggedIn).await;
            assert!(detail.contains("another password"), "{detail}");
            // The store itself knows both.
            let store = store.connect().await.unwrap();
            assert_eq!(cluster.password_rotation(), PasswordRotation::Shared);
            shim.release("C_SetPIN");
            shim.settle();
            // Also when the login is lost: with the new password, at once.
            let before = shim.calls("C_Login");
            log_out(hsm);
            store.generate_random(16).await.unwrap();
            let store = works(store.disconnect().await).await;
            assert!(shim.calls("C_Login") - before <= 2);
            assert_eq!(cluster.password_rotation(), PasswordRotation::Changed);
            fails(other, Code::InvalidCredentials).await;
            works(store).await;
        });
    });
}

#[test]
fn a_login_that_was_lost_after_a_change_is_made_again_whatever_became_of_it() {
    alone(|hsm| {
        let shim = hsm.shim();
        for (failure, expected) in [
            (None, 1),
            (Some(Failure::new(CKR_DEVICE_ERROR).late()), 1),
            // The new password is tried, and then the old one.
            (Some(Failure::new(CKR_DEVICE_ERROR)), 2),
        ] {
            let context = hsm.initialized(shim.library());
            hsm.token().set_pin_here(&context, GIVEN);
            let cluster = rotating(hsm).build().unwrap();
            if let Some(failure) = failure {
                shim.fail("C_SetPIN", failure);
            }
            block_on(async {
                let store = lasting(&cluster, &Disk::default()).connect().await.unwrap();
                shim.mend("C_SetPIN");
                let key = store.create_key(&custom_key_store::NewKey::generated()).await.unwrap().key_id;
                let none = custom_key_store::EncryptionContext::default();
                for nth in 0..3 {
                    log_out(hsm);
                    let before = shim.calls("C_Login");
                    store.encrypt(&key, b"x", &none).await.unwrap();
                    assert_eq!(shim.calls("C_Login") - before, if nth == 0 { expected } else { 1 });
                }
                store.disconnect().await;
            });
            await_no_sessions(hsm);
        }
    });
}

#[test]
fn an_officer_may_give_the_user_the_first_password_again() {
    alone(|hsm| {
        let context = hsm.initialized(hsm.shim().library());
        let (cluster, disk) = (rotating(hsm).build().unwrap(), Disk::default());
        block_on(async {
            let store = works(lasting(&cluster, &disk)).await;
            await_no_sessions(hsm);
            hsm.token().set_pin_here(&context, GIVEN);
            let (store, _) = fails(store, Code::InvalidCredentials).await;
            let (mut store, detail) = fails(store, Code::InvalidCredentials).await;
            assert!(detail.contains("refused before"), "{detail}");
            tell(&mut store, GIVEN).await;
            // Changed again, and kept again.
            works(works(store).await).await;
            assert_eq!(cluster.password_rotation(), PasswordRotation::Changed);
        });
    });
}

/// What the store alone knows must not be lost by a slip of who configures it.
#[test]
fn a_mistaken_password_does_not_cost_the_one_that_was_made() {
    alone(|hsm| {
        hsm.shim().lock_after(3);
        let disk = Disk::default();
        let described = |text| rotating(hsm).password(password(text)).build().unwrap();
        let reopened = |text| lasting(&described(text), &disk);
        let logins = || hsm.shim().calls("C_Login");
        block_on(async {
            works(reopened(GIVEN)).await;
            // In the builder, more than once, tried time and again.
            for mistaken in ["mistake1", "mistake2", "mistake1"] {
                let before = logins();
                let (store, _) = fails(reopened(mistaken), Code::InvalidCredentials).await;
                fails(store, Code::InvalidCredentials).await;
                fails(reopened(mistaken), Code::InvalidCredentials).await;
                assert_eq!(logins() - before, 1);
                let before = logins();
                works(reopened(GIVEN)).await;
                assert_eq!(logins() - before, 1);
            }
            fails(reopened("mistake1"), Code::InvalidCredentials).await;
            fails(reopened("mistake2"), Code::InvalidCredentials).await;
            // In an update, and the same after a restart.
            let mut store = works(reopened(GIVEN)).await;
            tell(&mut store, "mistake1").await;
            (store, _) = fails(store, Code::InvalidCredentials).await;
            tell(&mut store, "mistake2").await;
            let before = logins();
            fails(store, Code::InvalidCredentials).await;
            assert_eq!(logins() - before, 1);
            let mut store = works(reopened(GIVEN)).await;
            // In an update, and back by another, tried or not.
            for tried in [true, false] {
                tell(&mut store, "mistake1").await;
                if tried {
                    (store, _) = fails(store, Code::InvalidCredentials).await;
                }
                tell(&mut store, GIVEN).await;
                let before = logins();
                store = works(store).await;
                // The one that was told, which an officer may have set, and then the one that was made.
                assert_eq!(logins() - before, 2);
            }
            works(reopened(GIVEN)).await;
        });
    });
}

/// The officer may have set it, or not.
#[test]
fn a_store_that_is_told_the_first_password_again_knows_the_one_that_was_made_still() {
    alone(|hsm| {
        hsm.shim().lock_after(3);
        let context = hsm.initialized(hsm.shim().library());
        let (cluster, disk) = (rotating(hsm).build().unwrap(), Disk::default());
        block_on(async {
            let mut store = works(lasting(&cluster, &disk)).await;
            for by_officer in [false, true, false] {
                await_no_sessions(hsm);
                if by_officer {
                    hsm.token().set_pin_here(&context, GIVEN);
                }
                tell(&mut store, GIVEN).await;
                let before = hsm.shim().calls("C_Login");
                store = works(store).await;
                assert_eq!(hsm.shim().calls("C_Login") - before, if by_officer { 1 } else { 2 });
                store = works(store).await;
                assert_eq!(cluster.password_rotation(), PasswordRotation::Changed);
            }
            // What is neither is tried once each, and no more.
            await_no_sessions(hsm);
            hsm.token().set_pin_here(&context, "another12");
            tell(&mut store, GIVEN).await;
            let before = hsm.shim().calls("C_Login");
            for _ in 0..3 {
                (store, _) = fails(store, Code::InvalidCredentials).await;
            }
            assert_eq!(hsm.shim().calls("C_Login") - before, 2);
            tell(&mut store, "another12").await;
            works(works(store).await).await;
        });
    });
}
