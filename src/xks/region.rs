//! Where a KMS calls from.

use crate::value::text_newtype;

text_newtype! {
    /// The Region that a KMS calls from, such as `us-east-1`; part of every signature's scope.
    ///
    /// Any name in the alphabet of Regions is one: new ones come, and a KMS of one's own may use its own.
    ///
    /// ```
    /// use custom_key_store::xks::Region;
    ///
    /// assert!(Region::new("eu-west-1").is_ok());
    /// assert!(Region::new("eu/west").is_err());
    /// ```
    Region,
    field: "Region",
    expected: "1 to 32 characters of a-z 0-9 -, such as us-east-1",
    length: 1..=32,
    legal: |c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-',
}
