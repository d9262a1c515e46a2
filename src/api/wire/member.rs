//! The members of a request, and why one is not what it should be.

use std::borrow::Cow;

use crate::api::failure::Failure;
use crate::json::{self, Unread};
use crate::value::{InvalidValue, Problem};

/// One member of an object: its JSON text, if it is there and not `null`.
#[derive(Clone, Copy)]
pub(super) struct Member<'a> {
    pub(super) name: &'static str,
    pub(super) raw: Option<&'a str>,
}

/// What is wrong with a member. Says nothing of what it holds, which may be a secret.
#[derive(Debug)]
pub(super) enum Flaw {
    /// It is of another JSON type than this, or its Base64 is none.
    Type { below: String, expected: &'static str },
    /// It breaks a rule.
    Rule { below: String, rule: Cow<'static, str> },
    /// AWS has a name of its own for it.
    Refused(Failure),
}

impl Flaw {
    pub(super) const fn wrong_type(expected: &'static str) -> Self {
        Self::Type { below: String::new(), expected }
    }

    pub(super) fn rule(rule: impl Into<Cow<'static, str>>) -> Self {
        Self::Rule { below: String::new(), rule: rule.into() }
    }

    pub(super) const fn missing() -> Self {
        Self::Rule { below: String::new(), rule: Cow::Borrowed("Member must not be null") }
    }

    pub(super) fn too_short(least: usize) -> Self {
        Self::rule(format!("Member must have length greater than or equal to {least}"))
    }

    pub(super) fn too_long(most: usize) -> Self {
        Self::rule(format!("Member must have length less than or equal to {most}"))
    }

    /// The same of a part of a larger member, in AWS's way to write it.
    fn below(self, part: &str) -> Self {
        let join = |below: &str| format!(".{part}{below}");
        match self {
            Self::Type { below, expected } => Self::Type { below: join(&below), expected },
            Self::Rule { below, rule } => Self::Rule { below: join(&below), rule },
            Self::Refused(failure) => Self::Refused(failure),
        }
    }

    /// The same of an entry of a list, which AWS counts from 1.
    pub(super) fn of_entry(self, index: usize) -> Self {
        self.below(&format!("{}.member", index + 1))
    }
}

/// In AWS's words, as far as AWS has some.
impl From<InvalidValue> for Flaw {
    fn from(error: InvalidValue) -> Self {
        match error.problem() {
            Problem::TooShort { minimum, .. } => Self::too_short(minimum),
            Problem::TooLong { maximum, .. } => Self::too_long(maximum),
            Problem::Missing => Self::missing(),
            _ => Self::rule(format!("Member must be {}", error.expected())),
        }
    }
}

impl<'a> Member<'a> {
    /// What it holds, by a rule; it has to be there.
    pub(super) fn required<T>(self, rule: impl FnOnce(&'a str) -> Result<T, Flaw>) -> Result<T, Flaw> {
        self.raw.map_or_else(|| Err(Flaw::missing()), rule).map_err(|flaw| flaw.below(&camel(self.name)))
    }

    /// Refuses it if it is there: something that custom key stores do not have, or that is not had here.
    pub(super) fn refuse(self) -> Result<(), Failure> {
        match self.raw {
            None => Ok(()),
            Some(_) => Err(Failure::unsupported(format!("{} is not supported", self.name))),
        }
    }

    /// Refuses a list unless it is empty.
    pub(super) fn refuse_entries(self) -> Result<(), Failure> {
        match self.raw.map(super::rule::is_empty_list) {
            None | Some(Ok(true)) => Ok(()),
            Some(Ok(false)) => self.refuse(),
            Some(Err(flaw)) => Err(failure(self.name, flaw)),
        }
    }
}

/// The members of a body that have these names.
pub(super) fn body<'a, const N: usize>(
    body: &'a [u8],
    names: [&'static str; N],
) -> Result<[Member<'a>; N], Failure> {
    let text = str::from_utf8(body).map_err(|_| unread(Unread::NotJson))?;
    members(text, names).map_err(unread)
}

/// The members of an object.
pub(super) fn object<'a, const N: usize>(
    raw: &'a str,
    names: [&'static str; N],
) -> Result<[Member<'a>; N], Flaw> {
    if !raw.starts_with('{') {
        return Err(Flaw::wrong_type("an object"));
    }
    members(raw, names).map_err(|why| Flaw::Refused(unread(why)))
}

fn members<'a, const N: usize>(text: &'a str, names: [&'static str; N]) -> Result<[Member<'a>; N], Unread> {
    let found = json::members(text, &names)?;
    let mut members = names.map(|name| Member { name, raw: None });
    members.iter_mut().zip(found).for_each(|(member, raw)| member.raw = raw);
    Ok(members)
}

#[cold]
fn unread(why: Unread) -> Failure {
    match why {
        Unread::NotJson => Failure::serialization("the body is not JSON"),
        Unread::NotAnObject => Failure::serialization("the body is not a JSON object"),
        Unread::Duplicate(name) => {
            Failure::serialization(format!("the member '{}' is there more than once", camel(name)))
        }
    }
}

/// A flaw of a member of the body, as the answer.
#[cold]
pub(super) fn failure(name: &str, flaw: Flaw) -> Failure {
    match flaw {
        Flaw::Type { below, expected } => Failure::serialization(format!(
            "the member '{}{below}' is of the wrong type: {expected} is expected",
            camel(name)
        )),
        Flaw::Rule { below, rule } => Failure::validation(&[violation(name, &below, &rule)]),
        Flaw::Refused(failure) => failure,
    }
}

/// As AWS says it, but for the value.
#[cold]
pub(super) fn violation(name: &str, below: &str, rule: &str) -> String {
    format!("Value at '{}{below}' failed to satisfy constraint: {rule}", camel(name))
}

/// The name of a member as AWS has it in messages.
fn camel(name: &str) -> String {
    let mut camel = name.to_owned();
    if let Some(first) = camel.get_mut(..1) {
        first.make_ascii_lowercase();
    }
    camel
}
