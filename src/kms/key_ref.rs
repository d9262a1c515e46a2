//! How a call names a KMS key.

use std::fmt;

use super::error::KmsError;
use super::exception::Exception;
use crate::identity::Identity;
use crate::key::{AliasName, KeyArn, KeyId};

/// A KMS key as a call names it: by its id, or by an alias.
///
/// ```
/// use custom_key_store::backend::AccountId;
/// use custom_key_store::kms::KeyRef;
/// use custom_key_store::{Identity, Partition, Region};
///
/// let identity =
///     Identity::new(Partition::new("aws")?, Region::new("eu-west-1")?, AccountId::new("111122223333")?);
/// let key = KeyRef::parse("arn:aws:kms:eu-west-1:111122223333:alias/payroll", &identity)?;
/// assert_eq!(key.to_string(), "alias/payroll");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum KeyRef {
    /// By its id.
    Id(KeyId),
    /// By another name.
    Alias(AliasName),
}

impl KeyRef {
    /// Takes any of the four forms that AWS documents: the id of a key, its ARN, the name of an alias, its ARN.
    ///
    /// # Errors
    ///
    /// `NotFoundException` for what can be no key of this partition, Region and account, as AWS has it.
    pub fn parse(text: &str, identity: &Identity) -> Result<Self, KmsError> {
        let not_found = |what: &str| {
            KmsError::new(Exception::NotFound, format!("{what} is no KMS key here: {}", shown(text)))
        };
        if text.starts_with("arn:") {
            if let Ok(arn) = KeyArn::new(text) {
                let ours = arn.belongs_to(identity);
                return if ours { Ok(Self::Id(arn.key_id())) } else { Err(not_found("the ARN")) };
            }
            let name = alias_of_arn(text, identity).ok_or_else(|| not_found("the ARN"))?;
            return AliasName::new(name).map(Self::Alias).map_err(|_| not_found("the ARN"));
        }
        if text.starts_with("alias/") {
            return match AliasName::new(text) {
                Ok(name) => Ok(Self::Alias(name)),
                Err(_) => Err(not_found("the alias")),
            };
        }
        KeyId::new(text).map(Self::Id).map_err(|_| not_found("the key id"))
    }
}

fn alias_of_arn<'t>(text: &'t str, identity: &Identity) -> Option<&'t str> {
    let Identity { partition, region, account } = identity;
    text.strip_prefix(&format!("arn:{partition}:kms:{region}:{account}:"))
        .filter(|rest| rest.starts_with("alias/"))
}

/// What somebody sent, as far as it fits into a message.
fn shown(text: &str) -> String {
    const MOST: usize = 100;
    let mut shown: String = text.chars().take(MOST).map(|c| if c.is_control() { '?' } else { c }).collect();
    if text.chars().nth(MOST).is_some() {
        shown.push_str("...");
    }
    shown
}

/// The ARN of an alias.
pub(crate) fn alias_arn(name: &AliasName, identity: &Identity) -> String {
    let Identity { partition, region, account } = identity;
    format!("arn:{partition}:kms:{region}:{account}:{name}")
}

impl From<KeyId> for KeyRef {
    fn from(id: KeyId) -> Self {
        Self::Id(id)
    }
}

impl From<AliasName> for KeyRef {
    fn from(name: AliasName) -> Self {
        Self::Alias(name)
    }
}

impl fmt::Display for KeyRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => id.fmt(f),
            Self::Alias(name) => name.fmt(f),
        }
    }
}
