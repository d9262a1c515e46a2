//! TLS, mutual TLS and HTTP/2.

use std::sync::Arc;
use std::time::Duration;

use custom_key_store::xks::proxy::{ClientIdentity, ServeOptions, ServerCertificate, TlsOptions};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::http2::http2;
use super::support::{Call, Client, KEY, LONG, Rig, encrypt_body, health_body};

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
        self.server_with(&KeyPair::generate().unwrap())
    }

    fn server_with(&self, key: &KeyPair) -> ServerCertificate {
        let params = CertificateParams::new(vec!["xks.example.com".to_owned()]).unwrap();
        let chain = params.signed_by(key, &self.issuer).unwrap().pem();
        ServerCertificate::from_pem(chain.as_bytes(), key.serialize_pem().as_bytes()).unwrap()
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
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    connect_with(rig, authority, shown, versions, alpn, provider).await
}

async fn connect_with(
    rig: &Rig,
    authority: &Authority,
    shown: Option<&Made>,
    versions: &[&'static SupportedProtocolVersion],
    alpn: &[&[u8]],
    provider: CryptoProvider,
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(authority.der.clone()).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(provider));
    let builder = builder.with_protocol_versions(versions).unwrap();
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

/// XKS-P-01, XKS-P-03, XKS-P-04, XKS-P-116, XKS-P-117: either version, HTTP/1.1 where that is all the client has.
#[tokio::test]
async fn either_version_of_tls() {
    let authority = Authority::new();
    let rig = Rig::with_options(ServeOptions::https(TlsOptions::new(authority.server()).unwrap())).await;
    for version in BOTH {
        for alpn in [&[][..], &[b"http/1.1".as_slice()]] {
            let socket = connect(&rig, &authority, None, &[version], alpn).await.unwrap();
            assert_eq!(socket.get_ref().1.protocol_version(), Some(version.version));
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

/// XKS-P-05: a client that has one of the four suites and no other is served, each with the certificate it needs.
#[tokio::test]
async fn each_of_the_four_cipher_suites() {
    use rustls::CipherSuite as Suite;
    use rustls::version::{TLS12, TLS13};
    let authority = Authority::new();
    let rsa = KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap();
    let ecdsa = KeyPair::generate().unwrap();
    for (key, suites) in [
        (
            &ecdsa,
            [
                (Suite::TLS13_AES_256_GCM_SHA384, &TLS13),
                (Suite::TLS13_CHACHA20_POLY1305_SHA256, &TLS13),
                (Suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, &TLS12),
            ]
            .as_slice(),
        ),
        (&rsa, &[(Suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, &TLS12)]),
    ] {
        let rig =
            Rig::with_options(ServeOptions::https(TlsOptions::new(authority.server_with(key)).unwrap()))
                .await;
        for (suite, version) in suites {
            let mut provider = rustls::crypto::aws_lc_rs::default_provider();
            provider.cipher_suites.retain(|offered| offered.suite() == *suite);
            assert_eq!(provider.cipher_suites.len(), 1);
            let socket = connect_with(&rig, &authority, None, &[version], &[], provider).await.unwrap();
            let negotiated = socket.get_ref().1.negotiated_cipher_suite().unwrap().suite();
            assert_eq!(negotiated, *suite);
            Client(socket).send(&Call::new("health", &health_body())).await.ok();
        }
    }
}

/// XKS-P-04: TLS 1.1 and older are told that their version is none, and that is all.
#[tokio::test]
async fn older_versions_are_refused() {
    let authority = Authority::new();
    let rig = Rig::with_options(ServeOptions::https(TlsOptions::new(authority.server()).unwrap())).await;
    // ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, with what of extensions it needs: of 1.2 it is a greeting that is taken up.
    let rest = [
        &[0, 0, 2, 0xc0, 0x2c, 1, 0, 0, 22][..],
        &[0, 10, 0, 4, 0, 2, 0, 0x17],
        &[0, 13, 0, 4, 0, 2, 4, 3],
        &[0, 11, 0, 2, 1, 0],
    ]
    .concat();
    for minor in [0, 1, 2, 3] {
        let hello = [&[3, minor][..], &[7; 32], &rest].concat();
        let length = u8::try_from(hello.len()).unwrap();
        let mut client = rig.client().await;
        let record = [&[0x16, 3, 1, 0, length + 4, 1, 0, 0, length][..], &hello].concat();
        tokio::io::AsyncWriteExt::write_all(&mut client.0, &record).await.unwrap();
        let mut alert = [0; 7];
        tokio::io::AsyncReadExt::read_exact(&mut client.0, &mut alert).await.unwrap();
        if minor == 3 {
            assert_eq!((alert[0], alert[5]), (0x16, 2), "the server's greeting");
        } else {
            assert_eq!((alert[0], alert[5], alert[6]), (0x15, 2, 70), "a fatal alert: protocol_version");
            client.closed().await;
        }
    }
}

/// Who connects and says nothing, or a part of a greeting, is closed; and holds no shutdown up.
#[tokio::test]
async fn a_handshake_that_does_not_come_is_closed() {
    let authority = Authority::new();
    let options = ServeOptions::https(TlsOptions::new(authority.server()).unwrap())
        .handshake_timeout(Duration::from_millis(150));
    let rig = Rig::with_options(options.clone()).await;
    let (mut silent, mut half) = (rig.client().await, rig.client().await);
    let greeting = [0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00];
    tokio::io::AsyncWriteExt::write_all(&mut half.0, &greeting).await.unwrap();
    silent.closed().await;
    half.closed().await;
    let socket = connect(&rig, &authority, None, BOTH, &[]).await.unwrap();
    Client(socket).send(&Call::new("health", &health_body())).await.ok();

    let hour = Duration::from_secs(3600);
    let rig = Rig::with_options(options.handshake_timeout(hour).drain_limit(hour)).await;
    let _silent = rig.client().await;
    let socket = connect(&rig, &authority, None, BOTH, &[]).await.unwrap();
    Client(socket).send(&Call::new("health", &health_body())).await.ok();
    rig.handle.shut_down();
    assert_eq!(tokio::time::timeout(LONG, rig.serving).await.unwrap().unwrap().cut_off, 0);
}

/// XKS-P-142, weak spot 19: HTTP/2 over TLS, where `:authority` stands in for the Host header.
#[tokio::test]
async fn http_2() {
    let authority = Authority::new();
    let rig = Rig::with_options(ServeOptions::https(TlsOptions::new(authority.server()).unwrap())).await;
    let socket = connect(&rig, &authority, None, BOTH, &[b"h2", b"http/1.1"]).await.unwrap();
    assert_eq!(socket.get_ref().1.alpn_protocol(), Some(b"h2".as_slice()));
    let (mut http, _connection) = http2(socket).await;

    for (host_header, expected) in
        [(None, 200), (Some("xks.example.com"), 200), (Some("other.example.com"), 401)]
    {
        let mut request = Call::on_key("encrypt", KEY, &encrypt_body(b"x", None)).http2();
        if let Some(host) = host_header {
            request.headers_mut().insert("host", host.parse().unwrap());
        }
        let response = http.send_request(request).await.unwrap();
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

/// Weak spot 19: the sample took RSA in PKCS#8 as the first block of its file, and nothing else.
#[tokio::test]
async fn a_private_key_of_any_form_is_taken() {
    let authority = Authority::new();
    let ecdsa = KeyPair::generate().unwrap();
    let rsa = KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap();
    for key in [&ecdsa, &rsa] {
        let made = CertificateParams::new(vec!["xks.example.com".to_owned()]).unwrap();
        let chain = made.signed_by(key, &authority.issuer).unwrap().pem();
        let whole = key.serialize_der();
        // The older forms lie inside PKCS#8, behind the name of the algorithm.
        let (start, name): (&[u8], _) = match key.is_compatible(&rcgen::PKCS_RSA_SHA256) {
            true => (&[2, 1, 0, 2, 0x82], "RSA PRIVATE KEY"),
            false => (&[2, 1, 1, 4, 32], "EC PRIVATE KEY"),
        };
        let at = whole.windows(start.len()).position(|part| part == start).unwrap();
        let at = at - if name.starts_with("RSA") { 4 } else { 2 };
        let length = match whole[at + 1] {
            0x82 => 4 + usize::from(u16::from_be_bytes([whole[at + 2], whole[at + 3]])),
            short => 2 + usize::from(short),
        };
        let older = super::support::base64(&whole[at..at + length]);
        let older = format!("-----BEGIN {name}-----\n{older}\n-----END {name}-----\n");
        for pem in [key.serialize_pem(), format!("{chain}{}", key.serialize_pem()), older] {
            let certificate = ServerCertificate::from_pem(chain.as_bytes(), pem.as_bytes()).unwrap();
            let rig = Rig::with_options(ServeOptions::https(TlsOptions::new(certificate).unwrap())).await;
            let socket = connect(&rig, &authority, None, BOTH, &[]).await.unwrap();
            Client(socket).send(&Call::new("health", &health_body())).await.ok();
        }
    }
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
