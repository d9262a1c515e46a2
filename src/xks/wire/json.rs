//! JSON objects with known members, read without an intermediate tree.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::base64_text::Base64Text;
use super::malformed::{Flaw, Malformed};

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
    let mut repeated = None;
    let mut json = serde_json::Deserializer::from_str(text);
    let found = Object { names, repeated: &mut repeated }.deserialize(&mut json);
    match found.and_then(|found| json.end().map(|()| found)) {
        Ok(found) => Ok(found),
        Err(error) => Err(match repeated {
            Some(name) => Malformed::member(name, Flaw::Duplicate),
            None if error.is_data() => Malformed::body(Flaw::NotAnObject),
            None => Malformed::body(Flaw::NotJson),
        }),
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

struct Object<'n, const N: usize> {
    names: [&'static str; N],
    /// Which name came twice: serde's error can carry no more than a text.
    repeated: &'n mut Option<&'static str>,
}

impl<'a, const N: usize> DeserializeSeed<'a> for Object<'_, N> {
    type Value = [Member<'a>; N];

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        // Only `visit_map` exists below, so that an array is refused; what serde derives would take it.
        deserializer.deserialize_map(self)
    }
}

impl<'a, const N: usize> Visitor<'a> for Object<'_, N> {
    type Value = [Member<'a>; N];

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found: [Option<&'a RawValue>; N] = [None; N];
        while let Some(index) = map.next_key_seed(Key(&self.names))? {
            let place = index.and_then(|index| found.get_mut(index).zip(self.names.get(index)));
            match place {
                Some((Some(_), name)) => {
                    *self.repeated = Some(name);
                    return Err(A::Error::custom("a member appears more than once"));
                }
                Some((place, _)) => *place = Some(map.next_value()?),
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        let mut members = self.names.map(|name| Member { name, raw: None });
        for (member, value) in members.iter_mut().zip(found) {
            member.raw = value.and_then(present);
        }
        Ok(members)
    }
}

/// The place of a member's name among those that are wanted.
struct Key<'n>(&'n [&'static str]);

impl<'a> DeserializeSeed<'a> for Key<'_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a member")
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(self.0.iter().position(|known| *known == name))
    }
}
