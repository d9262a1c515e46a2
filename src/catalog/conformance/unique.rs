//! A text that no other row of the table may have.

use super::Suite;
use super::content::{commit, holds, inserts, refused, row};
use crate::catalog::{CatalogErrorKind as Kind, Edit, Row, Table};
use crate::conformance::{Expect as _, Outcome, checks, ensure};

checks!("unique": taken, freed_by_delete, freed_by_replace, swapped, own, per_table, none);

async fn taken(suite: &Suite) -> Outcome {
    let catalog = suite.empty().await?;
    let (one, two) = (row(Table::Aliases, "1").unique("u"), row(Table::Aliases, "2").unique("v"));
    commit(&*catalog, inserts([&one, &two])).await?;
    let three = row(Table::Aliases, "3").unique("u");
    let held = [&one, &two];
    refused(&*catalog, inserts([&three]), Kind::UniqueTaken, &three, &held, "inserting a taken text").await?;
    let edits = vec![Edit::Replace(two.next().unique("u"))];
    refused(&*catalog, edits, Kind::UniqueTaken, &two, &held, "changing to a taken text").await?;
    // Somebody was faster: that comes first, since what was seen is old anyway.
    let edits = vec![Edit::Replace(two.next().next().unique("u"))];
    refused(&*catalog, edits, Kind::Conflict, &two, &held, "changing an old version to a taken text").await?;
    let edits = vec![Edit::Insert(row(Table::Aliases, "2").unique("u"))];
    refused(&*catalog, edits, Kind::AlreadyExists, &two, &held, "inserting a taken id with a taken text")
        .await
}

async fn freed_by_delete(suite: &Suite) -> Outcome {
    let catalog = suite.empty().await?;
    let (one, two) = (row(Table::Aliases, "1").unique("u"), row(Table::Aliases, "2").unique("u"));
    commit(&*catalog, inserts([&one])).await?;
    commit(&*catalog, vec![Edit::delete(&one)]).await?;
    let found = catalog.find(Table::Aliases, "u").await.or_fail("find")?;
    ensure(found.is_none(), || format!("find: {found:?}, which was deleted"))?;
    commit(&*catalog, inserts([&two])).await?;
    holds(&*catalog, &[&two], "taking the text of a deleted row").await?;
    let edits = vec![Edit::delete(&two), Edit::Insert(one.clone())];
    commit(&*catalog, edits).await?;
    holds(&*catalog, &[&one], "deleting and taking in one commit").await
}

async fn freed_by_replace(suite: &Suite) -> Outcome {
    let catalog = suite.empty().await?;
    let (one, two) = (row(Table::Aliases, "1").unique("u"), row(Table::Aliases, "2").unique("v"));
    commit(&*catalog, inserts([&one, &two])).await?;
    let mut without = two.next();
    without.unique = None;
    let moved = one.next().unique("w");
    commit(&*catalog, vec![Edit::Replace(moved.clone()), Edit::Replace(without.clone())]).await?;
    for text in ["u", "v"] {
        let found = catalog.find(Table::Aliases, text).await.or_fail("find")?;
        ensure(found.is_none(), || format!("find: {found:?}, which has another text now"))?;
    }
    let (three, four) = (row(Table::Aliases, "3").unique("u"), row(Table::Aliases, "4").unique("v"));
    commit(&*catalog, inserts([&three, &four])).await?;
    holds(&*catalog, &[&moved, &without, &three, &four], "taking texts that were given up").await
}

/// Inside one commit, by way of none.
async fn swapped(suite: &Suite) -> Outcome {
    let catalog = suite.empty().await?;
    let (one, two) = (row(Table::Aliases, "1").unique("u"), row(Table::Aliases, "2").unique("v"));
    commit(&*catalog, inserts([&one, &two])).await?;
    let swap = |one: &Row, two: &Row| {
        let mut bare = one.next();
        bare.unique = None;
        let mut last = bare.next();
        last.unique.clone_from(&two.unique);
        let mut other = two.next();
        other.unique.clone_from(&one.unique);
        (vec![Edit::Replace(bare), Edit::Replace(other.clone()), Edit::Replace(last.clone())], last, other)
    };
    let (mut edits, _, _) = swap(&one, &two);
    edits.push(Edit::Insert(one.clone()));
    refused(&*catalog, edits, Kind::AlreadyExists, &one, &[&one, &two], "a swap that fails at the end")
        .await?;
    let (edits, one, two) = swap(&one, &two);
    commit(&*catalog, edits).await?;
    holds(&*catalog, &[&one, &two], "a swap").await
}

/// A row may keep its own.
async fn own(suite: &Suite) -> Outcome {
    let catalog = suite.empty().await?;
    let row = row(Table::Aliases, "1").unique("u");
    commit(&*catalog, inserts([&row])).await?;
    commit(&*catalog, vec![Edit::Replace(row.next())]).await?;
    holds(&*catalog, &[&row.next()], "a replacement with the same text").await
}

async fn per_table(suite: &Suite) -> Outcome {
    let catalog = suite.empty().await?;
    let rows: Vec<_> = Table::ALL.iter().map(|table| row(*table, table.as_str()).unique("u")).collect();
    commit(&*catalog, inserts(&rows)).await?;
    holds(&*catalog, &rows.iter().collect::<Vec<_>>(), "the same text in each table").await
}

/// Any number of rows may have none.
async fn none(suite: &Suite) -> Outcome {
    let catalog = suite.empty().await?;
    let rows: Vec<_> = (0..9).map(|number| row(Table::Keys, number.to_string())).collect();
    commit(&*catalog, inserts(&rows)).await?;
    holds(&*catalog, &rows.iter().collect::<Vec<_>>(), "rows without a text").await
}
