use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::FutureExt as _;
use http_body::{Frame, SizeHint};
use proptest::prelude::*;

use super::*;
use crate::clock::ManualClock;

const LIMIT: usize = 1 << 20;

/// Pieces that are there at once, and what is announced of them.
struct Pieces {
    pieces: Vec<Bytes>,
    announced: u64,
}

impl Pieces {
    fn new(pieces: impl IntoIterator<Item = usize>) -> Self {
        let piece = |(number, length)| Bytes::from(vec![u8::try_from(number % 251).unwrap(); length]);
        let mut pieces: Vec<_> = pieces.into_iter().enumerate().map(piece).collect();
        pieces.reverse();
        Self { pieces, announced: 0 }
    }

    fn bytes(&self) -> Vec<u8> {
        self.pieces.iter().rev().flatten().copied().collect()
    }
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.pieces.pop().map(|piece| Ok(Frame::data(piece))))
    }

    fn size_hint(&self) -> SizeHint {
        let mut hint = SizeHint::new();
        hint.set_lower(self.announced);
        hint
    }
}

fn bodies(memory: usize) -> Bodies {
    Bodies::new(LIMIT, Duration::from_secs(5), memory)
}

/// What is there at once is read at once.
fn read<'m>(bodies: &'m Bodies, share: Option<&'m Share>, body: Pieces) -> Result<Read<'m>, Unreadable> {
    bodies.read(body, share, &ManualClock::new()).now_or_never().unwrap()
}

fn taken(bodies: &Bodies, share: &Share) -> (usize, usize) {
    (bodies.taken.load(Ordering::Relaxed), share.0.taken.load(Ordering::Relaxed))
}

#[test]
fn the_longest_is_read_whole_and_nothing_longer() {
    let (bodies, share) = (bodies(16 * LIMIT), Share::new(1, 16));
    for pieces in [vec![LIMIT], vec![16 * 1024; 64], vec![1, LIMIT - 1], vec![LIMIT - 1, 1]] {
        let body = Pieces::new(pieces);
        let expected = body.bytes();
        let read = read(&bodies, Some(&share), body).ok().unwrap();
        assert!(read.expose() == expected);
        assert_eq!(taken(&bodies, &share), (LIMIT, LIMIT), "as much as it is long");
    }
    for pieces in [vec![LIMIT + 1], vec![LIMIT, 1], vec![LIMIT / 2, LIMIT / 2, 1]] {
        assert_eq!(read(&bodies, Some(&share), Pieces::new(pieces)).err(), Some(Unreadable::TooLong));
    }
    let announced = Pieces { announced: LIMIT as u64 + 1, ..Pieces::new([1]) };
    assert_eq!(read(&bodies, Some(&share), announced).err(), Some(Unreadable::TooLong));
    assert_eq!(taken(&bodies, &share), (0, 0), "all is given back");
}

#[test]
fn memory_is_taken_until_a_body_is_dropped() {
    let bodies = bodies(3 * LIMIT);
    let held: Vec<_> = (0..3).map(|_| read(&bodies, None, Pieces::new([LIMIT])).ok().unwrap()).collect();
    assert_eq!(read(&bodies, None, Pieces::new([])).err(), Some(Unreadable::Crowded));
    drop(held);
    assert!(read(&bodies, None, Pieces::new([LIMIT])).is_ok());
}

/// One that grows beyond what is left gives back all that it had.
#[test]
fn a_peer_has_its_part_of_the_memory_and_room_for_one_body() {
    let bodies = bodies(16 * LIMIT);
    let (quarter, nothing) = (Share::new(32, 128), Share::new(1, 1_000_000));
    let long = || Pieces::new([LIMIT / 2, LIMIT / 2]);
    let held: Vec<_> = (0..4).map(|_| read(&bodies, Some(&quarter), long()).ok().unwrap()).collect();
    assert_eq!(read(&bodies, Some(&quarter), Pieces::new([1])).err(), Some(Unreadable::Crowded));
    let one = read(&bodies, Some(&nothing), long()).ok().unwrap();
    assert_eq!(read(&bodies, Some(&nothing), Pieces::new([1])).err(), Some(Unreadable::Crowded));
    assert_eq!(taken(&bodies, &quarter), (5 * LIMIT, 4 * LIMIT));
    // Those of all others together: what a peer was refused is not missing from its share.
    let others = Share::new(1, 1);
    let rest: Vec<_> = (0..11).map(|_| read(&bodies, Some(&others), long()).ok().unwrap()).collect();
    drop(one);
    let some = read(&bodies, Some(&others), Pieces::new([LIMIT - 2048])).ok().unwrap();
    assert_eq!(read(&bodies, Some(&nothing), long()).err(), Some(Unreadable::Crowded));
    assert_eq!(taken(&bodies, &nothing).1, 0);
    drop((held, rest, some));
    assert_eq!(taken(&bodies, &others), (0, 0));
    assert_eq!(taken(&bodies, &quarter), (0, 0));
}

#[test]
fn what_does_not_come_in_time_is_given_up() {
    struct Never;
    impl Body for Never {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            self: Pin<&mut Self>,
            _context: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            Poll::Pending
        }
    }
    let (bodies, clock) = (bodies(LIMIT), ManualClock::new());
    let mut reading = Box::pin(bodies.read(Never, None, &clock));
    assert!((&mut reading).now_or_never().is_none());
    assert_eq!(bodies.taken.load(Ordering::Relaxed), FIRST);
    clock.advance(Duration::from_secs(5));
    assert_eq!(reading.now_or_never().unwrap().err(), Some(Unreadable::TooSlow));
    assert_eq!(bodies.taken.load(Ordering::Relaxed), 0);
}

proptest! {
    #[test]
    fn however_it_is_cut_a_body_is_what_was_sent(pieces in prop::collection::vec(0_usize..5000, 0..40)) {
        let bodies = bodies(LIMIT);
        let body = Pieces::new(pieces);
        let expected = body.bytes();
        let read = read(&bodies, None, body).ok().unwrap();
        prop_assert!(read.expose() == expected);
        prop_assert!(bodies.taken.load(Ordering::Relaxed) < (2 * expected.len()).max(FIRST) + 1);
        drop(read);
        prop_assert_eq!(bodies.taken.load(Ordering::Relaxed), 0);
    }
}

#[test]
fn threads_take_and_give_back_alike() {
    let (bodies, share) = (Arc::new(bodies(4 * LIMIT)), Share::new(1, 2));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..10 {
                    let outcome = read(&bodies, Some(&share), Pieces::new([LIMIT / 4; 4]));
                    assert!(!matches!(outcome.err(), Some(other) if other != Unreadable::Crowded));
                }
            });
        }
    });
    assert_eq!(taken(&bodies, &share), (0, 0));
}
