//! Objects of which some members are wanted.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

/// Why there are no members to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unread {
    /// Not JSON, or with something behind it.
    NotJson,
    /// JSON, but not an object.
    NotAnObject,
    /// The member of this name comes twice, so that which of the two was meant nobody could say.
    Duplicate(&'static str),
}

/// The members of one object that have these names, in this order: the JSON text of each that is there and not `null`.
///
/// Other members are passed over, however deep they are nested; nothing is copied.
pub(crate) fn members<'a, const N: usize>(
    text: &'a str,
    names: &[&'static str; N],
) -> Result<[Option<&'a str>; N], Unread> {
    let mut repeated = None;
    let mut json = serde_json::Deserializer::from_str(text);
    let found = Object { names, repeated: &mut repeated }.deserialize(&mut json);
    match found.and_then(|found| json.end().map(|()| found)) {
        Ok(found) => Ok(found.map(|value| value.map(RawValue::get).filter(|raw| *raw != "null"))),
        Err(error) => Err(match repeated {
            Some(name) => Unread::Duplicate(name),
            None if error.is_data() => Unread::NotAnObject,
            None => Unread::NotJson,
        }),
    }
}

struct Object<'n, const N: usize> {
    names: &'n [&'static str; N],
    /// Which name came twice: serde's error can carry no more than a text.
    repeated: &'n mut Option<&'static str>,
}

impl<'a, const N: usize> DeserializeSeed<'a> for Object<'_, N> {
    type Value = [Option<&'a RawValue>; N];

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        // Only `visit_map` exists below, so that an array is refused; what serde derives would take it.
        deserializer.deserialize_map(self)
    }
}

impl<'a, const N: usize> Visitor<'a> for Object<'_, N> {
    type Value = [Option<&'a RawValue>; N];

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found: [Option<&'a RawValue>; N] = [None; N];
        while let Some(index) = map.next_key_seed(Key(self.names))? {
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
        Ok(found)
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
