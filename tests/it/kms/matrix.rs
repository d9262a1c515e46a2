//! Every operation in every state of its store and of its key, for both types of store: the matrix of what AWS documents,
//! by the reading that the docs of `custom_key_store::kms` give where the documents contradict each other.
#![expect(clippy::future_not_send, reason = "each test runs on its own thread")]

mod check;
mod complete;
mod direct;
mod http;
mod keys;
mod level;
mod stores;
mod table;
mod updates;
mod uses;
mod world;

use custom_key_store::{ConnectionState, KeyState};

use check::Findings;
use direct::Direct;
use http::Http;
use level::Level;
use table::{CONNECTION_STATES, KEY_STATES, KeyRow, Of, StoreRow};
use world::Place;

#[test]
fn what_is_done_with_a_store_depends_on_its_state_as_aws_documents() {
    by_connection_state::<Direct>(stores::STORES, None);
}

#[test]
fn what_is_done_with_a_store_depends_on_its_state_over_http_too() {
    by_connection_state::<Http>(stores::STORES, None);
}

#[test]
fn what_can_be_changed_of_a_store_depends_on_its_state_as_aws_documents() {
    by_connection_state::<Direct>(updates::UPDATES, None);
}

#[test]
fn what_can_be_changed_of_a_store_depends_on_its_state_over_http_too() {
    by_connection_state::<Http>(updates::UPDATES, None);
}

#[test]
fn what_is_done_with_a_key_depends_on_the_state_of_its_store_as_aws_documents() {
    by_connection_state::<Direct>(uses::USES, Some(KeyState::Enabled));
}

#[test]
fn what_is_done_with_a_key_depends_on_the_state_of_its_store_over_http_too() {
    by_connection_state::<Http>(uses::USES, Some(KeyState::Enabled));
}

#[test]
fn what_is_done_with_a_key_depends_on_its_state_as_aws_documents() {
    by_key_state::<Direct>(keys::KEYS);
}

#[test]
fn what_is_done_with_a_key_depends_on_its_state_over_http_too() {
    by_key_state::<Http>(keys::KEYS);
}

/// Holds a level to a table of connection states, for stores with such a key or without keys.
fn by_connection_state<L: Level>(table: &[StoreRow], key: Option<KeyState>) {
    let mut findings = Findings::default();
    futures::executor::block_on(async {
        for of in [Of::External, Of::ThroughVpc, Of::CloudHsm] {
            for (column, connection) in CONNECTION_STATES.into_iter().enumerate() {
                let rows = table.iter().filter(|row| row.of.each().contains(&of));
                findings.check::<L, _>(Place { of, connection, key }, column, rows).await;
            }
        }
    });
    findings.assert_none();
}

/// Holds a level to a table of key states.
fn by_key_state<L: Level>(table: &[KeyRow]) {
    let mut findings = Findings::default();
    futures::executor::block_on(async {
        for of in Of::Both.each().iter().copied() {
            for (column, state) in KEY_STATES.into_iter().enumerate() {
                for (connection, key) in places(state) {
                    let place = Place { of, connection, key: Some(key) };
                    findings.check::<L, _>(place, column, table.iter()).await;
                }
            }
        }
    });
    findings.assert_none();
}

/// Where a key is in this state.
fn places(state: KeyState) -> Vec<(ConnectionState, KeyState)> {
    match state {
        KeyState::Unavailable => {
            let apart = CONNECTION_STATES.into_iter().filter(|state| *state != ConnectionState::Connected);
            let beneath = [KeyState::Enabled, KeyState::Disabled];
            apart.flat_map(|connection| beneath.map(|key| (connection, key))).collect()
        }
        KeyState::PendingDeletion => CONNECTION_STATES.map(|connection| (connection, state)).to_vec(),
        _ => vec![(ConnectionState::Connected, state)],
    }
}
