//! Whose keys they are: what an ARN needs to know.

use crate::backend::AccountId;
use crate::value::text_newtype;

text_newtype! {
    /// A Region, such as `us-east-1`: part of every ARN, and of the scope of a signature.
    ///
    /// Any name in the alphabet of Regions is one: new ones come, and a KMS of one's own may use its own.
    ///
    /// ```
    /// use custom_key_store::Region;
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

text_newtype! {
    /// A partition, such as `aws`: the first part of an ARN that says where it holds.
    Partition,
    field: "Partition",
    expected: "1 to 32 characters of a-z 0-9 -, such as aws",
    length: 1..=32,
    legal: |c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-',
}

/// Whose keys they are, and where: the parts that the ARNs of a catalogue's KMS keys share, such as
/// `arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab`.
///
/// The key manager is told a key's ARN with each request, logs it and may authorize by it; so it stays the same for ever.
/// Who is not in AWS takes names of his own for partition and Region, such as `example` and `headquarters`, and any 12
/// digits as the account.
///
/// ```
/// use custom_key_store::backend::AccountId;
/// use custom_key_store::{Identity, Partition, Region};
///
/// let identity = Identity::new(
///     Partition::new("aws")?,
///     Region::new("eu-central-1")?,
///     AccountId::new("111122223333")?,
/// );
/// assert_eq!(identity.region.as_str(), "eu-central-1");
/// # Ok::<(), custom_key_store::InvalidValue>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub struct Identity {
    /// The partition.
    pub partition: Partition,
    /// The Region.
    pub region: Region,
    /// The account that owns the keys.
    pub account: AccountId,
}

impl Identity {
    /// All three.
    #[must_use]
    pub const fn new(partition: Partition, region: Region, account: AccountId) -> Self {
        Self { partition, region, account }
    }
}

/// For stores that nothing outlives: an identity of nobody.
impl Identity {
    pub(crate) fn nobody() -> Self {
        #[expect(clippy::expect_used, reason = "constants, which every ephemeral store is made with")]
        let made = (|| {
            Ok::<_, crate::InvalidValue>(Self::new(
                Partition::new("aws")?,
                Region::new("local")?,
                AccountId::new("000000000000")?,
            ))
        })()
        .expect("the constants are legal");
        made
    }
}
