//! Nothing is missing in the matrix.

use std::collections::BTreeSet;

use custom_key_store::backend::CustomKeyStoreType;
use custom_key_store::kms::{Action, Exception};

use super::keys::KEYS;
use super::stores::STORES;
use super::table::{Cell, Of, Outcome, Row, StoreRow};
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

/// What no custom key store has in AWS KMS either, whatever state it is in. (2.3, 5.4, 5.6, and the operations on keys of other
/// kinds)
const IN_NO_CUSTOM_KEY_STORE: [&str; 20] = [
    "Decapsulate",
    "DeleteImportedKeyMaterial",
    "DeriveSharedSecret",
    "DisableKeyRotation",
    "EnableKeyRotation",
    "Encapsulate",
    "GenerateDataKeyPair",
    "GenerateDataKeyPairWithoutPlaintext",
    "GenerateMac",
    "GetKeyRotationStatus",
    "GetParametersForImport",
    "GetPublicKey",
    "ImportKeyMaterial",
    "ListKeyRotations",
    "ReplicateKey",
    "RotateKeyOnDemand",
    "Sign",
    "UpdatePrimaryRegion",
    "Verify",
    "VerifyMac",
];

/// What succeeds there and here, and shows something else here.
const SHOWN_OTHERWISE: [&str; 2] = ["GetKeyPolicy", "ListKeyPolicies"];

/// A call in one state: by its operation, which of its calls, and the state's place in the row.
type Place = (&'static str, &'static str, usize);

/// Each cell, whether it is marked, and whether what it says is another thing than what AWS documents.
fn judged<const STATES: usize>(row: &Row<STATES>) -> Vec<(Place, bool, bool)> {
    let judge = |(at, cell): (usize, &Cell)| {
        let is_so_there = IN_NO_CUSTOM_KEY_STORE.contains(&row.operation);
        // Random bytes are had of clusters alone, there as here. (2.3)
        let is_of_external = row.operation == "GenerateRandom" && row.of != Of::CloudHsm;
        let is_documented = match cell.outcome {
            Outcome::Refused(Exception::UnsupportedOperation) => is_so_there || is_of_external,
            Outcome::Refused(exception) => may_answer(row.operation, exception),
            _ => !is_so_there && !SHOWN_OTHERWISE.contains(&row.operation),
        };
        ((row.operation, row.what, at), cell.apart.is_some(), !is_documented)
    };
    row.cells.iter().enumerate().map(judge).collect()
}

fn may_answer(operation: &str, exception: Exception) -> bool {
    let action: Action = operation.parse().unwrap();
    exception.is_common() || action.exceptions().contains(&exception)
}

/// Every deviation is a cell that says so and why, and no other cell does.
#[test]
fn the_cells_that_deviate_from_aws_are_exactly_the_marked_ones() {
    let by_connection = by_connection().flat_map(judged);
    let cells: Vec<_> = by_connection.chain(KEYS.iter().flat_map(judged)).collect();
    for (place, is_marked, deviates) in &cells {
        assert_eq!(is_marked, deviates, "{place:?} is marked, and deviates");
    }
    let marked: BTreeSet<_> =
        cells.iter().filter(|(_, is_marked, _)| *is_marked).map(|((operation, ..), ..)| *operation).collect();
    let policies = ["GetKeyPolicy", "ListKeyPolicies", "PutKeyPolicy"];
    let grants = ["CreateGrant", "ListGrants", "ListRetirableGrants", "RetireGrant", "RevokeGrant"];
    assert_eq!(marked, [&policies[..], &grants, &["GetKeyLastUsage"]].concat().into_iter().collect());
}
