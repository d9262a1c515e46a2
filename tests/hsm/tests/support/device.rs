//! The shim gives SoftHSM the ways of other devices.

use cryptoki::error::RvError;
use cryptoki::session::{Session, UserType};
use cryptoki::types::AuthPin;
use custom_key_store_hsm::alone;

use crate::{decrypt, encrypt, key, rv};

fn log_in(session: &Session, pin: &str) -> Result<(), cryptoki::error::Error> {
    session.login(UserType::User, Some(&AuthPin::from(pin.to_owned())))
}

#[test]
fn the_device_chooses_the_iv() {
    alone(|hsm| {
        let context = hsm.initialized(hsm.shim().library());
        let session = hsm.token().session(&context);
        let key = key(&session);
        hsm.shim().choose_iv();
        let (mut first, mut second) = ([0; 12], [0; 12]);
        let sealed = encrypt(&session, key, &mut first).unwrap();
        encrypt(&session, key, &mut second).unwrap();
        assert!(first != [0; 12] && second != [0; 12] && first != second);
        assert_eq!(decrypt(&session, key, &mut first, &sealed).unwrap(), b"plaintext");
        // It is asked to encrypt with one of the caller's.
        assert_eq!(rv(encrypt(&session, key, &mut first)), RvError::MechanismParamInvalid);
        assert_eq!(rv(encrypt(&session, key, &mut [0; 16])), RvError::MechanismParamInvalid);
    });
}

#[test]
fn there_are_no_more_sessions_than_the_limit() {
    alone(|hsm| {
        let context = hsm.initialized(hsm.shim().library());
        let slot = hsm.token().slot(&context);
        hsm.shim().limit_sessions(2);
        let first = context.open_ro_session(slot).unwrap();
        let second = context.open_rw_session(slot).unwrap();
        assert_eq!(rv(context.open_ro_session(slot)), RvError::SessionCount);
        drop(first);
        let third = context.open_ro_session(slot).unwrap();
        hsm.shim().limit_sessions(0);
        drop((context.open_ro_session(slot).unwrap(), second, third));
    });
}

#[test]
fn wrong_pins_lock_the_user_out() {
    alone(|hsm| {
        let context = hsm.initialized(hsm.shim().library());
        let session = context.open_rw_session(hsm.token().slot(&context)).unwrap();
        let pin = hsm.token().pin();
        hsm.shim().lock_after(2);
        assert_eq!(rv(log_in(&session, "wrong")), RvError::PinIncorrect);
        log_in(&session, &pin).unwrap();
        session.logout().unwrap();
        // A right one in between began the count anew.
        assert_eq!(rv(log_in(&session, "wrong")), RvError::PinIncorrect);
        assert_eq!(rv(log_in(&session, "wrong")), RvError::PinIncorrect);
        assert_eq!(rv(log_in(&session, &pin)), RvError::PinLocked);
        hsm.shim().unlock();
        log_in(&session, &pin).unwrap();
    });
}

#[test]
fn a_pin_names_its_user() {
    alone(|hsm| {
        let context = hsm.initialized(hsm.shim().library());
        let session = context.open_rw_session(hsm.token().slot(&context)).unwrap();
        let pin = hsm.token().pin();
        hsm.shim().require_user("kmsuser");
        hsm.shim().lock_after(4);
        assert_eq!(rv(log_in(&session, &pin)), RvError::ArgumentsBad);
        for wrong in ["kmsuser:wrong".to_owned(), format!("kms:{pin}"), format!("kmsusers:{pin}")] {
            assert_eq!(rv(log_in(&session, &wrong)), RvError::PinIncorrect, "{wrong}");
        }
        log_in(&session, &format!("kmsuser:{pin}")).unwrap();
        session.logout().unwrap();
        hsm.shim().require_user("");
        log_in(&session, &pin).unwrap();
    });
}
