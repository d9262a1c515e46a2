//! How a check ends, and the few words in which checks are written.

use std::any::Any;
use std::fmt::{Debug, Display};
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use super::Verdict;
use crate::clock::{Clock, within};

/// One check of a suite: its name leads to the function.
pub(crate) struct Check<S> {
    pub(crate) name: &'static str,
    pub(crate) run: for<'a> fn(&'a S) -> BoxFuture<'a, Outcome>,
}

/// Lists the checks of a theme, named after their functions. `Suite` is whichever is in scope.
macro_rules! checks {
    ($theme:literal: $($check:ident),+ $(,)?) => {
        pub(super) const CHECKS: &[$crate::conformance::Check<Suite>] = &[$(
            $crate::conformance::Check {
                name: concat!($theme, "::", stringify!($check)),
                run: |suite| Box::pin($check(suite)),
            }
        ),+];
    };
}
pub(crate) use checks;

pub(crate) type Outcome<T = ()> = Result<T, Stop>;

/// Why a check ended before its last line.
pub(crate) enum Stop {
    Failed(String),
    NotApplicable(String),
}

pub(crate) fn failed<T>(reason: impl Into<String>) -> Outcome<T> {
    Err(Stop::Failed(reason.into()))
}

pub(crate) fn not_applicable<T>(reason: impl Into<String>) -> Outcome<T> {
    Err(Stop::NotApplicable(reason.into()))
}

pub(crate) fn ensure(condition: bool, otherwise: impl FnOnce() -> String) -> Outcome {
    if condition { Ok(()) } else { failed(otherwise()) }
}

pub(crate) fn applies(condition: bool, otherwise: &str) -> Outcome {
    if condition { Ok(()) } else { not_applicable(otherwise) }
}

/// An error of a trait that a suite checks.
pub(crate) trait Fault: Debug {
    type Kind: Debug + PartialEq;

    fn kind(&self) -> Self::Kind;
}

/// What a check expects of a call.
pub(crate) trait Expect<T, E: Fault>: Sized {
    /// It succeeds.
    fn or_fail(self, call: impl Display) -> Outcome<T>;

    /// It fails with one of these kinds.
    fn refused_as(self, kinds: &[E::Kind], call: impl Display) -> Outcome;
}

impl<T, E: Fault> Expect<T, E> for Result<T, E> {
    fn or_fail(self, call: impl Display) -> Outcome<T> {
        self.or_else(|error| failed(format!("{call}: failed with {error:?}")))
    }

    fn refused_as(self, kinds: &[E::Kind], call: impl Display) -> Outcome {
        match self {
            Err(error) if kinds.contains(&error.kind()) => Ok(()),
            Err(error) => failed(format!("{call}: expected {}, got {error:?}", list(kinds))),
            Ok(_) => failed(format!("{call}: expected {}, but it succeeded", list(kinds))),
        }
    }
}

fn list(kinds: &[impl Debug]) -> String {
    let words: Vec<_> = kinds.iter().map(|kind| format!("{kind:?}")).collect();
    words.join(" or ")
}

/// How a check ends that may panic and may take too long.
pub(crate) async fn verdict<S: Sync>(
    suite: &S,
    check: &Check<S>,
    clock: &dyn Clock,
    deadline: Duration,
) -> Verdict {
    // Nothing of a check that panicked is used again: the next one begins with something new.
    let work = AssertUnwindSafe((check.run)(suite)).catch_unwind();
    match within(clock, deadline, work).await {
        Some(Ok(Ok(()))) => Verdict::Passed,
        Some(Ok(Err(Stop::Failed(reason)))) => Verdict::Failed(reason),
        Some(Ok(Err(Stop::NotApplicable(reason)))) => Verdict::NotApplicable(reason),
        Some(Err(panic)) => Verdict::Failed(format!("panicked: {}", message(&*panic))),
        None => Verdict::Failed(format!("hangs: not over after {deadline:?}")),
    }
}

fn message(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("with something other than text")
}
