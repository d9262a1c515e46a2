//! The state machine as a whole: random sequences of operations, faults and cancellations, each compared with
//! a model after every step.
//!
//! [`op`] says what can be done, [`model`] what is promised, [`driver`] does both and compares. Time is a
//! [`ManualClock`](custom_key_store::clock::ManualClock), so a timeout of a minute costs nothing. A failure
//! prints the shortest sequence that it found; put it into a test of its own at the end of this file.
//!
//! `PROPTEST_CASES=20000 cargo test --test it machine` looks longer.

mod driver;
mod model;
mod op;

use std::cell::RefCell;
use std::collections::BTreeSet;

use custom_key_store::EncryptionContext;
use custom_key_store::backend::software::{Fault, Method};
use custom_key_store::backend::{AccessKeyId, SecretAccessKey, UriPath, XksProxyCredential};
use proptest::test_runner::{Config, TestRunner};

use self::driver::Driver;
use self::op::{Op, Then, What};

/// What the sequences must have led to, all together: a test that gets nowhere proves nothing.
const MUST_SEE: &[&str] = &[
    "a blob that outlives its connection",
    "a call on another store's key",
    "a call that came too late",
    "a call that failed",
    "a call that was waited for",
    "a call that worked",
    "a connection that waits for its last call",
    "a failed attempt",
    "a farewell dropped with its store",
    "a goodbye cut off",
    "a goodbye that failed",
    "a key that was made",
    "a key that was not made",
    "a probe that failed",
    "a probe that was dropped",
    "a probe that worked",
    "abandoned",
    "an abandoned call",
    "an attempt dropped with its store",
    "an illegal move",
    "an outcome that nobody has taken yet",
    "an update dropped after it had happened",
    "an update that was dropped",
    "an update that was refused",
    "an update that worked",
    "an update under load",
    "completed",
    "dropped",
    "dropped while CONNECTED",
    "dropped while CONNECTING",
    "dropped while DISCONNECTED",
    "dropped while DISCONNECTING",
    "dropped while FAILED",
    "still running",
];

#[test]
fn a_store_does_what_the_model_says_whatever_is_done_to_it() {
    // A file of seeds would be useless as soon as an operation is added.
    let mut config = Config { failure_persistence: None, ..Config::default() };
    // Fewer might miss one of the above by chance.
    config.cases = config.cases.max(1024);
    let seen = RefCell::new(BTreeSet::new());
    let outcome = TestRunner::new(config).run(&op::sequences(), |ops| {
        seen.borrow_mut().extend(Driver::new().run(ops));
        Ok(())
    });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));

    let seen = seen.into_inner();
    let missed: Vec<_> = MUST_SEE.iter().filter(|what| !seen.contains(*what)).collect();
    assert!(missed.is_empty(), "no sequence has led to {missed:?}");
}

#[test]
fn a_goodbye_to_a_connection_that_nobody_has_used_is_reported_like_any_other() {
    for fault in [Fault::Hang, Fault::Corrupt] {
        Driver::new().run(vec![
            Op::Inject(Method::Close, fault),
            Op::Connect,
            Op::PollTyped,
            Op::Disconnect,
            Op::Settle,
        ]);
    }
}

#[test]
fn an_update_that_is_dropped_during_a_goodbye_leaves_the_other_goodbyes_to_the_disconnect() {
    Driver::new().run(vec![
        Op::Connect,
        Op::Settle,
        Op::Inject(Method::Encrypt, Fault::Hang),
        Op::Call { handle: 0, what: What::Encrypt(0), then: Then::PollAndKeep },
        op::to_path(1, true),
        Op::DropCall(0),
        Op::Inject(Method::Close, Fault::Hang),
        op::to_path(0, false),
        Op::Disconnect,
        Op::Settle,
    ]);
}

fn name(number: u8) -> String {
    format!("name {number}")
}

fn path(number: u8) -> UriPath {
    UriPath::new(["/kms/xks/v1", "/other/kms/xks/v1"][usize::from(number)]).unwrap()
}

fn credential(number: u8) -> XksProxyCredential {
    XksProxyCredential::new(
        AccessKeyId::new(["AKIDOFATEST222222222", "AKIDOFATEST333333333"][usize::from(number)]).unwrap(),
        SecretAccessKey::new(&["a", "b"][usize::from(number)].repeat(43)).unwrap(),
    )
}

fn context() -> EncryptionContext {
    EncryptionContext::new([("purpose", "test")]).unwrap()
}
