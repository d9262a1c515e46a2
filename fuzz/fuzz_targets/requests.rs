//! Requests from outside: the proxy answers every one, whatever its path, `Authorization` header and body are. One that
//! was not signed with the secret never succeeds, and none makes the proxy fail.
//!
//! The first byte chooses what the rest is: a path, a header and a body (parted by a NUL), or a body that is signed
//! here, so that the parsers behind the signature are reached too.
#![no_main]

use std::sync::LazyLock;
use std::time::{Duration, SystemTime};

use aws_lc_rs::{digest, hmac};
use bytes::Bytes;
use custom_key_store::backend::software::KeyManager;
use custom_key_store::backend::{
    AccessKeyId, Backend as _, BackingKeyId, ConnectReason, ConnectRequest, SecretAccessKey, UriPath,
    XksProxyCredential,
};
use custom_key_store::clock::ManualClock;
use custom_key_store::xks::Region;
use custom_key_store::xks::proxy::{KeyGrant, Proxy, Tenant};
use http::{HeaderValue, Request, StatusCode, Uri};
use http_body_util::Full;
use libfuzzer_sys::{Corpus, fuzz_target};
use tokio::runtime::{Builder, Runtime};
use tower_service::Service as _;

const ID: &str = "ABCDEFGHIJKLMNOPQRSTUVWX";
const SECRET: &str = "fuzzing+fuzzing+fuzzing+fuzzing+fuzzing+fuzzing";
/// The proxy's clock stands still here.
const DATE: &str = "20260101T000000Z";
const SECONDS: u64 = 1_767_225_600;
const SCOPE: &str = "20260101/us-east-1/kms-xks-proxy/aws4_request";
const PATHS: [&str; 4] = [
    "/kms/xks/v1/health",
    "/kms/xks/v1/keys/usable/metadata",
    "/kms/xks/v1/keys/usable/encrypt",
    "/kms/xks/v1/keys/usable/decrypt",
];

static WORLD: LazyLock<(Runtime, Proxy)> = LazyLock::new(|| {
    let runtime = Builder::new_current_thread().enable_time().build().expect("a runtime");
    let proxy = runtime.block_on(proxy()).expect("a proxy");
    (runtime, proxy)
});

async fn proxy() -> Result<Proxy, Box<dyn std::error::Error>> {
    let (manager, key) = (KeyManager::new(), BackingKeyId::new("usable")?);
    manager.create_key(key.clone());
    let request = ConnectRequest::new(ConnectReason::Connect, Duration::from_secs(5));
    let credential = XksProxyCredential::new(AccessKeyId::new(ID)?, SecretAccessKey::new(SECRET)?);
    let tenant = Tenant::builder(UriPath::new("/kms/xks/v1")?, manager.connect(&request).await?)
        .region(Region::new("us-east-1")?)
        .credential(credential)
        .key(key.clone(), KeyGrant::new(key.clone()))
        .health_key(key)
        .build()?;
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(SECONDS);
    Ok(Proxy::builder().tenant(tenant).clock(ManualClock::starting_at(now)).build()?)
}

fuzz_target!(|data: &[u8]| -> Corpus {
    let Some((choice, rest)) = data.split_first() else { return Corpus::Reject };
    let known = Uri::from_static(PATHS[usize::from(choice % 4)]);
    let nothing: &[u8] = b"";
    let (header, body) = match rest.iter().position(|byte| *byte == 0) {
        Some(end) => (&rest[..end], &rest[end + 1..]),
        None => (rest, nothing),
    };
    let (signed, uri, authorization, body) = match choice / 4 % 3 {
        0 => (true, known.clone(), HeaderValue::try_from(sign(known.path(), rest)).ok(), rest),
        1 => (false, known, HeaderValue::from_bytes(header).ok(), body),
        _ => match Uri::try_from(header) {
            Ok(uri) => (false, uri, None, body),
            Err(_) => return Corpus::Reject,
        },
    };
    let Some(authorization) = authorization.or_else(|| (!signed).then(|| HeaderValue::from_static("none")))
    else {
        return Corpus::Reject;
    };
    let request = Request::post(uri)
        .header("host", "proxy.example.com")
        .header("x-amz-date", DATE)
        .header("authorization", authorization)
        .body(Full::new(Bytes::copy_from_slice(body)))
        .expect("a request");
    let is_ping = request.uri().path() == "/ping";
    let (runtime, proxy) = &*WORLD;
    let Ok(answer) = runtime.block_on(async { proxy.clone().call(request).await });
    let status = answer.status();
    assert_ne!(status, StatusCode::INTERNAL_SERVER_ERROR);
    if signed {
        assert_ne!(status, StatusCode::UNAUTHORIZED);
    } else {
        assert!(!status.is_success() || is_ping);
    }
    Corpus::Keep
});

fn sign(path: &str, body: &[u8]) -> String {
    let hash = |bytes: &[u8]| hex(digest::digest(&digest::SHA256, bytes).as_ref());
    let mac = |key: &[u8], text: &[u8]| hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text);
    let key = SCOPE
        .split('/')
        .fold(format!("AWS4{SECRET}").into_bytes(), |key, part| mac(&key, part.as_bytes()).as_ref().to_vec());
    let canonical = format!(
        "POST\n{path}\n\nhost:proxy.example.com\nx-amz-date:{DATE}\n\nhost;x-amz-date\n{}",
        hash(body)
    );
    let text = format!("AWS4-HMAC-SHA256\n{DATE}\n{SCOPE}\n{}", hash(canonical.as_bytes()));
    let signature = hex(mac(&key, text.as_bytes()).as_ref());
    format!("AWS4-HMAC-SHA256 Credential={ID}/{SCOPE}, SignedHeaders=host;x-amz-date, Signature={signature}")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
