//! What a process of its own does to a token, since whoever does it in the process of the test does it to the test's
//! own sessions: who is logged in is the same for all of them.
//!
//! That process is the test's program once more, with the same test and an errand in its environment: see `alone.rs`.

use std::path::Path;

use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass};
use cryptoki::session::{Session, UserType};
use cryptoki::types::{AuthPin, Ulong};

use crate::alone;
use crate::hsm::Hsm;
use crate::token::{Found, Token, Trait, hex, unhex};

#[derive(Debug)]
pub(crate) enum Errand {
    SetPin { so_pin: String, pin: String },
    Plant { pin: String, label: String, id: Vec<u8>, bits: u64, traits: Vec<Trait> },
    PlantValue { pin: String, label: String, id: Vec<u8>, value: Vec<u8> },
    Destroy { pin: String, id: Vec<u8> },
    List { pin: String },
    Try { pin: String },
}

impl Errand {
    /// Has it done to the token with this label, and gives the answer.
    pub(crate) fn send(self, home: &Path, token: &str) -> String {
        let words = match self {
            Self::SetPin { so_pin, pin } => vec!["set-pin".to_owned(), so_pin, pin],
            Self::Plant { pin, label, id, bits, traits } => {
                let mut words = vec!["plant".to_owned(), pin, label, hex(&id), bits.to_string()];
                words.extend(traits.iter().map(|one| format!("{one:?}")));
                words
            }
            Self::PlantValue { pin, label, id, value } => {
                vec!["plant-value".to_owned(), pin, label, hex(&id), hex(&value)]
            }
            Self::Destroy { pin, id } => vec!["destroy".to_owned(), pin, hex(&id)],
            Self::List { pin } => vec!["list".to_owned(), pin],
            Self::Try { pin } => vec!["try".to_owned(), pin],
        };
        assert!(
            words.iter().all(|word| !word.contains('\n')),
            "an errand is one line for each word: {words:?}"
        );
        alone::elsewhere(home, &format!("{token}\n{}", words.join("\n")))
    }
}

/// Does what [`Errand::send`] wrote.
pub(crate) fn run(hsm: &Hsm, home: &Path, errand: &str) -> String {
    let words: Vec<&str> = errand.split('\n').collect();
    let (label, words) = words.split_first().unwrap();
    let context = hsm.initialized(hsm.library());
    let token = Token::at(home, label);
    let session = context.open_rw_session(token.slot(&context)).unwrap();
    let log_in = |user, pin: &str| session.login(user, Some(&AuthPin::from(pin.to_owned()))).unwrap();
    match words {
        ["set-pin", so_pin, pin] => {
            log_in(UserType::So, so_pin);
            session.init_pin(&AuthPin::from((*pin).to_owned())).unwrap();
            String::new()
        }
        ["plant", pin, label, id, bits, traits @ ..] => {
            log_in(UserType::User, pin);
            plant(&session, label, unhex(id), bits.parse().unwrap(), traits);
            String::new()
        }
        ["plant-value", pin, label, id, value] => {
            log_in(UserType::User, pin);
            plant_value(&session, label, unhex(id), unhex(value));
            String::new()
        }
        ["destroy", pin, id] => {
            log_in(UserType::User, pin);
            let found = session.find_objects(&[secret(), Attribute::Id(unhex(id))]).unwrap();
            assert!(!found.is_empty(), "there is no key {id} to destroy");
            found.into_iter().for_each(|key| session.destroy_object(key).unwrap());
            String::new()
        }
        ["list", pin] => {
            log_in(UserType::User, pin);
            list(&session)
        }
        ["try", pin] => match session.login(UserType::User, Some(&AuthPin::from((*pin).to_owned()))) {
            Ok(()) => "accepted".to_owned(),
            Err(Error::Pkcs11(RvError::PinIncorrect, _)) => "refused".to_owned(),
            Err(error) => panic!("C_Login: {error}"),
        },
        _ => panic!("no errand: {words:?}"),
    }
}

fn plant(session: &Session, label: &str, id: Vec<u8>, bits: u64, traits: &[&str]) {
    let traits: Vec<Trait> =
        Trait::ALL.into_iter().filter(|one| traits.contains(&format!("{one:?}").as_str())).collect();
    let has = |one| traits.contains(&one);
    let mechanism = if has(Trait::Generic) { Mechanism::GenericSecretKeyGen } else { Mechanism::AesKeyGen };
    let template = [
        Attribute::Token(true),
        Attribute::Private(!has(Trait::Public)),
        Attribute::Sensitive(!has(Trait::NotSensitive)),
        Attribute::Extractable(has(Trait::Extractable)),
        Attribute::Encrypt(!has(Trait::CannotEncrypt)),
        Attribute::Decrypt(!has(Trait::CannotDecrypt)),
        Attribute::ValueLen(Ulong::from(bits / 8)),
        Attribute::KeyType(if has(Trait::Generic) { KeyType::GENERIC_SECRET } else { KeyType::AES }),
        Attribute::Label(label.as_bytes().to_vec()),
        Attribute::Id(id),
    ];
    session.generate_key(&mechanism, &template).unwrap();
}

fn plant_value(session: &Session, label: &str, id: Vec<u8>, value: Vec<u8>) {
    let template = [
        secret(),
        Attribute::KeyType(KeyType::AES),
        Attribute::Token(true),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Encrypt(true),
        Attribute::Decrypt(true),
        Attribute::Value(value),
        Attribute::Label(label.as_bytes().to_vec()),
        Attribute::Id(id),
    ];
    session.create_object(&template).unwrap();
}

fn list(session: &Session) -> String {
    let mut lines = Vec::new();
    for key in session.find_objects(&[secret()]).unwrap() {
        let mut found = Found { label: String::new(), id: Vec::new() };
        for attribute in session.get_attributes(key, &[AttributeType::Label, AttributeType::Id]).unwrap() {
            match attribute {
                Attribute::Label(label) => found.label = String::from_utf8(label).unwrap(),
                Attribute::Id(id) => found.id = id,
                _ => {}
            }
        }
        lines.push(found.print());
    }
    lines.join("\n")
}

const fn secret() -> Attribute {
    Attribute::Class(ObjectClass::SECRET_KEY)
}
