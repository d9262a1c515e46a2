//! Rows to try things with, and what a catalogue should hold.

use std::collections::BTreeMap;

use crate::catalog::{Catalog, CatalogError, CatalogErrorKind, Edit, Row, Snapshot, Table};
use crate::conformance::{Expect as _, Outcome, ensure, failed};

/// More than there are.
pub(super) const ALL: usize = 100_000;

/// A row whose body and code are like those of no other id.
pub(super) fn row(table: Table, id: impl Into<String>) -> Row {
    let mut row = Row::new(table, id);
    row.body = row.id.bytes().rev().chain(table.as_str().bytes()).collect();
    let sum = row.body.iter().fold(7_u8, |sum, byte| sum.wrapping_mul(31).wrapping_add(*byte));
    row.mac = std::array::from_fn(|place| u8::try_from(place).unwrap_or(0).wrapping_mul(sum));
    row
}

impl Row {
    pub(super) fn owned_by(mut self, owner: &str) -> Self {
        self.owner = Some(owner.to_owned());
        self
    }

    pub(super) fn unique(mut self, unique: &str) -> Self {
        self.unique = Some(unique.to_owned());
        self
    }

    pub(super) fn due_at(mut self, due: i64) -> Self {
        self.due = Some(due);
        self
    }

    /// Its next version, with another body.
    pub(super) fn next(&self) -> Self {
        let mut next = self.clone();
        next.version += 1;
        next.body.push(next.version.to_be_bytes()[7]);
        next.mac[0] ^= next.version.to_be_bytes()[7];
        next
    }
}

pub(super) fn inserts<'a>(rows: impl IntoIterator<Item = &'a Row>) -> Vec<Edit> {
    rows.into_iter().cloned().map(Edit::Insert).collect()
}

pub(super) fn require(row: &Row) -> Edit {
    Edit::Require { table: row.table, id: row.id.clone() }
}

pub(super) fn require_none(table: Table, owner: &str) -> Edit {
    Edit::RequireNone { table, owner: owner.to_owned() }
}

pub(super) async fn commit(catalog: &dyn Catalog, edits: Vec<Edit>) -> Outcome {
    let call = format!("commit of {} edits", edits.len());
    catalog.commit(edits).await.or_fail(call)
}

/// The commit is refused as this kind, about this row, and the catalogue holds what it held.
pub(super) async fn refused(
    catalog: &dyn Catalog,
    edits: Vec<Edit>,
    kind: CatalogErrorKind,
    about: &Row,
    held: &[&Row],
    call: &str,
) -> Outcome {
    let error = match catalog.commit(edits).await {
        Err(error) if error.kind() == kind => error,
        answer => return answer.refused_as(&[kind], call),
    };
    let place = Some((about.table, about.id.as_str()));
    ensure(error.place() == place, || format!("{call}: expected to be about {place:?}, got {error:?}"))?;
    holds(catalog, held, call).await
}

/// These rows and no others, each of which is read and found too.
pub(super) async fn holds(catalog: &dyn Catalog, rows: &[&Row], after: &str) -> Outcome {
    let mut expected: BTreeMap<(Table, &str), &Row> = BTreeMap::new();
    for row in rows {
        expected.insert((row.table, &row.id), row);
    }
    for table in Table::ALL {
        let listed = catalog.list(*table, None, None, ALL).await.or_fail("list")?;
        let wanted: Vec<_> = expected.values().filter(|row| row.table == *table).copied().collect();
        same(&listed, &wanted, &format!("after {after}, list of {table}"))?;
    }
    for row in rows {
        let read = catalog.read(row.table, &row.id).await.or_fail("read")?;
        ensure(read.as_ref() == Some(*row), || differs(&format!("after {after}, read"), read.as_ref(), row))?;
        if let Some(unique) = &row.unique {
            let found = catalog.find(row.table, unique).await.or_fail("find")?;
            ensure(found.as_ref() == Some(*row), || {
                differs(&format!("after {after}, find"), found.as_ref(), row)
            })?;
        }
    }
    Ok(())
}

fn differs(call: &str, got: Option<&Row>, wanted: &Row) -> String {
    format!("{call}: expected {wanted:?}, got {got:?}, or a row that differs in body or code")
}

/// The same rows in the same order.
pub(super) fn same(got: &[Row], wanted: &[&Row], call: &str) -> Outcome {
    if got.iter().eq(wanted.iter().copied()) {
        return Ok(());
    }
    let ids = |rows: &mut dyn Iterator<Item = &Row>| {
        let ids: Vec<_> = rows.take(8).map(|row| format!("{:.40?} at {}", row.id, row.version)).collect();
        ids.join(", ")
    };
    let (wanted_ids, got_ids) = (ids(&mut wanted.iter().copied()), ids(&mut got.iter()));
    failed(format!(
        "{call}: expected {} rows ({wanted_ids}), got {} ({got_ids}), or one that differs in another part",
        wanted.len(),
        got.len()
    ))
}

/// What is left of a snapshot, in order.
pub(super) async fn rest(mut snapshot: Box<dyn Snapshot>) -> Result<Vec<Row>, CatalogError> {
    let mut rows = Vec::new();
    while let Some(piece) = snapshot.next().await? {
        rows.extend(piece);
    }
    rows.sort_by(|one, other| (one.table, &one.id).cmp(&(other.table, &other.id)));
    Ok(rows)
}
