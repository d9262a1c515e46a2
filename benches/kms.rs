//! Many stores: a call by key id beside the same call on the store's own handle, and what opening them takes.
#![expect(clippy::print_stdout, reason = "it reports")]

use std::env;
use std::error::Error;
use std::fs;
use std::hint::black_box;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use criterion::Criterion;
use custom_key_store::backend::software::KeyManager;
use custom_key_store::backend::{
    AccountId, Backend, BackingKeyId, Connection, UriEndpoint, UriPath, XksProxyCredential,
};
use custom_key_store::catalog::{Catalog as _, Edit, Ledger, Row, SqliteCatalog, Table};
use custom_key_store::kms::{
    BackendMap, CreateCustomKeyStore, Driver, Encrypt, ExternalProxies, KeyRef, Kms,
};
use custom_key_store::xks::XksProxy;
use custom_key_store::{
    Caller, ConnectionState, EncryptionContext, Identity, KeyStore, NewKey, PageRequest, Partition, Region,
    SealingKey, StoreName,
};
use custom_key_store_benches::null::{NullBackend, NullConnection};
use custom_key_store_benches::{THREADS, criterion, group, measure, now};
use tokio::runtime::{Builder, Runtime};

fn identity() -> Result<Identity, Box<dyn Error>> {
    Ok(Identity::new(Partition::new("aws")?, Region::new("eu-central-1")?, AccountId::new("111122223333")?))
}

fn external(number: usize) -> Result<CreateCustomKeyStore, Box<dyn Error>> {
    Ok(CreateCustomKeyStore::external(
        StoreName::new(format!("store {number}"))?,
        UriEndpoint::new("https://xks.example.com")?,
        UriPath::new(format!("/{number}/kms/xks/v1"))?,
        XksProxyCredential::generate()?,
    ))
}

/// Runs `work` beside the driver.
fn beside<T>(runtime: &Runtime, driver: &mut Driver, work: impl Future<Output = T>) -> Option<T> {
    runtime.block_on(async {
        tokio::select! {
            done = work => Some(done),
            () = driver => None,
        }
    })
}

fn calls(criterion: &mut Criterion, runtime: &Runtime, threads: usize) -> Result<(), Box<dyn Error>> {
    let connection: Arc<dyn Connection> = Arc::new(NullConnection::new()?);
    let held = Arc::clone(&connection);
    let backends = BackendMap::new().kind(move |configuration, _| {
        let (configuration, connection) = (configuration.clone(), Arc::clone(&held));
        Some(Ok(Arc::new(NullBackend { configuration, connection })))
    });
    let opening = Kms::builder(Ledger::ephemeral(identity()?), backends).without_quota().open();
    let (kms, mut driver) = runtime.block_on(opening)?;
    let external_key = BackingKeyId::new("key")?;
    let new = NewKey::external(external_key);
    let making = async {
        let store = kms.create_custom_key_store(external(0)?).await?;
        kms.connect_custom_key_store(&store).await?;
        while kms.describe_custom_key_store(&store).await?.connection_state != ConnectionState::Connected {
            tokio::task::yield_now().await;
        }
        Ok::<_, Box<dyn Error>>(kms.create_key(&store, &new).await?.key_id)
    };
    let key = beside(runtime, &mut driver, making).ok_or("the driver ended")??;
    let key = KeyRef::from(key);

    let configuration = KeyManager::new().configuration();
    let store = KeyStore::ephemeral(StoreName::new("bench")?, NullBackend { configuration, connection });
    let store = now!(store.connect().into_future())?;
    let kms_key = now!(store.create_key(&new))?.key_id;
    let handle = store.handle().on_behalf_of(Caller::new("somebody"));
    let kms = kms.on_behalf_of(Caller::new("somebody"));
    let context = EncryptionContext::new([("tenant", "blue")])?;
    let plaintext = [7; 32];

    let mut encrypt = group(criterion, "encrypt 32 B with nothing", threads);
    measure(&mut encrypt, threads, "handle on behalf of somebody", |_| {
        drop(black_box(now!(black_box(&handle).encrypt(&kms_key, &plaintext, &context))));
    });
    measure(&mut encrypt, threads, "Kms", |_| {
        let request = Encrypt::new(&key, &plaintext).context(&context);
        drop(black_box(now!(black_box(&kms).encrypt(&request))));
    });
    encrypt.finish();
    drop(driver);
    Ok(())
}

const STORES: usize = 10_000;
const KEYS: usize = 100_000;

/// Set for the process that opens what another has made: the catalogue's path.
const OPEN: &str = "CUSTOM_KEY_STORE_BENCH_OPEN";

/// The memory that this process has, in kB.
fn resident() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().split(' ').next()?.parse().ok()
}

/// Makes a catalogue of this many stores and keys. Keys are rows that say nothing, which opening does not read.
fn fill(runtime: &Runtime, path: &Path, stores: usize, keys: usize) -> Result<(), Box<dyn Error>> {
    let sealer = SealingKey::from_bytes(&[7; 32]);
    let catalog = Arc::new(runtime.block_on(SqliteCatalog::create(path))?);
    let ledger = runtime.block_on(Ledger::create(Arc::clone(&catalog), &sealer, identity()?))?;
    let backends = BackendMap::new().software(KeyManager::new());
    let (kms, mut driver) = runtime.block_on(Kms::open(ledger.clone(), backends))?;
    let making = async {
        for number in 0..stores {
            kms.create_custom_key_store(external(number)?).await?;
        }
        Ok::<_, Box<dyn Error>>(())
    };
    beside(runtime, &mut driver, making).ok_or("the driver ended")??;
    for from in (0..keys).step_by(10_000) {
        let row = |number: usize| {
            let mut row = Row::new(Table::Keys, format!("{number:08}"));
            row.owner = Some(format!("owner {}", number % stores));
            row.unique = Some(format!("unique {number}"));
            row.body = vec![0x5a; 300];
            Edit::Insert(row)
        };
        runtime.block_on(catalog.commit((from..keys.min(from + 10_000)).map(row).collect()))?;
    }
    runtime.block_on(ledger.close())?;
    Ok(())
}

/// Opens a catalogue in a process of its own, and says what that took.
fn open(runtime: &Runtime, path: &Path) -> Result<(), Box<dyn Error>> {
    let before = resident().ok_or("no /proc")?;
    let started = Instant::now();
    let sealer = SealingKey::from_bytes(&[7; 32]);
    let catalog = runtime.block_on(SqliteCatalog::open(path))?;
    let ledger = runtime.block_on(Ledger::open(catalog, &sealer))?;
    let proxies = ExternalProxies::new(XksProxy::builder().region(Region::new("eu-central-1")?));
    let (kms, driver) = runtime.block_on(Kms::open(ledger, BackendMap::new().external(proxies)))?;
    let taken = started.elapsed();
    let memory = resident().ok_or("no /proc")?.saturating_sub(before);
    let page = runtime.block_on(kms.describe_custom_key_stores(&PageRequest::first(1)?))?;
    let found = if page.next.is_some() { "many" } else { "one" };
    println!("opened: {taken:.2?}, {} MB more, {found} stores", memory / 1024);
    drop(driver);
    Ok(())
}

fn opening(runtime: &Runtime) -> Result<(), Box<dyn Error>> {
    let is_test = !env::args().any(|argument| argument == "--bench");
    let (stores, keys) = if is_test { (20, 100) } else { (STORES, KEYS) };
    let place = tempfile::tempdir()?;
    let path = place.path().join("stores.sqlite");
    let started = Instant::now();
    fill(runtime, &path, stores, keys)?;
    println!("opening {stores} stores and {keys} keys (made in {:.1?})", started.elapsed());
    for _ in 0..3 {
        let status = Command::new(env::current_exe()?).env(OPEN, &path).status()?;
        if !status.success() {
            return Err("the process that opens failed".into());
        }
    }
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    if let Some(path) = env::var_os(OPEN) {
        return open(&runtime, Path::new(&path));
    }
    let mut criterion = criterion();
    for threads in THREADS {
        calls(&mut criterion, &runtime, threads)?;
    }
    criterion.final_summary();
    opening(&runtime)
}
