//! What a caller without any right makes of the audit trail: so many lines, and none of them long.

use std::num::NonZeroU32;

use custom_key_store::kms::{Decrypt, Encrypt, Exception, KeyRef, Kms, KmsBuilder, ReEncrypt};
use custom_key_store::{Caller, EncryptionContext, KeyId, RateLimit, TagKey, TagValue};
use serde_json::{Value, json};

use super::refusals::{Rig, STRANGER, run};
use crate::kms::support::{exception, store_with_key};

fn three(kms: KmsBuilder) -> KmsBuilder {
    kms.audit_refusals(RateLimit::per_second(NonZeroU32::new(3).unwrap()))
}

fn nobodys() -> KeyRef {
    KeyId::new("12345678-1234-1234-1234-123456789012").unwrap().into()
}

/// As long as one may be, and six times as long in JSON.
fn long_context() -> EncryptionContext {
    EncryptionContext::new([("k".to_owned(), "\u{1}".repeat(8000))]).unwrap()
}

impl Rig {
    fn stranger(&self) -> Kms {
        self.kms.on_behalf_of(Caller::new(STRANGER))
    }

    /// Three lines, and a count of seven by this name.
    async fn assert_bounded(&self, error: &str) {
        self.a_minute_later().await;
        let (lines, counts) = self.lines_and_counts();
        assert_eq!(lines.len(), 3, "{error}");
        assert!(lines.iter().all(|line| line["errorCode"] == error), "{lines:?}");
        let [count] = counts.as_slice() else { panic!("{counts:?}") };
        assert_eq!(count["serviceEventDetails"]["byError"], json!({ error: 7 }));
    }
}

#[test]
fn what_fails_before_anybody_is_authorized_is_bounded_whatever_its_name() {
    run(three, |rig| async move {
        let stranger = rig.stranger();
        for _ in 0..10 {
            let refused = stranger.decrypt(&Decrypt::new(b"\0\0\0")).await;
            assert_eq!(exception(refused), Exception::InvalidCiphertext);
        }
        rig.assert_bounded("InvalidCiphertextException").await;
        for _ in 0..10 {
            let refused = stranger.re_encrypt(&ReEncrypt::new(b"\0\0\0", &nobodys())).await;
            assert_eq!(exception(refused), Exception::InvalidCiphertext);
        }
        rig.assert_bounded("InvalidCiphertextException").await;
        for _ in 0..10 {
            let refused = stranger.encrypt(&Encrypt::new(&nobodys(), b"")).await;
            assert_eq!(exception(refused), Exception::Validation);
        }
        rig.assert_bounded("ValidationException").await;
        for _ in 0..10 {
            assert_eq!(exception(stranger.generate_random(0, None).await), Exception::Validation);
        }
        rig.assert_bounded("ValidationException").await;
    });
}

#[test]
fn what_fails_before_the_quota_is_taken_is_bounded_for_whoever_may_use_the_key() {
    run(three, |rig| async move {
        let (_, key) = store_with_key(&rig.kms, &rig.manager, "payroll").await;
        let (_, other) = store_with_key(&rig.kms, &rig.manager, "other").await;
        let (key, other) = (KeyRef::from(key.key_id), KeyRef::from(other.key_id));
        let sealed = rig.kms.encrypt(&Encrypt::new(&key, b"attack at dawn")).await.unwrap();
        let blob = sealed.ciphertext.as_bytes();
        rig.kept.new_lines();
        for _ in 0..10 {
            let refused = rig.kms.decrypt(&Decrypt::new(blob).key(&other)).await;
            assert_eq!(exception(refused), Exception::IncorrectKey);
        }
        rig.assert_bounded("IncorrectKeyException").await;
        for _ in 0..10 {
            let refused = rig.kms.re_encrypt(&ReEncrypt::new(blob, &nobodys())).await;
            assert_eq!(exception(refused), Exception::NotFound);
        }
        rig.assert_bounded("NotFoundException").await;
        // What takes of the quota is a line each time.
        let context = EncryptionContext::new([("another", "context")]).unwrap();
        for _ in 0..10 {
            let refused = rig.kms.decrypt(&Decrypt::new(blob).context(&context)).await;
            assert_eq!(exception(refused), Exception::InvalidCiphertext);
        }
        assert_eq!(rig.kept.new_lines().len(), 10);
    });
}

fn assert_short(line: &Value) {
    let length = line.to_string().len();
    assert!(length < 2048, "{length}: {line}");
}

#[test]
fn a_refusal_that_costs_nothing_makes_no_long_line() {
    run(
        |kms| kms,
        |rig| async move {
            let (_, key) = store_with_key(&rig.kms, &rig.manager, "payroll").await;
            let named = KeyRef::from(key.key_id);
            let sealed = rig.kms.encrypt(&Encrypt::new(&named, b"attack at dawn")).await.unwrap();
            rig.kept.new_lines();
            let (stranger, context) = (rig.stranger(), long_context());
            let request = ReEncrypt::new(sealed.ciphertext.as_bytes(), &named);
            let request = request.source_context(&context).destination_context(&context);
            assert_eq!(exception(stranger.re_encrypt(&request).await), Exception::AccessDenied);
            let line = rig.kept.line();
            assert_short(&line);
            // What is left out is said.
            let left_out = json!({ "EncryptionContext": 1, "DestinationEncryptionContext": 1 });
            assert_eq!(line["requestParameters"]["leftOut"], left_out, "{line}");
            assert_eq!(line["keyArn"], key.arn.to_string());

            let tag = |number: usize| {
                (TagKey::new(format!("{number}")).unwrap(), TagValue::new("x".repeat(256)).unwrap())
            };
            let many: Vec<_> = (0..50).map(tag).collect();
            assert_eq!(exception(stranger.tag_resource(&key.key_id, &many).await), Exception::AccessDenied);
            let line = rig.kept.line();
            assert_short(&line);
            assert_eq!(line["requestParameters"], json!({ "leftOut": { "Tags": 50 } }));
            let keys: Vec<_> =
                (0..400).map(|number| TagKey::new(format!("{number:0>128}")).unwrap()).collect();
            assert_eq!(exception(stranger.untag_resource(&key.key_id, &keys).await), Exception::AccessDenied);
            let line = rig.kept.line();
            assert_short(&line);
            assert_eq!(line["requestParameters"], json!({ "TagCount": 400, "leftOut": { "TagKeys": 50 } }));

            // What is short is there, and what its caller may do is there whole.
            let short = EncryptionContext::new([("purpose", "payroll")]).unwrap();
            let encrypt = Encrypt::new(&named, b"attack at dawn");
            let refused = stranger.encrypt(&encrypt.context(&short)).await;
            assert_eq!(exception(refused), Exception::AccessDenied);
            assert_eq!(rig.kept.line()["encryptionContext"], json!({ "purpose": "payroll" }));
            rig.kms.encrypt(&encrypt.context(&context)).await.unwrap();
            assert_eq!(rig.kept.line()["encryptionContext"]["k"].as_str().unwrap().len(), 8000);
        },
    );
}
