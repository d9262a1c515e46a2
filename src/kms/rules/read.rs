//! Rules as they are written down.

use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::invalid::{InvalidRule, InvalidRules};
use super::set::{Rule, Rules};

#[derive(Deserialize, Default)]
enum Effect {
    #[default]
    Allow,
    Deny,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default)]
    effect: Effect,
    principals: Vec<String>,
    actions: Vec<String>,
    keys: Option<Vec<String>>,
    stores: Option<Vec<String>>,
}

impl TryFrom<Written> for Rule {
    type Error = InvalidRule;

    fn try_from(written: Written) -> Result<Self, InvalidRule> {
        let Written { effect, principals, actions, keys, stores } = written;
        let mut rule = match effect {
            Effect::Allow => Self::allow(principals, actions)?,
            Effect::Deny => Self::deny(principals, actions)?,
        };
        if let Some(keys) = keys {
            rule = rule.keys(keys)?;
        }
        if let Some(stores) = stores {
            rule = rule.stores(stores)?;
        }
        Ok(rule)
    }
}

/// From a table with `principals`, `actions` and, where they are wanted, `keys`, `stores` and `effect`, which is `Allow` or
/// `Deny`.
impl<'de> Deserialize<'de> for Rule {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Table { number: None })
    }
}

/// From a list of such tables. An error says which of them it is about.
impl<'de> Deserialize<'de> for Rules {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(List).map(Self::new)
    }
}

struct List;

impl<'de> Visitor<'de> for List {
    type Value = Vec<Rule>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of rules")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<Rule>, A::Error> {
        let mut rules = Vec::new();
        while let Some(rule) = list.next_element_seed(Table { number: Some(rules.len() + 1) })? {
            rules.push(rule);
        }
        Ok(rules)
    }
}

/// One rule. It is judged while it is read, so that formats that have lines know the one of the error.
struct Table {
    /// Which it is, of several.
    number: Option<usize>,
}

impl<'de> DeserializeSeed<'de> for Table {
    type Value = Rule;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Rule, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Table {
    type Value = Rule;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a rule: a table with principals and actions")
    }

    fn visit_map<A: MapAccess<'de>>(self, table: A) -> Result<Rule, A::Error> {
        let rule: Result<Rule, _> = Written::deserialize(MapAccessDeserializer::new(table))?.try_into();
        rule.map_err(|error| match self.number {
            Some(number) => A::Error::custom(InvalidRules { number, error }),
            None => A::Error::custom(error),
        })
    }
}
