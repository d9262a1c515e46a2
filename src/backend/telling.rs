//! How a backend knows that its store was told a password anew.

use super::{Change, KeyStorePassword};
use crate::primitive::random;
use crate::value::text_newtype;

text_newtype! {
    /// Which time it was that a store was told a password: every time is another, also if the password is the same.
    ///
    /// Not secret.
    TellingId,
    field: "TellingId",
    expected: "32 lowercase hexadecimal digits",
    length: 32..=32,
    legal: |c| matches!(c, '0'..='9' | 'a'..='f'),
}

impl TellingId {
    /// Another one than every other.
    #[must_use]
    pub fn generate() -> Self {
        Self(format!("{:032x}", u128::from_be_bytes(random())).into())
    }
}

/// One time that a store was told a password by an update. A backend that has refused passwords written down knows by it
/// which of them may be tried once more.
///
/// It counts for the password that was told, and for no other: an update of which nobody knows whether it took place may
/// have told the store another one than the backend has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Telling {
    id: TellingId,
    password: KeyStorePassword,
}

impl Telling {
    /// That the store was told this password, and which time it was.
    #[must_use]
    pub const fn new(id: TellingId, password: KeyStorePassword) -> Self {
        Self { id, password }
    }

    /// Which time it was.
    #[must_use]
    pub const fn id(&self) -> &TellingId {
        &self.id
    }

    /// What the store was told.
    #[must_use]
    pub const fn password(&self) -> &KeyStorePassword {
        &self.password
    }

    /// Another one, if the change tells the store a password.
    pub(crate) fn of(change: &Change) -> Option<Self> {
        let password = change.password.clone()?;
        Some(Self::new(TellingId::generate(), password))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tellings_are_unlike_and_read_back() {
        let (one, other) = (TellingId::generate(), TellingId::generate());
        assert_ne!(one, other);
        assert_eq!(one.as_str().parse(), Ok(one.clone()));
        for text in ["", "0", &one.as_str().replace(|_| true, "G"), &format!("{one}0")] {
            assert!(TellingId::new(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_telling_hides_the_password() {
        let password = KeyStorePassword::new("kmsPswd1").unwrap();
        let telling = Telling::of(&Change::new().password(password)).unwrap();
        assert!(!format!("{telling:?}").contains("kmsPswd1"));
        assert_eq!(telling.password().expose(), b"kmsPswd1");
    }
}
