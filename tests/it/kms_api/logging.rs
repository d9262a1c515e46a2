//! What the log says, and what it must not say.

use custom_key_store::api::{KmsApi, ServeOptions, SessionToken};
use custom_key_store::backend::BackendErrorKind;
use custom_key_store::backend::software::{Fault, Method};
use custom_key_store::kms::{Rule, Rules};
use serde_json::json;

use super::support::{ID, PRINCIPAL, Rig, SECRET, call, callers, credential_of};
use crate::listening::Lines;
use crate::xks_proxy::support::{Client, base64, until};

#[tokio::test]
async fn a_line_for_each_request_without_a_secret() {
    let lines = Lines::listen();
    let callers = callers();
    let session = credential_of("session-hunter2", "session")
        .with_session_token(SessionToken::new("token-hunter2").unwrap());
    callers.add(custom_key_store::api::CallerKeyId::new("SESSION").unwrap(), session).unwrap();
    let rig = Rig::with(|kms| kms, |kms| KmsApi::builder(kms, callers)).await;
    let (address, _handle) = rig.serve(ServeOptions::plain_http()).await;
    lines.0.lock().unwrap().clear();
    let mut client = Client::connect(address).await;

    let plaintext = base64(b"hunter2 is what nobody may see!");
    let encrypt = call("Encrypt", &json!({ "KeyId": "alias/payroll", "Plaintext": plaintext }));
    let sealed = client.send(&encrypt).await.json();
    let decrypt = call("Decrypt", &json!({ "CiphertextBlob": sealed["CiphertextBlob"] }));
    let opened = client.send(&decrypt).await.json();
    let mut forged = encrypt.clone();
    forged.secret = "hunter2".to_owned();
    client.send(&forged).await;
    let mut session = encrypt.clone();
    (session.id, session.secret) = ("SESSION".to_owned(), "session-hunter2".to_owned());
    session.headers.push(("x-amz-security-token".to_owned(), "another-hunter2".to_owned()));
    client.send(&session).await;
    rig.manager.inject(Method::Encrypt, Fault::Fail(BackendErrorKind::AuthenticationFailed));
    client.send(&encrypt).await;
    client.send(&call("CreateCustomKeyStore", &json!({ "KeyStorePassword": "hunter2 hunter2" }))).await;
    client.send(&call("Sign", &json!({}))).await;
    client.send(&call("Nothing", &json!({}))).await;
    let dry = call("Encrypt", &json!({ "KeyId": "alias/payroll", "Plaintext": plaintext, "DryRun": true }));
    client.send(&dry).await;

    until(|| lines.access().len() == 9).await;
    let access = lines.access();
    let has = |index: usize, parts: &[&str]| {
        let line: &String = &access[index];
        for part in parts {
            assert!(line.contains(part), "{part} is not in {line}");
        }
    };
    let principal = format!("principal={PRINCIPAL}");
    let id = format!("access_key_id={ID}");
    let whole = [&*principal, &id, "operation=Encrypt", "peer=127.0.0.1:", "duration_us=", "request_id="];
    has(0, &whole);
    has(0, &["INFO", "status=200", "served"]);
    has(1, &["INFO", "operation=Decrypt", "status=200"]);
    has(
        2,
        &[
            "WARN",
            "operation=Encrypt",
            &id,
            "status=400",
            "error=InvalidSignatureException",
            "reason=the signature is another",
        ],
    );
    assert!(!access[2].contains("principal="), "who has not signed is nobody: {}", access[2]);
    has(3, &["WARN", "access_key_id=SESSION", "error=UnrecognizedClientException"]);
    has(4, &whole);
    has(4, &["WARN", "status=400", "error=KMSInvalidStateException", "reason="]);
    has(5, &["WARN", "operation=CreateCustomKeyStore", "error=ValidationException", "keyStorePassword"]);
    has(6, &["WARN", "operation=Sign", "error=UnsupportedOperationException"]);
    has(7, &["WARN", &*principal, "error=UnknownOperationException"]);
    has(8, &["INFO", "error=DryRunOperationException", "dry run"]);

    let all = lines.0.lock().unwrap().join("\n");
    for secret in [
        "hunter2",
        SECRET,
        &plaintext,
        opened["Plaintext"].as_str().unwrap(),
        sealed["CiphertextBlob"].as_str().unwrap(),
        "Signature=",
        &encrypt.signature(),
    ] {
        assert!(!all.contains(secret), "{secret} was logged");
    }
}

#[tokio::test]
async fn what_a_caller_sends_can_forge_no_line() {
    let lines = Lines::listen();
    let rig = Rig::new().await;
    lines.0.lock().unwrap().clear();
    let evil = "a\nINFO forged\r\u{1b}[31m\u{202e}";
    rig.call("DescribeKey", &json!({ "KeyId": evil })).await;
    rig.call("DescribeCustomKeyStores", &json!({ "CustomKeyStoreName": evil })).await;
    rig.call("DeleteAlias", &json!({ "AliasName": evil })).await;
    let long = "x".repeat(2048);
    rig.call("DescribeKey", &json!({ "KeyId": long })).await;
    let access = lines.access();
    assert_eq!(access.len(), 4);
    for line in access {
        assert!(line.chars().all(|c| c == ' ' || c.is_ascii_graphic() || c == '…'), "{line}");
        assert!(line.len() < 5000, "{line}");
    }
}

#[tokio::test]
async fn who_is_gone_before_the_answer_is_said_to_have_gone() {
    let lines = Lines::listen();
    let rig = Rig::new().await;
    lines.0.lock().unwrap().clear();
    let request = super::support::request(&call("ListKeys", &json!({})));
    drop(tower_service::Service::call(&mut rig.api.clone(), request));
    assert_eq!(lines.access(), [""; 0], "nothing has begun");
    rig.manager.inject(Method::Encrypt, Fault::Hang);
    let encrypt = call("Encrypt", &json!({ "KeyId": "alias/payroll", "Plaintext": "AA==" }));
    let mut abandoned = Box::pin(rig.send(&encrypt));
    assert!(futures::poll!(&mut abandoned).is_pending());
    drop(abandoned);
    let access = lines.access();
    assert_eq!(access.len(), 1);
    assert!(access[0].contains("WARN") && access[0].contains("abandoned"), "{access:?}");
}

#[tokio::test]
async fn without_rules_it_is_said_that_every_caller_is_an_administrator() {
    let lines = Lines::listen();
    let warning = "every caller of the KMS endpoint is an administrator";
    let _without = Rig::new().await;
    assert!(lines.0.lock().unwrap().join("\n").contains(warning));
    lines.0.lock().unwrap().clear();
    let rules = Rules::new(vec![Rule::allow(["*"], ["*"]).unwrap()]);
    let _with = Rig::with(|kms| kms.authorizer(rules), |kms| KmsApi::builder(kms, callers())).await;
    assert!(!lines.0.lock().unwrap().join("\n").contains(warning));
}
