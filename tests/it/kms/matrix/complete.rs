//! Nothing is missing in the matrix.

use std::collections::BTreeSet;

use custom_key_store::backend::CustomKeyStoreType;
use custom_key_store::kms::Action;

use super::keys::KEYS;
use super::stores::STORES;
use super::table::{Of, StoreRow};
use super::updates::UPDATES;
use super::uses::USES;

/// What is no operation on a key, and why.
const ABOUT_NO_KEY: &[(Action, &str)] = &[
    (Action::CreateCustomKeyStore, "is about a store"),
    (Action::ConnectCustomKeyStore, "is about a store"),
    (Action::DisconnectCustomKeyStore, "is about a store"),
    (Action::DescribeCustomKeyStores, "is about a store"),
    (Action::UpdateCustomKeyStore, "is about a store"),
    (Action::DeleteCustomKeyStore, "is about a store; what keys of it in which state do to it: `exceptions`"),
    (Action::CreateKey, "is about a key that there is not"),
    (Action::ListKeys, "is about all keys"),
    (Action::GenerateRandom, "uses no key"),
];

/// The operations of AWS's model that `Kms` does not have.
const BEYOND: usize = 27;

/// All of them: `kms/2014-11-01`, in 2026.
const MODEL: usize = 56;

const TYPES: [CustomKeyStoreType; 2] =
    [CustomKeyStoreType::ExternalKeyStore, CustomKeyStoreType::AwsCloudhsm];

fn by_connection() -> impl Iterator<Item = &'static StoreRow> {
    STORES.iter().chain(UPDATES).chain(USES)
}

// Which states a row has cells for is its type's to say: a row lacks none.

#[test]
fn every_operation_is_in_the_matrix_for_every_connection_state_and_type_of_store() {
    for action in Action::ALL {
        for store_type in TYPES {
            let named = |row: &&StoreRow| row.operation == action.as_str() && row.of.includes(store_type);
            assert!(by_connection().find(named).is_some(), "{action} of {store_type} is missing");
        }
    }
    let beyond: BTreeSet<_> =
        by_connection().filter(|row| row.over_http_alone).map(|row| row.operation).collect();
    assert!(beyond.iter().all(|operation| operation.parse::<Action>().is_err()));
    assert_eq!((beyond.len(), Action::ALL.len() + beyond.len()), (BEYOND, MODEL));
}

#[test]
fn every_operation_on_a_key_is_in_the_matrix_for_every_key_state_and_type_of_store() {
    for action in Action::ALL {
        let is_about_none = ABOUT_NO_KEY.iter().any(|(about_none, _)| about_none == action);
        for store_type in TYPES {
            let listed =
                KEYS.iter().any(|row| row.operation == action.as_str() && row.of.includes(store_type));
            assert!(listed != is_about_none, "{action} of {store_type}: in the table is {listed}");
        }
    }
}

#[test]
fn every_property_is_in_the_matrix_for_every_connection_state_and_type_of_store() {
    const PROPERTIES: [&str; 9] = [
        "name",
        "password",
        "cluster",
        "credential",
        "path",
        "endpoint",
        "connectivity",
        "service name",
        "service owner",
    ];
    for property in PROPERTIES {
        for of in [Of::External, Of::ThroughVpc, Of::CloudHsm] {
            // What a store through an endpoint service does not have, one without does not have either.
            let of = match property {
                "password" | "cluster" if of == Of::ThroughVpc => Of::External,
                _ => of,
            };
            let named = |row: &StoreRow| row.what == property && row.of.each().contains(&of);
            assert!(UPDATES.iter().any(named), "{property} of {of:?} is missing");
        }
    }
}

#[test]
fn no_call_is_in_the_matrix_twice() {
    let mut seen = BTreeSet::new();
    for row in by_connection() {
        for of in row.of.each() {
            assert!(
                seen.insert((row.operation, row.what, format!("{of:?}"))),
                "{} {}",
                row.operation,
                row.what
            );
        }
    }
}

#[test]
fn what_is_not_as_aws_has_it_is_marked_as_such() {
    let by_connection = by_connection().flat_map(|row| row.cells.map(|cell| (row.operation, cell.apart)));
    let by_key = KEYS.iter().flat_map(|row| row.cells.map(|cell| (row.operation, cell.apart)));
    let marked: BTreeSet<_> = by_connection.chain(by_key).filter(|(_, why)| why.is_some()).collect();
    let operations: Vec<_> = marked.iter().map(|(operation, _)| *operation).collect();
    let policies = ["GetKeyPolicy", "ListKeyPolicies", "PutKeyPolicy"];
    let grants = ["CreateGrant", "ListGrants", "ListRetirableGrants", "RetireGrant", "RevokeGrant"];
    let mut expected = [&policies[..], &grants[..], &["GetKeyLastUsage"]].concat();
    expected.sort_unstable();
    assert_eq!(operations, expected, "each for one reason: {marked:?}");
}
