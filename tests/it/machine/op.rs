//! What can be done to a store, to its key manager and to time.

use std::time::Duration;

use custom_key_store::backend::software::{Fault, Method};
use custom_key_store::backend::{BackendErrorKind, ConnectionErrorCode};
use proptest::collection::vec;
use proptest::prelude::*;

/// One step. Numbers that choose one of several things count from the newest and wrap around.
#[derive(Debug, Clone)]
pub(super) enum Op {
    /// The next call of this method meets the fault.
    Inject(Method, Fault),
    /// So many seconds pass, and nobody is polled.
    Advance(u64),
    Connect,
    Disconnect,
    /// The typed `disconnect_within`, in `CONNECTED` alone.
    DisconnectWithin(u64),
    /// `AnyKeyStore::settled()`, polled once and dropped.
    PollOnce,
    /// `AnyKeyStore::settled()`, polled to the end; time passes when nothing else happens.
    Settle,
    /// The typed `settled()`, polled once and dropped: learns the outcome and does not take it.
    PollTyped,
    /// The typed `store.await`, polled once and dropped, with the store if it had not resolved.
    AwaitAndDrop,
    /// A call through any handle that was ever taken.
    Call {
        handle: usize,
        what: What,
        then: Then,
    },
    PollCall(usize),
    DropCall(usize),
    /// The dry run, in `DISCONNECTED` alone; an impatient one is dropped at its first wait.
    Probe {
        patient: bool,
    },
    /// An update, in `DISCONNECTED` and `CONNECTED`; an impatient one is dropped at its first wait.
    Update {
        edit: Edit,
        patient: bool,
    },
    /// A change that the type of store cannot take, in `DISCONNECTED` alone.
    UpdateOfAnotherType,
    /// The key manager accepts this credential from now on.
    Accept(u8),
    /// Drops the store, whatever it is doing, and makes a new one on the same key manager.
    DropStore,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    /// A KMS key that refers to an external key of its own.
    Create,
    /// Under one of the KMS keys that there are, of whichever store.
    Encrypt(usize),
    /// One of the blobs that there are, of whichever store.
    Decrypt(usize),
    Describe,
}

impl What {
    pub(super) const fn method(self) -> Method {
        match self {
            Self::Encrypt(_) => Method::Encrypt,
            Self::Decrypt(_) => Method::Decrypt,
            Self::Create | Self::Describe => Method::DescribeKey,
        }
    }
}

/// What becomes of the future of a call once it is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Then {
    Keep,
    PollAndKeep,
    Await,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Edit {
    pub(super) name: Option<u8>,
    pub(super) path: Option<u8>,
    pub(super) credential: Option<u8>,
}

/// Up to about 40 steps, half of the time with a store that is connected already. Some steps come in phrases,
/// since single ones at random seldom lead to a call in flight.
pub(super) fn sequences() -> impl Strategy<Value = Vec<Op>> {
    let beginning = prop_oneof![Just(vec![]), Just(vec![Op::Connect, Op::Settle])];
    (beginning, vec(phrase(), 1..32)).prop_map(|(beginning, phrases)| [beginning, phrases.concat()].concat())
}

fn phrase() -> impl Strategy<Value = Vec<Op>> {
    let connect = || vec![Op::Connect, Op::Settle];
    prop_oneof![
        20 => op().prop_map(|op| vec![op]),
        2 => Just(connect()),
        1 => refusal().prop_map(move |refusal| [vec![refusal], connect()].concat()),
        4 => call_in_flight(),
        1 => slow().prop_map(|slow| vec![Op::Inject(Method::Connect, slow), Op::Connect, Op::PollOnce]),
        1 => updates_that_pile_up(),
        1 => a_call_that_outlasts_its_connection(),
        2 => calls_that_are_waited_for(),
        1 => Just(vec![Op::Disconnect, Op::PollOnce]),
        2 => goodbye_fault().prop_map(|fault| vec![fault, Op::Disconnect, Op::Settle]),
        1 => slow_probe(),
        2 => a_call_that_meets_a_fault(),
    ]
}

fn calls_that_are_waited_for() -> impl Strategy<Value = Vec<Op>> {
    let finish = prop_oneof![Just(Op::PollCall(0)), Just(Op::DropCall(0))];
    (call_in_flight(), finish).prop_map(|(call, finish)| {
        [call, vec![Op::Disconnect, Op::PollOnce, Op::Advance(1), finish]].concat()
    })
}

/// Encrypted first, so that there is something to decrypt.
fn a_call_that_meets_a_fault() -> impl Strategy<Value = Vec<Op>> {
    let fault = prop_oneof![
        3 => any_fault(),
        1 => Just(Fault::Corrupt),
        1 => Just(Fault::Fail(BackendErrorKind::InvalidCiphertext)),
    ];
    (fault, what()).prop_map(|(fault, what)| {
        let call = |what| Op::Call { handle: 0, what, then: Then::Await };
        vec![call(What::Encrypt(0)), Op::Inject(what.method(), fault), call(what)]
    })
}

fn refusal() -> impl Strategy<Value = Op> {
    let code = proptest::sample::select(ConnectionErrorCode::ALL);
    code.prop_map(|code| Op::Inject(Method::Connect, Fault::Refuse(code)))
}

fn goodbye_fault() -> impl Strategy<Value = Op> {
    prop_oneof![Just(Fault::Corrupt), any_fault()].prop_map(|fault| Op::Inject(Method::Close, fault))
}

fn slow_probe() -> impl Strategy<Value = Vec<Op>> {
    let method = prop_oneof![Just(Method::Connect), Just(Method::Health), Just(Method::Close)];
    (method, slow(), any::<bool>())
        .prop_map(|(method, slow, patient)| vec![Op::Inject(method, slow), Op::Probe { patient }])
}

/// A replaced connection outlasts an update, and its goodbye the next one.
fn updates_that_pile_up() -> impl Strategy<Value = Vec<Op>> {
    (call_in_flight(), slow(), any::<bool>()).prop_map(|(call, slow_goodbye, patient)| {
        let goodbye = [Op::DropCall(0), Op::Inject(Method::Close, slow_goodbye)];
        [call, vec![to_path(0, true)], goodbye.into(), vec![to_path(1, patient)]].concat()
    })
}

/// It is answered on the replaced connection, which the disconnect closes and reports.
fn a_call_that_outlasts_its_connection() -> impl Strategy<Value = Vec<Op>> {
    (call_in_flight(), any::<bool>()).prop_map(|(call, disconnect_first)| {
        let answered = vec![Op::Advance(1), Op::PollCall(0)];
        let steps = if disconnect_first {
            [vec![Op::Disconnect, Op::PollOnce], answered].concat()
        } else {
            [answered, vec![Op::Disconnect]].concat()
        };
        [call, vec![to_path(1, false)], steps, vec![Op::Settle]].concat()
    })
}

pub(super) const fn to_path(number: u8, patient: bool) -> Op {
    Op::Update { edit: Edit { name: None, path: Some(number), credential: None }, patient }
}

fn op() -> impl Strategy<Value = Op> {
    let index = || 0..4_usize;
    prop_oneof![
        4 => fault().prop_map(|(method, fault)| Op::Inject(method, fault)),
        3 => prop_oneof![Just(1), Just(6), Just(11), Just(61)].prop_map(Op::Advance),
        4 => Just(Op::Connect),
        3 => Just(Op::Disconnect),
        1 => (0..3_u64).prop_map(Op::DisconnectWithin),
        4 => Just(Op::PollOnce),
        4 => Just(Op::Settle),
        2 => Just(Op::PollTyped),
        3 => Just(Op::AwaitAndDrop),
        8 => (index(), what(), then()).prop_map(|(handle, what, then)| Op::Call { handle, what, then }),
        4 => index().prop_map(Op::PollCall),
        3 => index().prop_map(Op::DropCall),
        2 => any::<bool>().prop_map(|patient| Op::Probe { patient }),
        3 => (edit(), any::<bool>()).prop_map(|(edit, patient)| Op::Update { edit, patient }),
        1 => Just(Op::UpdateOfAnotherType),
        1 => (0..2_u8).prop_map(Op::Accept),
        3 => Just(Op::DropStore),
    ]
}

fn slow() -> impl Strategy<Value = Fault> {
    let delay = prop_oneof![Just(1), Just(4), Just(30)];
    prop_oneof![Just(Fault::Hang), delay.prop_map(Duration::from_secs).prop_map(Fault::Delay)]
}

fn call_in_flight() -> impl Strategy<Value = Vec<Op>> {
    (slow(), what()).prop_map(|(fault, what)| {
        let call = Op::Call { handle: 0, what, then: Then::PollAndKeep };
        vec![Op::Inject(what.method(), fault), call]
    })
}

fn what() -> impl Strategy<Value = What> {
    prop_oneof![
        1 => Just(What::Create),
        3 => (0..2_usize).prop_map(What::Encrypt),
        3 => (0..4_usize).prop_map(What::Decrypt),
        3 => Just(What::Describe),
    ]
}

fn then() -> impl Strategy<Value = Then> {
    prop_oneof![Just(Then::Keep), Just(Then::PollAndKeep), Just(Then::Await)]
}

fn edit() -> impl Strategy<Value = Edit> {
    let other = || proptest::option::of(0..2_u8);
    (other(), other(), other()).prop_map(|(name, path, credential)| Edit { name, path, credential })
}

fn fault() -> impl Strategy<Value = (Method, Fault)> {
    let of_call = proptest::sample::select(&[Method::Encrypt, Method::Decrypt, Method::DescribeKey][..]);
    prop_oneof![
        1 => any_fault().prop_map(|fault| (Method::Connect, fault)),
        1 => any_fault().prop_map(|fault| (Method::Close, fault)),
        1 => any_fault().prop_map(|fault| (Method::Health, fault)),
        3 => (of_call, prop_oneof![6 => any_fault(), 1 => Just(Fault::Corrupt)]),
    ]
}

/// A fault that every method can meet.
fn any_fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        proptest::sample::select(BackendErrorKind::ALL).prop_map(Fault::Fail),
        slow(),
        Just(Fault::Panic)
    ]
}
