//! The five states are all there are.

use custom_key_store::{ConnectionState, KeyStore, State};

#[derive(Debug)]
struct Paused;

fn in_a_state_that_is_none(_store: KeyStore<Paused>) {}

#[derive(Debug)]
struct Resting;

impl State for Resting {
    const STATE: ConnectionState = ConnectionState::Connected;
}

fn main() {}
