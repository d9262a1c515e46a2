//! A password that was refused is not tried again before the store is told one.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use custom_key_store::backend::{BackendErrorKind, ConnectionErrorCode as Code};
use custom_key_store::clock::ManualClock;
use custom_key_store::cloudhsm::{CloudHsmBuilder, Pin, TokenName};
use custom_key_store::{AnyKeyStore, ConnectionState, Disconnected, ErrorKind, KeyStore, NewKey, StoreName};
use custom_key_store_hsm::cryptoki_sys::{CKR_DEVICE_ERROR, CKR_GENERAL_ERROR};
use custom_key_store_hsm::{Failure, Hsm, alone};
use futures::executor::block_on;

use crate::setup::{
    await_no_sessions, cluster, ephemeral, fails, kept, log_out, opened, password, past_the_deadline, tell,
    works,
};
use crate::vault::Disk;

const WRONG: &str = "wrong1234";

fn wrong(hsm: &Hsm) -> CloudHsmBuilder {
    cluster(hsm).password(password(WRONG))
}

#[test]
fn a_refused_password_is_tried_once_by_a_store() {
    alone(|hsm| {
        block_on(async {
            let mut store = ephemeral(wrong(hsm));
            for _ in 0..6 {
                (store, _) = fails(store, Code::InvalidCredentials).await;
            }
            assert_eq!(hsm.shim().calls("C_Login"), 1);
            // A dry run is no way around it.
            assert_eq!(store.probe().await.unwrap_err().code(), Code::InvalidCredentials);
            assert_eq!(hsm.shim().calls("C_Login"), 1);
            tell(&mut store, "wrong5678").await;
            for _ in 0..6 {
                assert_eq!(store.probe().await.unwrap_err().code(), Code::InvalidCredentials);
            }
            assert_eq!(hsm.shim().calls("C_Login"), 2);
            tell(&mut store, &hsm.token().pin()).await;
            works(store).await;
            assert_eq!(hsm.shim().calls("C_Login"), 3);
        });
    });
}

/// The officer may have set in the cluster what the store had.
#[test]
fn a_store_that_is_told_the_same_password_again_tries_it_once_more() {
    alone(|hsm| {
        let context = hsm.initialized(hsm.shim().library());
        block_on(async {
            let (mut store, _) = fails(ephemeral(wrong(hsm)), Code::InvalidCredentials).await;
            for calls in [2, 2] {
                if calls == 2 && hsm.shim().calls("C_Login") == 1 {
                    tell(&mut store, WRONG).await;
                }
                (store, _) = fails(store, Code::InvalidCredentials).await;
                assert_eq!(hsm.shim().calls("C_Login"), calls);
            }
            hsm.token().set_pin_here(&context, WRONG);
            tell(&mut store, WRONG).await;
            works(works(store).await).await;
        });
    });
}

#[test]
fn a_refused_password_is_not_tried_after_a_restart_either() {
    alone(|hsm| {
        let path = hsm.home().join("catalogue");
        block_on(async {
            let id = {
                let store = kept(&path, wrong(hsm)).await;
                let id = store.id().clone();
                let failed = store.connect().await.unwrap_err().into_store();
                assert_eq!(failed.error_code(), Code::InvalidCredentials);
                id
            };
            // Found as it was left, and led out of that.
            let mut store = opened(&path, &id, wrong(hsm)).await;
            assert_eq!(store.state(), ConnectionState::Failed);
            store.disconnect().unwrap();
            assert_eq!(store.settled().await, ConnectionState::Disconnected);
            let store: KeyStore<Disconnected> = store.try_into().unwrap();
            fails(store, Code::InvalidCredentials).await;
            assert_eq!(hsm.shim().calls("C_Login"), 1);

            // One that is configured with another password starts anew.
            let store = opened(&path, &id, cluster(hsm)).await;
            works(store.try_into().unwrap()).await;
            assert_eq!(hsm.shim().calls("C_Login"), 2);
        });
    });
}

/// As a process would that ends in the middle of it.
#[test]
fn a_password_of_which_three_attempts_ended_nobody_knows_how_is_not_tried_again() {
    alone(|hsm| {
        let path = hsm.home().join("catalogue");
        let shim = hsm.shim();
        block_on(async {
            let id = kept(&path, cluster(hsm)).await.id().clone();
            for nth in 1..=3 {
                let store = opened(&path, &id, cluster(hsm)).await;
                // The store was being connected when the process ended, and so is again.
                let mut connecting = match store.state() {
                    ConnectionState::Disconnected => {
                        let mut store = store;
                        store.connect().unwrap();
                        store
                    }
                    _ => store,
                };
                assert_eq!(connecting.state(), ConnectionState::Connecting);
                shim.hang("C_Login");
                while shim.hanging("C_Login") == 0 {
                    poll(&mut connecting);
                    std::thread::sleep(std::time::Duration::from_millis(1));
                }
                drop(connecting);
                shim.release("C_Login");
                await_no_sessions(hsm);
                assert_eq!(shim.calls("C_Login"), nth);
            }
            let mut store = opened(&path, &id, cluster(hsm)).await;
            assert_eq!(store.settled().await, ConnectionState::Failed);
            let detail = store.connection_error().unwrap().detail().unwrap().to_owned();
            assert!(detail.contains("nobody knows how"), "{detail}");
            assert_eq!(store.connection_error().unwrap().code(), Code::InvalidCredentials);
            assert_eq!(shim.calls("C_Login"), 3);
            store.disconnect().unwrap();
            store.settled().await;
            let mut store: KeyStore<Disconnected> = store.try_into().unwrap();
            tell(&mut store, &hsm.token().pin()).await;
            works(store).await;
        });
    });
}

#[test]
fn a_login_that_works_forgets_the_attempts_before_it() {
    alone(|hsm| {
        block_on(async {
            let mut store = ephemeral(cluster(hsm));
            for _ in 0..3 {
                hsm.shim().fail("C_Login", Failure::new(CKR_DEVICE_ERROR).times(2));
                for _ in 0..2 {
                    (store, _) = fails(store, Code::NetworkErrors).await;
                }
                store = works(store).await;
            }
            hsm.shim().fail("C_Login", Failure::new(CKR_GENERAL_ERROR).times(3));
            for _ in 0..3 {
                (store, _) = fails(store, Code::InternalError).await;
            }
            fails(store, Code::InvalidCredentials).await;
        });
    });
}

/// Two stores at one token: while the first hangs in its login, nothing of the second reaches the token.
#[test]
fn an_attempt_behind_another_ones_login_costs_nothing() {
    alone(|hsm| {
        let shim = hsm.shim();
        let (first_clock, clock) = (Arc::new(ManualClock::new()), Arc::new(ManualClock::new()));
        let first = ephemeral(cluster(hsm).clock(Arc::clone(&first_clock)));
        let mut second = ephemeral(cluster(hsm).clock(Arc::clone(&clock)));
        shim.hang("C_Login");
        std::thread::scope(|scope| {
            let first = scope.spawn(|| block_on(first.connect().into_future()).unwrap());
            shim.await_hanging("C_Login", 1);
            for _ in 0..5 {
                second = past_the_deadline(hsm, &clock, "C_Login", fails(second, Code::NetworkErrors)).0;
            }
            shim.release("C_Login");
            let first = first.join().unwrap();
            shim.settle();
            assert_eq!(shim.calls("C_Login"), 1);
            block_on(async {
                works(second).await;
                assert_eq!(shim.calls("C_Login"), 1);
                first.disconnect().await;
            });
        });
    });
}

#[test]
fn a_token_beside_the_first_that_refuses_the_password_is_asked_once() {
    alone(|hsm| {
        let second = hsm.another("second");
        second.set_pin_as_officer("another12");
        let both = || cluster(hsm).token(TokenName::Label(second.label().to_owned()));
        let path = hsm.home().join("catalogue");
        block_on(async {
            let mut store = works(kept(&path, both()).await).await;
            assert_eq!(hsm.shim().calls("C_Login"), 2);
            let id = store.id().clone();
            store = works(store).await;
            drop(store);
            let mut store = opened(&path, &id, both()).await.try_into().unwrap();
            store = works(store).await;
            assert_eq!(hsm.shim().calls("C_Login"), 4);
            await_no_sessions(hsm);
            second.set_pin_as_officer(&hsm.token().pin());
            tell(&mut store, &hsm.token().pin()).await;
            works(works(store).await).await;
            assert_eq!(hsm.shim().calls("C_Login"), 8);
        });
    });
}

/// As from a restart of the HSM, and an officer who was faster.
#[test]
fn a_password_that_is_refused_when_the_login_was_lost_is_tried_once() {
    alone(|hsm| {
        let context = hsm.initialized(hsm.shim().library());
        block_on(async {
            let store = ephemeral(cluster(hsm)).connect().await.unwrap();
            let key = store.create_key(&NewKey::generated()).await.unwrap().key_id;
            let none = custom_key_store::EncryptionContext::default();
            let blob = store.encrypt(&key, b"x", &none).await.unwrap();
            log_out(hsm);
            // It is made again.
            store.decrypt(blob.as_bytes(), &none).await.unwrap();
            assert_eq!(hsm.shim().calls("C_Login"), 2);

            log_out(hsm);
            let before = hsm.shim().calls("C_Login");
            hsm.token().set_pin_here(&context, "changed12");
            let officer = hsm.shim().calls("C_Login") - before;
            for _ in 0..5 {
                let refused = store.decrypt(blob.as_bytes(), &none).await.unwrap_err();
                assert_eq!(refused.kind(), ErrorKind::Backend(BackendErrorKind::AuthenticationFailed));
            }
            assert_eq!(hsm.shim().calls("C_Login"), before + officer + 1);
            assert_eq!(store.state(), ConnectionState::Connected);

            // Nor is it when the store is connected again.
            let (mut store, _) = fails(store.disconnect().await, Code::InvalidCredentials).await;
            assert_eq!(hsm.shim().calls("C_Login"), before + officer + 1);
            tell(&mut store, "changed12").await;
            let store = store.connect().await.unwrap();
            store.decrypt(blob.as_bytes(), &none).await.unwrap();
        });
    });
}

/// `Change` takes AWS's passwords alone; all else is told by opening the store with it.
#[test]
fn a_pin_is_of_any_form_that_the_token_takes() {
    alone(|hsm| {
        let context = hsm.initialized(hsm.shim().library());
        let disk = Disk::default();
        block_on(async {
            for text in ["1234", "user-pin-1", "p\u{e4}ss: \u{1f511}"] {
                hsm.token().set_pin_here(&context, text);
                let before = hsm.shim().calls("C_Login");
                for rotates in [false, true, true] {
                    let pin = Pin::new(text).unwrap();
                    // The later one holds.
                    let builder = cluster(hsm).password(password(WRONG)).pin(pin).rotate_password(rotates);
                    let cluster = builder.clone().build().unwrap();
                    for shown in [format!("{builder:?}"), format!("{cluster:?}")] {
                        assert!(!shown.contains(text), "{shown}");
                    }
                    let store = KeyStore::builder(cluster).vault(disk.clone());
                    works(store.ephemeral(StoreName::new("hsm").unwrap())).await;
                    await_no_sessions(hsm);
                }
                assert_eq!(hsm.shim().calls("C_Login") - before, 3);
            }
            hsm.token().set_pin_here(&context, "userpin1");
            let builder = cluster(hsm).pin(Pin::new("wrong-1").unwrap()).password(password("userpin1"));
            works(ephemeral(builder)).await;
        });
    });
}

fn poll(store: &mut AnyKeyStore) {
    let settled = std::pin::pin!(store.settled());
    assert_eq!(settled.poll(&mut Context::from_waker(Waker::noop())), Poll::Pending);
}
