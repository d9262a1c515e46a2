//! Who may do what: rules that are written down, and an authorizer of the application's own.

use std::future::Future;

use custom_key_store::backend::BackingKeyId;
use custom_key_store::backend::software::KeyManager;
use custom_key_store::kms::{
    Action, AuthorizationRequest, Authorizer, Decision, Decrypt, Encrypt, Exception, InvalidRule, KeyRef,
    Kms, ReEncrypt, Rule, Rules,
};
use custom_key_store::{AliasName, Caller, KeyId, KeyMetadata, NewKey, PageRequest, StoreId};

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
        (Rule::allow([""], ["*"]), InvalidRule::Principal(String::new())),
        (Rule::allow(["a\n*"], ["*"]), InvalidRule::Principal("a\n*".to_owned())),
        (some().keys(["alias/payroll"]), InvalidRule::Key("alias/payroll".to_owned())),
        (some().keys(["*alias/*"]), InvalidRule::Key("*alias/*".to_owned())),
        (some().keys(["1234ABCD*"]), InvalidRule::Key("1234ABCD*".to_owned())),
        (some().keys(["1234abcd"]), InvalidRule::Key("1234abcd".to_owned())),
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
        assert!(!expected.to_string().is_empty());
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
