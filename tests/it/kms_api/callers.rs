//! Callers that come and go, and those that somebody else looks up.

use std::error::Error;
use std::future::pending;
use std::time::Duration;

use async_trait::async_trait;
use custom_key_store::api::{
    CallerCredential, CallerKeyId, CallerResolver, CallerSecret, Callers, KmsApi, Principal, SessionToken,
    SetupError,
};
use custom_key_store::kms::{Rule, Rules};
use serde_json::json;

use super::support::{ID, PRINCIPAL, Rig, SECRET, Shared, call, callers, credential_of, error, is_error};
use crate::xks_proxy::support::until;

#[tokio::test]
async fn callers_come_and_go_while_requests_are_answered() {
    let callers = callers();
    let rig = Rig::with(|kms| kms, |kms| KmsApi::builder(kms, callers.clone())).await;
    let mut call = call("ListKeys", &json!({}));
    (call.id, call.secret) = ("NEW".to_owned(), "new-secret".to_owned());
    is_error(&rig.send(&call).await, 400, "UnrecognizedClientException");

    let id = CallerKeyId::new("NEW").unwrap();
    callers.add(id.clone(), credential_of("new-secret", "somebody")).unwrap();
    assert_eq!(rig.send(&call).await.status, 200);
    let again = callers.add(id.clone(), credential_of("another-secret", "somebody else"));
    assert!(matches!(again, Err(SetupError::CallerExists(taken)) if taken == id));
    assert_eq!(rig.send(&call).await.status, 200);

    assert!(callers.remove(&id));
    assert!(!callers.remove(&id));
    is_error(&rig.send(&call).await, 400, "UnrecognizedClientException");
}

/// Does what the access key id says.
#[derive(Debug)]
struct Directory {
    asked: Shared<String>,
}

#[async_trait]
impl CallerResolver for Directory {
    async fn resolve(&self, id: &str) -> Result<Option<CallerCredential>, Box<dyn Error + Send + Sync>> {
        self.asked.lock().unwrap().push(id.to_owned());
        match id {
            ID => Ok(Some(credential_of(SECRET, PRINCIPAL))),
            "SLOW" => pending().await,
            "BROKEN" => Err("the directory is down".into()),
            "PANIC" => panic!("which is what this test wants"),
            _ => Ok(None),
        }
    }
}

#[tokio::test]
async fn whoever_is_looked_up_may_call_and_what_goes_wrong_is_that_requests_affair() {
    let asked = Shared::default();
    let directory = Directory { asked: Shared::clone(&asked) };
    let rig =
        Rig::with(|kms| kms, |kms| KmsApi::builder(kms, directory).resolver_timeout(Duration::from_secs(3)))
            .await;
    let of = |id: &str| {
        let mut call = call("ListKeys", &json!({}));
        call.id = id.to_owned();
        call
    };
    assert_eq!(rig.send(&of(ID)).await.status, 200);
    is_error(&rig.send(&of("NOBODY")).await, 400, "UnrecognizedClientException");
    let (status, name, message) = error(&rig.send(&of("BROKEN")).await);
    assert_eq!((status, &*name), (500, "KMSInternalException"));
    assert!(!message.contains("down"), "what the directory says stays here: {message}");
    is_error(&rig.send(&of("PANIC")).await, 500, "KMSInternalException");

    let slow = of("SLOW");
    let (reply, ()) = futures::join!(rig.send(&slow), async {
        until(|| asked.lock().unwrap().iter().any(|id| id == "SLOW")).await;
        rig.clock.advance(Duration::from_secs(3));
    });
    is_error(&reply, 503, "DependencyTimeoutException");

    // Who cannot be anybody is not looked up.
    asked.lock().unwrap().clear();
    is_error(&rig.send(&of("a b")).await, 400, "UnrecognizedClientException");
    is_error(&rig.send(&of(&"x".repeat(129))).await, 400, "UnrecognizedClientException");
    assert_eq!(*asked.lock().unwrap(), [""; 0]);
    assert_eq!(rig.send(&of(ID)).await.status, 200);
}

#[tokio::test]
async fn rules_decide_by_the_principal_of_whoever_has_signed() {
    let callers = callers();
    callers.add(CallerKeyId::new("OPERATOR").unwrap(), credential_of("operator", "operator")).unwrap();
    let rules = Rules::new(vec![
        Rule::allow(["operator", "arn:aws:iam::111122223333:root"], ["*"]).unwrap(),
        Rule::allow([PRINCIPAL], ["Encrypt"]).unwrap(),
    ]);
    let rig = Rig::with(|kms| kms.authorizer(rules), |kms| KmsApi::builder(kms, callers)).await;
    rig.ok("Encrypt", &json!({ "KeyId": "alias/payroll", "Plaintext": "AA==" })).await;
    let reply = rig.call("Decrypt", &json!({ "CiphertextBlob": rig.blob })).await;
    let message = is_error(&reply, 400, "AccessDeniedException");
    assert!(message.contains(PRINCIPAL) && message.contains("Decrypt"), "{message}");
    let mut call = call("Decrypt", &json!({ "CiphertextBlob": rig.blob }));
    (call.id, call.secret) = ("OPERATOR".to_owned(), "operator".to_owned());
    assert_eq!(rig.send(&call).await.status, 200);
}

#[tokio::test]
async fn a_builder_knows_whether_every_caller_is_an_administrator() {
    let rig = Rig::new().await;
    assert!(KmsApi::builder(rig.kms.clone(), callers()).every_caller_is_administrator());
    let rules = Rules::new(vec![Rule::allow(["*"], ["*"]).unwrap()]);
    let rig = Rig::with(|kms| kms.authorizer(rules), |kms| KmsApi::builder(kms, callers())).await;
    assert!(!KmsApi::builder(rig.kms.clone(), callers()).every_caller_is_administrator());
}

#[test]
fn what_a_caller_is_made_of_is_checked_and_its_secrets_are_not_shown() {
    for wrong in ["", "a b", "ä", "a/b", &"x".repeat(129)] {
        assert!(CallerKeyId::new(wrong).is_err(), "{wrong}");
    }
    for wrong in ["", "a b", "ä", "\0", &"x".repeat(129)] {
        assert!(CallerSecret::new(wrong).is_err(), "{wrong}");
    }
    for wrong in ["", "a\nb", "ä", &"x".repeat(2049)] {
        assert!(Principal::new(wrong).is_err(), "{wrong}");
    }
    for wrong in ["", "a b", "\u{7f}", &"x".repeat(4097)] {
        assert!(SessionToken::new(wrong).is_err(), "{wrong}");
    }
    let callers = Callers::new();
    let credential =
        credential_of("hunter2", "somebody").with_session_token(SessionToken::new("hunter3").unwrap());
    callers.add(CallerKeyId::new("ID").unwrap(), credential).unwrap();
    let shown = format!("{callers:?} {:?} {:?}", CallerSecret::new("hunter2"), SessionToken::new("hunter3"));
    assert!(shown.contains("somebody") && !shown.contains("hunter"), "{shown}");
}
