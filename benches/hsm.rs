//! Encrypting by a token of SoftHSM: a connection beside a loop of bare calls on sessions that are held; through the XKS
//! proxy; and by a token whose calls take as long as a trip through a network.
#![expect(clippy::print_stdout, reason = "it reports")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::mechanism::Mechanism;
use cryptoki::mechanism::aead::GcmParams;
use cryptoki::object::{Attribute, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::types::AuthPin;
use custom_key_store::backend::{
    Backend as _, BackingKeyId, CloudHsmClusterId, ConnectReason, ConnectRequest, Connection, EncryptRequest,
    KeyStorePassword, Operation, RequestId, RequestMetadata, XksProxyCredential, authenticated_data,
};
use custom_key_store::cloudhsm::{CloudHsmCluster, KeyNames, TokenName};
use custom_key_store::xks::proxy::ServeOptions;
use custom_key_store_benches::loopback::{
    Exchange, Failure, KEY, LIMIT, Lane, Recorded, Tls, Wire, is_trial, lanes, proxy_over,
};
use custom_key_store_hsm::{Hsm, Module};
use futures_util::future::try_join_all;
use rustix::time::{ClockId, clock_gettime};
use tokio::runtime::Builder;

const TASKS: [usize; 4] = [1, 2, 8, 32];
const SESSIONS: usize = 16;
/// Rows take turns, so that what disturbs the machine for a while disturbs all.
const ROUNDS: usize = 7;
const ROUND: Duration = Duration::from_millis(300);
/// A trip to an HSM in the same network.
const TRIP: Duration = Duration::from_millis(2);
const TRIPS: [&str; 8] = [
    "C_FindObjectsInit",
    "C_GenerateRandom",
    "C_Encrypt",
    "C_Decrypt",
    "C_GetAttributeValue",
    "C_GetTokenInfo",
    "C_OpenSession",
    "C_Login",
];

/// What one process measures, with the library that it does so with.
const PART: &str = "BENCH_HSM_PART";
const LIBRARY: &str = "BENCH_HSM_LIBRARY";
const PIN: &str = "BENCH_HSM_PIN";

fn main() -> Result<(), Failure> {
    match std::env::var(PART) {
        Ok(part) => measure(&part),
        Err(_) => in_processes(),
    }
}

/// Where SoftHSM has its tokens is a variable of the environment, so that whoever uses it is started with it.
fn in_processes() -> Result<(), Failure> {
    let hsm = Hsm::new(Module::SoftHsm);
    let run = |part: &str, library: &Path| {
        let status = Command::new(std::env::current_exe()?)
            .args(std::env::args_os().skip(1))
            .envs(hsm.env())
            .env(PART, part)
            .env(LIBRARY, library)
            .env(PIN, hsm.token().pin())
            .status()?;
        if status.success() { Ok::<_, Failure>(()) } else { Err(format!("{part}: {status}").into()) }
    };
    run("key", hsm.library())?;
    run("direct", hsm.library())?;
    run("proxied", hsm.library())?;
    let shim = hsm.shim();
    TRIPS.iter().for_each(|function| shim.delay(function, TRIP));
    ["C_Encrypt", "C_Decrypt"].iter().for_each(|function| shim.spare_queries(function));
    run("distant", shim.library())
}

fn measure(part: &str) -> Result<(), Failure> {
    let library = PathBuf::from(std::env::var_os(LIBRARY).ok_or("a library")?);
    let pin = std::env::var(PIN)?;
    let runtime = Builder::new_current_thread().enable_all().build()?;
    match part {
        "key" => make_key(&library, &pin),
        "direct" => TASKS.iter().try_for_each(|tasks| direct(&runtime, &library, &pin, *tasks)),
        "proxied" => runtime.block_on(proxied(&library, &pin)),
        _ => runtime.block_on(distant(&library, &pin)),
    }
}

fn session(library: &Path, pin: &str) -> Result<(Pkcs11, Session), Failure> {
    let pkcs11 = Pkcs11::new(library)?;
    // Somebody may have done it.
    let _ = pkcs11.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK));
    let slot = pkcs11.get_slots_with_initialized_token()?.into_iter().next().ok_or("no token")?;
    let session = pkcs11.open_rw_session(slot)?;
    // So may somebody have done this, which holds for all sessions.
    let _ = session.login(UserType::User, Some(&AuthPin::from(pin.to_owned())));
    Ok((pkcs11, session))
}

fn make_key(library: &Path, pin: &str) -> Result<(), Failure> {
    let (_pkcs11, session) = session(library, pin)?;
    let template = [
        Attribute::Token(true),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Encrypt(true),
        Attribute::Decrypt(true),
        Attribute::ValueLen(32.into()),
        Attribute::Label(KEY.as_bytes().to_vec()),
    ];
    session.generate_key(&Mechanism::AesKeyGen, &template)?;
    Ok(())
}

async fn connected(library: &Path, pin: &str) -> Result<Arc<dyn Connection>, Failure> {
    let cluster = CloudHsmCluster::builder()
        .library(library)
        .token(TokenName::Label("first".to_owned()))
        .cluster_id(CloudHsmClusterId::new("cluster-abcdefghij2")?)
        .password(KeyStorePassword::new(pin)?)
        .key_names(KeyNames::Label)
        .max_sessions(SESSIONS)
        .deadline(LIMIT)
        .build()?;
    Ok(cluster.connect(&ConnectRequest::new(ConnectReason::Connect, LIMIT)).await?)
}

/// How many encryptions a connection makes in a second, for so many tasks of one thread.
async fn through_connection(
    connection: &dyn Connection,
    tasks: usize,
    time: Duration,
) -> Result<f64, Failure> {
    let (key, id) = (BackingKeyId::new(KEY)?, RequestId::generate());
    let start = Instant::now();
    let busy = (0..tasks).map(async |_| {
        let mut done = 0_u32;
        while done == 0 || start.elapsed() < time {
            let metadata = RequestMetadata::new("bench", &Operation::ENCRYPT, &id);
            let request = EncryptRequest::new(metadata, &key, &[7; 32]).with_aad(&[8; 56]);
            connection.encrypt(&request.unverified()).await?;
            done += 1;
        }
        Ok::<_, Failure>(done)
    });
    let done: u32 = try_join_all(busy).await?.into_iter().sum();
    Ok(f64::from(done) / start.elapsed().as_secs_f64())
}

/// A session, and the key's handle in it.
type Held = (Session, ObjectHandle);

fn held(library: &Path, pin: &str) -> Result<Held, Failure> {
    let session = session(library, pin)?.1;
    let wanted = [Attribute::Class(ObjectClass::SECRET_KEY), Attribute::Label(KEY.as_bytes().to_vec())];
    let key = session.find_objects(&wanted)?.pop().ok_or("no key")?;
    Ok((session, key))
}

/// The same by threads that hold a session each and do nothing else. Gives the sessions back.
fn bare(sessions: Vec<Held>, time: Duration) -> Result<(f64, Vec<Held>), Failure> {
    let start = Instant::now();
    let work = |(session, key): Held| {
        let aad = authenticated_data(&[8; 56], b"")?;
        let mut done = 0_u32;
        while done == 0 || start.elapsed() < time {
            let mut iv = [0; 12];
            aws_lc_rs::rand::fill(&mut iv)?;
            let params = GcmParams::new(&mut iv, &aad, 128.into())?;
            session.encrypt(&Mechanism::AesGcm(params), key, &[7; 32])?;
            done += 1;
        }
        Ok::<_, Failure>((done, (session, key)))
    };
    let done: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = sessions.into_iter().map(|held| scope.spawn(|| work(held))).collect();
        let joined = threads.into_iter().map(|thread| thread.join().map_err(|_| "a thread panicked")?);
        joined.collect::<Result<_, Failure>>()
    })?;
    let (counts, sessions): (Vec<u32>, Vec<Held>) = done.into_iter().unzip();
    Ok((f64::from(counts.iter().sum::<u32>()) / start.elapsed().as_secs_f64(), sessions))
}

fn direct(runtime: &tokio::runtime::Runtime, library: &Path, pin: &str, tasks: usize) -> Result<(), Failure> {
    let connection = runtime.block_on(connected(library, pin))?;
    let mut sessions: Vec<Held> =
        (0..tasks.min(SESSIONS)).map(|_| held(library, pin)).collect::<Result<_, _>>()?;
    let (rounds, round) = if is_trial() { (1, Duration::ZERO) } else { (ROUNDS, ROUND) };
    let (mut floor, mut seen) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        let (rate, back) = bare(sessions, round)?;
        sessions = back;
        floor.push(rate);
        seen.push(runtime.block_on(through_connection(&*connection, tasks, round))?);
    }
    let (floor, seen) = (median(floor), median(seen));
    println!("hsm, encrypt 32 B, {tasks} tasks");
    println!("  {:<34}{floor:>12.0} /s", "bare, as many sessions, up to 16");
    println!("  {:<34}{seen:>12.0} /s{:>10.2} of bare", "connection", seen / floor);
    drop(sessions);
    runtime.block_on(connection.close())?;
    Ok(())
}

/// How much the process computes for each encryption through the proxy, but for the load.
async fn proxied(library: &Path, pin: &str) -> Result<(), Failure> {
    let credential = XksProxyCredential::generate()?;
    let exchange = Recorded::now(&credential).await?.unverified;
    // The server's runtime is another thread's.
    let server = custom_key_store_benches::loopback::Elsewhere::start()?;
    let connection = connected(library, pin).await?;
    let for_server = credential.clone();
    let address = server
        .run(async move { proxy_over(connection, &for_server, ServeOptions::plain_http()).await })
        .await?;
    let tls = Tls::new()?;
    let (rounds, round) = if is_trial() { (1, Duration::ZERO) } else { (ROUNDS, ROUND) };
    for in_flight in [1, 16] {
        let mut lanes = lanes(in_flight, address, Wire::Plain, &tls).await?;
        let (mut rates, mut costs) = (Vec::new(), Vec::new());
        for _ in 0..rounds {
            let (rate, cost) = load(&mut lanes, &exchange, round).await?;
            rates.push(rate);
            costs.push(cost);
        }
        println!("hsm, through the XKS proxy, {in_flight} in flight");
        println!(
            "  {:<34}{:>12.0} /s{:>10.1} µs CPU per request",
            "encrypt 32 B, unverified",
            median(rates),
            median(costs)
        );
    }
    Ok(())
}

/// Requests per second, and what all threads but this one computed for each, in microseconds.
async fn load(lanes: &mut [Lane], exchange: &Exchange, time: Duration) -> Result<(f64, f64), Failure> {
    let computed = |clock| Duration::try_from(clock_gettime(clock));
    let (all, ours) = (computed(ClockId::ProcessCPUTime)?, computed(ClockId::ThreadCPUTime)?);
    let start = Instant::now();
    let busy = lanes.iter_mut().map(async |lane| {
        let mut done = 0_u32;
        while done == 0 || start.elapsed() < time {
            lane.exchange(exchange.request()).await?;
            done += 1;
        }
        Ok::<_, Failure>(done)
    });
    let done = f64::from(try_join_all(busy).await?.into_iter().sum::<u32>());
    let taken = start.elapsed();
    let all = computed(ClockId::ProcessCPUTime)? - all;
    let theirs = all.saturating_sub(computed(ClockId::ThreadCPUTime)? - ours);
    Ok((done / taken.as_secs_f64(), theirs.as_secs_f64() * 1e6 / done))
}

/// By a token that is a trip away, which its sessions share.
async fn distant(library: &Path, pin: &str) -> Result<(), Failure> {
    let connection = connected(library, pin).await?;
    let (rounds, round) = if is_trial() { (1, Duration::ZERO) } else { (ROUNDS, ROUND) };
    let tasks = 4 * SESSIONS;
    let mut rates = Vec::new();
    through_connection(&*connection, tasks, round).await?;
    for _ in 0..rounds {
        rates.push(through_connection(&*connection, tasks, round).await?);
    }
    #[expect(clippy::cast_precision_loss, reason = "a small number")]
    let most = SESSIONS as f64 / TRIP.as_secs_f64();
    let rate = median(rates);
    println!("hsm, a call takes {TRIP:?}, {SESSIONS} sessions, {tasks} tasks");
    println!("  {:<34}{rate:>12.0} /s{:>10.2} of what the sessions can do", "connection", rate / most);
    connection.close().await?;
    Ok(())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}
