//! The shim counts, delays, holds up, fails and hides.

use std::time::{Duration, Instant};

use cryptoki::error::{Error, RvError};
use cryptoki::types::AuthPin;
use custom_key_store_hsm::cryptoki_sys::{CKR_DEVICE_ERROR, CKR_DEVICE_REMOVED, CKR_GENERAL_ERROR};
use custom_key_store_hsm::{Failure, Hsm, Module, Token, alone};

use crate::{decrypt, encrypt, key, rv};

#[test]
fn everything_passes_through_a_shim_that_was_told_nothing() {
    alone(|hsm| {
        let context = hsm.initialized(hsm.shim().library());
        let session = hsm.token().session(&context);
        let key = key(&session);
        let sealed = encrypt(&session, key, &mut [7; 12]).unwrap();
        assert_eq!(decrypt(&session, key, &mut [7; 12], &sealed).unwrap(), b"plaintext");
        assert_eq!(context.get_library_info().unwrap().manufacturer_id(), "SoftHSM");
    });
}

#[test]
fn calls_are_counted_and_forgotten() {
    alone(|hsm| {
        let shim = hsm.shim();
        let context = hsm.initialized(shim.library());
        let session = hsm.token().session(&context);
        let key = key(&session);
        encrypt(&session, key, &mut [7; 12]).unwrap();
        assert_eq!(shim.calls("C_GetFunctionList"), 1);
        assert_eq!(shim.calls("C_Initialize"), 1);
        assert_eq!(shim.calls("C_Login"), 1);
        assert_eq!(shim.calls("C_EncryptInit"), 1);
        // cryptoki asks for the size first.
        assert_eq!((shim.calls("C_Encrypt"), shim.queries("C_Encrypt")), (2, 1));
        assert_eq!((shim.most_under_way("C_Encrypt"), shim.under_way("C_Encrypt")), (1, 0));
        assert_eq!((shim.calls("C_Decrypt"), shim.calls("C_WaitForSlotEvent")), (0, 0));
        shim.forget_calls();
        assert_eq!((shim.calls("C_Encrypt"), shim.calls("C_Login")), (0, 0));
    });
}

#[test]
fn sessions_are_counted_while_they_are_open() {
    alone(|hsm| {
        let shim = hsm.shim();
        let second = hsm.another("second");
        let context = hsm.initialized(shim.library());
        let open = |token: &Token| context.open_ro_session(token.slot(&context)).unwrap();
        let (first, other) = (open(hsm.token()), open(&second));
        assert_eq!(shim.sessions(), 2);
        drop(first);
        assert_eq!((shim.sessions(), shim.most_sessions()), (1, 2));
        drop(other);
        assert_eq!(shim.sessions(), 0);
        std::mem::forget(open(hsm.token()));
        context.finalize().unwrap();
        assert_eq!((shim.sessions(), shim.most_sessions()), (0, 2));
    });
}

#[test]
fn a_delay_is_waited_for_but_not_by_questions_for_the_size_that_are_spared() {
    alone(|hsm| {
        let shim = hsm.shim();
        let context = hsm.initialized(shim.library());
        let session = hsm.token().session(&context);
        let key = key(&session);
        let delay = Duration::from_millis(50);
        let timed = || {
            let start = Instant::now();
            encrypt(&session, key, &mut [7; 12]).unwrap();
            start.elapsed()
        };
        shim.delay("C_Encrypt", delay);
        assert!(timed() >= 2 * delay);
        shim.spare_queries("C_Encrypt");
        // A lower bound only: nothing says how much longer a busy machine takes.
        assert!(timed() >= delay);
        shim.fail("C_Encrypt", Failure::new(CKR_DEVICE_ERROR).times(1));
        assert_eq!(rv(encrypt(&session, key, &mut [7; 12])), RvError::DeviceError);
        assert_eq!((shim.calls("C_Encrypt"), shim.queries("C_Encrypt")), (6, 3));
    });
}

#[test]
fn a_call_hangs_until_it_is_released() {
    alone(|hsm| {
        let shim = hsm.shim();
        let context = hsm.initialized(shim.library());
        let session = hsm.token().session(&context);
        let key = key(&session);
        shim.hang("C_EncryptInit");
        let hanging = std::thread::spawn(move || encrypt(&session, key, &mut [7; 12]).unwrap());
        shim.await_hanging("C_EncryptInit", 1);
        // Another session is free meanwhile.
        context.open_ro_session(hsm.token().slot(&context)).unwrap().get_session_info().unwrap();
        assert_eq!((shim.hanging("C_EncryptInit"), shim.under_way("C_EncryptInit")), (1, 1));
        assert!(!hanging.is_finished() && shim.calls("C_Encrypt") == 0);
        shim.release("C_EncryptInit");
        assert_eq!(hanging.join().unwrap().len(), b"plaintext".len() + 16);
        assert_eq!((shim.hanging("C_EncryptInit"), shim.under_way("C_EncryptInit")), (0, 0));
    });
}

#[test]
fn a_call_that_hangs_late_has_been_done() {
    alone(|hsm| {
        let shim = hsm.shim();
        let context = hsm.initialized(shim.library());
        let slot = hsm.token().slot(&context);
        shim.hang_late("C_OpenSession");
        let hanging = std::thread::spawn({
            let context = context.clone();
            move || drop(context.open_ro_session(slot).unwrap())
        });
        shim.await_hanging("C_OpenSession", 1);
        assert_eq!(shim.sessions(), 1);
        shim.release("C_OpenSession");
        hanging.join().unwrap();
        assert_eq!(shim.sessions(), 0);
    });
}

#[test]
fn calls_fail_as_often_and_as_late_as_was_said() {
    alone(|hsm| {
        let shim = hsm.shim();
        let context = hsm.initialized(shim.library());
        let slot = hsm.token().slot(&context);
        let open = || context.open_ro_session(slot);
        shim.fail("C_OpenSession", Failure::new(CKR_DEVICE_REMOVED).after(1).times(2));
        let answers: Vec<bool> = (0..5).map(|_| open().is_ok()).collect();
        assert_eq!(answers, [true, false, false, true, true]);
        assert_eq!((shim.calls("C_OpenSession"), shim.failed("C_OpenSession")), (5, 2));

        shim.fail("C_OpenSession", Failure::new(CKR_GENERAL_ERROR));
        assert!((0..5).all(|_| rv(open()) == RvError::GeneralError));
        shim.mend("C_OpenSession");
        open().unwrap();
        assert_eq!(shim.sessions(), 0);

        shim.fail("C_OpenSession", Failure::new(CKR_DEVICE_REMOVED).times(1).late());
        assert_eq!(rv(open()), RvError::DeviceRemoved);
        assert_eq!(shim.sessions(), 1, "it was opened nevertheless");
        context.finalize().unwrap();
    });
}

#[test]
fn loading_and_initializing_can_fail() {
    alone(|hsm| {
        let shim = hsm.shim();
        shim.fail("C_GetFunctionList", Failure::new(CKR_GENERAL_ERROR).times(1));
        assert_eq!(rv(cryptoki::context::Pkcs11::new(shim.library())), RvError::GeneralError);
        shim.fail("C_Initialize", Failure::new(CKR_DEVICE_ERROR));
        let context = cryptoki::context::Pkcs11::new(shim.library()).unwrap();
        let flags = cryptoki::context::CInitializeFlags::OS_LOCKING_OK;
        let initialize = || context.initialize(cryptoki::context::CInitializeArgs::new(flags));
        assert_eq!(rv(initialize()), RvError::DeviceError);
        shim.mend("C_Initialize");
        initialize().unwrap();
    });
}

#[test]
fn a_hidden_function_is_not_there() {
    alone(|hsm| {
        hsm.shim().hide("C_SetPIN");
        let context = hsm.initialized(hsm.shim().library());
        let session = hsm.token().session(&context);
        let pin = AuthPin::from(hsm.token().pin());
        assert!(matches!(session.set_pin(&pin, &pin), Err(Error::NullFunctionPointer)));
        assert!(!context.is_fn_supported(cryptoki::context::Function::SetPIN));
        assert!(context.is_fn_supported(cryptoki::context::Function::InitPIN));
    });
}

#[test]
#[should_panic(expected = "'C_Encript' is no function of PKCS#11")]
fn a_name_of_no_function_is_refused() {
    Hsm::new(Module::SoftHsm).shim().hang("C_Encript");
}

#[test]
fn calls_at_once_are_counted_as_such() {
    alone(|hsm| {
        let shim = hsm.shim();
        let context = hsm.initialized(shim.library());
        let slot = hsm.token().slot(&context);
        shim.hang("C_GenerateRandom");
        std::thread::scope(|scope| {
            for _ in 0..3 {
                let session = context.open_ro_session(slot).unwrap();
                scope.spawn(move || session.generate_random_vec(8).unwrap());
            }
            shim.await_hanging("C_GenerateRandom", 3);
            shim.release("C_GenerateRandom");
        });
        assert_eq!((shim.most_under_way("C_GenerateRandom"), shim.under_way("C_GenerateRandom")), (3, 0));
    });
}
