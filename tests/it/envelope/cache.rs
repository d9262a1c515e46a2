//! Data keys are kept within their bounds, and no longer than the KMS key allows.

use std::io::Write as _;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use custom_key_store::ErrorKind;
use custom_key_store::backend::BackendErrorKind;
use custom_key_store::clock::ManualClock;
use custom_key_store::envelope::{Envelope, EnvelopeBuilder, EnvelopeError, StoreKey, wrapped_data_key};
use custom_key_store::{EncryptionContext, SecretBytes};
use futures::executor::block_on;
use futures::future::join_all;

use super::support::{Fixture, Source, bytes, context, other_context, poll_once};

fn kind(error: EnvelopeError) -> ErrorKind {
    match error {
        EnvelopeError::Source(error) => error.kind(),
        other => panic!("{other:?}"),
    }
}

fn seal(envelope: &Envelope, length: usize) -> Vec<u8> {
    block_on(envelope.seal(&bytes(length), &context())).unwrap()
}

fn open(envelope: &Envelope, record: &[u8]) -> SecretBytes {
    block_on(envelope.open(record, &context())).unwrap()
}

/// How many data keys seal `times` messages of this length.
fn used(times: u64, length: usize, set: impl FnOnce(EnvelopeBuilder) -> EnvelopeBuilder) -> u64 {
    let source = Source::new();
    let envelope = set(Envelope::builder(Arc::clone(&source))).build();
    for _ in 0..times {
        seal(&envelope, length);
    }
    assert_eq!(source.calls(), envelope.statistics().generated);
    source.calls()
}

#[test]
fn a_data_key_seals_a_limited_number_of_messages() {
    assert_eq!(used(10, 1, |builder| builder), 1);
    assert_eq!(used(10, 1, |builder| builder.max_messages(3)), 4);
    assert_eq!(used(9, 1, |builder| builder.max_messages(3)), 3);
    assert_eq!(used(5, 1, |builder| builder.max_messages(1)), 5);
    assert_eq!(used(5, 1, |builder| builder.max_messages(0)), 5);
}

#[test]
fn a_data_key_seals_a_limited_number_of_bytes() {
    assert_eq!(used(10, 100, |builder| builder.max_bytes(500)), 2);
    assert_eq!(used(10, 100, |builder| builder.max_bytes(499)), 3);
    assert_eq!(used(4, 100, |builder| builder.max_bytes(99)), 4, "each is the first of a data key");
    assert_eq!(used(100, 0, |builder| builder.max_bytes(0)), 1, "nothing is no bytes");
}

#[test]
fn a_stream_counts_what_was_written() {
    let source = Source::new();
    let envelope = Envelope::builder(Arc::clone(&source)).max_bytes(1000).build();
    let mut writer = block_on(envelope.writer(Vec::new(), &context())).unwrap();
    writer.write_all(&bytes(5000)).unwrap();
    writer.finish().unwrap();
    seal(&envelope, 1);
    assert_eq!(source.calls(), 2);
}

#[test]
fn a_data_key_is_kept_for_a_limited_time() {
    let (source, clock) = (Source::new(), ManualClock::new());
    let build = || {
        let builder = Envelope::builder(Arc::clone(&source)).max_age(Duration::from_secs(60));
        builder.clock(clock.clone()).build()
    };
    let (sealing, opening) = (build(), build());
    let record = seal(&sealing, 1);
    open(&opening, &record);
    assert_eq!(source.calls(), 2);

    clock.advance(Duration::from_millis(59_999));
    seal(&sealing, 1);
    open(&opening, &record);
    open(&sealing, &record);
    assert_eq!(source.calls(), 2);
    // The wall clock is nobody's business.
    clock.set_wall(std::time::SystemTime::UNIX_EPOCH);
    seal(&sealing, 1);
    assert_eq!(source.calls(), 2);

    clock.advance(Duration::from_millis(1));
    open(&opening, &record);
    assert_eq!(source.calls(), 3);
    seal(&sealing, 1);
    open(&sealing, &record);
    assert_eq!(source.calls(), 5);
}

#[test]
fn a_limited_number_of_data_keys_is_kept() {
    let envelope = Envelope::builder(Source::new()).max_entries(8).build();
    for number in 0..200 {
        let context = EncryptionContext::new([("number", number.to_string())]).unwrap();
        block_on(envelope.seal(b"", &context)).unwrap();
        let kept = envelope.statistics().kept;
        assert!(kept <= 16, "8 to seal with, 8 to open with, but {kept}");
    }
    assert!(envelope.statistics().kept >= 8);
    assert_eq!(used(5, 1, |builder| builder.max_entries(0)), 5);
    assert_eq!(used(5, 1, |builder| builder.max_age(Duration::ZERO)), 5);
}

#[test]
fn each_context_has_data_keys_of_its_own() {
    let source = Source::new();
    let envelope = Envelope::new(Arc::clone(&source));
    let one = seal(&envelope, 1);
    let two = block_on(envelope.seal(&bytes(1), &other_context())).unwrap();
    assert_ne!(wrapped_data_key(&one).unwrap(), wrapped_data_key(&two).unwrap());
    assert_eq!(source.calls(), 2);
}

#[test]
fn statistics_say_what_happened() {
    let source = Source::new();
    let (envelope, other) = (Envelope::new(Arc::clone(&source)), Envelope::new(source));
    let record = seal(&envelope, 1);
    seal(&envelope.clone(), 1);
    open(&envelope, &record);
    let seen = envelope.statistics();
    assert_eq!((seen.hits, seen.misses, seen.generated, seen.unwrapped, seen.kept), (2, 1, 1, 0, 2));
    open(&other, &record);
    open(&other, &record);
    let seen = other.statistics();
    assert_eq!((seen.hits, seen.misses, seen.generated, seen.unwrapped, seen.kept), (1, 1, 0, 1, 1));
}

#[test]
fn many_who_miss_cause_one_call() {
    let source = Source::gated();
    let envelope = Envelope::new(Arc::clone(&source));
    let (context, plaintext) = (context(), bytes(10));
    let mut calls: Vec<_> = (0..20).map(|_| Box::pin(envelope.seal(&plaintext, &context))).collect();
    for call in &mut calls {
        assert!(poll_once(call).is_pending());
    }
    assert_eq!(source.calls(), 1);
    source.gate.add_permits(1);
    let records = block_on(join_all(calls));
    assert!(records.iter().all(Result::is_ok));
    assert_eq!(source.calls(), 1);
}

#[test]
fn a_call_goes_on_when_who_began_it_is_dropped() {
    let source = Source::gated();
    let envelope = Envelope::new(Arc::clone(&source));
    let (context, plaintext) = (context(), bytes(10));
    let mut leader = Box::pin(envelope.seal(&plaintext, &context));
    let mut waiter = Box::pin(envelope.seal(&plaintext, &context));
    assert!(poll_once(&mut leader).is_pending());
    assert!(poll_once(&mut waiter).is_pending());
    drop(leader);
    source.gate.add_permits(1);
    block_on(waiter).unwrap();
    assert_eq!(source.calls(), 1, "it was not begun again");
}

#[test]
fn a_call_that_everybody_has_given_up_is_begun_again() {
    let source = Source::gated();
    let envelope = Envelope::new(Arc::clone(&source));
    let (context, plaintext) = (context(), bytes(10));
    for _ in 0..3 {
        let mut given_up = Box::pin(envelope.seal(&plaintext, &context));
        assert!(poll_once(&mut given_up).is_pending());
    }
    assert_eq!(source.calls(), 3);
    source.gate.add_permits(1);
    block_on(envelope.seal(&plaintext, &context)).unwrap();
    assert_eq!(source.calls(), 4);
}

#[test]
fn who_finds_the_data_key_used_up_gets_one_of_its_own() {
    let source = Source::gated();
    let envelope = Envelope::builder(Arc::clone(&source)).max_messages(2).build();
    let (context, plaintext) = (context(), bytes(10));
    let mut calls: Vec<_> = (0..5).map(|_| Box::pin(envelope.seal(&plaintext, &context))).collect();
    for call in &mut calls {
        assert!(poll_once(call).is_pending());
    }
    source.gate.add_permits(100);
    let records: Vec<_> = block_on(join_all(calls)).into_iter().map(Result::unwrap).collect();
    let keys: Vec<_> = records.iter().map(|record| wrapped_data_key(record).unwrap()).collect();
    for key in &keys {
        assert!(keys.iter().filter(|other| *other == key).count() <= 2, "{keys:?}");
    }
}

#[test]
fn threads_that_miss_together_cause_one_call() {
    for _ in 0..50 {
        let source = Source::new();
        let envelope = Envelope::new(Arc::clone(&source));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| seal(&envelope, 10));
            }
        });
        assert_eq!(source.calls(), 1);
    }
}

#[test]
fn a_source_that_panics_fails_those_who_wait_and_no_others() {
    let source = Source::gated();
    let envelope = Envelope::new(Arc::clone(&source));
    source.panics.store(true, Ordering::SeqCst);
    let (context, plaintext) = (context(), bytes(10));
    let mut calls: Vec<_> = (0..3).map(|_| Box::pin(envelope.seal(&plaintext, &context))).collect();
    for call in &mut calls {
        assert!(poll_once(call).is_pending());
    }
    source.gate.add_permits(100);
    for answer in block_on(join_all(calls)) {
        assert_eq!(kind(answer.unwrap_err()), ErrorKind::Backend(BackendErrorKind::Panicked));
    }
    source.panics.store(false, Ordering::SeqCst);
    seal(&envelope, 10);
}

#[test]
fn revoking_empties_everything_also_what_is_just_being_fetched() {
    let source = Source::gated();
    let envelope = Envelope::new(Arc::clone(&source));
    source.gate.add_permits(1);
    let record = seal(&envelope, 1);
    assert_eq!(envelope.statistics().kept, 2);
    envelope.revoke();
    assert_eq!(envelope.statistics().kept, 0);

    let context = context();
    let mut opening = Box::pin(envelope.open(&record, &context));
    let mut sealing = Box::pin(envelope.seal(b"", &context));
    assert!(poll_once(&mut opening).is_pending());
    assert!(poll_once(&mut sealing).is_pending());
    envelope.revoke();
    source.gate.add_permits(2);
    block_on(opening).unwrap();
    block_on(sealing).unwrap();
    assert_eq!(envelope.statistics().kept, 0);
    source.gate.add_permits(1);
    open(&envelope, &record);
    assert_eq!(source.calls(), 4);
}

#[test]
fn pruning_leaves_what_may_be_used() {
    let (source, clock) = (Source::new(), ManualClock::new());
    let envelope = Envelope::builder(source).clock(clock.clone()).max_age(Duration::from_secs(60)).build();
    seal(&envelope, 1);
    clock.advance(Duration::from_secs(30));
    block_on(envelope.seal(b"", &other_context())).unwrap();
    envelope.prune();
    assert_eq!(envelope.statistics().kept, 4);
    clock.advance(Duration::from_secs(30));
    envelope.prune();
    assert_eq!(envelope.statistics().kept, 2);
}

#[test]
fn a_new_generation_or_a_change_under_way_is_not_survived() {
    let source = Source::gated();
    let envelope = Envelope::new(Arc::clone(&source));
    source.gate.add_permits(2);
    let record = seal(&envelope, 1);
    source.generation.store(1, Ordering::SeqCst);
    seal(&envelope, 1);
    assert_eq!(source.calls(), 2);

    // The KMS key changes while a call is under way.
    let context = context();
    let mut call = Box::pin(envelope.open(&record, &context));
    assert!(poll_once(&mut call).is_pending());
    source.generation.store(2, Ordering::SeqCst);
    source.gate.add_permits(100);
    block_on(call).unwrap();
    open(&envelope, &record);
    assert_eq!(source.calls(), 4, "what it brought was not kept");
    open(&envelope, &record);
    assert_eq!(source.calls(), 4);

    source.generation.store(3, Ordering::SeqCst);
    source.changing.store(true, Ordering::SeqCst);
    open(&envelope, &record);
    open(&envelope, &record);
    assert_eq!(source.calls(), 6, "nothing is kept while it changes");
}

#[test]
fn a_disabled_key_neither_seals_nor_opens() {
    block_on(async {
        let fixture = Fixture::new().await;
        let other = fixture.another_key("key-2").await;
        let handle = fixture.store.handle();
        let (envelope, unconcerned) = (fixture.envelope(), Envelope::new(StoreKey::new(&handle, other)));
        let record = envelope.seal(b"attack at dawn", &context()).await.unwrap();
        unconcerned.seal(b"", &context()).await.unwrap();

        handle.keys().disable(&fixture.key).await.unwrap();
        assert_eq!(kind(envelope.seal(b"", &context()).await.unwrap_err()), ErrorKind::KeyDisabled);
        assert_eq!(kind(envelope.open(&record, &context()).await.unwrap_err()), ErrorKind::KeyDisabled);
        assert_eq!(envelope.statistics().kept, 0);

        handle.keys().enable(&fixture.key).await.unwrap();
        assert_eq!(envelope.open(&record, &context()).await.unwrap().expose(), b"attack at dawn");

        handle.keys().schedule_deletion(&fixture.key, 7).await.unwrap();
        assert_eq!(
            kind(envelope.open(&record, &context()).await.unwrap_err()),
            ErrorKind::KeyPendingDeletion
        );

        // Unless the two share a generation, which their ids decide.
        if fixture.key.as_bytes()[0] != other.as_bytes()[0] {
            unconcerned.seal(b"", &context()).await.unwrap();
            assert_eq!(unconcerned.statistics().generated, 1);
        }
    });
}

#[test]
fn a_disconnected_store_opens_what_is_kept_and_seals_only_on_request() {
    block_on(async {
        let Fixture { store, key, clock, .. } = Fixture::new().await;
        let source = Arc::new(StoreKey::new(&store.handle(), key));
        let builder = || Envelope::builder(Arc::clone(&source)).clock(clock.clone());
        let strict = builder().build();
        let lenient = builder().encrypt_while_disconnected(true).build();
        let record = strict.seal(b"attack at dawn", &context()).await.unwrap();
        let later = lenient.seal(b"attack at dusk", &context()).await.unwrap();

        let store = store.disconnect().await;
        assert_eq!(strict.open(&record, &context()).await.unwrap().expose(), b"attack at dawn");
        assert_eq!(kind(strict.seal(b"", &context()).await.unwrap_err()), ErrorKind::NotConnected);
        assert_eq!(kind(strict.open(&later, &context()).await.unwrap_err()), ErrorKind::NotConnected);
        lenient.seal(b"", &context()).await.unwrap();

        // Connected again, with a new handle.
        let store = store.connect().await.unwrap();
        assert_eq!(kind(strict.seal(b"", &context()).await.unwrap_err()), ErrorKind::NotConnected);
        source.reconnect(&store.handle()).unwrap();
        strict.seal(b"", &context()).await.unwrap();
        assert_eq!(strict.statistics().generated, 1, "the data key was kept");

        let store = store.disconnect().await;
        clock.advance(Duration::from_secs(300));
        assert_eq!(kind(strict.open(&record, &context()).await.unwrap_err()), ErrorKind::NotConnected);
        assert_eq!(kind(lenient.seal(b"", &context()).await.unwrap_err()), ErrorKind::NotConnected);

        let store = store.connect().await.unwrap();
        source.reconnect(&store.handle()).unwrap();
        strict.seal(b"", &context()).await.unwrap();
        let store = store.disconnect().await;
        // Nothing is asked of the key manager, and still the data keys are gone.
        store.keys().disable(&key).await.unwrap();
        assert_eq!(kind(strict.open(&record, &context()).await.unwrap_err()), ErrorKind::NotConnected);
    });
}

#[test]
fn a_handle_of_another_store_is_refused() {
    block_on(async {
        let (one, two) = (Fixture::new().await, Fixture::new().await);
        let refused = one.source().reconnect(&two.store.handle()).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::InvalidInput);
    });
}

#[test]
fn everything_goes_between_threads() {
    fn sent<T: Send + Sync + 'static>(_: &T) {}
    let envelope = Envelope::new(Source::new());
    sent(&envelope);
    let context = context();
    let mut call = pin!(envelope.seal(b"", &context));
    fn sent_future<T: Send>(_: &T) {}
    sent_future(&call);
    assert!(matches!(call.as_mut().poll(&mut Context::from_waker(Waker::noop())), Poll::Ready(Ok(_))));
    let mut stream = Vec::new();
    let writer = block_on(envelope.writer(&mut stream, &context)).unwrap();
    sent_future(&writer);
    drop(writer);
}
