//! Rules that are written down.

use std::error::Error;

use super::invalid::{InvalidRule, InvalidRules};
use super::pattern::{Pattern, Place};
use super::permission::Permission;
use super::{AuthorizationRequest, Authorizer, Decision};
use crate::identity::Identity;
use crate::key::{KeyArn, KeyId};
use crate::kms::Action;
use crate::store_id::StoreId;

/// Which principal may call what, on which KMS keys and custom key stores.
///
/// What no rule allows is denied, and what one denies is denied whatever others allow; their order does not matter. Without
/// any rule nobody may do anything: an application that has none leaves them out, and then everybody may do everything.
///
/// In each text `*` stands for any text. Actions are AWS's names of operations, with or without `kms:`; `ReEncrypt` takes
/// `ReEncryptFrom` on the key that the ciphertext is under and `ReEncryptTo` on the one that it is to be under, and
/// `ReEncrypt*` names both. Principals are printable ASCII. Keys are ids or ARNs of KMS keys, and never aliases, which can be
/// moved. A rule that names keys or stores is about calls that concern one of them alone: to list all keys or all stores, or to
/// create a store, takes a rule that names none.
///
/// To create a key with tags takes `CreateKey` and `TagResource`, both by rules that name no keys, since it is not one yet;
/// they may name its store. What is done with an alias takes its permission on the key that it stands for, for `UpdateAlias`
/// on both keys; AWS asks for it on the alias as well, which no rule can name, so that whoever may `CreateAlias` on a key
/// may choose any name that is free.
///
/// What can never match is an error that says which rule it is and what to write: most when they are read; and when a
/// [`Kms`](crate::kms::Kms) is opened, ARNs of another partition, Region or account ([`check`](Authorizer::check)), and ids of
/// stores that are neither `cks-` and 17 hexadecimal digits nor those of one that is there
/// ([`check_stores`](Authorizer::check_stores)). When a store with an id of its own is deleted, the rules that name it have to go
/// too.
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

/// A bit for each permission that AWS has a name for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Actions(u64);

// Each has its bit, and the second of `ReEncrypt` the last.
const _: () = assert!(Action::ALL.len() < 64);

impl Actions {
    const fn of(permission: Permission) -> Self {
        match permission {
            Permission::ReEncryptTo => Self(1 << 63),
            other => Self(1 << other.action() as u32),
        }
    }

    const fn has(self, permission: Permission) -> bool {
        self.0 & Self::of(permission).0 != 0
    }

    fn any(self, is: impl Fn(Action) -> bool) -> bool {
        Permission::all().any(|permission| self.has(permission) && is(permission.action()))
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

    /// What they say of one permission.
    fn decide(&self, request: &AuthorizationRequest<'_>) -> Decision {
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
        self.actions.has(request.permission)
            && self.principals.iter().any(|pattern| pattern.matches(request.principal))
            && self.keys.as_ref().is_none_or(on_key)
            && self.stores.as_ref().is_none_or(in_store)
    }
}

impl Authorizer for Rules {
    fn authorize(&self, request: &AuthorizationRequest<'_>) -> Decision {
        if request.permission != Permission::Operation(Action::ReEncrypt) {
            return self.decide(request);
        }
        let may =
            |permission| self.decide(&AuthorizationRequest { permission, ..*request }) == Decision::Allow;
        match may(Permission::ReEncryptFrom) && may(Permission::ReEncryptTo) {
            true => Decision::Allow,
            false => Decision::Deny,
        }
    }

    /// Refuses keys by ARNs that no key here has.
    fn check(&self, identity: &Identity) -> Result<(), Box<dyn Error + Send + Sync>> {
        let here = form_of_arn(identity);
        for (number, rule) in (1..).zip(&self.0) {
            let can_be = |key: &&Pattern| key.can_match(&form_of_id()) || key.can_match(&here);
            if let Some(key) = rule.keys.iter().flatten().find(|key| !can_be(key)) {
                let error = InvalidRule::KeyElsewhere { key: key.to_string(), here: identity.clone() };
                return Err(InvalidRules { number, error }.into());
            }
        }
        Ok(())
    }

    /// Refuses stores by ids that none has here, nor one that will be made: what denies something in a store of another name
    /// would deny nothing.
    fn check_stores(&self, stores: &[StoreId]) -> Result<(), Box<dyn Error + Send + Sync>> {
        for (number, rule) in (1..).zip(&self.0) {
            let can_be = |pattern: &&Pattern| {
                pattern.can_match(&form_of_store()) || stores.iter().any(|id| pattern.matches(id.as_str()))
            };
            if let Some(store) = rule.stores.iter().flatten().find(|store| !can_be(store)) {
                let error = InvalidRule::StoreElsewhere(store.to_string());
                return Err(InvalidRules { number, error }.into());
            }
        }
        Ok(())
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

/// The permissions that a text means.
fn named(text: &str) -> Result<Actions, InvalidRule> {
    let name = text.strip_prefix("kms:").unwrap_or(text);
    let pattern = Pattern::new(name);
    let found = Permission::all().filter(|permission| pattern.matches(permission.as_str()));
    match found.fold(0, |bits, permission| bits | Actions::of(permission).0) {
        0 if name == Action::ReEncrypt.as_str() => Err(InvalidRule::ReEncrypt),
        0 => Err(InvalidRule::Action(text.to_owned())),
        bits => Ok(Actions(bits)),
    }
}

/// What callers can be named: a rule that is written in other letters, which may look alike, would be one about nobody.
fn principal(pattern: &Pattern) -> Result<(), InvalidRule> {
    let is_text = pattern.parts().all(|part| part.bytes().all(|b| b.is_ascii_graphic() || b == b' '));
    let length: usize = pattern.parts().map(str::len).sum();
    let is_somebody = length > 0 || !pattern.is_exact();
    if is_text && is_somebody && length <= 2048 {
        Ok(())
    } else {
        Err(InvalidRule::Principal(pattern.to_string()))
    }
}

fn key(pattern: &Pattern) -> Result<(), InvalidRule> {
    let text = pattern.to_string();
    let can_be = if pattern.is_exact() {
        KeyId::new(&text).is_ok() || KeyArn::new(&text).is_ok()
    } else {
        // Of which partition, Region and account the ARNs are is known later.
        let of_arn = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b":/-".contains(&byte);
        pattern.can_match(&form_of_id())
            || (!text.contains("alias/") && pattern.parts().all(|part| part.bytes().all(of_arn)))
    };
    if can_be { Ok(()) } else { Err(InvalidRule::Key(text)) }
}

/// What ids of keys look like.
fn form_of_id() -> [Place; 36] {
    std::array::from_fn(|at| if matches!(at, 8 | 13 | 18 | 23) { Place::Is(b'-') } else { Place::Digit })
}

/// What ARNs of keys look like here.
fn form_of_arn(identity: &Identity) -> Vec<Place> {
    let Identity { partition, region, account } = identity;
    let head = format!("arn:{partition}:kms:{region}:{account}:key/");
    head.bytes().map(Place::Is).chain(form_of_id()).collect()
}

/// What ids of stores look like that are made here.
fn form_of_store() -> [Place; 21] {
    const HEAD: [u8; 4] = *b"cks-";
    std::array::from_fn(|at| HEAD.get(at).map_or(Place::Digit, |byte| Place::Is(*byte)))
}

/// Which ids there are beside those that are made here is known later.
fn store(pattern: &Pattern) -> Result<(), InvalidRule> {
    let length: usize = pattern.parts().map(|part| part.chars().count()).sum();
    let can_be = pattern.parts().all(|part| !part.contains(char::is_control))
        && length <= 64
        && (length > 0 || !pattern.is_exact());
    if can_be { Ok(()) } else { Err(InvalidRule::Store(pattern.to_string())) }
}
