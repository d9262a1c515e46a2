//! How to test a program against a key manager that fails half way: a mock of the key manager, and a program
//! that copes.
//!
//! In a program of your own the mocks come with a dev-dependency:
//! `custom-key-store = { version = "0.1", features = ["mock"] }`; what `main` does here is what a test does there.
//!
//! ```text
//! cargo run --example mocking
//! ```
#![expect(clippy::print_stdout, reason = "an example shows what happens")]

use std::error::Error;
use std::sync::Arc;

use custom_key_store::backend::{
    AccessKeyId, BackendErrorKind, BackingKeyId, Ciphertext, Closed, EncryptRequest, InitializationVector,
    KeyDescription, KeySpec, KeyStatus, KeyUsages, MockBackend, MockConnection, StoreConfiguration,
    UriEndpoint, UriPath, XksProxyConfiguration,
};
use custom_key_store::{
    CiphertextBlob, EncryptionContext, Handle, InvalidValue, KeyId, KeyStore, NewKey, StoreName,
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let store = KeyStore::ephemeral(StoreName::new("root keys")?, key_manager_that_fails_half_way()?);
    let store = store.connect().await?;
    println!("{}: {}", store.name(), store.state());

    let key = store.create_key(&NewKey::external(BackingKeyId::new("root")?)).await?.key_id;
    let sealed = seal_all(&store.handle(), &key, &["alpha", "beta", "gamma"]).await?;
    assert_eq!(sealed.len(), 3);

    // The key manager is unwell, and the store is connected still: that is for its owner to decide.
    println!("{}: {}", store.name(), store.state());
    let store = store.disconnect().await;
    println!("{}: {}", store.name(), store.state());
    if let Some(report) = store.disconnect_report() {
        println!("  {report}");
    }
    Ok(())
}

/// The program under test: seals records, and tries each again when there is hope.
async fn seal_all(
    handle: &Handle,
    key: &KeyId,
    records: &[&str],
) -> Result<Vec<CiphertextBlob>, custom_key_store::Error> {
    const TRIES: u32 = 3;

    let context = EncryptionContext::none();
    let mut sealed = Vec::new();
    for record in records {
        let mut tries = 1;
        let blob = loop {
            match handle.encrypt(key, record.as_bytes(), &context).await {
                Ok(blob) => break blob,
                // `is_retryable` is never true of a store that somebody has disconnected: that is a decision.
                Err(error) if error.is_retryable() && tries < TRIES => {
                    println!("  {record}: {:?}, once more", error.kind());
                    tries += 1;
                }
                Err(error) => return Err(error),
            }
        };
        println!("  {record}: sealed, {} bytes", blob.as_bytes().len());
        sealed.push(blob);
    }
    Ok(sealed)
}

/// The test double. When it is dropped, it panics unless all that it expects has happened.
fn key_manager_that_fails_half_way() -> Result<MockBackend, InvalidValue> {
    let iv = InitializationVector::new(&[0; 12])?;
    let usable = KeyDescription::new(KeySpec::Aes256, KeyUsages::ENCRYPT_DECRYPT, KeyStatus::Enabled);
    let mut connection = MockConnection::new();
    // A KMS key refers to a key that the key manager has.
    connection.expect_describe_key().times(1).return_const(Ok(usable));
    // Expectations of one method are met in the order in which they are made. A request borrows what it carries:
    // where a closure stands, the compiler finds its lifetime.
    connection.expect_encrypt().times(1).returning(move |request| Ok(backwards(request, iv)));
    connection.expect_encrypt().times(1).returning(|_| Err(BackendErrorKind::TimedOut.into()));
    connection.expect_encrypt().times(1).returning(|_| Err(BackendErrorKind::Unreachable.into()));
    connection
        .expect_encrypt()
        // The key manager of an external key store never sees a record: what it encrypts is encrypted already.
        .withf(|request| request.key.as_str() == "root" && !request.plaintext.starts_with(b"beta"))
        .times(2)
        .returning(move |request| Ok(backwards(request, iv)));
    // However badly it went, a store says goodbye once.
    connection.expect_close().times(1).returning(|| Ok(Closed::new()));

    let configuration = StoreConfiguration::External(XksProxyConfiguration::public(
        UriEndpoint::new("https://xks.example.com")?,
        UriPath::new("/kms/xks/v1")?,
        AccessKeyId::new("AKIDOFATEST222222222")?,
    ));
    let mut backend = MockBackend::new();
    backend.expect_configuration().return_const(configuration);
    backend.expect_connect().return_once(|_| Ok(Arc::new(connection)));
    Ok(backend)
}

/// No encryption at all, which is enough for a double.
fn backwards(request: &EncryptRequest<'_>, iv: InitializationVector) -> Ciphertext {
    Ciphertext::new(request.plaintext.iter().rev().copied().collect(), iv, [0; 16])
}
