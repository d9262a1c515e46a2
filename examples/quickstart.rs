//! The life of one external key store: a proxy with a key manager behind it on one side, an application on the
//! other, HTTPS with SigV4 between them. Every state, a failure with its code and advice and the way back, a KMS key, a
//! file encrypted under it, the kill switch, and a restart.
//!
//! ```text
//! cargo run --example quickstart
//! ```
//!
//! Everything runs in this process and on the loopback interface; what it writes is thrown away.
#![expect(clippy::print_stdout, reason = "an example shows what happens")]

use std::error::Error;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use custom_key_store::backend::software::KeyManager;
use custom_key_store::backend::{
    AccountId, Backend as _, BackingKeyId, Change, ConnectReason, ConnectRequest, LiveChange, UriEndpoint,
    UriPath, XksProxyCredential,
};
use custom_key_store::catalog::{Ledger, SqliteCatalog};
use custom_key_store::envelope::{Envelope, StoreKey};
use custom_key_store::xks::proxy::{
    KeyGrant, Proxy, ServeOptions, ServerCertificate, ServerHandle, Tenant, TlsOptions, serve,
};
use custom_key_store::xks::{TrustRoots, XksProxy};
use custom_key_store::{
    AliasName, Disconnected, EncryptionContext, Identity, KeyStore, NewKey, Partition, Region, SealingKey,
    State, StoreName,
};
use tokio::net::TcpListener;

const HOST: &str = "xks.example.com";
const REGION: &str = "us-east-1";

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let manager = somebody_elses_key_manager().await?;
    println!("a proxy serves https://{HOST} on {}\n", manager.address);

    // What the application keeps lies in a file, and what is secret in it under a key that lies elsewhere.
    let folder = tempfile::tempdir()?;
    let (catalog, sealing_key) = (folder.path().join("stores.sqlite"), folder.path().join("sealing.key"));
    let sealer = SealingKey::create_file(&sealing_key)?;
    let identity =
        Identity::new(Partition::new("aws")?, Region::new(REGION)?, AccountId::new("111122223333")?);
    let ledger = Ledger::create(SqliteCatalog::create(&catalog).await?, &sealer, identity).await?;

    // Where the proxy is, whom to trust, and a credential. Creating a store tries all of it.
    let proxy = manager.client(manager.credential.clone())?;
    let counters = proxy.counters();
    let store = KeyStore::builder(proxy).create(&ledger, StoreName::new("root keys")?).await?;
    show("created", &store);

    // Meanwhile the other side has another credential, so that the attempt fails. The store is not lost: the error
    // holds it, with what to do about it.
    let next = XksProxyCredential::generate()?;
    manager.exchange(&manager.credential, &next)?;
    let connecting = store.connect();
    show("connect()", &connecting);
    let failed = match connecting.await {
        Err(error) => error.into_store(),
        Ok(_) => return Err("the proxy knows another credential".into()),
    };
    show("the attempt is over", &failed);
    println!("      code:   {}", failed.error_code());
    println!("      means:  {}", failed.error_code().meaning());
    println!("      do:     {}", failed.advice().action);
    println!("      by:     {}\n", failed.advice().by);

    // The way back: disconnect, update, try dry, connect. (`failed.connect()` does not compile.)
    let mut store = failed.disconnect().await;
    show("disconnect().await", &store);
    store.update(Change::new().credential(next.clone())).await?;
    let dry = store.probe().await?;
    println!("      a dry run connected in {:?}; the key manager is {}", dry.connecting, dry.health.status());
    let mut store = store.connect().await?;
    show("connect().await", &store);

    // A KMS key refers to a key of theirs. What it encrypts is encrypted here first: they never see it.
    let described = store.create_key(&NewKey::external(BackingKeyId::new("payroll")?)).await?;
    println!("      a KMS key: {}", described.arn);
    let key = described.key_id;
    let context = EncryptionContext::new([("tenant", "blue"), ("purpose", "backup")])?;
    let secret = b"attack at dawn";
    let started = Instant::now();
    let blob = store.encrypt(&key, secret, &context).await?;
    let encrypted = started.elapsed();
    let plaintext = store.decrypt(blob.as_bytes(), &context).await?;
    assert_eq!(plaintext.expose(), secret);
    println!(
        "      {} bytes encrypted in {encrypted:?} and decrypted in {:?}: a blob of {} bytes",
        plaintext.len(),
        started.elapsed() - encrypted,
        blob.as_bytes().len(),
    );
    let wrong = EncryptionContext::new([("tenant", "red"), ("purpose", "backup")])?;
    refused("with another context", store.decrypt(blob.as_bytes(), &wrong).await)?;

    // Data of any size is encrypted under data keys, which the KMS key wraps: one trip for many records and files.
    let envelope = Envelope::new(StoreKey::new(&store.handle(), key));
    let record = envelope.seal(b"a record", &context).await?;
    let data = vec![7; 3 << 20];
    let file = folder.path().join("backup.sealed");
    let started = Instant::now();
    let mut writer = envelope.writer(File::create(&file)?, &context).await?;
    writer.write_all(&data)?;
    writer.finish()?.sync_all()?;
    let (sealed, took) = (std::fs::metadata(&file)?.len(), started.elapsed());
    println!(
        "      a file of {} bytes sealed in {took:?}: {} bytes more",
        data.len(),
        sealed - data.len() as u64
    );

    // The proxy's side rotates the credential once more, and this time the store knows, while it is used.
    let last = XksProxyCredential::generate()?;
    manager.tenant.add_credential(last.clone())?;
    store.update(LiveChange::new().credential(last.clone())).await?;
    manager.tenant.remove_credential(&next.access_key_id);
    store.encrypt(&key, secret, &context).await?;
    println!("      the credential was exchanged while connected\n");

    // Whoever controls the keys can withdraw them at once. The store stays connected: health is a reading.
    manager.tenant.suspend();
    refused("the key manager's kill switch", store.encrypt(&key, secret, &context).await)?;
    show("and the store is", &store);
    manager.tenant.resume();

    let handle = store.handle();
    let disconnecting = store.disconnect();
    show("disconnect()", &disconnecting);
    refused("a handle in another task", handle.encrypt(&key, secret, &context).await)?;
    let store = disconnecting.await;
    show("and awaited", &store);
    if let Some(report) = store.disconnect_report() {
        println!("      {report}");
    }

    // Keys are managed in every state, and data keys that are in memory go on opening what they sealed.
    println!("      the KMS key is {}", store.keys().describe(&key).await?.key_state);
    store.keys().create_alias(&AliasName::new("alias/payroll")?, &key).await?;
    assert_eq!(envelope.open(&record, &context).await?.expose(), b"a record");
    println!("      it was given an alias, and a data key in memory still opens a record");
    envelope.revoke();
    refused("after revoke()", envelope.open(&record, &context).await)?;
    let id = store.id().clone();
    drop((store, envelope, handle));
    ledger.close().await?;

    println!("\nthe program is started again");
    let sealer = SealingKey::from_file(&sealing_key)?;
    let ledger = Ledger::open(SqliteCatalog::open(&catalog).await?, &sealer).await?;
    let store = KeyStore::builder(manager.client(last)?).open(&ledger, &id).await?;
    println!("{:<22} {}", "the store is", store.state());
    let store: KeyStore<Disconnected> = store.try_into()?;
    let store = store.connect().await?;
    show("connect().await", &store);
    let key = store.keys().resolve(&AliasName::new("alias/payroll")?).await?;
    println!("      alias/payroll is {key}, and {}", store.keys().describe(&key).await?.key_state);
    assert_eq!(store.decrypt(blob.as_bytes(), &context).await?.expose(), secret);
    let envelope = Envelope::new(StoreKey::new(&store.handle(), key));
    let mut reader = envelope.reader(File::open(&file)?, &context).await?;
    let mut opened = Vec::new();
    reader.read_to_end(&mut opened)?;
    assert_eq!(opened, data);
    println!("      the blob and the file of before are read again");

    let counts = counters.counts();
    println!(
        "      requests sent before: {}, answered with an error: {}",
        counts.requests,
        counts.lasting_errors()
    );
    println!("\nas DescribeCustomKeyStores prints it:");
    println!("{}", serde_json::to_string_pretty(&store.describe())?);
    store.disconnect().await;
    manager.server.shut_down();
    Ok(())
}

/// What is not ours: a key manager, a proxy in front of it, and the right to switch both off.
struct Manager {
    address: SocketAddr,
    /// The certificate authority, in PEM.
    authority: String,
    credential: XksProxyCredential,
    tenant: Tenant,
    server: ServerHandle,
}

impl Manager {
    /// What the application connects with.
    fn client(&self, credential: XksProxyCredential) -> Result<XksProxy, Box<dyn Error>> {
        Ok(XksProxy::builder()
            .endpoint(UriEndpoint::new(format!("https://{HOST}"))?)
            .path(path()?)
            .region(Region::new(REGION)?)
            .credential(credential)
            .trust_roots(TrustRoots::from_pem(self.authority.as_bytes())?)
            .dial(self.address)
            .build()?)
    }

    /// Without telling anybody.
    fn exchange(&self, old: &XksProxyCredential, new: &XksProxyCredential) -> Result<(), Box<dyn Error>> {
        self.tenant.add_credential(new.clone())?;
        self.tenant.remove_credential(&old.access_key_id);
        Ok(())
    }
}

async fn somebody_elses_key_manager() -> Result<Manager, Box<dyn Error>> {
    let keys = KeyManager::new();
    let (payroll, probes) = (BackingKeyId::new("hsm-key-7")?, BackingKeyId::new("for-probes")?);
    keys.create_key(payroll.clone());
    keys.create_key(probes.clone());
    let connection =
        keys.connect(&ConnectRequest::new(ConnectReason::Connect, Duration::from_secs(5))).await?;

    let credential = XksProxyCredential::generate()?;
    let tenant = Tenant::builder(path()?, connection)
        .region(Region::new(REGION)?)
        .credential(credential.clone())
        .key(BackingKeyId::new("payroll")?, KeyGrant::new(payroll))
        .health_key(probes)
        .build()?;
    let proxy = Proxy::builder().tenant(tenant.clone()).build()?;

    let (authority, certificate) = throw_away_certificate()?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let (serving, server) = serve(listener, proxy, ServeOptions::https(TlsOptions::new(certificate)?));
    tokio::spawn(serving);
    Ok(Manager { address, authority, credential, tenant, server })
}

/// A certificate authority in PEM, and a certificate of it for the proxy's host name.
fn throw_away_certificate() -> Result<(String, ServerCertificate), Box<dyn Error>> {
    let mut authority = rcgen::CertificateParams::default();
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let issuer_key = rcgen::KeyPair::generate()?;
    let root = authority.self_signed(&issuer_key)?;
    let issuer = rcgen::Issuer::new(authority, issuer_key);
    let leaf_key = rcgen::KeyPair::generate()?;
    let leaf = rcgen::CertificateParams::new([HOST.to_owned()])?.signed_by(&leaf_key, &issuer)?;
    let certificate =
        ServerCertificate::from_pem(leaf.pem().as_bytes(), leaf_key.serialize_pem().as_bytes())?;
    Ok((root.pem(), certificate))
}

fn path() -> Result<UriPath, Box<dyn Error>> {
    Ok(UriPath::new("/tenant-blue/kms/xks/v1")?)
}

fn show<S: State>(step: &str, store: &KeyStore<S>) {
    println!("{:<22} {}", step, store.state());
}

/// What was meant to fail, and how it says so.
fn refused<T>(what: &str, result: Result<T, impl Error>) -> Result<(), Box<dyn Error>> {
    match result {
        Ok(_) => Err(format!("{what}: this was meant to fail").into()),
        Err(error) => {
            println!("      {what}: {error}");
            Ok(())
        }
    }
}
