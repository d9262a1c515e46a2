//! All rows of one moment.

use super::Suite;
use super::content::{commit, inserts, rest, row, same};
use crate::catalog::{Catalog, Edit, Row, Table};
use crate::conformance::{Expect as _, Outcome, checks, ensure};

checks!("snapshots": nothing, whole, of_one_moment, two_at_once, dropped);

async fn nothing(suite: &Suite) -> Outcome {
    let catalog = suite.empty().await?;
    let rows = rest(catalog.snapshot().await.or_fail("snapshot")?).await.or_fail("next")?;
    same(&rows, &[], "snapshot of nothing")
}

/// Enough rows for several pieces.
async fn filled(catalog: &dyn Catalog) -> Outcome<Vec<Row>> {
    let rows: Vec<_> =
        (0..600).map(|number| row(Table::ALL[number % Table::ALL.len()], format!("{number:03}"))).collect();
    commit(catalog, inserts(&rows)).await?;
    Ok(rows)
}

/// In the order of `rest`.
fn sorted(rows: &[Row]) -> Vec<&Row> {
    let mut rows: Vec<_> = rows.iter().collect();
    rows.sort_by_key(|row| (row.table, row.id.clone()));
    rows
}

async fn whole(suite: &Suite) -> Outcome {
    let catalog = suite.empty().await?;
    let rows = filled(&*catalog).await?;
    let mut snapshot = catalog.snapshot().await.or_fail("snapshot")?;
    let mut read = Vec::new();
    while let Some(piece) = snapshot.next().await.or_fail("next")? {
        ensure(!piece.is_empty(), || "next: a piece without rows".into())?;
        read.extend(piece);
    }
    let after = snapshot.next().await.or_fail("next after the last")?;
    ensure(after.is_none(), || "next: rows after the last".into())?;
    read.sort_by_key(|row| (row.table, row.id.clone()));
    same(&read, &sorted(&rows), "snapshot")
}

/// Whatever is committed before the first piece and between pieces.
async fn of_one_moment(suite: &Suite) -> Outcome {
    let catalog = suite.empty().await?;
    let rows = filled(&*catalog).await?;
    let snapshot = catalog.snapshot().await.or_fail("snapshot")?;
    let change = |number: usize| {
        let edits = vec![
            Edit::Insert(row(Table::Keys, format!("new {number}"))),
            Edit::Replace(rows[number].next()),
            Edit::delete(&rows[599 - number]),
        ];
        commit(&*catalog, edits)
    };
    change(0).await?;
    let mut snapshot = snapshot;
    let mut read = Vec::new();
    let mut changes = 1;
    while let Some(piece) = snapshot.next().await.or_fail("next")? {
        read.extend(piece);
        change(changes).await?;
        changes += 1;
    }
    read.sort_by_key(|row| (row.table, row.id.clone()));
    same(&read, &sorted(&rows), "snapshot during commits")?;
    let now = rest(catalog.snapshot().await.or_fail("snapshot")?).await.or_fail("next")?;
    ensure(now.len() == rows.len(), || format!("snapshot after commits: {} rows", now.len()))?;
    let changed = now.iter().filter(|row| row.version == 2).count();
    ensure(changed == changes, || format!("snapshot after commits: {changed} rows of {changes} are changed"))
}

async fn two_at_once(suite: &Suite) -> Outcome {
    let catalog = suite.empty().await?;
    let (one, two) = (row(Table::Keys, "1"), row(Table::Keys, "2"));
    commit(&*catalog, inserts([&one])).await?;
    let first = catalog.snapshot().await.or_fail("snapshot")?;
    commit(&*catalog, inserts([&two])).await?;
    let second = catalog.snapshot().await.or_fail("second snapshot")?;
    commit(&*catalog, vec![Edit::delete(&one), Edit::delete(&two)]).await?;
    same(&rest(second).await.or_fail("next")?, &[&one, &two], "second snapshot")?;
    same(&rest(first).await.or_fail("next")?, &[&one], "first snapshot")
}

/// Nothing is left behind that gets in the way.
async fn dropped(suite: &Suite) -> Outcome {
    let catalog = suite.empty().await?;
    let mut rows = filled(&*catalog).await?;
    for (round, row) in rows.iter_mut().enumerate().take(40) {
        let mut snapshot = catalog.snapshot().await.or_fail("snapshot")?;
        if round % 2 == 0 {
            snapshot.next().await.or_fail("next")?;
        }
        drop(snapshot);
        *row = row.next();
        commit(&*catalog, vec![Edit::Replace(row.clone())]).await?;
    }
    let now = rest(catalog.snapshot().await.or_fail("snapshot")?).await.or_fail("next")?;
    same(&now, &sorted(&rows), "snapshot after many were dropped")
}
