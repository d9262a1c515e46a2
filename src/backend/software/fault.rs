//! Faults, and the script that says which call meets which.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::backend::{BackendErrorKind, ConnectionErrorCode};

/// A method of [`Backend`](crate::backend::Backend) or [`Connection`](crate::backend::Connection) that can
/// fail and whose calls are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Method {
    /// [`Backend::connect`](crate::backend::Backend::connect)
    Connect,
    /// [`Connection::describe_key`](crate::backend::Connection::describe_key)
    DescribeKey,
    /// [`Connection::generate_key`](crate::backend::Connection::generate_key)
    GenerateKey,
    /// [`Connection::delete_key`](crate::backend::Connection::delete_key)
    DeleteKey,
    /// [`Connection::generate_random`](crate::backend::Connection::generate_random)
    GenerateRandom,
    /// [`Connection::encrypt`](crate::backend::Connection::encrypt)
    Encrypt,
    /// [`Connection::decrypt`](crate::backend::Connection::decrypt)
    Decrypt,
    /// [`Connection::health`](crate::backend::Connection::health)
    Health,
    /// [`Connection::close`](crate::backend::Connection::close)
    Close,
}

impl Method {
    /// Every method.
    pub const ALL: &'static [Self] = &[
        Self::Connect,
        Self::DescribeKey,
        Self::GenerateKey,
        Self::DeleteKey,
        Self::GenerateRandom,
        Self::Encrypt,
        Self::Decrypt,
        Self::Health,
        Self::Close,
    ];

    const fn bit(self) -> u32 {
        1 << self as u32
    }
}

/// What a call meets instead of working.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// Works, after so much time by the key manager's clock. A call whose connection is closed meanwhile
    /// answers `Closed`.
    Delay(Duration),
    /// Never resolves, not even when the connection is closed; the caller has to drop the future.
    Hang,
    /// Fails in this way; an attempt to connect fails with the code that
    /// [`ConnectionError::from_call`](crate::backend::ConnectionError::from_call) gives for it.
    ///
    /// A [`close`](crate::backend::Connection::close) that fails has closed the connection all the same.
    Fail(BackendErrorKind),
    /// An attempt to connect fails with this code. A code that only stores of the other type can show becomes
    /// `INTERNAL_ERROR`, as no backend may answer it; any other method than `Connect` fails with `Internal`.
    Refuse(ConnectionErrorCode),
    /// Answers with damaged data:
    ///
    /// | method | what is wrong with the answer |
    /// |---|---|
    /// | `Connect` | it makes no sense, and the attempt fails with `InvalidResponse` |
    /// | `DescribeKey` | another key spec than the key has |
    /// | `GenerateKey` | the key is made, and the id given for it is not its own |
    /// | `DeleteKey` | it says that the key is deleted; it is not |
    /// | `GenerateRandom` | the last byte is missing |
    /// | `Encrypt`, unverified | one bit of the ciphertext is flipped; of the tag, when the ciphertext is empty |
    /// | `Encrypt`, verified | the same happens *before* the check, which finds it: `IntegrityCheckFailed` |
    /// | `Decrypt` | one bit of the plaintext is flipped; an empty plaintext gets a byte |
    /// | `Health` | there is no instance in it |
    /// | `Close` | it counts a call as still running; none is |
    Corrupt,
    /// Panics.
    Panic,
}

/// One value for each method.
#[derive(Debug, Default)]
pub(super) struct PerMethod<T>([T; Method::ALL.len()]);

impl<T> PerMethod<T> {
    // Both index by discriminant: `ALL` has every variant, in order, so that there is always an element.
    pub(super) const fn of(&self, method: Method) -> &T {
        &self.0[method as usize]
    }

    const fn of_mut(&mut self, method: Method) -> &mut T {
        &mut self.0[method as usize]
    }
}

impl PerMethod<AtomicU64> {
    pub(super) fn count(&self, method: Method) {
        self.of(method).fetch_add(1, Ordering::Relaxed);
    }
}

/// The faults still to come.
#[derive(Debug, Default)]
pub(super) struct Faults {
    /// A bit for each method that has a script, so that a call without one costs a load and no lock.
    /// Written under the lock alone. `Relaxed` does: a caller to whom it matters that a fault was
    /// scripted before its call has ordered the two by some other means.
    armed: AtomicU32,
    scripts: Mutex<PerMethod<Script>>,
}

#[derive(Debug, Default)]
struct Script {
    injected: VecDeque<Fault>,
    queue: VecDeque<Option<Fault>>,
    always: Option<Fault>,
}

impl Script {
    fn take(&mut self) -> Option<Fault> {
        if let Some(fault) = self.injected.pop_front() {
            return Some(fault);
        }
        match self.queue.pop_front() {
            Some(entry) => entry,
            None => self.always.clone(),
        }
    }

    fn is_over(&self) -> bool {
        let Self { injected, queue, always } = self;
        injected.is_empty() && queue.is_empty() && always.is_none()
    }
}

impl Faults {
    pub(super) fn inject(&self, method: Method, fault: Fault) {
        self.change(method, |script| script.injected.push_back(fault));
    }

    pub(super) fn append(&self, method: Method, entries: impl IntoIterator<Item = Option<Fault>>) {
        // Collected first: the caller's iterator is foreign code and must not run under the lock.
        let entries: Vec<_> = entries.into_iter().collect();
        self.change(method, |script| script.queue.extend(entries));
    }

    pub(super) fn always(&self, method: Method, fault: Fault) {
        self.change(method, |script| script.always = Some(fault));
    }

    pub(super) fn heal(&self) {
        let mut scripts = self.lock();
        *scripts = PerMethod::default();
        self.armed.store(0, Ordering::Relaxed);
    }

    /// The fault that this call meets.
    pub(super) fn next(&self, method: Method) -> Option<Fault> {
        if self.armed.load(Ordering::Relaxed) & method.bit() == 0 {
            return None;
        }
        self.change(method, Script::take)
    }

    fn change<T>(&self, method: Method, change: impl FnOnce(&mut Script) -> T) -> T {
        let mut scripts = self.lock();
        let script = scripts.of_mut(method);
        let outcome = change(script);
        if script.is_over() {
            self.armed.fetch_and(!method.bit(), Ordering::Relaxed);
        } else {
            self.armed.fetch_or(method.bit(), Ordering::Relaxed);
        }
        outcome
    }

    fn lock(&self) -> MutexGuard<'_, PerMethod<Script>> {
        self.scripts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_method_has_its_own_place_and_bit() {
        for (index, method) in Method::ALL.iter().enumerate() {
            assert_eq!(*method as usize, index);
            assert_eq!(method.bit().trailing_zeros() as usize, index);
        }
    }

    #[test]
    fn the_flag_falls_when_the_script_is_over() {
        let faults = Faults::default();
        faults.append(Method::Encrypt, [None, Some(Fault::Hang)]);
        faults.inject(Method::Encrypt, Fault::Panic);
        assert_eq!(faults.armed.load(Ordering::Relaxed), Method::Encrypt.bit());
        assert_eq!(faults.next(Method::Decrypt), None);
        assert_eq!(faults.next(Method::Encrypt), Some(Fault::Panic));
        assert_eq!(faults.next(Method::Encrypt), None);
        assert_eq!(faults.next(Method::Encrypt), Some(Fault::Hang));
        assert_eq!(faults.armed.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn an_empty_script_arms_nothing() {
        let faults = Faults::default();
        faults.append(Method::Health, []);
        assert_eq!(faults.armed.load(Ordering::Relaxed), 0);
    }
}
