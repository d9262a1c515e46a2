//! An external key store proxy over a software key manager, for test clients, or over the PKCS#11 library of an HSM.
//!
//! ```text
//! cargo run --example xks_proxy                       # plain HTTP on loopback, a new credential, one key of each kind
//! cargo run --example xks_proxy -- --folder xks-data  # the same keys over HTTPS, and all of it is kept
//! cargo run --example xks_proxy -- --config proxy.toml --listen 127.0.0.1:8443 --log
//! ```
//!
//! With `--folder` it is `proxy.example.com`, by a certificate that it makes at its first start. In the folder are then
//! `root.pem`, whom its clients have to trust; `store.json`, which is what `CreateCustomKeyStore` takes for a store on this
//! proxy, its credential among it; and what the proxy itself needs to be the same at its next start: `proxy.pem`, `proxy.key`,
//! `keys.sealed` and `sealing.key`.
//!
//! `--help` lists the flags. A start whose configuration is refused makes nothing; whatever one has made stays, however it
//! ends. A folder, and a file of keys, is one process's at a time: a lock on `keys.sealed.lock`, which stays too, says so.
//! With `--log` each request is a line on standard error. Software keys live in the memory of this process, where an HSM
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
//! # [tenant.pkcs11]                    # absent: software keys; with it the keys are those of a token, and no keys_file
//! # library = "/usr/lib/softhsm/libsofthsm2.so"         # string, required: the vendor's PKCS#11 library
//! # token = "root keys"                # string, required: the token's label
//! # password_file = "pin"              # string, required: the file of the user's password
//! # user = "kmsuser"                   # string: the user's name, for aws_cloudhsm
//! # health_key = "probe"               # string: a key for health checks, not offered; absent: they draw random bytes
//! # keys_by = "label"                  # string: what an id says: "label", or "id" (CKA_ID in lower-case hexadecimal)
//! # aws_cloudhsm = false               # boolean: as the library of AWS CloudHSM wants it
//!
//! [[tenant.key]]
//! id = "usable"                        # of a token's key there are id and principals alone: the token says the rest
//! # usages = ["ENCRYPT", "DECRYPT"]
//! # enabled = true
//! # principals = ["arn:aws:iam::111122223333:role/Payroll"]     # who may use it; absent: everybody
//! # bytes = "64 hexadecimal digits"    # absent: random, and kept in the file of keys
//! ```
//!
//! Relative paths, that of `password_file` among them, are relative to the working directory, not to the configuration.
#![expect(clippy::print_stderr, reason = "an example shows what happens")]

mod config;
mod folder;
mod key_file;
#[path = "../parts/making.rs"]
mod making;
#[path = "../parts/say.rs"]
mod say;
#[path = "../parts/shell.rs"]
mod shell;
mod tenant;

use std::error::Error;
use std::fmt::{self, Display};
use std::fs::File;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use config::{Flags, HELP, Limits, Settings, Tls};
use custom_key_store::SealingKey;
use custom_key_store::backend::UriPath;
use custom_key_store::xks::proxy::{
    ClientIdentity, Proxy, ServeOptions, ServerCertificate, TlsOptions, serve,
};
use key_file::{lock, sealing_key};
use say::say;
use tenant::tenant_of;
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> ExitCode {
    let Err(error) = run().await else { return ExitCode::SUCCESS };
    eprintln!("{error}");
    let mut cause = error.source();
    while let Some(error) = cause {
        eprintln!("  because {error}");
        cause = error.source();
    }
    ExitCode::FAILURE
}

async fn run() -> Result<(), Box<dyn Error>> {
    let flags = Flags::of(std::env::args().skip(1))?;
    if flags.help {
        say(HELP.trim_end());
        return Ok(());
    }
    if flags.log {
        tracing_subscriber::fmt().with_writer(std::io::stderr).with_ansi(false).init();
    }
    let mut settings = config::settings(flags)?;
    let bound = TcpListener::bind(&settings.listen).await;
    let listener =
        bound.map_err(|error| format!("{}: {error}; --listen says where else to serve", settings.listen))?;
    let address = listener.local_addr()?;
    let folder = settings.folder.clone();
    if let Some(folder) = &folder {
        folder::settle(folder, &mut settings);
    }
    // Before anything is made.
    check(&settings, address)?;
    // For as long as this serves.
    let (_locks, sealer) = make(&mut settings)?;
    let (scheme, options) = match &settings.tls {
        Some(tls) => ("https", ServeOptions::https(tls_options(tls)?)),
        None => ("http", ServeOptions::plain_http()),
    };
    let options = limited(options, &settings.limits);

    let mut builder = Proxy::builder();
    if let Some(rate) = settings.limits.peer_rate {
        builder = builder.peer_rate_limit(rate.into());
    }
    for tenant in settings.tenant {
        let path = tenant.path.clone();
        let base = match &folder {
            None => format!("{scheme}://{address}"),
            Some(folder) => folder::curl_base(folder, address),
        };
        let tenant = tenant_of(tenant, sealer.clone(), &base).await;
        builder = builder.tenant(tenant.map_err(|error| InTenant { path, error })?);
    }
    let (serving, handle) = serve(listener, builder.build()?, options);
    say(format_args!(
        "serving at {scheme}://{address}; for load balancers GET {scheme}://{address}/ping; Ctrl-C ends it"
    ));
    if let Some(folder) = &folder {
        say(format_args!(
            "  cargo run --example kms_server -- --connect-to {}={address} --trust-root {}",
            folder::HOST,
            shell::word(&folder.join("root.pem"))
        ));
    }
    tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            handle.shut_down();
        }
    });
    let drained = serving.await;
    say(format_args!("ended; {} connections were cut off", drained.cut_off));
    Ok(())
}

/// What can be wrong. Makes nothing.
fn check(settings: &Settings, address: SocketAddr) -> Result<(), Box<dyn Error>> {
    match &settings.tls {
        // Made when all else is right, if it is not there.
        Some(_) if settings.folder.is_some() => {}
        Some(tls) => drop(tls_options(tls)?),
        None if address.ip().is_loopback() || settings.allow_plain_http_beyond_loopback => {}
        None => return Err("plain HTTP is for loopback: give a [tls] section".into()),
    }
    let folder = settings.folder.as_deref();
    for tenant in &settings.tenant {
        let wrong = |error| InTenant { path: tenant.path.clone(), error };
        tenant::check(tenant, folder).map_err(wrong)?;
        if tenant.keys_file.is_some() && settings.sealing_key.is_none() {
            return Err(wrong("keys_file needs a sealing_key".into()).into());
        }
    }
    if let Some(path) = &settings.sealing_key
        && settings.keys_files().next().is_some()
    {
        sealing_key(path, settings.keys_files())?;
        making::has_place(path, folder)?;
    }
    Ok(())
}

/// What has to be there: the folder with what is in it, and the key that files of keys are sealed under; and the locks of those
/// files, to be kept.
fn make(settings: &mut Settings) -> Result<(Vec<File>, Option<SealingKey>), Box<dyn Error>> {
    if let Some(folder) = &settings.folder {
        making::folder(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    }
    let locks: Vec<_> = settings.keys_files().map(lock).collect::<Result<_, _>>()?;
    if let Some(folder) = settings.folder.clone() {
        folder::make(&folder, settings)?;
    }
    let sealer = match &settings.sealing_key {
        Some(path) if !locks.is_empty() => Some(match sealing_key(path, settings.keys_files())? {
            Some(found) => found,
            None => SealingKey::create_file(path)?,
        }),
        _ => None,
    };
    Ok((locks, sealer))
}

/// What is wrong with one tenant.
#[derive(Debug)]
struct InTenant {
    path: UriPath,
    error: Box<dyn Error>,
}

impl Display for InTenant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tenant {}: {}", self.path, self.error)
    }
}

impl Error for InTenant {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.error.source()
    }
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
    let read =
        |path: &PathBuf| std::fs::read(path).map_err(|error| format!("tls: {}: {error}", path.display()));
    let certificate = ServerCertificate::from_pem(&read(&tls.certificate)?, &read(&tls.private_key)?)
        .map_err(|error| format!("tls: {}: {error}", tls.certificate.display()))?;
    match (&tls.client_roots, &tls.client_subject) {
        (None, None) => Ok(TlsOptions::new(certificate)?),
        (Some(roots), Some(subject)) => {
            Ok(TlsOptions::mutual(certificate, ClientIdentity::new(&read(roots)?, subject)?)?)
        }
        _ => Err("client_roots and client_subject belong together".into()),
    }
}
