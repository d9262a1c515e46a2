//! How a check ends, and the few words in which checks are written.

use std::fmt::Display;

use futures_util::future::BoxFuture;

use super::Suite;
use crate::backend::{BackendError, BackendErrorKind};

/// One check: its name leads to the function.
pub(super) struct Check {
    pub(super) name: &'static str,
    pub(super) run: for<'a> fn(&'a Suite) -> BoxFuture<'a, Outcome>,
}

/// Lists the checks of a theme, named after their functions.
macro_rules! checks {
    ($theme:literal: $($check:ident),+ $(,)?) => {
        pub(super) const CHECKS: &[$crate::backend::conformance::outcome::Check] = &[$(
            $crate::backend::conformance::outcome::Check {
                name: concat!($theme, "::", stringify!($check)),
                run: |suite| Box::pin($check(suite)),
            }
        ),+];
    };
}
pub(super) use checks;

pub(super) type Outcome<T = ()> = Result<T, Stop>;

/// Why a check ended before its last line.
pub(super) enum Stop {
    Failed(String),
    NotApplicable(String),
}

pub(super) fn failed<T>(reason: impl Into<String>) -> Outcome<T> {
    Err(Stop::Failed(reason.into()))
}

pub(super) fn not_applicable<T>(reason: impl Into<String>) -> Outcome<T> {
    Err(Stop::NotApplicable(reason.into()))
}

pub(super) fn ensure(condition: bool, otherwise: impl FnOnce() -> String) -> Outcome {
    if condition { Ok(()) } else { failed(otherwise()) }
}

/// What a check expects of a call.
pub(super) trait Expect<T>: Sized {
    /// It succeeds.
    fn or_fail(self, call: impl Display) -> Outcome<T>;

    /// It fails with one of these kinds.
    fn refused_as(self, kinds: &[BackendErrorKind], call: impl Display) -> Outcome;
}

impl<T> Expect<T> for Result<T, BackendError> {
    fn or_fail(self, call: impl Display) -> Outcome<T> {
        self.or_else(|error| failed(format!("{call}: failed with {error:?}")))
    }

    fn refused_as(self, kinds: &[BackendErrorKind], call: impl Display) -> Outcome {
        match self {
            Err(error) if kinds.contains(&error.kind()) => Ok(()),
            Err(error) => failed(format!("{call}: expected {}, got {error:?}", list(kinds))),
            Ok(_) => failed(format!("{call}: expected {}, but it succeeded", list(kinds))),
        }
    }
}

fn list(kinds: &[BackendErrorKind]) -> String {
    let words: Vec<_> = kinds.iter().map(|kind| format!("{kind:?}")).collect();
    words.join(" or ")
}

impl Suite {
    pub(super) fn needs_generated_keys(&self) -> Outcome {
        applies(self.generates_keys, "it was not said to make keys (Suite::generates_keys)")
    }

    pub(super) fn needs_no_generated_keys(&self) -> Outcome {
        applies(!self.generates_keys, "it makes keys (Suite::generates_keys)")
    }

    pub(super) fn needs_random(&self) -> Outcome {
        applies(self.generates_random, "it was not said to give random bytes (Suite::generates_random)")
    }

    pub(super) fn needs_no_random(&self) -> Outcome {
        applies(!self.generates_random, "it gives random bytes (Suite::generates_random)")
    }
}

fn applies(condition: bool, otherwise: &str) -> Outcome {
    if condition { Ok(()) } else { not_applicable(otherwise) }
}
