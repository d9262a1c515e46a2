//! What single values may be.

use std::borrow::Cow;
use std::fmt;
use std::ops::{Deref, RangeInclusive};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::{DeserializeSeed, Deserializer, Error as _, SeqAccess, Visitor};
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use super::member::Flaw;
use crate::secret::SecretBytes;
use crate::value::InvalidValue;

const STRING: &str = "a string";

/// What stands between the quotes in valid JSON, escapes and all.
fn quoted(raw: &str) -> Result<&str, Flaw> {
    let inner = raw.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    inner.ok_or_else(|| Flaw::wrong_type(STRING))
}

/// A string.
pub(super) fn text(raw: &str) -> Result<Cow<'_, str>, Flaw> {
    let inner = quoted(raw)?;
    if inner.as_bytes().contains(&b'\\') {
        // Fails for half of a surrogate pair, which is no text.
        return serde_json::from_str(raw).map(Cow::Owned).map_err(|_| Flaw::wrong_type(STRING));
    }
    Ok(Cow::Borrowed(inner))
}

/// A string of this many characters.
pub(super) fn text_of(length: RangeInclusive<usize>) -> impl FnOnce(&str) -> Result<Cow<'_, str>, Flaw> {
    move |raw| {
        let text = text(raw)?;
        within(&length, text.chars().count())?;
        Ok(text)
    }
}

fn within(length: &RangeInclusive<usize>, found: usize) -> Result<(), Flaw> {
    if found < *length.start() {
        return Err(Flaw::too_short(*length.start()));
    }
    if found > *length.end() {
        return Err(Flaw::too_long(*length.end()));
    }
    Ok(())
}

/// A string that one of our types can hold.
pub(super) fn value<T>(new: fn(&str) -> Result<T, InvalidValue>) -> impl Fn(&str) -> Result<T, Flaw> {
    move |raw| Ok(new(&text(raw)?)?)
}

/// A string that must not be seen.
pub(super) fn secret<T>(new: fn(&str) -> Result<T, InvalidValue>) -> impl Fn(&str) -> Result<T, Flaw> {
    move |raw| Ok(new(&Secret::read(raw)?)?)
}

/// One of these words.
pub(super) fn word(words: &'static [&'static str]) -> impl Fn(&str) -> Result<&'static str, Flaw> {
    move |raw| {
        let text = text(raw)?;
        let found = words.iter().find(|word| **word == text);
        let wrong = || Flaw::rule(format!("Member must satisfy enum value set: [{}]", words.join(", ")));
        found.copied().ok_or_else(wrong)
    }
}

/// A whole number within these bounds.
pub(super) fn integer(range: RangeInclusive<u32>) -> impl Fn(&str) -> Result<u32, Flaw> {
    move |raw| {
        let digits = raw.strip_prefix('-').unwrap_or(raw);
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(Flaw::wrong_type("an integer"));
        }
        // What has more digits than fit lies beyond the bounds too.
        let beyond = if raw.starts_with('-') { i64::MIN } else { i64::MAX };
        let number = raw.parse().unwrap_or(beyond);
        let (least, most) = (*range.start(), *range.end());
        if number < i64::from(least) {
            return Err(Flaw::rule(format!("Member must have value greater than or equal to {least}")));
        }
        match u32::try_from(number) {
            Ok(number) if number <= most => Ok(number),
            _ => Err(Flaw::rule(format!("Member must have value less than or equal to {most}"))),
        }
    }
}

/// `true` or `false`.
pub(super) fn boolean(raw: &str) -> Result<bool, Flaw> {
    match raw {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(Flaw::wrong_type("true or false")),
    }
}

/// Base64 of the standard alphabet with padding, of this many bytes; in memory that is wiped.
pub(super) fn base64(length: RangeInclusive<usize>) -> impl Fn(&str) -> Result<SecretBytes, Flaw> {
    move |raw| {
        let text = Secret::read(raw)?;
        // Enough for every padding; it never grows, so it leaves no copy behind.
        let mut bytes = SecretBytes::new(vec![0; text.len().div_ceil(4) * 3]);
        let decoded = STANDARD.decode_slice(text.as_bytes(), bytes.expose_mut());
        bytes.truncate(decoded.map_err(|_| Flaw::wrong_type("Base64 with padding"))?);
        within(&length, bytes.len())?;
        Ok(bytes)
    }
}

/// The entries of a list, of which there may be so many.
fn entries(raw: &str, most: usize) -> Result<Vec<&str>, Flaw> {
    if !raw.starts_with('[') {
        return Err(Flaw::wrong_type("a list"));
    }
    let mut json = serde_json::Deserializer::from_str(raw);
    // It is valid JSON already, so that nothing can be wrong but the number of entries.
    Entries { most }.deserialize(&mut json).map_err(|_| Flaw::too_long(most))
}

/// What a list of at most so many entries holds, each by a rule.
pub(super) fn each<'a, T>(
    raw: &'a str,
    most: usize,
    rule: impl Fn(&'a str) -> Result<T, Flaw>,
) -> Result<Vec<T>, Flaw> {
    let one = |(index, raw)| {
        let read = if raw == "null" { Err(Flaw::missing()) } else { rule(raw) };
        read.map_err(|flaw: Flaw| flaw.of_entry(index))
    };
    entries(raw, most)?.into_iter().enumerate().map(one).collect()
}

pub(super) fn is_empty_list(raw: &str) -> Result<bool, Flaw> {
    match entries(raw, 0) {
        Ok(_) => Ok(true),
        Err(Flaw::Rule { .. }) => Ok(false),
        Err(other) => Err(other),
    }
}

struct Entries {
    most: usize,
}

impl<'a> DeserializeSeed<'a> for Entries {
    type Value = Vec<&'a str>;

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'a> Visitor<'a> for Entries {
    type Value = Vec<&'a str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = list.next_element::<&'a RawValue>()? {
            if entries.len() == self.most {
                return Err(A::Error::custom("more entries than there may be"));
            }
            entries.push(entry.get());
        }
        Ok(entries)
    }
}

/// A string that must not be seen: what is copied of it is wiped.
pub(super) enum Secret<'a> {
    Borrowed(&'a str),
    /// JSON may escape a character. Undone here and not by the JSON parser, whose buffer nobody wipes.
    Unescaped(Zeroizing<String>),
}

impl<'a> Secret<'a> {
    pub(super) fn read(raw: &'a str) -> Result<Self, Flaw> {
        let inner = quoted(raw)?;
        if !inner.as_bytes().contains(&b'\\') {
            return Ok(Self::Borrowed(inner));
        }
        // An escape is longer than what it stands for, so the text never grows.
        let mut text = Zeroizing::new(String::with_capacity(inner.len()));
        let mut rest = inner.chars();
        while let Some(character) = rest.next() {
            text.push(if character == '\\' { unescape(&mut rest)? } else { character });
        }
        Ok(Self::Unescaped(text))
    }
}

/// What follows a backslash in valid JSON. Characters outside Unicode's first plane are written as two escapes; no secret has
/// one, so that halves need not be put together.
fn unescape(rest: &mut std::str::Chars<'_>) -> Result<char, Flaw> {
    let wrong = || Flaw::wrong_type(STRING);
    Ok(match rest.next().ok_or_else(wrong)? {
        'b' => '\u{8}',
        'f' => '\u{c}',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'u' => {
            let digits = rest.by_ref().take(4);
            let code = digits.fold(0, |code, digit| code * 16 + digit.to_digit(16).unwrap_or_default());
            char::from_u32(code).ok_or_else(wrong)?
        }
        itself => itself,
    })
}

impl Deref for Secret<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            Self::Borrowed(text) => text,
            Self::Unescaped(text) => text,
        }
    }
}
