//! What a backend says of itself, and what it makes of changes.

use std::sync::Arc;

use super::Suite;
use super::link::pattern;
use crate::backend::{
    Backend, Change, CloudHsmClusterId, CustomKeyStoreType, InvalidChange, KeyStorePassword, StoreName,
    UriPath,
};
use crate::conformance::{Expect as _, Outcome, checks, ensure, failed};
use crate::value::InvalidValue;

checks!("configuration": stable, unchanged_by_name, change_applied, foreign_change_refused, nothing_shown);

async fn stable(suite: &Suite) -> Outcome {
    let before = suite.backend.configuration();
    let again = suite.backend.configuration();
    ensure(again == before, || format!("it was {before:?} and is {again:?}"))?;
    suite.connect().await?.still_works("connected").await?;
    let after = suite.backend.configuration();
    ensure(after == before, || format!("it was {before:?}, and {after:?} after a connection"))
}

/// A change of nothing, or of the name, which is the store's affair, gives the same backend again.
async fn unchanged_by_name(suite: &Suite) -> Outcome {
    let name = valid(StoreName::new("conformance"))?;
    for change in [Change::new(), Change::new().name(name)] {
        let changed = reconfigured(suite, &change)?;
        let (was, is) = (suite.backend.configuration(), changed.configuration());
        ensure(is == was, || format!("{change:?} made {is:?} of {was:?}"))?;
    }
    Ok(())
}

/// The one property of each type whose change needs no second key manager.
async fn change_applied(suite: &Suite) -> Outcome {
    let before = suite.backend.configuration();
    let change = match before.store_type() {
        CustomKeyStoreType::ExternalKeyStore => {
            Change::new().uri_path(valid(UriPath::new("/conformance/kms/xks/v1"))?)
        }
        CustomKeyStoreType::AwsCloudhsm => {
            Change::new().cluster_id(valid(CloudHsmClusterId::new("cluster-conformance"))?)
        }
    };
    match suite.backend.reconfigured(&change) {
        Ok(changed) => {
            let expected = change.apply_to(&before).or_else(|error| failed(format!("{error}")))?;
            let is = changed.configuration();
            ensure(is == expected, || format!("{change:?} made {is:?} of {before:?}"))?;
        }
        Err(InvalidChange::Unsupported { .. }) => {}
        Err(error) => return failed(format!("{change:?}: {error}")),
    }
    let after = suite.backend.configuration();
    ensure(after == before, || format!("{change:?} changed the backend it was applied to: {after:?}"))
}

async fn foreign_change_refused(suite: &Suite) -> Outcome {
    let change = match suite.backend.configuration().store_type() {
        CustomKeyStoreType::ExternalKeyStore => {
            Change::new().password(valid(KeyStorePassword::new("conformance"))?)
        }
        CustomKeyStoreType::AwsCloudhsm => {
            Change::new().uri_path(valid(UriPath::new("/conformance/kms/xks/v1"))?)
        }
    };
    match suite.backend.reconfigured(&change) {
        Err(InvalidChange::WrongStoreType { .. }) => Ok(()),
        other => failed(format!("{change:?}: expected WrongStoreType, got {other:?}")),
    }
}

/// `Debug` of backend and connection holds neither plaintext, key nor another secret, in any usual spelling.
async fn nothing_shown(suite: &Suite) -> Outcome {
    let link = suite.connect().await?;
    let plaintext = pattern(32, 0xc3);
    let key = &suite.keys.usable;
    let ciphertext = link.encrypt(key, &plaintext, b"").await.or_fail("encrypt")?;
    link.decrypt(key, &ciphertext, b"").await.or_fail("decrypt")?;

    let shown = [
        format!("{:?}", suite.backend),
        format!("{:#?}", suite.backend),
        format!("{:?}", link.connection),
        format!("{:#?}", link.connection),
    ];
    for text in shown {
        ensure(!shows(&text, &plaintext), || "Debug shows a plaintext".into())?;
        let secrets = suite.key_material.iter().chain(&suite.secrets);
        for secret in secrets.filter(|secret| !secret.is_empty()) {
            ensure(!shows(&text, secret.expose()), || "Debug shows a key or another secret".into())?;
        }
    }
    Ok(())
}

/// Whether the text holds the first bytes as text with escapes, as hexadecimal digits or as a list of numbers.
fn shows(text: &str, secret: &[u8]) -> bool {
    let (secret, _) = secret.split_at(secret.len().min(12));
    let all =
        |spelling: fn(&u8) -> String, between| secret.iter().map(spelling).collect::<Vec<_>>().join(between);
    // Without the spaces and line breaks that lists come with, and without regard to the case of digits.
    let packed: String =
        text.chars().filter(|character| !character.is_whitespace()).collect::<String>().to_lowercase();
    packed.contains(&all(|byte| byte.to_string(), ","))
        || packed.contains(&all(|byte| format!("{byte:x}"), ","))
        || packed.contains(&all(|byte| format!("{byte:02x}"), ","))
        || packed.contains(&all(|byte| format!("{byte:02x}"), ""))
        || text.contains(&secret.escape_ascii().to_string())
}

fn reconfigured(suite: &Suite, change: &Change) -> Outcome<Arc<dyn Backend>> {
    suite.backend.reconfigured(change).or_else(|error| failed(format!("{change:?}: {error}")))
}

/// The suite's own values are valid; should a rule ever change, the check fails instead of the process.
fn valid<T>(value: Result<T, InvalidValue>) -> Outcome<T> {
    value.or_else(|error| failed(format!("a value of the suite itself: {error}")))
}

#[cfg(test)]
mod tests {
    use super::shows;

    #[test]
    fn every_usual_spelling_is_seen() {
        let secret = *b"hunter2\x00\xff more";
        for text in [
            format!("{secret:?}"),
            format!("{secret:#?}"),
            format!("{secret:x?}"),
            format!("{secret:02x?}"),
            "68756e7465723200ff206d6f7265".into(),
            "68756E7465723200FF206D6F7265".into(),
            secret.escape_ascii().to_string(),
        ] {
            assert!(shows(&text, &secret), "{text}");
        }
        assert!(shows("Password(\"hunter2\")", b"hunter2"));
        assert!(!shows("Password(7 bytes)", b"hunter2"));
    }
}
