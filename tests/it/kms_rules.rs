//! Who may do what: rules that are written down, and an authorizer of the application's own.

use std::future::Future;

use custom_key_store::backend::BackingKeyId;
use custom_key_store::backend::software::KeyManager;
use custom_key_store::kms::{
    Action, AuthorizationRequest, Authorizer, Decision, Decrypt, Encrypt, Exception, InvalidRule,
    InvalidRules, KeyRef, Kms, Permission, ReEncrypt, Rule, Rules,
};
use custom_key_store::{
    AliasName, Caller, KeyId, KeyMetadata, KeyStore, NewKey, PageRequest, StoreId, StoreName, TagKey,
    TagValue,
};

use crate::kms::support::{builder, drive, exception, external, store_with_key};
use crate::support::ledger;

const ROOT: &str = "arn:aws:iam::111122223333:root";
const PAYROLL: &str = "arn:aws:iam::111122223333:role/payroll";

#[derive(serde::Deserialize)]
struct Configuration {
    rules: Rules,
}

fn rules(toml: &str) -> Rules {
    toml::from_str::<Configuration>(toml).unwrap().rules
}

fn asks(rules: &Rules, principal: &str, action: Action) -> Decision {
    rules.authorize(&AuthorizationRequest::new(principal, action))
}

/// Runs a test on stores under these rules, which let the account itself do everything.
fn run<F: Future<Output = ()>>(mut rules: Vec<Rule>, test: impl FnOnce(Kms, KeyManager) -> F) {
    rules.push(Rule::allow([ROOT], ["*"]).unwrap());
    let manager = KeyManager::new();
    let ledger = ledger();
    futures::executor::block_on(async {
        let opening = builder(&ledger, &manager).authorizer(Rules::new(rules)).open();
        let (kms, driver) = opening.await.unwrap();
        drive(driver, test(kms, manager)).await;
    });
}

fn payroll(kms: &Kms) -> Kms {
    kms.on_behalf_of(Caller::new(PAYROLL))
}

#[test]
fn without_any_rule_that_allows_it_nobody_may_do_anything() {
    let none = Rules::default();
    assert!(none.is_empty());
    for action in Action::ALL {
        assert_eq!(asks(&none, ROOT, *action), Decision::Deny, "{action}");
    }
}

#[test]
fn what_one_rule_denies_is_denied_whatever_the_others_allow_and_in_whichever_order() {
    let allow = Rule::allow(["arn:aws:iam::111122223333:*"], ["*"]).unwrap();
    let deny = Rule::deny(["*:role/payroll"], ["kms:*KeyDeletion"]).unwrap();
    for rules in [vec![allow.clone(), deny.clone()], vec![deny, allow]] {
        let rules = Rules::new(rules);
        assert_eq!(asks(&rules, PAYROLL, Action::ScheduleKeyDeletion), Decision::Deny);
        assert_eq!(asks(&rules, PAYROLL, Action::CancelKeyDeletion), Decision::Deny);
        assert_eq!(asks(&rules, PAYROLL, Action::DisableKey), Decision::Allow);
        assert_eq!(asks(&rules, ROOT, Action::ScheduleKeyDeletion), Decision::Allow);
        assert_eq!(asks(&rules, "arn:aws:iam::444455556666:root", Action::DisableKey), Decision::Deny);
    }
}

#[test]
fn rules_are_read_from_toml() {
    let rules = rules(
        r#"
        [[rules]]
        principals = ["arn:aws:iam::111122223333:role/pay*"]
        actions = ["Encrypt", "kms:Decrypt"]
        keys = ["1234abcd-*", "arn:aws:kms:*:key/00000000-0000-0000-0000-000000000000"]

        [[rules]]
        effect = "Allow"
        principals = ["arn:aws:iam::111122223333:root"]
        actions = ["*"]
        stores = ["cks-0*"]

        [[rules]]
        effect = "Deny"
        principals = ["*"]
        actions = ["DeleteCustomKeyStore"]
        "#,
    );
    let identity = ledger().identity().clone();
    let key = |id: &str| id.parse::<KeyId>().unwrap().arn(&identity);
    let (known, other) =
        (key("1234abcd-12ab-34cd-56ef-1234567890ab"), key("22222222-12ab-34cd-56ef-1234567890ab"));
    let nil = key("00000000-0000-0000-0000-000000000000");
    let (store, stranger) = (StoreId::new("cks-0123").unwrap(), StoreId::new("cks-9").unwrap());
    let ask = |principal, action| AuthorizationRequest::new(principal, action);
    for (request, expected) in [
        (ask(PAYROLL, Action::Encrypt).on_key(&known), Decision::Allow),
        (ask(PAYROLL, Action::Decrypt).on_key(&nil).in_store(&stranger), Decision::Allow),
        (ask(PAYROLL, Action::Encrypt).on_key(&other), Decision::Deny),
        (ask(PAYROLL, Action::GenerateDataKey).on_key(&known), Decision::Deny),
        // A rule that names keys is about no call that concerns none.
        (ask(PAYROLL, Action::Encrypt), Decision::Deny),
        (ask(ROOT, Action::ConnectCustomKeyStore).in_store(&store), Decision::Allow),
        (ask(ROOT, Action::Encrypt).on_key(&other).in_store(&store), Decision::Allow),
        (ask(ROOT, Action::ConnectCustomKeyStore).in_store(&stranger), Decision::Deny),
        (ask(ROOT, Action::ListKeys), Decision::Deny),
        (ask(ROOT, Action::DeleteCustomKeyStore).in_store(&store), Decision::Deny),
    ] {
        assert_eq!(rules.authorize(&request), expected, "{request:?}");
    }
}

#[test]
fn a_rule_that_can_never_match_is_an_error_that_says_why() {
    let some = || Rule::allow(["*"], ["*"]).unwrap();
    let none: [&str; 0] = [];
    for (made, expected) in [
        (Rule::allow(none, ["*"]), InvalidRule::Empty("principals")),
        (Rule::allow(["*"], none), InvalidRule::Empty("actions")),
        (some().keys(none), InvalidRule::Empty("keys")),
        (some().stores(none), InvalidRule::Empty("stores")),
        (Rule::allow(["*"], ["Encrypt", "Sign"]), InvalidRule::Action("Sign".to_owned())),
        (Rule::allow(["*"], ["encrypt"]), InvalidRule::Action("encrypt".to_owned())),
        (Rule::deny(["*"], ["s3:*"]), InvalidRule::Action("s3:*".to_owned())),
        (Rule::allow(["*"], ["kms:kms:Encrypt"]), InvalidRule::Action("kms:kms:Encrypt".to_owned())),
        (Rule::allow(["*"], ["ReEncrypt"]), InvalidRule::ReEncrypt),
        (Rule::allow(["*"], ["kms:ReEncrypt"]), InvalidRule::ReEncrypt),
        (Rule::allow(["*"], ["ReEncryptTwo"]), InvalidRule::Action("ReEncryptTwo".to_owned())),
        (Rule::allow([""], ["*"]), InvalidRule::Principal(String::new())),
        (Rule::deny(["*:role/pаyroll"], ["*"]), InvalidRule::Principal("*:role/pаyroll".to_owned())),
        (Rule::allow(["p".repeat(2049)], ["*"]), InvalidRule::Principal("p".repeat(2049))),
        (Rule::allow(["a\n*"], ["*"]), InvalidRule::Principal("a\n*".to_owned())),
        (some().keys(["alias/payroll"]), InvalidRule::Key("alias/payroll".to_owned())),
        (some().keys(["*alias/*"]), InvalidRule::Key("*alias/*".to_owned())),
        (some().keys(["1234ABCD*"]), InvalidRule::Key("1234ABCD*".to_owned())),
        (some().keys(["1234abcd"]), InvalidRule::Key("1234abcd".to_owned())),
        (some().keys(["1234abcd-12ab-*é"]), InvalidRule::Key("1234abcd-12ab-*é".to_owned())),
        (some().keys(["arn:aws:kms:r:1:key/x"]), InvalidRule::Key("arn:aws:kms:r:1:key/x".to_owned())),
        (some().stores([""]), InvalidRule::Store(String::new())),
        (some().stores(["cks\0*"]), InvalidRule::Store("cks\0*".to_owned())),
        (
            Rule::allow(["*"], ["ListKeys", "CreateCustomKeyStore"]).unwrap().stores(["*"]),
            InvalidRule::NeverConcerned("stores"),
        ),
        (
            Rule::allow(["*"], ["CreateKey", "*CustomKeyStore*"]).unwrap().keys(["*"]),
            InvalidRule::NeverConcerned("keys"),
        ),
    ] {
        assert_eq!(made.unwrap_err(), expected);
        // It says what there is to be done, or what is right.
        let said = expected.to_string();
        assert!(said.starts_with("the rule ") && said.split_once(": ").is_some(), "{said}");
    }
}

/// Before anybody calls: what a rule misses by is seen when the program starts.
#[test]
fn a_rule_about_keys_of_another_account_or_region_keeps_the_kms_from_opening_and_says_which_it_is() {
    let ledger = ledger();
    let id = "1234abcd-12ab-34cd-56ef-1234567890ab";
    let here = KeyId::new(id).unwrap().arn(ledger.identity());
    let (partition, region, account) =
        (&ledger.identity().partition, &ledger.identity().region, &ledger.identity().account);
    let open = |keys: &[&str]| {
        let rules = Rules::new(vec![
            Rule::allow([ROOT], ["*"]).unwrap(),
            Rule::deny(["*"], ["*"]).unwrap().keys(keys).unwrap(),
        ]);
        futures::executor::block_on(builder(&ledger, &KeyManager::new()).authorizer(rules).open()).map(drop)
    };
    for fits in [
        id,
        here.as_str(),
        "*",
        "1234*",
        "*-1234567890ab",
        &format!("arn:*:{account}:key/*"),
        &format!("arn:{partition}:kms:{region}:{account}:*"),
        &format!("arn:*:{region}:*{id}"),
        // Of several each has to.
        "arn:*",
    ] {
        open(&[id, fits]).unwrap();
    }
    for misses in [
        format!("arn:{partition}:kms:{region}:999999999999:key/{id}"),
        format!("arn:{partition}:kms:{region}:999999999999:key/*"),
        format!("arn:{partition}:kms:mars-north-1:{account}:key/*"),
        format!("arn:aws-cn:kms:*:{account}:key/*"),
        format!("arn:*:iam:{region}:{account}:key/*"),
        format!("arn:{partition}:kms:{region}:{account}:{id}*"),
        "arn:*:key/*-1234".to_owned(),
        "key/*".to_owned(),
    ] {
        let error = open(&[id, &misses]).unwrap_err();
        assert_eq!(error.exception(), Exception::Validation);
        let (told, begin) = (error.message(), here.as_str().strip_suffix(id).unwrap());
        for part in ["rule 2", &misses, begin, "by its id"] {
            assert!(told.contains(part), "{part} is not in: {told}");
        }
    }
}

/// Two permissions, as AWS has it, each on the key that it is about.
#[test]
fn re_encrypting_takes_one_permission_on_the_key_it_is_from_and_another_on_the_key_it_is_to() {
    let manager = KeyManager::new();
    let ledger = ledger();
    futures::executor::block_on(async {
        let (store, mine, other) = {
            let (kms, driver) = builder(&ledger, &manager).open().await.unwrap();
            drive(driver, two_keys(&kms, &manager)).await
        };
        let (mine, other) = (mine.key_id, other.key_id);
        let on = |actions: &[&str], key: KeyId| {
            Rule::allow([PAYROLL], actions).unwrap().keys([key.to_string()]).unwrap()
        };
        for (rules, there, back) in [
            (vec![on(&["ReEncryptFrom"], mine), on(&["kms:ReEncryptTo"], other)], true, false),
            (vec![on(&["ReEncryptTo"], mine), on(&["ReEncryptFrom"], other)], false, true),
            (vec![on(&["kms:ReEncrypt*"], mine), on(&["ReEncrypt*"], other)], true, true),
            (vec![on(&["ReEncryptFrom"], mine), on(&["ReEncryptFrom"], other)], false, false),
            (vec![on(&["ReEncrypt*"], mine)], false, false),
            // Who may do both halves by themselves may not do this.
            (vec![on(&["Encrypt", "Decrypt"], mine), on(&["Encrypt", "Decrypt"], other)], false, false),
            (
                vec![
                    on(&["*"], mine),
                    on(&["*"], other),
                    Rule::deny(["*"], ["ReEncryptTo"]).unwrap().keys([mine.to_string()]).unwrap(),
                ],
                true,
                false,
            ),
        ] {
            let shown = format!("{rules:?}");
            let rules = [rules, vec![Rule::allow([ROOT], ["*"]).unwrap()]].concat();
            let opening = builder(&ledger, &manager).authorizer(Rules::new(rules)).open();
            let (kms, driver) = opening.await.unwrap();
            drive(driver, async {
                let connected = custom_key_store::ConnectionState::Connected;
                crate::kms::support::until(&kms, &store, connected).await;
                for (from, to, may) in [(mine, other, there), (other, mine, back)] {
                    let (from, to) = (KeyRef::from(from), KeyRef::from(to));
                    let sealed = kms.encrypt(&Encrypt::new(&from, b"x")).await.unwrap().ciphertext;
                    let request = ReEncrypt::new(sealed.as_bytes(), &to);
                    for (request, done) in [
                        (request, None),
                        (request.source_key(&from), None),
                        (request.dry_run(true), Some(Exception::DryRunOperation)),
                    ] {
                        let expected = if may { done } else { Some(Exception::AccessDenied) };
                        let answer = payroll(&kms).re_encrypt(&request).await;
                        let refused = answer.as_ref().err().map(custom_key_store::kms::KmsError::exception);
                        assert_eq!(refused, expected, "{shown}");
                        if let (Err(error), false) = (&answer, may) {
                            assert!(error.message().contains("kms:ReEncrypt"), "{error}");
                        }
                    }
                }
            })
            .await;
        }
    });
}

/// As AWS has it: tags decide who may do what, elsewhere.
#[test]
fn a_key_with_tags_is_made_by_whoever_may_tag_keys_that_are_not_there_yet() {
    let id = "1234abcd-12ab-34cd-56ef-1234567890ab";
    let allow = |actions: &[&str]| Rule::allow([PAYROLL], actions).unwrap();
    let deny = |action: &str| Rule::deny([PAYROLL], [action]).unwrap();
    for (rules, may, may_tag) in [
        (vec![allow(&["CreateKey"])], true, false),
        (vec![allow(&["TagResource"])], false, false),
        (vec![allow(&["CreateKey", "kms:TagResource"])], true, true),
        (vec![allow(&["CreateKey"]), allow(&["TagResource"]).stores(["cks-*"]).unwrap()], true, true),
        (
            vec![allow(&["CreateKey"]), allow(&["TagResource"]).stores(["cks-00000000000000000"]).unwrap()],
            true,
            false,
        ),
        // Not by a rule about keys that there are.
        (vec![allow(&["CreateKey"]), allow(&["TagResource"]).keys(["*"]).unwrap()], true, false),
        (vec![allow(&["*"]), deny("TagResource").keys([id]).unwrap()], true, true),
        (vec![allow(&["*"]), deny("TagResource")], true, false),
        (vec![allow(&["*"]), deny("CreateKey")], false, false),
    ] {
        let shown = format!("{rules:?}");
        run(rules, |kms, manager| async move {
            let (store, _) = store_with_key(&kms, &manager, "rules").await;
            for (name, is_allowed) in [("plain", may), ("tagged", may_tag)] {
                let backing = BackingKeyId::new(name).unwrap();
                manager.create_key(backing.clone());
                let mut new = NewKey::external(backing);
                if name == "tagged" {
                    new = new.tag(TagKey::new("team").unwrap(), TagValue::new("pay").unwrap());
                }
                match payroll(&kms).create_key(&store, &new).await {
                    Ok(_) => assert!(is_allowed, "{name}: {shown}"),
                    Err(error) => {
                        assert!(!is_allowed, "{name}: {shown}");
                        assert_eq!(error.exception(), Exception::AccessDenied);
                        let missing = if may { "kms:TagResource on" } else { "kms:CreateKey on" };
                        assert!(error.message().contains(missing), "{error}");
                        // Nothing was made, which would have taken the external key.
                        kms.create_key(&store, &new).await.unwrap();
                    }
                }
            }
        });
    }
}

#[test]
fn a_request_that_does_not_say_which_half_of_re_encrypt_it_is_about_takes_both() {
    for (actions, from, to) in [
        (&["ReEncryptFrom"][..], true, false),
        (&["ReEncryptTo"], false, true),
        (&["ReEncrypt*"], true, true),
        (&["ReEncryptFrom", "ReEncryptTo"], true, true),
        (&["Encrypt"], false, false),
    ] {
        let rules = Rules::new(vec![Rule::allow(["*"], actions).unwrap()]);
        let may = |permission: Permission| {
            rules.authorize(&AuthorizationRequest::new(ROOT, permission)) == Decision::Allow
        };
        assert_eq!(may(Permission::ReEncryptFrom), from, "{actions:?}");
        assert_eq!(may(Permission::ReEncryptTo), to, "{actions:?}");
        assert_eq!(may(Action::ReEncrypt.into()), from && to, "{actions:?}");
    }
    for permission in [Permission::ReEncryptFrom, Permission::ReEncryptTo, Action::ReEncrypt.into()] {
        let request = AuthorizationRequest::new(ROOT, permission);
        assert_eq!((request.action, permission.action()), (Action::ReEncrypt, Action::ReEncrypt));
        assert_eq!(permission.to_string(), permission.as_str());
    }
}

#[test]
fn what_toml_says_otherwise_is_an_error() {
    let base = "[[rules]]\nprincipals = [\"*\"]\n";
    for (rest, says) in [
        ("actions = [\"Sing\"]", "Sing"),
        ("actions = []", "empty list of actions"),
        ("actions = [\"*\"]\nkey = [\"*\"]", "key"),
        ("actions = [\"*\"]\neffect = \"deny\"", "deny"),
        ("actions = \"*\"", "actions"),
        ("", "actions"),
    ] {
        let error = toml::from_str::<Configuration>(&format!("{base}{rest}")).map(|_| ()).unwrap_err();
        assert!(error.to_string().contains(says), "{rest}: {error}");
    }
    // Which of them it is, and where.
    let wrong = format!("{base}actions = [\"*\"]\n{base}actions = [\"ReEncrypt\"]");
    let error = toml::from_str::<Configuration>(&wrong).map(|_| ()).unwrap_err();
    assert!(error.message().contains("rule 2: the rule names ReEncrypt"), "{error}");
    let before = error.span().and_then(|span| wrong.get(..span.start)).unwrap();
    assert_eq!(before.matches("[[rules]]").count(), 1, "{before}");
    let rule: Result<Rule, _> = toml::from_str("principals = [\"*\"]\nactions = [\"Sing\"]");
    assert!(rule.unwrap_err().message().contains("\"Sing\""));
    // Nor does it matter from which format.
    let other = "arn:aws:kms:mars-north-1:999999999999:key/*";
    let written = serde_json::json!([{ "principals": ["*"], "actions": ["*"], "keys": [other] }]);
    let rules: Rules = serde_json::from_value(written).unwrap();
    let error = rules.check(ledger().identity()).unwrap_err();
    let error = error.downcast_ref::<InvalidRules>().unwrap();
    assert_eq!(error.number(), 1);
    assert!(matches!(error.error(), InvalidRule::KeyElsewhere { key, .. } if key == other));
}

/// A rule that denies and never matches would be the dangerous one.
#[test]
fn a_rule_about_stores_that_there_are_not_and_cannot_be_keeps_what_it_is_to_rule_from_opening() {
    let manager = KeyManager::new();
    let ledger = ledger();
    let under = |pattern: &str| {
        let denies = Rule::deny([PAYROLL], ["DisableKey"]).unwrap().stores(["cks-*", pattern]).unwrap();
        let rules = Rules::new(vec![Rule::allow(["*"], ["*"]).unwrap(), denies]);
        builder(&ledger, &manager).authorizer(rules).open()
    };
    futures::executor::block_on(async {
        for ok in ["*", "cks-*", "*0", "cks-00000000000000000", "cks-*f*"] {
            drop(under(ok).await.unwrap());
        }
        let wrong = ["payroll", "pay*", "cks-1", "cks-0000000000000000g", "CKS-*", "cks-00000000000000000*0"];
        for wrong in wrong {
            let error = under(wrong).await.map(drop).unwrap_err();
            assert_eq!(error.exception(), Exception::Validation, "{wrong}");
            let says = format!("rule 2: the rule names {wrong:?}, and no custom key store");
            assert!(error.message().starts_with(&says), "{error}");
        }
        // One that the application has given an id of its own.
        let made = KeyStore::builder(manager.clone()).id(StoreId::new("payroll").unwrap());
        drop(made.create(&ledger, StoreName::new("payroll").unwrap()).await.unwrap());
        for ok in ["payroll", "pay*"] {
            drop(under(ok).await.unwrap());
        }
        assert_eq!(under("payrol").await.map(drop).unwrap_err().exception(), Exception::Validation);
    });
}

/// Two keys of one store, of which the first is called `alias/mine` and the second `alias/other`.
async fn two_keys(kms: &Kms, manager: &KeyManager) -> (StoreId, KeyMetadata, KeyMetadata) {
    let (store, mine) = store_with_key(kms, manager, "rules").await;
    let backing = BackingKeyId::new("another").unwrap();
    manager.create_key(backing.clone());
    let other = kms.create_key(&store, &NewKey::external(backing)).await.unwrap();
    kms.create_alias(&alias("alias/mine"), &mine.key_id).await.unwrap();
    kms.create_alias(&alias("alias/other"), &other.key_id).await.unwrap();
    (store, mine, other)
}

fn alias(name: &str) -> AliasName {
    AliasName::new(name).unwrap()
}

/// Rules by which the account itself may do everything, and a role everything with these keys.
fn about_keys_of(toml_keys: &str) -> Rules {
    rules(&format!(
        "[[rules]]\nprincipals = [\"{ROOT}\"]\nactions = [\"*\"]\n[[rules]]\nprincipals = [\"{PAYROLL}\"]\nactions = \
         [\"*\"]\nkeys = [\"{toml_keys}\"]\n"
    ))
}

/// Runs a test as a caller who may do everything with one of two keys, and nothing else.
fn run_for_one_key<F: Future<Output = ()>>(test: impl FnOnce(Kms, KeyMetadata, KeyMetadata) -> F) {
    let manager = KeyManager::new();
    let ledger = ledger();
    futures::executor::block_on(async {
        let (mine, other) = {
            let (kms, driver) = builder(&ledger, &manager).open().await.unwrap();
            let (_, mine, other) = drive(driver, two_keys(&kms, &manager)).await;
            (mine, other)
        };
        let rules = about_keys_of(mine.arn.as_str());
        let (kms, driver) = builder(&ledger, &manager).authorizer(rules).open().await.unwrap();
        drive(driver, async {
            crate::kms::support::until(
                &kms,
                &mine.custom_key_store_id,
                custom_key_store::ConnectionState::Connected,
            )
            .await;
            test(kms, mine, other).await;
        })
        .await;
    });
}

#[test]
fn who_may_use_one_key_may_use_it_by_every_name_and_no_other() {
    run_for_one_key(|kms, mine, other| async move {
        let caller = payroll(&kms);
        for name in [KeyRef::from(mine.key_id), KeyRef::from(alias("alias/mine"))] {
            let sealed = caller.encrypt(&Encrypt::new(&name, b"x")).await.unwrap();
            let blob = sealed.ciphertext.as_bytes();
            caller.decrypt(&Decrypt::new(blob)).await.unwrap();
            caller.decrypt(&Decrypt::new(blob).key(&name)).await.unwrap();
            assert_eq!(caller.describe_key(&name).await.unwrap().arn, mine.arn);
        }
        caller.disable_key(&mine.key_id).await.unwrap();
        caller.enable_key(&mine.key_id).await.unwrap();

        let mine = KeyRef::from(mine.key_id);
        let of_mine = caller.encrypt(&Encrypt::new(&mine, b"x")).await.unwrap().ciphertext;
        for name in [KeyRef::from(other.key_id), KeyRef::from(alias("alias/other"))] {
            let sealed = kms.encrypt(&Encrypt::new(&name, b"x")).await.unwrap().ciphertext;
            let denied = Exception::AccessDenied;
            assert_eq!(exception(caller.encrypt(&Encrypt::new(&name, b"x")).await), denied);
            assert_eq!(exception(caller.decrypt(&Decrypt::new(sealed.as_bytes())).await), denied);
            assert_eq!(exception(caller.describe_key(&name).await), denied);
            // Both keys count.
            let there = ReEncrypt::new(of_mine.as_bytes(), &name);
            assert_eq!(exception(caller.re_encrypt(&there).await), denied);
            let back = ReEncrypt::new(sealed.as_bytes(), &mine);
            assert_eq!(exception(caller.re_encrypt(&back).await), denied);
        }
        assert_eq!(exception(caller.disable_key(&other.key_id).await), Exception::AccessDenied);
        assert_eq!(exception(caller.list_keys(&PageRequest::default()).await), Exception::AccessDenied);
    });
}

#[test]
fn an_alias_is_moved_by_whoever_may_take_it_and_give_it() {
    run_for_one_key(|kms, mine, other| async move {
        let caller = payroll(&kms);
        let (name, others) = (alias("alias/mine"), alias("alias/other"));
        let denied = Exception::AccessDenied;
        assert_eq!(exception(caller.update_alias(&others, &mine.key_id).await), denied);
        assert_eq!(exception(caller.update_alias(&name, &other.key_id).await), denied);
        assert_eq!(exception(caller.delete_alias(&others).await), denied);
        assert_eq!(exception(caller.create_alias(&alias("alias/new"), &other.key_id).await), denied);
        assert_eq!(kms.describe_key(&others.into()).await.unwrap().arn, other.arn);

        caller.update_alias(&name, &mine.key_id).await.unwrap();
        caller.create_alias(&alias("alias/new"), &mine.key_id).await.unwrap();
        caller.delete_alias(&alias("alias/new")).await.unwrap();
        caller.delete_alias(&name).await.unwrap();
    });
}

#[test]
fn who_may_not_know_what_is_there_does_not_learn_what_is_not() {
    run_for_one_key(|kms, _mine, other| async move {
        let caller = payroll(&kms);
        let nobody: KeyId = "00000000-0000-0000-0000-000000000000".parse().unwrap();
        let nobody = [KeyRef::from(nobody), KeyRef::from(alias("alias/nobody"))];
        let message = |error: custom_key_store::kms::KmsError| {
            assert_eq!(error.exception(), Exception::AccessDenied);
            error.message().to_owned()
        };
        let there = message(caller.describe_key(&other.key_id.into()).await.unwrap_err());
        for name in &nobody {
            assert_eq!(message(caller.describe_key(name).await.unwrap_err()), there);
            message(caller.encrypt(&Encrypt::new(name, b"x")).await.unwrap_err());
            assert_eq!(exception(kms.describe_key(name).await), Exception::NotFound);
        }
        message(caller.delete_alias(&alias("alias/nobody")).await.unwrap_err());
    });
}

#[test]
fn who_may_manage_one_store_may_manage_no_other() {
    let one = Rule::allow([PAYROLL], ["*"]).unwrap().stores(["cks-*"]).unwrap();
    run(vec![one], |kms, manager| async move {
        let (store, key) = store_with_key(&kms, &manager, "one").await;
        let caller = payroll(&kms);
        caller.describe_custom_key_store(&store).await.unwrap();
        caller.describe_key(&key.key_id.into()).await.unwrap();
        caller.disconnect_custom_key_store(&store).await.unwrap();
        let denied = Exception::AccessDenied;
        let all = caller.describe_custom_key_stores(&PageRequest::default()).await;
        assert_eq!(exception(all), denied);
        assert_eq!(exception(caller.create_custom_key_store(external("two")).await), denied);
        let elsewhere = StoreId::new("another").unwrap();
        assert_eq!(exception(caller.connect_custom_key_store(&elsewhere).await), denied);
        assert_eq!(exception(caller.generate_random(1, None).await), denied);
        assert_eq!(
            exception(kms.connect_custom_key_store(&elsewhere).await),
            Exception::CustomKeyStoreNotFound
        );
    });
}

#[test]
fn an_authorizer_that_panics_denies_and_nothing_else_suffers() {
    #[derive(Debug)]
    struct Broken;

    impl Authorizer for Broken {
        fn authorize(&self, request: &AuthorizationRequest<'_>) -> Decision {
            assert_ne!(request.principal, PAYROLL, "which is what this test wants");
            Decision::Allow
        }
    }

    let manager = KeyManager::new();
    let ledger = ledger();
    futures::executor::block_on(async {
        let (kms, driver) = builder(&ledger, &manager).authorizer(Broken).open().await.unwrap();
        drive(driver, async {
            let (store, key) = store_with_key(&kms, &manager, "one").await;
            let caller = payroll(&kms);
            let key = KeyRef::from(key.key_id);
            let failed = Exception::KmsInternal;
            assert_eq!(exception(caller.encrypt(&Encrypt::new(&key, b"x")).await), failed);
            assert_eq!(exception(caller.describe_key(&key).await), failed);
            assert_eq!(exception(caller.disconnect_custom_key_store(&store).await), failed);
            kms.encrypt(&Encrypt::new(&key, b"x")).await.unwrap();
        })
        .await;
    });
}

#[test]
fn each_operation_is_judged_by_its_own_name() {
    let listing = Rule::allow([PAYROLL], ["ListKeyPolicies"]).unwrap();
    run(vec![listing], |kms, manager| async move {
        let (_, key) = store_with_key(&kms, &manager, "one").await;
        let caller = payroll(&kms);
        assert_eq!(caller.list_key_policies(&key.key_id).await.unwrap(), ["default"]);
        assert_eq!(exception(caller.key_policy(&key.key_id).await), Exception::AccessDenied);
    });
}
