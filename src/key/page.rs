//! Lists in pages.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::value::{InvalidValue, Problem};

/// Which part of a list is wanted: at most so many entries, from the beginning or from where a page ended.
///
/// ```
/// use custom_key_store::PageRequest;
///
/// let first = PageRequest::default();
/// assert_eq!(first.limit(), 100);
/// let small = PageRequest::first(10)?;
/// # let _ = small;
/// # Ok::<(), custom_key_store::InvalidValue>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageRequest {
    limit: usize,
    marker: Option<Marker>,
}

impl PageRequest {
    /// The greatest number of entries of a page.
    pub const MAX_LIMIT: usize = 1000;

    /// The first page, of at most `limit` entries.
    ///
    /// # Errors
    ///
    /// [`InvalidValue`] unless `limit` is 1 to 1,000.
    pub const fn first(limit: usize) -> Result<Self, InvalidValue> {
        const EXPECTED: &str = "1 to 1,000";
        let problem = match limit {
            0 => Problem::TooShort { length: 0, minimum: 1 },
            1..=Self::MAX_LIMIT => return Ok(Self { limit, marker: None }),
            _ => Problem::TooLong { length: limit, maximum: Self::MAX_LIMIT },
        };
        Err(InvalidValue::new("Limit", EXPECTED, problem))
    }

    /// The page after the one that ended with `marker`.
    #[must_use]
    pub fn after(mut self, marker: Marker) -> Self {
        self.marker = Some(marker);
        self
    }

    /// How many entries the page has at most.
    #[must_use]
    pub const fn limit(&self) -> usize {
        self.limit
    }

    /// The id that the page comes after, when its marker belongs to `list`.
    pub(crate) fn after_id(&self, list: &str) -> Result<Option<&str>, InvalidValue> {
        let Some(marker) = &self.marker else { return Ok(None) };
        match marker.0.split_once('\n') {
            Some((of, id)) if of == list => Ok(Some(id)),
            _ => Err(Marker::invalid()),
        }
    }
}

/// The first page, of at most 100 entries.
impl Default for PageRequest {
    fn default() -> Self {
        Self { limit: 100, marker: None }
    }
}

/// Where a page ended: the way to the next one. Opaque; good for the same list only.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Marker(String);

impl Marker {
    pub(crate) fn new(list: &str, last: &str) -> Self {
        Self(format!("{list}\n{last}"))
    }

    /// Takes the text of a marker.
    ///
    /// # Errors
    ///
    /// [`InvalidValue`] when it was never one.
    pub fn from_text(text: &str) -> Result<Self, InvalidValue> {
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| Self::invalid())?;
        let inner = String::from_utf8(bytes).map_err(|_| Self::invalid())?;
        if inner.contains('\n') { Ok(Self(inner)) } else { Err(Self::invalid()) }
    }

    const fn invalid() -> InvalidValue {
        InvalidValue::new("Marker", "what the page before gave, for the same list", Problem::Malformed)
    }
}

impl fmt::Display for Marker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(&self.0))
    }
}

impl fmt::Debug for Marker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Marker({self})")
    }
}

/// Part of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Page<T> {
    /// The entries.
    pub items: Vec<T>,
    /// The way to the next page; `None` when this is the last.
    pub next: Option<Marker>,
}

impl<T> Page<T> {
    /// Makes a page of one entry more than it has, if there is one.
    pub(crate) fn new<R>(
        list: &str,
        limit: usize,
        mut found: Vec<R>,
        id: impl Fn(&R) -> String,
        item: impl FnMut(R) -> T,
    ) -> Self {
        let more = found.len() > limit;
        found.truncate(limit);
        let next = found.last().filter(|_| more).map(|last| Marker::new(list, &id(last)));
        Self { items: found.into_iter().map(item).collect(), next }
    }

    pub(crate) fn map<U>(self, item: impl FnMut(T) -> U) -> Page<U> {
        Page { items: self.items.into_iter().map(item).collect(), next: self.next }
    }
}
