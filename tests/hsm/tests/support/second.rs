//! Kryoptic does what SoftHSM does, and is there to show where they differ.

use cryptoki::error::RvError;
use cryptoki::object::Attribute;
use cryptoki::session::UserType;
use cryptoki::types::AuthPin;
use custom_key_store_hsm::{Module, alone_on};

use crate::{decrypt, encrypt, key, rv};

#[test]
fn another_module_encrypts() {
    alone_on(Module::Kryoptic, |hsm| {
        let context = hsm.initialized(hsm.library());
        assert_eq!(context.get_library_info().unwrap().manufacturer_id(), "Kryoptic");
        let session = hsm.token().session(&context);
        let key = key(&session);
        let mut sealed = encrypt(&session, key, &mut [7; 12]).unwrap();
        assert_eq!(decrypt(&session, key, &mut [7; 12], &sealed).unwrap(), b"plaintext");
        sealed[0] ^= 1;
        assert_eq!(rv(decrypt(&session, key, &mut [7; 12], &sealed)), RvError::EncryptedDataInvalid);
    });
}

#[test]
fn its_calls_can_go_through_the_shim() {
    alone_on(Module::Kryoptic, |hsm| {
        let context = hsm.initialized(hsm.shim().library());
        let session = hsm.token().session(&context);
        let key = key(&session);
        hsm.shim().choose_iv();
        let mut iv = [0; 12];
        let sealed = encrypt(&session, key, &mut iv).unwrap();
        assert_ne!(iv, [0; 12]);
        assert_eq!(decrypt(&session, key, &mut iv, &sealed).unwrap(), b"plaintext");
        assert_eq!((hsm.shim().calls("C_Login"), hsm.shim().calls("C_Encrypt")), (1, 2));
    });
}

#[test]
fn its_tokens_are_changed_by_others() {
    alone_on(Module::Kryoptic, |hsm| {
        let second = hsm.another("second");
        let context = hsm.initialized(hsm.library());
        assert_ne!(second.slot(&context), hsm.token().slot(&context));
        let session = hsm.token().session(&context);
        let template = [Attribute::Id(b"1".to_vec())];
        hsm.token().plant_key("key", b"1", 256);
        assert_eq!((hsm.token().keys().len(), second.keys().len()), (1, 0));
        assert_eq!(session.find_objects(&template).unwrap().len(), 1);
        hsm.token().destroy_key(b"1");
        assert_eq!(session.find_objects(&template).unwrap(), []);
    });
}

#[test]
fn its_user_gets_another_pin_at_once() {
    alone_on(Module::Kryoptic, |hsm| {
        let context = hsm.initialized(hsm.library());
        let token = hsm.token();
        for (from_elsewhere, pin) in [(true, "another-pin"), (false, "one-more-pin")] {
            let old = AuthPin::from(token.pin());
            drop(token.session(&context));
            if from_elsewhere {
                token.set_pin_as_officer(pin);
            } else {
                token.set_pin_here(&context, pin);
            }
            let session = context.open_rw_session(token.slot(&context)).unwrap();
            assert_eq!(rv(session.login(UserType::User, Some(&old))), RvError::PinIncorrect);
            drop(session);
            drop(token.session(&context));
        }
    });
}
