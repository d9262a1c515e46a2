//! A medium that is full holds up the log, and no more: nothing is half written, and it goes on when there is room.

/// By a limit on the size of the process's files, which fails as a full medium does: within a write.
#[cfg(target_os = "linux")]
mod full {
    use std::env;
    use std::fs;
    use std::path::Path;
    use std::process::Command;
    use std::time::{Duration, Instant};

    use custom_key_store::audit::{self, AuditErrorKind as Kind, AuditSink as _, AuditTrail, OnFailure};
    use futures::executor::block_on;

    use super::super::support::{Place, ledger_on, prompt, record, wait_until};

    const PLACE: &str = "AUDIT_LOG_THAT_MEETS_A_LIMIT";

    /// Of files, in bytes. `ulimit` counts in blocks of 512 bytes, or of 1024 as some shells do.
    const LIMIT: usize = 16 << 10;

    fn limit(bytes: &str) {
        let id = std::process::id().to_string();
        let done =
            Command::new("prlimit").args(["--pid", &id, &format!("--fsize={bytes}:")]).status().unwrap();
        assert!(done.success());
    }

    /// Does nothing unless it is asked to, by [`run`]: the limit holds for the whole process.
    #[test]
    fn child() {
        let Some(place) = env::var_os(PLACE) else { return };
        let place = Path::new(&place);
        let path = place.join("audit.jsonl");
        block_on(async {
            // A catalogue in memory, so that it is the log's file that is full.
            let ledger = ledger_on(custom_key_store::catalog::MemoryCatalog::new()).await;
            let log = prompt(&ledger).max_lines(100).open(&path).await.unwrap();
            let refuse = AuditTrail::new(log.clone(), OnFailure::Refuse);
            let proceed = AuditTrail::new(log.clone(), OnFailure::Continue);
            limit(&LIMIT.to_string());
            let mut written = 0;
            let error = loop {
                match refuse.begin().unwrap().write(record(format!("{written}"))).await {
                    Ok(()) => written += 1,
                    Err(error) => break error,
                }
            };
            assert_eq!((error.kind(), error.place().unwrap().0), (Kind::NoRoom, &*path));
            assert!((30..LIMIT / 100).contains(&written), "{written}");
            // Not half a line.
            let content = fs::read(&path).unwrap();
            assert!(content.ends_with(b"}\n") && content.len() <= LIMIT);
            assert_eq!(content.iter().filter(|byte| **byte == b'\n').count(), written + 2);

            // Who refuses does so before anything happens; who goes on fills the queue, and then counts.
            assert_eq!(refuse.begin().unwrap_err().kind(), Kind::NoRoom);
            for number in 0..150 {
                proceed.begin().unwrap().enqueue(record(format!("waits {number}")));
            }
            assert_eq!(proceed.lost(), 51);
            assert_eq!(log.flush().await.unwrap_err().kind(), Kind::NoRoom);

            limit("unlimited");
            wait_until(|| log.failure().is_none() && log.waiting() == 0);
            proceed.flush().await.unwrap();
            refuse.begin().unwrap().write(record("after")).await.unwrap();
            let report = log.verify().await.unwrap();
            assert!(report.is_intact(), "{report}");
            log.close().await.unwrap();
            let report = audit::verify(&ledger, [&path]).await.unwrap();
            // The first two; what was written and the one that waited; the queue; what was lost; what came after.
            let lines = 2 + written + 1 + 99 + 2 + 1 + 1;
            assert_eq!((report.is_intact(), report.lines), (true, lines as u64), "{report}");
        });
        fs::write(place.join("done"), "").unwrap();
    }

    #[test]
    fn a_full_medium_holds_up_the_log_until_there_is_room() {
        let place = Place::new();
        let child = env::current_exe().unwrap();
        // A signal would end the process at the limit, unless it is ignored.
        let run = "trap '' XFSZ; exec \"$0\" --exact audit::faults::full::child --nocapture";
        let mut child =
            Command::new("sh").args(["-c", run]).arg(child).env(PLACE, place.path("")).spawn().unwrap();
        let start = Instant::now();
        while child.try_wait().unwrap().is_none() {
            if start.elapsed() > Duration::from_secs(120) {
                child.kill().unwrap();
                panic!("the child hangs");
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        assert!(place.path("done").exists(), "the child found something wrong");
    }
}

/// A file that takes nothing, as the system has one.
#[cfg(target_os = "linux")]
#[test]
fn a_device_is_no_file_for_a_log() {
    use custom_key_store::audit::AuditErrorKind as Kind;
    use futures::executor::block_on;

    let place = super::support::Place::new();
    std::os::unix::fs::symlink("/dev/full", place.log()).unwrap();
    let error = block_on(super::support::prompt(&crate::support::ledger()).open(place.log())).unwrap_err();
    assert_eq!(error.kind(), Kind::Unavailable);
}
