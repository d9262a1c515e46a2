//! Encryption contexts.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::member::Flaw;
use super::rule;
use crate::crypto::EncryptionContext;

const VALUE: &str = "a string for each value";

/// Pairs of strings. Numbers and booleans are taken as the text that they are written as, as AWS does.
pub(super) fn context(raw: &str) -> Result<EncryptionContext, Flaw> {
    if !raw.starts_with('{') {
        return Err(Flaw::wrong_type("an object"));
    }
    let mut json = serde_json::Deserializer::from_str(raw);
    let mut too_long = false;
    let pairs = Pairs { too_long: &mut too_long }.deserialize(&mut json);
    if too_long {
        return Err(Flaw::too_long(EncryptionContext::MAX_CANONICAL_LEN));
    }
    // It is valid JSON already, so that nothing else can be wrong but half of a surrogate pair in a key.
    let pairs = pairs.map_err(|_| Flaw::wrong_type("a string for each key"))?;
    let mut texts = Vec::with_capacity(pairs.len());
    for (key, value) in pairs {
        texts.push((key, text(value)?));
    }
    Ok(EncryptionContext::new(texts)?)
}

fn text(raw: &str) -> Result<String, Flaw> {
    match raw.as_bytes().first() {
        Some(b'"') => rule::text(raw).map(std::borrow::Cow::into_owned),
        Some(b'-' | b'0'..=b'9') => Ok(raw.to_owned()),
        _ => match raw {
            "true" | "false" => Ok(raw.to_owned()),
            // To leave the pair out would change what is authenticated.
            "null" => Err(Flaw::missing()),
            _ => Err(Flaw::wrong_type(VALUE)),
        },
    }
}

struct Pairs<'p> {
    too_long: &'p mut bool,
}

impl<'a> DeserializeSeed<'a> for Pairs<'_> {
    type Value = Vec<(String, &'a str)>;

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'a> Visitor<'a> for Pairs<'_> {
    type Value = Vec<(String, &'a str)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut pairs = Vec::new();
        let mut room = EncryptionContext::MAX_CANONICAL_LEN;
        while let Some((key, value)) = map.next_entry::<String, &'a RawValue>()? {
            // No more is kept of a context that is too long in any case than of the longest. Escapes are longer than what
            // they stand for, six times at most; what exactly is too long, the context itself knows.
            match room.checked_sub(key.len() + value.get().len() / 6) {
                Some(left) => room = left,
                None => {
                    *self.too_long = true;
                    return Err(A::Error::custom("longer than a context may be"));
                }
            }
            pairs.push((key, value.get()));
        }
        Ok(pairs)
    }
}
