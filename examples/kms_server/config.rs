//! What the configuration can say. The table in `main.rs` says what each member is.

use std::collections::BTreeMap;
use std::error::Error;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;

use custom_key_store::backend::{AccountId, BackingKeyId, CloudHsmClusterId};
use custom_key_store::kms::Rules;
use custom_key_store::{Identity, Partition, RateLimit, Region};
use serde::Deserialize;

use crate::flags::Flags;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    pub(crate) listen: Option<String>,
    #[serde(default)]
    pub(crate) allow_plain_http_beyond_loopback: bool,
    #[serde(default = "folder")]
    pub(crate) folder: PathBuf,
    pub(crate) catalog: Option<PathBuf>,
    pub(crate) sealing_key: Option<PathBuf>,
    pub(crate) audit_log: Option<PathBuf>,
    #[serde(default)]
    pub(crate) serve_without_audit: bool,
    /// Whether to begin the audit log anew where it is damaged. By a flag alone: whoever does so at every start hears of nothing.
    #[serde(skip)]
    pub(crate) begin_audit_log_anew: bool,
    /// Whether to check what is kept, instead.
    #[serde(skip)]
    pub(crate) verify: bool,
    /// Whether everything is logged, and not only what fails.
    #[serde(skip)]
    pub(crate) log: bool,
    pub(crate) software: Option<Vec<BackingKeyId>>,
    pub(crate) identity: Option<IdentitySettings>,
    pub(crate) tls: Option<Tls>,
    #[serde(default)]
    pub(crate) limits: Limits,
    #[serde(default)]
    pub(crate) quotas: Quotas,
    #[serde(default)]
    pub(crate) external: External,
    #[serde(default)]
    pub(crate) cluster: Vec<Cluster>,
    #[serde(default)]
    pub(crate) caller: Vec<CallerSettings>,
    pub(crate) rules: Option<Rules>,
}

#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct IdentitySettings {
    partition: Option<Partition>,
    region: Option<Region>,
    account: Option<AccountId>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Tls {
    pub(crate) certificate: PathBuf,
    pub(crate) private_key: PathBuf,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Limits {
    pub(crate) connections: Option<usize>,
    pub(crate) connections_per_peer: Option<usize>,
    pub(crate) peer_rate: Option<Rate>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Quotas {
    pub(crate) crypto: Option<Rate>,
    #[serde(default)]
    pub(crate) unlimited_crypto: bool,
    pub(crate) stores: Option<usize>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rate {
    per_second: NonZeroU32,
    burst: Option<NonZeroU32>,
}

impl From<Rate> for RateLimit {
    fn from(rate: Rate) -> Self {
        Self::per_second(rate.per_second).burst(rate.burst.unwrap_or(rate.per_second))
    }
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct External {
    pub(crate) connect_to: BTreeMap<String, SocketAddr>,
    pub(crate) trust_roots: Vec<PathBuf>,
    pub(crate) deadline_ms: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Cluster {
    pub(crate) id: CloudHsmClusterId,
    pub(crate) library: PathBuf,
    pub(crate) token: String,
    pub(crate) trust_anchor: Option<PathBuf>,
    pub(crate) user: Option<String>,
    #[serde(default)]
    pub(crate) aws_cloudhsm: bool,
    #[serde(default)]
    pub(crate) rotate_password: bool,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CallerSettings {
    pub(crate) principal: String,
    pub(crate) credentials_file: PathBuf,
}

fn folder() -> PathBuf {
    "kms-data".into()
}

impl Settings {
    pub(crate) fn catalog(&self) -> PathBuf {
        self.catalog.clone().unwrap_or_else(|| self.folder.join("catalog.sqlite"))
    }

    pub(crate) fn sealing_key(&self) -> PathBuf {
        self.sealing_key.clone().unwrap_or_else(|| self.folder.join("sealing.key"))
    }

    /// That of a new catalogue.
    pub(crate) fn identity(&self) -> Result<Identity, Box<dyn Error>> {
        let IdentitySettings { partition, region, account } = self.identity.clone().unwrap_or_default();
        Ok(Identity::new(
            partition.map_or_else(|| Partition::new("aws"), Ok)?,
            region.map_or_else(|| Region::new("us-east-1"), Ok)?,
            // The account of AWS's examples.
            account.map_or_else(|| AccountId::new("111122223333"), Ok)?,
        ))
    }
}

/// Those of the configuration, as far as no flag says something else.
pub(crate) fn settings(flags: Flags) -> Result<Settings, Box<dyn Error>> {
    let mut settings = match &flags.config {
        Some(path) => {
            let config = std::fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))?;
            parsed(&config).map_err(|error| format!("{path}: {error}"))?
        }
        None => parsed("")?,
    };
    settings.listen = flags.listen.or(settings.listen);
    settings.folder = flags.folder.unwrap_or(settings.folder);
    (settings.verify, settings.log) = (flags.verify, flags.log);
    settings.audit_log = flags.audit_log.or(settings.audit_log);
    settings.begin_audit_log_anew = flags.begin_audit_log_anew;
    if settings.begin_audit_log_anew && (settings.verify || settings.audit_log.is_none()) {
        return Err(
            "--begin-audit-log-anew is for a start with an audit log: give that with --audit-log FILE".into(),
        );
    }
    settings.external.connect_to.extend(flags.connect_to);
    settings.external.trust_roots.extend(flags.trust_roots);
    if flags.software && settings.software.is_none() {
        settings.software = Some(vec![BackingKeyId::new("usable")?]);
    }
    Ok(settings)
}

fn parsed(config: &str) -> Result<Settings, String> {
    toml::from_str(config).map_err(|error| {
        let before = error.span().and_then(|span| config.get(..span.start)).unwrap_or_default();
        format!("line {} of the configuration: {}", before.matches('\n').count() + 1, error.message())
    })
}
