//! A whole `Kms`: random sequences of calls, faults, cancellations and restarts, each compared with a model after every step.
//!
//! [`op`] says what can be done and [`plan`] in which sequences; [`model`] is what is known and [`expect`] how a call may end
//! then; [`harness`] does it to the real thing, [`moves`] judges what becomes of connections, and [`check`] looks at everything
//! after each step. Nobody is polled who was not woken, so that a lost waking is found; when nobody is woken, time passes.
//! A failure prints the shortest sequence that it found; put it into a test of its own at the end of this file.
//!
//! `PROPTEST_CASES=20000 cargo test --test it kms::random` looks longer.

mod call;
mod catalogue;
mod check;
mod effect;
mod end;
mod expect;
mod fault;
mod harness;
mod known;
mod model;
mod moves;
mod op;
mod plan;
mod polling;
mod task;
mod world;

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;

use custom_key_store::KeyText;
use custom_key_store::backend::ConnectionErrorCode;
use custom_key_store::backend::software::{Fault, Method};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner};

use self::harness::Harness;
use self::op::{Call, End, Mood, Op, ReadMood, Then};
use self::world::Kind;

/// The limits of the stores, in seconds, all different so that no two are mistaken for each other.
const CONNECT_TIMEOUT: u64 = 7;
const CALL_TIMEOUT: u64 = 3;
const DRAIN_LIMIT: u64 = 4;
const CLOSE_TIMEOUT: u64 = 2;

/// How many sequences there are when nobody says how many; of a file, each takes longer.
const CASES: u32 = 100;
const CASES_OF_A_FILE: u32 = 12;

fn cases(of_ours: u32) -> Config {
    let usual = Config::default();
    let asked = std::env::var_os("PROPTEST_CASES").is_some();
    let cases = if asked { usual.cases } else { of_ours };
    // A file of seeds would be useless as soon as an operation is added.
    Config { failure_persistence: None, cases, ..usual }
}

/// What the sequences must have led to, all together: a test that gets nowhere proves nothing.
const MUST_SEE: &[&str] = &[
    "a blob was decrypted",
    "a blob went from one store to another",
    "a call that others came in between",
    "a call was dropped",
    "a call was refused",
    "a crash",
    "a driver was dropped",
    "a key was changed",
    "a key was deleted",
    "a key was made",
    "a key was used",
    "a store was changed",
    "a store was changed while it was used",
    "a store was created",
    "a store was deleted",
    "an alias was given",
    "an orderly end",
    "connected",
    "disconnected",
    "failed",
    "failed after a restart",
];

/// Runs so many sequences, with a catalogue in memory or in a file; what they have led to, and how many calls could end in
/// one way alone, and how many in several.
fn run(config: Config, file: bool) -> (BTreeSet<&'static str>, [u64; 2]) {
    let (seen, foretold) = (RefCell::new(BTreeSet::new()), Cell::new([0, 0]));
    let kinds =
        (any::<bool>(), 0..3_u8).prop_map(move |(one_manager, pace)| Kind { one_manager, file, pace });
    // The same sequences each time, unless more are asked for: what the model does not foretell yet is found by who looks.
    let mut runner = match std::env::var_os("PROPTEST_CASES") {
        Some(_) => TestRunner::new(config),
        None => TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha)),
    };
    let outcome = runner.run(&(kinds, plan::sequences()), |(kind, ops)| {
        let (led_to, [in_one_way, in_several]) = Harness::new(kind).run(ops);
        seen.borrow_mut().extend(led_to);
        let [sum_in_one_way, sum_in_several] = foretold.get();
        foretold.set([sum_in_one_way + in_one_way, sum_in_several + in_several]);
        Ok(())
    });
    match outcome {
        Ok(()) => {}
        Err(TestError::Fail(reason, (kind, ops))) => {
            let ops: String = ops.iter().map(|op| format!("    Op::{op:?},\n")).collect();
            panic!("{reason}\n{kind:?}\n{ops}");
        }
        Err(aborted) => panic!("{aborted}"),
    }
    (seen.into_inner(), foretold.get())
}

#[test]
fn a_kms_does_what_the_model_says_whatever_is_done_to_it() {
    let (seen, [in_one_way, in_several]) = run(cases(CASES), false);
    assert!(in_one_way > 10 * in_several, "{in_one_way} were foretold, and {in_several} not");
    let missed: Vec<_> = MUST_SEE.iter().filter(|what| !seen.contains(*what)).collect();
    assert!(missed.is_empty(), "no sequence has led to {missed:?}");
}

#[test]
fn it_does_the_same_with_a_catalogue_in_a_file() {
    // Less is foretold: which of two is first, SQLite's threads decide.
    let (_, [in_one_way, in_several]) = run(cases(CASES_OF_A_FILE), true);
    assert!(in_one_way > 3 * in_several, "{in_one_way} were foretold, and {in_several} not");
}

/// In memory, where nothing takes its time that is not told to.
fn on_every_manager(ops: Vec<Op>) {
    for one_manager in [false, true] {
        Harness::new(Kind { one_manager, file: false, pace: 0 })
            .run([plan::beginning(), ops.clone()].concat());
    }
}

#[test]
fn an_alias_that_somebody_else_moves_is_moved_or_deleted_all_the_same() {
    let slow = || Op::Read(Some(ReadMood::Slow(1)));
    for call in [Call::DeleteAlias(0), Call::UpdateAlias(0, 0)] {
        for polls in 1..5 {
            on_every_manager(vec![
                slow(),
                slow(),
                slow(),
                Op::Call(call, Then::Keep { polls, driven: false }),
                plan::awaited(Call::UpdateAlias(0, 1)),
                Op::PollCall(0),
            ]);
        }
    }
}

#[test]
fn an_attempt_whose_failure_was_written_down_and_not_told_has_failed_after_a_restart() {
    on_every_manager(vec![
        plan::awaited(Call::Disconnect(0)),
        Op::Rest,
        Op::Inject(0, Method::Connect, Fault::Refuse(ConnectionErrorCode::InvalidCredentials)),
        Op::Commit(None),
        Op::Commit(Some(Mood::Silent)),
        plan::awaited(Call::Connect(0)),
        Op::Drive,
        Op::Restart(End::Crash { kms_first: true, late: false }),
    ]);
}

fn text(number: u8) -> KeyText {
    KeyText::new(format!("text {number}")).unwrap()
}
