//! A whole endpoint of AWS KMS with custom key stores: AWS's command-line client and SDKs use it with no change but its URL.
//!
//! ```text
//! cargo run --example kms_server                      # plain HTTP on loopback, its files in ./kms-data
//! cargo run --example kms_server -- --config kms.toml --listen 127.0.0.1:8443 --log
//! cargo run --example kms_server -- --connect-to proxy.example.com=127.0.0.1:8000 --trust-root xks-data/root.pem
//! ```
//!
//! It says what to put into the environment of a client. `--help` lists the flags, which count before the configuration. Why a
//! connection failed is a line on standard error, and with `--log` each request, and whatever becomes of a connection, is too. A start whose configuration
//! is refused makes nothing; what one has made stays, however it ends, since another may count on it by then. The locks of the
//! files, `catalog.sqlite.lock` above all, are never removed either: whoever does lets in a second server.
//!
//! Ctrl-C or SIGTERM ends it: requests in flight are answered, stores say goodbye to their key managers, and those that were
//! connected are connected again at the next start.
//!
//! All that the configuration can say, with what holds where it is silent:
//!
//! ```toml
//! # listen = "127.0.0.1:8080"           # absent: the first of the ports 8080 to 8089 of 127.0.0.1 that is free
//! # allow_plain_http_beyond_loopback = false
//! # folder = "kms-data"                 # where the files are that are named nowhere; made if it is not there
//! # catalog = "kms-data/catalog.sqlite"
//! # sealing_key = "kms-data/sealing.key"   # made when there is neither it nor anything in the catalogue; keep it elsewhere
//! # audit_log = "kms-data/audit.jsonl"  # absent: none; once there is one, each start wants it
//! # serve_without_audit = false         # boolean: whether to go on when its medium is full or fails; or else calls are
//! #                                     # refused, but for DisconnectCustomKeyStore and DisableKey
//! # software = ["usable"]               # for tests: a key manager in memory, with these external keys, serves every store that
//! #                                     # nothing below knows; absent: such stores are refused
//!
//! # [identity]                          # of a new catalogue; one that is there has to have the same, if this section is given
//! # partition = "aws"
//! # region = "us-east-1"
//! # account = "111122223333"
//!
//! # [tls]                               # absent: plain HTTP
//! # certificate = "chain.pem"           # of the host or address in the clients' AWS_ENDPOINT_URL_KMS; they trust its issuer
//! #                                     # by AWS_CA_BUNDLE=root.pem, if it is one of your own
//! # private_key = "key.pem"
//!
//! # [limits]
//! # connections = 1024
//! # connections_per_peer = 128          # behind a load balancer, who is the peer then: as many as connections
//! # peer_rate = { per_second = 100, burst = 200 }     # of requests, before authentication; absent: none
//!
//! # [quotas]
//! # crypto = { per_second = 1800 }      # uses of keys of one store by all callers together; burst as above
//! # unlimited_crypto = false
//! # stores = 10                         # absent: no limit
//!
//! # [external]                          # external key stores
//! # connect_to = { "proxy.example.com" = "127.0.0.1:8000" }   # hosts that lie elsewhere; all others must be public addresses
//! # trust_roots = ["root.pem"]          # whom to trust in place of whom the system trusts
//! # deadline_ms = 250                   # for each request to a proxy, everything included
//!
//! # [[cluster]]                         # CloudHSM key stores: what a cluster id means here
//! # id = "cluster-mainhsmroom"
//! # library = "/usr/lib/softhsm/libsofthsm2.so"         # string, required: the vendor's PKCS#11 library
//! # token = "root keys"                 # string, required: the token's label
//! # trust_anchor = "customerCA.crt"     # the certificate that a store of this cluster has to name; absent: any
//! # user = "kmsuser"
//! # aws_cloudhsm = false                # boolean: as the library of AWS CloudHSM wants it
//! # rotate_password = false             # boolean: whether connecting changes the user's password to one that only the
//! #                                     # catalogue has, as AWS KMS does
//!
//! # [[caller]]                          # absent: one, `user/admin`, whose file is kms-data/admin.credentials
//! # principal = "arn:aws:iam::111122223333:role/payroll"
//! # credentials_file = "payroll.credentials"     # of the form of ~/.aws/credentials; made, and shown once, if it is not there
//!
//! # [[rules]]                           # who may do what; without any every caller may do everything
//! # effect = "Allow"                    # or "Deny"
//! # principals = ["arn:aws:iam::111122223333:role/payroll"]
//! # actions = ["Encrypt", "Decrypt", "GenerateDataKey*", "ReEncrypt*"]   # ReEncryptFrom one key and ReEncryptTo the other
//! #                                     # a CreateKey with tags takes TagResource too, both by a rule without keys
//! # keys = ["1234abcd-12ab-34cd-56ef-1234567890ab"]     # absent: all
//! # stores = ["cks-1234567890abcdef0"]  # absent: all
//! ```
//!
//! Relative paths are relative to the working directory, not to the configuration.
#![expect(clippy::print_stderr, reason = "an example shows what happens")]

mod backends;
mod callers;
mod checking;
mod config;
mod flags;
mod keeping;
#[path = "../parts/making.rs"]
mod making;
#[path = "../parts/say.rs"]
mod say;
#[path = "../parts/shell.rs"]
mod shell;

use std::error::Error;
use std::io::{ErrorKind, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use config::{Limits, Settings, Tls};
use custom_key_store::api::{KmsApi, ServeOptions, ServerCertificate, TlsOptions, serve};
use custom_key_store::audit::{AuditLog, AuditTrail, OnFailure};
use custom_key_store::catalog::Ledger;
use custom_key_store::kms::{ConnectionEvent, ConnectionEvents, Driver, Kms};
use custom_key_store::{PageRequest, RateLimit};
use flags::{Flags, HELP};
use futures::StreamExt as _;
use say::say;
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

#[expect(
    clippy::future_not_send,
    reason = "an error, which need not be sent, is kept while the catalogue is closed"
)]
async fn run() -> Result<(), Box<dyn Error>> {
    let flags = Flags::of(std::env::args().skip(1))?;
    if flags.help {
        say(HELP.trim_end());
        return Ok(());
    }
    if flags.log {
        tracing_subscriber::fmt().with_writer(std::io::stderr).with_ansi(false).init();
    }
    let settings = config::settings(flags)?;
    if settings.verify {
        let ledger = keeping::ledger(&settings).await?;
        return keeping::verify(&ledger, &settings).await;
    }
    let listener = listen(settings.listen.as_deref()).await?;
    let address = listener.local_addr()?;
    let (scheme, options) = match &settings.tls {
        Some(tls) => ("https", ServeOptions::https(tls_options(tls)?)),
        None if address.ip().is_loopback() || settings.allow_plain_http_beyond_loopback => {
            ("http", ServeOptions::plain_http())
        }
        None => return Err("plain HTTP is for loopback: give a [tls] section".into()),
    };
    let at =
        At { url: format!("{scheme}://{address}"), listener, options: limited(options, &settings.limits) };

    if !settings.catalog().try_exists()? {
        checking::check(&settings, &settings.identity()?)?;
    }
    let ledger = keeping::ledger(&settings).await?;
    let ended = served(at, &ledger, settings).await;
    let closed = ledger.close().await;
    say(format_args!("ended; {} connections were cut off", ended?));
    Ok(closed?)
}

/// Where it serves, and how.
struct At {
    url: String,
    listener: TcpListener,
    options: ServeOptions,
}

/// Serves until the process is to end; how many connections were cut off then.
async fn served(at: At, ledger: &Ledger, mut settings: Settings) -> Result<usize, Box<dyn Error>> {
    let At { url, listener, options } = at;
    // Of a catalogue that was there it is known only now whose keys it has.
    checking::check(&settings, ledger.identity())?;
    let audit_log = keeping::audit_log(ledger, &settings).await?;
    let has_stores = !ledger.stores(&PageRequest::default()).await?.items.is_empty();
    let (callers, said) = callers::callers(&settings, &url, ledger.identity())?;
    let (kms, driver) = open(ledger, audit_log, &mut settings).await?;
    tokio::spawn(log(kms.events(), settings.log));
    let mut driving = tokio::spawn(driver);
    let mut api = KmsApi::builder(kms.clone(), callers);
    if let Some(rate) = settings.limits.peer_rate {
        api = api.peer_rate_limit(rate.into());
    }
    let everybody = api.every_caller_is_administrator();
    // From here on it would be a pity to miss a signal.
    let stop = stop()?;
    let (serving, handle) = serve(listener, api.build()?, options);

    say(format_args!("serving at {url}; files in {}; Ctrl-C ends it", settings.folder.display()));
    if !has_stores {
        say(
            "  there are no custom key stores; if there were some, this is not the catalogue that they are in",
        );
    }
    if everybody {
        say("  there are no rules: every caller may do everything");
    }
    for caller in said {
        say(caller);
    }
    say("  aws kms describe-custom-key-stores");

    tokio::spawn(async move {
        stop.await;
        handle.shut_down();
    });
    let drained = tokio::select! {
        drained = serving => drained,
        // A `Kms` without its driver refuses every call.
        ended = &mut driving => return Err(ended.map_or_else(Into::into, |()| "the driver has ended".into())),
    };
    kms.shut_down();
    driving.await?;
    Ok(drained.cut_off)
}

async fn open(
    ledger: &Ledger,
    audit_log: Option<AuditLog>,
    settings: &mut Settings,
) -> Result<(Kms, Driver), Box<dyn Error>> {
    let backends = backends::backends(settings, ledger.identity())?;
    let mut builder = Kms::builder(ledger.clone(), backends);
    if let Some(rules) = settings.rules.take() {
        builder = builder.authorizer(rules);
    }
    if let Some(stores) = settings.quotas.stores {
        builder = builder.max_stores(stores);
    }
    builder = match settings.quotas.crypto {
        _ if settings.quotas.unlimited_crypto => builder.without_quota(),
        Some(rate) => builder.quota(RateLimit::from(rate)),
        None => builder,
    };
    if let Some(log) = audit_log {
        let on_failure = if settings.serve_without_audit { OnFailure::Continue } else { OnFailure::Refuse };
        builder = builder.audit(AuditTrail::new(log, on_failure));
    }
    Ok(builder.open().await?)
}

/// What becomes of connections, as long as there are any, and of those that fail the whole chain of causes: that is said in
/// any case.
async fn log(mut events: ConnectionEvents, is_logged: bool) {
    while let Some(ConnectionEvent { store, name, from, to, error, .. }) = events.next().await {
        let Some(error) = error else {
            tracing::info!(%store, %name, %from, %to, "a connection has changed");
            continue;
        };
        let (code, advice) = (error.code(), error.code().advice(None).action);
        let cause = chain(&error);
        let what =
            if from == to { "an attempt has failed, and another follows" } else { "a connection has failed" };
        tracing::warn!(%store, %name, %from, %to, %code, cause, advice, "{what}");
        if !is_logged {
            // Whether or not somebody reads it.
            drop(writeln!(std::io::stderr(), "{store} ({name}): {what}: {cause}. {advice}"));
        }
    }
}

/// An error and what lies beneath it, in one line.
fn chain(error: &(dyn Error + 'static)) -> String {
    std::iter::successors(Some(error), |error| (*error).source())
        .map(|error| error.to_string().replace(char::is_control, " "))
        .collect::<Vec<_>>()
        .join(": ")
}

/// Where it is told, or at a port that is free.
async fn listen(address: Option<&str>) -> Result<TcpListener, Box<dyn Error>> {
    if let Some(address) = address {
        let bound = TcpListener::bind(address).await;
        return Ok(bound.map_err(|error| format!("{address}: {error}; --listen says where else to serve"))?);
    }
    for port in 8080..8090_u16 {
        match TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], port))).await {
            Err(error) if error.kind() == ErrorKind::AddrInUse => {}
            bound => return Ok(bound?),
        }
    }
    Err("the ports 8080 to 8089 are taken: give another with --listen 127.0.0.1:PORT".into())
}

/// Resolves when the process is to end. Listens for that from now on.
#[cfg(unix)]
fn stop() -> Result<impl Future<Output = ()> + Send, Box<dyn Error>> {
    use tokio::signal::unix::{SignalKind, signal};

    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

#[cfg(not(unix))]
fn stop() -> Result<impl Future<Output = ()> + Send, Box<dyn Error>> {
    Ok(async {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    })
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
    Ok(TlsOptions::new(certificate)?)
}
