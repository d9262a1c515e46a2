//! The admission gate: counts the calls in flight, can be shut, and can be waited on until they are out.
//!
//! One gate belongs to one connection. A call is admitted by [`Gate::enter`], which also begins its first
//! poll of the backend; each further poll is bracketed by [`Permit::begin_poll`] and [`Permit::park`] or
//! [`Permit::finish`]. So the gate knows two numbers, the calls that are in flight and the polls that are
//! running at this moment, and disconnecting is three steps on them:
//!
//! 1. [`shut`](Gate::shut): nobody is admitted any more. Synchronous.
//! 2. [`drained`](Gate::drained): wait until no call is in flight, for as long as the caller likes.
//! 3. [`abandon`](Gate::abandon), then [`quiet`](Gate::quiet): no poll begins any more, whoever sleeps is
//!    woken to learn it, and a poll that is running is waited for; its result is refused by `finish`.
//!
//! The counts are spread over shards so that cores do not fight for one cache line. Each shard holds its
//! two flags and two counts in one word, so that "is it shut" and "count me in" are one atomic step and no
//! ordering between two variables has to be argued about. `tests/loom` checks this very file with loom.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::PoisonError;
use std::task::{Context, Poll, Waker};

use slab::Slab;

use crate::sync::{AtomicU64, Mutex, Ordering};

/// One call in flight: bits 0 to 23.
const CALL: u64 = 1;
const CALLS: u64 = POLL - 1;
/// Set when half of what fits is in flight: nobody is admitted, so that no count runs into the next.
const FULL: u64 = POLL >> 1;
/// One running poll: bits 24 to 37. There cannot be more than threads that share a shard; 16,383 fit.
const POLL: u64 = 1 << 24;
const POLLS: u64 = (DROP - 1) & !CALLS;
/// One call that its caller dropped after the gate was shut: bits 38 to 61. Never more than calls.
const DROP: u64 = 1 << 38;
const DROPS: u64 = (SHUT - 1) & !(DROP - 1);
const SHUT: u64 = 1 << 62;
const ABANDONED: u64 = 1 << 63;

/// See the module's documentation.
#[derive(Debug)]
pub(crate) struct Gate {
    shards: Box<[Shard]>,
    /// Whoever waits for a count to reach zero; touched only once the gate is shut.
    waiting: WakerSet,
}

/// Aligned to two cache lines, which is what the hardware prefetches.
#[derive(Debug)]
#[repr(align(128))]
struct Shard {
    word: AtomicU64,
    /// The wakers of the calls that are in flight and not running.
    parked: WakerSet,
}

impl Gate {
    /// A gate with `shards` shards, rounded up to a power of two.
    pub(crate) fn new(shards: usize) -> Self {
        let shard = |_| Shard { word: AtomicU64::new(0), parked: WakerSet::new() };
        Self { shards: (0..shards.max(1).next_power_of_two()).map(shard).collect(), waiting: WakerSet::new() }
    }

    /// Admits a call and begins its first poll.
    ///
    /// `hint` chooses the shard; callers on different threads should give different ones.
    #[inline(always)]
    pub(crate) fn enter(&self, hint: usize) -> Entry<'_> {
        // The length is a power of two, so the mask keeps the index inside.
        let shard = &self.shards[hint & (self.shards.len() - 1)];
        match shard.add_unless(SHUT | FULL, CALL + POLL) {
            Ok(()) => Entry::Admitted(Permit { gate: self, shard, parked: None, held: CALL + POLL }),
            Err(word) if word & SHUT != 0 => Entry::Shut,
            Err(_) => Entry::Full,
        }
    }

    /// Shuts the gate and returns how many calls are in flight; 0 when it was shut before.
    pub(crate) fn shut(&self) -> u64 {
        self.flag(SHUT)
    }

    /// Lets no call poll its backend any more and returns how many calls this stopped. Shuts the gate too.
    pub(crate) fn abandon(&self) -> u64 {
        let stopped = self.flag(SHUT | ABANDONED);
        for shard in &self.shards {
            shard.parked.wake_all();
        }
        stopped
    }

    /// Sets flags on every shard; the sum of the calls in flight where they were not all set before.
    fn flag(&self, flags: u64) -> u64 {
        let mut calls = 0;
        for shard in &self.shards {
            let before = shard.word.fetch_or(flags, Ordering::AcqRel);
            if before & flags != flags {
                calls += before & CALLS;
            }
        }
        calls
    }

    /// Resolves when no call is in flight. Only sensible on a gate that is shut.
    pub(crate) fn drained(&self) -> Zero<'_> {
        Zero { gate: self, mask: CALLS, key: None }
    }

    /// Whether no call is in flight.
    pub(crate) fn is_drained(&self) -> bool {
        self.is_zero(CALLS)
    }

    /// Resolves when no poll is running. Only sensible on a gate that is abandoned.
    pub(crate) fn quiet(&self) -> Zero<'_> {
        Zero { gate: self, mask: POLLS, key: None }
    }

    /// Calls that were dropped by their callers after the gate was shut and before it was abandoned.
    pub(crate) fn dropped(&self) -> u64 {
        self.shards.iter().map(|shard| (shard.word.load(Ordering::Acquire) & DROPS) / DROP).sum()
    }

    fn is_zero(&self, mask: u64) -> bool {
        self.shards.iter().all(|shard| shard.word.load(Ordering::Acquire) & mask == 0)
    }
}

/// What came of knocking at a gate.
#[derive(Debug)]
pub(crate) enum Entry<'g> {
    Admitted(Permit<'g>),
    Shut,
    /// Eight million calls are in flight on one shard: somebody has forgotten to await them.
    Full,
}

impl Shard {
    /// Adds `amount` unless one of `flags` is set; gives the word then.
    #[inline]
    fn add_unless(&self, flags: u64, amount: u64) -> Result<(), u64> {
        let mut word = self.word.load(Ordering::Acquire);
        loop {
            if word & flags != 0 {
                return Err(word);
            }
            let added =
                self.word.compare_exchange_weak(word, word + amount, Ordering::AcqRel, Ordering::Acquire);
            match added {
                Ok(_) => return Ok(()),
                Err(found) => word = found,
            }
        }
    }
}

/// An admitted call. Dropping it takes the call out of the count, wherever it stands.
#[derive(Debug)]
pub(crate) struct Permit<'g> {
    gate: &'g Gate,
    shard: &'g Shard,
    /// Our place among the parked wakers.
    parked: Option<usize>,
    /// What of the shard's word is ours: CALL while in flight, and POLL while polling. One word and no flags, since
    /// two bytes just written cannot be read back as part of a word without a stall, and a permit moves at once.
    held: u64,
}

impl Permit<'_> {
    /// Begins a poll of the backend; `false` when the call is abandoned and must not poll.
    ///
    /// The first poll was begun by [`Gate::enter`].
    #[inline]
    pub(crate) fn begin_poll(&mut self) -> bool {
        if self.held & POLL == 0 {
            if self.shard.add_unless(ABANDONED, POLL).is_err() {
                return false;
            }
            self.held += POLL;
        }
        true
    }

    /// Ends a poll that gave no result; `waker` is woken should the call be abandoned.
    ///
    /// `false` when that has happened already.
    pub(crate) fn park(&mut self, waker: &Waker) -> bool {
        // Registered before the word is read, so that either we see the flag or the abandoner sees the waker.
        self.shard.parked.register(&mut self.parked, waker);
        self.held -= POLL;
        self.subtract(POLL) & ABANDONED == 0
    }

    /// Ends the call, and the poll that gave the result; `false` when the result must not be delivered.
    #[inline]
    pub(crate) fn finish(&mut self) -> bool {
        let held = std::mem::take(&mut self.held);
        self.subtract(held) & ABANDONED == 0
    }

    /// Takes a call that its caller dropped out of the count.
    ///
    /// Of the calls in flight when the gate was shut, each is counted once: as finished, as abandoned, which
    /// [`Gate::abandon`] does for all that it finds, or here as dropped. Leaving and being counted is one step, so
    /// that nobody can look in between.
    #[cold]
    fn leave_unfinished(&self) {
        let amount = self.held;
        let mut word = self.shard.word.load(Ordering::Relaxed);
        loop {
            let dropped = if word & (SHUT | ABANDONED) == SHUT { DROP } else { 0 };
            let left = self.shard.word.compare_exchange_weak(
                word,
                word - amount + dropped,
                Ordering::AcqRel,
                Ordering::Relaxed,
            );
            match left {
                Ok(_) => break,
                Err(found) => word = found,
            }
        }
        self.tell(word, amount);
    }

    /// Takes `amount` off the shard's word and tells whoever may wait for it; the word as it was before.
    #[inline]
    fn subtract(&self, amount: u64) -> u64 {
        let before = self.shard.word.fetch_sub(amount, Ordering::AcqRel);
        self.tell(before, amount);
        before
    }

    /// Wakes who waits for a count, when this step has brought one to zero.
    #[inline]
    fn tell(&self, before: u64, amount: u64) {
        let reached_zero = |count: u64| amount & count != 0 && before & count == amount & count;
        // Polls are waited for only after the gate was abandoned.
        let (shut, abandoned) = (before & SHUT != 0, before & ABANDONED != 0);
        if (shut && reached_zero(CALLS)) || (abandoned && reached_zero(POLLS)) {
            self.gate.waiting.wake_all();
        }
    }
}

impl Drop for Permit<'_> {
    #[inline]
    fn drop(&mut self) {
        // First the count, which shall be right whatever the waker does when it goes.
        if self.held != 0 {
            self.leave_unfinished();
        }
        if let Some(key) = self.parked.take() {
            self.shard.parked.remove(key);
        }
    }
}

/// Resolves when a count of the gate is zero.
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub(crate) struct Zero<'g> {
    gate: &'g Gate,
    mask: u64,
    key: Option<usize>,
}

impl Future for Zero<'_> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        if this.gate.is_zero(this.mask) {
            return Poll::Ready(());
        }
        // Registered before the second look, so that a call leaving in between is not missed.
        this.gate.waiting.register(&mut this.key, cx.waker());
        if this.gate.is_zero(this.mask) { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl Drop for Zero<'_> {
    fn drop(&mut self) {
        if let Some(key) = self.key.take() {
            self.gate.waiting.remove(key);
        }
    }
}

/// Wakers that are all woken at once, and let go of then; a place is kept until its owner gives it up.
///
/// No waker is cloned, dropped or woken under the lock, since each may run anything, this set included.
#[derive(Debug)]
pub(crate) struct WakerSet(Mutex<Slab<Option<Waker>>>);

impl WakerSet {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Slab::new()))
    }

    /// Keeps `waker` under the key, which is chosen when it is `None`.
    pub(crate) fn register(&self, key: &mut Option<usize>, waker: &Waker) {
        let waker = Some(waker.clone());
        let old = {
            let mut wakers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            match key.and_then(|key| wakers.get_mut(key)) {
                Some(place) => std::mem::replace(place, waker),
                None => {
                    *key = Some(wakers.insert(waker));
                    None
                }
            }
        };
        quietly(|| drop(old));
    }

    /// Gives up the place of this key.
    pub(crate) fn remove(&self, key: usize) {
        let removed = self.0.lock().unwrap_or_else(PoisonError::into_inner).try_remove(key);
        quietly(|| drop(removed));
    }

    /// Wakes all. One that panics keeps nobody else asleep.
    pub(crate) fn wake_all(&self) {
        let wakers: Vec<Waker> = {
            let mut wakers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            wakers.iter_mut().filter_map(|(_, waker)| waker.take()).collect()
        };
        for waker in wakers {
            quietly(|| waker.wake());
        }
    }
}

/// Runs what is a waker's. What one says when it panics is its executor's affair, and is not even dropped here, since
/// that might panic in its turn.
fn quietly(work: impl FnOnce()) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(work)) {
        std::mem::forget(payload);
    }
}
