//! Rows about which something is to be done.

use super::Suite;
use super::content::{ALL, commit, inserts, row, same};
use crate::catalog::{Edit, Row, Table};
use crate::conformance::{Expect as _, Outcome, checks};

checks!("due": order, until, owners, limits, changes);

/// In the order in which they are due.
fn rows() -> Vec<Row> {
    let times = [i64::MIN, -1, 0, 5, 5, 5, 6, i64::MAX];
    // By descending ids where they are not due at the same time.
    let ids = ["z", "y", "x", "q", "r", "s", "c", "b"];
    times.into_iter().zip(ids).map(|(due, id)| row(Table::Keys, id).due_at(due)).collect()
}

async fn order(suite: &Suite) -> Outcome {
    let catalog = suite.empty().await?;
    let rows = rows();
    commit(&*catalog, inserts(rows.iter().rev())).await?;
    commit(&*catalog, inserts([&row(Table::Keys, "a")])).await?;
    let due = catalog.due(Table::Keys, None, i64::MAX, ALL).await.or_fail("due")?;
    same(&due, &rows.iter().collect::<Vec<_>>(), "due")
}

async fn until(suite: &Suite) -> Outcome {
    let catalog = suite.empty().await?;
    let rows = rows();
    commit(&*catalog, inserts(&rows)).await?;
    let all: Vec<_> = rows.iter().collect();
    for (until, count) in [(i64::MIN, 1), (-2, 1), (-1, 2), (4, 3), (5, 6), (i64::MAX - 1, 7), (i64::MAX, 8)]
    {
        let due = catalog.due(Table::Keys, None, until, ALL).await.or_fail("due")?;
        same(&due, &all[..count], &format!("due until {until}"))?;
    }
    Ok(())
}

/// Those of one owner alone, if one is given.
async fn owners(suite: &Suite) -> Outcome {
    let catalog = suite.empty().await?;
    let of = |id: &str, owner: &str, due| row(Table::Keys, id).owned_by(owner).due_at(due);
    let (one, two, other) = (of("1", "a", 5), of("2", "a", 4), of("3", "b", 3));
    let nobodys = row(Table::Keys, "4").due_at(2);
    commit(&*catalog, inserts([&one, &two, &other, &nobodys])).await?;
    let due = catalog.due(Table::Keys, Some("a"), 5, ALL).await.or_fail("due")?;
    same(&due, &[&two, &one], "due of an owner")?;
    let due = catalog.due(Table::Keys, Some("a"), 5, 1).await.or_fail("due")?;
    same(&due, &[&two], "at most one due of an owner")?;
    let due = catalog.due(Table::Keys, Some("a"), 4, ALL).await.or_fail("due")?;
    same(&due, &[&two], "due of an owner until 4")?;
    let due = catalog.due(Table::Keys, Some("c"), 5, ALL).await.or_fail("due")?;
    same(&due, &[], "due of an owner of nothing")?;
    let due = catalog.due(Table::Keys, None, 5, ALL).await.or_fail("due")?;
    same(&due, &[&nobodys, &other, &two, &one], "due of whomever")
}

async fn limits(suite: &Suite) -> Outcome {
    let catalog = suite.empty().await?;
    let rows = rows();
    commit(&*catalog, inserts(&rows)).await?;
    let all: Vec<_> = rows.iter().collect();
    for limit in [0, 1, 4, 8, 9, usize::MAX] {
        let due = catalog.due(Table::Keys, None, i64::MAX, limit).await.or_fail("due")?;
        same(&due, &all[..limit.min(8)], &format!("at most {limit} due"))?;
    }
    Ok(())
}

/// A row that is changed is due at its new time, or not any more.
async fn changes(suite: &Suite) -> Outcome {
    let catalog = suite.empty().await?;
    let [one, two, three] = ["1", "2", "3"].map(|id| row(Table::Keys, id).due_at(10));
    commit(&*catalog, inserts([&one, &two, &three])).await?;
    let later = one.next().due_at(20);
    let mut never = two.next();
    never.due = None;
    let edits = vec![Edit::Replace(later.clone()), Edit::Replace(never), Edit::delete(&three)];
    commit(&*catalog, edits).await?;
    let due = catalog.due(Table::Keys, None, 19, ALL).await.or_fail("due")?;
    same(&due, &[], "due, after all were changed")?;
    let due = catalog.due(Table::Keys, None, 20, ALL).await.or_fail("due")?;
    same(&due, &[&later], "due, after all were changed")
}
