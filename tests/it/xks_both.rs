//! Client and proxy of this crate, one against the other over a real TLS socket: the whole life of a store, and the
//! conformance suite on the client, which sees the key manager through both.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use custom_key_store::backend::conformance::{Keys, Suite};
use custom_key_store::backend::software::{KeyManager, SoftwareKey};
use custom_key_store::backend::{
    Backend as _, BackendErrorKind, BackingKeyId, ConnectReason, ConnectRequest, ConnectionErrorCode,
    KeyStatus, KeyUsages, LiveChange, UriEndpoint, UriPath, XksProxyCredential,
};
use custom_key_store::clock::ManualClock;
use custom_key_store::xks::proxy::{
    KeyGrant, Proxy, ServeOptions, ServerCertificate, ServerHandle, Serving, Tenant, TlsOptions, serve,
};
use custom_key_store::xks::{Region, TrustRoots, XksProxy, XksProxyBuilder};
use custom_key_store::{EncryptionContext, ErrorKind, KeyStore, NewKey};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::support::{name, no_context};

pub(crate) const HOST: &str = "xks.example.com";

/// A proxy with the software key manager behind it, and all that a client needs to reach it.
pub(crate) struct Offered {
    pub(crate) manager: KeyManager,
    pub(crate) tenant: Tenant,
    pub(crate) credential: XksProxyCredential,
    pub(crate) address: SocketAddr,
    pub(crate) authority: String,
    pub(crate) server: ServerHandle,
    pub(crate) serving: JoinHandle<<Serving as Future>::Output>,
}

fn id(text: &str) -> BackingKeyId {
    BackingKeyId::new(text).unwrap()
}

pub(crate) fn path() -> UriPath {
    UriPath::new("/blue/kms/xks/v1").unwrap()
}

pub(crate) fn region() -> Region {
    Region::new("us-east-1").unwrap()
}

/// Keys of every kind; the external key ids are those of the backing keys with `ext-` in front.
pub(crate) async fn offered() -> Offered {
    let manager = KeyManager::new();
    manager.insert_key(id("usable"), SoftwareKey::from_bytes(&[7; 32]));
    manager.create_key(id("another"));
    manager.create_key(id("probes"));
    for (name, usages) in [
        ("encrypt-only", KeyUsages::ENCRYPT),
        ("decrypt-only", KeyUsages::DECRYPT),
        ("neither", KeyUsages::NONE),
    ] {
        manager.insert_key(id(name), SoftwareKey::generate().usages(usages));
    }
    manager.insert_key(id("disabled"), SoftwareKey::generate().status(KeyStatus::Disabled));

    let request = ConnectRequest::new(ConnectReason::Connect, Duration::from_secs(5));
    let connection = manager.connect(&request).await.unwrap();
    let credential = XksProxyCredential::generate().unwrap();
    let mut tenant = Tenant::builder(path(), connection)
        .region(region())
        .credential(credential.clone())
        .health_key(id("probes"));
    for name in ["usable", "another", "encrypt-only", "decrypt-only", "neither", "disabled"] {
        tenant = tenant.key(id(&format!("ext-{name}")), KeyGrant::new(id(name)));
    }
    let tenant = tenant.build().unwrap();
    // Long enough that a busy machine does not fail the tests; the deadlines have tests of their own.
    let proxy = Proxy::builder().tenant(tenant.clone()).deadline(Duration::from_secs(20)).build().unwrap();

    let mut authority = rcgen::CertificateParams::default();
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority_key = rcgen::KeyPair::generate().unwrap();
    let root = authority.self_signed(&authority_key).unwrap().pem();
    let issuer = rcgen::Issuer::new(authority, authority_key);
    let key = rcgen::KeyPair::generate().unwrap();
    let leaf = rcgen::CertificateParams::new([HOST.to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
    let certificate =
        ServerCertificate::from_pem(leaf.pem().as_bytes(), key.serialize_pem().as_bytes()).unwrap();

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    // The suite has more calls in flight than one peer may have connections, each on one of its own.
    let options = ServeOptions::https(TlsOptions::new(certificate).unwrap()).max_connections_per_peer(512);
    let (serving, server) = serve(listener, proxy, options);
    let serving = tokio::spawn(serving);
    Offered { manager, tenant, credential, address, authority: root, server, serving }
}

impl Offered {
    fn client(&self) -> XksProxyBuilder {
        XksProxy::builder()
            .endpoint(UriEndpoint::new(format!("https://{HOST}")).unwrap())
            .path(path())
            .region(region())
            .credential(self.credential.clone())
            .trust_roots(TrustRoots::from_pem(self.authority.as_bytes()).unwrap())
            .dial(self.address)
            .deadline(Duration::from_secs(20))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_conformance_suite_passes_through_client_tls_proxy_and_key_manager() {
    let offered = offered().await;
    let keys = Keys::new(id("ext-usable"))
        .another(id("ext-another"))
        .encrypt_only(id("ext-encrypt-only"))
        .decrypt_only(id("ext-decrypt-only"))
        .neither(id("ext-neither"))
        .disabled(id("ext-disabled"));
    let suite = Suite::new(offered.client().build().unwrap(), keys).usable_key_material([7; 32]);
    suite.run().await.assert();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_lives_its_whole_life_on_a_real_proxy() {
    let offered = offered().await;
    let context = EncryptionContext::new([("tenant", "blue")]).unwrap();

    // The wrong credential: FAILED, and the way back.
    let wrong = offered.client().credential(XksProxyCredential::generate().unwrap()).build().unwrap();
    let failed = KeyStore::ephemeral(name(), wrong).connect().await.unwrap_err().into_store();
    assert_eq!(failed.error_code(), ConnectionErrorCode::InvalidCredentials);
    let mut store = failed.disconnect().await;
    store.update(LiveChange::new().credential(offered.credential.clone())).await.unwrap();
    let mut store = store.connect().await.unwrap();

    let new = NewKey::external(id("ext-usable"));
    let key = store.create_key(&new).await.unwrap().key_id;
    let blob = store.encrypt(&key, b"plaintext", &context).await.unwrap();
    let blob = blob.as_bytes();
    assert_eq!(store.decrypt(blob, &context).await.unwrap().expose(), b"plaintext");
    let error = store.decrypt(blob, &no_context()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidCiphertext);
    // The connection behind the proxy knows it; the key table does not.
    let error = store.describe_backing_key(&id("usable")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Backend(BackendErrorKind::KeyNotFound));

    // A credential is rotated by both sides, in three steps.
    let next = XksProxyCredential::generate().unwrap();
    offered.tenant.add_credential(next.clone()).unwrap();
    store.update(LiveChange::new().credential(next)).await.unwrap();
    assert!(offered.tenant.remove_credential(&offered.credential.access_key_id));
    assert!(store.decrypt(blob, &context).await.is_ok());

    // The kill switch.
    offered.tenant.suspend();
    let error = store.decrypt(blob, &context).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Backend(BackendErrorKind::InvalidKeyState));
    offered.tenant.resume();
    assert!(store.decrypt(blob, &context).await.is_ok());

    let store = store.disconnect().await;
    assert_eq!(store.disconnect_report().unwrap().abandoned, 0);

    // Nobody is there any more.
    offered.server.shut_down();
    offered.serving.await.unwrap();
    let error = store.connect().await.unwrap_err();
    assert_eq!(error.code(), ConnectionErrorCode::XksProxyNotReachable);
    drop(offered.manager);
}

/// The client's clock is ten minutes slow or fast, beside a proxy that goes by the right time: every request is taken
/// for a forgery, at once, until the clock is set right. Neither a store nor a connection has to be made anew for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_is_off_is_a_wrong_credential_until_it_is_set_right() {
    const OFF: Duration = Duration::from_secs(10 * 60);
    let offered = offered().await;
    for wrong in [|| SystemTime::now() - OFF, || SystemTime::now() + OFF] {
        // It stands still: whatever ends has not waited for a deadline.
        let clock = ManualClock::starting_at(wrong());
        let proxy = offered.client().clock(clock.clone()).build().unwrap();
        let counters = proxy.counters();

        let request = ConnectRequest::new(ConnectReason::Connect, Duration::from_secs(5));
        let error = timely(proxy.connect(&request)).await.unwrap_err();
        assert_eq!(error.code(), ConnectionErrorCode::InvalidCredentials);
        let failed = timely(async { KeyStore::ephemeral(name(), proxy).connect().await }).await.unwrap_err();
        assert_eq!(failed.store().error_code(), ConnectionErrorCode::InvalidCredentials);

        clock.set_wall(SystemTime::now());
        let store = failed.into_store().disconnect().await;
        let store = timely(async { store.connect().await }).await.unwrap();
        let new = NewKey::external(id("ext-usable"));
        let key = timely(store.create_key(&new)).await.unwrap().key_id;
        timely(store.encrypt(&key, b"plaintext", &no_context())).await.unwrap();

        clock.set_wall(wrong());
        let error = timely(store.encrypt(&key, b"plaintext", &no_context())).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Backend(BackendErrorKind::AuthenticationFailed));
        clock.set_wall(SystemTime::now());
        timely(store.encrypt(&key, b"plaintext", &no_context())).await.unwrap();
        assert_eq!(counters.counts().errors(BackendErrorKind::AuthenticationFailed), 3);
        assert_eq!(counters.counts().retries, 0, "it is an answer");
    }
}

/// Much longer than anything here takes, and much shorter than the deadlines that are given.
async fn timely<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(5), work).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_calls_at_once_get_each_its_own_answer() {
    let offered = offered().await;
    let store = KeyStore::ephemeral(name(), offered.client().build().unwrap()).connect().await.unwrap();
    let new = NewKey::external(id("ext-usable"));
    let key = store.create_key(&new).await.unwrap().key_id;
    let tasks: Vec<_> = (0..64_u32)
        .map(|number| {
            let handle = store.handle();
            tokio::spawn(async move {
                let plaintext = number.to_be_bytes();
                let blob = handle.encrypt(&key, &plaintext, &no_context()).await.unwrap();
                let decrypted = handle.decrypt(blob.as_bytes(), &no_context()).await.unwrap();
                assert_eq!(decrypted.expose(), plaintext);
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let store = store.disconnect().await;
    assert_eq!(store.disconnect_report().unwrap().abandoned, 0);
}
