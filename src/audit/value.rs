//! The parameters of a request, as far as they may be written down.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use serde::de::{MapAccess, Visitor};
use serde::ser::SerializeMap as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A JSON value of a [parameter](super::AuditRecord::parameters). Texts that are constants or shared are not copied.
#[derive(Clone)]
pub struct AuditValue(Form);

#[derive(Clone)]
enum Form {
    Constant(&'static str),
    Shared(Arc<str>),
    Other(serde_json::Value),
}

impl AuditValue {
    /// Anything that has a form in JSON. What has none, such as a map whose keys are not texts, is `null`.
    #[must_use]
    pub fn of(value: &(impl Serialize + ?Sized)) -> Self {
        Self(Form::Other(serde_json::to_value(value).unwrap_or_default()))
    }

    /// The text, if it is one.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match &self.0 {
            Form::Constant(text) => Some(text),
            Form::Shared(text) => Some(text),
            Form::Other(value) => value.as_str(),
        }
    }

    /// As JSON.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Of how many values it is, if it is a list; otherwise none.
    pub(crate) fn entries(&self) -> usize {
        match &self.0 {
            Form::Other(value) => value.as_array().map_or(0, Vec::len),
            Form::Constant(_) | Form::Shared(_) => 0,
        }
    }

    /// About how many bytes it takes.
    pub(super) fn weight(&self) -> usize {
        match &self.0 {
            Form::Constant(_) => 0,
            Form::Shared(text) => text.len(),
            Form::Other(value) => weight(value),
        }
    }
}

fn weight(value: &serde_json::Value) -> usize {
    use serde_json::Value;

    size_of::<Value>()
        + match value {
            Value::String(text) => text.len(),
            Value::Array(values) => values.iter().map(weight).sum(),
            Value::Object(members) => members.iter().map(|(name, value)| name.len() + weight(value)).sum(),
            Value::Null | Value::Bool(_) | Value::Number(_) => 0,
        }
}

impl From<&'static str> for AuditValue {
    fn from(text: &'static str) -> Self {
        Self(Form::Constant(text))
    }
}

impl From<Arc<str>> for AuditValue {
    fn from(text: Arc<str>) -> Self {
        Self(Form::Shared(text))
    }
}

impl From<String> for AuditValue {
    fn from(text: String) -> Self {
        Self(Form::Other(text.into()))
    }
}

impl From<bool> for AuditValue {
    fn from(value: bool) -> Self {
        Self(Form::Other(value.into()))
    }
}

impl From<i64> for AuditValue {
    fn from(number: i64) -> Self {
        Self(Form::Other(number.into()))
    }
}

impl From<u64> for AuditValue {
    fn from(number: u64) -> Self {
        Self(Form::Other(number.into()))
    }
}

impl From<u32> for AuditValue {
    fn from(number: u32) -> Self {
        Self(Form::Other(number.into()))
    }
}

/// Equal are those that are written the same way.
impl PartialEq for AuditValue {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Form::Other(one), Form::Other(other)) => one == other,
            _ => self.as_str().is_some() && self.as_str() == other.as_str(),
        }
    }
}

impl Serialize for AuditValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            Form::Constant(text) => serializer.serialize_str(text),
            Form::Shared(text) => serializer.serialize_str(text),
            Form::Other(value) => value.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for AuditValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        serde_json::Value::deserialize(deserializer).map(|value| Self(Form::Other(value)))
    }
}

impl fmt::Debug for AuditValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_json())
    }
}

/// Names with their values, in the order in which they were given.
#[derive(Clone, PartialEq, Default)]
pub struct AuditParameters(Vec<(Cow<'static, str>, AuditValue)>);

impl AuditParameters {
    /// None.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Adds one, or puts its value in the place of the one it had.
    pub fn insert(&mut self, name: impl Into<Cow<'static, str>>, value: impl Into<AuditValue>) {
        let (name, value) = (name.into(), value.into());
        match self.0.iter_mut().find(|(there, _)| *there == name) {
            Some((_, there)) => *there = value,
            None => self.0.push((name, value)),
        }
    }

    /// Takes the one of this name away.
    pub(crate) fn remove(&mut self, name: &str) {
        self.0.retain(|(there, _)| there != name);
    }

    /// The value of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&AuditValue> {
        self.0.iter().find(|(there, _)| there == name).map(|(_, value)| value)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &AuditValue)> {
        self.0.iter().map(|(name, value)| (name.as_ref(), value))
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn weight(&self) -> usize {
        self.0.iter().map(|(name, value)| size_of::<AuditValue>() + name.len() + value.weight()).sum()
    }
}

impl Serialize for AuditParameters {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for AuditParameters {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Map;

        impl<'de> Visitor<'de> for Map {
            type Value = AuditParameters;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<AuditParameters, A::Error> {
                let mut parameters = AuditParameters::new();
                while let Some((name, value)) = map.next_entry::<String, AuditValue>()? {
                    // Not looked for: there may be very many.
                    parameters.0.push((name.into(), value));
                }
                Ok(parameters)
            }
        }

        deserializer.deserialize_map(Map)
    }
}

impl fmt::Debug for AuditParameters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}
