//! A tenant: a path with its credentials, its keys, and the key manager that has them.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use custom_key_store::SealingKey;
use custom_key_store::backend::software::{KeyManager, SoftwareKey};
use custom_key_store::backend::{
    Backend, BackendErrorKind, BackingKeyId, CloudHsmClusterId, ConnectReason, ConnectRequest, Connection,
    DescribeKeyRequest, KeyDescription, KeyStatus, KeyUsages, Operation, RequestId, RequestMetadata,
    SecretAccessKey, XksProxyCredential,
};
use custom_key_store::cloudhsm::{CloudHsmCluster, KeyNames, Pin, TokenName};
use custom_key_store::xks::Region;
use custom_key_store::xks::proxy::{KeyGrant, Tenant};

use crate::config::{Credential, CredentialFile, Key, KeysBy, Pkcs11, TenantSettings};
use crate::key_file::KeyFile;
use crate::making;
use crate::say::say;

/// What can be wrong, found out before anything is made. Of tokens only what is said of them.
pub(crate) fn check(settings: &TenantSettings, folder: Option<&Path>) -> Result<(), Box<dyn Error>> {
    if let Some(token) = &settings.pkcs11 {
        check_token(settings)?;
        pin(token)?;
    }
    for key in &settings.key {
        let bytes = key.bytes.as_deref().map(bytes_of).transpose()?;
        let loaded = bytes.map_or_else(SoftwareKey::generate, |bytes| SoftwareKey::from_bytes(&bytes));
        drop(with_usages(loaded, key)?);
    }
    for path in &settings.credentials {
        credential(path)?;
    }
    if let Some(file) = &settings.keys_file {
        making::has_place(file, folder)?;
    }
    Ok(())
}

/// A tenant with a key manager of its own, and how to reach it.
pub(crate) async fn tenant_of(
    settings: TenantSettings,
    sealer: Option<SealingKey>,
    base: &str,
) -> Result<Tenant, Box<dyn Error>> {
    let (connection, probe) = match &settings.pkcs11 {
        Some(token) => (in_token(token).await?, token.health_key.clone()),
        None => in_memory(&settings, sealer).await?,
    };
    let described = match &settings.pkcs11 {
        Some(token) => describe(token, &settings.key, &*connection).await?,
        None => BTreeMap::new(),
    };
    let mut tenant = Tenant::builder(settings.path.clone(), connection);
    tenant = match probe {
        Some(probe) => tenant.health_key(probe),
        None => tenant.shallow_health_check(),
    };
    for region in &settings.regions {
        tenant = tenant.region(region.clone());
    }
    for key in &settings.key {
        let mut grant = KeyGrant::new(key.id.clone());
        if let Some(principals) = &key.principals {
            grant = grant.only_for(principals);
        }
        tenant = tenant.key(key.id.clone(), grant);
        let usages = described.get(&key.id).map_or_else(|| key.usages.clone(), usages_of);
        say(format_args!("  key {:<16} {usages:?}{}", key.id, if key.enabled { "" } else { " disabled" }));
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
    say(format_args!(
        "  curl --aws-sigv4 aws:amz:{region}:kms-xks-proxy --user {user} -H content-type:application/json \\\n    \
         -d '{{\"requestMetadata\":{{\"kmsRequestId\":\"1\",\"kmsOperation\":\"KmsHealthCheck\"}}}}' {base}{}/health",
        settings.path
    ));
    Ok(tenant.build()?)
}

/// A key manager in this process, with the tenant's keys and one for health checks.
async fn in_memory(
    settings: &TenantSettings,
    sealer: Option<SealingKey>,
) -> Result<(Arc<dyn Connection>, Option<BackingKeyId>), Box<dyn Error>> {
    let manager = KeyManager::new();
    let probe = BackingKeyId::new("health-probe")?;
    manager.create_key(probe.clone());
    load_keys(&manager, settings, sealer).await?;
    Ok((connected(&manager).await?, Some(probe)))
}

/// Whether nothing is said of keys that the token says itself.
fn check_token(settings: &TenantSettings) -> Result<(), &'static str> {
    let has_settings = |key: &Key| key.bytes.is_some() || !key.enabled || key.usages.len() != 2;
    if settings.keys_file.is_some() || settings.key.iter().any(has_settings) {
        return Err(
            "pkcs11: the keys of a token are what the token says: they take an id and principals alone, and no keys_file",
        );
    }
    Ok(())
}

fn pin(token: &Pkcs11) -> Result<Pin, String> {
    let shown = format!("pkcs11.password_file {}", token.password_file.display());
    let password =
        std::fs::read_to_string(&token.password_file).map_err(|error| format!("{shown}: {error}"))?;
    // The end of the line is the editor's; a space may be the PIN's.
    Pin::new(password.trim_end_matches(['\r', '\n'])).map_err(|error| format!("{shown}: {error}"))
}

/// The token, which has the keys already.
async fn in_token(token: &Pkcs11) -> Result<Arc<dyn Connection>, Box<dyn Error>> {
    let mut cluster = CloudHsmCluster::builder()
        .library(&token.library)
        .token(TokenName::Label(token.token.clone()))
        // Nobody sees it.
        .cluster_id(CloudHsmClusterId::new("cluster-aaaaaaaaaaa")?)
        .pin(pin(token)?)
        .key_names(match token.keys_by {
            KeysBy::Label => KeyNames::Label,
            KeysBy::Id => KeyNames::Id,
        });
    if let Some(user) = &token.user {
        cluster = cluster.user(user);
    }
    if token.aws_cloudhsm {
        cluster = cluster.aws_cloudhsm();
    }
    connected(&cluster.build()?).await
}

/// What the token says of its keys, by their ids. One that it does not have would be missed by whoever uses it.
async fn describe(
    token: &Pkcs11,
    keys: &[Key],
    connection: &dyn Connection,
) -> Result<BTreeMap<BackingKeyId, KeyDescription>, Box<dyn Error>> {
    let request = RequestId::from("start");
    let metadata = RequestMetadata::new("xks_proxy", &Operation::DESCRIBE_KEY, &request);
    let by = match token.keys_by {
        KeysBy::Label => "label",
        KeysBy::Id => "CKA_ID",
    };
    let offered = keys.iter().map(|key| ("key", &key.id));
    let probe = token.health_key.iter().map(|id| ("pkcs11.health_key", id));
    let mut described = BTreeMap::new();
    for (setting, id) in offered.chain(probe) {
        let key =
            connection.describe_key(&DescribeKeyRequest::new(metadata, id)).await.map_err(|error| match (
                error.kind(),
                error.detail(),
            ) {
                (BackendErrorKind::KeyNotFound, _) => {
                    format!("{setting} {id}: the token {:?} has no secret key of this {by}", token.token)
                }
                (_, Some(detail)) => format!("{setting} {id}: {error} ({detail})"),
                (_, None) => format!("{setting} {id}: {error}"),
            })?;
        described.insert(id.clone(), key);
    }
    Ok(described)
}

async fn connected(backend: &dyn Backend) -> Result<Arc<dyn Connection>, Box<dyn Error>> {
    let connect = ConnectRequest::new(ConnectReason::Connect, Duration::from_secs(5));
    Ok(backend.connect(&connect).await?)
}

/// Gives the manager its keys: those whose bytes are known, those of the file, and new ones, which go into the file.
async fn load_keys(
    manager: &KeyManager,
    settings: &TenantSettings,
    sealer: Option<SealingKey>,
) -> Result<(), Box<dyn Error>> {
    let mut file = match (&settings.keys_file, sealer) {
        (None, _) => None,
        (Some(_), None) => return Err("keys_file needs a sealing_key".into()),
        (Some(path), Some(sealer)) => Some(KeyFile::open(path, sealer, settings.path.as_str()).await?),
    };
    for key in &settings.key {
        let loaded = match (&key.bytes, &mut file) {
            (Some(hex), _) => SoftwareKey::from_bytes(&bytes_of(hex)?),
            (None, Some(file)) => file.key(&key.id).await?,
            (None, None) => SoftwareKey::generate(),
        };
        manager.insert_key(key.id.clone(), with_usages(loaded, key)?);
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

fn usages_of(key: &KeyDescription) -> Vec<String> {
    let usages = [(key.usages.encrypt, "ENCRYPT"), (key.usages.decrypt, "DECRYPT")];
    usages.into_iter().filter(|(may, _)| *may).map(|(_, usage)| usage.to_owned()).collect()
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
    let file = std::fs::read(path).map_err(|error| format!("credentials {shown}: {error}"))?;
    // What the parser says is not repeated: it may quote the secret.
    let file: CredentialFile = serde_json::from_slice(&file)
        .map_err(|_| format!("credentials {shown}: not of the form that the KMS console takes"))?;
    let Credential { access_key_id, raw_secret_access_key } = file.xks_proxy_authentication_credential;
    Ok(XksProxyCredential::new(access_key_id, SecretAccessKey::new(&raw_secret_access_key)?))
}
