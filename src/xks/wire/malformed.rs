//! In which way a body is not what the protocol demands.

use std::fmt;

use crate::backend::{BackendError, BackendErrorKind};

/// A body breaks the protocol; says which member, never what it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Malformed {
    member: Option<&'static str>,
    flaw: Flaw,
}

/// What is wrong with a body or one of its members.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// Not UTF-8, not JSON, or with something behind it.
    NotJson,
    /// JSON, but not an object.
    NotAnObject,
    /// Absent or `null`.
    Missing,
    /// There more than once.
    Duplicate,
    /// Of another JSON type.
    WrongType,
    /// A word that the protocol does not have there.
    UnknownWord,
    /// Not Base64 of the standard alphabet with padding.
    NotBase64,
    /// Of a length that the protocol does not have there.
    WrongLength,
    /// Not an integer above zero.
    NotPositive,
    /// Empty, or with more entries than the protocol allows.
    WrongCount,
    /// There though it must not be.
    Unexpected,
}

impl Malformed {
    pub(super) const fn body(flaw: Flaw) -> Self {
        Self { member: None, flaw }
    }

    pub(super) const fn member(member: &'static str, flaw: Flaw) -> Self {
        Self { member: Some(member), flaw }
    }

    /// What is wrong.
    #[cfg(test)]
    pub(crate) const fn flaw(self) -> Flaw {
        self.flaw
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.member.unwrap_or("the body"))?;
        f.write_str(match self.flaw {
            Flaw::NotJson => " is not JSON",
            Flaw::NotAnObject => " is not a JSON object",
            Flaw::Missing => " is missing",
            Flaw::Duplicate => " appears more than once",
            Flaw::WrongType => " has the wrong type",
            Flaw::UnknownWord => " has a value that the protocol does not know",
            Flaw::NotBase64 => " is not Base64 of the standard alphabet with padding",
            Flaw::WrongLength => " has a length that the protocol does not allow",
            Flaw::NotPositive => " is not an integer above zero",
            Flaw::WrongCount => " has no entries or too many",
            Flaw::Unexpected => " must not be here",
        })
    }
}

impl std::error::Error for Malformed {}

/// What a client makes of a malformed response (XKS-C-67).
impl From<Malformed> for BackendError {
    fn from(malformed: Malformed) -> Self {
        Self::new(BackendErrorKind::InvalidResponse).with_source(malformed)
    }
}
