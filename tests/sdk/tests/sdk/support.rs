//! An endpoint on loopback, and the SDK's client of it.

use std::collections::VecDeque;
use std::error::Error;
use std::future::pending;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_kms::Client;
use aws_sdk_kms::config::retry::RetryConfig;
use aws_sdk_kms::config::{BehaviorVersion, Credentials, Region as SdkRegion};
use aws_sdk_kms::operation::create_custom_key_store::builders::CreateCustomKeyStoreFluentBuilder;
use aws_sdk_kms::types::{
    ConnectionStateType, CustomKeyStoreType, CustomKeyStoresListEntry, KeyMetadata, OriginType,
    XksProxyAuthenticationCredentialType, XksProxyConnectivityType,
};
use aws_smithy_http_client::Builder as HttpClient;
use custom_key_store::api::{
    CallerCredential, CallerKeyId, CallerResolver, CallerSecret, Callers, Drained, KmsApi, Principal,
    ServeOptions, serve,
};
use custom_key_store::backend::software::KeyManager;
use custom_key_store::backend::{AccountId, BackingKeyId};
use custom_key_store::catalog::{Ledger, SqliteCatalog};
use custom_key_store::kms::{BackendMap, Kms, KmsBuilder, Refusal};
use custom_key_store::{Identity, Partition, RateLimit, Region, SealingKey};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

pub(crate) const ACCOUNT: &str = "111122223333";
pub(crate) const REGION: &str = "eu-central-1";
pub(crate) const ACCESS_KEY_ID: &str = "AKIAIOSFODNN7EXAMPLE";
pub(crate) const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
pub(crate) const PRINCIPAL: &str = "arn:aws:iam::111122223333:role/payroll";

/// A server with a catalogue in a file, and all that a test needs to be nasty to it.
pub(crate) struct Endpoint {
    pub(crate) url: String,
    /// What is behind every store that no other backend takes, of whichever type.
    pub(crate) manager: KeyManager,
    pub(crate) directory: Directory,
    pub(crate) surroundings: Surroundings,
    kms: Kms,
    server: custom_key_store::api::ServerHandle,
    serving: JoinHandle<Drained>,
    driver: JoinHandle<()>,
    /// Removed with the endpoint.
    _folder: TempDir,
}

impl Endpoint {
    pub(crate) async fn start() -> Self {
        Self::start_with(|backends| backends, |kms| kms).await
    }

    pub(crate) async fn start_with(
        backends: impl FnOnce(BackendMap) -> BackendMap,
        settings: impl FnOnce(KmsBuilder) -> KmsBuilder,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let catalog = SqliteCatalog::create(folder.path().join("catalogue")).await.unwrap();
        let ledger = Ledger::create(catalog, &SealingKey::from_bytes(&[7; 32]), identity()).await.unwrap();
        let manager = KeyManager::new();
        let surroundings = Surroundings::default();
        let looked_at = surroundings.clone();
        let map = BackendMap::new().software(manager.clone()).inspect_with(move |_, _| {
            let refusal = looked_at.0.lock().unwrap().clone();
            async move { refusal.map_or(Ok(()), Err) }
        });
        let (kms, driver) = settings(Kms::builder(ledger, backends(map))).open().await.unwrap();
        let driver = tokio::spawn(driver);

        let directory = Directory::new();
        // One that hangs is to be given up soon; the others answer when they are first asked.
        let api = KmsApi::builder(kms.clone(), directory.clone()).resolver_timeout(Duration::from_millis(20));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (serving, server) = serve(listener, api.build().unwrap(), ServeOptions::plain_http());
        let serving = tokio::spawn(serving);
        Self { url, manager, directory, surroundings, kms, server, serving, driver, _folder: folder }
    }

    /// A client that tries everything once.
    pub(crate) fn client(&self) -> Client {
        self.client_with(|config| config)
    }

    /// A client that tries again as SDKs do, without waiting long.
    pub(crate) fn patient_client(&self) -> Client {
        self.client_with(|config| {
            config.retry_config(RetryConfig::standard().with_initial_backoff(Duration::from_millis(1)))
        })
    }

    pub(crate) fn client_with(
        &self,
        change: impl FnOnce(aws_sdk_kms::config::Builder) -> aws_sdk_kms::config::Builder,
    ) -> Client {
        let config = aws_sdk_kms::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .http_client(HttpClient::new().build_http())
            .endpoint_url(&self.url)
            .region(SdkRegion::new(REGION))
            .credentials_provider(credentials(ACCESS_KEY_ID, SECRET))
            .retry_config(RetryConfig::disabled());
        Client::from_conf(change(config).build())
    }

    /// A key of the key manager.
    pub(crate) fn external_key(&self, id: &str) {
        self.manager.create_key(BackingKeyId::new(id).unwrap());
    }

    /// A connected external key store, and a KMS key on an external key, both of this name.
    pub(crate) async fn store_with_key(&self, client: &Client, name: &str) -> (String, KeyMetadata) {
        let store = external(client, name).send().await.unwrap().custom_key_store_id.unwrap();
        connect(client, &store).await;
        self.external_key(name);
        let key = create_key(client, &store, name).await;
        (store, key)
    }

    /// A connected CloudHSM key store, and a KMS key in it.
    pub(crate) async fn cluster_with_key(&self, client: &Client, name: &str) -> (String, KeyMetadata) {
        let store = cluster(client, name, name).send().await.unwrap().custom_key_store_id.unwrap();
        connect(client, &store).await;
        let new = client.create_key().custom_key_store_id(&store).origin(OriginType::AwsCloudhsm);
        (store, new.send().await.unwrap().key_metadata.unwrap())
    }

    /// Ends it as an operator would, and finds that nothing was left behind.
    pub(crate) async fn stop(self) {
        self.server.shut_down();
        assert_eq!(self.serving.await.unwrap().cut_off, 0);
        self.kms.shut_down();
        self.driver.await.unwrap();
        assert_eq!(self.manager.open_connections(), 0);
    }
}

pub(crate) fn identity() -> Identity {
    Identity::new(
        Partition::new("aws").unwrap(),
        Region::new(REGION).unwrap(),
        AccountId::new(ACCOUNT).unwrap(),
    )
}

pub(crate) fn credentials(id: &str, secret: &str) -> Credentials {
    Credentials::new(id, secret, None, None, "test")
}

/// So many uses of keys a second for each store.
pub(crate) fn uses_a_second(uses: u32) -> RateLimit {
    RateLimit::per_second(NonZeroU32::new(uses).unwrap())
}

/// Looks callers up, and counts how often, which is how many requests have come: it fails when it is told to.
#[derive(Debug, Clone)]
pub(crate) struct Directory {
    callers: Callers,
    asked: Arc<AtomicUsize>,
    faults: Arc<Mutex<VecDeque<Trouble>>>,
}

/// What is wrong with a directory.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Trouble {
    /// It answers that it does not know: `KMSInternalException`.
    Broken,
    /// It does not answer: `DependencyTimeoutException`.
    Hanging,
}

impl Directory {
    fn new() -> Self {
        let callers = Callers::new();
        let credential =
            CallerCredential::new(&CallerSecret::new(SECRET).unwrap(), &Principal::new(PRINCIPAL).unwrap());
        callers.add(CallerKeyId::new(ACCESS_KEY_ID).unwrap(), credential).unwrap();
        Self { callers, asked: Arc::default(), faults: Arc::default() }
    }

    /// How many requests there were since this was asked before.
    pub(crate) fn requests(&self) -> usize {
        self.asked.swap(0, Ordering::Relaxed)
    }

    /// What the next requests meet.
    pub(crate) fn fail(&self, faults: impl IntoIterator<Item = Trouble>) {
        self.faults.lock().unwrap().extend(faults);
    }
}

#[async_trait]
impl CallerResolver for Directory {
    async fn resolve(
        &self,
        access_key_id: &str,
    ) -> Result<Option<CallerCredential>, Box<dyn Error + Send + Sync>> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let fault = self.faults.lock().unwrap().pop_front();
        match fault {
            Some(Trouble::Broken) => Err("the directory is broken".into()),
            Some(Trouble::Hanging) => pending().await,
            None => self.callers.resolve(access_key_id).await,
        }
    }
}

/// What lies around key managers: clusters and endpoint services, in which something is wrong until it is mended.
#[derive(Debug, Clone, Default)]
pub(crate) struct Surroundings(Arc<Mutex<Option<Refusal>>>);

impl Surroundings {
    pub(crate) fn refuse(&self, refusal: Refusal) {
        *self.0.lock().unwrap() = Some(refusal);
    }

    pub(crate) fn mend(&self) {
        *self.0.lock().unwrap() = None;
    }
}

pub(crate) fn proxy_credential(letter: char) -> XksProxyAuthenticationCredentialType {
    XksProxyAuthenticationCredentialType::builder()
        .access_key_id(letter.to_string().repeat(20))
        .raw_secret_access_key(letter.to_string().repeat(43))
        .build()
        .unwrap()
}

/// The path of a store of this name, which is its alone.
pub(crate) fn path(name: &str) -> String {
    format!("/{name}/kms/xks/v1")
}

pub(crate) fn external(client: &Client, name: &str) -> CreateCustomKeyStoreFluentBuilder {
    client
        .create_custom_key_store()
        .custom_key_store_name(name)
        .custom_key_store_type(CustomKeyStoreType::ExternalKeyStore)
        .xks_proxy_connectivity(XksProxyConnectivityType::PublicEndpoint)
        .xks_proxy_uri_endpoint("https://xks.example.com")
        .xks_proxy_uri_path(path(name))
        .xks_proxy_authentication_credential(proxy_credential('A'))
}

/// One whose endpoint nobody else has, behind an endpoint service.
pub(crate) fn through_service(
    client: &Client,
    name: &str,
    service: &str,
) -> CreateCustomKeyStoreFluentBuilder {
    external(client, name)
        .xks_proxy_connectivity(XksProxyConnectivityType::VpcEndpointService)
        .xks_proxy_uri_endpoint(format!("https://{name}.example.com"))
        .xks_proxy_vpc_endpoint_service_name(service_name(service))
}

pub(crate) fn service_name(tail: &str) -> String {
    format!("com.amazonaws.vpce.eu-central-1.vpce-svc-{tail}")
}

/// The id of a cluster that ends like this, filled up.
pub(crate) fn cluster_id(tail: &str) -> String {
    format!("cluster-{tail:a<11}")
}

/// A CloudHSM key store on a cluster of its own.
pub(crate) fn cluster(client: &Client, name: &str, tail: &str) -> CreateCustomKeyStoreFluentBuilder {
    client
        .create_custom_key_store()
        .custom_key_store_name(name)
        .custom_key_store_type(CustomKeyStoreType::AwsCloudhsm)
        .cloud_hsm_cluster_id(cluster_id(tail))
        .trust_anchor_certificate(format!("-----{tail}-----"))
        .key_store_password("correcthorse")
}

pub(crate) async fn create_key(client: &Client, store: &str, external_key: &str) -> KeyMetadata {
    let new = client
        .create_key()
        .custom_key_store_id(store)
        .origin(OriginType::ExternalKeyStore)
        .xks_key_id(external_key);
    new.send().await.unwrap().key_metadata.unwrap()
}

pub(crate) async fn described(client: &Client, store: &str) -> CustomKeyStoresListEntry {
    let answer = client.describe_custom_key_stores().custom_key_store_id(store).send().await.unwrap();
    let mut stores = answer.custom_key_stores.unwrap();
    assert_eq!((stores.len(), answer.truncated), (1, false));
    stores.remove(0)
}

/// Asks until the store is in this state, as callers of AWS KMS do.
pub(crate) async fn until(client: &Client, store: &str, state: ConnectionStateType) {
    let settled = async {
        while described(client, store).await.connection_state != Some(state.clone()) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), settled).await.unwrap();
}

pub(crate) async fn connect(client: &Client, store: &str) {
    client.connect_custom_key_store().custom_key_store_id(store).send().await.unwrap();
    until(client, store, ConnectionStateType::Connected).await;
}

pub(crate) async fn disconnect(client: &Client, store: &str) {
    client.disconnect_custom_key_store().custom_key_store_id(store).send().await.unwrap();
    until(client, store, ConnectionStateType::Disconnected).await;
}
