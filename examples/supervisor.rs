//! One task owns the store, four encrypt through handles, and an operator disconnects: nothing is lost and
//! nothing is half done, and the report accounts for every call.
//!
//! ```text
//! cargo run --example supervisor
//! ```
#![expect(clippy::print_stdout, reason = "an example shows what happens")]

use std::error::Error;
use std::time::Duration;

use custom_key_store::backend::BackingKeyId;
use custom_key_store::backend::software::{Fault, KeyManager, Method};
use custom_key_store::{
    CiphertextBlob, EncryptionContext, ErrorKind, Handle, KeyId, KeyStore, NewKey, StoreName,
};
use tokio::sync::oneshot;

/// What one worker has to show when the store is gone.
struct Harvest {
    blobs: Vec<(Vec<u8>, CiphertextBlob)>,
    revoked: u32,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let manager = KeyManager::new();
    let external = BackingKeyId::new("orders")?;
    manager.create_key(external.clone());
    // A key manager across the network: every call takes two milliseconds.
    manager.always(Method::Encrypt, Fault::Delay(Duration::from_millis(2)));

    let store = KeyStore::ephemeral(StoreName::new("orders")?, manager.clone()).connect().await?;
    let key = store.create_key(&NewKey::external(external)).await?.key_id;
    println!("the owner connected the store; four workers begin");
    let workers: Vec<_> = (0..4_u8).map(|number| tokio::spawn(work(number, store.handle(), key))).collect();

    // The owner waits for the operator. Only it can disconnect, and it needs nobody's consent.
    let (operator, order) = oneshot::channel();
    let owner = tokio::spawn(async move {
        // An operator who is gone gives no order; the store is disconnected all the same.
        let _ = order.await;
        store.disconnect().await
    });

    tokio::time::sleep(Duration::from_millis(100)).await;
    println!("the operator orders: disconnect");
    let _ = operator.send(());

    let store = owner.await?;
    let report = store.disconnect_report().ok_or("a disconnected store has a report")?.clone();
    println!("the owner reports: {report}\n");

    // Connect again and look at what the workers hold: every answer they were given is whole.
    manager.heal();
    let store = store.connect().await?;
    let context = EncryptionContext::none();
    let mut whole = 0;
    for (number, worker) in workers.into_iter().enumerate() {
        let harvest = worker.await??;
        for (plaintext, blob) in &harvest.blobs {
            assert_eq!(store.decrypt(blob.as_bytes(), &context).await?.expose(), plaintext);
            whole += 1;
        }
        println!(
            "worker {number}: {} orders encrypted, every one decrypts; {} refused as not connected",
            harvest.blobs.len(),
            harvest.revoked
        );
    }
    println!("{whole} in all; abandoned: {}", report.abandoned);
    store.disconnect().await;
    Ok(())
}

/// Encrypts until the store is disconnected. An order that was refused would be kept for later.
async fn work(number: u8, handle: Handle, key: KeyId) -> Result<Harvest, custom_key_store::Error> {
    let context = EncryptionContext::none();
    let mut harvest = Harvest { blobs: Vec::new(), revoked: 0 };
    for order in 0_u32.. {
        let plaintext = format!("order {order} of worker {number}").into_bytes();
        match handle.encrypt(&key, &plaintext, &context).await {
            Ok(blob) => harvest.blobs.push((plaintext, blob)),
            Err(error) if error.kind() == ErrorKind::NotConnected => {
                harvest.revoked += 1;
                break;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(harvest)
}
