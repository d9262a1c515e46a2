//! The end of a catalogue.

use super::Suite;
use super::content::{commit, inserts, row};
use crate::catalog::{CatalogErrorKind as Kind, Edit, Table};
use crate::conformance::{Expect as _, Outcome, checks};

checks!("closing": twice, closed_for_all);

async fn twice(suite: &Suite) -> Outcome {
    let catalog = suite.empty().await?;
    commit(&*catalog, inserts([&row(Table::Keys, "id")])).await?;
    for call in ["close", "second close", "third close"] {
        catalog.close().await.or_fail(call)?;
    }
    Ok(())
}

/// Every method answers `Closed`, whatever it is asked.
async fn closed_for_all(suite: &Suite) -> Outcome {
    let catalog = suite.empty().await?;
    let row = row(Table::Keys, "id").unique("u");
    commit(&*catalog, inserts([&row])).await?;
    // Whether closing itself goes well is another check.
    let _ = catalog.close().await;

    let closed = &[Kind::Closed];
    catalog.read(Table::Keys, "id").await.refused_as(closed, "read after close")?;
    catalog.find(Table::Keys, "u").await.refused_as(closed, "find after close")?;
    catalog.list(Table::Keys, None, None, 0).await.refused_as(closed, "list after close")?;
    catalog.due(Table::Keys, None, 0, 0).await.refused_as(closed, "due after close")?;
    catalog.snapshot().await.refused_as(closed, "snapshot after close")?;
    catalog.commit(Vec::new()).await.refused_as(closed, "commit of nothing after close")?;
    catalog.commit(vec![Edit::Insert(row)]).await.refused_as(closed, "commit after close")
}
