//! What a proxy can be built from, and what is said of it.

use std::error::Error as _;

use custom_key_store::SecretBytes;
use custom_key_store::backend::{
    AccountId, Backend as _, BackendErrorKind, ConnectReason, ConnectionErrorCode, StoreConfiguration,
    VpcEndpointServiceName, XksProxyConnectivity,
};
use custom_key_store::xks::{ClientCertificate, InvalidSetup, ProxyOperation, TrustRoots, XksProxy};
use rcgen::KeyPair;

use super::authority::Authority;
use super::fixture::{
    ACCESS_KEY_ID, HOST, PATH, SECRET, call, connect_request, credential, endpoint, guarded, plain,
    plain_with, region, settings,
};

#[test]
fn what_is_required_cannot_be_forgotten() {
    let path = custom_key_store::backend::UriPath::new(PATH).unwrap();
    let missing = |builder: custom_key_store::xks::XksProxyBuilder| match builder.build().unwrap_err() {
        InvalidSetup::Missing { setting } => setting,
        other => unreachable!("{other}"),
    };
    let builder = XksProxy::builder();
    assert_eq!(missing(builder.clone()), "endpoint");
    let builder = builder.endpoint(endpoint());
    assert_eq!(missing(builder.clone()), "path");
    let builder = builder.path(path);
    assert_eq!(missing(builder.clone()), "credential");
    let builder = builder.credential(credential());
    assert_eq!(missing(builder.clone()), "region");
    let builder = builder.region(region()).trust_roots(Authority::new().trusted());
    assert!(builder.build().is_ok());
}

/// XKS-C-01: without TLS there is only loopback, by a name that says what it is.
#[test]
fn plain_http_is_refused_for_any_address_but_loopback() {
    for address in ["192.0.2.1:80", "0.0.0.0:80", "[2001:db8::1]:80", "10.0.0.1:443"] {
        let address = address.parse().unwrap();
        let error = settings().dangerous_plain_http_on_loopback(address).build().unwrap_err();
        assert_eq!(error, InvalidSetup::NotLoopback { address });
    }
    for address in ["127.0.0.1:80", "127.8.9.10:80", "[::1]:80"] {
        assert!(settings().dangerous_plain_http_on_loopback(address.parse().unwrap()).build().is_ok());
    }
}

/// XKS-C-06: which authorities are trusted is configurable; without a single one nothing can be.
#[test]
fn trust_roots_and_client_certificates_are_checked_when_they_are_given() {
    let authority = Authority::new();
    for pem in [b"".as_slice(), b"nonsense", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"]
    {
        assert!(matches!(TrustRoots::from_pem(pem), Err(InvalidSetup::TrustRoots { .. })));
    }
    assert!(matches!(TrustRoots::from_der([]), Err(InvalidSetup::TrustRoots { .. })));
    assert!(matches!(TrustRoots::from_der([vec![0; 9]]), Err(InvalidSetup::TrustRoots { .. })));

    let issued = authority.issue(HOST, |_| ());
    let other = KeyPair::generate().unwrap().serialize_pem();
    let key = issued.key.serialize_pem();
    for (chain, key) in [("", key.as_str()), (&issued.pem, ""), (&issued.pem, &other)] {
        let refused = ClientCertificate::from_pem(chain.as_bytes(), &SecretBytes::from(key.as_bytes()));
        assert!(matches!(refused, Err(InvalidSetup::ClientCertificate { .. })));
    }
    let _ = issued.client();
}

#[test]
fn the_configuration_is_what_a_description_prints() {
    let service =
        VpcEndpointServiceName::new("com.amazonaws.vpce.us-east-1.vpce-svc-0123456789abcdef0").unwrap();
    let owner = AccountId::new("111122223333").unwrap();
    let loopback = "127.0.0.1:1".parse().unwrap();
    let settings = settings().dangerous_plain_http_on_loopback(loopback);
    let configuration = |proxy: XksProxy| match proxy.configuration() {
        StoreConfiguration::External(configuration) => configuration,
        other => unreachable!("{other:?}"),
    };

    let public = configuration(settings.clone().build().unwrap());
    assert_eq!(public.connectivity, XksProxyConnectivity::PublicEndpoint);
    assert_eq!(public.uri_endpoint.host(), HOST);
    assert_eq!(public.uri_path.as_str(), PATH);
    assert_eq!(public.access_key_id.as_str(), ACCESS_KEY_ID);

    let private =
        configuration(settings.vpc_endpoint_service(service.clone(), Some(owner.clone())).build().unwrap());
    assert_eq!(private.connectivity, XksProxyConnectivity::VpcEndpointService);
    assert_eq!(private.vpc_endpoint_service_name, Some(service));
    assert_eq!(private.vpc_endpoint_service_owner, Some(owner));
}

/// XKS-C-76
#[tokio::test]
async fn debug_shows_no_secret() {
    let (_server, proxy, connection) = plain().await;
    let authority = Authority::new();
    let issued = authority.issue(HOST, |_| ());
    let builder = settings().client_certificate(issued.client()).trust_roots(authority.trusted());
    let secure = builder.clone().build().unwrap();
    let shown = format!("{proxy:?} {proxy:#?} {connection:?} {builder:?} {secure:?} {:?}", proxy.counters());
    let pem = issued.key.serialize_pem();
    let secrets = [SECRET, pem.lines().nth(1).unwrap(), "AWS4"];
    assert!(secrets.iter().all(|secret| !shown.contains(secret)), "{shown}");
    assert!(shown.contains(HOST));
}

/// Whoever forgot the runtime is told so, and the proxy is not blamed: not when connecting, nor in a later call.
#[test]
fn outside_of_a_runtime_it_is_an_error_that_says_so_and_no_panic() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    // Nothing is kept, so that each call opens a connection.
    let (_server, proxy, connection) =
        runtime.block_on(plain_with(|settings| settings.max_idle_connections(0)));
    let counts = proxy.counters().counts();

    let request = connect_request(ConnectReason::Connect);
    let error = futures::executor::block_on(proxy.connect(&request)).unwrap_err();
    assert_eq!(error.code(), ConnectionErrorCode::InternalError);
    assert!(error.to_string().contains("tokio runtime"), "{error}");
    assert!(error.source().unwrap().to_string().contains("Tokio"), "{error:?}");

    let error = futures::executor::block_on(call(&*connection, ProxyOperation::Encrypt)).unwrap_err();
    assert_eq!(error.kind(), BackendErrorKind::InvalidRequest);
    assert!(error.detail().unwrap().contains("tokio runtime"), "{error:?}");
    assert!(error.source().unwrap().to_string().contains("Tokio"), "{error:?}");
    assert_eq!(proxy.counters().counts(), counts, "nothing was tried, and so nothing counts");

    // Inside of one it works again.
    runtime.block_on(guarded(call(&*connection, ProxyOperation::Encrypt))).unwrap();
    let again = runtime.block_on(guarded(proxy.connect(&request)));
    assert!(again.is_ok());
}

/// A deadline that nobody can measure is over at once.
#[test]
fn in_a_runtime_without_time_what_is_not_there_at_once_has_timed_out() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
    let with_time = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (_server, proxy, connection) = with_time.block_on(plain());
    let error = runtime.block_on(call(&*connection, ProxyOperation::Encrypt)).unwrap_err();
    assert_eq!(error.kind(), BackendErrorKind::TimedOut);
    let error = runtime.block_on(proxy.connect(&connect_request(ConnectReason::Connect))).unwrap_err();
    assert_eq!(error.code(), ConnectionErrorCode::XksProxyTimedOut);
    with_time.block_on(guarded(call(&*connection, ProxyOperation::Encrypt))).unwrap();
}
