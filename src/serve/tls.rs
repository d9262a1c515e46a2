//! TLS: certificates, and their exchange while the server runs.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};

use super::client::SubjectVerifier;
use super::{ClientIdentity, InvalidTls};

/// A server's certificate with its chain and its private key. `Debug` shows neither.
#[derive(Clone)]
pub struct ServerCertificate(Arc<CertifiedKey>);

impl ServerCertificate {
    /// Reads a chain, the server's own certificate first, and a private key (PKCS#8, PKCS#1 or SEC1), both in PEM.
    ///
    /// # Errors
    ///
    /// [`InvalidTls`] when either cannot be read, there is none, or the two do not belong together.
    pub fn from_pem(chain: &[u8], private_key: &[u8]) -> Result<Self, InvalidTls> {
        // What the parser says is not kept: it quotes its input, which may be the key, in the wrong place or form.
        let chain = CertificateDer::pem_slice_iter(chain).collect::<Result<Vec<_>, _>>();
        let chain = chain.map_err(|_| InvalidTls::new("the chain is not certificates in PEM"))?;
        let key = PrivateKeyDer::from_pem_slice(private_key)
            .map_err(|_| InvalidTls::new("the private key is not one in PEM"))?;
        let key = CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider());
        Ok(Self(Arc::new(key.map_err(InvalidTls::new)?)))
    }
}

impl fmt::Debug for ServerCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ServerCertificate({} in the chain)", self.0.cert.len())
    }
}

/// How a server speaks TLS: versions 1.2 and 1.3, with HTTP/2 and HTTP/1.1 to choose from, and the four cipher
/// suites of the XKS protocol among those on offer.
#[derive(Clone)]
#[must_use]
pub struct TlsOptions {
    config: Arc<rustls::ServerConfig>,
    certificate: CertificateHandle,
}

impl TlsOptions {
    /// With this certificate, for any client.
    ///
    /// # Errors
    ///
    /// [`InvalidTls`] when `rustls` refuses the combination.
    pub fn new(certificate: ServerCertificate) -> Result<Self, InvalidTls> {
        Self::build(certificate, None)
    }

    /// With this certificate, for clients alone that can show a certificate of this identity. Others do not get
    /// beyond the handshake.
    ///
    /// Whoever does not let load balancers authenticate gives them a plain port of their own with another
    /// [`serve`](super::serve()).
    ///
    /// # Errors
    ///
    /// [`InvalidTls`] when `rustls` refuses the combination.
    pub fn mutual(certificate: ServerCertificate, client: ClientIdentity) -> Result<Self, InvalidTls> {
        Self::build(certificate, Some(client))
    }

    fn build(certificate: ServerCertificate, client: Option<ClientIdentity>) -> Result<Self, InvalidTls> {
        let provider: Arc<CryptoProvider> = Arc::new(aws_lc_rs::default_provider());
        let builder = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&TLS13, &TLS12])
            .map_err(InvalidTls::new)?;
        let mutual = client.is_some();
        let builder = match client {
            None => builder.with_no_client_auth(),
            Some(identity) => {
                let chains =
                    WebPkiClientVerifier::builder_with_provider(Arc::clone(&identity.roots), provider);
                let chains = chains.build().map_err(InvalidTls::new)?;
                builder.with_client_cert_verifier(Arc::new(SubjectVerifier::new(chains, identity)))
            }
        };
        let certificate = CertificateHandle(Arc::new(Resolver(ArcSwap::new(certificate.0))));
        let resolver: Arc<dyn ResolvesServerCert> = Arc::<Resolver>::clone(&certificate.0);
        let mut config = builder.with_cert_resolver(resolver);
        if mutual {
            // A resumed session would skip the client's certificate, which may have expired meanwhile.
            config.session_storage = Arc::new(NoServerSessionStorage {});
            config.send_tls13_tickets = 0;
        }
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self { config: Arc::new(config), certificate })
    }

    /// Exchanges the certificate while the server runs.
    #[must_use]
    pub fn certificate_handle(&self) -> CertificateHandle {
        self.certificate.clone()
    }

    pub(super) fn into_config(self) -> Arc<rustls::ServerConfig> {
        self.config
    }
}

impl fmt::Debug for TlsOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsOptions").field("certificate", &self.certificate).finish_non_exhaustive()
    }
}

/// Exchanges the certificate of a server that runs. Clones are handles of the same one.
#[derive(Debug, Clone)]
pub struct CertificateHandle(Arc<Resolver>);

impl CertificateHandle {
    /// Shows this certificate in every full handshake from now on; connections that are there stay as they are, and a
    /// client that resumes a session is shown none.
    pub fn replace(&self, certificate: ServerCertificate) {
        self.0.0.store(certificate.0);
    }
}

struct Resolver(ArcSwap<CertifiedKey>);

impl ResolvesServerCert for Resolver {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Resolver")
    }
}
