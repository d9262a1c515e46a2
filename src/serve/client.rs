//! Which clients may speak to a server with mutual TLS.

use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::client::verify_server_name;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, DnsName, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme};

use super::InvalidTls;
use super::subject::common_name;

/// Who a client has to be: whose certificates count, and which subject they must name.
///
/// To an external key store proxy a KMS shows the common name `cks.kms.<Region>.amazonaws.com`, in a chain to Amazon Trust
/// Services; whoever wants AWS's and nobody else accepts exactly that pair. Revocation is not checked.
#[derive(Debug, Clone)]
#[must_use]
pub struct ClientIdentity {
    pub(super) roots: Arc<RootCertStore>,
    common_name: String,
    dns_name: Option<ServerName<'static>>,
}

impl ClientIdentity {
    /// Certificates that chain to one of these roots, in PEM, and whose subject has exactly this common name, and
    /// no other one besides.
    ///
    /// # Errors
    ///
    /// [`InvalidTls`] when a root cannot be read, there is none, or the common name is empty.
    pub fn new(roots: &[u8], common_name: impl Into<String>) -> Result<Self, InvalidTls> {
        let mut store = RootCertStore::empty();
        for root in CertificateDer::pem_slice_iter(roots) {
            // The parser's own words quote its input, which may be anything that lies in the same file.
            let root = root.map_err(|_| InvalidTls::new("the roots are not certificates in PEM"))?;
            store.add(root).map_err(InvalidTls::new)?;
        }
        if store.is_empty() {
            return Err(InvalidTls::new("there is no root certificate for clients"));
        }
        let common_name = common_name.into();
        if common_name.is_empty() {
            return Err(InvalidTls::new("the common name of clients is empty"));
        }
        Ok(Self { roots: Arc::new(store), common_name, dns_name: None })
    }

    /// The same, or a certificate that is valid for this DNS name by its alternative names.
    ///
    /// # Errors
    ///
    /// [`InvalidTls`] when it is no DNS name.
    pub fn or_dns_name(mut self, name: &str) -> Result<Self, InvalidTls> {
        let name = DnsName::try_from(name.to_owned()).map_err(InvalidTls::new)?;
        self.dns_name = Some(ServerName::DnsName(name));
        Ok(self)
    }

    fn is(&self, certificate: &CertificateDer<'_>) -> bool {
        let by_common_name = common_name(certificate).is_some_and(|name| name == self.common_name);
        by_common_name
            || self.dns_name.as_ref().is_some_and(|name| {
                ParsedCertificate::try_from(certificate)
                    .is_ok_and(|certificate| verify_server_name(&certificate, name).is_ok())
            })
    }
}

/// Checks the chain as `rustls` does, then the subject, at which `rustls` does not look.
///
/// Every refusal becomes a general error, so that the peer is told `handshake_failure`: AWS's own test client expects
/// that alert and takes any other for an acceptance (XKS-P-127).
#[derive(Debug)]
pub(super) struct SubjectVerifier {
    chains: Arc<dyn ClientCertVerifier>,
    identity: ClientIdentity,
}

impl SubjectVerifier {
    pub(super) fn new(chains: Arc<dyn ClientCertVerifier>, identity: ClientIdentity) -> Self {
        Self { chains, identity }
    }
}

impl ClientCertVerifier for SubjectVerifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.chains.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verified = self
            .chains
            .verify_client_cert(end_entity, intermediates, now)
            .map_err(|error| Error::General(format!("the client's certificate is refused: {error}")))?;
        if self.identity.is(end_entity) {
            Ok(verified)
        } else {
            Err(Error::General("the client's certificate names another subject".to_owned()))
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chains.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chains.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.chains.supported_verify_schemes()
    }
}
