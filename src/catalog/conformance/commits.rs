//! All edits of a commit, or none.

use super::Suite;
use super::content::{commit, holds, inserts, refused, require, require_none, row};
use crate::catalog::{CatalogErrorKind as Kind, Edit, Row, Table};
use crate::conformance::{Outcome, checks};

checks!("commits": nothing, whole, in_order, all_or_nothing, refused_then_right);

async fn nothing(suite: &Suite) -> Outcome {
    let catalog = suite.empty().await?;
    commit(&*catalog, Vec::new()).await?;
    holds(&*catalog, &[], "a commit of nothing").await
}

async fn whole(suite: &Suite) -> Outcome {
    let catalog = suite.empty().await?;
    let [kept, changed, gone] = ["kept", "changed", "gone"].map(|id| row(Table::Keys, id).unique(id));
    commit(&*catalog, inserts([&kept, &changed, &gone])).await?;
    let (new, next) = (row(Table::Stores, "new"), changed.next());
    let edits = vec![Edit::Insert(new.clone()), Edit::Replace(next.clone()), Edit::delete(&gone)];
    commit(&*catalog, edits).await?;
    holds(&*catalog, &[&kept, &next, &new], "a commit of each kind").await
}

/// Each edit sees what those before it did.
async fn in_order(suite: &Suite) -> Outcome {
    let catalog = suite.empty().await?;
    let first = row(Table::Keys, "id");
    let (second, third) = (first.next(), first.next().next());
    let edits = vec![
        Edit::Insert(first.clone()),
        Edit::Replace(second.clone()),
        Edit::delete(&second),
        Edit::Insert(first.clone()),
        Edit::Replace(second.clone()),
        Edit::Replace(third.clone()),
    ];
    commit(&*catalog, edits).await?;
    holds(&*catalog, &[&third], "edits of one row in one commit").await?;
    let edits = vec![Edit::delete(&third), Edit::Replace(third.next())];
    refused(&*catalog, edits, Kind::Conflict, &third, &[&third], "replacing what was just deleted").await
}

/// An edit that fails, for each reason and at each position.
async fn all_or_nothing(suite: &Suite) -> Outcome {
    let catalog = suite.empty().await?;
    let old = row(Table::Keys, "old").unique("taken").owned_by("o").due_at(1);
    let gone = row(Table::Keys, "gone").unique("gone").due_at(2);
    commit(&*catalog, inserts([&old, &gone])).await?;
    let right = || {
        let mut changed = old.next().unique("changed").owned_by("p");
        changed.due = None;
        vec![
            Edit::Insert(row(Table::Keys, "new").unique("new").owned_by("o")),
            Edit::Replace(changed),
            Edit::delete(&gone),
            Edit::Insert(row(Table::Tags, "new")),
        ]
    };
    let absent = row(Table::Stores, "absent");
    let illegal = row(Table::Stores, "illegal").owned_by("");
    let mut taken = row(Table::Aliases, "b").unique("u");
    taken.version = 3;
    let neighbour = row(Table::Aliases, "a").unique("u");
    commit(&*catalog, inserts([&neighbour])).await?;
    // As a condition says it.
    let owned = row(Table::Keys, "o");
    let wrong: [(Edit, Kind, &Row); 7] = [
        (Edit::Insert(neighbour.clone()), Kind::AlreadyExists, &neighbour),
        (Edit::Insert(taken.clone()), Kind::UniqueTaken, &taken),
        (Edit::Replace(absent.next()), Kind::Conflict, &absent),
        (Edit::delete(&absent), Kind::Conflict, &absent),
        (require(&absent), Kind::Conflict, &absent),
        (require_none(Table::Keys, "o"), Kind::Conflict, &owned),
        (Edit::Insert(illegal.clone()), Kind::InvalidRow, &illegal),
    ];
    for (edit, kind, about) in wrong {
        for position in 0..=right().len() {
            let mut edits = right();
            edits.insert(position, edit.clone());
            let call = format!("{kind:?} as edit {position} of a commit");
            refused(&*catalog, edits, kind, about, &[&old, &gone, &neighbour], &call).await?;
        }
    }
    Ok(())
}

/// What a refused commit touched is as free as before.
async fn refused_then_right(suite: &Suite) -> Outcome {
    let catalog = suite.empty().await?;
    let (one, two) = (row(Table::Keys, "1").unique("u"), row(Table::Keys, "2").unique("u"));
    let edits = inserts([&one, &two]);
    refused(&*catalog, edits, Kind::UniqueTaken, &two, &[], "two rows of one unique text").await?;
    commit(&*catalog, inserts([&two])).await?;
    holds(&*catalog, &[&two], "a commit that was refused at first").await
}
