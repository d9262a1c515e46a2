//! Stores, keys, and an endpoint in front of them.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use custom_key_store::api::{
    CallerCredential, CallerKeyId, CallerSecret, Callers, KmsApi, KmsApiBuilder, Principal, ServeOptions,
    ServerHandle, serve,
};
use custom_key_store::backend::BackingKeyId;
use custom_key_store::backend::software::KeyManager;
use custom_key_store::clock::ManualClock;
use custom_key_store::kms::{Action, CreateCustomKeyStore, Exception, Kms, KmsBuilder};
use custom_key_store::{AliasName, KeyMetadata, NewKey, PageRequest, StoreId};
use http_body_util::{BodyExt as _, Full};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tower_service::Service as _;

use crate::kms::support::{builder, cloud_hsm, connect, external, store_with_key};
use crate::support::ledger;
use crate::xks_proxy::support::{Call, Client, DATE, NOW, Reply};

pub(super) const ID: &str = "AKIAIOSFODNN7EXAMPLE";
pub(super) const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
pub(super) const PRINCIPAL: &str = "arn:aws:iam::111122223333:role/payroll";
pub(super) const CONTENT_TYPE: &str = "application/x-amz-json-1.1";

pub(super) fn credential_of(secret: &str, principal: &str) -> CallerCredential {
    CallerCredential::new(&CallerSecret::new(secret).unwrap(), &Principal::new(principal).unwrap())
}

pub(crate) fn callers() -> Callers {
    let callers = Callers::new();
    callers.add(CallerKeyId::new(ID).unwrap(), credential_of(SECRET, PRINCIPAL)).unwrap();
    callers
}

/// An endpoint over two connected stores, one of each type, and two that are disconnected and empty.
pub(super) struct Rig {
    pub(super) api: KmsApi,
    pub(super) kms: Kms,
    pub(super) manager: KeyManager,
    pub(super) clock: ManualClock,
    /// Connected.
    pub(super) store: StoreId,
    pub(super) cluster: StoreId,
    /// Disconnected.
    pub(super) spare: StoreId,
    pub(super) spare_cluster: StoreId,
    /// Of `store`, called `alias/payroll`, with the tags `team` and `stage`.
    pub(super) key: KeyMetadata,
    /// Its deletion is scheduled.
    pub(super) pending: KeyMetadata,
    /// The text `attack at dawn` under `key`.
    pub(super) blob: String,
}

impl Rig {
    pub(super) async fn new() -> Self {
        Self::with(|kms| kms, |kms| KmsApi::builder(kms, callers())).await
    }

    pub(super) async fn with(
        kms: impl FnOnce(KmsBuilder) -> KmsBuilder,
        api: impl FnOnce(Kms) -> KmsApiBuilder,
    ) -> Self {
        let mut rig = Self::unsealed(kms, api).await;
        let encrypt = json!({ "KeyId": rig.key.key_id, "Plaintext": "YXR0YWNrIGF0IGRhd24=" });
        rig.blob = rig.ok("Encrypt", &encrypt).await["CiphertextBlob"].as_str().unwrap().to_owned();
        rig
    }

    /// The same without a blob, of which the caller need not be let in.
    pub(super) async fn unsealed(
        kms: impl FnOnce(KmsBuilder) -> KmsBuilder,
        api: impl FnOnce(Kms) -> KmsApiBuilder,
    ) -> Self {
        let clock = ManualClock::starting_at(SystemTime::UNIX_EPOCH + Duration::from_secs(NOW));
        let manager = KeyManager::builder().clock(clock.clone()).build();
        let opening = kms(builder(&ledger(), &manager).clock(clock.clone())).open();
        let (kms, driver) = opening.await.unwrap();
        tokio::spawn(driver);

        let (store, key) = store_with_key(&kms, &manager, "payroll").await;
        kms.create_alias(&AliasName::new("alias/payroll").unwrap(), &key.key_id).await.unwrap();
        let tags = [("team", "payroll"), ("stage", "test")];
        let tags = tags.map(|(key, value)| (key.parse().unwrap(), value.parse().unwrap()));
        kms.tag_resource(&key.key_id, &tags).await.unwrap();
        manager.create_key(BackingKeyId::new("pending").unwrap());
        manager.create_key(BackingKeyId::new("free").unwrap());
        let pending = NewKey::external(BackingKeyId::new("pending").unwrap());
        let pending = kms.create_key(&store, &pending).await.unwrap();
        kms.schedule_key_deletion(&pending.key_id, Some(7)).await.unwrap();
        let make = async |new: CreateCustomKeyStore| kms.create_custom_key_store(new).await.unwrap();
        let cluster = make(cloud_hsm("cluster", "abcdefghij2")).await;
        connect(&kms, &cluster).await;
        let spare = make(external("spare")).await;
        let spare_cluster = make(cloud_hsm("spare-cluster", "abcdefghij3")).await;

        let api = api(kms.clone()).clock(clock.clone()).build().unwrap();
        let blob = String::new();
        Self { api, kms, manager, clock, store, cluster, spare, spare_cluster, key, pending, blob }
    }

    /// One request in this process.
    pub(super) async fn send(&self, call: &Call) -> Reply {
        self.send_request(request(call)).await
    }

    pub(super) async fn send_request(&self, request: http::Request<Full<Bytes>>) -> Reply {
        answer(&self.api, request).await
    }

    pub(super) async fn call(&self, operation: &str, body: &Value) -> Reply {
        self.send(&call(operation, body)).await
    }

    /// What is answered to a request that succeeds.
    pub(super) async fn ok(&self, operation: &str, body: &Value) -> Value {
        let reply = self.call(operation, body).await;
        assert_eq!(reply.status, 200, "{operation} {body}: {}", String::from_utf8_lossy(&reply.body));
        assert!(reply.head.contains(&format!("content-type: {CONTENT_TYPE}\r\n")), "{reply:?}");
        assert!(reply.head.contains("x-amzn-requestid: "), "{reply:?}");
        reply.json()
    }

    /// Name and message of the error that is answered.
    pub(super) async fn refused(&self, operation: &str, body: &Value) -> (String, String) {
        let reply = self.call(operation, body).await;
        let (status, name, message) = error(&reply);
        assert!(status == 400 || status >= 500, "{operation} {body}: {reply:?}");
        // By a name that AWS documents for the operation, but for what is not had.
        let apart = ["SerializationException", "UnsupportedOperationException"];
        if let Ok(action) = operation.parse::<Action>() {
            let documented = name
                .parse::<Exception>()
                .is_ok_and(|exception| exception.is_common() || action.exceptions().contains(&exception));
            assert!(documented || apart.contains(&&*name), "{operation} is not documented to answer {name}");
        }
        (name, message)
    }

    /// Everything that is kept, as those see it who ask for it.
    pub(super) async fn snapshot(&self) -> Value {
        let page = PageRequest::default();
        let stores = self.kms.describe_custom_key_stores(&page).await.unwrap().items;
        let mut keys = Vec::new();
        for arn in self.kms.list_keys(&page).await.unwrap().items {
            let tags = self.kms.list_resource_tags(&arn.key_id()).await.unwrap();
            keys.push(json!([self.kms.describe_key(&arn.key_id().into()).await.unwrap(), tags]));
        }
        let aliases = self.kms.list_aliases(None, &page).await.unwrap().items;
        json!({ "stores": stores, "keys": keys, "aliases": format!("{aliases:?}") })
    }

    /// The endpoint behind a listener.
    pub(super) async fn serve(&self, options: ServeOptions) -> (std::net::SocketAddr, ServerHandle) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (serving, handle) = serve(listener, self.api.clone(), options);
        tokio::spawn(serving);
        (address, handle)
    }

    pub(super) async fn client(&self) -> (Client, ServerHandle) {
        let (address, handle) = self.serve(ServeOptions::plain_http()).await;
        (Client::connect(address).await, handle)
    }
}

/// What an endpoint in this process answers.
pub(crate) async fn answer<B>(api: &KmsApi, request: http::Request<B>) -> Reply
where
    B: http_body::Body + Send + 'static,
    B::Data: Send,
{
    let response = api.clone().call(request).await.unwrap_or_else(|never| match never {});
    let (head, body) = response.into_parts();
    let lines = head.headers.iter().map(|(name, value)| format!("{name}: {}\r\n", value.to_str().unwrap()));
    Reply {
        status: head.status.as_u16(),
        head: lines.collect::<String>().to_lowercase(),
        body: body.collect().await.unwrap().to_bytes().to_vec(),
    }
}

/// A request that is right, to be made wrong.
pub(crate) fn call(operation: &str, body: &Value) -> Call {
    call_with(operation, body.to_string().into_bytes())
}

pub(crate) fn call_with(operation: &str, body: Vec<u8>) -> Call {
    Call {
        method: "POST",
        path: "/".to_owned(),
        host: "kms.example.com".to_owned(),
        date: DATE.to_owned(),
        id: ID.to_owned(),
        secret: SECRET.to_owned(),
        region: "us-east-1".to_owned(),
        service: "kms".to_owned(),
        headers: vec![
            ("content-type".to_owned(), CONTENT_TYPE.to_owned()),
            ("x-amz-target".to_owned(), format!("TrentService.{operation}")),
        ],
        body,
    }
}

pub(crate) fn request(call: &Call) -> http::Request<Full<Bytes>> {
    request_with(call, Some(&call.authorization()))
}

/// With this authorization in place of its own.
pub(crate) fn request_with(call: &Call, authorization: Option<&str>) -> http::Request<Full<Bytes>> {
    let mut request = http::Request::builder().method(call.method).uri(&call.path);
    for (name, value) in call.signed_headers() {
        request = request.header(name, value);
    }
    if let Some(authorization) = authorization {
        request = request.header("authorization", authorization);
    }
    request.body(Full::new(Bytes::from(call.body.clone()))).unwrap()
}

/// Status, name and message of an error, after what holds for every error.
#[track_caller]
pub(crate) fn error(reply: &Reply) -> (u16, String, String) {
    let json = reply.json();
    let name = json["__type"].as_str().unwrap_or_else(|| panic!("{reply:?}"));
    let message = json["message"].as_str().unwrap_or_else(|| panic!("{reply:?}"));
    assert_eq!(json.as_object().unwrap().len(), 2, "{json}");
    assert!(!message.is_empty() && name.ends_with("Exception"), "{json}");
    assert_ne!(reply.status, 200);
    for header in [
        format!("content-type: {CONTENT_TYPE}\r\n"),
        format!("x-amzn-errortype: {}\r\n", name.to_lowercase()),
        "x-amzn-requestid: ".to_owned(),
    ] {
        assert!(reply.head.contains(&header), "{header} is not in {reply:?}");
    }
    (reply.status, name.to_owned(), message.to_owned())
}

#[track_caller]
pub(super) fn is_error(reply: &Reply, status: u16, name: &str) -> String {
    let (found, called, message) = error(reply);
    assert_eq!((found, &*called), (status, name), "{message}");
    message
}

/// The key of a store, by its ARN, as a text.
pub(super) fn arn(key: &KeyMetadata) -> String {
    key.arn.to_string()
}

/// A member's name as it is in messages.
pub(super) fn camel(name: &str) -> String {
    let (first, rest) = name.split_at(1);
    format!("'{}{rest}", first.to_lowercase())
}

pub(super) type Shared<T> = Arc<std::sync::Mutex<Vec<T>>>;
