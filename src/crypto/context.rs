//! The encryption context and its one canonical form.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::value::{InvalidValue, Problem};

/// Pairs of text that are authenticated with a ciphertext: to decrypt, give exactly the pairs again.
///
/// Not secret: it shows in logs and audit trails. Order does not matter, case does; an empty context is the
/// same as none. Cheap to clone.
///
/// # Canonical form
///
/// The pairs in ascending byte order of their keys; of each the length of the key as a big-endian `u32`, the
/// key, the length of the value likewise, the value, in UTF-8. So no two contexts share a form. The empty
/// context has the empty form. The form is limited to 8,192 bytes, which is what every key manager must
/// accept (External Key Store Proxy API specification, *additionalAuthenticatedData*).
///
/// ```
/// use custom_key_store::EncryptionContext;
///
/// let context = EncryptionContext::new([("tenant", "blue"), ("purpose", "backup")])?;
/// assert_eq!(context, EncryptionContext::new([("purpose", "backup"), ("tenant", "blue")])?);
/// assert_eq!(EncryptionContext::new::<[(&str, &str); 0], _, _>([])?, EncryptionContext::none());
/// # Ok::<(), custom_key_store::InvalidValue>(())
/// ```
#[derive(Clone, PartialEq, Eq, Default)]
pub struct EncryptionContext(
    /// `None` when there are no pairs, so that there is one form of that.
    Option<Arc<Pairs>>,
);

#[derive(PartialEq, Eq)]
struct Pairs {
    sorted: BTreeMap<String, String>,
    canonical: Vec<u8>,
}

const FIELD: &str = "EncryptionContext";

/// The empty context, to be borrowed by whoever was given none.
pub(crate) static NO_CONTEXT: EncryptionContext = EncryptionContext(None);

impl EncryptionContext {
    /// The greatest length of the canonical form, in bytes.
    pub const MAX_CANONICAL_LEN: usize = 8192;

    /// A context of these pairs.
    ///
    /// # Errors
    ///
    /// [`InvalidValue`] when a key is empty or comes twice, or when the canonical form would be longer than
    /// [`MAX_CANONICAL_LEN`](Self::MAX_CANONICAL_LEN).
    pub fn new<I, K, V>(pairs: I) -> Result<Self, InvalidValue>
    where
        I: IntoIterator<Item = (K, V)>,
        K: Into<String>,
        V: Into<String>,
    {
        let mut sorted = BTreeMap::new();
        for (key, value) in pairs {
            let key = key.into();
            if key.is_empty() {
                let problem = Problem::TooShort { length: 0, minimum: 1 };
                return Err(InvalidValue::new(FIELD, "keys that are not empty", problem));
            }
            if sorted.insert(key, value.into()).is_some() {
                return Err(InvalidValue::new(FIELD, "every key once", Problem::Malformed));
            }
        }
        if sorted.is_empty() {
            return Ok(Self::none());
        }
        let canonical = canonical_form(&sorted)?;
        Ok(Self(Some(Arc::new(Pairs { sorted, canonical }))))
    }

    /// The empty context.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// The pairs, by ascending key.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let pairs = self.0.iter().flat_map(|pairs| &pairs.sorted);
        pairs.map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// The canonical form; see the type's documentation.
    #[must_use]
    pub fn canonical(&self) -> &[u8] {
        self.0.as_ref().map_or(&[], |pairs| &pairs.canonical)
    }
}

fn canonical_form(pairs: &BTreeMap<String, String>) -> Result<Vec<u8>, InvalidValue> {
    let maximum = EncryptionContext::MAX_CANONICAL_LEN;
    let length: usize = pairs.iter().map(|(key, value)| 8 + key.len() + value.len()).sum();
    if length > maximum {
        let problem = Problem::TooLong { length, maximum };
        return Err(InvalidValue::new(FIELD, "at most 8,192 bytes in its canonical form", problem));
    }
    let mut form = Vec::with_capacity(length);
    for part in pairs.iter().flat_map(|(key, value)| [key, value]) {
        // The whole is at most 8,192 bytes, so each part's length fits.
        let length = u32::try_from(part.len()).unwrap_or(u32::MAX);
        form.extend_from_slice(&length.to_be_bytes());
        form.extend_from_slice(part.as_bytes());
    }
    Ok(form)
}

impl fmt::Debug for EncryptionContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}
