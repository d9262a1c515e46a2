//! One row, by its id and by its unique text.

use super::Suite;
use super::content::{commit, holds, inserts, row};
use crate::catalog::Table;
use crate::conformance::{Expect as _, Outcome, checks, ensure};

checks!("reading": nothing_there, every_part, absent, tables_are_apart);

async fn nothing_there(suite: &Suite) -> Outcome {
    let catalog = suite.empty().await?;
    holds(&*catalog, &[], "opening").await?;
    for table in Table::ALL {
        let read = catalog.read(*table, "id").await.or_fail("read")?;
        let found = catalog.find(*table, "id").await.or_fail("find")?;
        let due = catalog.due(*table, None, i64::MAX, 9).await.or_fail("due")?;
        ensure(read.is_none() && found.is_none() && due.is_empty(), || format!("{table}: not empty"))?;
    }
    Ok(())
}

async fn every_part(suite: &Suite) -> Outcome {
    let catalog = suite.empty().await?;
    let full = row(Table::Keys, "full").owned_by("owner").unique("unique").due_at(-5);
    let bare = row(Table::Keys, "bare");
    commit(&*catalog, inserts([&full, &bare])).await?;
    holds(&*catalog, &[&full, &bare], "inserts").await
}

async fn absent(suite: &Suite) -> Outcome {
    let catalog = suite.empty().await?;
    // What is found by one is not found by the other, nor by a part or a pattern.
    commit(&*catalog, inserts([&row(Table::Keys, "id").unique("text").owned_by("owner")])).await?;
    for id in ["text", "owner", "i", "id ", "ID", "%", "i_", "*", ""] {
        let read = catalog.read(Table::Keys, id).await.or_fail("read")?;
        ensure(read.is_none(), || format!("read: {id:?} is none"))?;
    }
    for unique in ["id", "owner", "tex", "text\0", "TEXT", "%", "tex_", "*", ""] {
        let found = catalog.find(Table::Keys, unique).await.or_fail("find")?;
        ensure(found.is_none(), || format!("find: {unique:?} is none"))?;
    }
    Ok(())
}

async fn tables_are_apart(suite: &Suite) -> Outcome {
    let catalog = suite.empty().await?;
    let made = |table: &Table| row(*table, "id").unique("unique").owned_by("owner").due_at(1);
    let rows: Vec<_> = Table::ALL.iter().map(made).collect();
    commit(&*catalog, inserts(&rows)).await?;
    holds(&*catalog, &rows.iter().collect::<Vec<_>>(), "inserts into each table").await?;
    for row in &rows {
        let due = catalog.due(row.table, None, 1, 9).await.or_fail("due")?;
        ensure(due == [row.clone()], || format!("due: {due:?} in {}", row.table))?;
        let owned = catalog.list(row.table, Some("owner"), None, 9).await.or_fail("list")?;
        ensure(owned == [row.clone()], || format!("list by owner: {owned:?} in {}", row.table))?;
    }
    Ok(())
}
