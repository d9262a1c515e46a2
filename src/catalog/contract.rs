//! What a catalogue can do.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

use super::edit::Edit;
use super::error::CatalogError;
use super::row::{Row, Table};

/// Keeps rows, durably if it says so.
///
/// # For implementers
///
/// - Texts are compared byte by byte; rows are listed in the order of those bytes.
/// - A future that is dropped leaves the catalogue as it was or as it was to be, never in between. One that is neither
///   dropped nor polled any more, as in a `select!` whose other branch is busy, holds up no other call: what the work
///   needs, a lock or a connection, belongs to somebody who goes on by himself.
/// - What a commit [requires](Edit::Require) holds at the moment in which it takes place, whoever else commits. A database
///   that writes for several at once must keep what was looked at as it is until the commit is durable, also that there
///   is no such row: by locks that cover it, or by serializable isolation. Under a snapshot of its own each of two
///   commits would see what the other is about to take away.
/// - A commit with an edit of a kind that the implementation does not know is refused, and the edit not passed over.
/// - A commit whose future was dropped, or that was [`Unavailable`](super::CatalogErrorKind::Unavailable), takes place
///   before any later commit is answered, or never; except that an answer of [`Closed`](super::CatalogErrorKind::Closed)
///   waits for nothing: it is over when [`close`](Catalog::close) has succeeded.
/// - Every wait has an end: a database that does not answer is
///   [`Unavailable`](super::CatalogErrorKind::Unavailable).
/// - A catalogue has one owner at a time. A second one is refused as [`InUse`](super::CatalogErrorKind::InUse), and an
///   owner that was displaced must not be able to change anything any more.
/// - Run the suite on it: feature `conformance`, `catalog::conformance`.
///
/// # Errors
///
/// Every method: [`Closed`](super::CatalogErrorKind::Closed) after [`close`](Self::close), and
/// [`Unavailable`](super::CatalogErrorKind::Unavailable) or [`Corrupt`](super::CatalogErrorKind::Corrupt) for the
/// failures of what lies beneath.
#[async_trait]
pub trait Catalog: fmt::Debug + Send + Sync + 'static {
    /// The row of this id.
    ///
    /// # Errors
    ///
    /// Those of [the trait](Self#errors).
    async fn read(&self, table: Table, id: &str) -> Result<Option<Row>, CatalogError>;

    /// The row that has this unique text.
    ///
    /// # Errors
    ///
    /// Those of [the trait](Self#errors).
    async fn find(&self, table: Table, unique: &str) -> Result<Option<Row>, CatalogError>;

    /// At most `limit` rows in ascending order of their ids: those of `owner`, if one is given, whose id is greater than
    /// `after`, if one is given. Fewer than `limit` only when there are no more. The cost does not depend on
    /// how many rows come before or after.
    ///
    /// # Errors
    ///
    /// Those of [the trait](Self#errors).
    async fn list(
        &self,
        table: Table,
        owner: Option<&str>,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Row>, CatalogError>;

    /// At most `limit` rows that are due at `until` or earlier, those of `owner`, if one is given; the earliest first, by
    /// ascending id where they are due at the same time.
    ///
    /// # Errors
    ///
    /// Those of [the trait](Self#errors).
    async fn due(
        &self,
        table: Table,
        owner: Option<&str>,
        until: i64,
        limit: usize,
    ) -> Result<Vec<Row>, CatalogError>;

    /// Makes all of these changes, in this order, or none if one cannot be made or a condition among them does not hold.
    /// Returns when they are durable.
    ///
    /// # Errors
    ///
    /// [`AlreadyExists`](super::CatalogErrorKind::AlreadyExists), [`UniqueTaken`](super::CatalogErrorKind::UniqueTaken),
    /// [`Conflict`](super::CatalogErrorKind::Conflict) and [`InvalidRow`](super::CatalogErrorKind::InvalidRow) are about
    /// the [place](Edit::place) of the first edit that was refused; [`Full`](super::CatalogErrorKind::Full),
    /// [`ReadOnly`](super::CatalogErrorKind::ReadOnly), and those of [the trait](Self#errors). Nothing was changed, except
    /// that it is unknown after [`Unavailable`](super::CatalogErrorKind::Unavailable).
    async fn commit(&self, edits: Vec<Edit>) -> Result<(), CatalogError>;

    /// All rows as they are now, whatever is changed while they are read.
    ///
    /// # Errors
    ///
    /// Those of [the trait](Self#errors).
    async fn snapshot(&self) -> Result<Box<dyn Snapshot>, CatalogError>;

    /// Gives up the ownership, after which another may open the catalogue. A second time it does nothing. A catalogue
    /// that is dropped without it is left as after a crash: nothing is lost.
    ///
    /// # Errors
    ///
    /// [`Unavailable`](super::CatalogErrorKind::Unavailable); it counts as closed all the same.
    async fn close(&self) -> Result<(), CatalogError>;

    /// Whether what is committed outlives this process. Default: yes.
    fn is_durable(&self) -> bool {
        true
    }
}

/// All rows of one moment, read piece by piece. Dropping it ends the reading.
#[async_trait]
pub trait Snapshot: fmt::Debug + Send {
    /// Some more rows, in an order of the catalogue's own; `None` after the last.
    ///
    /// # Errors
    ///
    /// As those of [`Catalog`]. The snapshot is then of no more use.
    async fn next(&mut self) -> Result<Option<Vec<Row>>, CatalogError>;
}

/// An `Arc` of a catalogue is that catalogue.
#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<C: Catalog + ?Sized> Catalog for Arc<C> {
    async fn read(&self, table: Table, id: &str) -> Result<Option<Row>, CatalogError> {
        (**self).read(table, id).await
    }

    async fn find(&self, table: Table, unique: &str) -> Result<Option<Row>, CatalogError> {
        (**self).find(table, unique).await
    }

    async fn list(
        &self,
        table: Table,
        owner: Option<&str>,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Row>, CatalogError> {
        (**self).list(table, owner, after, limit).await
    }

    async fn due(
        &self,
        table: Table,
        owner: Option<&str>,
        until: i64,
        limit: usize,
    ) -> Result<Vec<Row>, CatalogError> {
        (**self).due(table, owner, until, limit).await
    }

    async fn commit(&self, edits: Vec<Edit>) -> Result<(), CatalogError> {
        (**self).commit(edits).await
    }

    async fn snapshot(&self) -> Result<Box<dyn Snapshot>, CatalogError> {
        (**self).snapshot().await
    }

    async fn close(&self) -> Result<(), CatalogError> {
        (**self).close().await
    }

    fn is_durable(&self) -> bool {
        (**self).is_durable()
    }
}
