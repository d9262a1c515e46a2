//! A line names every key that its caller was judged about.

use std::future::Future;
use std::sync::{Arc, OnceLock};

use custom_key_store::audit::{AuditTrail, OnFailure};
use custom_key_store::backend::software::KeyManager;
use custom_key_store::kms::{
    AuthorizationRequest, Authorizer, Decision, Decrypt, Encrypt, Exception, KeyRef, Kms, ReEncrypt,
};
use custom_key_store::{AliasName, Caller, KeyMetadata, StoreId};
use serde_json::json;

use crate::kms::support::{Kept, builder, drive, exception, store_with_key};
use crate::support::ledger;

const CLERK: &str = "arn:aws:iam::111122223333:role/clerk";

/// The clerk may use the keys of one store, everybody else all.
#[derive(Debug, Clone, Default)]
struct OneStore(Arc<OnceLock<StoreId>>);

impl Authorizer for OneStore {
    fn authorize(&self, request: &AuthorizationRequest<'_>) -> Decision {
        match request.principal != CLERK || request.store == self.0.get() {
            true => Decision::Allow,
            false => Decision::Deny,
        }
    }
}

struct Rig {
    kms: Kms,
    clerk: Kms,
    kept: Kept,
    may: KeyMetadata,
    may_not: KeyMetadata,
}

fn run<F: Future<Output = ()>>(test: impl FnOnce(Rig) -> F) {
    let (manager, kept, rules) = (KeyManager::new(), Kept::default(), OneStore::default());
    futures::executor::block_on(async {
        let trail = AuditTrail::new(kept.clone(), OnFailure::Refuse);
        let opening = builder(&ledger(), &manager).audit(trail).authorizer(rules.clone());
        let (kms, driver) = opening.open().await.unwrap();
        drive(driver, async {
            let (id, may) = store_with_key(&kms, &manager, "payroll").await;
            rules.0.set(id).unwrap();
            let (_, may_not) = store_with_key(&kms, &manager, "other").await;
            let clerk = kms.on_behalf_of(Caller::new(CLERK));
            test(Rig { kms, clerk, kept, may, may_not }).await;
        })
        .await;
    });
}

#[test]
fn a_denial_names_the_key_that_somebody_gave_beside_a_ciphertext() {
    run(|rig| async move {
        let Rig { kms, clerk, kept, may, may_not } = rig;
        let (named, other) = (KeyRef::from(may.key_id), KeyRef::from(may_not.key_id));
        let sealed = kms.encrypt(&Encrypt::new(&named, b"attack at dawn")).await.unwrap();
        let blob = sealed.ciphertext.as_bytes();
        let alias = AliasName::new("alias/other").unwrap();
        kms.create_alias(&alias, &may_not.key_id).await.unwrap();
        kept.new_lines();
        for wanted in [&other, &alias.into()] {
            let refused = clerk.decrypt(&Decrypt::new(blob).key(wanted)).await;
            assert_eq!(exception(refused), Exception::AccessDenied);
            let line = kept.line();
            assert_eq!(line["requestParameters"]["KeyId"], may_not.arn.to_string(), "{line}");
            let refused = clerk.re_encrypt(&ReEncrypt::new(blob, &named).source_key(wanted)).await;
            assert_eq!(exception(refused), Exception::AccessDenied);
            let line = kept.line();
            assert_eq!(line["requestParameters"]["SourceKeyId"], may_not.arn.to_string(), "{line}");
        }
        // Of an alias that stands for nothing, that.
        let nothing = AliasName::new("alias/nothing").unwrap().into();
        let refused = clerk.decrypt(&Decrypt::new(blob).key(&nothing)).await;
        assert_eq!(exception(refused), Exception::AccessDenied);
        assert_eq!(kept.line()["requestParameters"]["KeyId"], "alias/nothing");
        let refused = kms.decrypt(&Decrypt::new(blob).key(&other)).await;
        assert_eq!(exception(refused), Exception::IncorrectKey);
        assert_eq!(kept.line()["requestParameters"]["KeyId"], may_not.arn.to_string());
    });
}

#[test]
fn a_change_of_an_alias_names_the_key_that_it_is_taken_from() {
    run(|rig| async move {
        let Rig { kms, clerk, kept, may, may_not } = rig;
        let alias = AliasName::new("alias/other").unwrap();
        kms.create_alias(&alias, &may_not.key_id).await.unwrap();
        kept.new_lines();
        let refused = clerk.update_alias(&alias, &may.key_id).await;
        assert_eq!(exception(refused), Exception::AccessDenied);
        let asked = json!({ "AliasName": "alias/other", "PreviousKeyArn": may_not.arn });
        let line = kept.line();
        assert_eq!((&line["requestParameters"], &line["keyArn"]), (&asked, &json!(may.arn)), "{line}");
        kms.update_alias(&alias, &may.key_id).await.unwrap();
        let line = kept.line();
        assert_eq!((&line["requestParameters"], &line["keyArn"]), (&asked, &json!(may.arn)), "{line}");
        assert_eq!(line["outcome"], "Succeeded");
    });
}
