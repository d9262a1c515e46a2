//! A catalogue in a file: what it costs does not depend on how many rows there are, nor on where in them one reads.

use std::error::Error;
use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, SamplingMode};
use custom_key_store::catalog::{Catalog as _, CatalogError, Edit, Row, SqliteCatalog, Table};
use custom_key_store_benches::criterion;
use tokio::runtime::{Builder, Runtime};

/// Rows of a page.
const PAGE: usize = 100;
/// Rows of one owner are spread over the whole.
const OWNERS: usize = 10;

fn id(number: usize) -> String {
    format!("{number:08}")
}

/// As a KMS key's might be.
fn row(number: usize) -> Row {
    let mut row = Row::new(Table::Keys, id(number));
    row.owner = Some(format!("owner {}", number % OWNERS));
    row.unique = Some(format!("unique {number}"));
    row.due = i64::try_from(number).ok();
    row.body = vec![0x5a; 300];
    row
}

async fn fill(catalog: &SqliteCatalog, rows: usize) -> Result<(), CatalogError> {
    for from in (0..rows).step_by(10_000) {
        let some = from..rows.min(from + 10_000);
        catalog.commit(some.map(|number| Edit::Insert(row(number))).collect()).await?;
    }
    Ok(())
}

fn reading(criterion: &mut Criterion, runtime: &Runtime, catalog: &SqliteCatalog, rows: usize) {
    let places = [("first", 0), ("middle", rows / 2), ("last", rows - PAGE)];
    let mut group = criterion.benchmark_group(format!("{rows} rows, page of {PAGE}"));
    for (name, after) in places {
        let after = id(after);
        group.bench_function(BenchmarkId::new("list", name), |bencher| {
            bencher.iter(|| black_box(runtime.block_on(catalog.list(Table::Keys, None, Some(&after), PAGE))));
        });
    }
    for (name, after) in places {
        // The last page of an owner begins earlier.
        let after = id(after.min(rows - PAGE * OWNERS));
        group.bench_function(BenchmarkId::new("list of owner", name), |bencher| {
            bencher.iter(|| {
                black_box(runtime.block_on(catalog.list(Table::Keys, Some("owner 3"), Some(&after), PAGE)))
            });
        });
    }
    group.bench_function("due", |bencher| {
        bencher.iter(|| black_box(runtime.block_on(catalog.due(Table::Keys, None, i64::MAX, PAGE))));
    });
    group.finish();

    let mut group = criterion.benchmark_group(format!("{rows} rows, one row"));
    let (one, unique) = (id(rows / 2), format!("unique {}", rows / 2));
    group.bench_function("read", |bencher| {
        bencher.iter(|| black_box(runtime.block_on(catalog.read(Table::Keys, &one))));
    });
    group.bench_function("find", |bencher| {
        bencher.iter(|| black_box(runtime.block_on(catalog.find(Table::Keys, &unique))));
    });
    group.finish();
}

fn committing(criterion: &mut Criterion, runtime: &Runtime, catalog: &SqliteCatalog, rows: usize) {
    let mut group = criterion.benchmark_group(format!("{rows} rows, commit of one row"));
    let mut latest = row(rows / 2);
    group.bench_function("replace", |bencher| {
        bencher.iter(|| {
            latest.version += 1;
            let answer = runtime.block_on(catalog.commit(vec![Edit::Replace(latest.clone())]));
            assert!(answer.is_ok(), "{answer:?}");
        });
    });
    let new = Row::new(Table::Tags, "new");
    group.bench_function("insert and delete", |bencher| {
        bencher.iter(|| {
            let inserted = runtime.block_on(catalog.commit(vec![Edit::Insert(new.clone())]));
            let deleted = runtime.block_on(catalog.commit(vec![Edit::delete(&new)]));
            assert!(inserted.is_ok() && deleted.is_ok(), "{inserted:?} {deleted:?}");
        });
    });
    group.finish();
}

fn main() -> Result<(), Box<dyn Error>> {
    // As criterion tells them apart. Whether it runs at all is soon known.
    let asked = |option: &str| std::env::args().any(|argument| argument == option);
    let trial = !asked("--bench") || asked("--test");
    let sizes = if trial { [1_000, 2_000] } else { [1_000, 100_000] };
    let runtime = Builder::new_current_thread().build()?;
    let mut criterion = criterion();
    for rows in sizes {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("catalogue");
        let catalog = runtime.block_on(SqliteCatalog::create(&path))?;
        runtime.block_on(fill(&catalog, rows))?;
        reading(&mut criterion, &runtime, &catalog, rows);
        committing(&mut criterion, &runtime, &catalog, rows);
        runtime.block_on(catalog.close())?;

        let mut group = criterion.benchmark_group(format!("{rows} rows, all"));
        group.sample_size(10).sampling_mode(SamplingMode::Flat).measurement_time(Duration::from_secs(3));
        group.bench_function("open and close", |bencher| {
            bencher.iter(|| {
                let closed = runtime.block_on(async { SqliteCatalog::open(&path).await?.close().await });
                assert!(closed.is_ok(), "{closed:?}");
            });
        });
        group.finish();
    }
    criterion.final_summary();
    Ok(())
}
