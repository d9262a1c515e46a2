//! TLS, mutual TLS and HTTP/2.

use std::sync::Arc;

use custom_key_store::xks::proxy::{ClientIdentity, ServeOptions, ServerCertificate, TlsOptions};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::support::{Call, Client, KEY, Rig, encrypt_body, health_body};

const NAME: &str = "cks.kms.us-east-2.amazonaws.com";

struct Authority {
    pem: String,
    der: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate with its chain and key.
struct Made {
    chain: Vec<CertificateDer<'static>>,
    pem: String,
    key: KeyPair,
}

impl Authority {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap();
        Self { pem: certificate.pem(), der: certificate.der().clone(), issuer: Issuer::new(params, key) }
    }

    fn sign(&self, params: &CertificateParams) -> Made {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Made { chain: vec![certificate.der().clone()], pem: certificate.pem(), key }
    }

    fn server(&self) -> ServerCertificate {
        let made = self.sign(&CertificateParams::new(vec!["xks.example.com".to_owned()]).unwrap());
        ServerCertificate::from_pem(made.pem.as_bytes(), made.key.serialize_pem().as_bytes()).unwrap()
    }
}

fn client(common_name: &str, dns: &[&str]) -> CertificateParams {
    let names: Vec<String> = dns.iter().map(|&name| name.to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    params
}

async fn connect(
    rig: &Rig,
    authority: &Authority,
    shown: Option<&Made>,
    versions: &[&'static SupportedProtocolVersion],
    alpn: &[&[u8]],
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(authority.der.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(versions).unwrap();
    let builder = builder.with_root_certificates(roots);
    let mut config = match shown {
        None => builder.with_no_client_auth(),
        Some(made) => {
            let key = PrivateKeyDer::try_from(made.key.serialize_der()).unwrap();
            builder.with_client_auth_cert(made.chain.clone(), key).unwrap()
        }
    };
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    let socket = TcpStream::connect(rig.address).await?;
    let name = ServerName::try_from("xks.example.com").unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, socket).await
}

const BOTH: &[&SupportedProtocolVersion] = &[&rustls::version::TLS13, &rustls::version::TLS12];

/// XKS-P-01, XKS-P-03 to XKS-P-05, XKS-P-116, XKS-P-117: either version, with the suites of the list, HTTP/1.1 where
/// that is all the client has.
#[tokio::test]
async fn either_version_of_tls() {
    let authority = Authority::new();
    let rig = Rig::with_options(ServeOptions::https(TlsOptions::new(authority.server()).unwrap())).await;
    for version in BOTH {
        for alpn in [&[][..], &[b"http/1.1".as_slice()]] {
            let socket = connect(&rig, &authority, None, &[version], alpn).await.unwrap();
            let suite = socket.get_ref().1.negotiated_cipher_suite().unwrap().suite();
            let listed = [
                rustls::CipherSuite::TLS13_AES_256_GCM_SHA384,
                rustls::CipherSuite::TLS13_CHACHA20_POLY1305_SHA256,
                rustls::CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
                rustls::CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
            ];
            assert!(listed.contains(&suite), "{suite:?}");
            let mut client = Client(socket);
            client.send(&Call::new("health", &health_body())).await.ok();
            client.send(&Call::on_key("encrypt", KEY, &encrypt_body(b"x", None))).await.ok();
        }
    }
    // Plain HTTP on the port of TLS is not answered.
    let mut plain = rig.client().await;
    tokio::io::AsyncWriteExt::write_all(&mut plain.0, b"GET /ping HTTP/1.1\r\n\r\n").await.unwrap();
    plain.closed().await;
}

/// XKS-P-142, weak spot 19: HTTP/2 over TLS, where `:authority` stands in for the Host header.
#[tokio::test]
async fn http_2() {
    let authority = Authority::new();
    let rig = Rig::with_options(ServeOptions::https(TlsOptions::new(authority.server()).unwrap())).await;
    let socket = connect(&rig, &authority, None, BOTH, &[b"h2", b"http/1.1"]).await.unwrap();
    assert_eq!(socket.get_ref().1.alpn_protocol(), Some(b"h2".as_slice()));
    let executor = hyper_util::rt::TokioExecutor::new();
    let io = hyper_util::rt::TokioIo::new(socket);
    let (mut http, connection) = hyper::client::conn::http2::handshake(executor, io).await.unwrap();
    tokio::spawn(connection);

    for (host_header, expected) in
        [(None, 200), (Some("xks.example.com"), 200), (Some("other.example.com"), 401)]
    {
        let call = Call::on_key("encrypt", KEY, &encrypt_body(b"x", None));
        let mut request = hyper::Request::post(format!("https://{}{}", call.host, call.path))
            .header("content-type", "application/json")
            .header("x-amz-date", &call.date)
            .header("authorization", call.authorization());
        if let Some(host) = host_header {
            request = request.header("host", host);
        }
        let body = http_body_util::Full::new(bytes::Bytes::from(call.body));
        let response = http.send_request(request.body(body).unwrap()).await.unwrap();
        assert_eq!(response.status(), expected, "{host_header:?}");
    }
    // XKS-P-07 there too.
    let get = hyper::Request::get(format!("https://xks.example.com{}/health", super::support::PATH));
    let response = http.send_request(get.body(http_body_util::Full::default()).unwrap()).await.unwrap();
    assert_eq!(response.status(), 405);
}

/// XKS-P-121 to XKS-P-125, XKS-P-127, the mark of mTLS: only the right subject from the right root; whoever shows
/// another is told `handshake_failure`, which AWS's test client looks for.
#[tokio::test]
async fn mutual_tls() {
    let (authority, other) = (Authority::new(), Authority::new());
    let identity = ClientIdentity::new(authority.pem.as_bytes(), NAME).unwrap();
    let identity = identity.or_dns_name("kms.example.com").unwrap();
    let options = TlsOptions::mutual(authority.server(), identity).unwrap();
    let rig = Rig::with_options(ServeOptions::https(options)).await;

    let mut expired = client(NAME, &[]);
    (expired.not_before, expired.not_after) =
        (rcgen::date_time_ymd(2019, 1, 1), rcgen::date_time_ymd(2020, 1, 1));
    let own_key = KeyPair::generate().unwrap();
    let own = client(NAME, &[]).self_signed(&own_key).unwrap();
    let own = Made { chain: vec![own.der().clone()], pem: own.pem(), key: own_key };

    for version in BOTH {
        for right in [client(NAME, &[]), client("another name", &["kms.example.com"])] {
            let shown = authority.sign(&right);
            let socket = connect(&rig, &authority, Some(&shown), &[version], &[]).await.unwrap();
            Client(socket).send(&Call::new("health", &health_body())).await.ok();
        }
        let wrong = [
            ("no certificate", None),
            ("expired", Some(authority.sign(&expired))),
            ("another root", Some(other.sign(&client(NAME, &[])))),
            ("another subject", Some(authority.sign(&client("cks.kms.us-east-1.amazonaws.com", &[])))),
            ("the name as an alternative name alone", Some(authority.sign(&client("x", &[NAME])))),
        ];
        for (what, shown) in
            wrong.iter().map(|(what, shown)| (*what, shown.as_ref())).chain([("self-signed", Some(&own))])
        {
            let error = refused(&rig, &authority, shown, version).await;
            if shown.is_some() {
                assert!(error.contains("HandshakeFailure"), "{what}: {error}");
            }
        }
    }
    rig.handle.shut_down();
    assert_eq!(rig.serving.await.unwrap().cut_off, 0);
}

/// With TLS 1.3 a client learns of it with the first answer only.
async fn refused(
    rig: &Rig,
    authority: &Authority,
    shown: Option<&Made>,
    version: &'static SupportedProtocolVersion,
) -> String {
    let error = match connect(rig, authority, shown, &[version], &[]).await {
        Err(error) => error,
        Ok(mut socket) => {
            let _may_fail =
                tokio::io::AsyncWriteExt::write_all(&mut socket, b"GET /ping HTTP/1.1\r\nhost: a\r\n\r\n")
                    .await;
            tokio::io::AsyncReadExt::read_u8(&mut socket).await.unwrap_err()
        }
    };
    error.to_string()
}

/// Weak spot 19: exchanged while the server runs; connections there are stay.
#[tokio::test]
async fn the_certificate_is_exchanged() {
    let (authority, next) = (Authority::new(), Authority::new());
    let tls = TlsOptions::new(authority.server()).unwrap();
    let handle = tls.certificate_handle();
    let rig = Rig::with_options(ServeOptions::https(tls)).await;
    let mut before = Client(connect(&rig, &authority, None, BOTH, &[]).await.unwrap());
    before.send(&Call::new("health", &health_body())).await.ok();
    handle.replace(next.server());
    assert!(connect(&rig, &authority, None, BOTH, &[]).await.is_err());
    let mut after = Client(connect(&rig, &next, None, BOTH, &[]).await.unwrap());
    after.send(&Call::new("health", &health_body())).await.ok();
    before.send(&Call::new("health", &health_body())).await.ok();
}

/// What cannot be used is an error, not a panic, and says why.
#[test]
fn wrong_certificates_are_refused() {
    let authority = Authority::new();
    let params = CertificateParams::new(vec!["xks.example.com".to_owned()]).unwrap();
    let (one, two) = (authority.sign(&params), authority.sign(&params));
    let keys = one.key.serialize_pem();
    assert!(ServerCertificate::from_pem(b"", keys.as_bytes()).is_err());
    assert!(ServerCertificate::from_pem(one.pem.as_bytes(), b"").is_err());
    assert!(ServerCertificate::from_pem(one.pem.as_bytes(), one.pem.as_bytes()).is_err());
    assert!(ServerCertificate::from_pem(two.pem.as_bytes(), keys.as_bytes()).is_err());
    assert!(ClientIdentity::new(b"no certificate", NAME).is_err());
}
