//! The audit trail: what a line costs its caller, how fast they are written, and what a durable one takes.
//!
//! The files lie in the folder for temporary files: how long a sync takes is the medium's affair.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use criterion::{Criterion, Throughput};
use custom_key_store::audit::{
    AuditCategory, AuditLog, AuditOutcome, AuditRecord, AuditSink as _, AuditTrail, OnFailure, verify,
};
use custom_key_store::backend::{AccountId, BackingKeyId, Operation, RequestId};
use custom_key_store::catalog::{Ledger, SqliteCatalog};
use custom_key_store::{EncryptionContext, Identity, KeyArn, Partition, Region, SealingKey, StoreId};
use custom_key_store_benches::criterion;
use futures_util::future::join_all;
use tokio::runtime::{Builder, Runtime};

/// Lines between two looks at whether all are written.
const LINES: u64 = 10_000;

/// What is shared by the lines of one caller who uses one key.
struct Call {
    principal: Arc<str>,
    key: KeyArn,
    store: StoreId,
    external: BackingKeyId,
    context: EncryptionContext,
}

impl Call {
    fn new() -> Result<Self, Box<dyn Error>> {
        Ok(Self {
            principal: "arn:aws:iam::111122223333:user/Alice".into(),
            key: KeyArn::new("arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab")?,
            store: StoreId::generate(),
            external: BackingKeyId::new("payroll")?,
            context: EncryptionContext::new([("tenant", "blue"), ("purpose", "backup")])?,
        })
    }

    fn record(&self) -> AuditRecord {
        AuditRecord::call(SystemTime::now(), AuditCategory::Cryptographic, Operation::ENCRYPT)
            .with_request_id(RequestId::generate())
            .with_principal(Arc::clone(&self.principal))
            .with_key(self.key.clone())
            .with_store(self.store.clone())
            .with_backing_key(self.external.clone())
            .with_encryption_context(self.context.clone())
            .with_parameter("encryptionAlgorithm", "SYMMETRIC_DEFAULT")
            .with_outcome(AuditOutcome::Succeeded)
    }
}

async fn ledger(path: &Path) -> Result<Ledger, Box<dyn Error>> {
    let identity =
        Identity::new(Partition::new("aws")?, Region::new("us-east-1")?, AccountId::new("111122223333")?);
    let catalog = SqliteCatalog::create(path).await?;
    Ok(Ledger::create(catalog, &SealingKey::generate(), identity).await?)
}

fn enqueuing(criterion: &mut Criterion, runtime: &Runtime, log: &AuditLog, call: &Call) {
    let trail = AuditTrail::new(log.clone(), OnFailure::Refuse);
    let enqueue = || trail.begin().map(|entry| entry.enqueue(call.record())).is_ok();
    let mut group = criterion.benchmark_group("a line that nobody waits for");
    group.bench_function("record alone", |bencher| bencher.iter(|| call.record()));
    for threads in [1, 2] {
        // What waits is written between the measurements, so that there is always room.
        group.bench_function(format!("begin, record, enqueue, {threads} at once"), |bencher| {
            bencher.iter_custom(|count| {
                let mut spent = Duration::ZERO;
                for from in (0..count).step_by(10_000) {
                    let lines = LINES.min(count - from);
                    let start = Instant::now();
                    std::thread::scope(|scope| {
                        let work = || assert!((0..lines).all(|_| enqueue()), "there is room");
                        (1..threads).for_each(|_| drop(scope.spawn(work)));
                        work();
                    });
                    spent += start.elapsed();
                    runtime.block_on(log.flush()).unwrap_or_default();
                }
                spent
            });
        });
    }
    group.finish();
}

fn writing(criterion: &mut Criterion, runtime: &Runtime, log: &AuditLog, call: &Call) {
    let write = || async {
        let reserved = log.reserve(OnFailure::Refuse);
        reserved.is_ok() && log.write(call.record()).await.is_ok()
    };
    let mut group = criterion.benchmark_group("writing");
    group.throughput(Throughput::Elements(LINES));
    group.bench_function(format!("{LINES} lines, until all are durable"), |bencher| {
        bencher.iter(|| {
            (0..LINES).for_each(|_| {
                let reserved = log.reserve(OnFailure::Refuse);
                assert!(reserved.is_ok() && log.enqueue(call.record()).is_ok());
            });
            runtime.block_on(log.flush()).is_ok()
        });
    });
    for together in [1, 64] {
        group.throughput(Throughput::Elements(together));
        group.bench_function(format!("{together} durable lines at once"), |bencher| {
            bencher.iter(|| {
                assert!(runtime.block_on(join_all((0..together).map(|_| write()))).iter().all(|done| *done))
            });
        });
    }
    group.finish();
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut criterion = criterion();
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let folder = tempfile::tempdir()?;
    let call = Call::new()?;
    let ledger = runtime.block_on(ledger(&folder.path().join("catalogue")))?;
    let path = folder.path().join("audit.jsonl");
    let log =
        runtime.block_on(AuditLog::builder(&ledger).max_lines(100_000).max_bytes(1 << 30).open(&path))?;
    enqueuing(&mut criterion, &runtime, &log, &call);
    writing(&mut criterion, &runtime, &log, &call);
    runtime.block_on(log.close())?;

    // Of the file that was written to last.
    let log = runtime.block_on(
        AuditLog::builder(&ledger).max_lines(100_000).max_bytes(1 << 30).max_file_size(u64::MAX).open(&path),
    )?;
    for _ in 0..5 * LINES {
        log.reserve(OnFailure::Refuse)?;
        log.enqueue(call.record())?;
    }
    runtime.block_on(log.close())?;
    let lines = runtime.block_on(custom_key_store::audit::verify_part(&ledger, [&path]))?.lines;
    let mut group = criterion.benchmark_group("reading");
    group.throughput(Throughput::Elements(lines)).sample_size(10);
    group.bench_function("verify", |bencher| {
        bencher.iter(|| {
            runtime.block_on(verify(&ledger, [&path])).map(|report| report.lines).unwrap_or_default()
        });
    });
    group.bench_function("open and close", |bencher| {
        bencher.iter(|| {
            let log = runtime.block_on(AuditLog::open(&ledger, &path))?;
            runtime.block_on(log.close())
        });
    });
    group.finish();
    criterion.final_summary();
    Ok(())
}
