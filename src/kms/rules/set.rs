//! Rules that are written down.

use serde::{Deserialize, Deserializer};

use super::pattern::Pattern;
use super::{AuthorizationRequest, Authorizer, Decision};
use crate::key::{KeyArn, KeyId};
use crate::kms::Action;

/// Which principal may call what, on which KMS keys and custom key stores.
///
/// What no rule allows is denied, and what one denies is denied whatever others allow; their order does not matter. Without
/// any rule nobody may do anything: an application that has none leaves them out, and then everybody may do everything.
///
/// In each text `*` stands for any text. Actions are AWS's names of operations, with or without `kms:`. Keys are ids or ARNs of
/// KMS keys, and never aliases, which can be moved. A rule that names keys or stores is about calls that concern one of
/// them alone: to list all keys or all stores, or to create a store, takes a rule that names none.
///
/// ```
/// use custom_key_store::kms::{Action, AuthorizationRequest, Authorizer as _, Decision, Rules};
///
/// #[derive(serde::Deserialize)]
/// struct Configuration {
///     rules: Rules,
/// }
///
/// let configuration: Configuration = toml::from_str(
///     r#"
///     [[rules]]
///     principals = ["arn:aws:iam::111122223333:role/operator"]
///     actions = ["*"]
///
///     [[rules]]
///     principals = ["arn:aws:iam::111122223333:role/payroll"]
///     actions = ["Encrypt", "Decrypt", "kms:GenerateDataKey*"]
///     keys = ["arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"]
///
///     [[rules]]
///     effect = "Deny"
///     principals = ["*"]
///     actions = ["ScheduleKeyDeletion", "DeleteCustomKeyStore"]
///     "#,
/// )?;
/// let request = AuthorizationRequest::new("arn:aws:iam::111122223333:role/operator", Action::ListKeys);
/// assert_eq!(configuration.rules.authorize(&request), Decision::Allow);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rules(Vec<Rule>);

/// One of [`Rules`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct Rule {
    denies: bool,
    principals: Vec<Pattern>,
    actions: Actions,
    /// Of which one must match; `None` where the rule names none.
    keys: Option<Vec<Pattern>>,
    stores: Option<Vec<Pattern>>,
}

/// A rule that can never match, so that whoever wrote it did not mean it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidRule {
    /// A list of the rule is empty.
    #[error("a rule has an empty list of {0}")]
    Empty(&'static str),
    /// No operation is called like this.
    #[error("a rule names {0:?}, which is no operation of custom key stores")]
    Action(String),
    /// Nobody can be called like this.
    #[error("a rule names {0:?}, which no principal can be")]
    Principal(String),
    /// No KMS key has such an id or ARN.
    #[error("a rule names {0:?}, which is neither the id nor the ARN of a KMS key")]
    Key(String),
    /// No custom key store has such an id.
    #[error("a rule names {0:?}, which is no id of a custom key store")]
    Store(String),
    /// None of the rule's actions is about what it names.
    #[error("a rule names {0}, and none of its actions is about one")]
    NeverConcerned(&'static str),
}

/// A bit for each action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Actions(u64);

// Each action has its bit.
const _: () = assert!(Action::ALL.len() <= 64);

impl Actions {
    const fn of(action: Action) -> Self {
        Self(1 << action as u32)
    }

    const fn has(self, action: Action) -> bool {
        self.0 & Self::of(action).0 != 0
    }

    fn any(self, is: impl Fn(Action) -> bool) -> bool {
        Action::ALL.iter().any(|action| self.has(*action) && is(*action))
    }
}

impl Rules {
    /// These.
    #[must_use]
    pub const fn new(rules: Vec<Rule>) -> Self {
        Self(rules)
    }

    /// Whether there are none, so that nobody may do anything.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Rule {
    /// These principals may call these actions, on all keys and stores unless [`keys`](Self::keys) or
    /// [`stores`](Self::stores) say on which.
    ///
    /// # Errors
    ///
    /// [`InvalidRule`] when a list is empty, or a text of it can match nothing.
    pub fn allow<P, A>(
        principals: impl IntoIterator<Item = P>,
        actions: impl IntoIterator<Item = A>,
    ) -> Result<Self, InvalidRule>
    where
        P: AsRef<str>,
        A: AsRef<str>,
    {
        let principals = patterns("principals", principals, principal)?;
        let mut of_all = 0;
        for name in actions {
            of_all |= named(name.as_ref())?.0;
        }
        match of_all {
            0 => Err(InvalidRule::Empty("actions")),
            bits => Ok(Self { denies: false, principals, actions: Actions(bits), keys: None, stores: None }),
        }
    }

    /// These principals may not call these actions, whatever else is allowed.
    ///
    /// # Errors
    ///
    /// As for [`allow`](Self::allow).
    pub fn deny<P, A>(
        principals: impl IntoIterator<Item = P>,
        actions: impl IntoIterator<Item = A>,
    ) -> Result<Self, InvalidRule>
    where
        P: AsRef<str>,
        A: AsRef<str>,
    {
        Ok(Self { denies: true, ..Self::allow(principals, actions)? })
    }

    /// The same about these KMS keys alone, by their ids or ARNs.
    ///
    /// # Errors
    ///
    /// [`InvalidRule`] when there are none, one can be none, or none of the actions concerns a key.
    pub fn keys<K: AsRef<str>>(mut self, keys: impl IntoIterator<Item = K>) -> Result<Self, InvalidRule> {
        self.keys = Some(patterns("keys", keys, key)?);
        if !self.actions.any(Action::concerns_key) {
            return Err(InvalidRule::NeverConcerned("keys"));
        }
        Ok(self)
    }

    /// The same about these custom key stores alone, and the KMS keys in them.
    ///
    /// # Errors
    ///
    /// [`InvalidRule`] when there are none, one can be none, or none of the actions concerns a store.
    pub fn stores<S: AsRef<str>>(mut self, stores: impl IntoIterator<Item = S>) -> Result<Self, InvalidRule> {
        self.stores = Some(patterns("stores", stores, store)?);
        if !self.actions.any(Action::concerns_store) {
            return Err(InvalidRule::NeverConcerned("stores"));
        }
        Ok(self)
    }

    fn matches(&self, request: &AuthorizationRequest<'_>) -> bool {
        // A key's id is the end of its ARN.
        let is_key = |key: &KeyArn, pattern: &Pattern| {
            let id = key.as_str().rsplit('/').next().unwrap_or_default();
            pattern.matches(key.as_str()) || pattern.matches(id)
        };
        let on_key = |patterns: &Vec<Pattern>| {
            request.key.is_some_and(|key| patterns.iter().any(|pattern| is_key(key, pattern)))
        };
        let in_store = |patterns: &Vec<Pattern>| {
            request.store.is_some_and(|store| patterns.iter().any(|pattern| pattern.matches(store.as_str())))
        };
        self.actions.has(request.action)
            && self.principals.iter().any(|pattern| pattern.matches(request.principal))
            && self.keys.as_ref().is_none_or(on_key)
            && self.stores.as_ref().is_none_or(in_store)
    }
}

impl Authorizer for Rules {
    fn authorize(&self, request: &AuthorizationRequest<'_>) -> Decision {
        let mut decision = Decision::Deny;
        for rule in self.0.iter().filter(|rule| rule.matches(request)) {
            if rule.denies {
                return Decision::Deny;
            }
            decision = Decision::Allow;
        }
        decision
    }
}

fn patterns<T: AsRef<str>>(
    list: &'static str,
    texts: impl IntoIterator<Item = T>,
    check: fn(&Pattern) -> Result<(), InvalidRule>,
) -> Result<Vec<Pattern>, InvalidRule> {
    let mut patterns = Vec::new();
    for text in texts {
        let pattern = Pattern::new(text.as_ref());
        check(&pattern)?;
        patterns.push(pattern);
    }
    if patterns.is_empty() { Err(InvalidRule::Empty(list)) } else { Ok(patterns) }
}

/// The actions that a text means.
fn named(text: &str) -> Result<Actions, InvalidRule> {
    let pattern = Pattern::new(text.strip_prefix("kms:").unwrap_or(text));
    let found = Action::ALL.iter().filter(|action| pattern.matches(action.as_str()));
    match found.fold(0, |bits, action| bits | Actions::of(*action).0) {
        0 => Err(InvalidRule::Action(text.to_owned())),
        bits => Ok(Actions(bits)),
    }
}

fn principal(pattern: &Pattern) -> Result<(), InvalidRule> {
    let is_text = pattern.parts().all(|part| !part.contains(char::is_control));
    let is_somebody = !pattern.is_exact() || pattern.parts().any(|part| !part.is_empty());
    if is_text && is_somebody { Ok(()) } else { Err(InvalidRule::Principal(pattern.to_string())) }
}

fn key(pattern: &Pattern) -> Result<(), InvalidRule> {
    let text = pattern.to_string();
    let can_be = if pattern.is_exact() {
        KeyId::new(&text).is_ok() || KeyArn::new(&text).is_ok()
    } else {
        // Of an id there are digits and hyphens; of an ARN, that it ends in an id cannot be told of one with stars.
        let of_id = |text: &str| text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f' | b'-'));
        let of_arn = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b":/-".contains(&byte);
        pattern.parts().all(of_id)
            || (!text.contains("alias/") && pattern.parts().all(|part| part.bytes().all(of_arn)))
    };
    if can_be { Ok(()) } else { Err(InvalidRule::Key(text)) }
}

fn store(pattern: &Pattern) -> Result<(), InvalidRule> {
    let length: usize = pattern.parts().map(|part| part.chars().count()).sum();
    let can_be = pattern.parts().all(|part| !part.contains(char::is_control))
        && length <= 64
        && (length > 0 || !pattern.is_exact());
    if can_be { Ok(()) } else { Err(InvalidRule::Store(pattern.to_string())) }
}

/// From a list of tables with `principals`, `actions` and, where they are wanted, `keys`, `stores` and `effect`, which is
/// `Allow` or `Deny`.
impl<'de> Deserialize<'de> for Rules {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Vec::deserialize(deserializer).map(Self)
    }
}

impl<'de> Deserialize<'de> for Rule {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
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

        let Written { effect, principals, actions, keys, stores } = Written::deserialize(deserializer)?;
        let rule = || {
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
            Ok::<_, InvalidRule>(rule)
        };
        rule().map_err(serde::de::Error::custom)
    }
}
