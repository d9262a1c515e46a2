//! Tokens are made, changed by others, and taken away.

use cryptoki::error::RvError;
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeType, KeyType};
use cryptoki::session::UserType;
use cryptoki::types::AuthPin;
use custom_key_store_hsm::{Found, Trait, alone};

use crate::{decrypt, encrypt, rv};

#[test]
fn a_token_is_there_and_its_user_logs_in() {
    alone(|hsm| {
        let context = hsm.initialized(hsm.library());
        let session = hsm.token().session(&context);
        let key = crate::key(&session);
        let sealed = encrypt(&session, key, &mut [7; 12]).unwrap();
        assert_eq!(decrypt(&session, key, &mut [7; 12], &sealed).unwrap(), b"plaintext");
    });
}

#[test]
fn there_can_be_more_tokens() {
    alone(|hsm| {
        let second = hsm.another("second");
        let context = hsm.initialized(hsm.library());
        assert_ne!(second.slot(&context), hsm.token().slot(&context));
        assert_ne!(second.folder(), hsm.token().folder());
        second.plant_key("theirs", b"1", 256);
        assert_eq!(second.keys().len(), 1);
        assert_eq!(hsm.token().keys(), []);
        drop(second.session(&context));
    });
}

#[test]
fn what_others_plant_and_destroy_is_seen_by_a_session_that_is_open() {
    alone(|hsm| {
        let context = hsm.initialized(hsm.library());
        let session = hsm.token().session(&context);
        hsm.token().plant_key("first key", &[0, 255], 256);
        hsm.token().plant_key("second key", &[1], 128);
        let mut found = hsm.token().keys();
        found.sort();
        let expected = [("first key", vec![0, 255]), ("second key", vec![1])];
        assert_eq!(found, expected.map(|(label, id)| Found { label: label.to_owned(), id }));

        let template = [Attribute::Id(vec![0, 255])];
        let [key] = session.find_objects(&template).unwrap()[..] else { panic!("it is not there") };
        encrypt(&session, key, &mut [7; 12]).unwrap();
        hsm.token().destroy_key(&[0, 255]);
        assert_eq!(session.find_objects(&template).unwrap(), []);
        assert_eq!(rv(encrypt(&session, key, &mut [7; 12])), RvError::ObjectHandleInvalid);
    });
}

#[test]
fn a_planted_key_can_be_odd() {
    alone(|hsm| {
        use Attribute as A;
        let odd = [
            (Trait::CannotEncrypt, A::Encrypt(false)),
            (Trait::CannotDecrypt, A::Decrypt(false)),
            (Trait::Extractable, A::Extractable(true)),
            (Trait::NotSensitive, A::Sensitive(false)),
            (Trait::Public, A::Private(false)),
            (Trait::Generic, A::KeyType(KeyType::GENERIC_SECRET)),
        ];
        hsm.token().plant_key("usual", b"u", 256);
        for (id, (odd, _)) in (0_u8..).zip(&odd) {
            hsm.token().plant_odd_key("odd", &[id], 256, &[*odd]);
        }
        let context = hsm.initialized(hsm.library());
        let session = hsm.token().session(&context);
        for (id, (odd, attribute)) in (0_u8..).zip(odd) {
            let [key] = session.find_objects(&[attribute]).unwrap()[..] else { panic!("{odd:?}: not one") };
            let ids = session.get_attributes(key, &[AttributeType::Id]).unwrap();
            assert_eq!(ids, [A::Id(vec![id])], "{odd:?}");
        }
    });
}

#[test]
fn the_officer_gives_the_user_another_pin_while_nobody_is_logged_in() {
    alone(|hsm| {
        let context = hsm.initialized(hsm.library());
        let token = hsm.token();
        let first = token.pin();
        drop(token.session(&context));
        token.set_pin_here(&context, "another-pin");
        let session = context.open_rw_session(token.slot(&context)).unwrap();
        let old = session.login(UserType::User, Some(&AuthPin::from(first)));
        assert_eq!(rv(old), RvError::PinIncorrect);
        drop(session);
        assert_eq!(token.pin(), "another-pin");
        drop(token.session(&context));
    });
}

#[test]
fn the_officer_gives_the_user_another_pin_from_elsewhere() {
    alone(|hsm| {
        let context = hsm.initialized(hsm.library());
        let token = hsm.token();
        let first = token.pin();
        drop(token.session(&context));
        token.set_pin_as_officer("another-pin");
        // The old one would do until SoftHSM is initialized anew.
        context.finalize().unwrap();
        let context = hsm.initialized(hsm.library());
        let session = context.open_rw_session(token.slot(&context)).unwrap();
        let old = session.login(UserType::User, Some(&AuthPin::from(first)));
        assert_eq!(rv(old), RvError::PinIncorrect);
        drop(session);
        drop(token.session(&context));
        token.plant_key("key", b"1", 256);
    });
}

#[test]
fn a_removed_token_has_nothing_any_more() {
    alone(|hsm| {
        let context = hsm.initialized(hsm.library());
        let slot = hsm.token().slot(&context);
        let session = hsm.token().session(&context);
        hsm.token().plant_key("key", b"1", 256);
        assert_eq!(session.find_objects(&[]).unwrap().len(), 1);
        hsm.token().remove();
        assert_eq!(session.find_objects(&[]).unwrap(), []);
        assert_eq!(rv(context.get_token_info(slot)), RvError::GeneralError);
        let template = [Attribute::Token(true), Attribute::ValueLen(32_u64.into())];
        assert_eq!(rv(session.generate_key(&Mechanism::AesKeyGen, &template)), RvError::GeneralError);
        drop(session);
        context.finalize().unwrap();
        let context = hsm.initialized(hsm.library());
        assert_eq!(context.get_slots_with_initialized_token().unwrap(), []);
    });
}
