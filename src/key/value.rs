//! The texts that belong to a KMS key.

use crate::value::text_newtype;

text_newtype! {
    /// What a KMS key is for, in somebody's words. Not secret.
    KeyText,
    field: "Description",
    expected: "at most 8,192 characters",
    length: 0..=8192,
    legal: |_| true,
}

impl KeyText {
    /// Nothing is said.
    #[must_use]
    pub fn empty() -> Self {
        Self("".into())
    }
}

text_newtype! {
    /// Another name of a KMS key, such as `alias/payroll`. Not secret.
    ///
    /// ```
    /// use custom_key_store::AliasName;
    ///
    /// assert!(AliasName::new("alias/payroll").is_ok());
    /// assert!(AliasName::new("payroll").is_err());
    /// ```
    AliasName,
    field: "AliasName",
    expected: "alias/ and up to 250 characters of A-Z a-z 0-9 / _ -, and not alias/aws/",
    length: 7..=256,
    legal: |c| c.is_ascii_alphanumeric() || matches!(c, '/' | '_' | '-'),
    extra: |name| name.starts_with("alias/") && !name.starts_with("alias/aws/"),
}

text_newtype! {
    /// What a tag of a KMS key is about. Not secret.
    TagKey,
    field: "TagKey",
    expected: "1 to 128 characters, not beginning with aws:",
    length: 1..=128,
    legal: |_| true,
    extra: |key| !key.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("aws:")),
}

text_newtype! {
    /// What a tag of a KMS key says. Not secret.
    TagValue,
    field: "TagValue",
    expected: "at most 256 characters",
    length: 0..=256,
    legal: |_| true,
}
