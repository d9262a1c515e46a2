//! `--verify` looks at what is kept as it is, and says what is missing to look at all of it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use custom_key_store::SealingKey;
use custom_key_store::audit::{
    AuditCategory, AuditLog, AuditOutcome, AuditRecord, AuditSink as _, OnFailure,
};
use custom_key_store::backend::Operation;
use custom_key_store::catalog::{Ledger, SqliteCatalog};
use futures::executor::block_on;

use super::server::program;
use crate::support::identity;

struct Kept(tempfile::TempDir);

impl Kept {
    /// A catalogue, whose audit log has some lines if it is to have one.
    fn new(has_log: bool) -> Self {
        let kept = Self(tempfile::tempdir().unwrap());
        block_on(async {
            let sealer = SealingKey::create_file(kept.path("sealing.key")).unwrap();
            let catalog = SqliteCatalog::create(kept.path("catalog.sqlite")).await.unwrap();
            let ledger = Ledger::create(catalog, &sealer, identity()).await.unwrap();
            if has_log {
                let log = AuditLog::open(&ledger, kept.log()).await.unwrap();
                for name in ["one", "two"] {
                    log.reserve(OnFailure::Refuse).unwrap();
                    let time = std::time::UNIX_EPOCH;
                    let record = AuditRecord::call(time, AuditCategory::Management, Operation::new(name));
                    log.write(record.with_outcome(AuditOutcome::Succeeded)).await.unwrap();
                }
                log.close().await.unwrap();
            }
            ledger.close().await.unwrap();
        });
        kept
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn log(&self) -> PathBuf {
        self.path("audit.jsonl")
    }

    /// Whether it is as it was written, and what is said.
    fn verified(&self, log: Option<&Path>) -> (bool, String) {
        let mut command = Command::new(program());
        command.args(["--verify", "--folder"]).arg(self.0.path());
        if let Some(log) = log {
            command.arg("--audit-log").arg(log);
        }
        let output = command.output().unwrap();
        let said = String::from_utf8([&output.stdout[..], &output.stderr].concat()).unwrap();
        (output.status.success(), said)
    }
}

#[test]
fn a_log_is_looked_at_before_anything_of_it_is_put_in_order() {
    let kept = Kept::new(true);
    let whole = fs::read(kept.log()).unwrap();
    let (is_intact, said) = kept.verified(Some(&kept.log()));
    assert!(is_intact && said.contains("5 lines in 1 file,") && said.contains("intact"), "{said}");
    assert!(fs::read(kept.log()).unwrap() == whole, "nothing is written to it");

    // As a crash leaves it.
    let torn = [&whole[..], br#"{"sequence":6,"eventTi"#].concat();
    fs::write(kept.log(), &torn).unwrap();
    let (is_intact, said) = kept.verified(Some(&kept.log()));
    assert!(is_intact && said.contains("as a crash leaves it"), "{said}");
    assert!(fs::read(kept.log()).unwrap() == torn);

    fs::write(kept.log(), &whole[..whole.len() - 100]).unwrap();
    let (is_intact, said) = kept.verified(Some(&kept.log()));
    assert!(!is_intact && said.contains("numbers 5 to 5 are cut off"), "{said}");
}

#[test]
fn a_log_that_is_not_given_is_asked_for_if_there_is_one() {
    let kept = Kept::new(true);
    let (is_intact, said) = kept.verified(None);
    assert!(!is_intact && said.contains("--audit-log FILE") && said.contains("`audit_log`"), "{said}");
    let kept = Kept::new(false);
    let (is_intact, said) = kept.verified(None);
    assert!(is_intact && said.contains("audit log: none"), "{said}");
}
