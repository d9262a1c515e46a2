//! The members of JSON objects, and what they may hold.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::base64_text::Base64Text;
use super::malformed::{Flaw, Malformed};
use crate::json::{self, Unread};

/// Reads a body: one JSON object, of which the members with these names are wanted, in this order.
pub(super) fn body<'a, const N: usize>(
    body: &'a [u8],
    names: [&'static str; N],
) -> Result<[Member<'a>; N], Malformed> {
    // At once, since members that nobody asks for would go unchecked otherwise.
    let text = str::from_utf8(body).map_err(|_| Malformed::body(Flaw::NotJson))?;
    members(text, names)
}

fn members<'a, const N: usize>(
    text: &'a str,
    names: [&'static str; N],
) -> Result<[Member<'a>; N], Malformed> {
    match json::members(text, &names) {
        Ok(found) => {
            let mut members = names.map(|name| Member { name, raw: None });
            members.iter_mut().zip(found).for_each(|(member, raw)| member.raw = raw);
            Ok(members)
        }
        Err(Unread::Duplicate(name)) => Err(Malformed::member(name, Flaw::Duplicate)),
        Err(Unread::NotAnObject) => Err(Malformed::body(Flaw::NotAnObject)),
        Err(Unread::NotJson) => Err(Malformed::body(Flaw::NotJson)),
    }
}

/// One member of an object: its JSON text, if it is there and not `null`.
#[derive(Clone, Copy)]
pub(super) struct Member<'a> {
    name: &'static str,
    raw: Option<&'a str>,
}

impl<'a> Member<'a> {
    const fn flawed(self, flaw: Flaw) -> Malformed {
        Malformed::member(self.name, flaw)
    }

    fn required(self) -> Result<&'a str, Malformed> {
        self.raw.ok_or_else(|| self.flawed(Flaw::Missing))
    }

    /// The member's text as it is between the quotes, escapes and all.
    fn quoted(self) -> Result<&'a str, Malformed> {
        let raw = self.required()?;
        let inner = raw.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
        inner.ok_or_else(|| self.flawed(Flaw::WrongType))
    }

    pub(super) const fn is_present(self) -> bool {
        self.raw.is_some()
    }

    /// The member if it is there.
    pub(super) fn optional(self) -> Option<Self> {
        self.raw.map(|_| self)
    }

    pub(super) fn text(self) -> Result<Cow<'a, str>, Malformed> {
        let inner = self.quoted()?;
        if inner.as_bytes().contains(&b'\\') {
            // Fails for half of a surrogate pair, which is no text.
            let text = serde_json::from_str(self.required()?);
            return text.map(Cow::Owned).map_err(|_| self.flawed(Flaw::WrongType));
        }
        Ok(Cow::Borrowed(inner))
    }

    pub(super) fn optional_text(self) -> Result<Option<Cow<'a, str>>, Malformed> {
        self.optional().map(Self::text).transpose()
    }

    pub(super) fn word(self, only: &str) -> Result<(), Malformed> {
        if self.text()? == only { Ok(()) } else { Err(self.flawed(Flaw::UnknownWord)) }
    }

    pub(super) fn base64(self) -> Result<Base64Text<'a>, Malformed> {
        Ok(Base64Text::from_json(self.name, self.quoted()?))
    }

    pub(super) fn optional_base64(self) -> Result<Option<Base64Text<'a>>, Malformed> {
        self.optional().map(Self::base64).transpose()
    }

    /// An integer above zero: `2.0`, `"2"`, `0` and `-1` are none (XKS-C-61).
    pub(super) fn positive(self) -> Result<u64, Malformed> {
        let raw = self.required()?;
        if !raw.starts_with(|first: char| first == '-' || first.is_ascii_digit()) {
            return Err(self.flawed(Flaw::WrongType));
        }
        raw.parse().ok().filter(|number| *number > 0).ok_or_else(|| self.flawed(Flaw::NotPositive))
    }

    pub(super) fn object<const N: usize>(self, names: [&'static str; N]) -> Result<[Self; N], Malformed> {
        let raw = self.required()?;
        if raw.starts_with('{') { members(raw, names) } else { Err(self.flawed(Flaw::WrongType)) }
    }

    /// The entries of an array, each under the array's name.
    pub(super) fn entries(self) -> Result<Vec<Self>, Malformed> {
        let raw = self.required()?;
        let entries: Vec<&'a RawValue> =
            serde_json::from_str(raw).map_err(|_| self.flawed(Flaw::WrongType))?;
        Ok(entries.into_iter().map(|entry| Self { name: self.name, raw: present(entry) }).collect())
    }

    pub(super) const fn count_is_wrong(self) -> Malformed {
        self.flawed(Flaw::WrongCount)
    }

    pub(super) const fn word_is_unknown(self) -> Malformed {
        self.flawed(Flaw::UnknownWord)
    }

    pub(super) const fn must_be_absent(self) -> Result<(), Malformed> {
        if self.is_present() { Err(self.flawed(Flaw::Unexpected)) } else { Ok(()) }
    }
}

fn present(value: &RawValue) -> Option<&str> {
    Some(value.get()).filter(|raw| *raw != "null")
}
