//! Which method exists in which state, and which property may change in which.

use custom_key_store::ConnectionState::{self, Connected, Connecting, Disconnected, Disconnecting, Failed};

/// The states in order of life.
pub(crate) const STATES: [ConnectionState; 5] = [Disconnected, Connecting, Connected, Disconnecting, Failed];

/// What a method does with the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Receiver {
    /// It is an associated function: there is no store yet.
    Absent,
    Borrowed,
    MutablyBorrowed,
    /// It takes the store, and gives it back in its next state.
    Taken,
}
use Receiver::{Absent, Borrowed, MutablyBorrowed, Taken};

/// One method, or one way to call it.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) method: &'static str,
    pub(crate) receiver: Receiver,
    /// The expression that calls it on `store`; `{state}` stands for the state's type.
    pub(crate) call: &'static str,
    /// Where it is legal, with a statement that is true of its `outcome` there.
    pub(crate) legal: &'static [(&'static [ConnectionState], &'static str)],
}

impl Row {
    /// What is true of the outcome in this state; `None` where the call is illegal.
    pub(crate) fn check(&self, state: ConnectionState) -> Option<&'static str> {
        self.legal.iter().find(|(states, _)| states.contains(&state)).map(|(_, check)| *check)
    }

    pub(crate) fn is_legal(&self, state: ConnectionState) -> bool {
        self.check(state).is_some()
    }

    pub(crate) fn call(&self, state: ConnectionState) -> String {
        self.call.replace("{state}", &format!("{state:?}"))
    }
}

/// Awaiting a store is a row too: the name that stands for `IntoFuture`.
pub(crate) const AWAIT: &str = "await";

pub(crate) const METHODS: &[Row] = &[
    Row {
        method: "ephemeral",
        receiver: Absent,
        call: "KeyStore::<{state}>::ephemeral(name(), manager())",
        legal: &[(&[Disconnected], "assert_eq!(outcome.state(), ConnectionState::Disconnected)")],
    },
    Row {
        method: "builder",
        receiver: Absent,
        call: "KeyStore::<{state}>::builder(manager())",
        legal: &[(&[Disconnected], "assert_eq!(outcome.ephemeral(name()).name(), &name())")],
    },
    Row {
        method: "id",
        receiver: Borrowed,
        call: "store.id()",
        legal: &[(&STATES, r#"assert!(outcome.as_str().starts_with("cks-"))"#)],
    },
    Row {
        method: "name",
        receiver: Borrowed,
        call: "store.name()",
        legal: &[(&STATES, "assert_eq!(outcome, &name())")],
    },
    Row {
        method: "store_type",
        receiver: Borrowed,
        call: "store.store_type()",
        legal: &[(&STATES, "assert_eq!(outcome, CustomKeyStoreType::AwsCloudhsm)")],
    },
    Row {
        method: "state",
        receiver: Borrowed,
        call: "store.state()",
        legal: &[(&STATES, "assert_eq!(outcome, ConnectionState::{state})")],
    },
    Row {
        method: "describe",
        receiver: Borrowed,
        call: "store.describe()",
        legal: &[(&STATES, "assert_eq!(outcome.connection_state, ConnectionState::{state})")],
    },
    Row {
        method: "keys",
        receiver: Borrowed,
        call: "store.keys()",
        legal: &[(&STATES, "assert!(outcome.list(&PageRequest::default()).await.is_ok())")],
    },
    Row {
        method: "connect",
        receiver: Taken,
        call: "store.connect()",
        legal: &[(&[Disconnected], "assert!(outcome.await.is_ok())")],
    },
    Row {
        method: "probe",
        receiver: Borrowed,
        call: "store.probe().await",
        legal: &[(&[Disconnected], "assert!(outcome.is_ok())")],
    },
    Row {
        method: "update",
        receiver: MutablyBorrowed,
        call: "store.update(Change::new().cluster_id(cluster())).await",
        legal: &[(&[Disconnected], "assert!(outcome.is_ok())")],
    },
    Row {
        method: "update",
        receiver: MutablyBorrowed,
        call: "store.update(LiveChange::new().name(name())).await",
        legal: &[(&[Disconnected, Connected], "assert!(outcome.is_ok())")],
    },
    Row {
        method: "record",
        receiver: Borrowed,
        call: "store.record().await",
        legal: &[(&[Disconnected], "assert!(outcome.is_ok())")],
    },
    Row {
        method: "delete",
        receiver: Taken,
        call: "store.delete()",
        legal: &[(&[Disconnected], "assert!(outcome.await.is_ok())")],
    },
    Row {
        method: "disconnect_report",
        receiver: Borrowed,
        call: "store.disconnect_report()",
        legal: &[(&[Disconnected], "assert!(outcome.is_none())")],
    },
    Row {
        method: AWAIT,
        receiver: Taken,
        call: "store.await",
        legal: &[
            (&[Connecting], "assert_eq!(outcome.unwrap().state(), ConnectionState::Connected)"),
            (&[Disconnecting], "assert!(outcome.disconnect_report().is_some())"),
        ],
    },
    Row {
        method: "settled",
        receiver: MutablyBorrowed,
        call: "store.settled().await",
        legal: &[
            (&[Connecting], "assert_eq!(outcome, ConnectionState::Connected)"),
            (&[Disconnecting], "assert!(matches!(outcome.goodbye, Goodbye::Said(_)))"),
        ],
    },
    Row {
        method: "handle",
        receiver: Borrowed,
        call: "store.handle()",
        legal: &[(&[Connected], "assert!(outcome.is_connected())")],
    },
    Row {
        method: "encrypt",
        receiver: Borrowed,
        call: "store.encrypt(&kms_key(), PLAINTEXT, &context()).await",
        legal: &[(&[Connected], "assert!(outcome.is_ok())")],
    },
    Row {
        method: "decrypt",
        receiver: Borrowed,
        call: "store.decrypt(blob().as_bytes(), &context()).await",
        legal: &[(&[Connected], "assert_eq!(outcome.unwrap().expose(), PLAINTEXT)")],
    },
    Row {
        method: "decrypt_under",
        receiver: Borrowed,
        call: "store.decrypt_under(&kms_key(), blob().as_bytes(), &context()).await",
        legal: &[(&[Connected], "assert_eq!(outcome.unwrap().expose(), PLAINTEXT)")],
    },
    Row {
        method: "re_encrypt",
        receiver: Borrowed,
        call: "store.re_encrypt(blob().as_bytes(), &context(), &kms_key(), &context()).await",
        legal: &[(&[Connected], "assert_ne!(outcome.unwrap(), blob())")],
    },
    Row {
        method: "create_key",
        receiver: Borrowed,
        call: "store.create_key(&NewKey::generated()).await",
        legal: &[(&[Connected], "assert_ne!(outcome.unwrap().key_id, kms_key())")],
    },
    Row {
        method: "generate_data_key",
        receiver: Borrowed,
        call: "store.generate_data_key(&kms_key(), DataKeyLength::AES_256, &context()).await",
        legal: &[(&[Connected], "assert_eq!(outcome.unwrap().plaintext.len(), 32)")],
    },
    Row {
        method: "generate_data_key_without_plaintext",
        receiver: Borrowed,
        call: "store.generate_data_key_without_plaintext(&kms_key(), DataKeyLength::AES_128, &context()).await",
        legal: &[(&[Connected], "assert!(outcome.is_ok())")],
    },
    Row {
        method: "describe_backing_key",
        receiver: Borrowed,
        call: "store.describe_backing_key(&key()).await",
        legal: &[(&[Connected], "assert_eq!(outcome.unwrap().status, KeyStatus::Enabled)")],
    },
    Row {
        method: "generate_random",
        receiver: Borrowed,
        call: "store.generate_random(32).await",
        legal: &[(&[Connected], "assert_eq!(outcome.unwrap().len(), 32)")],
    },
    Row {
        method: "health",
        receiver: Borrowed,
        call: "store.health().await",
        legal: &[(&[Connected], "assert!(outcome.is_ok())")],
    },
    Row {
        method: "connection_error",
        receiver: Borrowed,
        call: "store.connection_error()",
        legal: &[(&[Failed], "assert_eq!(outcome.code(), ConnectionErrorCode::UserLockedOut)")],
    },
    Row {
        method: "error_code",
        receiver: Borrowed,
        call: "store.error_code()",
        legal: &[(&[Failed], "assert_eq!(outcome, ConnectionErrorCode::UserLockedOut)")],
    },
    Row {
        method: "advice",
        receiver: Borrowed,
        call: "store.advice()",
        legal: &[(&[Failed], "assert_eq!(outcome.by, Responsible::CryptoOfficer)")],
    },
    Row {
        method: "disconnect",
        receiver: Taken,
        call: "store.disconnect()",
        legal: &[(
            &[Connecting, Connected, Failed],
            "assert_eq!(outcome.await.state(), ConnectionState::Disconnected)",
        )],
    },
    Row {
        method: "disconnect_within",
        receiver: Taken,
        call: "store.disconnect_within(Duration::ZERO)",
        legal: &[(&[Connected], "assert_eq!(outcome.await.state(), ConnectionState::Disconnected)")],
    },
];

/// One property of a store's configuration: a method of `Change`, and of `LiveChange` if it is live.
#[derive(Debug)]
pub(crate) struct Property {
    pub(crate) name: &'static str,
    pub(crate) arguments: &'static str,
    /// Whether it may change while the store is connected.
    pub(crate) live: bool,
}

pub(crate) const PROPERTIES: &[Property] = &[
    Property { name: "name", arguments: "name()", live: true },
    Property { name: "credential", arguments: "credential()", live: true },
    Property { name: "uri_path", arguments: "path()", live: true },
    Property { name: "uri_endpoint", arguments: "endpoint()", live: false },
    Property { name: "public_endpoint", arguments: "endpoint()", live: false },
    Property { name: "vpc_endpoint_service", arguments: "endpoint(), service()", live: false },
    Property { name: "vpc_endpoint_service_name", arguments: "service()", live: false },
    Property { name: "vpc_endpoint_service_owner", arguments: "account()", live: false },
    Property { name: "password", arguments: "password()", live: false },
    Property { name: "cluster_id", arguments: "cluster()", live: false },
];

/// The traits that a store implements, and in which states. A trait can give a store methods, as `Deref` would,
/// so one more must be thought about.
pub(crate) const TRAITS: &[(&str, &[ConnectionState])] =
    &[("Debug", &STATES), ("IntoFuture", &[Connecting, Disconnecting]), ("TryFrom", &STATES)];
