//! Random sequences of steps.

use custom_key_store::backend::software::{Fault, Method};
use custom_key_store::backend::{BackendErrorKind, ConnectionErrorCode};
use proptest::collection::vec;
use proptest::prelude::*;

use super::op::*;

/// Up to about 60 steps, most of the time with stores, keys and blobs that are there already. Some steps come in phrases,
/// since single ones at random seldom lead where it is interesting.
pub(super) fn sequences() -> impl Strategy<Value = Vec<Op>> {
    let beginning = prop_oneof![1 => Just(vec![]), 6 => Just(beginning())];
    (beginning, vec(phrase(), 4..36)).prop_map(|(beginning, phrases)| [beginning, phrases.concat()].concat())
}

pub(super) const fn awaited(call: Call) -> Op {
    Op::Call(call, Then::Await { driven: true })
}

pub(super) const fn external(name: u8, endpoint: u8, path: u8) -> Settings {
    Settings { name, place: Place::External { endpoint, path, service: None }, secret: 0 }
}

pub(super) const fn cluster(name: u8, cluster: u8) -> Settings {
    Settings { name, place: Place::Cluster { cluster, copy: 0 }, secret: 0 }
}

/// Two stores, connected, with keys, an alias and something encrypted.
pub(super) fn beginning() -> Vec<Op> {
    let context = |key, context| Call::Encrypt { key: Named::Id(key), context, dry: false };
    let calls =
        [Call::Create(external(0, 0, 0)), Call::Create(cluster(1, 0)), Call::Connect(0), Call::Connect(1)];
    let then = [
        Call::CreateKey(0, Some(0)),
        Call::CreateKey(1, None),
        Call::CreateAlias(0, 0),
        context(0, 0),
        context(1, 1),
        Call::ReEncrypt { blob: 0, to: Named::Id(1) },
    ];
    calls.into_iter().map(awaited).chain([Op::Rest]).chain(then.into_iter().map(awaited)).collect()
}

/// Of one of several things.
fn number() -> std::ops::Range<usize> {
    0..24
}

fn phrase() -> impl Strategy<Value = Vec<Op>> {
    prop_oneof![
        24 => (call(), then()).prop_map(|(call, then)| vec![Op::Call(call, then)]),
        8 => step().prop_map(|op| vec![op]),
        4 => connecting(),
        3 => disconnecting(),
        4 => call_meets_fault(),
        2 => attempt_meets_fault(),
        3 => in_flight_over_disconnect(),
        3 => catalogue_in_a_mood(),
        2 => deletion(),
        2 => racing_updates(),
        2 => restart(),
        1 => restart_and_refusal(),
        2 => left_alone(),
        1 => alias_on_the_move(),
    ]
}

fn step() -> impl Strategy<Value = Op> {
    prop_oneof![
        3 => number().prop_map(Op::PollCall),
        2 => number().prop_map(Op::DropCall),
        3 => (0..MANAGERS, method(), fault()).prop_map(|(manager, method, fault)| Op::Inject(manager, method, fault)),
        1 => (0..MANAGERS).prop_map(Op::Heal),
        1 => (0..MANAGERS, 0..SECRETS).prop_map(|(manager, secret)| Op::Accept(manager, secret)),
        2 => proptest::option::of(mood()).prop_map(Op::Commit),
        1 => proptest::option::of(read_mood()).prop_map(Op::Read),
        2 => proptest::sample::select(&ADVANCES[..]).prop_map(Op::Advance),
        4 => Just(Op::Drive),
        4 => Just(Op::Rest),
        1 => end().prop_map(Op::Restart),
    ]
}

fn connecting() -> impl Strategy<Value = Vec<Op>> {
    (number(), any::<bool>()).prop_map(|(store, at_rest)| {
        vec![awaited(Call::Connect(store)), if at_rest { Op::Rest } else { Op::Drive }]
    })
}

fn disconnecting() -> impl Strategy<Value = Vec<Op>> {
    (number(), then(), any::<bool>()).prop_map(|(store, then, at_rest)| {
        vec![Op::Call(Call::Disconnect(store), then), if at_rest { Op::Rest } else { Op::Drive }]
    })
}

/// Of all key managers, since it is not known here which one the call will ask.
fn call_meets_fault() -> impl Strategy<Value = Vec<Op>> {
    (crypto(), call_fault(), then()).prop_map(|(call, fault, then)| {
        let methods: &[Method] = match call {
            Call::Encrypt { .. } | Call::DataKey { .. } => &[Method::Encrypt],
            Call::Decrypt { .. } => &[Method::Decrypt],
            Call::ReEncrypt { .. } => &[Method::Encrypt, Method::Decrypt],
            Call::Random(_) => &[Method::GenerateRandom],
            _ => &[Method::DescribeKey, Method::GenerateKey],
        };
        let inject = |method: &Method| {
            let (method, fault) = (*method, fault.clone());
            (0..MANAGERS).map(move |manager| Op::Inject(manager, method, fault.clone()))
        };
        let heal = (0..MANAGERS).map(Op::Heal);
        methods.iter().flat_map(inject).chain([Op::Call(call, then)]).chain(heal).collect()
    })
}

fn attempt_meets_fault() -> impl Strategy<Value = Vec<Op>> {
    let fault = prop_oneof![
        2 => proptest::sample::select(ConnectionErrorCode::ALL).prop_map(Fault::Refuse),
        1 => fault(),
    ];
    (number(), fault, any::<bool>()).prop_map(|(store, fault, at_rest)| {
        let inject = (0..MANAGERS).map(|manager| Op::Inject(manager, Method::Connect, fault.clone()));
        let then = [
            Op::Call(Call::Disconnect(store), Then::Await { driven: true }),
            Op::Drive,
            awaited(Call::Connect(store)),
            if at_rest { Op::Rest } else { Op::Drive },
        ];
        inject.chain(then).collect()
    })
}

fn in_flight_over_disconnect() -> impl Strategy<Value = Vec<Op>> {
    (crypto(), slow(), 0..2_usize, any::<bool>()).prop_map(|(call, fault, store, at_rest)| {
        let methods = [Method::Encrypt, Method::Decrypt, Method::GenerateRandom, Method::DescribeKey];
        let inject = |method: &Method| Op::Inject(store, *method, fault.clone());
        let mut ops: Vec<Op> = methods.iter().map(inject).collect();
        ops.push(Op::Call(call, Then::Keep { polls: 1, driven: false }));
        ops.push(awaited(Call::Disconnect(store)));
        ops.push(if at_rest { Op::Rest } else { Op::Advance(1) });
        ops.push(Op::PollCall(0));
        ops
    })
}

fn catalogue_in_a_mood() -> impl Strategy<Value = Vec<Op>> {
    (vec(proptest::option::weighted(0.7, mood()), 1..3), management(), then(), any::<bool>()).prop_map(
        |(moods, call, then, at_rest)| {
            let mut ops: Vec<Op> = moods.into_iter().map(Op::Commit).collect();
            ops.push(Op::Call(call, then));
            ops.push(if at_rest { Op::Rest } else { Op::Drive });
            ops
        },
    )
}

fn deletion() -> impl Strategy<Value = Vec<Op>> {
    (number(), any::<bool>(), any::<bool>()).prop_map(|(key, disconnected, restarted)| {
        let mut ops = vec![awaited(Call::Key(key, KeyEdit::Schedule(7)))];
        if disconnected {
            ops.extend([awaited(Call::Disconnect(key)), Op::Rest]);
        }
        ops.push(Op::Advance(8 * 24 * 60 * 60));
        if restarted {
            ops.push(Op::Restart(End::Crash { kms_first: true, late: false }));
        }
        ops.push(Op::Drive);
        if disconnected {
            ops.push(awaited(Call::Delete(key)));
        }
        ops
    })
}

fn racing_updates() -> impl Strategy<Value = Vec<Op>> {
    (number(), edit(), edit(), slow(), store_call()).prop_map(|(store, one, other, fault, call)| {
        let keep = |call| Op::Call(call, Then::Keep { polls: 1, driven: false });
        let mut ops: Vec<Op> =
            (0..MANAGERS).map(|manager| Op::Inject(manager, Method::Connect, fault.clone())).collect();
        ops.extend([keep(Call::Update(store, one)), keep(Call::Update(store, other)), keep(call), Op::Drive]);
        ops
    })
}

fn restart() -> impl Strategy<Value = Vec<Op>> {
    (store_call(), then(), end(), any::<bool>()).prop_map(|(call, then, end, at_rest)| {
        let mut ops = vec![Op::Call(call, then), Op::Restart(end)];
        if at_rest {
            ops.push(Op::Rest);
        }
        ops
    })
}

/// What was connected is to be connected again, and refused.
fn restart_and_refusal() -> impl Strategy<Value = Vec<Op>> {
    (proptest::sample::select(ConnectionErrorCode::ALL), end()).prop_map(|(code, end)| {
        let refuse = |manager| Op::Inject(manager, Method::Connect, Fault::Refuse(code));
        (0..MANAGERS).map(refuse).chain([Op::Restart(end), Op::Rest]).collect()
    })
}

/// Somebody begins something and goes away.
fn left_alone() -> impl Strategy<Value = Vec<Op>> {
    (management(), 1..5_u8, any::<bool>()).prop_map(|(call, polls, driven)| {
        let slow = || Op::Commit(Some(Mood::Slow(2)));
        let left = Op::Call(call, Then::Drop { polls, driven });
        vec![slow(), slow(), left, if driven { Op::Drive } else { Op::Rest }]
    })
}

/// Somebody deletes an alias, or moves it, while somebody else does.
fn alias_on_the_move() -> impl Strategy<Value = Vec<Op>> {
    (0..ALIASES, number(), number(), 1..4_u8, any::<bool>()).prop_map(|(alias, one, other, polls, delete)| {
        let slow = || Op::Read(Some(ReadMood::Slow(1)));
        let second = if delete { Call::DeleteAlias(alias) } else { Call::UpdateAlias(alias, other) };
        vec![
            awaited(Call::CreateAlias(alias, other)),
            slow(),
            slow(),
            Op::Call(second, Then::Keep { polls, driven: false }),
            awaited(Call::UpdateAlias(alias, one)),
            Op::PollCall(0),
        ]
    })
}

fn then() -> impl Strategy<Value = Then> {
    let polls = || prop_oneof![4 => Just(1_u8), 3 => 2..6_u8, 1 => Just(0)];
    prop_oneof![
        10 => Just(Then::Await { driven: true }),
        4 => Just(Then::Await { driven: false }),
        3 => (polls(), any::<bool>()).prop_map(|(polls, driven)| Then::Drop { polls, driven }),
        2 => (polls(), any::<bool>()).prop_map(|(polls, driven)| Then::Keep { polls, driven }),
    ]
}

fn end() -> impl Strategy<Value = End> {
    prop_oneof![
        4 => (any::<bool>(), any::<bool>()).prop_map(|(kms_first, late)| End::Crash { kms_first, late }),
        1 => Just(End::Driverless),
        2 => Just(End::Orderly),
    ]
}

fn call() -> impl Strategy<Value = Call> {
    prop_oneof![3 => store_call(), 4 => key_call(), 5 => crypto()]
}

fn management() -> impl Strategy<Value = Call> {
    prop_oneof![store_call(), key_call()]
}

fn store_call() -> impl Strategy<Value = Call> {
    let store = number;
    prop_oneof![
        3 => settings().prop_map(Call::Create),
        4 => store().prop_map(Call::Connect),
        3 => store().prop_map(Call::Disconnect),
        4 => (store(), edit()).prop_map(|(store, edit)| Call::Update(store, edit)),
        1 => store().prop_map(Call::Delete),
    ]
}

fn key_call() -> impl Strategy<Value = Call> {
    let (store, key) = (number, number);
    let backing = proptest::option::weighted(0.6, 0..BACKING_KEYS);
    prop_oneof![
        4 => (store(), backing).prop_map(|(store, backing)| Call::CreateKey(store, backing)),
        8 => (key(), key_edit()).prop_map(|(key, edit)| Call::Key(key, edit)),
        2 => (0..ALIASES, key()).prop_map(|(alias, key)| Call::CreateAlias(alias, key)),
        3 => (0..ALIASES, key()).prop_map(|(alias, key)| Call::UpdateAlias(alias, key)),
        1 => (0..ALIASES).prop_map(Call::DeleteAlias),
    ]
}

fn key_edit() -> impl Strategy<Value = KeyEdit> {
    prop_oneof![
        3 => Just(KeyEdit::Enable),
        2 => Just(KeyEdit::Disable),
        2 => proptest::sample::select(&[7_u32, 30, 6, 31][..]).prop_map(KeyEdit::Schedule),
        2 => Just(KeyEdit::Cancel),
        1 => (0..3_u8).prop_map(KeyEdit::Describe),
        1 => (0..TAGS, 0..3_u8).prop_map(|(tag, value)| KeyEdit::Tag(tag, value)),
        1 => (0..TAGS).prop_map(KeyEdit::Untag),
    ]
}

fn crypto() -> impl Strategy<Value = Call> {
    let wrong = prop_oneof![6 => Just(None), 1 => Just(Some(Wrong::Context)), 1 => Just(Some(Wrong::Blob))];
    let dry = || proptest::bool::weighted(0.1);
    prop_oneof![
        4 => (named(), 0..2_u8, dry()).prop_map(|(key, context, dry)| Call::Encrypt { key, context, dry }),
        5 => (number(), wrong, proptest::option::weighted(0.3, named()), dry())
            .prop_map(|(blob, wrong, named, dry)| Call::Decrypt { blob, wrong, named, dry }),
        3 => (number(), named()).prop_map(|(blob, to)| Call::ReEncrypt { blob, to }),
        2 => (named(), any::<bool>()).prop_map(|(key, plaintext)| Call::DataKey { key, plaintext }),
        2 => proptest::option::weighted(0.8, number()).prop_map(Call::Random),
    ]
}

fn named() -> impl Strategy<Value = Named> {
    prop_oneof![
        5 => number().prop_map(Named::Id),
        1 => number().prop_map(Named::Arn),
        3 => (0..ALIASES).prop_map(Named::Alias),
        1 => (0..ALIASES).prop_map(Named::AliasArn),
    ]
}

fn settings() -> impl Strategy<Value = Settings> {
    (0..NAMES, place(), 0..SECRETS).prop_map(|(name, place, secret)| {
        // Mostly the one that is accepted.
        Settings { name, place, secret: secret & name & 1 }
    })
}

fn place() -> impl Strategy<Value = Place> {
    prop_oneof![
        3 => (0..ENDPOINTS, 0..PATHS, proptest::option::weighted(0.2, 0..SERVICES))
            .prop_map(|(endpoint, path, service)| Place::External { endpoint, path, service }),
        2 => (0..CLUSTERS, 0..COPIES).prop_map(|(cluster, copy)| Place::Cluster { cluster, copy }),
    ]
}

fn edit() -> impl Strategy<Value = Edit> {
    let some = |of: u8| proptest::option::weighted(0.4, 0..of);
    let rare = |of: u8| proptest::option::weighted(0.15, 0..of);
    let service = proptest::option::weighted(0.15, proptest::option::of(0..SERVICES));
    let external = (some(NAMES), rare(SECRETS), some(PATHS), rare(ENDPOINTS), service).prop_map(
        |(name, credential, path, endpoint, service)| Edit {
            name,
            credential,
            path,
            endpoint,
            service,
            ..Edit::default()
        },
    );
    let cluster = (some(NAMES), some(SECRETS), some(COPIES)).prop_map(|(name, password, copy)| Edit {
        name,
        password,
        copy,
        ..Edit::default()
    });
    let name = (0..NAMES).prop_map(|name| Edit { name: Some(name), ..Edit::default() });
    prop_oneof![4 => external, 2 => cluster, 1 => name]
}

fn method() -> impl Strategy<Value = Method> {
    proptest::sample::select(Method::ALL)
}

fn slow() -> impl Strategy<Value = Fault> {
    prop_oneof![Just(Fault::Hang), Just(delay(1)), Just(delay(30))]
}

fn call_fault() -> impl Strategy<Value = Fault> {
    prop_oneof![3 => fault(), 1 => Just(Fault::Corrupt), 1 => Just(Fault::Fail(BackendErrorKind::InvalidCiphertext))]
}

fn fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        4 => proptest::sample::select(BackendErrorKind::ALL).prop_map(Fault::Fail),
        1 => proptest::sample::select(ConnectionErrorCode::ALL).prop_map(Fault::Refuse),
        3 => slow(),
        1 => Just(Fault::Panic),
        1 => Just(Fault::Corrupt),
    ]
}

fn mood() -> impl Strategy<Value = Mood> {
    prop_oneof![
        2 => Just(Mood::Full),
        1 => Just(Mood::Refused),
        1 => Just(Mood::Lost),
        1 => Just(Mood::Hang),
        1 => Just(Mood::Silent),
        2 => Just(Mood::Late),
        3 => (1..4_u8).prop_map(Mood::Slow),
    ]
}

fn read_mood() -> impl Strategy<Value = ReadMood> {
    prop_oneof![
        1 => Just(ReadMood::Unavailable),
        1 => Just(ReadMood::Hang),
        3 => (1..4_u8).prop_map(ReadMood::Slow),
    ]
}
