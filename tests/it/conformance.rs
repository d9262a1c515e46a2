//! The conformance suite passes what is right, and finds each thing that is wrong.

#![expect(
    clippy::unwrap_used,
    clippy::unwrap_in_result,
    reason = "helpers of tests are tests, which clippy.toml does not know"
)]

mod flawed;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use custom_key_store::SecretBytes;
use custom_key_store::backend::conformance::{Keys, Report, Suite, Verdict};
use custom_key_store::backend::software::{Fault, KeyManager, Method, SoftwareKey};
use custom_key_store::backend::{
    Backend, BackingKeyId, CloudHsmClusterId, CloudHsmConfiguration, KeyStatus, KeyUsages,
    StoreConfiguration, TrustAnchorCertificate,
};
use flawed::{Flaw, Flawed, Part};
use futures::executor::block_on;

const KEY: [u8; 32] = [0x42; 32];

fn id(name: &str) -> BackingKeyId {
    BackingKeyId::new(name).unwrap()
}

fn keys() -> Keys {
    Keys::new(id("usable"))
        .another(id("another"))
        .encrypt_only(id("encrypt-only"))
        .decrypt_only(id("decrypt-only"))
        .neither(id("neither"))
        .disabled(id("disabled"))
        .absent(id("absent"))
}

fn with_keys(manager: KeyManager) -> Arc<KeyManager> {
    manager.insert_key(id("usable"), SoftwareKey::from_bytes(&KEY));
    manager.create_key(id("another"));
    manager.insert_key(id("encrypt-only"), SoftwareKey::generate().usages(KeyUsages::ENCRYPT));
    manager.insert_key(id("decrypt-only"), SoftwareKey::generate().usages(KeyUsages::DECRYPT));
    manager.insert_key(id("neither"), SoftwareKey::generate().usages(KeyUsages::NONE));
    manager.insert_key(id("disabled"), SoftwareKey::generate().status(KeyStatus::Disabled));
    Arc::new(manager)
}

fn external() -> Arc<KeyManager> {
    with_keys(KeyManager::new())
}

fn cluster() -> Arc<KeyManager> {
    let configuration = CloudHsmConfiguration::new(CloudHsmClusterId::new("cluster-abcdefghijk").unwrap())
        .with_trust_anchor(TrustAnchorCertificate::new("-----BEGIN CERTIFICATE-----").unwrap());
    with_keys(KeyManager::builder().configuration(StoreConfiguration::CloudHsm(configuration)).build())
}

fn suite(backend: impl Backend) -> Suite {
    Suite::new(Arc::new(backend), keys())
        .usable_key_material(KEY)
        .secret(SecretBytes::from(b"hunter2".as_slice()))
        .largest_plaintext(KeyManager::MAX_PLAINTEXT_LEN)
        .largest_aad(KeyManager::MAX_AAD_LEN)
}

fn cluster_suite(backend: impl Backend) -> Suite {
    suite(backend).generates_keys(true).generates_random(true)
}

fn failed(report: &Report) -> BTreeSet<&'static str> {
    report.failures().map(|finding| finding.name).collect()
}

fn not_applicable(report: &Report) -> Vec<&'static str> {
    let findings = report.findings().iter();
    let skipped = findings.filter(|finding| matches!(finding.verdict, Verdict::NotApplicable(_)));
    skipped.map(|finding| finding.name).collect()
}

#[test]
fn passes_a_software_external_key_store() {
    let manager = external();
    let report = block_on(suite(Arc::clone(&manager)).run());
    report.assert();
    assert_eq!(
        not_applicable(&report),
        [
            "management::generated_keys",
            "management::random",
            "cancellation::generate_key",
            "cancellation::delete_key",
            "cancellation::generate_random",
        ],
    );
    assert_eq!(manager.open_connections(), 0);
}

#[test]
fn passes_a_software_cluster() {
    let manager = cluster();
    let report = block_on(cluster_suite(Arc::clone(&manager)).run());
    report.assert();
    assert_eq!(not_applicable(&report), ["management::unsupported_keys", "management::unsupported_random"],);
    assert_eq!(manager.open_connections(), 0);
    assert_eq!(manager.keys().len(), 6, "generated keys are deleted");
}

/// Calls that truly wait, so that they are dropped in the middle.
#[tokio::test(flavor = "multi_thread")]
async fn passes_a_slow_key_manager_under_tokio() {
    let manager = cluster();
    for method in Method::ALL {
        manager.always(*method, Fault::Delay(Duration::from_millis(1)));
    }
    cluster_suite(Arc::clone(&manager)).run().await.assert();
    assert_eq!(manager.open_connections(), 0);
}

#[test]
fn one_key_is_enough() {
    let manager = KeyManager::new();
    manager.create_key(id("only"));
    let report = block_on(Suite::new(Arc::new(manager), Keys::new(id("only"))).run());
    report.assert();
    let skipped = not_applicable(&report);
    for check in ["usage::disabled_key", "layout::ciphertext_can_be_read", "tampering::another_key"] {
        assert!(skipped.contains(&check), "{check} cannot have been made");
    }
    assert!(!skipped.contains(&"usage::absent_key"));

    let text = report.to_string();
    assert!(text.contains("round_trip::verified: ok\n"));
    assert!(text.contains("usage::disabled_key: not applicable: no such key was given (Keys::disabled)\n"));
    assert!(text.ends_with(" 0 failed, 12 not applicable"), "{text}");
}

#[test]
#[should_panic(
    expected = "usage::usable_key: failed: describe_key: failed with BackendError { kind: KeyNotFound"
)]
fn assert_names_check_and_reason() {
    let suite = Suite::new(Arc::new(KeyManager::new()), Keys::new(id("forgotten")));
    block_on(suite.run()).assert();
}

/// Which checks fail for a flaw, for an external key store unless it has to do with making keys.
const FLAWS: &[(Flaw, &[&str])] = &[
    (Flaw::RefusesEverybody, &["connecting::connects"]),
    (Flaw::RefusesUpdates, &["connecting::connects_for_every_reason"]),
    (Flaw::OneConnectionAtATime, &["connecting::two_at_once"]),
    (Flaw::CodeOfTheOtherType, &["connecting::late"]),
    (
        Flaw::ForgetsConfiguration,
        &["configuration::stable", "configuration::unchanged_by_name", "configuration::change_applied"],
    ),
    (Flaw::MindsTheName, &["configuration::unchanged_by_name"]),
    (Flaw::IgnoresChanges, &["configuration::change_applied"]),
    (Flaw::TakesForeignChanges, &["configuration::foreign_change_refused"]),
    (Flaw::ShowsPlaintext, &["configuration::nothing_shown"]),
    (Flaw::ShowsKey, &["configuration::nothing_shown"]),
    (Flaw::ShowsPassword, &["configuration::nothing_shown"]),
    (Flaw::RefusesLongPlaintext, &["round_trip::verified", "round_trip::unverified"]),
    (Flaw::DamagesUnverified, &["round_trip::unverified"]),
    (Flaw::NoKeyForNothing, &["round_trip::empty"]),
    (Flaw::InvalidBeyondLimits, &["round_trip::beyond_the_limits"]),
    (Flaw::SameVector, &["round_trip::no_two_alike"]),
    (Flaw::OwnCiphertextOnly, &["round_trip::across_connections", "layout::own_ciphertext_is_read"]),
    (
        Flaw::OwnLayout,
        &[
            "layout::ciphertext_can_be_read",
            "layout::own_ciphertext_is_read",
            // The longest additional authenticated data has become one byte longer.
            "round_trip::verified",
            "round_trip::unverified",
        ],
    ),
    (Flaw::Forgives(Part::Bytes), &["tampering::ciphertext", "round_trip::beyond_the_limits"]),
    (Flaw::Forgives(Part::Tag), &["tampering::authentication_tag"]),
    (Flaw::Forgives(Part::Vector), &["tampering::initialization_vector", "layout::sixteen_byte_vector"]),
    (Flaw::TellsOfBadTag, &["tampering::authentication_tag"]),
    (
        Flaw::IgnoresAad,
        &[
            "tampering::authenticated_data",
            "layout::ciphertext_can_be_read",
            "layout::own_ciphertext_is_read",
            "round_trip::beyond_the_limits",
        ],
    ),
    (Flaw::IgnoresMetadata, &["tampering::metadata"]),
    (
        Flaw::JoinsWithoutLengths,
        &[
            "tampering::border",
            "layout::ciphertext_can_be_read",
            "layout::own_ciphertext_is_read",
            "round_trip::verified",
            "round_trip::unverified",
        ],
    ),
    (Flaw::IgnoresKey, &["tampering::another_key"]),
    (Flaw::DescribesNoUsage, &["usage::usable_key"]),
    (Flaw::AbsentIsInvalid, &["usage::absent_key"]),
    (Flaw::VerifiesWithoutDecrypting, &["usage::encrypt_only_key"]),
    (Flaw::DecryptOnlyEncrypts, &["usage::decrypt_only_key"]),
    (Flaw::UnusableDecrypts, &["usage::unusable_key"]),
    (Flaw::DisabledWorks, &["usage::disabled_key"]),
    (Flaw::DisabledIsNotDescribed, &["usage::disabled_key"]),
    (Flaw::SameInstanceTwice, &["management::health"]),
    (
        Flaw::MixesDecryptions,
        &["concurrency::round_trips", "concurrency::decryptions", "concurrency::all_methods"],
    ),
    (Flaw::MixesEncryptions, &["concurrency::round_trips", "concurrency::all_methods"]),
    (Flaw::DescribesFewAtOnce, &["concurrency::all_methods"]),
    (Flaw::NotCancelSafe("connect"), &["cancellation::connect"]),
    (Flaw::NotCancelSafe("describe_key"), &["cancellation::describe_key"]),
    (Flaw::NotCancelSafe("encrypt"), &["cancellation::encrypt", "cancellation::many_at_once"]),
    (Flaw::NotCancelSafe("decrypt"), &["cancellation::decrypt"]),
    (Flaw::NotCancelSafe("health"), &["cancellation::health"]),
    (Flaw::NotCancelSafe("close"), &["cancellation::close"]),
    (Flaw::LeaksPlaces, &["cancellation::many_at_once"]),
    (Flaw::WorksAfterClose, &["closing::closed_for_all"]),
    (Flaw::ClosesOnce, &["closing::idempotent"]),
    (Flaw::CountsPhantoms, &["closing::idempotent"]),
];

const CLUSTER_FLAWS: &[(Flaw, &[&str])] = &[
    (Flaw::SameKeyTwice, &["management::generated_keys"]),
    (Flaw::KeepsDeletedKeys, &["management::generated_keys", "cancellation::delete_key"]),
    (Flaw::ShortRandom, &["management::random"]),
    (Flaw::SameRandom, &["management::random"]),
    (Flaw::NotCancelSafe("generate_key"), &["cancellation::generate_key"]),
    (Flaw::NotCancelSafe("delete_key"), &["cancellation::delete_key"]),
    (Flaw::NotCancelSafe("generate_random"), &["cancellation::generate_random"]),
];

/// Flaws after which nothing goes right any more: the check that is named is among those that fail.
const GRAVE_FLAWS: &[(Flaw, &str)] = &[
    (Flaw::ReleasesOnlyOnClose, "connecting::dropping_releases"),
    (Flaw::LongerCiphertext, "round_trip::verified"),
    (Flaw::ConnectsNoMoreAfterClose, "closing::reconnects"),
];

#[test]
fn finds_exactly_the_flaw() {
    for (flaw, expected) in FLAWS {
        let report = block_on(suite(Flawed::new(*flaw, external())).run());
        assert_eq!(failed(&report), expected.iter().copied().collect(), "{flaw:?}\n{report}");
    }
}

#[test]
fn finds_exactly_the_flaw_of_a_cluster() {
    for (flaw, expected) in CLUSTER_FLAWS {
        let report = block_on(cluster_suite(Flawed::new(*flaw, cluster())).run());
        assert_eq!(failed(&report), expected.iter().copied().collect(), "{flaw:?}\n{report}");
    }
}

#[test]
fn finds_grave_flaws() {
    for (flaw, expected) in GRAVE_FLAWS {
        let report = block_on(suite(Flawed::new(*flaw, external())).run());
        assert!(failed(&report).contains(expected), "{flaw:?}\n{report}");
    }
}

#[test]
fn finds_what_was_not_said() {
    let report = block_on(suite(cluster()).sixteen_byte_iv(true).run());
    assert_eq!(
        failed(&report),
        ["layout::sixteen_byte_vector", "management::unsupported_keys", "management::unsupported_random"]
            .into(),
        "{report}"
    );
}

#[test]
fn a_hang_and_a_panic_are_failures() {
    for (fault, reason) in [
        (Fault::Hang, "hangs: not over after 1s"),
        (Fault::Panic, "panicked: a scripted fault of the software key manager in Health"),
    ] {
        let manager = external();
        manager.always(Method::Health, fault);
        let report = block_on(suite(manager).deadline(Duration::from_secs(1)).run());
        assert_eq!(
            failed(&report),
            ["management::health", "concurrency::all_methods", "cancellation::health"].into(),
            "{report}"
        );
        for failure in report.failures() {
            assert_eq!(failure.verdict, Verdict::Failed(reason.into()));
        }
    }
}

#[test]
fn without_a_connection_nothing_else_is_tried() {
    let manager = external();
    manager.always(Method::Connect, Fault::Hang);
    let report = block_on(suite(Arc::clone(&manager)).deadline(Duration::from_millis(20)).run());
    assert_eq!(failed(&report), ["connecting::connects"].into(), "{report}");
    assert_eq!(not_applicable(&report).len(), report.findings().len() - 1);
    assert_eq!(manager.calls(Method::Connect), 1);
}

/// No check is there that cannot fail.
#[test]
fn every_check_is_failed_by_some_flaw() {
    let report = block_on(suite(external()).run());
    let mut found: BTreeSet<_> =
        FLAWS.iter().chain(CLUSTER_FLAWS).flat_map(|(_, expected)| expected.iter().copied()).collect();
    found.extend(GRAVE_FLAWS.iter().map(|(_, expected)| *expected));
    // Those of `finds_what_was_not_said`.
    found.extend(["management::unsupported_keys", "management::unsupported_random"]);
    assert_eq!(found, report.findings().iter().map(|finding| finding.name).collect());
}
