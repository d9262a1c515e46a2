//! Texts with `*` for whatever may stand there.

use std::fmt;

/// One byte of texts of one form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Is(u8),
    /// A hexadecimal digit in lower case.
    Digit,
}

impl Place {
    const fn takes(self, byte: u8) -> bool {
        match self {
            Self::Is(is) => byte == is,
            Self::Digit => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
        }
    }
}

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

    /// Whether any text of this form matches.
    pub(super) fn can_match(&self, form: &[Place]) -> bool {
        let fits = |form: &[Place], part: &str| {
            form.len() == part.len() && form.iter().zip(part.bytes()).all(|(place, byte)| place.takes(byte))
        };
        let (first, rest) = match &*self.0 {
            [] => return form.is_empty(),
            [only] => return fits(form, only),
            [first, rest @ ..] => (first, rest),
        };
        let Some((last, middle)) = rest.split_last() else { return false };
        let Some((begin, mut left)) = form.split_at_checked(first.len()) else { return false };
        // As above: what stands in one place says nothing of another.
        for part in middle.iter().filter(|part| !part.is_empty()) {
            match left.windows(part.len()).position(|window| fits(window, part)) {
                Some(at) => left = left.get(at + part.len()..).unwrap_or_default(),
                None => return false,
            }
        }
        let end = left.len().checked_sub(last.len()).and_then(|from| left.get(from..));
        fits(begin, first) && end.is_some_and(|end| fits(end, last))
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

    #[test]
    fn a_form_is_what_some_text_of_it_is() {
        let form = [Place::Is(b'k'), Place::Is(b'/'), Place::Digit, Place::Digit];
        for (pattern, can) in [
            ("k/0f", true),
            ("k/0g", false),
            ("k/0", false),
            ("k/00*", true),
            ("*", true),
            ("", false),
            ("*/*", true),
            ("k*/*a", true),
            ("*a*b", true),
            ("*a*b*c", false),
            ("k/*/*", false),
            ("**k**", true),
            ("*kk", false),
        ] {
            assert_eq!(Pattern::new(pattern).can_match(&form), can, "{pattern}");
        }
    }

    proptest! {
        #[test]
        fn a_form_can_match_exactly_if_one_of_its_texts_does(pattern in "[0az*]{0,6}", form in "[az#]{0,4}") {
            let places: Vec<_> =
                form.bytes().map(|b| if b == b'#' { Place::Digit } else { Place::Is(b) }).collect();
            // Of the digits these two are in patterns; the third stands for all others.
            let mut texts = vec![Vec::new()];
            for byte in form.bytes() {
                let bytes = if byte == b'#' { vec![b'0', b'a', b'7'] } else { vec![byte] };
                texts = texts
                    .iter()
                    .flat_map(|text: &Vec<u8>| bytes.iter().map(|b| [&text[..], &[*b]].concat()))
                    .collect();
            }
            let pattern = Pattern::new(&pattern);
            let any = texts.iter().any(|text| pattern.matches(str::from_utf8(text).unwrap()));
            prop_assert_eq!(pattern.can_match(&places), any);
        }

        #[test]
        fn it_matches_what_trying_everything_matches(pattern in "[ab*]{0,8}", text in "[ab]{0,10}") {
            let expected = by_trying(pattern.as_bytes(), text.as_bytes());
            prop_assert_eq!(Pattern::new(&pattern).matches(&text), expected);
        }
    }
}
