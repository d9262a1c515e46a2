//! Whatever a body is, it is answered.

use proptest::prelude::*;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use super::cases::cases;
use super::routing::{HAD, NOT_HAD};
use super::support::{Rig, call_with, error};

/// Answers of an endpoint that goes on from one body to the next.
fn answers(bodies: impl Strategy<Value = (usize, Vec<u8>)>, check: impl Fn(&str, &Rig, u16)) {
    let runtime = Runtime::new().unwrap();
    let rig = runtime.block_on(Rig::new());
    let operations: Vec<_> = HAD.iter().chain(NOT_HAD).collect();
    proptest!(|((operation, body) in bodies)| {
        let operation = operations[operation % operations.len()];
        let reply = runtime.block_on(rig.send(&call_with(operation, body)));
        if reply.status == 200 {
            assert!(reply.json().is_object());
        } else {
            error(&reply);
        }
        check(operation, &rig, reply.status);
    });
    runtime.block_on(rig.ok("ListKeys", &json!({})));
}

#[test]
fn any_bytes_are_answered_and_nothing_is_done_for_them() {
    let bodies = (any::<usize>(), proptest::collection::vec(any::<u8>(), 0..300));
    answers(bodies, |operation, _, status| assert_eq!(status, 400, "{operation}"));
}

/// JSON in the characters of JSON, which is right more often than other bytes.
#[test]
fn any_text_that_looks_like_json_is_answered() {
    let bodies = (any::<usize>(), r#"[\{\}\[\]":,\\ue0-9.a-zA-Z \-\n]{0,200}"#);
    answers(bodies.prop_map(|(operation, text)| (operation, text.into_bytes())), |_, _, _| {});
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,40}".prop_map(Value::from),
        "[A-Za-z0-9+/]{0,40}={0,2}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 20, 5, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            proptest::collection::hash_map(".{0,10}", inner, 0..5)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// Requests that would succeed, with any values in place of some of theirs.
#[test]
fn any_values_of_the_members_are_answered() {
    let runtime = Runtime::new().unwrap();
    let rig = runtime.block_on(Rig::new());
    let cases = cases(&rig);
    let changes = proptest::collection::vec((any::<usize>(), value()), 1..4);
    proptest!(|(index in any::<usize>(), changes in changes)| {
        let case = &cases[index % cases.len()];
        let mut request = case.request.clone();
        for (member, value) in changes {
            if let Some((name, ..)) = case.members.get(member % case.members.len().max(1)) {
                request[*name] = value;
            }
        }
        let body = request.to_string().into_bytes();
        let reply = runtime.block_on(rig.send(&call_with(case.operation, body)));
        if reply.status == 200 {
            assert!(reply.json().is_object());
        } else {
            let (status, name, _) = error(&reply);
            assert!(status == 400, "{} {request}: {status} {name}", case.operation);
        }
    });
    runtime.block_on(rig.ok("ListKeys", &json!({})));
}
