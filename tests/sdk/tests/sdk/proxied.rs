//! The SDK, the endpoint, and a real proxy of an external key store behind it, over TLS.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_sdk_kms::operation::RequestId as _;
use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::{
    ConnectionErrorCodeType, ConnectionStateType, XksProxyAuthenticationCredentialType,
};
use custom_key_store::api::Drained;
use custom_key_store::backend::software::KeyManager;
use custom_key_store::backend::{
    Backend as _, BackingKeyId, ConnectReason, ConnectRequest, UriPath, XksProxyCredential,
};
use custom_key_store::kms::ExternalProxies;
use custom_key_store::xks::proxy::{
    AuthorizationRequest, Authorizer, Decision, KeyGrant, Proxy, ServeOptions, ServerCertificate,
    ServerHandle, Tenant, TlsOptions, serve,
};
use custom_key_store::xks::{Region, TrustRoots, XksProxy};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::support::*;

const HOST: &str = "xks.example.com";
const KEY: &str = "payroll";

/// What the proxy was told of its requests.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Told {
    operation: String,
    principal: String,
    request_id: String,
    key: Option<String>,
}

#[derive(Debug, Clone, Default)]
struct Witness(Arc<Mutex<Vec<Told>>>);

impl Authorizer for Witness {
    fn authorize(&self, request: &AuthorizationRequest<'_>) -> Decision {
        let metadata = request.metadata;
        self.0.lock().unwrap().push(Told {
            operation: metadata.operation.as_str().to_owned(),
            principal: metadata.principal.to_owned(),
            request_id: metadata.request_id.to_string(),
            key: metadata.kms_key_arn.map(ToString::to_string),
        });
        Decision::Allow
    }
}

impl Witness {
    fn take(&self) -> Vec<Told> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

/// A proxy of this crate on loopback.
struct RealProxy {
    address: SocketAddr,
    authority: String,
    tenant: Tenant,
    witness: Witness,
    server: ServerHandle,
    serving: JoinHandle<Drained>,
}

impl RealProxy {
    async fn start() -> Self {
        let manager = KeyManager::new();
        manager.create_key(BackingKeyId::new(KEY).unwrap());
        let request = ConnectRequest::new(ConnectReason::Connect, Duration::from_secs(5));
        let connection = manager.connect(&request).await.unwrap();
        let witness = Witness::default();
        let credential = credential();
        let tenant = Tenant::builder(UriPath::new(path(KEY)).unwrap(), connection)
            .region(Region::new(REGION).unwrap())
            .credential(credential)
            .health_key(BackingKeyId::new(KEY).unwrap())
            .key(BackingKeyId::new(KEY).unwrap(), KeyGrant::new(BackingKeyId::new(KEY).unwrap()))
            .authorizer(Arc::new(witness.clone()))
            .build()
            .unwrap();
        let proxy =
            Proxy::builder().tenant(tenant.clone()).deadline(Duration::from_secs(20)).build().unwrap();

        let mut authority = rcgen::CertificateParams::default();
        authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let authority_key = rcgen::KeyPair::generate().unwrap();
        let root = authority.self_signed(&authority_key).unwrap().pem();
        let issuer = rcgen::Issuer::new(authority, authority_key);
        let key = rcgen::KeyPair::generate().unwrap();
        let leaf =
            rcgen::CertificateParams::new([HOST.to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
        let certificate =
            ServerCertificate::from_pem(leaf.pem().as_bytes(), key.serialize_pem().as_bytes()).unwrap();

        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (serving, server) =
            serve(listener, proxy, ServeOptions::https(TlsOptions::new(certificate).unwrap()));
        Self { address, authority: root, tenant, witness, server, serving: tokio::spawn(serving) }
    }

    /// How it is reached; the deadline is that of a busy machine.
    fn route(&self) -> ExternalProxies {
        let settings = XksProxy::builder()
            .region(Region::new(REGION).unwrap())
            .trust_roots(TrustRoots::from_pem(self.authority.as_bytes()).unwrap())
            .deadline(Duration::from_secs(20));
        ExternalProxies::new(settings).connect_to(HOST, self.address)
    }
}

/// What the SDK's builder of stores brings.
fn credential() -> XksProxyCredential {
    let XksProxyAuthenticationCredentialType { access_key_id, raw_secret_access_key, .. } =
        proxy_credential('A');
    XksProxyCredential::new(
        custom_key_store::backend::AccessKeyId::new(access_key_id).unwrap(),
        custom_key_store::backend::SecretAccessKey::new(&raw_secret_access_key).unwrap(),
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_proxy_learns_who_called_for_what_and_by_which_request() {
    let proxy = RealProxy::start().await;
    let endpoint = Endpoint::start_with(|backends| backends.external(proxy.route()), |kms| kms).await;
    let client = endpoint.client();
    let store = external(&client, KEY).send().await.unwrap().custom_key_store_id.unwrap();
    connect(&client, &store).await;
    let key = create_key(&client, &store, KEY).await;
    let arn = key.arn.unwrap();
    assert_eq!(proxy.witness.take().last().unwrap().operation, "CreateKey");

    let told = |operation: &str, request_id: &str| Told {
        operation: operation.to_owned(),
        principal: PRINCIPAL.to_owned(),
        request_id: request_id.to_owned(),
        key: Some(arn.clone()),
    };
    let sealed = client.encrypt().key_id(&arn).plaintext(Blob::new("attack at dawn"));
    let sealed = sealed.encryption_context("tenant", "blue").send().await.unwrap();
    assert_eq!(proxy.witness.take(), [told("Encrypt", sealed.request_id().unwrap())]);
    let blob = || sealed.ciphertext_blob().unwrap().clone();

    let opened = client.decrypt().ciphertext_blob(blob()).encryption_context("tenant", "blue");
    let opened = opened.send().await.unwrap();
    assert_eq!(opened.plaintext().unwrap().as_ref(), b"attack at dawn");
    assert_eq!(proxy.witness.take(), [told("Decrypt", opened.request_id().unwrap())]);
    assert_ne!(opened.request_id(), sealed.request_id());

    let moved = client.re_encrypt().ciphertext_blob(blob()).destination_key_id(&arn);
    let moved = moved.source_encryption_context("tenant", "blue").send().await.unwrap();
    let id = moved.request_id().unwrap();
    assert_eq!(proxy.witness.take(), [told("ReEncrypt", id), told("ReEncrypt", id)]);
    let made = client.generate_data_key().key_id(&arn).number_of_bytes(32).send().await.unwrap();
    assert_eq!(proxy.witness.take(), [told("GenerateDataKey", made.request_id().unwrap())]);
    let made = client.generate_data_key_without_plaintext().key_id(&arn).number_of_bytes(32);
    let made = made.send().await.unwrap();
    let expected = told("GenerateDataKeyWithoutPlaintext", made.request_id().unwrap());
    assert_eq!(proxy.witness.take(), [expected]);

    // A ciphertext that does not fit never gets there.
    let other = client.decrypt().ciphertext_blob(blob()).encryption_context("tenant", "red");
    assert!(other.send().await.unwrap_err().into_service_error().is_invalid_ciphertext_exception());
    assert_eq!(proxy.witness.take(), []);

    // The proxy's kill switch, and its way back.
    proxy.tenant.suspend();
    let decrypt = || client.decrypt().ciphertext_blob(blob()).encryption_context("tenant", "blue").send();
    assert!(decrypt().await.unwrap_err().into_service_error().is_kms_invalid_state_exception());
    assert_eq!(described(&client, &store).await.connection_state, Some(ConnectionStateType::Connected));
    proxy.tenant.resume();
    decrypt().await.unwrap();

    // Nobody is there any more.
    disconnect(&client, &store).await;
    proxy.server.shut_down();
    proxy.serving.await.unwrap();
    client.connect_custom_key_store().custom_key_store_id(&store).send().await.unwrap();
    until(&client, &store, ConnectionStateType::Failed).await;
    let code = described(&client, &store).await.connection_error_code;
    assert_eq!(code, Some(ConnectionErrorCodeType::XksProxyNotReachable));
    endpoint.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_real_proxy_refuses_has_the_names_of_aws() {
    let proxy = RealProxy::start().await;
    let endpoint = Endpoint::start_with(|backends| backends.external(proxy.route()), |kms| kms).await;
    let client = endpoint.client();
    let wrong = external(&client, KEY).xks_proxy_authentication_credential(proxy_credential('B'));
    let error = wrong.send().await.unwrap_err().into_service_error();
    assert!(error.is_xks_proxy_incorrect_authentication_credential_exception(), "{error:?}");
    let wrong = external(&client, KEY).xks_proxy_uri_path(path("nowhere"));
    let error = wrong.send().await.unwrap_err().into_service_error();
    assert!(error.is_xks_proxy_invalid_configuration_exception(), "{error:?}");
    // Nobody is there any more.
    proxy.server.shut_down();
    proxy.serving.await.unwrap();
    let error = external(&client, KEY).send().await.unwrap_err().into_service_error();
    assert!(error.is_xks_proxy_uri_unreachable_exception(), "{error:?}");
    endpoint.stop().await;
}
