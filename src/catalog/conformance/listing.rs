//! Many rows, page by page.

use super::Suite;
use super::content::{ALL, commit, inserts, row, same};
use crate::catalog::{Row, Table};
use crate::conformance::{Expect as _, Outcome, checks, ensure};

checks!("listing": byte_order, by_owner, after, limits, pages);

/// In ascending order of their bytes, which is neither that of a language nor that of UTF-16.
pub(super) const IDS: &[&str] = &[
    "\0",
    "\0\0",
    "\u{1}",
    " ",
    "A",
    "B",
    "a",
    "a\0b",
    "ab",
    "b",
    "e\u{301}",
    "z",
    "\u{e9}",
    "\u{ffff}",
    "\u{10000}",
];

async fn byte_order(suite: &Suite) -> Outcome {
    let catalog = suite.empty().await?;
    let rows: Vec<_> = IDS.iter().map(|id| row(Table::Aliases, *id)).collect();
    // Not in the order in which they will be listed.
    commit(&*catalog, inserts(rows.iter().step_by(2).chain(rows.iter().skip(1).step_by(2)))).await?;
    let listed = catalog.list(Table::Aliases, None, None, ALL).await.or_fail("list")?;
    same(&listed, &rows.iter().collect::<Vec<_>>(), "list")
}

async fn by_owner(suite: &Suite) -> Outcome {
    let catalog = suite.empty().await?;
    let owners = [Some("o"), Some("o\0"), Some("O"), None, Some("p")];
    let rows: Vec<Row> = (0..25)
        .map(|number| {
            let row = row(Table::Tags, format!("{number:02}"));
            owners[number % 5].map_or_else(|| row.clone(), |owner| row.clone().owned_by(owner))
        })
        .collect();
    commit(&*catalog, inserts(rows.iter().rev())).await?;
    for owner in owners.into_iter().flatten() {
        let of_owner: Vec<_> = rows.iter().filter(|row| row.owner.as_deref() == Some(owner)).collect();
        let listed = catalog.list(Table::Tags, Some(owner), None, ALL).await.or_fail("list")?;
        same(&listed, &of_owner, &format!("list of owner {owner:?}"))?;
        let after = &of_owner[1].id;
        let listed = catalog.list(Table::Tags, Some(owner), Some(after), 2).await.or_fail("list")?;
        same(&listed, &of_owner[2..4], &format!("2 rows of owner {owner:?} after {after}"))?;
    }
    for nobody in ["q", "", "%"] {
        let listed = catalog.list(Table::Tags, Some(nobody), None, ALL).await.or_fail("list")?;
        same(&listed, &[], &format!("list of owner {nobody:?}"))?;
    }
    Ok(())
}

/// After an id that is there, and one that is not.
async fn after(suite: &Suite) -> Outcome {
    let catalog = suite.empty().await?;
    let rows: Vec<_> = ["b", "d", "f"].iter().map(|id| row(Table::Stores, *id)).collect();
    commit(&*catalog, inserts(&rows)).await?;
    let all: Vec<_> = rows.iter().collect();
    for (after, skipped) in [("", 0), ("a", 0), ("b", 1), ("b\0", 1), ("c", 1), ("d", 2), ("f", 3), ("g", 3)]
    {
        let listed = catalog.list(Table::Stores, None, Some(after), ALL).await.or_fail("list")?;
        same(&listed, &all[skipped..], &format!("list after {after:?}"))?;
    }
    Ok(())
}

async fn limits(suite: &Suite) -> Outcome {
    let catalog = suite.empty().await?;
    let rows: Vec<_> = (0..5).map(|number| row(Table::Keys, number.to_string()).owned_by("o")).collect();
    commit(&*catalog, inserts(&rows)).await?;
    let all: Vec<_> = rows.iter().collect();
    for limit in [0, 1, 4, 5, 6, usize::MAX] {
        for owner in [None, Some("o")] {
            let listed = catalog.list(Table::Keys, owner, None, limit).await.or_fail("list")?;
            same(&listed, &all[..limit.min(5)], &format!("list of at most {limit}"))?;
        }
    }
    Ok(())
}

async fn pages(suite: &Suite) -> Outcome {
    let catalog = suite.empty().await?;
    let rows: Vec<_> = (0..100).map(|number| row(Table::Keys, format!("{number:03}"))).collect();
    commit(&*catalog, inserts(rows.iter().rev())).await?;
    for size in [1, 7, 50, 100] {
        let mut walked: Vec<Row> = Vec::new();
        loop {
            let last = walked.last().map(|row| row.id.clone());
            let page = catalog.list(Table::Keys, None, last.as_deref(), size).await.or_fail("list")?;
            let over = page.len() < size;
            walked.extend(page);
            ensure(walked.len() <= rows.len(), || format!("pages of {size}: more rows than there are"))?;
            if over {
                break;
            }
        }
        same(&walked, &rows.iter().collect::<Vec<_>>(), &format!("pages of {size}"))?;
    }
    Ok(())
}
