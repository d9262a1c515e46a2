//! What the log says, and what it must not say.

use std::sync::Arc;
use std::time::Duration;

use custom_key_store::backend::BackendErrorKind;
use custom_key_store::backend::software::{Fault, Method};
use custom_key_store::xks::proxy::{AuthorizationRequest, Authorizer, Decision, KeyGrant, ServeOptions};

use super::http2::http2;
use super::support::{
    Call, ID, KEY, Rig, SECRET, base64, decrypt_body, encrypt_body, health_body, key_id, until,
};
use crate::listening::Lines;

#[derive(Debug)]
struct Never;

impl Authorizer for Never {
    fn authorize(&self, _request: &AuthorizationRequest<'_>) -> Decision {
        Decision::deny("statement 42: never")
    }
}

/// XKS-P-30, XKS-P-48, XKS-P-89, XKS-P-146 to XKS-P-149, XKS-P-151 to XKS-P-153, XKS-P-155, weak spots 4 and 14: each
/// request is a line with all there is to say, and no line of any library holds what must not be seen.
#[tokio::test]
async fn a_line_for_each_request_without_a_secret() {
    let lines = Lines::listen();
    let rig = Rig::new().await;
    let mut client = rig.client().await;
    let plaintext = b"the plaintext that nobody may see";

    let encrypt =
        Call::on_key("encrypt", KEY, &encrypt_body(plaintext, Some(b"aad that is nobody's business")));
    let encrypted = client.send(&encrypt).await.ok();
    let aad = Some(b"aad that is nobody's business".as_slice());
    let decrypt = Call::on_key("decrypt", KEY, &decrypt_body(&encrypted, aad));
    client.send(&decrypt).await.ok();
    client.send(&Call::new("health", &health_body())).await.ok();
    let mut forged = encrypt.clone();
    forged.secret = super::support::OTHER_SECRET.into();
    client.send(&forged).await.is_error(401, "AuthenticationFailedException");
    rig.manager.inject(Method::Encrypt, Fault::Fail(BackendErrorKind::AuthenticationFailed));
    client.send(&encrypt).await.is_error(500, "InternalException");
    rig.tenant.set_authorizer(Some(Arc::new(Never)));
    client.send(&encrypt).await.is_error(403, "AccessDeniedException");
    let grant = KeyGrant::new(key_id("in-key"));
    rig.tenant.set_authorizer(None);
    rig.tenant.set_key(&key_id(KEY), grant.clone().only_for(["somebody else"])).unwrap();
    client.send(&encrypt).await.is_error(403, "AccessDeniedException");
    rig.tenant.set_key(&key_id(KEY), grant).unwrap();
    rig.tenant.suspend();
    client.send(&encrypt).await.is_error(400, "InvalidStateException");

    until(|| lines.access().len() == 8).await;
    let access = lines.access();
    let has = |index: usize, parts: &[&str]| {
        let line: &String = &access[index];
        for part in parts {
            assert!(line.contains(part), "{part} is not in {line}");
        }
    };
    let whole: &[&str] = &[
        "operation=Encrypt",
        "key=ext-key_01.v2",
        "access_key_id=XKSTESTVECTOR234567ABCDE",
        "request_id=request-0001",
        "kms_operation=Encrypt",
        "principal=arn:aws:iam::111122223333:role/XksVector",
        "kms_key_arn=arn:aws:kms:us-east-2:111122223333:key/0f0e0d0c",
        "peer=127.0.0.1:",
        "duration_us=",
    ];
    has(0, whole);
    has(0, &["INFO", "status=200", "served"]);
    has(1, &["INFO", "operation=Decrypt", "status=200"]);
    has(2, &["operation=GetHealthStatus", "request_id=health-0001", "kms_operation=KmsHealthCheck"]);
    has(
        3,
        &["WARN", "status=401", "error=AuthenticationFailedException", "reason=the signature is another", ID],
    );
    has(4, whole);
    has(
        4,
        &["ERROR", "status=500", "error=InternalException", "reason=the key manager refused the credential"],
    );
    has(5, whole);
    has(5, &["WARN", "status=403", "error=AccessDeniedException", "rule=statement 42: never"]);
    has(6, whole);
    has(6, &["WARN", "status=403", "error=AccessDeniedException", "rule=the key's grant: only_for"]);
    has(7, whole);
    has(7, &["WARN", "status=400", "error=InvalidStateException"]);

    let all = lines.0.lock().unwrap().join("\n");
    let ciphertext = encrypted["ciphertext"].as_str().unwrap().to_owned();
    for secret in [
        "the plaintext that",
        &base64(plaintext),
        &base64(plaintext)[..20],
        SECRET,
        super::support::OTHER_SECRET,
        &encrypt.signature(),
        &forged.signature(),
        "AWS4-HMAC-SHA256",
        "SignedHeaders",
        "nobody's business",
        &ciphertext,
    ] {
        assert!(!all.contains(secret), "{secret} is in the log");
    }
}

/// XKS-P-146, XKS-P-150: who claims to have signed is a line's most useful part when clock or scope are wrong, or the
/// secret is; the caller cannot tell one from the other.
#[tokio::test]
async fn whoever_is_refused_is_named_as_he_names_himself() {
    let lines = Lines::listen();
    let rig = Rig::new().await;
    let mut client = rig.client().await;
    let right = Call::new("health", &health_body());
    let changed = |change: &dyn Fn(&mut Call)| {
        let mut call = right.clone();
        change(&mut call);
        call
    };
    let mut bodies = Vec::new();
    for (index, (reason, call)) in [
        ("another Region", changed(&|call| call.region = "us-west-2".into())),
        ("another service", changed(&|call| call.service = "kms".into())),
        ("clock is 3600 seconds", changed(&|call| call.date = "20260115T113456Z".into())),
        ("header is malformed", changed(&|call| call.date = "20260115T99".into())),
        ("is unknown", changed(&|call| call.id = "NOBODYNOBODYNOBODYNOBODY".into())),
        ("signature is another", changed(&|call| call.secret = SECRET.replace('5', "6"))),
    ]
    .into_iter()
    .enumerate()
    {
        let reply = client.send(&call).await;
        reply.is_error(401, "AuthenticationFailedException");
        bodies.push(reply.body);
        until(|| lines.access().len() > index).await;
        let line = &lines.access()[index];
        assert!(line.contains(reason), "{reason} is not in {line}");
        assert!(line.contains(&format!("access_key_id={} ", call.id)), "nobody is named in {line}");
    }
    assert!(bodies.iter().all(|body| *body == bodies[0]));

    // Cut, and nothing but printable ASCII gets so far. A header that cannot be read names nobody.
    let long = changed(&|call| {
        call.id = "A".repeat(3000);
        call.region = "us-west-2".into();
    });
    client.send(&long).await.is_error(401, "AuthenticationFailedException");
    client
        .send_bytes(&right.bytes_with("authorization: AWS4-HMAC-SHA256 Credential=NOBODY/1\r\n"))
        .await
        .is_error(401, "AuthenticationFailedException");
    // Also when there is no body to verify the signature of.
    let mut too_long = right.clone();
    too_long.body = vec![b' '; 65_537];
    client.send(&too_long).await.is_error(501, "UnsupportedOperationException");
    until(|| lines.access().len() == 9).await;
    let access = lines.access();
    assert!(access[6].contains(&"A".repeat(2048)) && !access[6].contains(&"A".repeat(2049)));
    assert!(!access[7].contains("NOBODY"));
    assert!(access[8].contains(&format!("access_key_id={ID} ")), "nobody is named in {}", access[8]);
}

/// XKS-P-150: nobody forges a line, or fills the disk with one.
#[tokio::test]
async fn what_the_caller_says_is_escaped_and_cut() {
    let lines = Lines::listen();
    let rig = Rig::new().await;
    let mut body = encrypt_body(b"x", None);
    body["requestMetadata"]["kmsRequestId"] = "one\nINFO status=200\u{1b}[31m\u{2028}\u{202e}".into();
    body["requestMetadata"]["awsPrincipalArn"] = "p".repeat(20_000).into();
    rig.send(&Call::on_key("encrypt", KEY, &body)).await.ok();
    until(|| lines.access().len() == 1).await;
    let line = lines.access().remove(0);
    assert!(!line.contains(['\n', '\u{1b}', '\u{2028}', '\u{202e}']));
    assert!(line.contains("one\\nINFO") && line.len() < 3000);
}

/// Over HTTP/2 a request is a task of its own, and ends with its connection all the same: when the caller resets it,
/// when it is cut off by a shutdown, and when the server is dropped.
#[tokio::test]
async fn no_request_outlives_its_connection() {
    let lines = Lines::listen();
    let call = Call::on_key("encrypt", KEY, &encrypt_body(b"x", None));
    for (index, way) in ["reset", "shutdown", "dropped"].into_iter().enumerate() {
        let options = ServeOptions::plain_http().drain_limit(Duration::ZERO);
        let rig = Rig::with_options(options).await;
        rig.manager.inject(Method::Encrypt, Fault::Hang);
        let (mut http, _connection) = http2(rig.client().await.0).await;
        let answer = tokio::spawn(http.send_request(call.http2()));
        until(|| rig.manager.calls(Method::Encrypt) == 1).await;
        match way {
            "reset" => answer.abort(),
            "shutdown" => rig.handle.shut_down(),
            _ => rig.serving.abort(),
        }
        until(|| lines.access().len() > index).await;
        assert!(lines.access()[index].contains("abandoned"), "{way}");
    }
}

/// A caller that goes away is said to have done so.
#[tokio::test]
async fn an_abandoned_request_is_a_line_too() {
    let lines = Lines::listen();
    let rig = Rig::new().await;
    rig.manager.inject(Method::Encrypt, Fault::Hang);
    let mut client = rig.client().await;
    let call = Call::on_key("encrypt", KEY, &encrypt_body(b"x", None));
    tokio::io::AsyncWriteExt::write_all(&mut client.0, &call.bytes()).await.unwrap();
    until(|| rig.manager.calls(Method::Encrypt) == 1).await;
    drop(client);
    until(|| lines.access().len() == 1).await;
    assert!(lines.access()[0].contains("abandoned") && lines.access()[0].contains("request_id=request-0001"));
}
