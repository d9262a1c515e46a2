//! Throw-away certificates.

use std::sync::Arc;

use rcgen::{CertificateParams, DnType, IsCa, Issuer, KeyPair};
use tokio_rustls::rustls::crypto::aws_lc_rs::default_provider;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion};

use custom_key_store::SecretBytes;
use custom_key_store::xks::{ClientCertificate, TrustRoots};

use super::fixture::HOST;

/// An authority that signs whatever it is given.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub(crate) pem: String,
    der: CertificateDer<'static>,
}

pub(crate) struct Issued {
    pub(crate) chain: Vec<CertificateDer<'static>>,
    pub(crate) pem: String,
    pub(crate) key: KeyPair,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "throw-away authority");
        let certificate = params.self_signed(&key).unwrap();
        let (pem, der) = (certificate.pem(), certificate.der().clone());
        Self { issuer: Issuer::new(params, key), pem, der }
    }

    pub(crate) fn trusted(&self) -> TrustRoots {
        TrustRoots::from_pem(self.pem.as_bytes()).unwrap()
    }

    pub(crate) fn issue(&self, host: &str, change: impl FnOnce(&mut CertificateParams)) -> Issued {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new([host.to_owned()]).unwrap();
        change(&mut params);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Issued { chain: vec![certificate.der().clone()], pem: certificate.pem(), key }
    }

    /// TLS of a proxy as it should be.
    pub(crate) fn server(&self) -> Arc<ServerConfig> {
        self.issue(HOST, |_| ()).server(&[])
    }

    /// The same, but only for clients of this authority.
    pub(crate) fn mutual_server(&self) -> Arc<ServerConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.der.clone()).unwrap();
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::new(default_provider()))
                .build()
                .unwrap();
        let Issued { chain, key, .. } = self.issue(HOST, |_| ());
        let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(verifier)
            .with_single_cert(chain, PrivateKeyDer::try_from(key.serialize_der()).unwrap());
        Arc::new(config.unwrap())
    }
}

impl Issued {
    /// A server that shows it, and speaks these versions; all when there are none.
    pub(crate) fn server(self, versions: &[&'static SupportedProtocolVersion]) -> Arc<ServerConfig> {
        let builder = ServerConfig::builder_with_provider(Arc::new(default_provider()));
        let builder = match versions {
            [] => builder.with_safe_default_protocol_versions(),
            versions => builder.with_protocol_versions(versions),
        };
        let key = PrivateKeyDer::try_from(self.key.serialize_der()).unwrap();
        Arc::new(builder.unwrap().with_no_client_auth().with_single_cert(self.chain, key).unwrap())
    }

    pub(crate) fn client(&self) -> ClientCertificate {
        let key = SecretBytes::from(self.key.serialize_pem().into_bytes());
        ClientCertificate::from_pem(self.pem.as_bytes(), &key).unwrap()
    }
}
