//! Texts with `*` for whatever may stand there.

use std::fmt;

/// A text in which each `*` stands for any text, the empty one included.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Pattern(Box<[Box<str>]>);

impl Pattern {
    pub(super) fn new(text: &str) -> Self {
        Self(text.split('*').map(Box::from).collect())
    }

    pub(super) fn matches(&self, text: &str) -> bool {
        let (first, rest) = match &*self.0 {
            [] => return text.is_empty(),
            [only] => return **only == *text,
            [first, rest @ ..] => (first, rest),
        };
        let Some((last, middle)) = rest.split_last() else { return false };
        let Some(mut left) = text.strip_prefix(&**first) else { return false };
        // Each as early as possible leaves the most for those behind it.
        for part in middle {
            match left.find(&**part) {
                Some(at) => left = left.get(at + part.len()..).unwrap_or_default(),
                None => return false,
            }
        }
        left.ends_with(&**last)
    }

    /// Without its stars: what has to be there.
    pub(super) fn parts(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|part| &**part)
    }

    /// Whether it is a text, and no more than that.
    pub(super) const fn is_exact(&self) -> bool {
        self.0.len() == 1
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, part) in self.parts().enumerate() {
            if index > 0 {
                f.write_str("*")?;
            }
            f.write_str(part)?;
        }
        Ok(())
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The same by trying everything.
    fn by_trying(pattern: &[u8], text: &[u8]) -> bool {
        match pattern.split_first() {
            None => text.is_empty(),
            Some((b'*', rest)) => (0..=text.len()).any(|at| by_trying(rest, &text[at..])),
            Some((byte, rest)) => text.first() == Some(byte) && by_trying(rest, &text[1..]),
        }
    }

    #[test]
    fn a_star_is_any_text_and_nothing_else_is() {
        for (pattern, text, matches) in [
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("**", "anything", true),
            ("a*a", "a", false),
            ("a*a", "aa", true),
            ("arn:*:role/*", "arn:aws:iam::1:role/x", true),
            ("arn:*:role/?", "arn:aws:iam::1:role/x", false),
            ("[a-z]", "a", false),
        ] {
            assert_eq!(Pattern::new(pattern).matches(text), matches, "{pattern} {text}");
            assert_eq!(Pattern::new(pattern).to_string(), pattern);
        }
    }

    proptest! {
        #[test]
        fn it_matches_what_trying_everything_matches(pattern in "[ab*]{0,8}", text in "[ab]{0,10}") {
            let expected = by_trying(pattern.as_bytes(), text.as_bytes());
            prop_assert_eq!(Pattern::new(&pattern).matches(&text), expected);
        }
    }
}
