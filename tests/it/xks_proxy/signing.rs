//! Signatures: XKS-P-120 and XKS-P-130 to XKS-P-142.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::json;

use super::support::{
    Call, DATE, ID, KEY, NOW, PATH, Rig, SECRET, credential, describe_body, encrypt_body, health_body,
    vectors,
};

fn vector_call(name: &str) -> Call {
    let vectors = vectors();
    let all = vectors["sigv4"].as_array().unwrap();
    let vector = all.iter().find(|vector| vector["name"] == name).unwrap();
    let text = |member: &str| vector[member].as_str().unwrap().to_owned();
    let mut call = Call::new("", &json!({}));
    call.path = text("canonical_uri");
    call.host = vector["headers"]["host"].as_str().unwrap().to_owned();
    call.date = text("x_amz_date");
    call.body = text("body_utf8").into_bytes();
    call.headers.retain(|_| vector["headers"].get("content-type").is_some());
    assert_eq!(call.signature(), vector["signature"].as_str().unwrap(), "the test's own signer is wrong");
    call
}

/// XKS-P-120, XKS-P-135: what botocore signs is accepted, byte for byte.
#[tokio::test]
async fn the_vector_is_accepted() {
    let rig = Rig::new().await;
    let call = vector_call("sigv4-http11-host-xamzdate");
    assert!(call.authorization().contains("SignedHeaders=host;x-amz-date, "));
    let reply = rig.send(&call).await;
    assert!(reply.ok().get("ciphertextDataIntegrityValue").is_some());
}

/// XKS-P-140: AWS's test client signs the content type too; the port is part of the host's value.
#[tokio::test]
async fn more_signed_headers_are_accepted() {
    let rig = Rig::new().await;
    let mut call = vector_call("sigv4-contenttype-signed-nondefault-port");
    call.path = format!("{PATH}/health");
    rig.clock.set_wall(std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(NOW + 11 * 3600 + 25 * 60));
    assert!(call.authorization().contains("content-type;host;x-amz-date"));
    rig.send(&call).await.ok();

    rig.clock.set_wall(std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(NOW));
    let mut call = Call::new("health", &health_body());
    call.headers.push(("x-custom".into(), "a b".into()));
    rig.send(&call).await.ok();
}

/// XKS-P-141: spaces and the order of the parts do not count; neither does case of a header's name.
#[tokio::test]
async fn odd_spacing_is_accepted() {
    let rig = Rig::new().await;
    let mut client = rig.client().await;
    let call = Call::on_key("metadata", KEY, &describe_body());
    let line = call.authorization();
    let (start, parts) = line.split_once(' ').unwrap();
    let parts: Vec<_> = parts.split(", ").collect();
    for line in [
        format!("authorization: {start} {},{},{}\r\n", parts[0], parts[1], parts[2]),
        format!("Authorization:{start}   {} ,\t{}  ,  {}  \r\n", parts[2], parts[0], parts[1]),
        format!("AUTHORIZATION:  {start} {},{}, {}\r\n", parts[1], parts[2], parts[0]),
    ] {
        client.send_bytes(&call.bytes_with(&line)).await.ok();
    }
}

/// XKS-P-136, XKS-P-137: exactly five minutes are accepted, either way.
#[tokio::test]
async fn the_clock_counts() {
    let rig = Rig::new().await;
    let call = vector_call("sigv4-http11-host-xamzdate");
    for (now, accepted) in [(NOW - 301, false), (NOW - 300, true), (NOW + 300, true), (NOW + 301, false)] {
        rig.clock.set_wall(std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(now));
        let reply = rig.send(&call).await;
        if accepted {
            reply.ok();
        } else {
            reply.is_error(401, "AuthenticationFailedException");
        }
    }
}

/// XKS-P-138, XKS-P-139, XKS-P-141: one answer to all, on every operation, and the connection goes on.
#[tokio::test]
async fn every_flaw_gives_the_same_answer() {
    let rig = Rig::new().await;
    let mut client = rig.client().await;
    let right = Call::on_key("encrypt", KEY, &encrypt_body(b"secret", None));
    let changed = |change: &dyn Fn(&mut Call)| {
        let mut call = right.clone();
        change(&mut call);
        call
    };
    let line = |call: &Call| format!("authorization: {}\r\n", call.authorization());
    let right_line = line(&right);

    let mut bodies = Vec::new();
    // Signed rightly, but as somebody else or for something else.
    for call in [
        changed(&|call| call.id = format!("Invalid{ID}")),
        changed(&|call| call.id = "A".into()),
        changed(&|call| call.id = super::support::OTHER_ID.into()),
        changed(&|call| call.secret = SECRET.replace('5', "6")),
        changed(&|call| call.region = "us-east-1".into()),
        changed(&|call| call.service = "kms".into()),
        changed(&|call| call.date = DATE.replace("20260115", "20260114")),
        changed(&|call| call.date = "20260115".into()),
    ] {
        bodies.push(client.send(&call).await);
    }
    // Signed, then changed.
    for call in [
        changed(&|call| call.body = call.body.replace_first()),
        changed(&|call| call.path = call.path.replace("encrypt", "decrypt")),
        changed(&|call| call.host += ":443"),
    ] {
        bodies.push(client.send_bytes(&call.bytes_with(&right_line)).await);
    }
    // Other lines.
    let signature = right.signature();
    for line in [
        String::new(),
        "authorization: Basic dTpw\r\n".to_owned(),
        "authorization: AWS4-HMAC-SHA256\r\n".to_owned(),
        right_line.replace("Credential", "Kredential"),
        right_line.replace("/aws4_request", "/aws5_request"),
        right_line.replace("/20260115/", "/20260114/"),
        right_line.replace("content-type;host;", "content-type;"),
        right_line.replace(";x-amz-date", ""),
        right_line.replace("content-type;host", "host;content-type"),
        right_line.replace("content-type;host", "content-type;host;host"),
        right_line.replace(&signature, &signature.to_uppercase()),
        right_line.replace(&signature, &signature[..62]),
        right_line.replace(&signature, ""),
        format!("{right_line}{right_line}"),
        format!("{right_line}x-amz-date: {DATE}\r\n"),
        format!("authorization: {}\r\n", "a".repeat(5000)),
        format!(
            "x-amz-content-sha256: UNSIGNED-PAYLOAD\r\n{}",
            right_line.replace(&signature, &"0".repeat(64))
        ),
    ] {
        bodies.push(client.send_bytes(&right.bytes_with(&line)).await);
    }
    for (index, reply) in bodies.iter().enumerate() {
        assert_eq!(reply.error(), (401, "AuthenticationFailedException".to_owned()), "flaw {index}");
        assert_eq!(reply.body, bodies[0].body, "flaw {index}");
        assert!(!String::from_utf8_lossy(&reply.body).contains(&signature));
    }
    client.send(&right).await.ok();

    for operation in ["health", "keys/a/metadata", "keys/a/encrypt", "keys/a/decrypt"] {
        let mut call = Call::new(operation, &json!({}));
        call.secret = SECRET.replace('5', "6");
        client.send(&call).await.is_error(401, "AuthenticationFailedException");
        for id in [format!("Invalid{ID}"), "NOBODYNOBODYNOBODYNOBODY".to_owned()] {
            let mut call = Call::new(operation, &json!({}));
            call.id = id;
            client.send(&call).await.is_error(401, "AuthenticationFailedException");
        }
    }
}

trait ReplaceFirst {
    fn replace_first(&self) -> Self;
}

impl ReplaceFirst for Vec<u8> {
    /// Another space: the same JSON in other bytes.
    fn replace_first(&self) -> Self {
        [b"{ ", &self[1..]].concat()
    }
}

/// XKS-P-135, the negatives of the vectors that carry a signature of their own.
#[tokio::test]
async fn the_negative_vectors_are_refused() {
    let rig = Rig::new().await;
    let right = vector_call("sigv4-http11-host-xamzdate");
    let authorization = right.authorization();
    let mut tried = 0;
    for vector in vectors()["sigv4_negative"].as_array().unwrap() {
        let (name, sent) = (vector["name"].as_str().unwrap(), vector["signature_sent"].as_str().unwrap());
        let mut line = authorization.replace(&right.signature(), sent);
        let mut call = right.clone();
        match name {
            "sigv4-neg-body-changed" => {
                let body = String::from_utf8(call.body).unwrap().replace("GenerateDataKey", "Encrypt");
                call.body = body.into_bytes();
            }
            "sigv4-neg-path-changed" => call.path = call.path.replace("/encrypt", "/decrypt"),
            "sigv4-neg-host-changed" => call.host += ":443",
            "sigv4-neg-scope-date-mismatch" => line = line.replace("/20260115/", "/20260114/"),
            "sigv4-neg-wrong-service" => line = line.replace("kms-xks-proxy", "kms"),
            "sigv4-neg-host-not-signed" => line = line.replace("host;x-amz-date", "x-amz-date"),
            "sigv4-neg-unsigned-payload" => line += "\r\nx-amz-content-sha256: UNSIGNED-PAYLOAD",
            "sigv4-neg-unknown-access-key-id" => line = line.replace(ID, &format!("Invalid{ID}")),
            "sigv4-neg-secret-base64-decoded" => {}
            other => panic!("{other} is new"),
        }
        let reply =
            rig.client().await.send_bytes(&call.bytes_with(&format!("authorization: {line}\r\n"))).await;
        reply.is_error(401, "AuthenticationFailedException");
        tried += 1;
    }
    assert_eq!(tried, 9);
}

/// XKS-P-128, XKS-P-129, weak spot 15: exchanged under load, without one request refused.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn credentials_are_exchanged_under_load() {
    let rig = Rig::new().await;
    let (new_id, new_secret) = ("XKSNEWCREDENTIAL22222222", SECRET.replace('5', "6"));
    let exchanged = Arc::new(AtomicBool::new(false));
    let stop = Arc::new(AtomicBool::new(false));
    let mut load = Vec::new();
    for _ in 0..4 {
        let mut client = rig.client().await;
        let (exchanged, stop, secret) = (Arc::clone(&exchanged), Arc::clone(&stop), new_secret.clone());
        load.push(tokio::spawn(async move {
            let mut served = [0, 0];
            while !stop.load(Ordering::SeqCst) || served[1] < 10 {
                let new = exchanged.load(Ordering::SeqCst);
                let mut call = Call::on_key("encrypt", KEY, &encrypt_body(b"load", None));
                if new {
                    (call.id, call.secret) = (new_id.into(), secret.clone());
                }
                client.send(&call).await.ok();
                served[usize::from(new)] += 1;
                tokio::task::yield_now().await;
            }
            served
        }));
    }
    rig.tenant.add_credential(credential(new_id, &new_secret)).unwrap();
    assert_eq!(rig.tenant.credentials().len(), 2);
    // Both are valid now.
    rig.send(&Call::new("health", &health_body())).await.ok();
    exchanged.store(true, Ordering::SeqCst);
    stop.store(true, Ordering::SeqCst);
    for load in load {
        assert!(load.await.unwrap()[1] >= 10);
    }
    assert!(rig.tenant.remove_credential(&credential(ID, SECRET).access_key_id));
    rig.send(&Call::new("health", &health_body())).await.is_error(401, "AuthenticationFailedException");
    let again = rig.tenant.add_credential(credential(new_id, SECRET));
    assert!(again.is_err(), "XKS-P-132: one id, one secret");
}

/// A KMS may call from more than one Region.
#[tokio::test]
async fn several_regions_are_accepted() {
    let west = custom_key_store::xks::Region::new("eu-west-1").unwrap();
    let rig = Rig::with_tenant(|tenant| tenant.region(west)).await;
    for region in ["us-east-2", "eu-west-1"] {
        let mut call = Call::new("health", &health_body());
        call.region = region.into();
        rig.send(&call).await.ok();
    }
}
