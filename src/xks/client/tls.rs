//! How the client and a proxy prove to each other who they are.

use std::fmt;
use std::sync::{Arc, OnceLock};

use rustls::client::Resumption;
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::{cipher_suite, default_provider};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, RootCertStore};

use super::builder::InvalidSetup;
use crate::secret::SecretBytes;

#[cfg(test)]
mod tests;

/// What is spoken inside, so that a server that offers more knows.
const ALPN: &[u8] = b"http/1.1";

/// Whose certificates of proxies are trusted.
///
/// Clones share what was read and set up, and so do proxies that are built with them: of a thousand proxies with clones of
/// one value each takes a few hundred bytes for it.
#[derive(Clone, Default)]
pub struct TrustRoots(Arc<Roots>);

#[derive(Default)]
struct Roots {
    /// `None` for the system's.
    given: Option<Arc<RootCertStore>>,
    /// TLS with these, as far as it is the same for all proxies; when it was wanted first.
    configuration: OnceLock<ClientConfig>,
}

impl TrustRoots {
    /// Those that the operating system trusts; those that cannot be read are left out. The default. Where the environment
    /// names others, with `SSL_CERT_FILE` or `SSL_CERT_DIR`, it is these.
    ///
    /// They are read when a proxy is built with this value or a clone of it for the first time. What the system trusts
    /// later is found by whoever makes a new value.
    #[must_use]
    pub fn system() -> Self {
        Self::default()
    }

    /// Those in this PEM and no others: one or more certificates of authorities.
    ///
    /// # Errors
    ///
    /// [`InvalidSetup::TrustRoots`] when there is none, or one that cannot be read.
    pub fn from_pem(pem: &[u8]) -> Result<Self, InvalidSetup> {
        let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
        Self::given(certificates.map_err(|_| InvalidSetup::TrustRoots { reason: "they are not PEM" })?)
    }

    /// Those in these certificates of authorities, each in DER, and no others.
    ///
    /// # Errors
    ///
    /// [`InvalidSetup::TrustRoots`] when there is none, or one that cannot be read.
    pub fn from_der(certificates: impl IntoIterator<Item = Vec<u8>>) -> Result<Self, InvalidSetup> {
        Self::given(certificates.into_iter().map(CertificateDer::from).collect())
    }

    fn given(certificates: Vec<CertificateDer<'static>>) -> Result<Self, InvalidSetup> {
        let mut roots = RootCertStore::empty();
        for certificate in certificates {
            roots
                .add(certificate)
                .map_err(|_| InvalidSetup::TrustRoots { reason: "one is no certificate of an authority" })?;
        }
        if roots.is_empty() {
            return Err(InvalidSetup::TrustRoots { reason: "there are none" });
        }
        Ok(Self(Arc::new(Roots { given: Some(Arc::new(roots)), configuration: OnceLock::new() })))
    }

    fn configuration(&self) -> Result<&ClientConfig, InvalidSetup> {
        let Roots { given, configuration } = &*self.0;
        if let Some(configuration) = configuration.get() {
            return Ok(configuration);
        }
        let roots = given.as_ref().map_or_else(of_the_system, |given| Ok(Arc::clone(given)))?;
        let unusable = |_| InvalidSetup::TrustRoots { reason: "TLS cannot be set up with them" };
        let mut made = ClientConfig::builder_with_provider(Arc::new(provider()))
            .with_protocol_versions(&[&TLS13, &TLS12])
            .map_err(unusable)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        made.alpn_protocols = vec![ALPN.to_vec()];
        // Each proxy has its own.
        made.resumption = Resumption::disabled();
        Ok(configuration.get_or_init(|| made))
    }
}

fn of_the_system() -> Result<Arc<RootCertStore>, InvalidSetup> {
    let mut roots = RootCertStore::empty();
    // Systems have certificates that no longer parse; the rest serves.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        return Err(InvalidSetup::TrustRoots { reason: "the system has none that can be read" });
    }
    Ok(Arc::new(roots))
}

/// Tells how many there are, not whose.
impl fmt::Debug for TrustRoots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.given {
            None => f.write_str("TrustRoots(system)"),
            Some(roots) => write!(f, "TrustRoots({} given)", roots.len()),
        }
    }
}

/// What the client shows a proxy that asks who it is (mTLS): a certificate with its chain, and the private key.
///
/// AWS KMS shows one whose subject has the common name `cks.kms.<Region>.amazonaws.com`. `Debug` hides the key.
#[derive(Clone)]
pub struct ClientCertificate(Arc<CertifiedKey>);

impl ClientCertificate {
    /// Reads a chain in PEM, the client's own certificate first, and its private key in PEM (PKCS #8, PKCS #1 or
    /// SEC 1).
    ///
    /// The key ends up in AWS-LC, which wipes it when it is freed; `key` is wiped when its owner drops it, and so is
    /// what is decoded in between. Not wiped is the buffer in which the PEM reader gathers the lines that it decodes.
    ///
    /// # Errors
    ///
    /// [`InvalidSetup::ClientCertificate`] when either cannot be read or they do not belong together.
    pub fn from_pem(chain: &[u8], key: &SecretBytes) -> Result<Self, InvalidSetup> {
        // What is wrong exactly is not repeated: the errors of the PEM reader quote lines, and these hold a key.
        let invalid = |reason| InvalidSetup::ClientCertificate { reason };
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(chain).collect();
        let chain = chain.map_err(|_| invalid("the chain is not PEM"))?;
        if chain.is_empty() {
            return Err(invalid("the chain is empty"));
        }
        let key = PrivateKeyDer::from_pem_slice(key.expose())
            .map_err(|_| invalid("the key is no private key in PEM"))?;
        let certified = CertifiedKey::from_der(chain, key, &provider())
            .map_err(|_| invalid("the key is of an unknown kind or not the certificate's"))?;
        Ok(Self(Arc::new(certified)))
    }
}

impl fmt::Debug for ClientCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientCertificate").field("chain", &self.0.cert.len()).finish_non_exhaustive()
    }
}

/// TLS 1.2 and 1.3 with the protocol's four cipher suites (XKS-C-04), for one proxy.
pub(super) fn configuration(
    roots: &TrustRoots,
    client: Option<&ClientCertificate>,
) -> Result<Arc<ClientConfig>, InvalidSetup> {
    let mut config = roots.configuration()?.clone();
    if let Some(ClientCertificate(certified)) = client {
        config.client_auth_cert_resolver = Arc::new(SingleCertAndKey::from(Arc::clone(certified)));
    }
    // As many tickets as are kept of one server, and there is but one.
    config.resumption = Resumption::in_memory_sessions(8);
    Ok(Arc::new(config))
}

fn provider() -> CryptoProvider {
    CryptoProvider {
        cipher_suites: vec![
            cipher_suite::TLS13_AES_256_GCM_SHA384,
            cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
            cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
            cipher_suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
        ],
        ..default_provider()
    }
}
