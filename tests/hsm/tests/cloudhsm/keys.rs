//! Keys that are made in the token stay there, and are found by what their names say.

use cryptoki::object::{Attribute, AttributeType, ObjectClass};
use custom_key_store::backend::{
    BackendErrorKind, BackingKeyId, Connection, DescribeKeyRequest, EncryptRequest, GenerateKeyRequest,
    KeySpec, KeyUsages, Operation, RequestId, RequestMetadata,
};
use custom_key_store::cloudhsm::KeyNames;
use custom_key_store::{EncryptionContext, KeyStore, NewKey, StoreName};
use custom_key_store_hsm::{Hsm, Module, Trait, alone, alone_on};
use futures::executor::block_on;

use crate::setup::{cluster, connect};

const ARN: &str = "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";

/// What the connection says of the key of this name.
async fn described(
    connection: &dyn Connection,
    name: &str,
) -> Result<(KeySpec, KeyUsages), Option<BackendErrorKind>> {
    let (id, key) = (RequestId::generate(), BackingKeyId::new(name).unwrap());
    let metadata = RequestMetadata::new("test", &Operation::DESCRIBE_KEY, &id);
    let described = connection.describe_key(&DescribeKeyRequest::new(metadata, &key)).await;
    described.map(|key| (key.spec, key.usages)).map_err(|error| Some(error.kind()))
}

async fn encrypt(connection: &dyn Connection, name: &str) -> Result<(), BackendErrorKind> {
    let (id, key) = (RequestId::generate(), BackingKeyId::new(name).unwrap());
    let metadata = RequestMetadata::new("test", &Operation::ENCRYPT, &id);
    let encrypted = connection.encrypt(&EncryptRequest::new(metadata, &key, b"plaintext")).await;
    encrypted.map(drop).map_err(|error| error.kind())
}

#[test]
fn a_key_of_the_token_encrypts_and_decrypts() {
    alone(|hsm| {
        block_on(async {
            let store = KeyStore::ephemeral(StoreName::new("hsm").unwrap(), cluster(hsm).build().unwrap());
            let store = store.connect().await.unwrap();
            let key = store.create_key(&NewKey::generated()).await.unwrap();
            let context = EncryptionContext::new([("tenant", "blue")]).unwrap();
            let blob = store.encrypt(&key.key_id, b"attack at dawn", &context).await.unwrap();
            let opened = store.decrypt(blob.as_bytes(), &context).await.unwrap();
            assert_eq!(opened.expose(), b"attack at dawn");
            assert_eq!(store.generate_random(40).await.unwrap().len(), 40);
            let _ = store.disconnect().await;

            let found = hsm.token().keys();
            assert_eq!(found.len(), 1);
            assert_eq!(found[0].label, key.arn.as_str());
            assert_eq!(found[0].id.len(), 16);
        });
    });
}

#[test]
fn nobody_gets_a_key_out_of_the_token() {
    alone(|hsm| {
        let id = RequestId::generate();
        let made = block_on(async {
            let connection = connect(&cluster(hsm).build().unwrap()).await.unwrap();
            let metadata = RequestMetadata::new("test", &Operation::CREATE_KEY, &id);
            let made = connection.generate_key(&GenerateKeyRequest::new(metadata, ARN)).await.unwrap();
            connection.close().await.unwrap();
            made.key
        });
        // By the user himself, with the library alone.
        let context = hsm.initialized(hsm.library());
        let session = hsm.token().session(&context);
        let keys = session.find_objects(&[Attribute::Class(ObjectClass::SECRET_KEY)]).unwrap();
        let [key] = keys[..] else { panic!("{keys:?}") };
        let wanted = [
            AttributeType::Id,
            AttributeType::Sensitive,
            AttributeType::Extractable,
            AttributeType::NeverExtractable,
            AttributeType::Token,
            AttributeType::Private,
        ];
        for attribute in session.get_attributes(key, &wanted).unwrap() {
            match attribute {
                Attribute::Id(bytes) => {
                    let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
                    assert_eq!(digits, made.as_str());
                }
                Attribute::Extractable(extractable) => assert!(!extractable),
                Attribute::Sensitive(yes)
                | Attribute::NeverExtractable(yes)
                | Attribute::Token(yes)
                | Attribute::Private(yes) => assert!(yes, "{attribute:?}"),
                other => panic!("{other:?}"),
            }
        }
        let value = session.get_attributes(key, &[AttributeType::Value]).unwrap();
        assert!(value.is_empty(), "the token gave the key out");
        // Neither may it be wrapped under another key, which is how one gets a key out that is not sensitive.
        session.update_attributes(key, &[Attribute::Extractable(true)]).unwrap_err();
        session.update_attributes(key, &[Attribute::Sensitive(false)]).unwrap_err();
    });
}

#[test]
fn keys_are_described_as_they_are() {
    alone(|hsm| {
        let token = hsm.token();
        token.plant_key("good", &[1; 16], 256);
        token.plant_key("short", &[2; 16], 128);
        token.plant_odd_key("encrypts", &[3; 16], 256, &[Trait::CannotDecrypt]);
        token.plant_odd_key("generic", &[4; 16], 256, &[Trait::Generic]);
        block_on(async {
            let connection = connect(&cluster(hsm).build().unwrap()).await.unwrap();
            let name = |byte: &str| byte.repeat(16);
            let spec = |found: Result<(KeySpec, KeyUsages), _>| found.unwrap().0;
            let good = described(&*connection, &name("01")).await;
            assert_eq!(good, Ok((KeySpec::Aes256, KeyUsages::ENCRYPT_DECRYPT)));
            assert_eq!(
                spec(described(&*connection, &name("02")).await),
                KeySpec::Other("AES_128".to_owned())
            );
            let encrypts = described(&*connection, &name("03")).await;
            assert_eq!(encrypts, Ok((KeySpec::Aes256, KeyUsages::ENCRYPT)));
            assert_ne!(spec(described(&*connection, &name("04")).await), KeySpec::Aes256);
            let none = Err(Some(BackendErrorKind::KeyNotFound));
            // Of no such id, of upper-case digits, of half a byte, and of no digits: nothing of the kind is there.
            for name in [name("05"), "0A".repeat(16), "0".to_owned(), "good".to_owned()] {
                assert_eq!(described(&*connection, &name).await, none, "{name}");
            }
        });
    });
}

#[test]
fn two_keys_of_one_name_are_an_error_and_not_a_choice() {
    alone(|hsm| {
        let token = hsm.token();
        token.plant_key("twin", &[1; 16], 256);
        token.plant_key("twin", &[1; 16], 256);
        token.plant_key("single", &[2; 16], 256);
        block_on(async {
            let two = Err(Some(BackendErrorKind::InvalidKeyState));
            let connection = connect(&cluster(hsm).build().unwrap()).await.unwrap();
            assert_eq!(described(&*connection, &"01".repeat(16)).await, two);
            connection.close().await.unwrap();

            let by_label = cluster(hsm).key_names(KeyNames::Label).build().unwrap();
            let connection = connect(&by_label).await.unwrap();
            assert_eq!(described(&*connection, "twin").await, two);
            assert_eq!(described(&*connection, "single").await.unwrap().0, KeySpec::Aes256);
            let id = RequestId::generate();
            let metadata = RequestMetadata::new("test", &Operation::CREATE_KEY, &id);
            let made = connection.generate_key(&GenerateKeyRequest::new(metadata, ARN)).await;
            assert_eq!(made.unwrap_err().kind(), BackendErrorKind::Unsupported);
        });
    });
}

#[test]
fn a_key_is_looked_for_once() {
    alone(|hsm| {
        hsm.token().plant_key("good", &[1; 16], 256);
        block_on(async {
            let connection = connect(&cluster(hsm).build().unwrap()).await.unwrap();
            let (id, key) = (RequestId::generate(), BackingKeyId::new("01".repeat(16)).unwrap());
            let metadata = RequestMetadata::new("test", &Operation::ENCRYPT, &id);
            for _ in 0..20 {
                let request = EncryptRequest::new(metadata, &key, b"plaintext").unverified();
                connection.encrypt(&request).await.unwrap();
            }
        });
        assert_eq!(hsm.shim().calls("C_FindObjectsInit"), 1);
        assert_eq!(hsm.shim().calls("C_EncryptInit"), 20);
        assert_eq!(hsm.shim().calls("C_DecryptInit"), 0);
    });
}

/// On a module that says that the handle of the old one is invalid, and on one that only says that something is wrong.
fn finds_anew(hsm: &Hsm) {
    hsm.token().plant_key("old", &[1; 16], 256);
    block_on(async {
        let connection = connect(&cluster(hsm).build().unwrap()).await.unwrap();
        let name = "01".repeat(16);
        encrypt(&*connection, &name).await.unwrap();
        hsm.token().destroy_key(&[1; 16]);
        assert_eq!(encrypt(&*connection, &name).await, Err(BackendErrorKind::KeyNotFound));
        hsm.token().plant_key("new", &[1; 16], 256);
        encrypt(&*connection, &name).await.unwrap();
    });
}

#[test]
fn a_key_that_was_made_anew_under_its_id_is_found_anew() {
    alone(|hsm| {
        finds_anew(hsm);
    });
}

#[test]
fn a_key_that_was_made_anew_is_found_anew_on_another_module() {
    alone_on(Module::Kryoptic, |hsm| {
        finds_anew(hsm);
    });
}
