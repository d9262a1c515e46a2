//! What a value of the domain may look like, and the error that says where one does not.

use std::fmt;

/// A value that breaks the rule of its field.
///
/// Names the field, the limit and the expected shape, never the value: it may be a secret.
///
/// ```
/// use custom_key_store::StoreName;
///
/// let error = StoreName::new("").unwrap_err();
/// assert_eq!(error.field(), "CustomKeyStoreName");
/// assert_eq!(
///     error.to_string(),
///     "CustomKeyStoreName is invalid: its length is 0, at least 1 needed (expected 1 to 256 characters, none of them a control character)"
/// );
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidValue {
    field: &'static str,
    expected: &'static str,
    problem: Problem,
}

/// In which way a value breaks its rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Problem {
    /// Shorter than the least length allowed.
    TooShort {
        /// The length found, in the unit of the field (characters of text, bytes of data).
        length: usize,
        /// The least length allowed.
        minimum: usize,
    },
    /// Longer than the greatest length allowed.
    TooLong {
        /// The length found, in the unit of the field.
        length: usize,
        /// The greatest length allowed.
        maximum: usize,
    },
    /// A character that the field's alphabet does not have.
    IllegalCharacter {
        /// Its place, counted in bytes from 0.
        position: usize,
    },
    /// The characters are legal, the form is not.
    Malformed,
    /// A number that is too small or too great.
    OutOfRange,
    /// There is none, where one is needed.
    Missing,
    /// The value is right by itself but contradicts, or lacks, another one.
    Inconsistent {
        /// The other field.
        with: &'static str,
    },
}

impl InvalidValue {
    /// An error for `field`, with what was expected instead.
    #[must_use]
    pub const fn new(field: &'static str, expected: &'static str, problem: Problem) -> Self {
        Self { field, expected, problem }
    }

    /// The field, by the name that AWS gives it where AWS has one.
    #[must_use]
    pub const fn field(&self) -> &'static str {
        self.field
    }

    /// The expected shape, in words.
    #[must_use]
    pub const fn expected(&self) -> &'static str {
        self.expected
    }

    /// What is wrong.
    #[must_use]
    pub const fn problem(&self) -> Problem {
        self.problem
    }
}

impl fmt::Display for InvalidValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.field)?;
        if self.problem != Problem::Missing {
            f.write_str(" is invalid: ")?;
        }
        match self.problem {
            Problem::TooShort { length, minimum } => {
                write!(f, "its length is {length}, at least {minimum} needed")
            }
            Problem::TooLong { length, maximum } => {
                write!(f, "its length is {length}, at most {maximum} allowed")
            }
            Problem::IllegalCharacter { position } => {
                write!(f, "the character at byte {position} is not allowed")
            }
            Problem::Malformed => write!(f, "it does not have the right form"),
            Problem::OutOfRange => write!(f, "it is out of range"),
            Problem::Missing => write!(f, " is missing"),
            Problem::Inconsistent { with } => write!(f, "it does not fit {with}"),
        }?;
        write!(f, " (expected {})", self.expected)
    }
}

impl std::error::Error for InvalidValue {}

/// The rule of a text field: length in characters and alphabet.
pub(crate) struct TextRule {
    pub(crate) field: &'static str,
    pub(crate) expected: &'static str,
    pub(crate) length: std::ops::RangeInclusive<usize>,
    pub(crate) legal: fn(char) -> bool,
}

impl TextRule {
    pub(crate) fn check(&self, text: &str) -> Result<(), InvalidValue> {
        let (minimum, maximum) = (*self.length.start(), *self.length.end());
        let length = text.chars().count();
        if length < minimum {
            return Err(self.broken(Problem::TooShort { length, minimum }));
        }
        if length > maximum {
            return Err(self.broken(Problem::TooLong { length, maximum }));
        }
        match text.char_indices().find(|(_, character)| !(self.legal)(*character)) {
            Some((position, _)) => Err(self.broken(Problem::IllegalCharacter { position })),
            None => Ok(()),
        }
    }

    pub(crate) const fn broken(&self, problem: Problem) -> InvalidValue {
        InvalidValue::new(self.field, self.expected, problem)
    }
}

/// Declares a validated text newtype with the conversions that the crate gives to all of them.
///
/// `extra` is a further check `fn(&str) -> bool` of the whole form, after length and alphabet.
macro_rules! text_newtype {
    (
        $(#[$doc:meta])*
        $name:ident, field: $field:literal, expected: $expected:literal, length: $length:expr,
        legal: $legal:expr $(, extra: $extra:expr)? $(,)?
    ) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(std::sync::Arc<str>);

        impl $name {
            const RULE: $crate::value::TextRule = $crate::value::TextRule {
                field: $field,
                expected: $expected,
                length: $length,
                legal: $legal,
            };

            /// Checks the text and takes it.
            ///
            /// # Errors
            ///
            #[doc = concat!("[`InvalidValue`](crate::InvalidValue) unless it is ", $expected, ".")]
            pub fn new(text: impl AsRef<str>) -> Result<Self, $crate::value::InvalidValue> {
                let text = text.as_ref();
                Self::RULE.check(text)?;
                $(
                    let well_formed: fn(&str) -> bool = $extra;
                    if !well_formed(text) {
                        return Err(Self::RULE.broken($crate::value::Problem::Malformed));
                    }
                )?
                Ok(Self(text.into()))
            }

            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::value::InvalidValue;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Self::new(text)
            }
        }

        impl TryFrom<&str> for $name {
            type Error = $crate::value::InvalidValue;

            fn try_from(text: &str) -> Result<Self, Self::Error> {
                Self::new(text)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                Self::new(text).map_err(serde::de::Error::custom)
            }
        }
    };
}
pub(crate) use text_newtype;

/// Declares a validated newtype of a secret text.
macro_rules! secret_newtype {
    (
        $(#[$doc:meta])*
        $name:ident, field: $field:literal, expected: $expected:literal, length: $length:expr, legal: $legal:expr $(,)?
    ) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq)]
        pub struct $name($crate::secret::SecretBytes);

        impl $name {
            const RULE: $crate::value::TextRule = $crate::value::TextRule {
                field: $field,
                expected: $expected,
                length: $length,
                legal: $legal,
            };

            /// Checks the text and takes a copy; the original is the caller's to wipe.
            ///
            /// # Errors
            ///
            #[doc = concat!("[`InvalidValue`](crate::InvalidValue) unless it is ", $expected, ". It does not hold the text.")]
            pub fn new(text: &str) -> Result<Self, $crate::value::InvalidValue> {
                Self::RULE.check(text)?;
                Ok(Self($crate::secret::SecretBytes::from(text.as_bytes())))
            }

            /// The text, in UTF-8.
            #[must_use]
            pub fn expose(&self) -> &[u8] {
                self.0.expose()
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(concat!(stringify!($name), "(redacted)"))
            }
        }
    };
}
pub(crate) use secret_newtype;

/// Declares an enum whose values are words of AWS's own: serde, `Display`, `FromStr` and `ALL` from one list.
macro_rules! wire_enum {
    (
        $(#[$doc:meta])*
        $name:ident, field: $field:literal { $( $(#[$variant_doc:meta])* $variant:ident = $word:literal ),+ $(,)? }
    ) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        pub enum $name {
            $( $(#[$variant_doc])* #[serde(rename = $word)] $variant ),+
        }

        impl $name {
            /// Every value, in AWS's order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word that AWS uses.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word),+
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::value::InvalidValue;

            fn from_str(word: &str) -> Result<Self, Self::Err> {
                match word {
                    $($word => Ok(Self::$variant),)+
                    _ => Err($crate::value::InvalidValue::new(
                        $field,
                        concat!("one of", $(" ", $word),+),
                        $crate::value::Problem::Malformed,
                    )),
                }
            }
        }
    };
}
pub(crate) use wire_enum;
