//! Dropping a future at any await: the catalogue must then be as it was, or as it was to be. And leaving it there, neither
//! polled nor dropped: that must be nobody else's trouble.

use super::Suite;
use super::content::{ALL, commit, holds, inserts, rest, row, same};
use crate::catalog::{Catalog, CatalogError, Edit, Row, Table};
use crate::conformance::{
    Expect as _, Moment, Outcome, checks, failed, moments, poll_all, poll_and_drop, poll_and_leave,
};

checks!("cancellation": read, find, list, due, snapshot, snapshot_next, commits, many_at_once, left_alone, close);

async fn filled(suite: &Suite) -> Outcome<(std::sync::Arc<dyn Catalog>, Row)> {
    let catalog = suite.empty().await?;
    let row = row(Table::Keys, "id").unique("u").owned_by("o").due_at(1);
    commit(&*catalog, inserts([&row])).await?;
    Ok((catalog, row))
}

/// Drops the call at every moment, and checks that the catalogue still works and that the call, made anew, succeeds.
async fn cancelled<T, F>(
    suite: &Suite,
    catalog: &dyn Catalog,
    held: &Row,
    name: &str,
    call: impl Fn() -> F + Sync,
) -> Outcome
where
    T: Send,
    F: Future<Output = Result<T, CatalogError>> + Send,
{
    for moment in moments(suite.cancellation_rounds) {
        let answer = poll_and_drop(&*suite.clock, call(), moment).await;
        works(catalog, held, &moment.after(name)).await?;
        if let Some(answer) = answer {
            return answer.or_fail(name).map(drop);
        }
        call().await.or_fail(format!("{}, {name}", moment.after(name)))?;
    }
    Ok(())
}

/// It holds this row alone, and takes and gives up another.
async fn works(catalog: &dyn Catalog, held: &Row, after: &str) -> Outcome {
    let probe = row(Table::Stores, "probe").unique("probe");
    let works = async {
        commit(catalog, inserts([&probe])).await?;
        holds(catalog, &[held, &probe], after).await?;
        commit(catalog, vec![Edit::delete(&probe)]).await?;
        holds(catalog, &[held], after).await
    };
    match works.await {
        Err(crate::conformance::Stop::Failed(reason)) => failed(format!("{after}, {reason}")),
        outcome => outcome,
    }
}

async fn read(suite: &Suite) -> Outcome {
    let (catalog, row) = filled(suite).await?;
    cancelled(suite, &*catalog, &row, "read", || catalog.read(Table::Keys, "id")).await
}

async fn find(suite: &Suite) -> Outcome {
    let (catalog, row) = filled(suite).await?;
    cancelled(suite, &*catalog, &row, "find", || catalog.find(Table::Keys, "u")).await
}

async fn list(suite: &Suite) -> Outcome {
    let (catalog, row) = filled(suite).await?;
    cancelled(suite, &*catalog, &row, "list", || catalog.list(Table::Keys, Some("o"), None, ALL)).await
}

async fn due(suite: &Suite) -> Outcome {
    let (catalog, row) = filled(suite).await?;
    cancelled(suite, &*catalog, &row, "due", || catalog.due(Table::Keys, None, 1, ALL)).await
}

async fn snapshot(suite: &Suite) -> Outcome {
    let (catalog, row) = filled(suite).await?;
    cancelled(suite, &*catalog, &row, "snapshot", || catalog.snapshot()).await
}

/// Reading on after a piece was given up neither loses rows nor repeats them.
async fn snapshot_next(suite: &Suite) -> Outcome {
    let catalog = suite.empty().await?;
    let rows: Vec<Row> = (0..200).map(|number| row(Table::Keys, format!("{number:03}"))).collect();
    commit(&*catalog, inserts(&rows)).await?;
    for moment in moments(suite.cancellation_rounds) {
        let mut snapshot = catalog.snapshot().await.or_fail("snapshot")?;
        let mut read = snapshot.next().await.or_fail("next")?.unwrap_or_default();
        let piece = poll_and_drop(&*suite.clock, snapshot.next(), moment).await;
        let completed = piece.is_some();
        if let Some(piece) = piece {
            read.extend(piece.or_fail("next")?.unwrap_or_default());
        }
        read.extend(rest(snapshot).await.or_fail(moment.after("next"))?);
        same(&read, &rows.iter().collect::<Vec<_>>(), &moment.after("next"))?;
        if completed {
            break;
        }
    }
    Ok(())
}

/// Afterwards all of it took place or nothing, and it stays so.
async fn commits(suite: &Suite) -> Outcome {
    let (catalog, mut latest) = filled(suite).await?;
    for moment in moments(suite.cancellation_rounds) {
        let (next, new) = (latest.next(), row(Table::Tags, "new").unique("new"));
        let edits = vec![Edit::Insert(new.clone()), Edit::Replace(next.clone())];
        let answer = poll_and_drop(&*suite.clock, catalog.commit(edits), moment).await;
        let after = moment.after("commit");
        let seen = catalog.read(Table::Tags, "new").await.or_fail("read")?;
        if seen.is_some() {
            holds(&*catalog, &[&next, &new], &after).await?;
            commit(&*catalog, vec![Edit::delete(&new)]).await?;
            latest = next;
        } else {
            holds(&*catalog, &[&latest], &after).await?;
        }
        works(&*catalog, &latest, &after).await?;
        if let Some(answer) = answer {
            return answer.or_fail("commit");
        }
    }
    Ok(())
}

/// Finds what each dropped call keeps a little of: connections, places in a queue.
async fn many_at_once(suite: &Suite) -> Outcome {
    let (catalog, row) = filled(suite).await?;
    for polls in [1, 1, 2, 3] {
        let calls = (0..suite.concurrent_commits).map(|_| async {
            // Neither changes anything: the first is refused, the second reads.
            let _ = catalog.commit(inserts([&row])).await;
            let _ = catalog.list(Table::Keys, None, None, ALL).await;
        });
        poll_and_drop(&*suite.clock, poll_all(calls), Moment { polls, woken: false }).await;
        works(&*catalog, &row, "after many calls at once were dropped").await?;
    }
    Ok(())
}

/// As in a `select!` whose other branch is busy: whoever waits for such a call waits for ever.
async fn left_alone(suite: &Suite) -> Outcome {
    let (catalog, row) = filled(suite).await?;
    let catalog = &*catalog;
    left(suite, catalog, &row, "read", || catalog.read(Table::Keys, "id")).await?;
    left(suite, catalog, &row, "find", || catalog.find(Table::Keys, "u")).await?;
    left(suite, catalog, &row, "list", || catalog.list(Table::Keys, Some("o"), None, ALL)).await?;
    left(suite, catalog, &row, "due", || catalog.due(Table::Keys, None, 1, ALL)).await?;
    left(suite, catalog, &row, "snapshot", || catalog.snapshot()).await?;
    // Refused, so that it changes nothing.
    left(suite, catalog, &row, "commit", || catalog.commit(inserts([&row]))).await
}

/// Leaves the call at every moment, and checks that the catalogue works meanwhile.
async fn left<T: Send, F: Future<Output = T> + Send>(
    suite: &Suite,
    catalog: &dyn Catalog,
    held: &Row,
    name: &str,
    call: impl Fn() -> F,
) -> Outcome {
    for moment in moments(suite.cancellation_rounds) {
        let after = format!("while {name} is left alone ({moment})");
        let works = async || works(catalog, held, &after).await;
        let (works, is_done) = poll_and_leave(&*suite.clock, call(), moment, works).await;
        works?;
        if is_done {
            break;
        }
    }
    Ok(())
}

/// It counts as closed, or it works; closing it again does the rest.
async fn close(suite: &Suite) -> Outcome {
    for moment in moments(suite.cancellation_rounds) {
        let (catalog, row) = filled(suite).await?;
        let answer = poll_and_drop(&*suite.clock, catalog.close(), moment).await;
        match catalog.read(Table::Keys, "id").await {
            Err(error) if error.kind() == crate::catalog::CatalogErrorKind::Closed => {}
            _ => works(&*catalog, &row, &moment.after("close")).await?,
        }
        catalog.close().await.or_fail(format!("{}, close", moment.after("close")))?;
        if let Some(answer) = answer {
            return answer.or_fail("close");
        }
    }
    Ok(())
}
