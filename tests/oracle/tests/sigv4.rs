//! SigV4 beside AWS's own crate: what that signs the proxy accepts, and what the client sends that signs alike.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PercentEncodingMode, SignableBody, SignableRequest, SigningSettings, UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4;
use custom_key_store::backend::software::KeyManager;
use custom_key_store::backend::{
    Backend as _, BackingKeyId, ConnectReason, ConnectRequest, Connection, EncryptRequest, Operation,
    RequestId, RequestMetadata, UriEndpoint, UriPath, XksProxyCredential,
};
use custom_key_store::clock::ManualClock;
use custom_key_store::xks::proxy::{KeyGrant, Proxy, Tenant};
use custom_key_store::xks::{Region, XksProxy};
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt as _;
use http_body_util::Full;
use proptest::prelude::*;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tower_service::Service as _;

const HOST: &str = "xks.example.com";

/// The headers that AWS's crate adds to a POST of this body with these headers.
fn signed(
    credential: &XksProxyCredential,
    region: &str,
    time: SystemTime,
    path: &str,
    headers: &[(String, String)],
    body: &[u8],
) -> HeaderMap {
    let secret = String::from_utf8(credential.secret_access_key.expose().to_vec()).unwrap();
    let identity = Credentials::new(credential.access_key_id.as_str(), secret, None, None, "oracle").into();
    let mut settings = SigningSettings::default();
    settings.percent_encoding_mode = PercentEncodingMode::Single;
    settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
    let parameters = v4::SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name("kms-xks-proxy")
        .time(time)
        .settings(settings)
        .build()
        .unwrap()
        .into();
    let uri = format!("https://{HOST}{path}");
    let names = headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let signable = SignableRequest::new("POST", &uri, names, SignableBody::Bytes(body)).unwrap();
    let mut request = Request::builder().method("POST").uri(&uri).body(()).unwrap();
    sign(signable, &parameters).unwrap().into_parts().0.apply_to_request_http1x(&mut request);
    request.headers().clone()
}

async fn answer(proxy: &mut Proxy, path: &str, headers: &HeaderMap, body: Vec<u8>) -> StatusCode {
    let mut request =
        Request::builder().method("POST").uri(path).body(Full::new(std::io::Cursor::new(body))).unwrap();
    *request.headers_mut() = headers.clone();
    request.headers_mut().insert("host", HOST.parse().unwrap());
    let response = proxy.call(request).await.unwrap();
    let status = response.status();
    response.into_body().collect().await.unwrap();
    status
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// XKS-P-120, XKS-P-135, XKS-P-140
    #[test]
    fn the_proxy_accepts_what_aws_s_crate_signs_and_nothing_that_was_changed_since(
        prefix in "(/[a-zA-Z0-9_-]{1,20}){0,3}",
        key in "[a-zA-Z0-9_-]{1,40}",
        region in "[a-z]{2}-[a-z]{4,9}-[1-9]",
        extra in prop::collection::btree_map("x-[a-z]{1,12}", "[!-~]([ -~]{0,30}[!-~])?", 0..4),
        request_id in "[a-zA-Z0-9 -]{1,30}",
        flip in any::<prop::sample::Index>(),
    ) {
        runtime().block_on(async {
            let manager = KeyManager::new();
            let id = BackingKeyId::new("key").unwrap();
            manager.create_key(id.clone());
            let connect = ConnectRequest::new(ConnectReason::Connect, Duration::from_secs(5));
            let base = format!("{prefix}/kms/xks/v1");
            let credential = XksProxyCredential::generate().unwrap();
            let tenant = Tenant::builder(UriPath::new(&base).unwrap(), manager.connect(&connect).await.unwrap())
                .region(Region::new(&region).unwrap())
                .credential(credential.clone())
                .key(BackingKeyId::new(&key).unwrap(), KeyGrant::new(id.clone()))
                .health_key(id)
                .build()
                .unwrap();
            let mut proxy = Proxy::builder().tenant(tenant).build().unwrap();

            let path = format!("{base}/keys/{key}/metadata");
            let body = format!(
                r#"{{"requestMetadata":{{"awsPrincipalArn":"oracle","kmsOperation":"CreateKey","kmsRequestId":"{request_id}"}}}}"#
            )
            .into_bytes();
            let mut headers: Vec<(String, String)> = extra.into_iter().collect();
            headers.push(("content-type".into(), "application/json".into()));
            let mut all = signed(&credential, &region, SystemTime::now(), &path, &headers, &body);
            for (name, value) in &headers {
                all.insert(http::HeaderName::try_from(name).unwrap(), value.parse().unwrap());
            }
            prop_assert_eq!(answer(&mut proxy, &path, &all, body.clone()).await, StatusCode::OK);

            let mut changed = body.clone();
            let place = flip.index(changed.len());
            changed[place] ^= 1;
            prop_assert_eq!(answer(&mut proxy, &path, &all, changed).await, StatusCode::UNAUTHORIZED);
            let mut other = all.clone();
            other.insert("content-type", "text/plain".parse().unwrap());
            prop_assert_eq!(answer(&mut proxy, &path, &other, body).await, StatusCode::UNAUTHORIZED);
            Ok(())
        })?;
    }

    /// XKS-C-21 to XKS-C-25, XKS-C-27
    #[test]
    fn the_client_signs_as_aws_s_crate_does(
        prefix in "(/[a-zA-Z0-9_-]{1,20}){0,3}",
        key in "[a-zA-Z0-9._-]{1,40}".prop_filter("no path trick", |key| !matches!(key.as_str(), "." | "..")),
        region in "[a-z]{2}-[a-z]{4,9}-[1-9]",
        seconds in 0_u64..4_102_444_800,
        plaintext in prop::collection::vec(any::<u8>(), 1..200),
        aad in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        runtime().block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let server = tokio::spawn(two_requests(listener));

            let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
            let credential = XksProxyCredential::generate().unwrap();
            let base = format!("{prefix}/kms/xks/v1");
            let connection = connected(address, &base, &region, &credential, time).await;
            let (operation, id) = (Operation::ENCRYPT, RequestId::generate());
            let metadata = RequestMetadata::new("oracle", &operation, &id);
            let backing = BackingKeyId::new(&key).unwrap();
            let request = EncryptRequest::new(metadata, &backing, &plaintext).with_aad(&aad);
            // The answer is an error: what matters is what was sent.
            prop_assert!(connection.encrypt(&request).await.is_err());
            drop(connection);

            let received = server.await.unwrap();
            let paths = [format!("{base}/health"), format!("{base}/keys/{key}/encrypt")];
            for ((path, headers, body), expected) in received.iter().zip(paths) {
                prop_assert_eq!(path, &expected);
                let ours = headers.get("authorization").unwrap();
                let theirs = signed(&credential, &region, time, path, &[], body);
                prop_assert_eq!(ours, theirs.get("authorization").unwrap());
                prop_assert_eq!(headers.get("x-amz-date"), theirs.get("x-amz-date"));
            }
            Ok(())
        })?;
    }
}

async fn connected(
    address: SocketAddr,
    path: &str,
    region: &str,
    credential: &XksProxyCredential,
    time: SystemTime,
) -> std::sync::Arc<dyn Connection> {
    let proxy = XksProxy::builder()
        .endpoint(UriEndpoint::new(format!("https://{HOST}")).unwrap())
        .path(UriPath::new(path).unwrap())
        .region(Region::new(region).unwrap())
        .credential(credential.clone())
        .clock(ManualClock::starting_at(time))
        .dangerous_plain_http_on_loopback(address)
        .build()
        .unwrap();
    proxy.connect(&ConnectRequest::new(ConnectReason::Connect, Duration::from_secs(5))).await.unwrap()
}

type Received = (String, HeaderMap, Vec<u8>);

/// Answers a health request, and refuses the next one.
async fn two_requests(listener: TcpListener) -> Vec<Received> {
    const HEALTH: &str = r#"{"xksProxyFleetSize":1,"xksProxyVendor":"v","xksProxyModel":"m","ekmVendor":"e","ekmFleetDetails":[{"id":"1","model":"m","healthStatus":"ACTIVE"}]}"#;
    const REFUSAL: &str = r#"{"errorName":"KeyNotFoundException"}"#;
    let mut received = Vec::new();
    let mut answers = [("200 OK", HEALTH), ("404 Not Found", REFUSAL)].into_iter();
    while received.len() < 2 {
        let (stream, _) = listener.accept().await.unwrap();
        let mut stream = BufReader::new(stream);
        while received.len() < 2 {
            let Some(request) = read(&mut stream).await else { break };
            received.push(request);
            let (status, body) = answers.next().unwrap();
            let length = body.len();
            let answer = format!(
                "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
            );
            stream.get_mut().write_all(answer.as_bytes()).await.unwrap();
        }
    }
    received
}

async fn read(stream: &mut BufReader<TcpStream>) -> Option<Received> {
    let mut line = String::new();
    stream.read_line(&mut line).await.unwrap();
    let path = line.split(' ').nth(1)?.to_owned();
    let mut headers = HeaderMap::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await.unwrap();
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        headers.append(http::HeaderName::try_from(name).unwrap(), value.parse().unwrap());
    }
    let length = headers.get("content-length").unwrap().to_str().unwrap().parse().unwrap();
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.unwrap();
    Some((path, headers, body))
}
