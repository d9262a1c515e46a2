//! Several tokens with the same keys: while one of them works, so does the store.

use std::sync::Arc;
use std::time::Duration;

use cryptoki::slot::Slot;
use custom_key_store::backend::{BackendErrorKind as Kind, Connection, HealthStatus};
use custom_key_store::clock::ManualClock;
use custom_key_store::cloudhsm::TokenName;
use custom_key_store_hsm::cryptoki_sys::{CKR_DEVICE_ERROR, CKR_KEY_FUNCTION_NOT_PERMITTED};
use custom_key_store_hsm::{Failure, Hsm, Token, alone};

use crate::calls::{
    TEXT, decrypt, delete, describe, encrypt, encrypt_verified, generate, health, name, on_one_thread,
    random, until,
};
use crate::setup::{cluster, connect};

const DEADLINE: Duration = Duration::from_secs(2);
/// As long as a token that failed is asked last.
const AVOIDED: Duration = Duration::from_secs(1);

/// A second token, with the key of the first.
fn copied(hsm: &Hsm) -> Token {
    let second = hsm.another("second");
    for token in [hsm.token(), &second] {
        token.plant_value("key", &[1; 16], &[7; 32]);
    }
    second
}

async fn connected(hsm: &Hsm, second: &Token, clock: &ManualClock) -> Arc<dyn Connection> {
    let second = TokenName::Label(second.label().to_owned());
    let cluster = cluster(hsm).token(second).deadline(DEADLINE).clock(clock.clone()).build().unwrap();
    connect(&cluster).await.unwrap()
}

fn serial(hsm: &Hsm, token: &Token) -> String {
    let context = hsm.initialized(hsm.shim().library());
    context.get_token_info(token.slot(&context)).unwrap().serial_number().to_owned()
}

fn slot(hsm: &Hsm, token: &Token) -> Slot {
    token.slot(&hsm.initialized(hsm.shim().library()))
}

#[test]
fn another_token_takes_over_and_the_first_is_used_again_after_a_second() {
    alone(|hsm| {
        let (second, clock, shim) = (copied(hsm), ManualClock::new(), hsm.shim());
        on_one_thread(async {
            let connection = connected(hsm, &second, &clock).await;
            let sealed = encrypt(&*connection, 1).await.unwrap();
            let broken = Failure::new(CKR_DEVICE_ERROR);
            for function in ["C_EncryptInit", "C_DecryptInit"] {
                shim.only_in(function, slot(hsm, hsm.token()));
                shim.fail(function, broken);
            }
            assert_eq!(decrypt(&*connection, 1, &sealed).await.unwrap().expose(), TEXT);
            assert_eq!(shim.failed("C_DecryptInit"), 3);
            // It is left alone from now on, as long as the other one works.
            for _ in 0..10 {
                encrypt_verified(&*connection, 1).await.unwrap();
            }
            assert_eq!(shim.failed("C_EncryptInit"), 0);
            clock.advance(AVOIDED + Duration::from_millis(1));
            encrypt(&*connection, 1).await.unwrap();
            assert_eq!(shim.failed("C_EncryptInit"), 3);
            // It works again, and the other one does not: it is asked before its time, if last.
            shim.only_in("C_EncryptInit", slot(hsm, &second));
            encrypt(&*connection, 1).await.unwrap();
            assert_eq!(shim.failed("C_EncryptInit"), 6);
            clock.advance(AVOIDED + Duration::from_millis(1));
            encrypt(&*connection, 1).await.unwrap();
            assert_eq!(shim.failed("C_EncryptInit"), 6, "the first is the first again");
        });
    });
}

#[test]
fn when_all_tokens_fail_the_call_does() {
    alone(|hsm| {
        let (second, clock) = (copied(hsm), ManualClock::new());
        on_one_thread(async {
            let connection = connected(hsm, &second, &clock).await;
            hsm.shim().fail("C_EncryptInit", Failure::new(CKR_DEVICE_ERROR));
            assert_eq!(encrypt(&*connection, 1).await, Err(Kind::Unreachable));
            assert_eq!(hsm.shim().failed("C_EncryptInit"), 6);
            hsm.shim().mend("C_EncryptInit");
            encrypt(&*connection, 1).await.unwrap();
        });
    });
}

#[test]
fn what_a_token_decides_another_is_not_asked_about() {
    alone(|hsm| {
        let (second, clock) = (copied(hsm), ManualClock::new());
        on_one_thread(async {
            let connection = connected(hsm, &second, &clock).await;
            hsm.shim().fail("C_EncryptInit", Failure::new(CKR_KEY_FUNCTION_NOT_PERMITTED));
            assert_eq!(encrypt(&*connection, 1).await, Err(Kind::InvalidKeyUsage));
            assert_eq!(hsm.shim().failed("C_EncryptInit"), 1);
            assert_eq!(describe(&*connection, 9).await, Err(Kind::KeyNotFound));
        });
    });
}

#[test]
fn a_token_that_hangs_costs_its_deadline_and_no_more() {
    alone(|hsm| {
        let (second, clock, shim) = (copied(hsm), ManualClock::new(), hsm.shim());
        on_one_thread(async {
            let connection = connected(hsm, &second, &clock).await;
            shim.only_in("C_EncryptInit", slot(hsm, hsm.token()));
            shim.hang("C_EncryptInit");
            let call = tokio::spawn({
                let connection = Arc::clone(&connection);
                async move { encrypt(&*connection, 1).await }
            });
            until(|| shim.hanging("C_EncryptInit") == 1).await;
            clock.advance(DEADLINE);
            call.await.unwrap().unwrap();
            // The next ones do not even pay that.
            encrypt(&*connection, 1).await.unwrap();
            assert_eq!(shim.hanging("C_EncryptInit"), 1);
            shim.release("C_EncryptInit");
            connection.close().await.unwrap();
            until(|| shim.sessions() == 0).await;
        });
    });
}

#[test]
fn a_token_that_is_taken_away_is_replaced_by_the_other() {
    alone(|hsm| {
        let (second, clock) = (copied(hsm), ManualClock::new());
        on_one_thread(async {
            let connection = connected(hsm, &second, &clock).await;
            let sealed = encrypt(&*connection, 1).await.unwrap();
            hsm.token().take_away();
            assert_eq!(decrypt(&*connection, 1, &sealed).await.unwrap().expose(), TEXT);
            encrypt_verified(&*connection, 1).await.unwrap();
            assert_eq!(random(&*connection).await, Ok(32));
            let reading = health(&*connection).await.unwrap();
            let statuses: Vec<_> = reading.instances.iter().map(|instance| instance.status).collect();
            assert_eq!(statuses, [HealthStatus::Unavailable, HealthStatus::Active]);
        });
    });
}

#[test]
fn health_is_that_of_each_token() {
    alone(|hsm| {
        let (second, clock, shim) = (copied(hsm), ManualClock::new(), hsm.shim());
        on_one_thread(async {
            let connection = connected(hsm, &second, &clock).await;
            let reading = health(&*connection).await.unwrap();
            assert_eq!((reading.instances.len(), reading.status()), (2, HealthStatus::Active));
            assert_eq!(reading.vendor, "SoftHSM project");
            let ids: Vec<_> = reading.instances.iter().map(|instance| instance.id.clone()).collect();
            let serials = [hsm.token(), &second].map(|token| serial(hsm, token));
            assert_eq!(ids, [format!("first ({})", serials[0]), format!("second ({})", serials[1])]);
            let model = reading.instances[1].model.clone();
            assert!(model.starts_with("SoftHSM v2, hardware 2."), "{model}");
            shim.only_in("C_GenerateRandom", slot(hsm, &second));
            shim.fail("C_GenerateRandom", Failure::new(CKR_DEVICE_ERROR));
            let reading = health(&*connection).await.unwrap();
            assert_eq!(reading.status(), HealthStatus::Degraded);
            assert_eq!(reading.instances[0].status, HealthStatus::Active);
            assert_eq!(reading.instances[1].status, HealthStatus::Unavailable);
            // It is still called the same.
            let now: Vec<_> = reading.instances.iter().map(|instance| instance.id.clone()).collect();
            assert_eq!((now, &reading.instances[1].model), (ids, &model));
            assert_eq!(reading.vendor, "SoftHSM project");
        });
    });
}

/// One token by two names is one instance too many, but no id of two.
#[test]
fn no_id_is_in_a_report_twice() {
    alone(|hsm| {
        let serial = TokenName::Serial(serial(hsm, hsm.token()));
        on_one_thread(async {
            let connection = connect(&cluster(hsm).token(serial).build().unwrap()).await.unwrap();
            let reading = health(&*connection).await.unwrap();
            assert_eq!(reading.instances[1].id, format!("{} #2", reading.instances[0].id));
        });
    });
}

#[test]
fn no_keys_are_made_or_deleted_on_one_token_of_several() {
    alone(|hsm| {
        let (second, clock) = (copied(hsm), ManualClock::new());
        on_one_thread(async {
            let connection = connected(hsm, &second, &clock).await;
            assert_eq!(generate(&*connection).await, Err(Kind::Unsupported));
            assert_eq!(delete(&*connection, &name(1)).await, Err(Kind::Unsupported));
        });
        assert_eq!((hsm.token().keys().len(), second.keys().len()), (1, 1));
    });
}

#[test]
fn a_token_that_is_missing_from_the_beginning_is_seen_in_health_and_not_forgotten() {
    alone(|hsm| {
        let (second, clock) = (copied(hsm), ManualClock::new());
        second.take_away();
        on_one_thread(async {
            let connection = connected(hsm, &second, &clock).await;
            encrypt_verified(&*connection, 1).await.unwrap();
            let reading = health(&*connection).await.unwrap();
            let statuses: Vec<_> = reading.instances.iter().map(|instance| instance.status).collect();
            assert_eq!(statuses, [HealthStatus::Active, HealthStatus::Unavailable]);
            // All that is known of it.
            let missing = &reading.instances[1];
            assert_eq!((&*missing.id, &*missing.model), ("second", "unknown"));
            // A key that the first alone had would be missing when it fails.
            assert_eq!(generate(&*connection).await, Err(Kind::Unsupported));
        });
    });
}

#[test]
fn a_token_that_could_not_be_logged_in_to_is_when_it_is_needed() {
    alone(|hsm| {
        let (second, clock, shim) = (copied(hsm), ManualClock::new(), hsm.shim());
        on_one_thread(async {
            shim.only_in("C_Login", slot(hsm, &second));
            shim.fail("C_Login", Failure::new(CKR_DEVICE_ERROR).times(1));
            let connection = connected(hsm, &second, &clock).await;
            assert_eq!(shim.failed("C_Login"), 1);
            shim.only_in("C_EncryptInit", slot(hsm, hsm.token()));
            shim.fail("C_EncryptInit", Failure::new(CKR_DEVICE_ERROR));
            encrypt_verified(&*connection, 1).await.unwrap();
            connection.close().await.unwrap();
            assert_eq!((shim.calls("C_Logout"), shim.sessions()), (2, 0));
        });
    });
}
