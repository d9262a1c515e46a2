//! What the configuration can say.

use std::error::Error;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use custom_key_store::backend::{AccessKeyId, BackingKeyId, UriPath};
use custom_key_store::xks::Region;
use custom_key_store::xks::proxy::RateLimit;
use serde::Deserialize;

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
pub(crate) struct Settings {
    #[serde(default = "loopback")]
    pub(crate) listen: String,
    #[serde(default)]
    pub(crate) allow_plain_http_beyond_loopback: bool,
    pub(crate) sealing_key: Option<PathBuf>,
    /// Where everything is that the file says nothing of.
    #[serde(skip)]
    pub(crate) folder: Option<PathBuf>,
    #[serde(default)]
    pub(crate) limits: Limits,
    pub(crate) tls: Option<Tls>,
    pub(crate) tenant: Vec<TenantSettings>,
}

impl Settings {
    /// Where tenants keep their keys.
    pub(crate) fn keys_files(&self) -> impl Iterator<Item = &Path> {
        self.tenant.iter().filter_map(|tenant| tenant.keys_file.as_deref())
    }
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Limits {
    pub(crate) connections: Option<usize>,
    pub(crate) connections_per_peer: Option<usize>,
    pub(crate) peer_rate: Option<Rate>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rate {
    pub(crate) per_second: NonZeroU32,
    pub(crate) burst: Option<NonZeroU32>,
}

impl From<Rate> for RateLimit {
    fn from(rate: Rate) -> Self {
        Self::per_second(rate.per_second).burst(rate.burst.unwrap_or(rate.per_second))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Tls {
    pub(crate) certificate: PathBuf,
    pub(crate) private_key: PathBuf,
    pub(crate) client_roots: Option<PathBuf>,
    pub(crate) client_subject: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TenantSettings {
    pub(crate) path: UriPath,
    pub(crate) regions: Vec<Region>,
    #[serde(default)]
    pub(crate) credentials: Vec<PathBuf>,
    pub(crate) keys_file: Option<PathBuf>,
    pub(crate) pkcs11: Option<Pkcs11>,
    pub(crate) rate_limit: Option<Rate>,
    #[serde(default)]
    pub(crate) key: Vec<Key>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Key {
    pub(crate) id: BackingKeyId,
    #[serde(default = "both")]
    pub(crate) usages: Vec<String>,
    #[serde(default = "yes")]
    pub(crate) enabled: bool,
    pub(crate) principals: Option<Vec<String>>,
    pub(crate) bytes: Option<String>,
}

/// A token whose keys are served. The table in `main.rs` says what each member is.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Pkcs11 {
    pub(crate) library: PathBuf,
    pub(crate) token: String,
    pub(crate) user: Option<String>,
    pub(crate) password_file: PathBuf,
    /// One that is not offered; absent: health checks draw random bytes.
    pub(crate) health_key: Option<BackingKeyId>,
    #[serde(default)]
    pub(crate) keys_by: KeysBy,
    #[serde(default)]
    pub(crate) aws_cloudhsm: bool,
}

/// What the id of a key says.
#[derive(Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum KeysBy {
    #[default]
    Label,
    Id,
}

/// The file that the KMS console takes.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct CredentialFile {
    pub(crate) xks_proxy_authentication_credential: Credential,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Credential {
    pub(crate) access_key_id: AccessKeyId,
    pub(crate) raw_secret_access_key: String,
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

/// What the command line can say.
pub(crate) const HELP: &str = "\
An external key store proxy: software keys, or those of an HSM, for AWS KMS or for examples/kms_server.

Usage: cargo run --example xks_proxy -- [FLAG]...

  --config FILE          the configuration, in TOML; the top of examples/xks_proxy/main.rs says what it can hold
                         [default: one path, /kms/xks/v1, with five software keys]
  --listen ADDRESS:PORT  where to serve; port 0 is any that is free [default: 127.0.0.1:8000]
  --folder FOLDER        serves HTTPS, and keeps certificate, credential and keys in there; made if it is not there;
                         not with --config [default: plain HTTP, a new credential and new keys at each start]
  --log                  each request is a line on standard error
  --help                 this

How much there may be: connections of 128 from each address and of 1024 from all; requests as many as come. The
configuration can change that. Ctrl-C ends it.
";

/// What flags say.
#[derive(Default)]
pub(crate) struct Flags {
    pub(crate) help: bool,
    config: Option<String>,
    listen: Option<String>,
    pub(crate) folder: Option<PathBuf>,
    pub(crate) log: bool,
}

impl Flags {
    pub(crate) fn of(arguments: impl Iterator<Item = String>) -> Result<Self, Box<dyn Error>> {
        Self::parse(arguments).map_err(|error| format!("{error}; --help says what there is").into())
    }

    fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut flags = Self::default();
        while let Some(flag) = arguments.next() {
            let mut value = || arguments.next().ok_or_else(|| format!("{flag} needs a value"));
            match &*flag {
                "--help" | "-h" => flags.help = true,
                "--config" => flags.config = Some(value()?),
                "--listen" => flags.listen = Some(value()?),
                "--folder" => flags.folder = Some(PathBuf::from(value()?)),
                "--log" => flags.log = true,
                _ => return Err(format!("{flag} is no flag")),
            }
        }
        if flags.config.is_some() && flags.folder.is_some() {
            return Err("--config says itself where its files are, and takes no --folder".to_owned());
        }
        Ok(flags)
    }
}

/// What the configuration says, as far as no flag says something else.
pub(crate) fn settings(flags: Flags) -> Result<Settings, Box<dyn Error>> {
    let config = match &flags.config {
        Some(path) => std::fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))?,
        None => DEMO.to_owned(),
    };
    let mut settings: Settings = toml::from_str(&config).map_err(|error| {
        // The error itself would show the line, and with it the bytes of a key.
        let before = error.span().and_then(|span| config.get(..span.start)).unwrap_or_default();
        format!("line {} of the configuration: {}", before.matches('\n').count() + 1, error.message())
    })?;
    settings.listen = flags.listen.unwrap_or(settings.listen);
    settings.folder = flags.folder;
    Ok(settings)
}
