//! Signatures that are missing, wrong, old, or of somebody else.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use custom_key_store::api::{CallerKeyId, KmsApi, SessionToken, SetupError};
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use serde_json::json;

use super::support::{
    ID, PRINCIPAL, Rig, SECRET, answer, call, callers, credential_of, is_error, request, request_with,
};
use crate::xks_proxy::support::{Call, Reply};

const SIGNATURE: &str = "InvalidSignatureException";
const INCOMPLETE: &str = "IncompleteSignatureException";
const UNRECOGNIZED: &str = "UnrecognizedClientException";

fn list_keys() -> Call {
    call("ListKeys", &json!({}))
}

fn with(change: impl FnOnce(&mut Call)) -> Call {
    let mut call = list_keys();
    change(&mut call);
    call
}

#[tokio::test]
async fn without_a_signature_nothing_is_done() {
    let rig = Rig::new().await;
    let reply = rig.send_request(request_with(&list_keys(), None)).await;
    let message = is_error(&reply, 400, "MissingAuthenticationTokenException");
    assert_eq!(message, "Missing Authentication Token");
}

#[tokio::test]
async fn what_is_no_signature_of_version_4_is_incomplete() {
    let rig = Rig::new().await;
    let call = list_keys();
    let right = call.authorization();
    for wrong in [
        String::new(),
        "Basic dXNlcjpwYXNz".to_owned(),
        right.replace("AWS4-HMAC-SHA256", "AWS4-HMAC-SHA512"),
        right.replace("AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256"),
        right.replace("Credential=", "Kredential="),
        right.replace("/aws4_request", ""),
        right.replace("SignedHeaders=", "SignedHeaders=;"),
        right.replace("host;", ""),
        right.replace(";x-amz-date", ""),
        format!("{right}0"),
        right.split(", Signature").next().unwrap().to_owned(),
        format!("{right}{}", "x".repeat(5000)),
    ] {
        let reply = rig.send_request(request_with(&call, Some(&wrong))).await;
        is_error(&reply, 400, INCOMPLETE);
    }
    let mut twice = request(&call);
    twice.headers_mut().append("authorization", right.parse().unwrap());
    is_error(&rig.send_request(twice).await, 400, INCOMPLETE);
    let mut undated = request(&call);
    undated.headers_mut().remove("x-amz-date");
    is_error(&rig.send_request(undated).await, 400, INCOMPLETE);
}

#[tokio::test]
async fn another_signature_is_refused_whatever_makes_it_another() {
    let rig = Rig::new().await;
    let right = list_keys();
    let signed = right.authorization();
    let wrong_secret = with(|call| call.secret = SECRET.replace('w', "v"));
    let message = is_error(&rig.send(&wrong_secret).await, 400, SIGNATURE);
    assert!(message.starts_with("The request signature we calculated does not match"), "{message}");
    assert!(!message.contains(SECRET));

    // What was signed is not what is sent.
    for changed in [
        with(|call| call.body = b"{ }".to_vec()),
        with(|call| call.body.clear()),
        with(|call| call.host = "kms2.example.com".to_owned()),
        with(|call| call.headers[0].1.push(' ')).clone(),
        with(|call| call.headers[1].1 = "TrentService.ListAliases".to_owned()),
        with(|call| call.path = "/?".to_owned()),
    ] {
        let reply = rig.send_request(request_with(&changed, Some(&signed))).await;
        let is_same = changed.path == "/?" || changed.headers[0].1.ends_with(' ');
        if is_same {
            assert_eq!(reply.status, 200, "spaces at the end and an empty query are nothing: {reply:?}");
        } else {
            is_error(&reply, 400, SIGNATURE);
        }
    }
    let flipped = signed.replace("Signature=", "Signature=0").chars().take(signed.len()).collect::<String>();
    is_error(&rig.send_request(request_with(&right, Some(&flipped))).await, 400, SIGNATURE);
}

/// A body that says whether somebody reads it.
struct Watched {
    body: Full<Bytes>,
    is_read: Arc<AtomicBool>,
}

impl Body for Watched {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.is_read.store(true, Ordering::SeqCst);
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// As much of a body that nobody wants is read and thrown away.
const THROWN_AWAY: usize = 64 * 1024;

/// What is answered, and whether the body was read for it.
async fn watched(rig: &Rig, request: http::Request<Full<Bytes>>) -> (Reply, bool) {
    let is_read = Arc::new(AtomicBool::new(false));
    let request = request.map(|body| Watched { body, is_read: Arc::clone(&is_read) });
    let reply = answer(&rig.api, request).await;
    (reply, is_read.load(Ordering::SeqCst))
}

#[tokio::test]
async fn the_body_of_a_stranger_is_not_read_unless_it_is_short_and_costs_nothing() {
    let rig = Rig::new().await;
    let right = list_keys().authorization();
    let lost = |name: &str| {
        let mut request = request(&list_keys());
        request.headers_mut().remove(name);
        request
    };
    for (what, request, name) in [
        ("no signature", request_with(&list_keys(), None), "MissingAuthenticationTokenException"),
        ("half a signature", request_with(&list_keys(), Some(&right[..100])), INCOMPLETE),
        ("no date", lost("x-amz-date"), INCOMPLETE),
        ("no host", lost("host"), INCOMPLETE),
        ("a header that was signed is lost", lost("x-amz-target"), SIGNATURE),
        ("another Region", request(&with(|call| call.region = "eu-west-1".to_owned())), SIGNATURE),
        ("another service", request(&with(|call| call.service = "s3".to_owned())), SIGNATURE),
        ("of yesterday", request(&with(|call| call.date = "20150829T123600Z".to_owned())), SIGNATURE),
        ("nobody's id", request(&with(|call| call.id = "AKIANOBODY".to_owned())), UNRECOGNIZED),
        ("an id that can be none", request(&with(|call| call.id = "AKIA*".to_owned())), UNRECOGNIZED),
    ] {
        for (length, is_short) in [(THROWN_AWAY, true), (THROWN_AWAY + 1, false)] {
            let request = request.clone().map(|_| Full::from(vec![b' '; length]));
            let (reply, is_read) = watched(&rig, request).await;
            is_error(&reply, 400, name);
            assert_eq!(is_read, is_short, "{what}");
            assert_eq!(reply.head.contains("connection: close"), !is_short, "{what}");
        }
    }
    // Of whoever may be known, it is: the signature is over it.
    for (request, status) in
        [(request(&list_keys()), 200), (request(&with(|call| call.secret.push('x'))), 400)]
    {
        let (reply, is_read) = watched(&rig, request).await;
        assert_eq!((reply.status, is_read), (status, true));
    }
}

/// Which of several faults is answered does not depend on when each is looked for.
#[tokio::test]
async fn of_several_faults_the_answer_is_the_one_that_is_documented_to_come_first() {
    let rig = Rig::new().await;
    type Change = fn(&mut Call);
    let no_target: Change = |call| call.headers[1].1 = "TrentService.Nothing".to_owned();
    let no_type: Change = |call| call.headers[0].1 = "text/plain".to_owned();
    let no_json: Change = |call| call.body = b"{".to_vec();
    let no_secret: Change = |call| call.secret.push('x');
    let no_id: Change = |call| call.id = "AKIANOBODY".to_owned();
    let no_date: Change = |call| call.date = "20150829T123600Z".to_owned();
    let no_path: Change = |call| call.path = "/kms".to_owned();
    let too_long: Change = |call| call.body = vec![b' '; (1 << 20) + 1];
    // From the last to the first.
    let order = [
        (no_json, 400, "SerializationException"),
        (no_target, 400, "UnknownOperationException"),
        (no_type, 400, "UnknownOperationException"),
        (no_secret, 400, SIGNATURE),
        (no_id, 400, UNRECOGNIZED),
        (no_date, 400, SIGNATURE),
        (too_long, 413, "RequestEntityTooLargeException"),
        (no_path, 404, "UnknownOperationException"),
    ];
    for (later, (change, ..)) in order.iter().enumerate() {
        for (first, status, name) in &order[later..] {
            let mut call = list_keys();
            change(&mut call);
            first(&mut call);
            let message = is_error(&rig.send(&call).await, *status, name);
            let is_type = message.contains("Content-Type");
            assert_eq!(is_type, std::ptr::fn_addr_eq(*first, no_type), "{message}");
        }
    }
}

#[tokio::test]
async fn an_endpoint_that_knows_its_names_takes_what_is_signed_for_them_alone() {
    let named =
        Rig::with(|kms| kms, |kms| KmsApi::builder(kms, callers()).hosts(["kms.example.com", "[::1]:8443"]))
            .await;
    let any = Rig::new().await;
    for (host, is_one) in [
        ("kms.example.com", true),
        ("KMS.example.COM", true),
        ("kms.example.com:8443", true),
        ("[::1]:8443", true),
        ("[::1]", false),
        ("kms.example.org", false),
        ("kms.example.com.example.org", false),
        ("kms.example.com:", true),
        ("kms.example.com:x", false),
        ("127.0.0.1:8080", false),
    ] {
        let call = with(|call| call.host = host.to_owned());
        assert_eq!(any.send(&call).await.status, 200, "{host}");
        let reply = named.send(&call).await;
        match is_one {
            true => assert_eq!(reply.status, 200, "{host}"),
            false => {
                let message = is_error(&reply, 400, SIGNATURE);
                assert!(message.contains("another host"), "{host}: {message}");
            }
        }
    }
    for wrong in ["", "kms.example.com/", "https://kms.example.com", "a b"] {
        let builder = KmsApi::builder(any.kms.clone(), callers()).hosts([wrong]);
        assert!(matches!(builder.build(), Err(SetupError::Host)), "{wrong}");
    }
    // A list that came out empty does not mean all of them.
    let none = KmsApi::builder(any.kms.clone(), callers()).hosts(Vec::<String>::new());
    assert!(matches!(none.build(), Err(SetupError::Host)));
}

#[tokio::test]
async fn the_operation_has_to_be_signed() {
    let rig = Rig::new().await;
    let call = with(|call| call.headers.retain(|(name, _)| name != "x-amz-target"));
    let mut request = request(&call);
    request.headers_mut().insert("x-amz-target", "TrentService.ListKeys".parse().unwrap());
    let message = is_error(&rig.send_request(request).await, 400, INCOMPLETE);
    assert!(message.contains("X-Amz-Target"), "{message}");
}

#[tokio::test]
async fn a_signature_for_another_region_service_or_day_is_refused() {
    let rig = Rig::new().await;
    for wrong in [
        with(|call| call.region = "eu-west-1".to_owned()),
        with(|call| call.region = String::from("us-east-1 ")),
        with(|call| call.service = "dynamodb".to_owned()),
        with(|call| call.service = "kms-xks-proxy".to_owned()),
        with(|call| call.service = "KMS".to_owned()),
    ] {
        is_error(&rig.send(&wrong).await, 400, SIGNATURE);
    }
    let call = list_keys();
    let another_day = call.authorization().replace("/20260115/", "/20260114/");
    is_error(&rig.send_request(request_with(&call, Some(&another_day))).await, 400, SIGNATURE);
}

#[tokio::test]
async fn a_request_can_be_sent_again_within_five_minutes_and_not_later() {
    let rig = Rig::new().await;
    let call = list_keys();
    for _ in 0..3 {
        assert_eq!(rig.send(&call).await.status, 200);
    }
    rig.clock.advance(Duration::from_secs(300));
    assert_eq!(rig.send(&call).await.status, 200);
    rig.clock.advance(Duration::from_secs(1));
    let message = is_error(&rig.send(&call).await, 400, SIGNATURE);
    assert!(message.starts_with("Signature expired"), "{message}");

    let early = with(|call| call.date = "20260115T124458Z".to_owned());
    let message = is_error(&rig.send(&early).await, 400, SIGNATURE);
    assert!(message.starts_with("Signature not yet current"), "{message}");
    for garbage in ["", "20260115", "20260115T123456", "20261315T123456Z", "Thu, 15 Jan 2026 12:34:56 GMT"] {
        let mut request = request(&call);
        request.headers_mut().insert("x-amz-date", garbage.parse().unwrap());
        is_error(&rig.send_request(request).await, 400, INCOMPLETE);
    }
}

#[tokio::test]
async fn an_access_key_id_that_nobody_has_is_unrecognized() {
    let rig = Rig::new().await;
    for id in ["AKIAIOSFODNN7EXAMPLF", "akiaiosfodnn7example", "a b", "x".repeat(200).as_str(), "%"] {
        let message = is_error(&rig.send(&with(|call| call.id = id.to_owned())).await, 400, UNRECOGNIZED);
        assert_eq!(message, "The security token included in the request is invalid.");
    }
}

#[tokio::test]
async fn a_session_token_has_to_be_the_one_that_belongs_to_the_key() {
    let callers = callers();
    let session = credential_of("session-secret", "arn:aws:sts::111122223333:assumed-role/payroll/s")
        .with_session_token(SessionToken::new("the+token/of=the==session").unwrap());
    callers.add(CallerKeyId::new("ASIASESSION").unwrap(), session).unwrap();
    let rig = Rig::with(|kms| kms, |kms| KmsApi::builder(kms, callers)).await;
    let call = |id: &str, secret: &str, tokens: &[&str]| {
        let mut call = list_keys();
        (call.id, call.secret) = (id.to_owned(), secret.to_owned());
        if !tokens.is_empty() {
            call.headers.push(("x-amz-security-token".to_owned(), tokens.join(",")));
        }
        call
    };
    let session = |tokens: &[&str]| call("ASIASESSION", "session-secret", tokens);
    assert_eq!(rig.send(&session(&["the+token/of=the==session"])).await.status, 200);
    assert_eq!(rig.send(&call(ID, SECRET, &[])).await.status, 200);
    for wrong in [
        session(&[]),
        session(&[""]),
        session(&["another"]),
        session(&["the+token/of=the==session", "the+token/of=the==session"]),
        call(ID, SECRET, &["the+token/of=the==session"]),
        call(ID, SECRET, &[""]),
    ] {
        is_error(&rig.send(&wrong).await, 400, UNRECOGNIZED);
    }
    // Not signed, it is compared all the same.
    let mut request = request(&session(&[]));
    request.headers_mut().insert("x-amz-security-token", "the+token/of=the==session".parse().unwrap());
    assert_eq!(rig.send_request(request).await.status, 200);
}

#[tokio::test]
async fn the_principal_and_the_request_id_reach_the_audit_trail() {
    use custom_key_store::audit::{AuditRecord, AuditSink, AuditTrail, OnFailure};

    #[derive(Debug, Clone, Default)]
    struct Kept(super::support::Shared<AuditRecord>);

    #[async_trait::async_trait]
    impl AuditSink for Kept {
        fn reserve(&self, _on_failure: OnFailure) -> Result<(), custom_key_store::audit::AuditError> {
            Ok(())
        }

        fn release(&self) {}

        fn enqueue(&self, record: AuditRecord) -> Result<(), custom_key_store::audit::AuditError> {
            self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(record);
            Ok(())
        }

        async fn write(&self, record: AuditRecord) -> Result<(), custom_key_store::audit::AuditError> {
            self.enqueue(record)
        }

        async fn flush(&self) -> Result<(), custom_key_store::audit::AuditError> {
            Ok(())
        }

        async fn close(&self) -> Result<(), custom_key_store::audit::AuditError> {
            Ok(())
        }
    }

    let kept = Kept::default();
    let trail = AuditTrail::new(kept.clone(), OnFailure::Refuse);
    let rig = Rig::with(|kms| kms.audit(trail), |kms| KmsApi::builder(kms, callers())).await;
    let call = call("Encrypt", &json!({ "KeyId": rig.key.key_id, "Plaintext": "AA==" }));
    let mut request = request(&call);
    request.extensions_mut().insert(custom_key_store::api::Peer("192.0.2.7:1".parse().unwrap()));
    let reply = rig.send_request(request).await;
    assert_eq!(reply.status, 200);
    let records = kept.0.lock().unwrap();
    let last = records.last().unwrap();
    assert_eq!(last.operation.as_str(), "Encrypt");
    assert_eq!(last.principal.as_deref(), Some(PRINCIPAL));
    assert_eq!(last.source_address, Some("192.0.2.7".parse().unwrap()));
    let id = last.request_id.as_ref().unwrap();
    assert!(reply.head.contains(&format!("x-amzn-requestid: {id}\r\n")), "{reply:?}");
}
