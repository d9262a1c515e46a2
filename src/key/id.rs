//! How a KMS key is named.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::{Builder, Uuid};

use crate::crypto::random;
use crate::identity::Identity;
use crate::value::{InvalidValue, Problem};

/// The id of a KMS key, such as `1234abcd-12ab-34cd-56ef-1234567890ab`: assigned once, never changed, never used
/// again. A UUID, whose one spelling is the one with small letters and hyphens.
///
/// ```
/// use custom_key_store::KeyId;
///
/// let id: KeyId = "1234abcd-12ab-34cd-56ef-1234567890ab".parse()?;
/// assert_eq!(id.to_string(), "1234abcd-12ab-34cd-56ef-1234567890ab");
/// # Ok::<(), custom_key_store::InvalidValue>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(Uuid);

const FIELD: &str = "KeyId";
const EXPECTED: &str = "a UUID such as 1234abcd-12ab-34cd-56ef-1234567890ab";

impl KeyId {
    /// Takes the text of an id.
    ///
    /// # Errors
    ///
    /// [`InvalidValue`] unless it is a UUID in small letters, with hyphens.
    pub fn new(text: impl AsRef<str>) -> Result<Self, InvalidValue> {
        let text = text.as_ref();
        let malformed = || InvalidValue::new(FIELD, EXPECTED, Problem::Malformed);
        let id = Uuid::try_parse(text).map_err(|_| malformed())?;
        // One spelling, so that texts can be compared in place of ids.
        if text == id.hyphenated().encode_lower(&mut Uuid::encode_buffer()) {
            Ok(Self(id))
        } else {
            Err(malformed())
        }
    }

    pub(crate) fn generate() -> Self {
        Self(Builder::from_random_bytes(random()).into_uuid())
    }

    pub(crate) const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(Uuid::from_bytes(bytes))
    }

    /// The id in its shortest form.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }

    /// The ARN of the key of this id.
    #[must_use]
    pub fn arn(&self, identity: &Identity) -> KeyArn {
        KeyArn { text: format!("{}{self}", prefix(identity)).into(), id: *self }
    }
}

impl FromStr for KeyId {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        Self::new(text)
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0.hyphenated(), f)
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({self})")
    }
}

impl Serialize for KeyId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for KeyId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        Self::new(text).map_err(serde::de::Error::custom)
    }
}

/// The ARN of a KMS key, such as
/// `arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab`.
///
/// ```
/// use custom_key_store::KeyArn;
///
/// let arn = KeyArn::new("arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab")?;
/// assert_eq!(arn.key_id().to_string(), "1234abcd-12ab-34cd-56ef-1234567890ab");
/// # Ok::<(), custom_key_store::InvalidValue>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyArn {
    text: std::sync::Arc<str>,
    id: KeyId,
}

impl KeyArn {
    /// Takes the text of an ARN.
    ///
    /// # Errors
    ///
    /// [`InvalidValue`] unless it is `arn:partition:kms:region:account:key/id`.
    pub fn new(text: impl AsRef<str>) -> Result<Self, InvalidValue> {
        const EXPECTED: &str = "arn:partition:kms:region:account:key/ and a UUID";
        let text = text.as_ref();
        let parsed = (|| {
            let (head, id) = text.split_once(":key/")?;
            let [arn, partition, service, region, account]: [&str; 5] =
                head.split(':').collect::<Vec<_>>().try_into().ok()?;
            let identity =
                Identity::new(partition.parse().ok()?, region.parse().ok()?, account.parse().ok()?);
            (arn == "arn" && service == "kms").then(|| KeyId::new(id).ok())?.map(|id| id.arn(&identity))
        })();
        parsed.ok_or_else(|| InvalidValue::new("Arn", EXPECTED, Problem::Malformed))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The id of the key.
    #[must_use]
    pub const fn key_id(&self) -> KeyId {
        self.id
    }

    /// Whether it is an ARN of this partition, Region and account.
    #[must_use]
    pub fn belongs_to(&self, identity: &Identity) -> bool {
        self.text.strip_prefix(&prefix(identity)).is_some()
    }
}

fn prefix(identity: &Identity) -> String {
    let Identity { partition, region, account } = identity;
    format!("arn:{partition}:kms:{region}:{account}:key/")
}

impl FromStr for KeyArn {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        Self::new(text)
    }
}

impl fmt::Display for KeyArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for KeyArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyArn({self})")
    }
}

impl Serialize for KeyArn {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for KeyArn {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        Self::new(text).map_err(serde::de::Error::custom)
    }
}
