//! The life of one custom key store, on a key manager in memory: every state, a round trip, a failure with its
//! code and advice, and the way back.
//!
//! ```text
//! cargo run --example quickstart
//! ```
#![expect(clippy::print_stdout, reason = "an example shows what happens")]

use std::error::Error;

use custom_key_store::backend::software::{Fault, KeyManager, Method};
use custom_key_store::backend::{BackingKeyId, ConnectionErrorCode, UriPath};
use custom_key_store::backend::{LiveChange, XksProxyConnectivity};
use custom_key_store::{
    Disconnected, EncryptionContext, ErrorKind, KeyStore, State, StoreBuilder, StoreName,
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // Stands in for a key manager that somebody else controls. It has one key, and will refuse us when it is told to.
    let manager = KeyManager::new();
    let key = BackingKeyId::new("payroll")?;
    manager.create_key(key.clone());
    manager.inject(Method::Connect, Fault::Refuse(ConnectionErrorCode::XksProxyInvalidTlsConfiguration));

    let store = settings(&manager)?.build();
    show("a new store", &store);

    let report = probe_first(&manager).await;
    println!("      a dry run says: {report}\n");

    // The first attempt fails. The store is not lost: the error holds it.
    manager.inject(Method::Connect, Fault::Refuse(ConnectionErrorCode::XksProxyNotReachable));
    let connecting = store.connect();
    show("connect()", &connecting);
    let failed = match connecting.await {
        Err(error) => error.into_store(),
        Ok(_) => return Err("the key manager was told to refuse".into()),
    };
    show("the attempt is over", &failed);
    println!("      code:   {}", failed.error_code());
    println!("      means:  {}", failed.error_code().meaning());
    println!("      do:     {}", failed.advice().action);
    println!("      by:     {}\n", failed.advice().by);

    // The way back: a failed store is disconnected first. (`failed.connect()` does not compile.)
    let store = failed.disconnect().await;
    show("disconnect().await", &store);

    let mut store = store.connect().await?;
    show("connect().await", &store);

    let context = EncryptionContext::new([("tenant", "blue"), ("purpose", "backup")])?;
    let secret = b"attack at dawn";
    let ciphertext = store.encrypt(&key, secret, &context).await?;
    let plaintext = store.decrypt(&key, &ciphertext, &context).await?;
    assert_eq!(plaintext.expose(), secret);
    println!("      {} bytes made the round trip under {key}, context {context:?}", plaintext.len());

    let wrong = EncryptionContext::new([("tenant", "red"), ("purpose", "backup")])?;
    let refused = store.decrypt(&key, &ciphertext, &wrong).await.err();
    assert_eq!(refused.as_ref().map(custom_key_store::Error::kind), Some(ErrorKind::InvalidCiphertext));
    println!("      with another context: {}", refused.map(|e| e.to_string()).unwrap_or_default());

    // What may change while the store is used, does so without failing a call.
    store.update(LiveChange::new().uri_path(UriPath::new("/tenant-blue/kms/xks/v1")?)).await?;
    println!("      path changed while connected; health: {}\n", store.health().await?.status());

    let handle = store.handle();
    let disconnecting = store.disconnect();
    show("disconnect()", &disconnecting);
    let refused = handle.encrypt(&key, secret, &context).await.err();
    println!("      a handle in another task: {}", refused.map(|e| e.to_string()).unwrap_or_default());
    let store = disconnecting.await;
    show("and awaited", &store);
    if let Some(report) = store.disconnect_report() {
        println!("      {report}");
    }
    println!("\nas DescribeCustomKeyStores prints it:");
    println!("{}", serde_json::to_string_pretty(&store.describe())?);

    let connectivity = store.describe().xks_proxy_configuration.map(|proxy| proxy.connectivity);
    assert_eq!(connectivity, Some(XksProxyConnectivity::PublicEndpoint));
    Ok(())
}

fn settings(manager: &KeyManager) -> Result<StoreBuilder, Box<dyn Error>> {
    Ok(KeyStore::builder(StoreName::new("root keys")?, manager.clone()))
}

/// A dry run tells what connecting would come to, and leaves the store as it is.
async fn probe_first(manager: &KeyManager) -> String {
    let store: KeyStore<Disconnected> = match settings(manager) {
        Ok(settings) => settings.build(),
        Err(error) => return error.to_string(),
    };
    match store.probe().await {
        Ok(report) => format!("it would connect, and the key manager is {}", report.health.status()),
        Err(error) => error.to_string(),
    }
}

fn show<S: State>(step: &str, store: &KeyStore<S>) {
    println!("{:<22} {}", step, store.state());
}
