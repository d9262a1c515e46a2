//! The suite passes a sound catalogue, and finds each thing that is wrong.

use std::collections::BTreeSet;
use std::time::Duration;

use custom_key_store::catalog::conformance::{Report, Suite, Verdict};
use futures::executor::block_on;

use super::flawed::{Flaw, Place};

fn run(flaw: Flaw) -> Report {
    let suite = Suite::durable(move || {
        let place = Place::default();
        move || std::future::ready(place.open(flaw))
    });
    block_on(suite.deadline(Duration::from_secs(10)).run())
}

fn failed(report: &Report) -> BTreeSet<&'static str> {
    report.failures().map(|finding| finding.name).collect()
}

/// Which checks fail for a flaw.
const FLAWS: &[(Flaw, &[&str])] = &[
    (Flaw::Sound, &[]),
    (Flaw::FindsSomething, &["reading::nothing_there"]),
    (Flaw::IgnoresCase, &["reading::absent"]),
    (Flaw::MixesTables, &["reading::tables_are_apart"]),
    (Flaw::SortsLikePeople, &["listing::byte_order", "limits::texts"]),
    (Flaw::IgnoresOwner, &["listing::by_owner"]),
    (Flaw::RepeatsTheLast, &["listing::after", "listing::by_owner", "listing::pages"]),
    (Flaw::ZeroIsAll, &["listing::limits"]),
    (Flaw::ForgetsBeyondForty, &["listing::pages", "concurrency::many_rows"]),
    (Flaw::DueById, &["due::limits", "due::order", "due::owners", "due::until"]),
    (
        Flaw::DueTooLate,
        &[
            "due::changes",
            "due::limits",
            "due::order",
            "due::owners",
            "due::until",
            "reading::tables_are_apart",
        ],
    ),
    (Flaw::DueUnlimited, &["due::limits", "due::owners"]),
    (Flaw::DueOfWhomever, &["due::owners"]),
    (Flaw::DueForever, &["due::changes"]),
    (Flaw::RefusesNothing, &["commits::nothing"]),
    (
        Flaw::OneByOne,
        &[
            "commits::all_or_nothing",
            "commits::in_order",
            "commits::refused_then_right",
            "conditions::in_order",
            "unique::swapped",
        ],
    ),
    (Flaw::DeletesFirst, &["commits::in_order", "conditions::in_order"]),
    (
        Flaw::ReplacesAnyVersion,
        &["versions::replace", "unique::swapped", "unique::taken", "concurrency::one_version"],
    ),
    (Flaw::DeletesAnyVersion, &["versions::delete"]),
    (Flaw::ReplacesWhatIsNot, &["versions::absent", "commits::all_or_nothing"]),
    (
        Flaw::InsertsOverOld,
        &[
            "versions::taken",
            "commits::all_or_nothing",
            "unique::swapped",
            "unique::taken",
            "cancellation::left_alone",
            "cancellation::many_at_once",
        ],
    ),
    (Flaw::BeginsAtOne, &["versions::kept", "commits::in_order", "conditions::in_order"]),
    (Flaw::FewVersions, &["versions::extremes", "versions::replace"]),
    (
        Flaw::IgnoresRequire,
        &[
            "conditions::there",
            "conditions::in_order",
            "conditions::whatever_else_is_committed",
            "commits::all_or_nothing",
        ],
    ),
    (
        Flaw::IgnoresRequireNone,
        &[
            "conditions::none_there",
            "conditions::in_order",
            "conditions::whatever_else_is_committed",
            "commits::all_or_nothing",
        ],
    ),
    (Flaw::RequiresTheFirstVersion, &["conditions::there"]),
    (Flaw::RequiresNoneOfAnybody, &["conditions::none_there"]),
    (Flaw::RequiresAtFirst, &["conditions::in_order"]),
    (Flaw::RequiresTooEarly, &["conditions::whatever_else_is_committed"]),
    (Flaw::NeverFreesReplaced, &["unique::freed_by_replace"]),
    (Flaw::ChecksAllAtFirst, &["unique::swapped", "unique::freed_by_delete", "unique::taken"]),
    (
        Flaw::UniqueEverywhere,
        &["unique::per_table", "unique::freed_by_delete", "unique::swapped", "unique::taken"],
    ),
    (Flaw::ShortBodies, &["limits::bodies", "limits::longest"]),
    (Flaw::TakesAnything, &["limits::illegal", "commits::all_or_nothing"]),
    (Flaw::CutsAtNul, &["limits::texts", "listing::byte_order"]),
    (
        Flaw::TextBodies,
        &["limits::bodies", "limits::longest", "limits::texts", "listing::byte_order", "versions::extremes"],
    ),
    (Flaw::SnapshotOfSomething, &["snapshots::nothing"]),
    (Flaw::LiveSnapshot, &["snapshots::of_one_moment", "snapshots::two_at_once"]),
    (Flaw::EmptyPieces, &["snapshots::whole"]),
    (Flaw::OneSnapshot, &["snapshots::of_one_moment", "snapshots::two_at_once"]),
    (Flaw::KeepsSnapshots, &["snapshots::dropped"]),
    (Flaw::ChecksTooEarly, &["concurrency::one_version"]),
    (
        Flaw::FewCommitsAtOnce,
        &[
            "concurrency::many_rows",
            "concurrency::one_text",
            "concurrency::one_version",
            "conditions::whatever_else_is_committed",
        ],
    ),
    (
        Flaw::Torn,
        &["concurrency::whole_to_readers", "conditions::whatever_else_is_committed", "cancellation::commits"],
    ),
    (Flaw::NotCancelSafe("read"), &["cancellation::read"]),
    (Flaw::NotCancelSafe("find"), &["cancellation::find"]),
    (Flaw::NotCancelSafe("list"), &["cancellation::list", "cancellation::many_at_once"]),
    (Flaw::NotCancelSafe("due"), &["cancellation::due"]),
    (Flaw::NotCancelSafe("snapshot"), &["cancellation::snapshot"]),
    (Flaw::NotCancelSafe("next"), &["cancellation::snapshot_next"]),
    (Flaw::NotCancelSafe("commit"), &["cancellation::commits", "cancellation::many_at_once"]),
    (Flaw::NotCancelSafe("close"), &["cancellation::close"]),
    (Flaw::LosesPiece, &["cancellation::snapshot_next"]),
    (Flaw::CommitsLater, &["cancellation::commits"]),
    (Flaw::LeaksPlaces, &["cancellation::many_at_once"]),
    (Flaw::HoldsOthersUp, &["cancellation::left_alone"]),
    (Flaw::ClosesOnce, &["closing::twice", "cancellation::close"]),
    (Flaw::WorksAfterClose, &["closing::closed_for_all"]),
    (Flaw::LosesOnClose, &["durability::closed", "durability::one_owner"]),
    (Flaw::LosesOnDrop, &["durability::dropped"]),
    (Flaw::TwoOwners, &["durability::one_owner"]),
];

/// Flaws after which little goes right any more: the check that is named is among those that fail.
const GRAVE_FLAWS: &[(Flaw, &str)] = &[
    (Flaw::ForgetsDue, "reading::every_part"),
    (Flaw::NamesNoRow, "limits::illegal"),
    (Flaw::IgnoresUnique, "unique::taken"),
    (Flaw::NeverFreesDeleted, "unique::freed_by_delete"),
    (Flaw::OwnIsTaken, "unique::own"),
    (Flaw::OwnIsTaken, "commits::whole"),
    (Flaw::OwnIsTaken, "durability::closed"),
    (Flaw::NoneIsAText, "unique::none"),
];

#[test]
fn finds_exactly_the_flaw() {
    for (flaw, expected) in FLAWS {
        let report = run(*flaw);
        assert_eq!(failed(&report), expected.iter().copied().collect(), "{flaw:?}\n{report}");
        let skipped =
            report.findings().iter().any(|finding| matches!(finding.verdict, Verdict::NotApplicable(_)));
        assert!(!skipped, "{report}");
    }
}

#[test]
fn finds_grave_flaws() {
    for (flaw, expected) in GRAVE_FLAWS {
        let report = run(*flaw);
        assert!(failed(&report).contains(expected), "{flaw:?}\n{report}");
    }
}

/// No check is there that cannot fail.
#[test]
fn every_check_is_failed_by_some_flaw() {
    let mut found: BTreeSet<_> = FLAWS.iter().flat_map(|(_, expected)| expected.iter().copied()).collect();
    found.extend(GRAVE_FLAWS.iter().map(|(_, expected)| *expected));
    assert_eq!(found, run(Flaw::Sound).findings().iter().map(|finding| finding.name).collect());
}
