//! Rules that can never match.

use crate::identity::Identity;

/// A rule that can never match, so that whoever wrote it did not mean it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidRule {
    /// A list of the rule is empty.
    #[error("the rule has an empty list of {0}: name some, or leave out what is about all")]
    Empty(&'static str),
    /// Nothing that can be allowed is called like this.
    #[error(
        "the rule names {0:?}, which is no action of custom key stores: they are named as AWS names them, such as Encrypt, \
         kms:Decrypt or GenerateDataKey*"
    )]
    Action(String),
    /// The operation takes two permissions, and has no name among them.
    #[error(
        "the rule names ReEncrypt, which is no action of AWS's: it takes ReEncryptFrom on the one key and ReEncryptTo on the \
         other, and ReEncrypt* names both"
    )]
    ReEncrypt,
    /// Nobody can be called like this.
    #[error(
        "the rule names {0:?}, which no principal can be: one is 1 to 2,048 printable characters of ASCII, such as \
         arn:aws:iam::111122223333:role/payroll"
    )]
    Principal(String),
    /// No KMS key has such an id or ARN.
    #[error(
        "the rule names {0:?}, which is neither the id nor the ARN of a KMS key: it is a UUID in lower case, or \
         arn:partition:kms:region:account:key/ and that, and no alias"
    )]
    Key(String),
    /// No KMS key of this partition, Region and account has such an ARN.
    #[error(
        "the rule names {key:?}, and ARNs of KMS keys here begin with arn:{}:kms:{}:{}:key/: correct it, or name the key by its \
         id",
        here.partition, here.region, here.account
    )]
    KeyElsewhere {
        /// What the rule names.
        key: String,
        /// Whose the keys are.
        here: Identity,
    },
    /// No custom key store can have such an id.
    #[error(
        "the rule names {0:?}, which can be no id of a custom key store: one is cks- and 17 hexadecimal digits, or what the \
         application has given it, of 1 to 64 characters, none of them a control character"
    )]
    Store(String),
    /// No custom key store has such an id here, nor will one have it that is made.
    #[error(
        "the rule names {0:?}, and no custom key store here has such an id, nor will one that is made: name it by its id, which \
         is cks- and 17 hexadecimal digits in lower case, and not by its name, or take it out of the rule"
    )]
    StoreElsewhere(String),
    /// None of the rule's actions is about what it names.
    #[error(
        "the rule names {0}, and none of its actions is about one: leave them out, or name other actions"
    )]
    NeverConcerned(&'static str),
}

/// Which of several rules can never match, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("rule {number}: {error}")]
pub struct InvalidRules {
    pub(super) number: usize,
    pub(super) error: InvalidRule,
}

impl InvalidRules {
    /// Which one, counted from 1 in the order in which they are written down.
    #[must_use]
    pub const fn number(&self) -> usize {
        self.number
    }

    /// What is wrong with it.
    #[must_use]
    pub const fn error(&self) -> &InvalidRule {
        &self.error
    }
}
