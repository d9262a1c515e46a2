//! The form of the tables: a row for each call, a cell for each state in which it is made.

use custom_key_store::backend::CustomKeyStoreType;
use custom_key_store::kms::Exception;
use custom_key_store::{ConnectionState, KeyState};
use serde_json::Value;

use super::world::World;

/// The order of the cells of a row of [`StoreRow`].
pub(super) const CONNECTION_STATES: [ConnectionState; 5] = [
    ConnectionState::Disconnected,
    ConnectionState::Connecting,
    ConnectionState::Connected,
    ConnectionState::Disconnecting,
    ConnectionState::Failed,
];

/// The order of the cells of a row of [`KeyRow`].
pub(super) const KEY_STATES: [KeyState; 4] =
    [KeyState::Enabled, KeyState::Disabled, KeyState::PendingDeletion, KeyState::Unavailable];

/// A call in each connection state of the store that it is about, or that its key belongs to.
pub(super) type StoreRow = Row<5>;

/// A call in each state of the key that it is about.
pub(super) type KeyRow = Row<4>;

/// A call, and what comes of it in each state.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row<const STATES: usize> {
    /// By AWS's name.
    pub(super) operation: &'static str,
    /// Which of its calls.
    pub(super) what: &'static str,
    pub(super) of: Of,
    pub(super) body: fn(&World) -> Value,
    /// What is seen of it where it succeeds.
    pub(super) seen: Option<fn(&World) -> Seen>,
    pub(super) cells: [Cell; STATES],
    /// `Kms` has no such method, so it is asked over HTTP alone.
    pub(super) over_http_alone: bool,
}

/// Which stores a row is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Of {
    Both,
    External,
    /// External key stores that are reached through a VPC endpoint service.
    ThroughVpc,
    CloudHsm,
}

/// What another call answers afterwards.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) operation: &'static str,
    pub(super) body: Value,
    /// Where in the answer.
    pub(super) pointer: &'static str,
    pub(super) value: Value,
}

/// What comes of a call.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cell {
    pub(super) outcome: Outcome,
    /// AWS KMS does something else, and this is why it is not so here.
    pub(super) apart: Option<&'static str>,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Outcome {
    /// It succeeds, and the states of store and key are what they were.
    Done,
    /// It succeeds, and the store passes these states.
    Moves(&'static [ConnectionState]),
    /// It succeeds, and this is the state of the key, which is `Unavailable` as long as its store is not connected.
    Becomes(KeyState),
    /// It succeeds, and there is no such store any more.
    Gone,
    /// It is refused by this name, and nothing has changed.
    Refused(Exception),
}

impl Of {
    pub(super) fn includes(self, store_type: CustomKeyStoreType) -> bool {
        match self {
            Self::Both => true,
            Self::External | Self::ThroughVpc => store_type == CustomKeyStoreType::ExternalKeyStore,
            Self::CloudHsm => store_type == CustomKeyStoreType::AwsCloudhsm,
        }
    }

    pub(super) const fn each(self) -> &'static [Self] {
        match self {
            Self::Both => &[Self::External, Self::CloudHsm],
            Self::External => &[Self::External],
            Self::ThroughVpc => &[Self::ThroughVpc],
            Self::CloudHsm => &[Self::CloudHsm],
        }
    }
}

impl<const STATES: usize> Row<STATES> {
    const fn new(
        of: Of,
        operation: &'static str,
        what: &'static str,
        body: fn(&World) -> Value,
        cells: [Cell; STATES],
    ) -> Self {
        Self { operation, what, of, body, seen: None, cells, over_http_alone: false }
    }

    pub(super) const fn seen(mut self, seen: fn(&World) -> Seen) -> Self {
        self.seen = Some(seen);
        self
    }
}

/// Of both types of store.
pub(super) const fn both<const STATES: usize>(
    operation: &'static str,
    what: &'static str,
    body: fn(&World) -> Value,
    cells: [Cell; STATES],
) -> Row<STATES> {
    Row::new(Of::Both, operation, what, body, cells)
}

/// Of external key stores.
pub(super) const fn external<const STATES: usize>(
    operation: &'static str,
    what: &'static str,
    body: fn(&World) -> Value,
    cells: [Cell; STATES],
) -> Row<STATES> {
    Row::new(Of::External, operation, what, body, cells)
}

/// Of external key stores that are reached through a VPC endpoint service.
pub(super) const fn through_vpc<const STATES: usize>(
    operation: &'static str,
    what: &'static str,
    body: fn(&World) -> Value,
    cells: [Cell; STATES],
) -> Row<STATES> {
    Row::new(Of::ThroughVpc, operation, what, body, cells)
}

/// Of CloudHSM key stores.
pub(super) const fn cloud_hsm<const STATES: usize>(
    operation: &'static str,
    what: &'static str,
    body: fn(&World) -> Value,
    cells: [Cell; STATES],
) -> Row<STATES> {
    Row::new(Of::CloudHsm, operation, what, body, cells)
}

/// An operation that only the protocol has, which refuses it in every state.
pub(super) const fn unsupported<const STATES: usize>(
    operation: &'static str,
    body: fn(&World) -> Value,
    cell: Cell,
) -> Row<STATES> {
    let mut row = Row::new(Of::Both, operation, "", body, [cell; STATES]);
    row.over_http_alone = true;
    row
}

impl Cell {
    const fn new(outcome: Outcome) -> Self {
        Self { outcome, apart: None }
    }

    /// Not as AWS KMS has it.
    pub(super) const fn apart(mut self, why: &'static str) -> Self {
        self.apart = Some(why);
        self
    }
}

pub(super) const fn moves(states: &'static [ConnectionState]) -> Cell {
    Cell::new(Outcome::Moves(states))
}

pub(super) const fn becomes(state: KeyState) -> Cell {
    Cell::new(Outcome::Becomes(state))
}

const fn refused(exception: Exception) -> Cell {
    Cell::new(Outcome::Refused(exception))
}

pub(super) const OK: Cell = Cell::new(Outcome::Done);
pub(super) const GONE: Cell = Cell::new(Outcome::Gone);
/// That of stores.
pub(super) const ISE: Cell = refused(Exception::CustomKeyStoreInvalidState);
/// That of keys.
pub(super) const KISE: Cell = refused(Exception::KmsInvalidState);
pub(super) const DISABLED: Cell = refused(Exception::Disabled);
pub(super) const UNSUPPORTED: Cell = refused(Exception::UnsupportedOperation);
pub(super) const VALIDATION: Cell = refused(Exception::Validation);
pub(super) const HAS_CMKS: Cell = refused(Exception::CustomKeyStoreHasCmks);
pub(super) const URI_IN_USE: Cell = refused(Exception::XksProxyUriInUse);
pub(super) const CLUSTER_IN_USE: Cell = refused(Exception::CloudHsmClusterInUse);
