use super::*;
use crate::backend::{UriEndpoint, UriPath, XksProxyCredential};
use crate::xks::client::connector::Reach;
use crate::xks::{Region, XksProxy, XksProxyBuilder};

fn given() -> TrustRoots {
    let authority = rcgen::generate_simple_self_signed(["proxy.example.com".to_owned()]).unwrap();
    TrustRoots::from_pem(authority.cert.pem().as_bytes()).unwrap()
}

fn client() -> ClientCertificate {
    let made = rcgen::generate_simple_self_signed(["client.example.com".to_owned()]).unwrap();
    let key = SecretBytes::from(made.signing_key.serialize_pem().into_bytes());
    ClientCertificate::from_pem(made.cert.pem().as_bytes(), &key).unwrap()
}

fn settings(roots: TrustRoots) -> XksProxyBuilder {
    XksProxy::builder()
        .endpoint(UriEndpoint::new("https://proxy.example.com").unwrap())
        .path(UriPath::new("/kms/xks/v1").unwrap())
        .credential(XksProxyCredential::generate().unwrap())
        .region(Region::new("us-east-1").unwrap())
        .trust_roots(roots)
}

fn built(builder: XksProxyBuilder) -> Arc<ClientConfig> {
    match builder.build().unwrap().reach {
        Reach::Tls { config, .. } => config,
        Reach::PlainOnLoopback(_) => unreachable!("nobody asked for it"),
    }
}

/// The provider of the cryptography stands for everything that was made with it.
fn share(one: &ClientConfig, other: &ClientConfig) -> bool {
    Arc::ptr_eq(one.crypto_provider(), other.crypto_provider())
}

#[test]
fn proxies_with_clones_of_the_same_roots_share_what_was_set_up() {
    let (roots, certificate) = (given(), client());
    let builder = settings(roots.clone());
    let (one, other) = (built(builder.clone()), built(builder.clone()));
    assert!(share(&one, &other));
    assert!(share(&one, &built(settings(roots))), "of another builder");
    let known = built(builder.client_certificate(certificate));
    assert!(share(&one, &known));
    assert!(known.client_auth_cert_resolver.has_certs() && !one.client_auth_cert_resolver.has_certs());
    assert!(!share(&one, &built(settings(given()))), "of other roots");
}

#[test]
fn the_systems_roots_are_read_once_for_each_value() {
    let system = TrustRoots::system();
    // A machine may have none; then each attempt fails.
    let Ok(read) = system.configuration() else {
        assert!(system.clone().configuration().is_err());
        return;
    };
    assert!(std::ptr::eq(read, system.clone().configuration().unwrap()));
    assert!(!share(read, TrustRoots::system().configuration().unwrap()), "another value reads them again");
}
