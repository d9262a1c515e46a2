//! The longest, the shortest and the strangest.

use super::Suite;
use super::content::{commit, holds, inserts, refused, row};
use super::listing::IDS;
use crate::catalog::{CatalogErrorKind as Kind, Edit, Row, Table};
use crate::conformance::{Outcome, checks};

checks!("limits": longest, illegal, texts, bodies);

async fn longest(suite: &Suite) -> Outcome {
    let catalog = suite.empty().await?;
    // Of four bytes each.
    let text = "\u{1f511}".repeat(Row::MAX_TEXT_LEN / 4);
    let mut long = row(Table::Keys, &text).unique(&text).owned_by(&text).due_at(i64::MIN);
    long.body = vec![0xff; Row::MAX_BODY_LEN];
    long.mac = [0xff; 32];
    let mut short = row(Table::Keys, "s").unique("s").owned_by("s").due_at(i64::MAX);
    short.body = Vec::new();
    short.mac = [0; 32];
    commit(&*catalog, inserts([&long, &short])).await?;
    holds(&*catalog, &[&long, &short], "the longest and the shortest row").await?;
    let mut other = long.next();
    other.body = vec![0; Row::MAX_BODY_LEN];
    commit(&*catalog, vec![Edit::Replace(other.clone())]).await?;
    holds(&*catalog, &[&other, &short], "replacing the longest row").await
}

async fn illegal(suite: &Suite) -> Outcome {
    let catalog = suite.empty().await?;
    let legal = row(Table::Keys, "legal");
    commit(&*catalog, inserts([&legal])).await?;
    let long = "x".repeat(Row::MAX_TEXT_LEN + 1);
    let base = || row(Table::Keys, "id");
    let mut rows = vec![
        row(Table::Keys, ""),
        row(Table::Keys, &long),
        base().owned_by(""),
        base().owned_by(&long),
        base().unique(""),
        base().unique(&long),
    ];
    let (mut body, mut zero, mut beyond) = (base(), base(), base());
    body.body = vec![0; Row::MAX_BODY_LEN + 1];
    zero.version = 0;
    beyond.version = Row::MAX_VERSION + 1;
    rows.extend([body, zero, beyond]);
    for illegal in &rows {
        for edit in [Edit::Insert(illegal.clone()), Edit::Replace(illegal.clone())] {
            let call = format!("an illegal row ({:.80})", format!("{illegal:?}"));
            refused(&*catalog, vec![edit], Kind::InvalidRow, illegal, &[&legal], &call).await?;
        }
    }
    Ok(())
}

/// None is altered, and none is taken for another.
async fn texts(suite: &Suite) -> Outcome {
    let catalog = suite.empty().await?;
    let strange = [
        "'",
        "\"",
        "''; DROP TABLE rows; --",
        "%",
        "_",
        "\\",
        "\r\n",
        "\t",
        "\u{feff}",
        "\u{202e}x",
        "null",
        "1",
        "1.0",
        "01",
        " 1",
    ];
    let rows: Vec<_> =
        IDS.iter().chain(&strange).map(|text| row(Table::Tags, *text).unique(text).owned_by(text)).collect();
    commit(&*catalog, inserts(&rows)).await?;
    holds(&*catalog, &rows.iter().collect::<Vec<_>>(), "rows of strange texts").await
}

async fn bodies(suite: &Suite) -> Outcome {
    let catalog = suite.empty().await?;
    let lengths = [0, 1, 255, 256, 4095, 4096, 4097, 65_537];
    let mut rows: Vec<_> = lengths
        .iter()
        .map(|length| {
            let mut row = row(Table::Keys, format!("of {length}"));
            row.body = (0..=u8::MAX).cycle().take(*length).collect();
            row
        })
        .collect();
    for body in [&b"text"[..], b"\0", b"\xff\xfe", b"\0\0end"] {
        let mut row = row(Table::Keys, format!("{body:?}"));
        row.body = body.to_vec();
        rows.push(row);
    }
    commit(&*catalog, inserts(&rows)).await?;
    holds(&*catalog, &rows.iter().collect::<Vec<_>>(), "bodies of all bytes").await
}
