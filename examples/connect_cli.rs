//! Checks an external key store proxy: whether it can be connected to, how its key manager is, and its keys.
//!
//! ```text
//! cargo run --example connect_cli -- --endpoint https://proxy.example.com --path /kms/xks/v1 --region us-east-1 \
//!     --credential credential.json --key payroll
//! ```
//!
//! `--help` says the rest. The exit code is 0 when all of it went well. Nothing secret is printed.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for the command line")]

use std::borrow::Cow;
use std::collections::HashMap;
use std::error::Error as StdError;
use std::process::ExitCode;
use std::str::FromStr;
use std::time::{Duration, Instant, SystemTime};

use custom_key_store::backend::{
    AccessKeyId, BackendError, BackingKeyId, ConnectionError, CustomKeyStoreType, KeyDescription, KeySpec,
    KeyStatus, KeyUsages, SecretAccessKey, XksProxyCredential,
};
use custom_key_store::xks::{ClientCertificate, InvalidSetup, TrustRoots, XksCounters, XksProxy};
use custom_key_store::{
    Connected, EncryptionContext, Error, Goodbye, KeyStore, NewKey, ProbeReport, SecretBytes, StoreName,
};
use serde::Deserialize;

const HELP: &str = "Checks an external key store proxy.

  --endpoint https://HOST         where it is; its certificate must be of this name
  --path /PREFIX/kms/xks/v1       under which it offers the protocol
  --region REGION                 that requests are signed for
  --credential FILE               JSON, of the form that the KMS console takes
  --key ID                        a key to try; may be given several times
  --dial ADDRESS:PORT             instead of asking where HOST is
  --trust-root FILE               authorities in PEM, instead of the system's
  --client-certificate FILE       a chain in PEM, for a proxy that asks for it, with
  --client-key FILE               its private key in PEM
  --plain-http-on-loopback ADDRESS:PORT
                                  without TLS, for tests on one machine; the four above are ignored

The first four are required.";

/// Of AWS KMS, for one call.
const LIMIT: Duration = Duration::from_millis(250);

#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("{flag:?} is no flag; --help lists them")]
    Unknown { flag: String },
    #[error("{flag} is missing, or has no value; --help says what it is")]
    Missing { flag: &'static str },
    #[error("{flag} is given twice")]
    Twice { flag: &'static str },
    #[error("the value of {flag} cannot be used")]
    Value { flag: &'static str, source: Box<dyn StdError> },
    #[error("the proxy cannot be used so")]
    Setup(#[from] InvalidSetup),
    #[error("the proxy cannot be connected to")]
    Connect(#[from] ConnectionError),
    #[error("{step} failed")]
    Call { step: &'static str, source: Error },
    #[error("a KMS key needs a key that is AES_256, may ENCRYPT and DECRYPT, and is ENABLED")]
    Unfit,
    #[error("what was decrypted is not what was encrypted")]
    OtherPlaintext,
    #[error("the connection was not closed in good order")]
    Goodbye,
    #[error("{failed} of {all} keys failed")]
    Keys { failed: usize, all: usize },
}

/// The file that the KMS console takes. Borrows, so that the secret is in no memory that is not wiped.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CredentialFile<'a> {
    #[serde(borrow)]
    xks_proxy_authentication_credential: Credential<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Credential<'a> {
    access_key_id: AccessKeyId,
    #[serde(borrow)]
    raw_secret_access_key: Cow<'a, str>,
}

#[tokio::main]
async fn main() -> ExitCode {
    if std::env::args().skip(1).any(|argument| argument == "--help") {
        println!("{HELP}");
        return ExitCode::SUCCESS;
    }
    let checked = match settings(std::env::args().skip(1)) {
        Ok((proxy, keys)) => check(proxy, &keys).await,
        Err(failure) => Err(failure),
    };
    if checked.inspect_err(explain).is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn settings(mut arguments: impl Iterator<Item = String>) -> Result<(XksProxy, Vec<BackingKeyId>), Failure> {
    let (mut given, mut keys) = (HashMap::new(), Vec::new());
    while let Some(argument) = arguments.next() {
        // The text of --help is the list of flags.
        let known = HELP.split_whitespace().find(|word| word.starts_with("--") && *word == argument);
        let flag = known.ok_or(Failure::Unknown { flag: argument })?;
        let value = arguments.next().ok_or(Failure::Missing { flag })?;
        if flag == "--key" {
            keys.push(parsed(flag, &value)?);
        } else if given.insert(flag, value).is_some() {
            return Err(Failure::Twice { flag });
        }
    }
    let required = |flag| given.get(flag).ok_or(Failure::Missing { flag });
    let file = |flag| read(required(flag)?).map_err(unusable(flag));
    let mut builder = XksProxy::builder()
        .endpoint(parsed("--endpoint", required("--endpoint")?)?)
        .path(parsed("--path", required("--path")?)?)
        .region(parsed("--region", required("--region")?)?)
        .credential(credential(&file("--credential")?).map_err(unusable("--credential"))?);
    if let Some(address) = given.get("--plain-http-on-loopback") {
        builder = builder.dangerous_plain_http_on_loopback(parsed("--plain-http-on-loopback", address)?);
    }
    if let Some(address) = given.get("--dial") {
        builder = builder.dial(parsed("--dial", address)?);
    }
    if given.contains_key("--trust-root") {
        builder = builder.trust_roots(TrustRoots::from_pem(file("--trust-root")?.expose())?);
    }
    if given.contains_key("--client-certificate") || given.contains_key("--client-key") {
        let (chain, key) = (file("--client-certificate")?, file("--client-key")?);
        builder = builder.client_certificate(ClientCertificate::from_pem(chain.expose(), &key)?);
    }
    Ok((builder.build()?, keys))
}

fn parsed<T: FromStr<Err: Into<Box<dyn StdError>>>>(flag: &'static str, text: &str) -> Result<T, Failure> {
    text.parse().map_err(|error: T::Err| unusable(flag)(error.into()))
}

fn unusable(flag: &'static str) -> impl Fn(Box<dyn StdError>) -> Failure {
    move |source| Failure::Value { flag, source }
}

fn read(path: &str) -> Result<SecretBytes, Box<dyn StdError>> {
    Ok(SecretBytes::new(std::fs::read(path).map_err(|error| format!("{path}: {error}"))?))
}

fn credential(file: &SecretBytes) -> Result<XksProxyCredential, Box<dyn StdError>> {
    // Where it is wrong, and not how: the parser's own words may quote the secret.
    let parsed: CredentialFile<'_> = serde_json::from_slice(file.expose()).map_err(|error| {
        format!("not of the KMS console's form, line {} column {}", error.line(), error.column())
    })?;
    let found = parsed.xks_proxy_authentication_credential;
    Ok(XksProxyCredential::new(found.access_key_id, SecretAccessKey::new(&found.raw_secret_access_key)?))
}

async fn check(proxy: XksProxy, keys: &[BackingKeyId]) -> Result<(), Failure> {
    let counters = proxy.counters();
    let name = parsed::<StoreName>("the store's name", "connect cli")?;
    let store = KeyStore::ephemeral(name, proxy);
    show_probe(&store.probe().await?);
    let store = store.connect().await.map_err(|error| error.connection_error().clone())?;
    println!("the store is {}", store.state());
    let mut failed = 0;
    for key in keys {
        println!("key {key}");
        if try_key(&store, key).await.inspect_err(explain).is_err() {
            failed += 1;
        }
    }
    let store = store.disconnect().await;
    println!("the store is {}", store.state());
    show_counters(&counters);
    if let Some(report) = store.disconnect_report() {
        println!("  {report}");
        if !matches!(report.goodbye, Goodbye::Said(_)) {
            return Err(Failure::Goodbye);
        }
    }
    if failed > 0 { Err(Failure::Keys { failed, all: keys.len() }) } else { Ok(()) }
}

/// What the proxy says of itself is printed in quotes: it may be anything, a terminal's commands too.
fn show_probe(probe: &ProbeReport) {
    println!("a dry run: connected in {:.1?}, health told in {:.1?}", probe.connecting, probe.answering);
    if let Some(proxy) = &probe.health.proxy {
        println!("  proxy {:?} {:?}, servers: {}", proxy.vendor, proxy.model, proxy.fleet_size);
    }
    println!("  key manager of {:?} is {}", probe.health.vendor, probe.health.status());
    for instance in &probe.health.instances {
        println!("    {:?} {:?} {}", instance.id, instance.model, instance.status);
    }
}

async fn try_key(store: &KeyStore<Connected>, key: &BackingKeyId) -> Result<(), Failure> {
    let failed = |step| move |source| Failure::Call { step, source };
    let found = store.describe_backing_key(key).await.map_err(failed("describing"))?;
    let KeyDescription { ref spec, usages, status, .. } = found;
    println!("  {spec:?}, {status}, may encrypt: {}, decrypt: {}", usages.encrypt, usages.decrypt);
    if found != KeyDescription::new(KeySpec::Aes256, KeyUsages::ENCRYPT_DECRYPT, KeyStatus::Enabled) {
        return Err(Failure::Unfit);
    }
    let id =
        store.create_key(&NewKey::external(key.clone())).await.map_err(failed("creating a KMS key"))?.key_id;
    println!("  fits a KMS key");
    let context = EncryptionContext::new([("purpose", "connect_cli")])
        .map_err(|error| failed("making a context")(error.into()))?;
    for length in [32, 4096] {
        let plaintext = vec![0x5a; length];
        let started = Instant::now();
        let blob = store.encrypt(&id, &plaintext, &context).await.map_err(failed("encrypting"))?;
        let encrypting = started.elapsed();
        let decrypted = store.decrypt(blob.as_bytes(), &context).await.map_err(failed("decrypting"))?;
        let decrypting = started.elapsed() - encrypting;
        if decrypted.expose() != plaintext {
            return Err(Failure::OtherPlaintext);
        }
        println!(
            "  {length:>4} bytes: encrypted in {encrypting:.1?}, decrypted in {decrypting:.1?} of {LIMIT:?}"
        );
    }
    Ok(())
}

fn show_counters(counters: &XksCounters) {
    let counts = counters.counts();
    println!(
        "  requests {}, succeeded {}, errors that may pass {}, that will not {}, sent again {}, connections {}",
        counts.requests,
        counts.successes,
        counts.retryable_errors(),
        counts.lasting_errors(),
        counts.retries,
        counts.connections_opened
    );
    if let Some(expiry) = counts.certificate_expiry {
        let left = expiry.duration_since(SystemTime::now()).unwrap_or_default();
        println!("  the proxy's certificate ends in {} days", left.as_secs() / 86_400);
    }
}

/// The failure, what to do about it where that is known, and what lies beneath.
fn explain(failure: &Failure) {
    eprintln!("  FAILED: {failure}");
    let mut cause = failure.source();
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<ConnectionError>() {
            let advice = error.code().advice(Some(CustomKeyStoreType::ExternalKeyStore));
            eprintln!("    code:  {}\n    means: {}", error.code(), error.code().meaning());
            eprintln!("    do:    {}\n    by:    {}", advice.action, advice.by);
        }
        let of_call = error.downcast_ref::<Error>().and_then(Error::backend_error);
        let backend = of_call.or_else(|| error.downcast_ref());
        let detail = backend.and_then(BackendError::detail).map(|detail| format!(" ({detail})"));
        let text = format!("{error}{}", detail.unwrap_or_default());
        eprintln!("    cause: {}", text.replace(char::is_control, "?"));
        cause = error.source();
    }
}
