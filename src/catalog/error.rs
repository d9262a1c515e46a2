//! What can go wrong with a catalogue.

use std::error::Error as StdError;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use super::row::Table;

/// A catalogue refused or failed. Cheap to clone; holds no secret.
///
/// `Display` says one layer, the [`source`](StdError::source) is the next.
#[derive(Debug, Clone)]
pub struct CatalogError {
    kind: CatalogErrorKind,
    detail: Option<Arc<Detail>>,
}

#[derive(Debug)]
struct Detail {
    about: Option<About>,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

/// What an error is about.
#[derive(Debug, Clone)]
enum About {
    Row(Table, String),
    File(PathBuf),
}

/// What went wrong, with what to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CatalogErrorKind {
    /// There is a row of this id already or, where a catalogue was to be made, a file. Nothing was changed.
    AlreadyExists,
    /// Another row of the table has the unique text. Nothing was changed.
    UniqueTaken,
    /// The row is not there, or not at the version that was seen, or there is one where none was to be: somebody was
    /// faster. Nothing was changed; read again.
    Conflict,
    /// A part of a row is longer than allowed, or empty where it must not be. Nothing was changed.
    InvalidRow,
    /// Another process, or another part of this one, owns the catalogue, or has the store. Close it there, or open it
    /// for reading.
    InUse,
    /// The catalogue cannot be written: the file, its folder or the medium is read-only, or it was opened for reading.
    ReadOnly,
    /// There is no room. Nothing was changed; make room and try again.
    Full,
    /// There is no catalogue at the place, no folder to make one in (the source says so), or no such store in it.
    NotFound,
    /// The store is of the other type than the backend that it was to be opened with. Give the right one.
    OtherType,
    /// It was made by a newer release. Use that one; nothing was touched.
    NewerSchema,
    /// What is kept is damaged, or no catalogue. Restore a backup.
    Corrupt,
    /// A row was written, altered or moved by somebody else than this crate, or is damaged. Find out who can write to
    /// the catalogue, and restore a backup.
    Altered,
    /// The sealer refused or failed; the source says how. Give the one that the catalogue was sealed by.
    Sealer,
    /// It was closed. Open it again.
    Closed,
    /// The medium or the database failed; the source says how. It is unknown whether a change took place.
    Unavailable,
}

impl CatalogError {
    /// An error of this kind.
    #[must_use]
    pub const fn new(kind: CatalogErrorKind) -> Self {
        Self { kind, detail: None }
    }

    /// An error of this kind about a row.
    #[must_use]
    pub fn at(kind: CatalogErrorKind, table: Table, id: impl Into<String>) -> Self {
        Self::detailed(kind, Detail { about: Some(About::Row(table, id.into())), source: None })
    }

    /// An error of this kind with its cause.
    #[must_use]
    pub fn caused_by(kind: CatalogErrorKind, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::detailed(kind, Detail { about: None, source: Some(Arc::from(source.into())) })
    }

    /// The same error, which names the file that the catalogue is in, unless it names a row already.
    #[must_use]
    pub fn of_file(self, path: impl Into<PathBuf>) -> Self {
        let about = Some(self.about().cloned().unwrap_or_else(|| About::File(path.into())));
        let source = self.detail.as_ref().and_then(|detail| detail.source.clone());
        Self::detailed(self.kind, Detail { about, source })
    }

    fn detailed(kind: CatalogErrorKind, detail: Detail) -> Self {
        Self { kind, detail: Some(Arc::new(detail)) }
    }

    /// The same error with another source.
    pub(crate) fn because(&self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        let about = self.about().cloned();
        Self::detailed(self.kind, Detail { about, source: Some(Arc::from(source.into())) })
    }

    /// What went wrong.
    #[must_use]
    pub const fn kind(&self) -> CatalogErrorKind {
        self.kind
    }

    /// The table and the id of the row that it is about, if it is about one; where a commit required that an owner has
    /// no row in a table, the table and the owner.
    #[must_use]
    pub fn place(&self) -> Option<(Table, &str)> {
        match self.about()? {
            About::Row(table, id) => Some((*table, id)),
            About::File(_) => None,
        }
    }

    fn about(&self) -> Option<&About> {
        self.detail.as_ref()?.about.as_ref()
    }
}

impl fmt::Display for CatalogError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            CatalogErrorKind::AlreadyExists if self.place().is_none() => {
                "there is something at the place already"
            }
            CatalogErrorKind::AlreadyExists => "there is a row of this id already",
            CatalogErrorKind::UniqueTaken => "another row has the unique text",
            CatalogErrorKind::Conflict => {
                "somebody else was faster, so that it is not as the commit required"
            }
            CatalogErrorKind::InvalidRow => "a part of the row is empty or too long",
            CatalogErrorKind::InUse if self.place().is_some() => "somebody has it open",
            CatalogErrorKind::InUse => "the catalogue has another owner",
            CatalogErrorKind::ReadOnly => "the catalogue cannot be written",
            CatalogErrorKind::Full => "the catalogue has no room",
            CatalogErrorKind::NotFound => match self.about() {
                Some(About::Row(Table::Stores, _)) => "there is no such custom key store",
                Some(About::Row(..)) => "there is no such row",
                Some(About::File(_)) | None => "there is no catalogue",
            },
            CatalogErrorKind::OtherType => "the custom key store is of the other type than the backend",
            CatalogErrorKind::NewerSchema => "the catalogue was made by a newer release",
            CatalogErrorKind::Corrupt => "the catalogue is damaged, or none",
            CatalogErrorKind::Altered => "somebody altered the catalogue",
            CatalogErrorKind::Sealer => "the sealer cannot open or seal the catalogue",
            CatalogErrorKind::Closed => "the catalogue is closed",
            CatalogErrorKind::Unavailable => "the catalogue failed",
        })?;
        match self.about() {
            Some(About::Row(table, id)) => write!(f, " ({table}: {id:?})"),
            Some(About::File(path)) => write!(f, " ({path:?})"),
            None => Ok(()),
        }
    }
}

impl StdError for CatalogError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.detail.as_ref()?.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}

#[cfg(feature = "conformance")]
impl crate::conformance::Fault for CatalogError {
    type Kind = CatalogErrorKind;

    fn kind(&self) -> CatalogErrorKind {
        self.kind()
    }
}
