//! Which key managers stores can be on.

use std::error::Error;
use std::fs;
use std::path::Path;
use std::time::Duration;

use custom_key_store::Identity;
use custom_key_store::backend::TrustAnchorCertificate;
use custom_key_store::backend::software::KeyManager;
use custom_key_store::cloudhsm::{CloudHsmBuilder, CloudHsmCluster, TokenName};
use custom_key_store::kms::{BackendMap, ExternalProxies};
use custom_key_store::xks::{TrustRoots, XksProxy};

use crate::config::{Cluster, External, Settings};

pub(crate) fn backends(settings: &Settings, identity: &Identity) -> Result<BackendMap, Box<dyn Error>> {
    let mut backends = BackendMap::new();
    match &settings.software {
        // In place of proxies, not beside them: whatever endpoint a store names.
        Some(keys) => {
            let manager = KeyManager::new();
            for key in keys {
                manager.create_key(key.clone());
            }
            backends = backends.software(manager);
        }
        None => backends = backends.external(proxies(&settings.external, identity)?),
    }
    for cluster in &settings.cluster {
        let described = described(cluster).map_err(|error| format!("cluster {}: {error}", cluster.id))?;
        backends = backends.cluster(described).map_err(|error| format!("cluster {}: {error}", cluster.id))?;
    }
    Ok(backends)
}

fn proxies(external: &External, identity: &Identity) -> Result<ExternalProxies, Box<dyn Error>> {
    let mut client = XksProxy::builder().region(identity.region.clone());
    if let Some(deadline) = external.deadline_ms.map(Duration::from_millis) {
        client = client.deadline(deadline);
    }
    if !external.trust_roots.is_empty() {
        let mut pem = Vec::new();
        for path in &external.trust_roots {
            pem.extend(read(path)?);
            pem.push(b'\n');
        }
        let trusted = TrustRoots::from_pem(&pem);
        let shown = |error| format!("trust_roots, or --trust-root, {:?}: {error}", external.trust_roots);
        client = client.trust_roots(trusted.map_err(shown)?);
    }
    let mut proxies = ExternalProxies::new(client);
    for (host, address) in &external.connect_to {
        proxies = proxies.connect_to(host, *address);
    }
    Ok(proxies)
}

fn described(cluster: &Cluster) -> Result<CloudHsmBuilder, Box<dyn Error>> {
    let mut description = CloudHsmCluster::builder()
        .library(&cluster.library)
        .token(TokenName::Label(cluster.token.clone()))
        .cluster_id(cluster.id.clone())
        .rotate_password(cluster.rotate_password);
    if let Some(path) = &cluster.trust_anchor {
        let certificate = String::from_utf8(read(path)?)?;
        description = description.trust_anchor_certificate(TrustAnchorCertificate::new(certificate)?);
    }
    if let Some(user) = &cluster.user {
        description = description.user(user);
    }
    if cluster.aws_cloudhsm {
        description = description.aws_cloudhsm();
    }
    Ok(description)
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    fs::read(path).map_err(|error| format!("{}: {error}", path.display()))
}
