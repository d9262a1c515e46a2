//! What a caller must be allowed.

use std::fmt;

use crate::kms::Action;

/// What a caller must be allowed, by AWS's name: that of the operation, but for `ReEncrypt`, which takes two, each on the key
/// that it is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Permission {
    /// To call this operation. Of `ReEncrypt` it is both that follow.
    Operation(Action),
    /// To decrypt, by `ReEncrypt`, what was encrypted under this key.
    ReEncryptFrom,
    /// To encrypt, by `ReEncrypt`, under this key.
    ReEncryptTo,
}

impl Permission {
    /// The operation that it is needed for.
    #[must_use]
    pub const fn action(self) -> Action {
        match self {
            Self::Operation(action) => action,
            Self::ReEncryptFrom | Self::ReEncryptTo => Action::ReEncrypt,
        }
    }

    /// AWS's name, without the `kms:` before it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Operation(action) => action.as_str(),
            Self::ReEncryptFrom => "ReEncryptFrom",
            Self::ReEncryptTo => "ReEncryptTo",
        }
    }

    /// All that AWS has a name for.
    pub(super) fn all() -> impl Iterator<Item = Self> {
        let is_one = |action: &Action| *action != Action::ReEncrypt;
        let operations = Action::ALL.iter().copied().filter(is_one).map(Self::Operation);
        operations.chain([Self::ReEncryptFrom, Self::ReEncryptTo])
    }
}

impl From<Action> for Permission {
    fn from(action: Action) -> Self {
        Self::Operation(action)
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
