//! Calls on a connection, in fewer words.

use std::time::{Duration, Instant};

use custom_key_store::SecretBytes;
use custom_key_store::backend::{
    BackendErrorKind, BackingKeyId, Ciphertext, Connection, DecryptRequest, DeleteKeyRequest,
    DescribeKeyRequest, EncryptRequest, GenerateKeyRequest, GenerateRandomRequest, Health, HealthRequest,
    KeySpec, Operation, RequestId, RequestMetadata,
};
use custom_key_store_hsm::Hsm;

pub(crate) const ARN: &str = "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";
pub(crate) const TEXT: &[u8] = b"attack at dawn";

/// What a connection answers, or the kind of its error.
pub(crate) type Told<T> = Result<T, BackendErrorKind>;

/// The name of the key whose `CKA_ID` is sixteen such bytes.
pub(crate) fn name(byte: u8) -> BackingKeyId {
    BackingKeyId::new(format!("{byte:02x}").repeat(16)).unwrap()
}

const fn metadata<'a>(operation: &'a Operation, id: &'a RequestId) -> RequestMetadata<'a> {
    RequestMetadata::new("test", operation, id)
}

/// Encrypts [`TEXT`] without verifying it.
pub(crate) async fn encrypt(connection: &dyn Connection, key: u8) -> Told<Ciphertext> {
    let (id, key) = (RequestId::generate(), name(key));
    let request = EncryptRequest::new(metadata(&Operation::ENCRYPT, &id), &key, TEXT).unverified();
    connection.encrypt(&request).await.map_err(|error| error.kind())
}

/// Encrypts [`TEXT`] and has the connection see that it can be decrypted.
pub(crate) async fn encrypt_verified(connection: &dyn Connection, key: u8) -> Told<Ciphertext> {
    let (id, key) = (RequestId::generate(), name(key));
    let request = EncryptRequest::new(metadata(&Operation::ENCRYPT, &id), &key, TEXT);
    connection.encrypt(&request).await.map_err(|error| error.kind())
}

pub(crate) async fn decrypt(
    connection: &dyn Connection,
    key: u8,
    ciphertext: &Ciphertext,
) -> Told<SecretBytes> {
    let (id, key) = (RequestId::generate(), name(key));
    let request = DecryptRequest::new(metadata(&Operation::DECRYPT, &id), &key, ciphertext);
    connection.decrypt(&request).await.map(|decrypted| decrypted.plaintext).map_err(|error| error.kind())
}

pub(crate) async fn describe(connection: &dyn Connection, key: u8) -> Told<KeySpec> {
    let (id, key) = (RequestId::generate(), name(key));
    let request = DescribeKeyRequest::new(metadata(&Operation::DESCRIBE_KEY, &id), &key);
    connection.describe_key(&request).await.map(|key| key.spec).map_err(|error| error.kind())
}

pub(crate) async fn generate(connection: &dyn Connection) -> Told<BackingKeyId> {
    let id = RequestId::generate();
    let request = GenerateKeyRequest::new(metadata(&Operation::CREATE_KEY, &id), ARN);
    connection.generate_key(&request).await.map(|made| made.key).map_err(|error| error.kind())
}

pub(crate) async fn delete(connection: &dyn Connection, key: &BackingKeyId) -> Told<()> {
    let id = RequestId::generate();
    let request = DeleteKeyRequest::new(metadata(&Operation::DELETE_KEY, &id), key);
    connection.delete_key(&request).await.map_err(|error| error.kind())
}

pub(crate) async fn random(connection: &dyn Connection) -> Told<usize> {
    let id = RequestId::generate();
    let request = GenerateRandomRequest::new(metadata(&Operation::GENERATE_RANDOM, &id), 32);
    connection.generate_random(&request).await.map(|bytes| bytes.len()).map_err(|error| error.kind())
}

pub(crate) async fn health(connection: &dyn Connection) -> Told<Health> {
    let id = RequestId::generate();
    let request = HealthRequest::new(metadata(&Operation::HEALTH_CHECK, &id));
    connection.health(&request).await.map_err(|error| error.kind())
}

/// All that a connection can be asked for goes well.
pub(crate) async fn all_is_well(connection: &dyn Connection, key: u8) {
    assert_eq!(describe(connection, key).await, Ok(KeySpec::Aes256));
    let sealed = encrypt_verified(connection, key).await.unwrap();
    assert_eq!(decrypt(connection, key, &sealed).await.unwrap().expose(), TEXT);
    assert_eq!(random(connection).await, Ok(32));
    health(connection).await.unwrap();
}

/// Starts the HSM again, while nobody calls it: SoftHSM does not survive the end of a session that is in use.
pub(crate) fn restart(hsm: &Hsm) {
    hsm.shim().lose_sessions();
    // Any call will do.
    drop(hsm.initialized(hsm.shim().library()));
}

/// Waits for something that other threads do, on a runtime of tokio that goes on meanwhile.
#[track_caller]
pub(crate) fn until(condition: impl Fn() -> bool) -> impl Future<Output = ()> {
    let (start, place) = (Instant::now(), std::panic::Location::caller());
    async move {
        while !condition() {
            assert!(start.elapsed() < Duration::from_secs(20), "{place}: it did not come true");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

/// Runs it on a runtime with one thread, which whatever blocks holds up.
pub(crate) fn on_one_thread(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(test);
}
