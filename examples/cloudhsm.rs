//! The life of one CloudHSM key store, on a token of SoftHSM that this program makes for itself: a key that never leaves
//! the token, a data key under it, a token that restarts, a password that changes with each connection, a restart of the
//! program.
//!
//! ```text
//! cargo run --example cloudhsm
//! ```
//!
//! Needs SoftHSM (Debian: `apt-get install softhsm2`). What it writes is thrown away.
#![expect(clippy::print_stdout, reason = "an example shows what happens")]

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::session::UserType;
use cryptoki::types::AuthPin;
use custom_key_store::backend::{AccountId, CloudHsmClusterId, KeyStorePassword};
use custom_key_store::catalog::{Ledger, SqliteCatalog};
use custom_key_store::cloudhsm::{CloudHsmCluster, TokenName};
use custom_key_store::{
    DataKeyLength, Disconnected, EncryptionContext, Identity, KeyStore, NewKey, Partition, Region,
    SealingKey, State, StoreName,
};
use futures::executor::block_on;

const LABEL: &str = "root keys";
/// The password that a crypto officer gave the user. It works until the store has connected for the first time.
const PASSWORD: &str = "kmsPswd1";
/// Where Debian has the library, and where a build from source puts it.
const LIBRARIES: [&str; 3] = [
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/local/lib/softhsm/libsofthsm2.so",
];

fn main() -> Result<(), Box<dyn Error>> {
    match std::env::var_os("SOFTHSM2_CONF").filter(|_| std::env::var_os("CLOUDHSM_EXAMPLE").is_some()) {
        Some(configuration) => block_on(run(Path::new(&configuration))),
        None => with_a_token(),
    }
}

/// Makes a token and starts this program again: where SoftHSM has its tokens is a variable of the environment, which a
/// program must not change while it runs.
fn with_a_token() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let tokens = folder.path().join("tokens");
    std::fs::create_dir(&tokens)?;
    let configuration = folder.path().join("softhsm2.conf");
    std::fs::write(&configuration, format!("directories.tokendir = {}\n", tokens.display()))?;
    let officer = "officer1";
    let made = Command::new("softhsm2-util")
        .args(["--init-token", "--free", "--label", LABEL, "--so-pin", officer, "--pin", PASSWORD])
        .env("SOFTHSM2_CONF", &configuration)
        .output()
        .map_err(|_| "softhsm2-util is missing; on Debian: apt-get install softhsm2")?;
    if !made.status.success() {
        return Err(String::from_utf8_lossy(&made.stderr).into());
    }
    let status = Command::new(std::env::current_exe()?)
        .env("SOFTHSM2_CONF", &configuration)
        .env("CLOUDHSM_EXAMPLE", "")
        .status()?;
    if status.success() { Ok(()) } else { Err("see above".into()) }
}

async fn run(configuration: &Path) -> Result<(), Box<dyn Error>> {
    let library = library()?;
    println!("a token {LABEL:?} of {}\n", library.display());

    // What the store keeps, the password of its user among it, lies in a file.
    let folder = configuration.parent().ok_or("a folder")?;
    let (catalog, sealing_key) = (folder.join("stores.sqlite"), folder.join("sealing.key"));
    let sealer = SealingKey::create_file(&sealing_key)?;
    let identity =
        Identity::new(Partition::new("aws")?, Region::new("us-east-1")?, AccountId::new("111122223333")?);
    let ledger = Ledger::create(SqliteCatalog::create(&catalog).await?, &sealer, identity).await?;

    let cluster = described(&library)?;
    let store = KeyStore::builder(cluster.clone()).create(&ledger, StoreName::new("hsm")?).await?;
    show("created", &store);
    let store = store.connect().await?;
    show("connect().await", &store);
    println!("      the password was changed: {:?}", cluster.password_rotation());

    // The token makes the key. Its label is the ARN; what it is found by is a random id, which the store keeps.
    let key = store.create_key(&NewKey::generated()).await?;
    println!("      a KMS key: {}", key.arn);
    let context = EncryptionContext::new([("tenant", "blue")])?;
    let started = Instant::now();
    let data_key = store.generate_data_key(&key.key_id, DataKeyLength::AES_256, &context).await?;
    println!(
        "      a data key of {} in {:?}, wrapped in {} bytes",
        DataKeyLength::AES_256,
        started.elapsed(),
        data_key.wrapped.as_bytes().len()
    );

    // The library loses all that it had: every session, every handle, the login.
    restart(&library)?;
    let started = Instant::now();
    let unwrapped = store.decrypt(data_key.wrapped.as_bytes(), &context).await?;
    assert_eq!(unwrapped, data_key.plaintext);
    println!(
        "      the token was restarted; the data key was unwrapped all the same, in {:?}",
        started.elapsed()
    );
    show("and the store is", &store);
    let health = store.health().await?;
    for instance in &health.instances {
        println!("      {} {}: {}", instance.id, instance.model, instance.status);
    }

    let store = store.disconnect().await;
    show("disconnect().await", &store);
    println!("      the KMS key is {}", store.keys().describe(&key.key_id).await?.key_state);
    println!("      the password that the officer gave works: {}", works(&library, PASSWORD)?);
    let store = store.connect().await?;
    println!("      connected, and changed the password again: {:?}", cluster.password_rotation());
    let id = store.id().clone();
    drop(store.disconnect().await);
    ledger.close().await?;

    println!("\nthe program is started again");
    let sealer = SealingKey::from_file(&sealing_key)?;
    let ledger = Ledger::open(SqliteCatalog::open(&catalog).await?, &sealer).await?;
    let cluster = described(&library)?;
    let store = KeyStore::builder(cluster).open(&ledger, &id).await?;
    let store: KeyStore<Disconnected> = store.try_into()?;
    let store = store.connect().await?;
    show("connect().await", &store);
    assert_eq!(store.decrypt(data_key.wrapped.as_bytes(), &context).await?, data_key.plaintext);
    println!("      with the password that was kept; the data key was unwrapped");
    drop(store.disconnect().await);
    Ok(())
}

fn described(library: &Path) -> Result<CloudHsmCluster, Box<dyn Error>> {
    Ok(CloudHsmCluster::builder()
        .library(library)
        .token(TokenName::Label(LABEL.to_owned()))
        .cluster_id(CloudHsmClusterId::new("cluster-2a23b4cdefg")?)
        .password(KeyStorePassword::new(PASSWORD)?)
        .rotate_password(true)
        .build()?)
}

fn library() -> Result<PathBuf, Box<dyn Error>> {
    let named = std::env::var_os("SOFTHSM2_MODULE").map(PathBuf::from);
    let found = named.into_iter().chain(LIBRARIES.map(PathBuf::from)).find(|path| path.exists());
    found.ok_or_else(|| "SoftHSM's library is missing; on Debian: apt-get install softhsm2".into())
}

/// Finalizes the library behind the store's back, which ends whatever it had going.
fn restart(library: &Path) -> Result<(), Box<dyn Error>> {
    Ok(Pkcs11::new(library)?.finalize()?)
}

/// Whether somebody else can log in with this password.
fn works(library: &Path, password: &str) -> Result<bool, Box<dyn Error>> {
    let pkcs11 = Pkcs11::new(library)?;
    pkcs11.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK))?;
    let slot = pkcs11.get_slots_with_initialized_token()?.into_iter().next().ok_or("no token")?;
    let session = pkcs11.open_rw_session(slot)?;
    let works = session.login(UserType::User, Some(&AuthPin::from(password.to_owned()))).is_ok();
    drop(session);
    pkcs11.finalize()?;
    Ok(works)
}

fn show<S: State>(what: &str, store: &KeyStore<S>) {
    println!("{what:<22} {}", store.state());
}
