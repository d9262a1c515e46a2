//! A process that is killed loses nothing that it was told is done, and leaves nothing half done.
//!
//! The process is this test binary once more, running [`child`], which does nothing unless it is asked to.

use std::env;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use custom_key_store::catalog::{Catalog as _, CatalogErrorKind as Kind, Edit, Row, SqliteCatalog, Table};
use futures::executor::block_on;

use super::super::random::Random;

const PLACE: &str = "CATALOGUE_OF_THE_CHILD";
const ROWS: usize = 5;

/// So many kills, each at another moment.
const KILLS: usize = 220;

fn row(number: usize, version: u64) -> Row {
    let mut row = Row::new(Table::Keys, format!("{number}"));
    row.version = version;
    row.unique = Some(format!("{number} at {version}"));
    row.owner = Some(format!("{}", version % 3));
    // Of one page and of several.
    row.body = vec![version.to_le_bytes()[0]; 400 + 700 * number];
    row
}

/// One row comes and goes with every commit, and five change together.
fn edits(version: u64) -> Vec<Edit> {
    let change = |number| {
        let row = row(number, version);
        if version == 1 { Edit::Insert(row) } else { Edit::Replace(row) }
    };
    let mut edits: Vec<_> = (0..ROWS).map(change).collect();
    edits.push(Edit::Insert(Row::new(Table::Tags, format!("{version}"))));
    if version > 1 {
        edits.push(Edit::delete(&Row::new(Table::Tags, format!("{}", version - 1))));
    }
    edits
}

/// The version that all rows are at, after a look at everything.
async fn version(catalog: &SqliteCatalog) -> u64 {
    let rows = catalog.list(Table::Keys, None, None, usize::MAX).await.unwrap();
    let Some(first) = rows.first() else {
        assert_eq!(catalog.list(Table::Tags, None, None, usize::MAX).await.unwrap(), []);
        return 0;
    };
    let version = first.version;
    assert_eq!(rows, (0..ROWS).map(|number| row(number, version)).collect::<Vec<_>>());
    for row in rows {
        let unique = row.unique.clone().unwrap();
        assert_eq!(catalog.find(Table::Keys, &unique).await.unwrap(), Some(row));
    }
    let owned = catalog.list(Table::Keys, Some(&format!("{}", version % 3)), None, usize::MAX).await.unwrap();
    assert_eq!(owned.len(), ROWS);
    let tags = catalog.list(Table::Tags, None, None, usize::MAX).await.unwrap();
    assert_eq!(tags, [Row::new(Table::Tags, format!("{version}"))]);
    version
}

/// Commits one version after another and says which are done.
#[test]
fn child() {
    let Some(place) = env::var_os(PLACE) else { return };
    block_on(async {
        let catalog = SqliteCatalog::open(place).await.unwrap();
        let mut out = std::io::stdout();
        let mut next = version(&catalog).await + 1;
        writeln!(out, "\nopen").unwrap();
        loop {
            catalog.commit(edits(next)).await.unwrap();
            writeln!(out, "done {next}").unwrap();
            next += 1;
        }
    });
}

fn spawn(place: &Path) -> (Child, BufReader<ChildStdout>) {
    let mut child = Command::new(env::current_exe().unwrap())
        .args(["--exact", "catalog::sqlite::crashing::child", "--nocapture"])
        .env(PLACE, place)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let out = BufReader::new(child.stdout.take().unwrap());
    (child, out)
}

fn wait_until_open(out: &mut BufReader<ChildStdout>) {
    let mut line = String::new();
    while line.trim() != "open" {
        line.clear();
        assert_ne!(out.read_line(&mut line).unwrap(), 0, "the child ended: it found something wrong");
    }
}

/// What it said last.
fn killed(mut child: Child, out: BufReader<ChildStdout>) -> u64 {
    child.kill().unwrap();
    child.wait().unwrap();
    let said = out.lines().map_while(Result::ok);
    // The last line may be half a line.
    let done = said.filter_map(|line| line.strip_prefix("done ").and_then(|number| number.parse().ok()));
    done.last().unwrap_or(0)
}

#[test]
fn a_killed_process_has_lost_nothing_and_torn_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("catalogue");
    block_on(async { SqliteCatalog::create(&place).await.unwrap().close().await.unwrap() });
    let mut random = Random(7);
    let (mut seen, mut acknowledged) = (0, 0);
    for kill in 0..KILLS {
        let (child, mut out) = spawn(&place);
        // Some are killed while they open what the one before left, most while they commit.
        if kill % 5 == 0 {
            thread::sleep(Duration::from_micros(random.next() % 20_000));
        } else {
            wait_until_open(&mut out);
            thread::sleep(Duration::from_micros(random.next() % 40_000));
        }
        acknowledged = killed(child, out).max(acknowledged);
        // Some leave what they left to the next child, which looks at it too.
        if kill % 4 == 0 {
            continue;
        }
        block_on(async {
            let catalog = SqliteCatalog::open(&place).await.expect("the killed owner owns it no more");
            let now = version(&catalog).await;
            assert!(
                now >= acknowledged,
                "kill {kill}: version {now}, though {acknowledged} was acknowledged"
            );
            assert!(now >= seen, "kill {kill}: version {now}, though {seen} was seen");
            seen = now;
            catalog.close().await.unwrap();
        });
    }
    assert!(seen > u64::try_from(KILLS).unwrap(), "{seen} commits are too few to be interrupted");
}

#[test]
fn another_process_is_kept_out_until_the_owner_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("catalogue");
    block_on(async { SqliteCatalog::create(&place).await.unwrap().close().await.unwrap() });
    let (child, mut out) = spawn(&place);
    wait_until_open(&mut out);
    let refused = block_on(SqliteCatalog::open(&place)).unwrap_err();
    assert_eq!(refused.kind(), Kind::InUse);
    // Looking is allowed, and shows whole versions, one after another.
    block_on(async {
        let look = SqliteCatalog::open_read_only(&place).await.unwrap();
        let start = Instant::now();
        let mut last = 0;
        while last < 5 {
            let rows = look.list(Table::Keys, None, None, usize::MAX).await.unwrap();
            let now = rows.first().map_or(0, |row| row.version);
            assert!(rows.iter().all(|row| row.version == now) && now >= last, "{rows:?} after {last}");
            last = now;
            assert!(start.elapsed() < Duration::from_secs(30), "the owner commits nothing");
        }
        look.close().await.unwrap();
    });
    let done = killed(child, out);
    block_on(async {
        let catalog = SqliteCatalog::open(&place).await.unwrap();
        assert!(version(&catalog).await >= done);
    });
}
