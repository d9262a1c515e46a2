//! An external key store proxy over a software key manager, for test clients.
//!
//! ```text
//! cargo run --example xks_proxy                       # plain HTTP on loopback, a new credential, one key of each kind
//! cargo run --example xks_proxy -- --config proxy.toml --listen 127.0.0.1:8443 --log
//! ```
//!
//! With `--log` each request is a line on standard error. The keys live in the memory of this process, where an HSM
//! would keep them to itself: a key manager to test with. They are gone when the process ends, unless they are kept in a
//! sealed file. All that the configuration can say, with what holds where it is silent:
//!
//! ```toml
//! listen = "127.0.0.1:8000"
//! # allow_plain_http_beyond_loopback = false
//! # sealing_key = "sealing.key"        # protects the files of keys; made when there is none of them; keep it elsewhere
//!
//! # [limits]
//! # connections = 1024
//! # connections_per_peer = 128         # behind a load balancer, who is the peer then: as many as connections
//! # peer_rate = { per_second = 100, burst = 200 }     # of requests, before authentication; absent: none
//!
//! # [tls]                              # absent: plain HTTP
//! # certificate = "chain.pem"
//! # private_key = "key.pem"
//! # client_roots = "client-ca.pem"     # with it, mutual TLS
//! # client_subject = "cks.kms.us-east-1.amazonaws.com"
//!
//! [[tenant]]
//! path = "/kms/xks/v1"
//! regions = ["us-east-1"]
//! # credentials = ["credentials.json"] # of the KMS console's form, two while one takes over; absent: a new one
//! # keys_file = "keys.sealed"          # where keys without `bytes` are kept; absent: nowhere, they are new at each start
//! # rate_limit = { per_second = 1800 } # of requests, after authentication; burst as above; absent: none
//!
//! [[tenant.key]]
//! id = "usable"
//! # usages = ["ENCRYPT", "DECRYPT"]
//! # enabled = true
//! # principals = ["arn:aws:iam::111122223333:role/Payroll"]     # who may use it; absent: everybody
//! # bytes = "64 hexadecimal digits"    # absent: random, and kept in the file of keys
//! ```
#![expect(clippy::print_stdout, reason = "an example shows what happens")]

mod key_file;

use std::error::Error;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;

use custom_key_store::SealingKey;
use custom_key_store::backend::software::{KeyManager, SoftwareKey};
use custom_key_store::backend::{
    AccessKeyId, Backend as _, BackingKeyId, ConnectReason, ConnectRequest, KeyStatus, KeyUsages,
    SecretAccessKey, UriPath, XksProxyCredential,
};
use custom_key_store::xks::Region;
use custom_key_store::xks::proxy::{
    ClientIdentity, KeyGrant, Proxy, RateLimit, ServeOptions, ServerCertificate, Tenant, TlsOptions, serve,
};
use key_file::{KeyFile, sealing_key};
use serde::Deserialize;
use tokio::net::TcpListener;

/// What is served without a file: a key of every kind.
const DEMO: &str = r#"
[[tenant]]
path = "/kms/xks/v1"
regions = ["us-east-1"]
key = [
    { id = "usable" },
    { id = "encrypt-only", usages = ["ENCRYPT"] },
    { id = "decrypt-only", usages = ["DECRYPT"] },
    { id = "impotent", usages = [] },
    { id = "disabled", enabled = false },
]
"#;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    #[serde(default = "loopback")]
    listen: String,
    #[serde(default)]
    allow_plain_http_beyond_loopback: bool,
    sealing_key: Option<PathBuf>,
    #[serde(default)]
    limits: Limits,
    tls: Option<Tls>,
    tenant: Vec<TenantSettings>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Limits {
    connections: Option<usize>,
    connections_per_peer: Option<usize>,
    peer_rate: Option<Rate>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rate {
    per_second: NonZeroU32,
    burst: Option<NonZeroU32>,
}

impl From<Rate> for RateLimit {
    fn from(rate: Rate) -> Self {
        Self::per_second(rate.per_second).burst(rate.burst.unwrap_or(rate.per_second))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Tls {
    certificate: PathBuf,
    private_key: PathBuf,
    client_roots: Option<PathBuf>,
    client_subject: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TenantSettings {
    path: UriPath,
    regions: Vec<Region>,
    #[serde(default)]
    credentials: Vec<PathBuf>,
    keys_file: Option<PathBuf>,
    rate_limit: Option<Rate>,
    #[serde(default)]
    key: Vec<Key>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Key {
    id: BackingKeyId,
    #[serde(default = "both")]
    usages: Vec<String>,
    #[serde(default = "yes")]
    enabled: bool,
    principals: Option<Vec<String>>,
    bytes: Option<String>,
}

/// The file that the KMS console takes.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CredentialFile {
    xks_proxy_authentication_credential: Credential,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Credential {
    access_key_id: AccessKeyId,
    raw_secret_access_key: String,
}

fn loopback() -> String {
    "127.0.0.1:8000".to_owned()
}

fn both() -> Vec<String> {
    vec!["ENCRYPT".to_owned(), "DECRYPT".to_owned()]
}

const fn yes() -> bool {
    true
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let settings = settings()?;
    let listener = TcpListener::bind(&settings.listen).await?;
    let address = listener.local_addr()?;
    let (scheme, options) = match settings.tls {
        Some(tls) => ("https", ServeOptions::https(tls_options(&tls)?)),
        None if address.ip().is_loopback() || settings.allow_plain_http_beyond_loopback => {
            ("http", ServeOptions::plain_http())
        }
        None => return Err("plain HTTP is for loopback: give a [tls] section".into()),
    };
    let options = limited(options, &settings.limits);

    let mut builder = Proxy::builder();
    if let Some(rate) = settings.limits.peer_rate {
        builder = builder.peer_rate_limit(rate.into());
    }
    let files = || settings.tenant.iter().filter_map(|tenant| tenant.keys_file.as_deref());
    let sealer = match &settings.sealing_key {
        Some(path) if files().next().is_some() => Some(sealing_key(path, files())?),
        _ => None,
    };
    for tenant in settings.tenant {
        builder = builder.tenant(tenant_of(tenant, sealer.clone(), &format!("{scheme}://{address}")).await?);
    }
    let (serving, handle) = serve(listener, builder.build()?, options);
    println!(
        "serving at {scheme}://{address}; for load balancers GET {scheme}://{address}/ping; Ctrl-C ends it"
    );
    tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            handle.shut_down();
        }
    });
    let drained = serving.await;
    println!("ended; {} connections were cut off", drained.cut_off);
    Ok(())
}

fn settings() -> Result<Settings, Box<dyn Error>> {
    let (mut config, mut listen) = (DEMO.to_owned(), None);
    let mut arguments = std::env::args().skip(1);
    while let Some(flag) = arguments.next() {
        let mut value = || arguments.next().ok_or_else(|| format!("{flag} needs a value"));
        match &*flag {
            "--config" => {
                let path = value()?;
                config = std::fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
            }
            "--listen" => listen = Some(value()?),
            "--log" => tracing_subscriber::fmt().with_writer(std::io::stderr).with_ansi(false).init(),
            _ => return Err(format!("{flag} is none of --config, --listen and --log").into()),
        }
    }
    let mut settings: Settings = toml::from_str(&config).map_err(|error| {
        // The error itself would show the line, and with it the bytes of a key.
        let before = error.span().and_then(|span| config.get(..span.start)).unwrap_or_default();
        format!("line {} of the configuration: {}", before.matches('\n').count() + 1, error.message())
    })?;
    settings.listen = listen.unwrap_or(settings.listen);
    Ok(settings)
}

fn limited(mut options: ServeOptions, limits: &Limits) -> ServeOptions {
    if let Some(connections) = limits.connections {
        options = options.max_connections(connections);
    }
    if let Some(connections) = limits.connections_per_peer {
        options = options.max_connections_per_peer(connections);
    }
    options
}

fn tls_options(tls: &Tls) -> Result<TlsOptions, Box<dyn Error>> {
    let read = |path: &PathBuf| std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()));
    let certificate = ServerCertificate::from_pem(&read(&tls.certificate)?, &read(&tls.private_key)?)?;
    match (&tls.client_roots, &tls.client_subject) {
        (None, None) => Ok(TlsOptions::new(certificate)?),
        (Some(roots), Some(subject)) => {
            Ok(TlsOptions::mutual(certificate, ClientIdentity::new(&read(roots)?, subject)?)?)
        }
        _ => Err("client_roots and client_subject belong together".into()),
    }
}

/// A tenant with a key manager of its own, and how to reach it.
async fn tenant_of(
    settings: TenantSettings,
    sealer: Option<SealingKey>,
    base: &str,
) -> Result<Tenant, Box<dyn Error>> {
    let manager = KeyManager::new();
    let probe = BackingKeyId::new("health-probe")?;
    manager.create_key(probe.clone());
    let connect = ConnectRequest::new(ConnectReason::Connect, Duration::from_secs(5));
    let mut tenant =
        Tenant::builder(settings.path.clone(), manager.connect(&connect).await?).health_key(probe);

    for region in &settings.regions {
        tenant = tenant.region(region.clone());
    }
    load_keys(&manager, &settings, sealer).await?;
    for key in &settings.key {
        let mut grant = KeyGrant::new(key.id.clone());
        if let Some(principals) = &key.principals {
            grant = grant.only_for(principals);
        }
        tenant = tenant.key(key.id.clone(), grant);
        println!("  key {:<16} {:?}{}", key.id, key.usages, if key.enabled { "" } else { " disabled" });
    }
    if let Some(rate) = settings.rate_limit {
        tenant = tenant.rate_limit(rate.into());
    }
    for path in &settings.credentials {
        tenant = tenant.credential(credential(path)?);
    }
    let mut user = "\"$ACCESS_KEY_ID:$SECRET_ACCESS_KEY\"".to_owned();
    if settings.credentials.is_empty() {
        let made = XksProxyCredential::generate()?;
        // Shown, since nobody could use it otherwise; one from a file is not.
        user = format!("{}:{}", made.access_key_id, String::from_utf8_lossy(made.secret_access_key.expose()));
        tenant = tenant.credential(made);
    }
    let region = settings.regions.first().map_or("us-east-1", Region::as_str);
    println!(
        "  curl --aws-sigv4 aws:amz:{region}:kms-xks-proxy --user {user} -H content-type:application/json \\\n    \
         -d '{{\"requestMetadata\":{{\"kmsRequestId\":\"1\",\"kmsOperation\":\"KmsHealthCheck\"}}}}' {base}{}/health",
        settings.path
    );
    Ok(tenant.build()?)
}

/// Gives the manager its keys: those whose bytes are known, those of the file, and new ones, which go into the file.
async fn load_keys(
    manager: &KeyManager,
    settings: &TenantSettings,
    sealer: Option<SealingKey>,
) -> Result<(), Box<dyn Error>> {
    let mut file = match (&settings.keys_file, sealer) {
        (None, _) => None,
        (Some(_), None) => return Err("a keys_file needs a sealing_key".into()),
        (Some(path), Some(sealer)) => Some(KeyFile::open(path, sealer, settings.path.as_str()).await?),
    };
    for key in &settings.key {
        let made = match (&key.bytes, &mut file) {
            (Some(hex), _) => SoftwareKey::from_bytes(&bytes_of(hex)?),
            (None, Some(file)) => file.key(&key.id).await?,
            (None, None) => SoftwareKey::generate(),
        };
        manager.insert_key(key.id.clone(), with_usages(made, key)?);
    }
    match file {
        // Before anything is encrypted under a key that would be lost.
        Some(file) => file.save().await,
        None => Ok(()),
    }
}

fn bytes_of(hex: &str) -> Result<[u8; 32], Box<dyn Error>> {
    let digits = hex.as_bytes().chunks(2).map(|pair| u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok());
    let bytes: Option<Vec<u8>> = digits.collect();
    // Which `from_str_radix` does not see to: it takes a sign.
    let is_hexadecimal = hex.bytes().all(|digit| digit.is_ascii_hexdigit());
    let bytes = bytes.filter(|_| is_hexadecimal).and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
    Ok(bytes.ok_or("a key is 64 hexadecimal digits")?)
}

fn with_usages(made: SoftwareKey, key: &Key) -> Result<SoftwareKey, Box<dyn Error>> {
    if key.usages.iter().any(|usage| usage != "ENCRYPT" && usage != "DECRYPT") {
        return Err("usages are ENCRYPT and DECRYPT".into());
    }
    let may = |usage: &str| key.usages.iter().any(|one| one == usage);
    let usages = KeyUsages::NONE.encrypting(may("ENCRYPT")).decrypting(may("DECRYPT"));
    Ok(made.usages(usages).status(if key.enabled { KeyStatus::Enabled } else { KeyStatus::Disabled }))
}

fn credential(path: &Path) -> Result<XksProxyCredential, Box<dyn Error>> {
    let shown = path.display();
    let file = std::fs::read(path).map_err(|error| format!("{shown}: {error}"))?;
    // What the parser says is not repeated: it may quote the secret.
    let file: CredentialFile = serde_json::from_slice(&file)
        .map_err(|_| format!("{shown}: no credential of the form that the KMS console takes"))?;
    let Credential { access_key_id, raw_secret_access_key } = file.xks_proxy_authentication_credential;
    Ok(XksProxyCredential::new(access_key_id, SecretAccessKey::new(&raw_secret_access_key)?))
}
