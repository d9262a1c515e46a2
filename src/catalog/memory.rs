//! A catalogue in memory.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use super::contract::{Catalog, Snapshot};
use super::edit::Edit;
use super::error::{CatalogError, CatalogErrorKind};
use super::row::{Row, Table};

/// A catalogue that dies with the process. For tests, and for stores whose keys need not outlive it.
///
/// Lists with an owner cost as much as the whole table; [`due`](Catalog::due) and [`Edit::RequireNone`] do too.
#[derive(Default)]
pub struct MemoryCatalog(Mutex<Content>);

#[derive(Default)]
struct Content {
    rows: BTreeMap<(Table, String), Row>,
    /// The ids of rows by their unique texts.
    unique: HashMap<(Table, String), String>,
    closed: bool,
}

impl MemoryCatalog {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn content(&self) -> Result<MutexGuard<'_, Content>, CatalogError> {
        // A commit that panicked half-way would have been one of our own bugs; there is none that can.
        let content = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if content.closed { Err(CatalogError::new(CatalogErrorKind::Closed)) } else { Ok(content) }
    }
}

impl Content {
    /// Makes one change, and gives what undoes it, if it is anything.
    fn make(&mut self, edit: Edit) -> Result<Option<Undo>, CatalogError> {
        if let Edit::Insert(row) | Edit::Replace(row) = &edit {
            row.check()?;
        }
        let (table, id) = edit.place();
        let key = (table, id.to_owned());
        let found = self.rows.get(&key);
        let refuse = |kind| Err(CatalogError::at(kind, table, id));
        let seen = match &edit {
            Edit::Insert(_) => None,
            Edit::Replace(row) => Some(row.version.wrapping_sub(1)),
            Edit::Delete { version, .. } => Some(*version),
            Edit::Require { .. } if found.is_some() => return Ok(None),
            Edit::RequireNone { owner, .. }
                if !self.after(table, "").any(|row| belongs(row, Some(owner))) =>
            {
                return Ok(None);
            }
            Edit::Require { .. } | Edit::RequireNone { .. } => return refuse(CatalogErrorKind::Conflict),
        };
        match (seen, found) {
            (None, Some(_)) => return refuse(CatalogErrorKind::AlreadyExists),
            (Some(seen), found) if found.map(|row| row.version) != Some(seen) => {
                return refuse(CatalogErrorKind::Conflict);
            }
            _ => {}
        }
        let new = match edit {
            Edit::Insert(row) | Edit::Replace(row) => Some(row),
            Edit::Delete { .. } | Edit::Require { .. } | Edit::RequireNone { .. } => None,
        };
        if let Some(unique) = new.as_ref().and_then(|row| row.unique.clone())
            && self.unique.get(&(table, unique)).is_some_and(|holder| *holder != key.1)
        {
            return Err(CatalogError::at(CatalogErrorKind::UniqueTaken, table, key.1));
        }
        let old = self.put(&key, new);
        Ok(Some(Undo { key, old }))
    }

    /// The rows of a table whose id is greater, in order. No id is empty, so that all are greater than the empty text.
    fn after(&self, table: Table, id: &str) -> impl Iterator<Item = &Row> {
        let from = Bound::Excluded((table, id.to_owned()));
        self.rows
            .range((from, Bound::Unbounded))
            .take_while(move |((of, _), _)| *of == table)
            .map(|(_, row)| row)
    }

    /// Puts a row, or none, in a place; gives what was there.
    fn put(&mut self, key: &(Table, String), new: Option<Row>) -> Option<Row> {
        let unique = |row: &Row| row.unique.clone().map(|unique| (row.table, unique));
        let new_unique = new.as_ref().and_then(unique);
        let old = match new {
            Some(row) => self.rows.insert(key.clone(), row),
            None => self.rows.remove(key),
        };
        if let Some(gone) = old.as_ref().and_then(unique) {
            self.unique.remove(&gone);
        }
        if let Some(new) = new_unique {
            self.unique.insert(new, key.1.clone());
        }
        old
    }
}

fn belongs(row: &Row, owner: Option<&str>) -> bool {
    owner.is_none_or(|owner| row.owner.as_deref() == Some(owner))
}

struct Undo {
    key: (Table, String),
    old: Option<Row>,
}

#[async_trait]
impl Catalog for MemoryCatalog {
    async fn read(&self, table: Table, id: &str) -> Result<Option<Row>, CatalogError> {
        Ok(self.content()?.rows.get(&(table, id.to_owned())).cloned())
    }

    async fn find(&self, table: Table, unique: &str) -> Result<Option<Row>, CatalogError> {
        let content = self.content()?;
        let Some(id) = content.unique.get(&(table, unique.to_owned())) else { return Ok(None) };
        Ok(content.rows.get(&(table, id.clone())).cloned())
    }

    async fn list(
        &self,
        table: Table,
        owner: Option<&str>,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Row>, CatalogError> {
        let content = self.content()?;
        let rows = content.after(table, after.unwrap_or_default()).filter(|row| belongs(row, owner));
        Ok(rows.take(limit).cloned().collect())
    }

    async fn due(
        &self,
        table: Table,
        owner: Option<&str>,
        until: i64,
        limit: usize,
    ) -> Result<Vec<Row>, CatalogError> {
        let content = self.content()?;
        let mut rows: Vec<&Row> = content
            .after(table, "")
            .filter(|row| row.due.is_some_and(|due| due <= until))
            .filter(|row| belongs(row, owner))
            .collect();
        // Stable, so that ids stay in order.
        rows.sort_by_key(|row| row.due);
        Ok(rows.into_iter().take(limit).cloned().collect())
    }

    async fn commit(&self, edits: Vec<Edit>) -> Result<(), CatalogError> {
        let mut content = self.content()?;
        let mut undo = Vec::with_capacity(edits.len());
        for edit in edits {
            match content.make(edit) {
                Ok(made) => undo.extend(made),
                Err(error) => {
                    for Undo { key, old } in undo.into_iter().rev() {
                        content.put(&key, old);
                    }
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    async fn snapshot(&self) -> Result<Box<dyn Snapshot>, CatalogError> {
        Ok(Box::new(All(Some(self.content()?.rows.values().cloned().collect()))))
    }

    async fn close(&self) -> Result<(), CatalogError> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).closed = true;
        Ok(())
    }

    fn is_durable(&self) -> bool {
        false
    }
}

impl fmt::Debug for MemoryCatalog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryCatalog").finish_non_exhaustive()
    }
}

/// A snapshot in one piece.
#[derive(Debug)]
struct All(Option<Vec<Row>>);

#[async_trait]
impl Snapshot for All {
    async fn next(&mut self) -> Result<Option<Vec<Row>>, CatalogError> {
        Ok(self.0.take().filter(|rows| !rows.is_empty()))
    }
}
