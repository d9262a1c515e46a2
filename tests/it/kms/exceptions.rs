//! Every exception that AWS documents for an operation is reached by it, and none that it does not document.
#![expect(clippy::future_not_send, reason = "each test runs on its own thread")]

mod clusters;
mod keys;
mod messages;
mod model;
mod proxies;
mod rig;
mod samples;
mod stores;
mod wire;

use std::collections::BTreeSet;
use std::num::NonZeroU32;

use custom_key_store::RateLimit;
use custom_key_store::kms::{Action, Exception};

use crate::kms::support::external;
use model::{COMMON, MODEL, NEVER};
use rig::{Mood, Rig};
use samples::{Names, SAMPLES, Sample};

type Reached = BTreeSet<(Action, Exception)>;

#[test]
fn every_documented_exception_is_reached_by_its_operations_and_no_other_is() {
    let mut reached = Reached::new();
    let mut add = |more: Reached| reached.extend(more);
    add(Rig::run(async |rig| stores::all(rig).await));
    add(Rig::run_with(|kms| kms.max_stores(4), too_many));
    add(Rig::run(async |rig| keys::created(rig).await));
    add(Rig::run(async |rig| keys::managed(rig).await));
    add(Rig::run(async |rig| keys::named(rig).await));
    add(Rig::run(async |rig| keys::used(rig, &Names::known(rig).await).await));
    for sample in SAMPLES {
        add(of_sample(sample));
    }
    // `Rig` has looked at each of them; here is looked for those that it never saw.
    for (action, modelled) in MODEL {
        for exception in *modelled {
            let is = |(never, of, _): &&(Exception, &[Action], _)| {
                never == exception && (of.is_empty() || of.contains(action))
            };
            let (is_reached, never) = (reached.contains(&(*action, *exception)), NEVER.iter().find(is));
            assert!(
                is_reached != never.is_some(),
                "{action}: {exception} is reached: {is_reached}; {never:?}"
            );
        }
    }
    for exception in Exception::ALL {
        let is_somewhere = MODEL.iter().any(|(_, modelled)| modelled.contains(exception));
        assert!(
            is_somewhere || COMMON.contains(exception),
            "no operation is documented to answer {exception}"
        );
    }
}

/// The crate's own table, and that of the tests.
#[test]
fn an_operation_says_what_it_may_answer_as_aws_documents_it() {
    for action in Action::ALL {
        let (_, modelled) = MODEL.iter().find(|(modelled, _)| modelled == action).unwrap();
        let sorted = |exceptions: &[Exception]| {
            exceptions.iter().map(|exception| exception.as_str()).collect::<BTreeSet<_>>()
        };
        assert_eq!(sorted(action.exceptions()), sorted(modelled), "{action}");
        assert!(action.exceptions().iter().all(|exception| !exception.is_common()), "{action}");
    }
    for exception in Exception::ALL {
        assert_eq!(exception.is_common(), COMMON.contains(exception), "{exception}");
    }
}

/// What is not there, is to be deleted, does not answer or is damaged; and the end of the driver.
fn of_sample(sample: &Sample) -> Reached {
    let Sample { action, call, unknown, pending, hangs, fails } = sample;
    let mut reached = Reached::new();
    if let Some(exception) = unknown {
        reached.extend(Rig::run(async |rig| {
            let names = Names::known(rig).await.unknown();
            rig.refuses(*action, *exception, call(rig, &names)).await;
        }));
    }
    if let Some(exception) = pending {
        reached.extend(Rig::run(async |rig| {
            let names = Names::known(rig).await;
            rig.kms.schedule_key_deletion(&rig.key, Some(7)).await.unwrap();
            rig.refuses(*action, *exception, call(rig, &names)).await;
        }));
    }
    for (mood, exception) in [(Mood::Hangs, hangs), (Mood::Fails, fails)] {
        let Some(exception) = exception else { continue };
        reached.extend(Rig::run(async |rig| {
            let names = Names::known(rig).await;
            rig.catalog.set(mood);
            rig.refuses(*action, *exception, call(rig, &names)).await;
        }));
    }
    reached.extend(Rig::run(async |rig| {
        let names = Names::known(rig).await;
        rig.kms.shut_down();
        rig.refuses(*action, Exception::KmsInternal, call(rig, &names)).await;
    }));
    reached
}

/// The stores of a rig are as many as there may be.
async fn too_many(rig: &Rig) {
    let create = || rig.kms.create_custom_key_store(external("new"));
    rig.refuses(Action::CreateCustomKeyStore, Exception::LimitExceeded, create()).await;
    // One that is there already is no new one.
    rig.kms.delete_custom_key_store(&rig.idle).await.unwrap();
    create().await.unwrap();
}

#[test]
fn each_failure_of_a_proxy_has_the_name_that_aws_gives_it_for_each_operation() {
    Rig::run(async |rig| proxies::external_ones(rig, &Names::known(rig).await).await);
}

#[test]
fn a_cluster_that_is_too_busy_is_told_from_one_that_fails() {
    Rig::run(async |rig| proxies::clusters(rig).await);
}

#[test]
fn a_store_beyond_its_quota_is_told_from_a_proxy_that_has_too_much_to_do() {
    let one = RateLimit::per_second(NonZeroU32::new(1).unwrap());
    Rig::run_with(
        |kms| kms.quota(one),
        async |rig| {
            let names = Names::known(rig).await;
            rig.clock.advance(std::time::Duration::from_secs(1));
            proxies::throttled(rig, &names).await;
        },
    );
}

#[test]
fn what_can_be_no_key_here_is_not_found_and_an_arn_of_something_else_is_none() {
    Rig::run(async |rig| keys::none_is_found(rig));
}
