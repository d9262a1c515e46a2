//! A library that blocks, hangs or has no more sessions holds up nobody who could go on.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use custom_key_store::backend::{BackendErrorKind as Kind, Connection};
use custom_key_store::clock::ManualClock;
use custom_key_store_hsm::cryptoki_sys::{CKR_DEVICE_ERROR, CKR_SESSION_COUNT};
use custom_key_store_hsm::{Failure, Hsm, Shim, alone};
use futures::FutureExt as _;
use futures::future::join_all;
use tokio::task::JoinHandle;

use crate::calls::{
    Told, all_is_well, decrypt, delete, describe, encrypt, generate, on_one_thread, random, restart, until,
};
use crate::setup::{cluster, connect, described};

const DEADLINE: Duration = Duration::from_secs(2);

/// Lets a call of this function hang until a timer of the runtime, which has one thread, has ticked meanwhile.
async fn ticks_while<T: Send + 'static>(
    shim: &Shim,
    function: &str,
    call: impl Future<Output = T> + Send + 'static,
) -> T {
    let ticks = Arc::new(AtomicU64::new(0));
    let timer = tokio::spawn({
        let ticks = Arc::clone(&ticks);
        async move {
            loop {
                tokio::time::sleep(Duration::from_millis(1)).await;
                ticks.fetch_add(1, Ordering::Relaxed);
            }
        }
    });
    shim.hang(function);
    let call = tokio::spawn(call);
    until(|| shim.hanging(function) > 0).await;
    let before = ticks.load(Ordering::Relaxed);
    until(|| ticks.load(Ordering::Relaxed) > before + 5).await;
    shim.release(function);
    timer.abort();
    call.await.unwrap()
}

#[test]
fn a_library_that_hangs_does_not_hold_up_the_runtime() {
    alone(|hsm| {
        hsm.token().plant_key("key", &[1; 16], 256);
        let shim = hsm.shim();
        on_one_thread(async {
            let connecting = |hsm: &Hsm| {
                let cluster = cluster(hsm).deadline(Duration::from_secs(30)).build().unwrap();
                async move { connect(&cluster).await.unwrap() }
            };
            for function in ["C_Initialize", "C_GetSlotList", "C_OpenSession", "C_Login"] {
                let connection = ticks_while(shim, function, connecting(hsm)).await;
                connection.close().await.unwrap();
                drop(connection);
                // So that the next one has to do it all again.
                until(|| shim.calls("C_Initialize") == shim.calls("C_Finalize")).await;
            }
            let connection = connecting(hsm).await;
            for function in ["C_FindObjectsInit", "C_EncryptInit", "C_Encrypt"] {
                let connection = Arc::clone(&connection);
                let encrypted = async move { encrypt(&*connection, 1).await };
                ticks_while(shim, function, encrypted).await.unwrap();
            }
            drop(connection);
            // Whoever closes it, or drops it, lets go of everything, which takes as long.
            for function in ["C_Logout", "C_CloseSession", "C_Finalize"] {
                until(|| shim.calls("C_Initialize") == shim.calls("C_Finalize")).await;
                let connection = connecting(hsm).await;
                let closed = ticks_while(shim, function, async move { connection.close().await }).await;
                assert_eq!(closed.unwrap().still_running, 0);
                let connection = connecting(hsm).await;
                ticks_while(shim, function, async move { drop(connection) }).await;
            }
            until(|| shim.calls("C_Initialize") == shim.calls("C_Finalize")).await;
        });
    });
}

/// One session, a clock that is moved by hand, and a call of `C_Encrypt` that hangs.
async fn hanging_in_encrypt(
    hsm: &Hsm,
    clock: &ManualClock,
    max_hanging: usize,
) -> (Arc<dyn Connection>, JoinHandle<Told<()>>) {
    let cluster = cluster(hsm).max_sessions(1).max_hanging(max_hanging).deadline(DEADLINE);
    let connection = connect(&cluster.clock(clock.clone()).build().unwrap()).await.unwrap();
    hsm.shim().hang("C_Encrypt");
    let call = encrypting(&connection);
    until(|| hsm.shim().hanging("C_Encrypt") == 1).await;
    (connection, call)
}

fn encrypting(connection: &Arc<dyn Connection>) -> JoinHandle<Told<()>> {
    let connection = Arc::clone(connection);
    tokio::spawn(async move { encrypt(&*connection, 1).await.map(drop) })
}

#[test]
fn a_call_that_hangs_is_answered_in_time_and_its_worker_replaced_up_to_a_limit() {
    alone(|hsm| {
        hsm.token().plant_key("key", &[1; 16], 256);
        let (shim, clock) = (hsm.shim(), ManualClock::new());
        on_one_thread(async {
            let (connection, call) = hanging_in_encrypt(hsm, &clock, 2).await;
            clock.advance(DEADLINE);
            assert_eq!(call.await.unwrap(), Err(Kind::TimedOut));
            for hanging in [2, 3] {
                // There is another worker, and so everything else goes on.
                describe(&*connection, 1).await.unwrap();
                let call = encrypting(&connection);
                until(|| shim.hanging("C_Encrypt") == hanging).await;
                clock.advance(DEADLINE);
                assert_eq!(call.await.unwrap(), Err(Kind::TimedOut));
            }
            // Now there is none; yet a call ends.
            for _ in 0..2 {
                let call = encrypting(&connection);
                until(|| clock.sleepers() == 1).await;
                clock.advance(DEADLINE);
                assert_eq!(call.await.unwrap(), Err(Kind::TimedOut));
            }
            assert_eq!((shim.hanging("C_Encrypt"), shim.sessions()), (3, 3));

            shim.release("C_Encrypt");
            // Nobody waits for what comes back: the two calls that were given up in the queue are not even begun.
            all_is_well(&*connection, 1).await;
            until(|| shim.sessions() == 1).await;
            assert_eq!(connection.close().await.unwrap().still_running, 0);
            assert_eq!((shim.sessions(), shim.calls("C_Logout")), (0, 1));
        });
    });
}

#[test]
fn calls_that_are_given_up_early_do_not_hide_a_worker_that_hangs() {
    alone(|hsm| {
        hsm.token().plant_key("key", &[1; 16], 256);
        let clock = ManualClock::new();
        on_one_thread(async {
            let (connection, call) = hanging_in_encrypt(hsm, &clock, 1).await;
            call.abort();
            assert!(call.await.is_err());
            clock.advance(DEADLINE);
            describe(&*connection, 1).await.unwrap();
            hsm.shim().release("C_Encrypt");
            connection.close().await.unwrap();
            until(|| hsm.shim().sessions() == 0).await;
        });
    });
}

#[test]
fn what_finds_no_room_to_wait_is_refused_at_once() {
    alone(|hsm| {
        hsm.token().plant_key("key", &[1; 16], 256);
        let shim = hsm.shim();
        on_one_thread(async {
            let cluster = cluster(hsm).max_sessions(1).max_waiting(2).deadline(Duration::from_secs(30));
            let connection = connect(&cluster.build().unwrap()).await.unwrap();
            shim.hang("C_Encrypt");
            let mut calls = vec![encrypting(&connection)];
            until(|| shim.hanging("C_Encrypt") == 1).await;
            calls.extend([encrypting(&connection), encrypting(&connection)]);
            tokio::task::yield_now().await;
            assert_eq!(encrypt(&*connection, 1).now_or_never().unwrap(), Err(Kind::Throttled));
            // Those who gave up take no room.
            calls.pop().unwrap().abort();
            tokio::task::yield_now().await;
            let mut late = Box::pin(encrypt(&*connection, 1));
            assert!(late.as_mut().now_or_never().is_none(), "it waits");
            shim.release("C_Encrypt");
            late.await.unwrap();
            for call in calls {
                call.await.unwrap().unwrap();
            }
        });
    });
}

#[test]
fn a_hundred_calls_share_four_sessions() {
    alone(|hsm| {
        hsm.token().plant_key("key", &[1; 16], 256);
        hsm.shim().delay("C_Encrypt", Duration::from_millis(1));
        on_one_thread(async {
            let cluster = cluster(hsm).max_sessions(4).deadline(Duration::from_secs(30)).build().unwrap();
            let connection = connect(&cluster).await.unwrap();
            let calls = join_all((0..100).map(|_| encrypt(&*connection, 1))).await;
            assert!(calls.iter().all(Result::is_ok));
            assert!((2..=4).contains(&hsm.shim().most_sessions()));
            assert!((2..=4).contains(&hsm.shim().most_under_way("C_Encrypt")));
            connection.close().await.unwrap();
            assert_eq!((hsm.shim().sessions(), hsm.shim().calls("C_Logout")), (0, 1));
        });
    });
}

#[test]
fn fewer_sessions_than_were_asked_for_will_do() {
    alone(|hsm| {
        hsm.token().plant_key("key", &[1; 16], 256);
        let shim = hsm.shim();
        shim.delay("C_Encrypt", Duration::from_millis(1));
        shim.limit_sessions(2);
        on_one_thread(async {
            let cluster = cluster(hsm).max_sessions(8).deadline(Duration::from_secs(30)).build().unwrap();
            let connection = connect(&cluster).await.unwrap();
            let calls = join_all((0..100).map(|_| encrypt(&*connection, 1))).await;
            assert!(calls.iter().all(Result::is_ok), "{calls:?}");
            assert_eq!(shim.most_sessions(), 2);
            // A token that has no more is not asked for more with every call.
            assert!(shim.calls("C_OpenSession") < 20, "{}", shim.calls("C_OpenSession"));
            connection.close().await.unwrap();
            assert_eq!((shim.sessions(), shim.calls("C_Logout")), (0, 1));
        });
    });
}

#[test]
fn without_any_session_a_call_fails_and_a_later_one_does_not() {
    alone(|hsm| {
        hsm.token().plant_key("key", &[1; 16], 256);
        let shim = hsm.shim();
        on_one_thread(async {
            let connection = connect(&cluster(hsm).build().unwrap()).await.unwrap();
            restart(hsm);
            shim.fail("C_OpenSession", Failure::new(CKR_SESSION_COUNT));
            let calls = join_all((0..20).map(|_| encrypt(&*connection, 1))).await;
            assert!(calls.iter().all(|call| *call == Err(Kind::Internal)), "{calls:?}");
            shim.mend("C_OpenSession");
            all_is_well(&*connection, 1).await;
        });
    });
}

#[test]
fn a_cluster_that_hangs_starves_no_other_store() {
    alone(|hsm| {
        hsm.token().plant_key("key", &[1; 16], 256);
        let second = hsm.another("second");
        second.plant_key("key", &[1; 16], 256);
        let shim = hsm.shim();
        on_one_thread(async {
            let limited = |builder: custom_key_store::cloudhsm::CloudHsmBuilder| {
                builder.max_sessions(4).deadline(Duration::from_secs(30)).build().unwrap()
            };
            let slow = connect(&limited(cluster(hsm))).await.unwrap();
            let other = connect(&limited(described(shim.library(), &second))).await.unwrap();
            shim.only_in("C_EncryptInit", hsm.token().slot(&hsm.initialized(shim.library())));
            shim.hang("C_EncryptInit");
            let calls: Vec<_> = (0..20).map(|_| encrypting(&slow)).collect();
            until(|| shim.hanging("C_EncryptInit") == 4).await;
            for _ in 0..20 {
                all_is_well(&*other, 1).await;
            }
            shim.release("C_EncryptInit");
            for call in calls {
                call.await.unwrap().unwrap();
            }
        });
    });
}

#[test]
fn a_key_that_nobody_waits_for_is_not_kept() {
    alone(|hsm| {
        let shim = hsm.shim();
        on_one_thread(async {
            let clock = ManualClock::new();
            let cluster = cluster(hsm).deadline(DEADLINE).clock(clock.clone()).build().unwrap();
            let connection = connect(&cluster).await.unwrap();
            let making = || {
                let connection = Arc::clone(&connection);
                tokio::spawn(async move { generate(&*connection).await })
            };
            // Given up, and out of time, while the library is at it.
            shim.hang_late("C_GenerateKey");
            let (given_up, late) = (making(), making());
            until(|| shim.hanging("C_GenerateKey") == 2).await;
            given_up.abort();
            clock.advance(DEADLINE);
            assert_eq!(late.await.unwrap(), Err(Kind::TimedOut));
            shim.release("C_GenerateKey");
            until(|| shim.calls("C_DestroyObject") == 2).await;
            // Given up when it is made, and the answer is there.
            let mut made = Box::pin(generate(&*connection));
            assert!(made.as_mut().now_or_never().is_none());
            until(|| shim.calls("C_GenerateKey") == 3 && shim.under_way("C_GenerateKey") == 0).await;
            tokio::time::sleep(Duration::from_millis(20)).await;
            drop(made);
            until(|| shim.calls("C_DestroyObject") == 3).await;
            connection.close().await.unwrap();
        });
        assert_eq!(hsm.token().keys(), []);
    });
}

#[test]
fn a_key_whose_making_failed_is_not_kept() {
    alone(|hsm| {
        on_one_thread(async {
            let connection = connect(&cluster(hsm).build().unwrap()).await.unwrap();
            // It is made, says otherwise, and cannot be looked for.
            hsm.shim().fail("C_GenerateKey", Failure::new(CKR_DEVICE_ERROR).late());
            hsm.shim().fail("C_FindObjectsInit", Failure::new(CKR_DEVICE_ERROR).times(2));
            assert_eq!(generate(&*connection).await, Err(Kind::Unreachable));
            connection.close().await.unwrap();
        });
        assert_eq!(hsm.token().keys(), []);
    });
}

#[test]
fn a_key_is_made_once_though_the_answer_was_lost() {
    alone(|hsm| {
        on_one_thread(async {
            let connection = connect(&cluster(hsm).build().unwrap()).await.unwrap();
            hsm.shim().fail("C_GenerateKey", Failure::new(CKR_DEVICE_ERROR).late());
            hsm.shim().fail("C_FindObjectsInit", Failure::new(CKR_DEVICE_ERROR).times(1));
            let key = generate(&*connection).await.unwrap();
            assert_eq!(hsm.token().keys().len(), 1);
            hsm.shim().fail("C_DestroyObject", Failure::new(CKR_DEVICE_ERROR).late());
            assert_eq!(delete(&*connection, &key).await, Ok(()));
            assert_eq!(delete(&*connection, &key).await, Err(Kind::KeyNotFound));
        });
        assert_eq!(hsm.token().keys(), []);
    });
}

#[test]
fn close_says_what_still_runs_and_ends_in_time() {
    alone(|hsm| {
        hsm.token().plant_key("key", &[1; 16], 256);
        let (shim, clock) = (hsm.shim(), ManualClock::new());
        on_one_thread(async {
            let (connection, call) = hanging_in_encrypt(hsm, &clock, 1).await;
            let closing = Arc::clone(&connection);
            let closing = tokio::spawn(async move { closing.close().await });
            // That call, and this one.
            until(|| clock.sleepers() == 2).await;
            clock.advance(DEADLINE);
            assert_eq!(closing.await.unwrap().unwrap().still_running, 1);
            assert_eq!(call.await.unwrap(), Err(Kind::TimedOut));
            assert_eq!(describe(&*connection, 1).await, Err(Kind::Closed));
            // Retired by now, it is not waited for again.
            assert_eq!(connection.close().now_or_never().unwrap().unwrap().still_running, 1);
            shim.release("C_Encrypt");
            until(|| shim.sessions() == 0).await;
            until(|| {
                connection.close().now_or_never().is_some_and(|closed| closed.unwrap().still_running == 0)
            })
            .await;
            assert_eq!(shim.calls("C_Logout"), 1);
        });
    });
}

#[test]
fn a_connection_that_is_dropped_lets_go_of_everything() {
    alone(|hsm| {
        hsm.token().plant_key("key", &[1; 16], 256);
        let shim = hsm.shim();
        on_one_thread(async {
            let connection = connect(&cluster(hsm).max_sessions(4).build().unwrap()).await.unwrap();
            let sealed = encrypt(&*connection, 1).await.unwrap();
            join_all((0..20).map(|_| decrypt(&*connection, 1, &sealed))).await;
            join_all((0..20).map(|_| random(&*connection))).await;
            drop(connection);
            until(|| shim.calls("C_Finalize") == 1).await;
            assert_eq!((shim.sessions(), shim.calls("C_Logout")), (0, 1));
        });
    });
}
