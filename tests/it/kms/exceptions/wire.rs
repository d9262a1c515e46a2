//! A real proxy behind real TLS, as far as that is cheap: what it answers has the same names as what is scripted.

use std::net::SocketAddr;

use custom_key_store::backend::{
    BackingKeyId, Change, ConnectionErrorCode as Code, HealthStatus, StoreName, UriEndpoint, UriPath,
    XksProxyCredential,
};
use custom_key_store::kms::Exception::{self, *};
use custom_key_store::kms::{BackendMap, CreateCustomKeyStore, Decrypt, Encrypt, ExternalProxies, Kms};
use custom_key_store::xks::{TrustRoots, XksProxy};
use custom_key_store::{ConnectionState, NewKey, StoreId};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::kms::support::{connect, until};
use crate::support::ledger;
use crate::xks_both::{HOST, Offered, offered, path, region};

/// A `Kms` that reaches one proxy, under its own name and others.
struct Rig {
    kms: Kms,
    proxy: Offered,
    driving: JoinHandle<()>,
}

/// Its certificate is for [`HOST`] alone.
const OTHER_HOST: &str = "other.example.com";
/// Where nobody listens.
const NOWHERE: &str = "nowhere.example.com";

async fn rig() -> Rig {
    let proxy = offered().await;
    let roots = TrustRoots::from_pem(proxy.authority.as_bytes()).unwrap();
    let nowhere: SocketAddr = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    // Long enough that a busy machine does not fail the test.
    let settings = XksProxy::builder().region(region()).trust_roots(roots);
    let settings = settings.deadline(std::time::Duration::from_secs(20));
    let proxies = ExternalProxies::new(settings)
        .connect_to(HOST, proxy.address)
        .connect_to(OTHER_HOST, proxy.address)
        .connect_to(NOWHERE, nowhere);
    let (kms, driver) = Kms::open(ledger(), BackendMap::new().external(proxies)).await.unwrap();
    Rig { kms, proxy, driving: tokio::spawn(driver) }
}

impl Rig {
    fn at(&self, host: &str, path: UriPath, credential: &XksProxyCredential) -> CreateCustomKeyStore {
        let there = UriEndpoint::new(format!("https://{host}")).unwrap();
        CreateCustomKeyStore::external(StoreName::new("root").unwrap(), there, path, credential.clone())
    }

    async fn created(&self) -> StoreId {
        let request = self.at(HOST, path(), &self.proxy.credential);
        self.kms.create_custom_key_store(request).await.unwrap()
    }

    async fn end(self) {
        self.kms.shut_down();
        self.driving.await.unwrap();
        self.proxy.server.shut_down();
    }
}

/// Connects the store, which fails with this code, and disconnects it again.
async fn fails(kms: &Kms, id: &StoreId, code: Code) {
    kms.connect_custom_key_store(id).await.unwrap();
    until(kms, id, ConnectionState::Failed).await;
    let described = kms.describe_custom_key_store(id).await.unwrap();
    assert_eq!(described.connection_error_code, Some(code));
    kms.disconnect_custom_key_store(id).await.unwrap();
    until(kms, id, ConnectionState::Disconnected).await;
}

fn is<T: std::fmt::Debug>(result: Result<T, custom_key_store::kms::KmsError>, expected: Exception) {
    let error = result.unwrap_err();
    assert_eq!(error.exception(), expected, "{error:?}");
    for detail in ["127.0.0.1", "secret", "rustls", "UnknownIssuer"] {
        assert!(!error.message().contains(detail), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_real_proxy_refuses_when_a_store_is_created_or_changed() {
    let rig = rig().await;
    let (kms, good) = (&rig.kms, &rig.proxy.credential);
    let unknown = XksProxyCredential::generate().unwrap();
    let create = |host: &str, path: UriPath, credential: &XksProxyCredential| {
        kms.create_custom_key_store(rig.at(host, path, credential))
    };
    is(create(HOST, path(), &unknown).await, XksProxyIncorrectAuthenticationCredential);
    let nobodys = || UriPath::new("/nobody/kms/xks/v1").unwrap();
    is(create(HOST, nobodys(), good).await, XksProxyInvalidConfiguration);
    // TLS: the certificate is for another name. (C13)
    is(create(OTHER_HOST, path(), good).await, XksProxyInvalidConfiguration);
    is(create(NOWHERE, path(), good).await, XksProxyUriUnreachable);
    rig.proxy.manager.set_health(vec![HealthStatus::Unavailable]);
    is(create(HOST, path(), good).await, XksProxyUriUnreachable);
    rig.proxy.manager.set_health(vec![HealthStatus::Active]);

    let id = rig.created().await;
    let before = kms.describe_custom_key_store(&id).await.unwrap();
    let update = |change: Change| kms.update_custom_key_store(&id, change);
    let there = |host: &str| UriEndpoint::new(format!("https://{host}")).unwrap();
    is(update(Change::new().credential(unknown.clone())).await, XksProxyIncorrectAuthenticationCredential);
    is(update(Change::new().uri_path(nobodys())).await, XksProxyInvalidConfiguration);
    is(update(Change::new().uri_endpoint(there(OTHER_HOST))).await, XksProxyInvalidConfiguration);
    is(update(Change::new().uri_endpoint(there(NOWHERE))).await, XksProxyUriUnreachable);
    assert_eq!(kms.describe_custom_key_store(&id).await.unwrap(), before);
    connect(kms, &id).await;
    is(update(Change::new().credential(unknown)).await, XksProxyIncorrectAuthenticationCredential);
    is(update(Change::new().uri_path(nobodys())).await, XksProxyInvalidConfiguration);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_real_proxy_refuses_when_a_store_connects_and_its_keys_are_used() {
    let rig = rig().await;
    let (kms, proxy) = (&rig.kms, &rig.proxy);
    let id = rig.created().await;
    // A second credential, so that the first can be taken away.
    proxy.tenant.add_credential(XksProxyCredential::generate().unwrap()).unwrap();
    assert!(proxy.tenant.remove_credential(&proxy.credential.access_key_id));
    fails(kms, &id, Code::InvalidCredentials).await;
    proxy.tenant.add_credential(proxy.credential.clone()).unwrap();
    connect(kms, &id).await;

    let create =
        async |key: &str| kms.create_key(&id, &NewKey::external(BackingKeyId::new(key).unwrap())).await;
    is(create("ext-nowhere").await, XksKeyNotFound);
    for key in ["ext-encrypt-only", "ext-decrypt-only", "ext-neither", "ext-disabled"] {
        is(create(key).await, XksKeyInvalidConfiguration);
    }
    let key = create("ext-usable").await.unwrap().key_id.into();
    is(create("ext-usable").await, XksKeyAlreadyInUse);
    let call = Encrypt::new(&key, b"attack at dawn");
    let sealed = kms.encrypt(&call).await.unwrap().ciphertext;
    let opened = kms.decrypt(&Decrypt::new(sealed.as_bytes())).await.unwrap();
    assert_eq!(opened.plaintext.expose(), b"attack at dawn");

    // Whatever it answers, there is one name, and the store stays CONNECTED.
    proxy.tenant.suspend();
    is(kms.encrypt(&call).await, KmsInvalidState);
    is(create("ext-another").await, XksKeyInvalidConfiguration);
    proxy.tenant.resume();
    assert!(proxy.tenant.remove_credential(&proxy.credential.access_key_id));
    is(kms.encrypt(&call).await, KmsInvalidState);
    is(create("ext-another").await, CustomKeyStoreInvalidState);
    proxy.tenant.add_credential(proxy.credential.clone()).unwrap();
    assert!(proxy.manager.remove_key(&BackingKeyId::new("usable").unwrap()));
    is(kms.decrypt(&Decrypt::new(sealed.as_bytes())).await, KmsInvalidState);
    let described = kms.describe_custom_key_store(&id).await.unwrap();
    assert_eq!(described.connection_state, ConnectionState::Connected);

    kms.disconnect_custom_key_store(&id).await.unwrap();
    until(kms, &id, ConnectionState::Disconnected).await;
    rig.proxy.server.shut_down();
    let Rig { kms, proxy, driving } = rig;
    proxy.serving.await.unwrap();
    fails(&kms, &id, Code::XksProxyNotReachable).await;
    kms.shut_down();
    driving.await.unwrap();
}
