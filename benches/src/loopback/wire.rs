//! How the two ends are connected.

use std::fmt;
use std::sync::Arc;

use custom_key_store::xks::TrustRoots;
use custom_key_store::xks::proxy::{ServeOptions, ServerCertificate, TlsOptions};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use tokio_rustls::rustls::version::TLS13;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};

use super::{Failure, HOST};

/// A version of HTTP, and what it runs over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wire {
    /// HTTP/1.1, unencrypted.
    Plain,
    /// HTTP/1.1 over TLS 1.3.
    Tls,
    /// HTTP/2 over TLS 1.3.
    Http2,
}

impl Wire {
    /// Whether there is TLS.
    #[must_use]
    pub fn is_tls(self) -> bool {
        self != Self::Plain
    }

    fn alpn(self) -> Vec<Vec<u8>> {
        vec![if self == Self::Http2 { b"h2".to_vec() } else { b"http/1.1".to_vec() }]
    }
}

impl fmt::Display for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plain => "plain",
            Self::Tls => "TLS 1.3",
            Self::Http2 => "TLS 1.3, HTTP/2",
        })
    }
}

/// A certificate of [`HOST`], for whoever shows it and for whoever trusts it. `Debug` does not show its key.
pub struct Tls {
    certificate: CertificateDer<'static>,
    pem: String,
    key: rcgen::KeyPair,
}

impl Tls {
    /// A new one, signed by itself.
    pub fn new() -> Result<Self, Failure> {
        let made = rcgen::generate_simple_self_signed([HOST.to_owned()])?;
        Ok(Self { certificate: made.cert.der().clone(), pem: made.cert.pem(), key: made.signing_key })
    }

    /// TLS 1.3 alone, as rustls does it, and the protocol that `wire` says.
    pub fn client(&self, wire: Wire) -> Result<ClientConfig, Failure> {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone())?;
        let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(&[&TLS13])?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = wire.alpn();
        Ok(config)
    }

    /// The other end of [`client`](Self::client).
    pub fn acceptor(&self, wire: Wire) -> Result<TlsAcceptor, Failure> {
        let key = PrivatePkcs8KeyDer::from(self.key.serialize_der());
        let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(&[&TLS13])?
            .with_no_client_auth()
            .with_single_cert(vec![self.certificate.clone()], key.into())?;
        config.alpn_protocols = wire.alpn();
        Ok(TlsAcceptor::from(Arc::new(config)))
    }

    /// What this crate's client trusts.
    pub fn roots(&self) -> Result<TrustRoots, Failure> {
        Ok(TrustRoots::from_pem(self.pem.as_bytes())?)
    }

    /// How this crate's server speaks; which HTTP it is, the client decides.
    pub fn options(&self, wire: Wire) -> Result<ServeOptions, Failure> {
        if !wire.is_tls() {
            return Ok(ServeOptions::plain_http());
        }
        let key = self.key.serialize_pem();
        let certificate = ServerCertificate::from_pem(self.pem.as_bytes(), key.as_bytes())?;
        Ok(ServeOptions::https(TlsOptions::new(certificate)?))
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").finish_non_exhaustive()
    }
}
