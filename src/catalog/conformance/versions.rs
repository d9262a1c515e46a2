//! A row is changed only by who has seen its latest version.

use super::Suite;
use super::content::{commit, holds, inserts, refused, row};
use crate::catalog::{CatalogErrorKind as Kind, Edit, Row, Table};
use crate::conformance::{Outcome, checks};

checks!("versions": replace, delete, absent, taken, kept, extremes);

/// The row at its fourth version.
async fn fourth(suite: &Suite) -> Outcome<(std::sync::Arc<dyn crate::catalog::Catalog>, Row)> {
    let catalog = suite.empty().await?;
    let mut row = row(Table::Keys, "id");
    commit(&*catalog, inserts([&row])).await?;
    for _ in 0..3 {
        row = row.next();
        commit(&*catalog, vec![Edit::Replace(row.clone())]).await?;
    }
    Ok((catalog, row))
}

async fn replace(suite: &Suite) -> Outcome {
    let (catalog, latest) = fourth(suite).await?;
    for version in [1, 2, 3, 4, 6, 7, Row::MAX_VERSION] {
        let mut other = latest.clone();
        other.version = version;
        let call = format!("replacing version 4 by version {version}");
        refused(&*catalog, vec![Edit::Replace(other)], Kind::Conflict, &latest, &[&latest], &call).await?;
    }
    let next = latest.next();
    commit(&*catalog, vec![Edit::Replace(next.clone())]).await?;
    holds(&*catalog, &[&next], "replacing the latest version").await
}

async fn delete(suite: &Suite) -> Outcome {
    let (catalog, latest) = fourth(suite).await?;
    for version in [0, 1, 3, 5, Row::MAX_VERSION, Row::MAX_VERSION + 1, u64::MAX] {
        let edit = Edit::Delete { table: Table::Keys, id: latest.id.clone(), version };
        let call = format!("deleting version {version} of a row at version 4");
        refused(&*catalog, vec![edit], Kind::Conflict, &latest, &[&latest], &call).await?;
    }
    commit(&*catalog, vec![Edit::delete(&latest)]).await?;
    holds(&*catalog, &[], "deleting the latest version").await?;
    // It begins anew.
    let again = row(Table::Keys, "id");
    commit(&*catalog, inserts([&again])).await?;
    holds(&*catalog, &[&again], "inserting what was deleted").await
}

async fn absent(suite: &Suite) -> Outcome {
    let catalog = suite.empty().await?;
    // The same id in another table is another row.
    let other = row(Table::Tags, "id");
    commit(&*catalog, inserts([&other])).await?;
    let absent = row(Table::Keys, "id");
    for edit in [Edit::Replace(absent.clone()), Edit::Replace(absent.next()), Edit::delete(&absent)] {
        let call = format!("{edit:?} where there is none");
        refused(&*catalog, vec![edit], Kind::Conflict, &absent, &[&other], &call).await?;
    }
    Ok(())
}

async fn taken(suite: &Suite) -> Outcome {
    let (catalog, latest) = fourth(suite).await?;
    for version in [1, 4, 5] {
        let mut other = latest.clone();
        other.version = version;
        let edits = vec![Edit::Insert(other)];
        refused(&*catalog, edits, Kind::AlreadyExists, &latest, &[&latest], "inserting a taken id").await?;
    }
    Ok(())
}

/// A row that comes from elsewhere keeps its version.
async fn kept(suite: &Suite) -> Outcome {
    let catalog = suite.empty().await?;
    let mut row = row(Table::Keys, "id");
    row.version = 41;
    commit(&*catalog, inserts([&row])).await?;
    holds(&*catalog, &[&row], "an insert at version 41").await?;
    commit(&*catalog, vec![Edit::Replace(row.next())]).await?;
    holds(&*catalog, &[&row.next()], "a replacement by version 42").await
}

async fn extremes(suite: &Suite) -> Outcome {
    let catalog = suite.empty().await?;
    let mut row = row(Table::Keys, "id");
    row.version = Row::MAX_VERSION - 1;
    commit(&*catalog, inserts([&row])).await?;
    let last = row.next();
    commit(&*catalog, vec![Edit::Replace(last.clone())]).await?;
    holds(&*catalog, &[&last], "a replacement by the greatest version").await?;
    let beyond = vec![Edit::Replace(last.next())];
    refused(&*catalog, beyond, Kind::InvalidRow, &last, &[&last], "a version beyond the greatest").await?;
    commit(&*catalog, vec![Edit::delete(&last)]).await?;
    holds(&*catalog, &[], "deleting the greatest version").await
}
