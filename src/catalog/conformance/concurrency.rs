//! Many commits at once.

use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::future::{join, join_all};

use super::Suite;
use super::content::{commit, holds, inserts, row};
use crate::catalog::{CatalogErrorKind as Kind, Edit, Row, Table};
use crate::conformance::{Expect as _, Outcome, checks, ensure, failed};

checks!("concurrency": one_version, one_text, many_rows, whole_to_readers);

/// Of those that saw the same version, one wins.
async fn one_version(suite: &Suite) -> Outcome {
    let catalog = suite.empty().await?;
    let mut latest = row(Table::Keys, "id");
    commit(&*catalog, inserts([&latest])).await?;
    for _ in 0..3 {
        let versions: Vec<Row> = (0..suite.concurrent_commits)
            .map(|number| {
                let mut next = latest.next();
                next.body = number.to_be_bytes().to_vec();
                next
            })
            .collect();
        let commits = versions.iter().map(|next| catalog.commit(vec![Edit::Replace(next.clone())]));
        latest = winner(versions.iter().zip(join_all(commits).await), Kind::Conflict)?.clone();
        holds(&*catalog, &[&latest], "commits of the same version").await?;
    }
    Ok(())
}

async fn one_text(suite: &Suite) -> Outcome {
    let catalog = suite.empty().await?;
    let rows: Vec<Row> = (0..suite.concurrent_commits)
        .map(|number| row(Table::Aliases, number.to_string()).unique("u"))
        .collect();
    let commits = rows.iter().map(|row| catalog.commit(inserts([row])));
    let won = winner(rows.iter().zip(join_all(commits).await), Kind::UniqueTaken)?;
    holds(&*catalog, &[won], "commits of the same text").await
}

/// The one that was committed, where the others were refused.
fn winner<'a>(
    answers: impl Iterator<Item = (&'a Row, Result<(), crate::catalog::CatalogError>)>,
    otherwise: Kind,
) -> Outcome<&'a Row> {
    let mut won = None;
    for (row, answer) in answers {
        match answer {
            Ok(()) if won.is_none() => won = Some(row),
            Ok(()) => return failed("commit: two of the same were made"),
            answer => answer.refused_as(&[otherwise], "commit of what another commits too")?,
        }
    }
    won.map_or_else(|| failed("commit: none of the same was made"), Ok)
}

async fn many_rows(suite: &Suite) -> Outcome {
    let catalog = suite.empty().await?;
    let rows: Vec<Row> = (0..suite.concurrent_commits * 2)
        .map(|number| row(Table::Keys, format!("{number:05}")).unique(&number.to_string()))
        .collect();
    let commits = rows.chunks(2).map(|pair| commit(&*catalog, inserts(pair)));
    join_all(commits).await.into_iter().collect::<Outcome>()?;
    holds(&*catalog, &rows.iter().collect::<Vec<_>>(), "many commits at once").await
}

/// Whoever reads while commits are made sees all of one or nothing of it.
async fn whole_to_readers(suite: &Suite) -> Outcome {
    let catalog = suite.empty().await?;
    let mut pair = [row(Table::Keys, "1"), row(Table::Keys, "2")];
    commit(&*catalog, inserts(&pair)).await?;
    let over = AtomicBool::new(false);
    let writing = async {
        for _ in 0..suite.concurrent_commits {
            pair = pair.each_ref().map(Row::next);
            commit(&*catalog, pair.iter().cloned().map(Edit::Replace).collect()).await?;
        }
        over.store(true, Ordering::Relaxed);
        Ok(())
    };
    let reading = async {
        while !over.load(Ordering::Relaxed) {
            let seen = catalog.list(Table::Keys, None, None, 9).await.or_fail("list")?;
            let versions: Vec<_> = seen.iter().map(|row| row.version).collect();
            ensure(versions.len() == 2 && versions[0] == versions[1], || {
                format!("list: versions {versions:?} of rows that are replaced together")
            })?;
            // So that it goes on where every call is ready at once.
            let mut polled = false;
            futures_util::future::poll_fn(|cx| {
                cx.waker().wake_by_ref();
                if std::mem::replace(&mut polled, true) {
                    std::task::Poll::Ready(())
                } else {
                    std::task::Poll::Pending
                }
            })
            .await;
        }
        Ok(())
    };
    let (written, read): (Outcome, Outcome) = join(writing, reading).await;
    written.and(read)
}
