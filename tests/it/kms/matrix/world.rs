//! A store held in a state, with a key in a state, and what can be seen of them.

use std::future::poll_fn;
use std::task::Poll;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use custom_key_store::backend::software::{Fault, KeyManager, Method};
use custom_key_store::backend::{BackingKeyId, ConnectionErrorCode};
use custom_key_store::clock::ManualClock;
use custom_key_store::kms::{Encrypt, Kms};
use custom_key_store::{ConnectionState, KeyId, KeyState, StoreId};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use serde_json::{Value, json};

use super::direct::Direct;
use super::level::Level as _;
use super::table::Of;
use crate::kms::support::{builder, connect, drive, turn, until};
use crate::support::ledger;
use crate::xks_proxy::support::NOW;

pub(super) const NAME: &str = "root";
pub(super) const ALIAS: &str = "alias/subject";
pub(super) const OTHER_ALIAS: &str = "alias/other";
/// A key of the external key manager that no KMS key refers to.
pub(super) const FREE: &str = "free";

/// What a cell is about.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) of: Of,
    pub(super) connection: ConnectionState,
    /// The state that the key would be in if its store were connected; `None` for a store without keys.
    pub(super) key: Option<KeyState>,
}

/// A `Kms` with a store in its [`Place`].
pub(super) struct World {
    pub(super) kms: Kms,
    pub(super) clock: ManualClock,
    pub(super) place: Place,
    pub(super) store: StoreId,
    manager: KeyManager,
    keys: Option<Keys>,
    /// A call that the store's disconnect waits for.
    in_flight: Option<BoxFuture<'static, ()>>,
}

struct Keys {
    /// The key that the cell is about.
    subject: KeyId,
    /// Another one of the same store, always enabled.
    other: KeyId,
    /// One of another store, which is connected.
    elsewhere: KeyId,
    /// Made under the subject.
    blob: String,
    blob_elsewhere: String,
}

impl World {
    /// A call of the request that the store was created by.
    pub(super) fn creation(of: Of) -> Value {
        let credential =
            json!({ "AccessKeyId": "AKIDOFATEST222222222", "RawSecretAccessKey": "s".repeat(43) });
        match of {
            Of::CloudHsm => json!({
                "CustomKeyStoreName": NAME,
                "CustomKeyStoreType": "AWS_CLOUDHSM",
                "CloudHsmClusterId": "cluster-abcdefghij2",
                "TrustAnchorCertificate": "-----BEGIN CERTIFICATE-----",
                "KeyStorePassword": "correcthorse",
            }),
            Of::ThroughVpc => json!({
                "CustomKeyStoreName": NAME,
                "CustomKeyStoreType": "EXTERNAL_KEY_STORE",
                "XksProxyConnectivity": "VPC_ENDPOINT_SERVICE",
                "XksProxyUriEndpoint": "https://private.example.com",
                "XksProxyUriPath": "/private/kms/xks/v1",
                "XksProxyVpcEndpointServiceName": "com.amazonaws.vpce.us-east-1.vpce-svc-0a1b2c3d",
                "XksProxyAuthenticationCredential": credential,
            }),
            Of::External | Of::Both => external(NAME, &credential),
        }
    }

    /// Holds a store in its place for as long as `visit` takes.
    pub(super) async fn visit<T>(place: Place, visit: impl AsyncFnOnce(&mut Self) -> T) -> T {
        // Time stands still: what hangs, hangs.
        let clock = ManualClock::starting_at(SystemTime::UNIX_EPOCH + Duration::from_secs(NOW));
        let manager = KeyManager::new();
        let opening = builder(&ledger(), &manager).clock(clock.clone()).open();
        let (kms, driver) = opening.await.unwrap();
        let life = async {
            let store = create(&kms, &Self::creation(place.of)).await;
            let mut world = Self { kms, clock, place, store, manager, keys: None, in_flight: None };
            world.settle_in().await;
            visit(&mut world).await
        };
        drive(driver, life).await
    }

    async fn settle_in(&mut self) {
        let Place { connection, key, .. } = self.place;
        self.manager.create_key(BackingKeyId::new(FREE).unwrap());
        if let Some(state) = key {
            connect(&self.kms, &self.store).await;
            self.keys = Some(self.make_keys(state).await);
        }
        match connection {
            ConnectionState::Connected => self.arrive().await,
            ConnectionState::Disconnected => self.leave().await,
            ConnectionState::Connecting => {
                self.leave().await;
                let before = self.manager.calls(Method::Connect);
                self.manager.inject(Method::Connect, Fault::Hang);
                self.kms.connect_custom_key_store(&self.store).await.unwrap();
                // Nobody else is to meet the fault.
                soon(async || (self.manager.calls(Method::Connect) > before).then_some(())).await.unwrap();
            }
            ConnectionState::Disconnecting => {
                self.arrive().await;
                let before = self.manager.calls(Method::Close);
                let has_keys = self.hang().await;
                self.kms.disconnect_custom_key_store(&self.store).await.unwrap();
                let hangs = || has_keys || self.manager.calls(Method::Close) > before;
                soon(async || hangs().then_some(())).await.unwrap();
            }
            ConnectionState::Failed => {
                self.leave().await;
                let code = ConnectionErrorCode::InvalidCredentials;
                self.manager.inject(Method::Connect, Fault::Refuse(code));
                self.kms.connect_custom_key_store(&self.store).await.unwrap();
                until(&self.kms, &self.store, ConnectionState::Failed).await;
            }
        }
        assert_eq!(self.connection().await, connection, "the store is not where it was to be");
    }

    /// Has the next disconnect find something to wait for: a call that uses a key, if there is one, or else the goodbye.
    async fn hang(&mut self) -> bool {
        let Some(keys) = &self.keys else {
            self.manager.inject(Method::Close, Fault::Hang);
            return false;
        };
        let (kms, key) = (self.kms.clone(), keys.other.into());
        self.manager.inject(Method::Encrypt, Fault::Hang);
        let call = async move { drop(kms.encrypt(&Encrypt::new(&key, b"secret")).await) };
        let mut call = call.boxed();
        assert!(poll_fn(|cx| Poll::Ready(call.poll_unpin(cx))).await.is_pending());
        self.in_flight = Some(call);
        true
    }

    async fn make_keys(&self, state: KeyState) -> Keys {
        let kms = &self.kms;
        let mut elsewhere = Self::creation(Of::External);
        elsewhere["CustomKeyStoreName"] = "elsewhere".into();
        elsewhere["XksProxyUriPath"] = "/elsewhere/kms/xks/v1".into();
        let elsewhere = create(kms, &elsewhere).await;
        connect(kms, &elsewhere).await;
        let elsewhere = self.make_key(&elsewhere, Of::External, "in-elsewhere").await;
        let subject = self.make_key(&self.store, self.place.of, "in-subject").await;
        let other = self.make_key(&self.store, self.place.of, "in-other").await;
        let direct = Direct::new(kms);
        let call = async |operation: &str, body: Value| direct.call(operation, &body).await.unwrap();
        for (alias, key) in [(ALIAS, subject), (OTHER_ALIAS, other)] {
            call("CreateAlias", json!({ "AliasName": alias, "TargetKeyId": key })).await;
        }
        let tags = json!([{ "TagKey": "team", "TagValue": "payroll" }]);
        call("TagResource", json!({ "KeyId": subject, "Tags": tags })).await;
        let encrypted = async |key: KeyId| {
            let plaintext = STANDARD.encode(b"attack at dawn");
            let encrypted = call("Encrypt", json!({ "KeyId": key, "Plaintext": plaintext })).await;
            encrypted["CiphertextBlob"].as_str().unwrap().to_owned()
        };
        let (blob, blob_elsewhere) = (encrypted(subject).await, encrypted(elsewhere).await);
        match state {
            KeyState::Enabled => Value::Null,
            KeyState::Disabled => call("DisableKey", json!({ "KeyId": subject })).await,
            KeyState::PendingDeletion => call("ScheduleKeyDeletion", json!({ "KeyId": subject })).await,
            other => panic!("no key is {other} of itself"),
        };
        Keys { subject, other, elsewhere, blob, blob_elsewhere }
    }

    async fn make_key(&self, store: &StoreId, of: Of, backing: &str) -> KeyId {
        let mut request = json!({ "CustomKeyStoreId": store });
        if of != Of::CloudHsm {
            self.manager.create_key(BackingKeyId::new(backing).unwrap());
            request["XksKeyId"] = backing.into();
        }
        let made = Direct::new(&self.kms).call("CreateKey", &request).await.unwrap();
        KeyId::new(made["KeyMetadata"]["KeyId"].as_str().unwrap()).unwrap()
    }
}

/// What requests name.
impl World {
    /// The key that the cell is about.
    pub(super) fn key(&self) -> KeyId {
        self.keys.as_ref().unwrap().subject
    }

    /// Another key of the store.
    pub(super) fn other(&self) -> KeyId {
        self.keys.as_ref().unwrap().other
    }

    /// A key of another store.
    pub(super) fn elsewhere(&self) -> KeyId {
        self.keys.as_ref().unwrap().elsewhere
    }

    /// What was encrypted under the key.
    pub(super) fn blob(&self) -> &str {
        &self.keys.as_ref().unwrap().blob
    }

    pub(super) fn blob_elsewhere(&self) -> &str {
        &self.keys.as_ref().unwrap().blob_elsewhere
    }
}

/// What is seen, and done besides.
impl World {
    pub(super) async fn connection(&self) -> ConnectionState {
        self.kms.describe_custom_key_store(&self.store).await.unwrap().connection_state
    }

    pub(super) async fn key_state(&self) -> KeyState {
        self.kms.describe_key(&self.key().into()).await.unwrap().key_state
    }

    /// Everything that anybody can see.
    pub(super) async fn snapshot(&self) -> Value {
        let direct = Direct::new(&self.kms);
        let call = async |operation: &str, body: Value| direct.call(operation, &body).await.unwrap();
        let stores = call("DescribeCustomKeyStores", json!({})).await;
        let aliases = call("ListAliases", json!({})).await;
        let mut keys = Vec::new();
        for key in call("ListKeys", json!({})).await["Keys"].as_array().unwrap() {
            let of = |operation| call(operation, json!({ "KeyId": key["KeyId"] }));
            keys.push(json!([of("DescribeKey").await, of("ListResourceTags").await]));
        }
        let backing: Vec<_> = self.manager.keys().iter().map(ToString::to_string).collect();
        json!({ "stores": stores, "aliases": aliases, "keys": keys, "backing": backing })
    }

    async fn arrive(&self) {
        if self.connection().await != ConnectionState::Connected {
            connect(&self.kms, &self.store).await;
        }
    }

    /// Connects the store once more, whatever state it is in.
    pub(super) async fn reconnect(&mut self) {
        self.manager.heal();
        self.leave().await;
        connect(&self.kms, &self.store).await;
    }

    /// Brings the store to `DISCONNECTED`, whatever state it is in.
    async fn leave(&mut self) {
        if self.connection().await == ConnectionState::Disconnected {
            return;
        }
        if self.connection().await != ConnectionState::Disconnecting {
            self.kms.disconnect_custom_key_store(&self.store).await.unwrap();
        }
        self.in_flight = None;
        // What else a disconnect waits for.
        self.clock.advance(Duration::from_secs(60));
        until(&self.kms, &self.store, ConnectionState::Disconnected).await;
    }
}

async fn create(kms: &Kms, request: &Value) -> StoreId {
    let made = Direct::new(kms).call("CreateCustomKeyStore", request).await.unwrap();
    StoreId::new(made["CustomKeyStoreId"].as_str().unwrap()).unwrap()
}

fn external(name: &str, credential: &Value) -> Value {
    json!({
        "CustomKeyStoreName": name,
        "CustomKeyStoreType": "EXTERNAL_KEY_STORE",
        "XksProxyConnectivity": "PUBLIC_ENDPOINT",
        "XksProxyUriEndpoint": "https://xks.example.com",
        "XksProxyUriPath": format!("/{name}/kms/xks/v1"),
        "XksProxyAuthenticationCredential": credential,
    })
}

/// Whether something comes about while everybody has a turn, and another, but no time passes.
pub(super) async fn soon<T>(mut look: impl AsyncFnMut() -> Option<T>) -> Option<T> {
    for _ in 0..1000 {
        if let Some(found) = look().await {
            return Some(found);
        }
        turn().await;
    }
    None
}
