//! A client of its own, with a signer of its own, and a proxy to speak to.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_lc_rs::{digest, hmac};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use custom_key_store::backend::software::{KeyManager, SoftwareKey};
use custom_key_store::backend::{
    AccessKeyId, Backend as _, BackingKeyId, ConnectReason, ConnectRequest, Connection, KeyStatus, KeyUsages,
    SecretAccessKey, UriPath, XksProxyCredential,
};
use custom_key_store::clock::ManualClock;
use custom_key_store::xks::Region;
use custom_key_store::xks::proxy::{
    Drained, KeyGrant, Proxy, ProxyBuilder, ServeOptions, ServerHandle, Tenant, TenantBuilder, serve,
};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::timeout;

pub(crate) const PATH: &str = "/example/uri/path/prefix/kms/xks/v1";
pub(crate) const OTHER_PATH: &str = "/other/kms/xks/v1";
pub(crate) const ID: &str = "XKSTESTVECTOR234567ABCDE";
pub(crate) const SECRET: &str = "5/E2yj4NPGpDj2kcGSxJjB6BT7b+OavVy/keR7nqJS0=";
pub(crate) const OTHER_ID: &str = "XKSOTHERTENANT2222222222";
pub(crate) const OTHER_SECRET: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
pub(crate) const DATE: &str = "20260115T123456Z";
/// `DATE`, in seconds since 1970.
pub(crate) const NOW: u64 = 1_768_480_496;
pub(crate) const KEY: &str = "ext-key_01.v2";
/// No wait of a test is longer; none of them is meant to come near.
pub(crate) const LONG: Duration = Duration::from_secs(20);

pub(crate) fn key_id(id: &str) -> BackingKeyId {
    BackingKeyId::new(id).unwrap()
}

pub(crate) fn credential(id: &str, secret: &str) -> XksProxyCredential {
    XksProxyCredential::new(AccessKeyId::new(id).unwrap(), SecretAccessKey::new(secret).unwrap())
}

pub(crate) fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

pub(crate) fn unbase64(value: &Value) -> Vec<u8> {
    STANDARD.decode(value.as_str().unwrap()).unwrap()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn sha256(bytes: &[u8]) -> Vec<u8> {
    digest::digest(&digest::SHA256, bytes).as_ref().to_vec()
}

/// One request, before it is signed. Whatever is public may be made wrong.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) method: &'static str,
    pub(crate) path: String,
    pub(crate) host: String,
    pub(crate) date: String,
    pub(crate) id: String,
    pub(crate) secret: String,
    pub(crate) region: String,
    pub(crate) service: String,
    /// Signed besides host and date.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Call {
    pub(crate) fn new(operation: &str, body: &Value) -> Self {
        Self {
            method: "POST",
            path: format!("{PATH}/{operation}"),
            host: "xks.example.com".into(),
            date: DATE.into(),
            id: ID.into(),
            secret: SECRET.into(),
            region: "us-east-2".into(),
            service: "kms-xks-proxy".into(),
            headers: vec![("content-type".into(), "application/json".into())],
            body: body.to_string().into_bytes(),
        }
    }

    pub(crate) fn on_key(operation: &str, key: &str, body: &Value) -> Self {
        Self::new(&format!("keys/{key}/{operation}"), body)
    }

    pub(crate) fn of_the_other(mut self) -> Self {
        self.path = self.path.replace(PATH, OTHER_PATH);
        (self.id, self.secret) = (OTHER_ID.into(), OTHER_SECRET.into());
        self
    }

    pub(crate) fn signed_headers(&self) -> Vec<(String, String)> {
        let mut headers = self.headers.clone();
        headers.push(("host".into(), self.host.clone()));
        headers.push(("x-amz-date".into(), self.date.clone()));
        headers.sort();
        headers
    }

    /// AWS signature version 4 by the book, apart from the crate's own.
    pub(crate) fn signature(&self) -> String {
        let headers = self.signed_headers();
        let canonical: String = headers.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
        let request = [self.method, &self.path, "", &canonical, &self.names(), &hex(&sha256(&self.body))];
        let day = &self.date[..8];
        let scope = format!("{day}/{}/{}/aws4_request", self.region, self.service);
        let text = ["AWS4-HMAC-SHA256", &self.date, &scope, &hex(&sha256(request.join("\n").as_bytes()))];
        let mut key = format!("AWS4{}", self.secret).into_bytes();
        for part in [day, &self.region, &self.service, "aws4_request", &text.join("\n")] {
            key = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key), part.as_bytes()).as_ref().to_vec();
        }
        hex(&key)
    }

    fn names(&self) -> String {
        let names: Vec<_> = self.signed_headers().into_iter().map(|(name, _)| name).collect();
        names.join(";")
    }

    pub(crate) fn authorization(&self) -> String {
        format!(
            "AWS4-HMAC-SHA256 Credential={}/{}/{}/{}/aws4_request, SignedHeaders={}, Signature={}",
            self.id,
            &self.date[..8],
            self.region,
            self.service,
            self.names(),
            self.signature()
        )
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.bytes_with(&format!("authorization: {}\r\n", self.authorization()))
    }

    /// With these lines in place of the authorization.
    pub(crate) fn bytes_with(&self, lines: &str) -> Vec<u8> {
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method, self.path);
        for (name, value) in self.signed_headers() {
            head += &format!("{name}: {value}\r\n");
        }
        head += lines;
        head += &format!("content-length: {}\r\n\r\n", self.body.len());
        [head.as_bytes(), &self.body].concat()
    }
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("{self:?}"))
    }

    /// Status and error name, after what holds for every error (XKS-P-110, XKS-P-111, XKS-P-112).
    pub(crate) fn error(&self) -> (u16, String) {
        let json = self.json();
        assert!(self.head.contains("content-type: application/json"), "{self:?}");
        if let Some(message) = json.get("errorMessage") {
            let message = message.as_str().unwrap();
            assert!(message.len() < 512 && message.bytes().all(|byte| (0x20..=0x7e).contains(&byte)));
        }
        (self.status, json["errorName"].as_str().unwrap_or_else(|| panic!("{self:?}")).to_owned())
    }

    #[track_caller]
    pub(crate) fn is_error(&self, status: u16, name: &str) {
        assert_eq!(self.error(), (status, name.to_owned()), "{}", String::from_utf8_lossy(&self.body));
    }

    #[track_caller]
    pub(crate) fn ok(&self) -> Value {
        assert_eq!(self.status, 200, "{}", String::from_utf8_lossy(&self.body));
        assert!(self.head.contains("content-type: application/json"));
        self.json()
    }
}

/// One connection that speaks HTTP/1.1 and nothing else.
pub(crate) struct Client<S = TcpStream>(pub(crate) S);

impl Client {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        Self(TcpStream::connect(address).await.unwrap())
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    pub(crate) async fn send(&mut self, call: &Call) -> Reply {
        self.send_bytes(&call.bytes()).await
    }

    pub(crate) async fn send_bytes(&mut self, bytes: &[u8]) -> Reply {
        self.0.write_all(bytes).await.unwrap();
        self.receive().await
    }

    pub(crate) async fn receive(&mut self) -> Reply {
        timeout(LONG, self.receive_late()).await.unwrap()
    }

    async fn receive_late(&mut self) -> Reply {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(self.0.read_u8().await.unwrap());
        }
        let head = String::from_utf8(head).unwrap().to_lowercase();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let length = head.split("content-length: ").nth(1).map_or("0", |rest| rest.lines().next().unwrap());
        let mut body = vec![0; length.parse().unwrap()];
        self.0.read_exact(&mut body).await.unwrap();
        Reply { status, head, body }
    }

    /// Waits until the other side closes; what it sends before that is ignored.
    pub(crate) async fn closed(&mut self) {
        let mut rest = [0; 1024];
        timeout(LONG, async { while self.0.read(&mut rest).await.is_ok_and(|read| read > 0) {} })
            .await
            .unwrap();
    }
}

/// A proxy on a port of its own, with two tenants on one software key manager.
pub(crate) struct Rig {
    pub(crate) address: SocketAddr,
    pub(crate) manager: KeyManager,
    pub(crate) clock: ManualClock,
    pub(crate) tenant: Tenant,
    pub(crate) proxy: Proxy,
    pub(crate) handle: ServerHandle,
    pub(crate) serving: JoinHandle<Drained>,
}

impl Rig {
    pub(crate) async fn new() -> Self {
        Self::with(|tenant| tenant, |proxy| proxy, ServeOptions::plain_http()).await
    }

    pub(crate) async fn with_tenant(change: impl FnOnce(TenantBuilder) -> TenantBuilder) -> Self {
        Self::with(change, |proxy| proxy, ServeOptions::plain_http()).await
    }

    pub(crate) async fn with_options(options: ServeOptions) -> Self {
        Self::with(|tenant| tenant, |proxy| proxy, options).await
    }

    pub(crate) async fn with(
        tenant: impl FnOnce(TenantBuilder) -> TenantBuilder,
        proxy: impl FnOnce(ProxyBuilder) -> ProxyBuilder,
        options: ServeOptions,
    ) -> Self {
        let clock = ManualClock::starting_at(SystemTime::UNIX_EPOCH + Duration::from_secs(NOW));
        let manager = manager(&clock);
        let main = builder(PATH, connection(&manager).await).credential(credential(ID, SECRET));
        let main = tenant(keys(main)).build().unwrap();
        let other = builder(OTHER_PATH, connection(&manager).await);
        let other = other.credential(credential(OTHER_ID, OTHER_SECRET));
        let other = other.key(key_id("other"), KeyGrant::new(key_id("in-other"))).build().unwrap();
        let built = Proxy::builder().clock(clock.clone()).tenant(main.clone()).tenant(other);
        let proxy = proxy(built).build().unwrap();

        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (serving, handle) = serve(listener, proxy.clone(), options);
        let serving = tokio::spawn(serving);
        Self { address, manager, clock, tenant: main, proxy, handle, serving }
    }

    pub(crate) async fn client(&self) -> Client {
        Client::connect(self.address).await
    }

    /// One that comes from this address.
    pub(crate) async fn client_from(&self, address: &str) -> Client {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(address.parse().unwrap()).unwrap();
        Client(socket.connect(self.address).await.unwrap())
    }

    /// Sends one request on a connection of its own.
    pub(crate) async fn send(&self, call: &Call) -> Reply {
        self.client().await.send(call).await
    }
}

pub(crate) async fn connection(manager: &KeyManager) -> Arc<dyn Connection> {
    let connect = ConnectRequest::new(ConnectReason::Connect, Duration::from_secs(5));
    manager.connect(&connect).await.unwrap()
}

pub(crate) fn builder(path: &str, connection: Arc<dyn Connection>) -> TenantBuilder {
    Tenant::builder(UriPath::new(path).unwrap(), connection)
        .region(Region::new("us-east-2").unwrap())
        .health_key(key_id("probe"))
}

fn manager(clock: &ManualClock) -> KeyManager {
    let manager = KeyManager::builder().clock(clock.clone()).build();
    for id in ["in-key", "in-other", "probe", "unlisted"] {
        manager.create_key(key_id(id));
    }
    for (id, usages) in
        [("in-enc", KeyUsages::ENCRYPT), ("in-dec", KeyUsages::DECRYPT), ("in-none", KeyUsages::NONE)]
    {
        manager.insert_key(key_id(id), SoftwareKey::generate().usages(usages));
    }
    manager.insert_key(key_id("in-disabled"), SoftwareKey::generate().status(KeyStatus::Disabled));
    let vector: [u8; 32] = std::array::from_fn(|index| u8::try_from(index).unwrap());
    manager.insert_key(key_id("in-vector"), SoftwareKey::from_bytes(&vector));
    manager
}

fn keys(tenant: TenantBuilder) -> TenantBuilder {
    ["enc", "dec", "none", "disabled", "vector", "gone"]
        .into_iter()
        .fold(tenant.key(key_id(KEY), KeyGrant::new(key_id("in-key"))), |tenant, id| {
            tenant.key(key_id(id), KeyGrant::new(key_id(&format!("in-{id}"))))
        })
}

pub(crate) fn metadata(operation: &str) -> Value {
    json!({
        "awsPrincipalArn": "arn:aws:iam::111122223333:role/XksVector",
        "kmsKeyArn": "arn:aws:kms:us-east-2:111122223333:key/0f0e0d0c",
        "kmsOperation": operation,
        "kmsRequestId": "request-0001",
    })
}

pub(crate) fn describe_body() -> Value {
    json!({ "requestMetadata": metadata("CreateKey") })
}

pub(crate) fn health_body() -> Value {
    json!({ "requestMetadata": { "kmsRequestId": "health-0001", "kmsOperation": "KmsHealthCheck" } })
}

pub(crate) fn encrypt_body(plaintext: &[u8], aad: Option<&[u8]>) -> Value {
    let mut body = json!({
        "requestMetadata": metadata("Encrypt"),
        "plaintext": base64(plaintext),
        "encryptionAlgorithm": "AES_GCM",
    });
    if let Some(aad) = aad {
        body["additionalAuthenticatedData"] = base64(aad).into();
    }
    body
}

pub(crate) fn verified(mut body: Value) -> Value {
    body["ciphertextDataIntegrityValueAlgorithm"] = "SHA_256".into();
    body
}

/// Asks for what an encryption gave to be decrypted.
pub(crate) fn decrypt_body(encrypted: &Value, aad: Option<&[u8]>) -> Value {
    let mut body = json!({ "requestMetadata": metadata("Decrypt"), "encryptionAlgorithm": "AES_GCM" });
    for member in ["ciphertext", "initializationVector", "authenticationTag", "ciphertextMetadata"] {
        if let Some(value) = encrypted.get(member) {
            body[member] = value.clone();
        }
    }
    if let Some(aad) = aad {
        body["additionalAuthenticatedData"] = base64(aad).into();
    }
    body
}

/// Waits for a condition, giving way to everybody else.
pub(crate) async fn until(mut condition: impl FnMut() -> bool) {
    let wait = async {
        while !condition() {
            tokio::task::yield_now().await;
        }
    };
    timeout(LONG, wait).await.unwrap();
}

pub(crate) fn vectors() -> Value {
    serde_json::from_str(include_str!("../../data/xks-vectors.json")).unwrap()
}
