//! What is there when a catalogue is opened again.

use std::sync::Arc;
use std::time::Duration;

use super::Suite;
use super::content::{commit, holds, inserts, rest, row, same};
use super::suite::Place;
use crate::catalog::{Catalog, CatalogErrorKind as Kind, Edit, Row, Table};
use crate::conformance::{Expect as _, Outcome, checks};

checks!("durability": closed, dropped, one_owner);

/// Fills it, and gives what it holds.
async fn filled(catalog: &dyn Catalog) -> Outcome<Vec<Row>> {
    let made = |number: usize| {
        let table = Table::ALL[number % Table::ALL.len()];
        row(table, format!("{number:03}")).unique(&number.to_string()).owned_by("o").due_at(1)
    };
    let mut rows: Vec<Row> = (0..200).map(made).collect();
    for some in rows.chunks(50) {
        commit(catalog, inserts(some)).await?;
    }
    for row in rows.iter_mut().step_by(5) {
        *row = row.next();
        commit(catalog, vec![Edit::Replace(row.clone())]).await?;
    }
    commit(catalog, rows.drain(..60).map(|row| Edit::delete(&row)).collect()).await?;
    Ok(rows)
}

async fn is_there(catalog: &dyn Catalog, rows: &[Row]) -> Outcome {
    let mut rows: Vec<_> = rows.iter().collect();
    holds(catalog, &rows, "opening again").await?;
    let snapshot = rest(catalog.snapshot().await.or_fail("snapshot")?).await.or_fail("next")?;
    rows.sort_by_key(|row| (row.table, row.id.clone()));
    same(&snapshot, &rows, "snapshot after opening again")
}

async fn closed(suite: &Suite) -> Outcome {
    suite.needs_durable()?;
    let place = suite.place();
    let catalog = place().await.or_fail("open")?;
    let rows = filled(&*catalog).await?;
    catalog.close().await.or_fail("close")?;
    // Though the closed one is still there.
    let again = place().await.or_fail("opening again after closing")?;
    is_there(&*again, &rows).await
}

async fn dropped(suite: &Suite) -> Outcome {
    suite.needs_durable()?;
    let place = suite.place();
    let catalog = place().await.or_fail("open")?;
    let rows = filled(&*catalog).await?;
    drop(catalog);
    let again = patiently(suite, &place).await?;
    is_there(&*again, &rows).await
}

/// One that was dropped may need a moment to end; the deadline of the check ends the waiting.
async fn patiently(suite: &Suite, place: &Place) -> Outcome<Arc<dyn Catalog>> {
    loop {
        match place().await {
            Err(error) if error.kind() == Kind::InUse => suite.clock.sleep(Duration::from_millis(1)).await,
            opened => return opened.or_fail("opening again after dropping"),
        }
    }
}

async fn one_owner(suite: &Suite) -> Outcome {
    suite.needs_durable()?;
    let place = suite.place();
    let first = place().await.or_fail("open")?;
    let one = row(Table::Keys, "1");
    commit(&*first, inserts([&one])).await?;
    place().await.refused_as(&[Kind::InUse], "opening what has an owner")?;
    // Who was refused has done no harm.
    let two = row(Table::Keys, "2");
    commit(&*first, inserts([&two])).await?;
    holds(&*first, &[&one, &two], "a second owner was refused").await?;
    first.close().await.or_fail("close")?;
    let second = place().await.or_fail("opening again after closing")?;
    holds(&*second, &[&one, &two], "opening again").await
}
