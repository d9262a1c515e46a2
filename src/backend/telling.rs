//! How a backend knows that its store was told a password anew.

use super::Change;
use crate::primitive::random;
use crate::value::text_newtype;

text_newtype! {
    /// One time that a store was told a password by an update. Every time is another, also if the password is the same; so a
    /// backend that has refused passwords written down knows which of them may be tried once more.
    ///
    /// Not secret.
    Telling,
    field: "Telling",
    expected: "32 lowercase hexadecimal digits",
    length: 32..=32,
    legal: |c| matches!(c, '0'..='9' | 'a'..='f'),
}

impl Telling {
    /// Another one than every other.
    #[must_use]
    pub fn generate() -> Self {
        Self(format!("{:032x}", u128::from_be_bytes(random())).into())
    }

    /// Another one, if the change tells the store a password.
    pub(crate) fn of(change: &Change) -> Option<Self> {
        change.password.is_some().then(Self::generate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tellings_are_unlike_and_read_back() {
        let (one, other) = (Telling::generate(), Telling::generate());
        assert_ne!(one, other);
        assert_eq!(one.as_str().parse(), Ok(one.clone()));
        for text in ["", "0", &one.as_str().replace(|_| true, "G"), &format!("{one}0")] {
            assert!(Telling::new(text).is_err(), "{text}");
        }
    }
}
