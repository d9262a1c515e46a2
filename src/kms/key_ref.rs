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
    /// - `NotFoundException` for what can be no key here: an id or an alias that is none, and the ARN of a key or an alias of
    ///   another partition, Region or account.
    /// - `InvalidArnException` for an ARN that is none of a KMS key or an alias, such as one of another service.
    ///
    /// AWS documents the latter for the operations that take an id or an ARN, and not for those that use a key, which answer
    /// `NotFoundException` in its place; it does not say which ARNs it means.
    pub fn parse(text: &str, identity: &Identity) -> Result<Self, KmsError> {
        let refused = |exception, what: &str| KmsError::new(exception, format!("{what}: {}", shown(text)));
        let elsewhere = || {
            let Identity { partition, region, account } = identity;
            let here = format!("KMS keys here are arn:{partition}:kms:{region}:{account}:key/");
            refused(Exception::NotFound, &format!("the ARN is of elsewhere ({here})"))
        };
        if text.starts_with("arn:") {
            if let Ok(arn) = KeyArn::new(text) {
                return if arn.belongs_to(identity) { Ok(Self::Id(arn.key_id())) } else { Err(elsewhere()) };
            }
            let Some((whose, name)) = alias_of_arn(text) else {
                // Of AWS's own there are none here.
                if text.contains(":alias/aws/") {
                    return Err(refused(Exception::NotFound, "the alias is no KMS key here"));
                }
                return Err(refused(Exception::InvalidArn, "the ARN is that of no KMS key and of no alias"));
            };
            return if whose == *identity { Ok(Self::Alias(name)) } else { Err(elsewhere()) };
        }
        if text.starts_with("alias/") {
            return AliasName::new(text)
                .map(Self::Alias)
                .map_err(|_| refused(Exception::NotFound, "the alias is no KMS key here"));
        }
        KeyId::new(text)
            .map(Self::Id)
            .map_err(|_| refused(Exception::NotFound, "the key id is no KMS key here"))
    }
}

/// The alias that an ARN names, and whose it is.
fn alias_of_arn(text: &str) -> Option<(Identity, AliasName)> {
    let [arn, partition, service, region, account, name]: [&str; 6] =
        text.splitn(6, ':').collect::<Vec<_>>().try_into().ok()?;
    let whose = Identity::new(partition.parse().ok()?, region.parse().ok()?, account.parse().ok()?);
    let name = AliasName::new(name).ok()?;
    (arn == "arn" && service == "kms").then_some((whose, name))
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
