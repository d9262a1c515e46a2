//! What stores of one process share: a library, and the login to a token.

use std::sync::Arc;

use custom_key_store::backend::{Connection, ConnectionErrorCode as Code};
use custom_key_store::{Connected, KeyStore};
use custom_key_store_hsm::cryptoki_sys::{CK_RV, CKR_FUNCTION_FAILED, CKR_PIN_INCORRECT};
use custom_key_store_hsm::{Failure, Hsm, alone};
use futures::future::join_all;

use crate::calls::{all_is_well, encrypt, on_one_thread, until};
use crate::setup::{cluster, connect, described, ephemeral, fails, tell, works};

async fn another(hsm: &Hsm) -> Arc<dyn Connection> {
    connect(&cluster(hsm).max_sessions(4).build().unwrap()).await.unwrap()
}

#[test]
fn a_library_is_initialized_once_and_finalized_by_the_last() {
    alone(|hsm| {
        hsm.token().plant_key("key", &[1; 16], 256);
        let shim = hsm.shim();
        on_one_thread(async {
            let (first, second, third) = (another(hsm).await, another(hsm).await, another(hsm).await);
            assert_eq!((shim.calls("C_Initialize"), shim.calls("C_Login")), (1, 1));
            first.close().await.unwrap();
            drop(second);
            until(|| shim.sessions() == 1).await;
            all_is_well(&*third, 1).await;
            assert_eq!((shim.calls("C_Logout"), shim.calls("C_Finalize")), (0, 0));
            third.close().await.unwrap();
            assert_eq!((shim.calls("C_Logout"), shim.calls("C_Finalize")), (1, 1));
            assert_eq!(shim.sessions(), 0);
            // What is closed needs nothing more when it is dropped, and the library can be had again.
            drop((first, third));
            all_is_well(&*another(hsm).await, 1).await;
            assert_eq!((shim.calls("C_Initialize"), shim.calls("C_Login")), (2, 2));
        });
    });
}

#[test]
fn a_library_that_somebody_else_has_initialized_is_not_finalized() {
    alone(|hsm| {
        let context = hsm.initialized(hsm.shim().library());
        hsm.token().plant_key("key", &[1; 16], 256);
        on_one_thread(async {
            let connection = another(hsm).await;
            all_is_well(&*connection, 1).await;
            connection.close().await.unwrap();
        });
        assert_eq!((hsm.shim().sessions(), hsm.shim().calls("C_Finalize")), (0, 0));
        context.get_library_info().unwrap();
    });
}

#[test]
fn a_store_that_comes_and_goes_does_not_disturb_another() {
    alone(|hsm| {
        hsm.token().plant_key("key", &[1; 16], 256);
        on_one_thread(async {
            let stays = another(hsm).await;
            for round in 0..20 {
                let comes = another(hsm).await;
                let both = [&stays, &comes];
                let calls = join_all((0..20).map(|call| encrypt(&**both[call % 2], 1))).await;
                assert!(calls.iter().all(Result::is_ok), "round {round}: {calls:?}");
                // Closed, and dropped with and without, while the other is at work.
                let working = join_all((0..20).map(|_| encrypt(&*stays, 1)));
                let leaving = async {
                    if round % 2 == 0 {
                        comes.close().await.unwrap();
                    }
                    drop(comes);
                };
                let (calls, ()) = futures::join!(working, leaving);
                assert!(calls.iter().all(Result::is_ok), "round {round}: {calls:?}");
            }
            assert_eq!((hsm.shim().calls("C_Login"), hsm.shim().calls("C_Logout")), (1, 0));
        });
    });
}

#[test]
fn the_last_store_logs_out_however_many_sessions_it_has() {
    alone(|hsm| {
        hsm.token().plant_key("key", &[1; 16], 256);
        let shim = hsm.shim();
        on_one_thread(async {
            for round in 1..=30 {
                let connection = another(hsm).await;
                join_all((0..20).map(|_| encrypt(&*connection, 1))).await;
                connection.close().await.unwrap();
                assert_eq!((shim.calls("C_Logout"), shim.calls("C_Finalize")), (round, round));
            }
            assert_eq!(shim.sessions(), 0);
        });
    });
}

#[test]
fn stores_on_two_tokens_of_a_library_each_have_their_login() {
    alone(|hsm| {
        let token = hsm.another("second");
        for token in [hsm.token(), &token] {
            token.plant_key("key", &[1; 16], 256);
        }
        let shim = hsm.shim();
        on_one_thread(async {
            let first = another(hsm).await;
            let second = connect(&described(shim.library(), &token).build().unwrap()).await.unwrap();
            assert_eq!((shim.calls("C_Initialize"), shim.calls("C_Login")), (1, 2));
            first.close().await.unwrap();
            assert_eq!((shim.calls("C_Logout"), shim.calls("C_Finalize")), (1, 0));
            all_is_well(&*second, 1).await;
            second.close().await.unwrap();
            assert_eq!((shim.calls("C_Logout"), shim.calls("C_Finalize")), (2, 1));
        });
    });
}

/// Two stores that share a login, which is lost; so often it is answered so to whoever logs in again, and the last time
/// they are not asked any more.
async fn login_is_lost(hsm: &Hsm, rv: CK_RV, times: u64) -> [KeyStore<Connected>; 2] {
    let first = ephemeral(cluster(hsm)).connect().await.unwrap();
    let second = ephemeral(cluster(hsm)).connect().await.unwrap();
    hsm.shim().forget_calls();
    hsm.shim().fail("C_Login", Failure::new(rv));
    hsm.shim().lose_sessions();
    while hsm.shim().calls("C_Login") < times {
        second.generate_random(16).await.unwrap_err();
    }
    for store in [&first, &second] {
        store.generate_random(16).await.unwrap_err();
    }
    assert_eq!(hsm.shim().calls("C_Login"), times);
    [first, second]
}

const LOST: [(CK_RV, u64); 2] = [(CKR_PIN_INCORRECT, 1), (CKR_FUNCTION_FAILED, 3)];

#[test]
fn a_store_that_is_told_a_password_tries_it_though_another_holds_a_login_that_was_refused() {
    alone(|hsm| {
        on_one_thread(async {
            for (rv, times) in LOST {
                let [first, second] = login_is_lost(hsm, rv, times).await;
                hsm.shim().mend("C_Login");
                let pin = hsm.token().pin();
                let (mut first, detail) = fails(first.disconnect().await, Code::InvalidCredentials).await;
                assert!(detail.contains("store is told"), "{detail}");
                assert_eq!(hsm.shim().calls("C_Login"), times, "not without being told");
                tell(&mut first, &pin).await;
                let first = first.connect().await.unwrap();
                assert_eq!(hsm.shim().calls("C_Login"), times + 1);
                for store in [&first, &second] {
                    store.generate_random(16).await.unwrap();
                }
                assert_eq!(hsm.shim().calls("C_Login"), times + 1, "the login is the other's too");
                // As any other from here on.
                hsm.shim().lose_sessions();
                second.generate_random(16).await.unwrap();
                works(first.disconnect().await).await;
                second.disconnect().await;
            }
        });
    });
}

#[test]
fn a_password_that_is_told_to_one_of_two_stores_and_refused_is_tried_once() {
    alone(|hsm| {
        on_one_thread(async {
            for (rv, times) in LOST {
                let [first, second] = login_is_lost(hsm, rv, times).await;
                let mut first = first.disconnect().await;
                for told in 1..=2 {
                    tell(&mut first, &hsm.token().pin()).await;
                    for _ in 0..2 {
                        first = first.connect().await.unwrap_err().into_store().disconnect().await;
                        second.generate_random(16).await.unwrap_err();
                        assert_eq!(hsm.shim().calls("C_Login"), times + told);
                    }
                }
                second.disconnect().await;
                hsm.shim().mend("C_Login");
            }
        });
    });
}
