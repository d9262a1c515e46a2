//! A proxy whose certificate, credential and keys are made when it starts for the first time, and found when it starts
//! again: all in one folder.

use std::error::Error;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::Path;

use custom_key_store::backend::XksProxyCredential;

use crate::config::{Settings, Tls};

/// What the certificate says. Who connects has to be told where that is.
pub(crate) const HOST: &str = "proxy.example.com";

/// Where everything is that the first tenant, and the server, need. Nothing of it is made yet.
pub(crate) fn settle(folder: &Path, settings: &mut Settings) {
    let (certificate, private_key) = (folder.join("proxy.pem"), folder.join("proxy.key"));
    settings.tls = Some(Tls { certificate, private_key, client_roots: None, client_subject: None });
    settings.sealing_key = Some(folder.join("sealing.key"));
    if let Some(tenant) = settings.tenant.first_mut() {
        tenant.keys_file = Some(folder.join("keys.sealed"));
    }
}

/// Makes the certificate and the credential, unless they are there. For who has the [lock](crate::key_file::lock) of the
/// keys, so that what one process makes no other makes too.
pub(crate) fn make(folder: &Path, settings: &mut Settings) -> Result<(), Box<dyn Error>> {
    let shown = |error| format!("{}: {error}", folder.display());
    let root = folder.join("root.pem");
    // The one that is written last: without it, what there is was begun and not finished.
    if let (Some(tls), false) = (&settings.tls, root.try_exists().map_err(shown)?) {
        let new = Certificate::make()?;
        for (path, content) in
            [(&tls.private_key, &new.private_key), (&tls.certificate, &new.chain), (&root, &new.root)]
        {
            write(path, content).map_err(shown)?;
        }
    }
    if let Some(tenant) = settings.tenant.first_mut() {
        let file = folder.join("store.json");
        if !file.try_exists().map_err(shown)? {
            write(&file, &store_file(tenant.path.as_str())?).map_err(shown)?;
        }
        tenant.credentials = vec![file];
    }
    Ok(())
}

/// With which curl finds the proxy, and trusts it.
pub(crate) fn curl_base(folder: &Path, address: SocketAddr) -> String {
    let (root, port) = (folder.join("root.pem"), address.port());
    format!("--cacert {} --connect-to {HOST}:{port}:{address} https://{HOST}:{port}", root.display())
}

/// A certificate for [`HOST`] under an authority of its own, whose key nobody keeps.
struct Certificate {
    chain: String,
    private_key: String,
    root: String,
}

impl Certificate {
    fn make() -> Result<Self, rcgen::Error> {
        let mut authority = rcgen::CertificateParams::default();
        authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        authority.distinguished_name.push(rcgen::DnType::CommonName, "xks_proxy's own authority");
        let authority_key = rcgen::KeyPair::generate()?;
        let root = authority.self_signed(&authority_key)?.pem();
        let issuer = rcgen::Issuer::new(authority, authority_key);
        let key = rcgen::KeyPair::generate()?;
        let leaf = rcgen::CertificateParams::new([HOST.to_owned()])?.signed_by(&key, &issuer)?;
        Ok(Self { chain: leaf.pem(), private_key: key.serialize_pem(), root })
    }
}

/// With a new credential, all that `CreateCustomKeyStore` takes. What the KMS console takes from a file is a part of it.
fn store_file(path: &str) -> Result<String, Box<dyn Error>> {
    let made = XksProxyCredential::generate()?;
    let content = serde_json::json!({
        "CustomKeyStoreName": "root keys",
        "CustomKeyStoreType": "EXTERNAL_KEY_STORE",
        "XksProxyConnectivity": "PUBLIC_ENDPOINT",
        "XksProxyUriEndpoint": format!("https://{HOST}"),
        "XksProxyUriPath": path,
        "XksProxyAuthenticationCredential": {
            "AccessKeyId": made.access_key_id.as_str(),
            "RawSecretAccessKey": str::from_utf8(made.secret_access_key.expose())?,
        },
    });
    Ok(format!("{content:#}\n"))
}

/// A file for its owner alone, whole or not at all.
fn write(path: &Path, content: &str) -> io::Result<()> {
    let mut new = path.to_owned().into_os_string();
    new.push(".new");
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    let mut file = options.open(&new)?;
    file.write_all(content.as_bytes())?;
    file.sync_all()?;
    fs::rename(&new, path)
}
