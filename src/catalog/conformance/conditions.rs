//! What a commit requires holds when it takes place, or nothing of it does.

use futures_util::future::{join, join_all};

use super::Suite;
use super::content::{commit, holds, inserts, refused, require, require_none, row};
use crate::catalog::{CatalogErrorKind as Kind, Edit, Row, Table};
use crate::conformance::{Expect as _, Outcome, checks, ensure};

checks!("conditions": there, none_there, in_order, whatever_else_is_committed);

async fn there(suite: &Suite) -> Outcome {
    let catalog = suite.empty().await?;
    let first = row(Table::Stores, "id");
    commit(&*catalog, inserts([&first])).await?;
    commit(&*catalog, vec![require(&first)]).await?;
    holds(&*catalog, &[&first], "requiring a row").await?;
    let latest = first.next();
    commit(&*catalog, vec![Edit::Replace(latest.clone())]).await?;
    let new = row(Table::Keys, "new");
    commit(&*catalog, vec![require(&first), Edit::Insert(new.clone())]).await?;
    holds(&*catalog, &[&latest, &new], "requiring a row that was replaced").await?;
    let other = row(Table::Keys, "other");
    for absent in [row(Table::Stores, "Id"), row(Table::Stores, "i"), row(Table::Tags, "id")] {
        let edits = vec![require(&absent), Edit::Insert(other.clone())];
        let call = format!("requiring {absent:?}, which is not there");
        refused(&*catalog, edits, Kind::Conflict, &absent, &[&latest, &new], &call).await?;
    }
    commit(&*catalog, vec![Edit::delete(&latest)]).await?;
    let edits = vec![require(&latest), Edit::Insert(other)];
    refused(&*catalog, edits, Kind::Conflict, &latest, &[&new], "requiring what was deleted").await
}

async fn none_there(suite: &Suite) -> Outcome {
    let catalog = suite.empty().await?;
    let others = [
        row(Table::Keys, "o"),
        row(Table::Keys, "upper").owned_by("O"),
        row(Table::Keys, "longer").owned_by("oo"),
        row(Table::Tags, "elsewhere").owned_by("o"),
    ];
    commit(&*catalog, inserts(&others)).await?;
    let new = row(Table::Stores, "new");
    commit(&*catalog, vec![require_none(Table::Keys, "o"), Edit::Insert(new.clone())]).await?;
    let mut held: Vec<&Row> = others.iter().chain([&new]).collect();
    holds(&*catalog, &held, "requiring that an owner has none").await?;

    let owned = row(Table::Keys, "owned").owned_by("o");
    commit(&*catalog, inserts([&owned])).await?;
    held.push(&owned);
    let edits = || vec![require_none(Table::Keys, "o"), Edit::Insert(row(Table::Stores, "other"))];
    // The place is that of the owner.
    let about = row(Table::Keys, "o");
    refused(&*catalog, edits(), Kind::Conflict, &about, &held, "requiring that an owner of one has none")
        .await?;
    commit(&*catalog, vec![Edit::Replace(owned.next().owned_by("p"))]).await?;
    commit(&*catalog, edits()).await
}

/// A condition sees what the edits before it did, and not what those after it will do.
async fn in_order(suite: &Suite) -> Outcome {
    let catalog = suite.empty().await?;
    let owned = row(Table::Keys, "id").owned_by("o");
    let none = || require_none(Table::Keys, "o");
    let edits = vec![
        none(),
        Edit::Insert(owned.clone()),
        require(&owned),
        Edit::delete(&owned),
        none(),
        Edit::Insert(owned.clone()),
        Edit::Replace(owned.next().owned_by("p")),
        none(),
        Edit::Replace(owned.next().next()),
        require(&owned),
    ];
    commit(&*catalog, edits).await?;
    let latest = owned.next().next();
    holds(&*catalog, &[&latest], "conditions that hold where they are").await?;

    let new = row(Table::Keys, "new").owned_by("q");
    let about = row(Table::Keys, "q");
    let wrong = [
        (vec![Edit::delete(&latest), require(&latest), Edit::Insert(owned.clone())], &latest),
        (vec![require(&new), Edit::Insert(new.clone())], &new),
        (vec![Edit::Insert(new.clone()), require_none(Table::Keys, "q"), Edit::delete(&new)], &about),
    ];
    for (edits, about) in wrong {
        let call = format!("{edits:?}, of which one does not hold where it is");
        refused(&*catalog, edits, Kind::Conflict, about, &[&latest], &call).await?;
    }
    Ok(())
}

/// One takes an owner away, who must own nothing, while others add to what he owns, so that he must be there.
async fn whatever_else_is_committed(suite: &Suite) -> Outcome {
    let owner = row(Table::Stores, "o");
    let owned: Vec<Row> = (0..suite.concurrent_commits)
        .map(|number| row(Table::Keys, format!("{number:05}")).owned_by("o"))
        .collect();
    for place in [0, owned.len() / 2, owned.len()] {
        let catalog = suite.empty().await?;
        commit(&*catalog, inserts([&owner])).await?;
        let add = |row: &Row| catalog.commit(vec![require(&owner), Edit::Insert(row.clone())]);
        let remove = catalog.commit(vec![require_none(Table::Keys, "o"), Edit::delete(&owner)]);
        let (before, after) = owned.split_at(place);
        let before = join_all(before.iter().map(add));
        let (before, (removed, after)) = join(before, join(remove, join_all(after.iter().map(add)))).await;
        let mut held: Vec<&Row> = Vec::new();
        for (row, added) in owned.iter().zip(before.into_iter().chain(after)) {
            match added {
                Ok(()) => held.push(row),
                added => added.refused_as(&[Kind::Conflict], "adding to an owner who is taken away")?,
            }
        }
        match removed {
            Ok(()) => ensure(held.is_empty(), || {
                format!("commit: an owner was taken away, and {} rows added to him", held.len())
            })?,
            removed => {
                removed.refused_as(&[Kind::Conflict], "taking an owner away who is added to")?;
                ensure(!held.is_empty(), || {
                    "commit: of those that exclude each other all were refused".into()
                })?;
                held.push(&owner);
            }
        }
        holds(&*catalog, &held, "taking an owner away while others add to him").await?;
    }
    Ok(())
}
