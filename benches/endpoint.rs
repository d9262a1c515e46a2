//! The KMS endpoint over loopback: what it adds to hyper's server that answers with a constant, with a software key manager
//! behind it and with a real proxy.
//!
//! The servers have a thread of their own, whose computing time is measured, and the load another.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use aws_lc_rs::{digest, hmac};
use bytes::Bytes;
use custom_key_store::api::{
    CallerCredential, CallerKeyId, CallerSecret, Callers, KmsApi, Principal, ServeOptions, serve,
};
use custom_key_store::backend::software::KeyManager;
use custom_key_store::backend::{AccountId, BackingKeyId, UriEndpoint, UriPath, XksProxyCredential};
use custom_key_store::catalog::Ledger;
use custom_key_store::kms::{BackendMap, CreateCustomKeyStore, ExternalProxies, Kms};
use custom_key_store::xks::XksProxy;
use custom_key_store::{ConnectionState, Identity, NewKey, Partition, Region, StoreName};
use custom_key_store_benches::loopback::{
    Elsewhere, Exchange, Failure, HOST, IN_FLIGHT, KEY, Row, Tls, Wire, always, lanes, proxy, take_turns,
};
use jiff::Timestamp;
use tokio::net::TcpListener;
use tokio::runtime::Builder;

const ACCESS_KEY_ID: &str = "AKIAIOSFODNN7EXAMPLE";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
const REGION: &str = "us-east-1";

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn sign(key: &[u8], text: &str) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes()).as_ref().to_vec()
}

/// A request as an SDK sends it; its signature holds for five minutes.
fn signed(operation: &str, body: String) -> Result<Exchange, Failure> {
    let target = format!("TrentService.{operation}");
    let now = Timestamp::try_from(SystemTime::now())?;
    let (date, day) = (now.strftime("%Y%m%dT%H%M%SZ").to_string(), now.strftime("%Y%m%d").to_string());
    let names = "content-type;host;x-amz-date;x-amz-target";
    let hash = |bytes: &[u8]| hex(digest::digest(&digest::SHA256, bytes).as_ref());
    let canonical = format!(
        "POST\n/\n\ncontent-type:application/x-amz-json-1.1\nhost:{HOST}\nx-amz-date:{date}\nx-amz-target:{target}\n\n{names}\n{}",
        hash(body.as_bytes())
    );
    let scope = format!("{day}/{REGION}/kms/aws4_request");
    let text = format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{}", hash(canonical.as_bytes()));
    let key = [day.as_str(), REGION, "kms", "aws4_request"]
        .into_iter()
        .fold(format!("AWS4{SECRET}").into_bytes(), |key, part| sign(&key, part));
    let signature = hex(&sign(&key, &text));
    let mut headers = http::HeaderMap::new();
    let authorization = format!(
        "AWS4-HMAC-SHA256 Credential={ACCESS_KEY_ID}/{scope}, SignedHeaders={names}, Signature={signature}"
    );
    for (name, value) in [
        ("content-type", "application/x-amz-json-1.1"),
        ("host", HOST),
        ("x-amz-date", &date),
        ("x-amz-target", &target),
        ("authorization", &authorization),
    ] {
        headers.insert(http::HeaderName::from_static(name), value.parse()?);
    }
    Ok(Exchange { uri: "/".parse()?, headers, body: body.into(), answer: Bytes::new() })
}

/// A served endpoint, and a key of a connected store.
async fn endpoint(
    backends: BackendMap,
    credential: XksProxyCredential,
) -> Result<(SocketAddr, String), Failure> {
    let account = AccountId::new("111122223333")?;
    let ledger = Ledger::ephemeral(Identity::new(Partition::new("aws")?, Region::new(REGION)?, account));
    let (kms, driver) = Kms::builder(ledger, backends).without_quota().open().await?;
    tokio::spawn(driver);
    let create = CreateCustomKeyStore::external(
        StoreName::new("bench")?,
        UriEndpoint::new(format!("https://{HOST}"))?,
        UriPath::new("/bench/kms/xks/v1")?,
        credential,
    );
    let store = kms.create_custom_key_store(create).await?;
    kms.connect_custom_key_store(&store).await?;
    while kms.describe_custom_key_store(&store).await?.connection_state != ConnectionState::Connected {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let key = kms.create_key(&store, &NewKey::external(BackingKeyId::new(KEY)?)).await?.arn;
    let callers = Callers::new();
    let principal = Principal::new("arn:aws:iam::111122223333:role/bench")?;
    let caller = CallerCredential::new(&CallerSecret::new(SECRET)?, &principal);
    callers.add(CallerKeyId::new(ACCESS_KEY_ID)?, caller)?;
    let api = KmsApi::builder(kms, callers).build()?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    // Without its handle it serves until the runtime ends.
    // Each row has connections of its own.
    let options = ServeOptions::plain_http().max_connections_per_peer(1024);
    let (serving, _) = serve(listener, api, options);
    tokio::spawn(serving);
    Ok((address, key.to_string()))
}

async fn compare(server: &Elsewhere, in_flight: usize) -> Result<(), Failure> {
    let tls = Tls::new()?;
    let (wire, acceptor) = (Wire::Plain, tls.acceptor(Wire::Plain)?);
    let software = KeyManager::new();
    software.create_key(BackingKeyId::new(KEY)?);
    let credential = XksProxyCredential::generate()?;
    let made = endpoint(BackendMap::new().software(software), credential.clone());
    let (in_software, key) = server.run(made).await?;

    // The proxy is on the load's thread, so that the endpoint alone is measured.
    let at = proxy(&credential, tls.options(Wire::Tls)?).await?;
    let settings = XksProxy::builder().region(Region::new(REGION)?).trust_roots(tls.roots()?);
    let proxies = ExternalProxies::new(settings).connect_to(HOST, at);
    let made = endpoint(BackendMap::new().external(proxies), credential);
    let (proxied, proxied_key) = server.run(made).await?;

    let plaintext = "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=";
    let context = r#""EncryptionContext":{"tenant":"blue"}"#;
    let encrypt =
        |key: &str| signed("Encrypt", format!(r#"{{"KeyId":"{key}","Plaintext":"{plaintext}",{context}}}"#));
    let data_key = |key: &str| {
        signed("GenerateDataKey", format!(r#"{{"KeyId":"{key}","KeySpec":"AES_256",{context}}}"#))
    };
    let encrypted = async |address, request: Exchange| -> Result<Exchange, Failure> {
        let mut lane = lanes(1, address, wire, &tls).await?.pop().ok_or("no lane")?;
        let answer = lane.exchange(request.request()).await?;
        let text = str::from_utf8(&answer)?;
        let blob = text.split("\"CiphertextBlob\":\"").nth(1).and_then(|rest| rest.split('"').next());
        let blob = blob.ok_or("the answer has no ciphertext")?;
        let decrypt = signed("Decrypt", format!(r#"{{"CiphertextBlob":"{blob}",{context}}}"#))?;
        Ok(Exchange { answer, ..decrypt })
    };
    let decrypt = encrypted(in_software, encrypt(&key)?).await?;
    let proxied_decrypt = encrypted(proxied, encrypt(&proxied_key)?).await?;
    let (health, answer) = (Bytes::new(), decrypt.answer.clone());
    let constant = server.run(async move { always((health, answer), wire, acceptor).await }).await?;

    let mut rows = Vec::new();
    for (name, address, exchange) in [
        ("hyper", constant, encrypt(&key)?),
        ("Encrypt 32 B, software", in_software, encrypt(&key)?),
        ("Decrypt, software", in_software, decrypt),
        ("GenerateDataKey, software", in_software, data_key(&key)?),
        ("Encrypt 32 B, proxy", proxied, encrypt(&proxied_key)?),
        ("Decrypt, proxy", proxied, proxied_decrypt),
        ("GenerateDataKey, proxy", proxied, data_key(&proxied_key)?),
    ] {
        rows.push(Row::new(name, lanes(in_flight, address, wire, &tls).await?, exchange));
    }
    take_turns(server, &format!("endpoint, {wire}, {in_flight} in flight"), rows).await
}

fn main() -> Result<(), Failure> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let server = Elsewhere::start()?;
    for in_flight in IN_FLIGHT {
        runtime.block_on(compare(&server, in_flight))?;
    }
    Ok(())
}
