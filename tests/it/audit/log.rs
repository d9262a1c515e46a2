//! What is acknowledged is in the file, and the file is its owner's alone.

use std::fs;
use std::io::Write as _;
use std::time::Duration;

use custom_key_store::EncryptionContext;
use custom_key_store::audit::{
    self, AuditErrorKind as Kind, AuditLog, AuditRecord, AuditSink as _, AuditTrail, OnFailure,
};
use futures::executor::block_on;

use super::support::{Place, enqueue, ledger_at, open_patiently, prompt, record, wait_until, write};
use crate::support::{ledger, poll_once};

#[test]
fn what_was_written_is_there_when_it_is_opened_again() {
    block_on(async {
        let place = Place::new();
        let ledger = place.ledger().await;
        let log = AuditLog::open(&ledger, place.log()).await.unwrap();
        for name in ["CreateKey", "DisableKey"] {
            write(&log, name).await.unwrap();
        }
        assert_eq!((log.lines(), log.waiting()), (4, 0));
        log.close().await.unwrap();
        ledger.close().await.unwrap();

        let ledger = place.ledger().await;
        let log = AuditLog::open(&ledger, place.log()).await.unwrap();
        write(&log, "EnableKey").await.unwrap();
        log.close().await.unwrap();
        let (open, close) = ("OpenAuditLog", "CloseAuditLog");
        let names = ["BeginAuditFile", open, "CreateKey", "DisableKey", close, open, "EnableKey", close];
        assert_eq!(place.names(), names);
        for (number, line) in place.lines().into_iter().enumerate() {
            assert_eq!(line["sequence"], number + 1);
            // What is written down of an operation is in the line as it is.
            let read: AuditRecord = serde_json::from_value(line.clone()).unwrap();
            if line["eventType"] == "AwsApiCall" {
                assert_eq!(read, record(names[number]));
            }
            assert!(line["serviceEventDetails"].get("adoptedLines").is_none(), "{line}");
        }
        let report = audit::verify(&ledger, [place.log()]).await.unwrap();
        assert!(report.is_intact(), "{report}");
        assert_eq!((report.lines, report.proven, report.last, report.head), (8, 8, 8, Some(8)));
    });
}

#[test]
fn lines_are_written_in_their_order_whoever_waits_for_them() {
    block_on(async {
        let place = Place::new();
        let ledger = place.ledger().await;
        // Nobody else would ever write them.
        let log =
            AuditLog::builder(&ledger).delay(Duration::from_secs(3600)).open(place.log()).await.unwrap();
        for number in 0..100 {
            enqueue(&log, format!("{number}"));
        }
        assert_eq!(log.lines(), 2);
        write(&log, "100").await.unwrap();
        let expected: Vec<_> = (0..=100).map(|number| number.to_string()).collect();
        assert_eq!(place.names()[2..], expected);
        enqueue(&log, "101");
        log.flush().await.unwrap();
        assert_eq!(place.names()[103], "101");
    });
}

#[test]
fn a_line_that_nobody_waits_for_is_written_soon() {
    block_on(async {
        let place = Place::new();
        let ledger = place.ledger().await;
        let log = AuditLog::open(&ledger, place.log()).await.unwrap();
        enqueue(&log, "Encrypt");
        wait_until(|| log.lines() == 3);
        assert_eq!(place.names()[2], "Encrypt");
    });
}

#[test]
fn a_write_whose_caller_went_away_takes_place() {
    block_on(async {
        let place = Place::new();
        let ledger = place.ledger().await;
        let log = AuditLog::open(&ledger, place.log()).await.unwrap();
        log.reserve(OnFailure::Refuse).unwrap();
        let mut writing = log.write(record("CreateKey"));
        let _ = poll_once(&mut writing);
        drop(writing);
        log.flush().await.unwrap();
        assert_eq!((place.names()[2].as_str(), log.waiting()), ("CreateKey", 0));
    });
}

#[test]
fn a_log_has_one_owner() {
    block_on(async {
        let place = Place::new();
        let (one, two) = (place.ledger().await, ledger_at(&place.path("other")).await);
        let log = AuditLog::open(&one, place.log()).await.unwrap();
        // Neither another log of the ledger, nor the file for another ledger.
        let kind = async |ledger, path| AuditLog::open(ledger, path).await.unwrap_err().kind();
        assert_eq!(kind(&one, place.path("other.jsonl")).await, Kind::InUse);
        assert_eq!(kind(&two, place.log()).await, Kind::InUse);
        log.close().await.unwrap();
        // One that it does not belong to does not go on with it.
        let error = AuditLog::open(&two, place.log()).await.unwrap_err();
        assert_eq!((error.kind(), error.place().unwrap()), (Kind::Altered, (&*place.log(), Some(1))));
        AuditLog::open(&one, place.log()).await.unwrap();
    });
}

#[test]
fn what_waits_when_the_log_is_dropped_is_written() {
    block_on(async {
        let place = Place::new();
        let ledger = place.ledger().await;
        let log =
            AuditLog::builder(&ledger).delay(Duration::from_secs(3600)).open(place.log()).await.unwrap();
        for number in 0..50 {
            enqueue(&log, format!("{number}"));
        }
        drop(log);
        let log = open_patiently(&ledger, &place.log()).await;
        assert_eq!(place.names().len(), 2 + 50 + 2);
        assert_eq!(place.names()[52..], ["CloseAuditLog", "OpenAuditLog"]);
        // An opening that nobody waits for any more leaves no owner behind.
        drop(log);
        for _ in 0..20 {
            let path = place.log();
            let _ = poll_once(&mut Box::pin(open_patiently(&ledger, &path)));
        }
        let log = open_patiently(&ledger, &place.log()).await;
        assert!(log.verify().await.unwrap().is_intact());
    });
}

#[test]
fn after_it_was_closed_nothing_is_taken_any_more() {
    block_on(async {
        let place = Place::new();
        let ledger = place.ledger().await;
        let log = AuditLog::open(&ledger, place.log()).await.unwrap();
        log.reserve(OnFailure::Refuse).unwrap();
        log.reserve(OnFailure::Refuse).unwrap();
        log.clone().close().await.unwrap();
        log.close().await.unwrap();
        let before = fs::read(place.log()).unwrap();
        let closed = Kind::Closed;
        assert_eq!(log.enqueue(record("late")).unwrap_err().kind(), closed);
        assert_eq!(log.write(record("late")).await.unwrap_err().kind(), closed);
        for policy in [OnFailure::Refuse, OnFailure::Continue] {
            assert_eq!(log.reserve(policy).unwrap_err().kind(), closed);
        }
        assert_eq!(log.flush().await.unwrap_err().kind(), closed);
        assert_eq!(log.verify().await.unwrap_err().kind(), closed);
        assert!(fs::read(place.log()).unwrap() == before);
        assert_eq!(log.waiting(), 0);
    });
}

type Change = fn(&std::path::Path);

#[test]
fn a_file_that_somebody_takes_away_or_changes_is_noticed_with_the_next_line() {
    block_on(async {
        let cases: [(&str, Change, Kind); 5] = [
            ("removed", |path| fs::remove_file(path).unwrap(), Kind::CutOff),
            ("renamed", |path| fs::rename(path, path.with_extension("old")).unwrap(), Kind::CutOff),
            (
                "replaced",
                |path| {
                    let content = fs::read(path).unwrap();
                    fs::remove_file(path).unwrap();
                    fs::write(path, content).unwrap();
                },
                Kind::CutOff,
            ),
            ("emptied", |path| fs::write(path, "").unwrap(), Kind::CutOff),
            (
                "longer",
                |path| {
                    fs::OpenOptions::new().append(true).open(path).unwrap().write_all(b"{}\n").unwrap();
                },
                Kind::Altered,
            ),
        ];
        for (case, change, kind) in cases {
            let place = Place::new();
            let ledger = ledger();
            let log = prompt(&ledger).open(place.log()).await.unwrap();
            write(&log, "one").await.unwrap();
            change(&place.log());
            let error = write(&log, "two").await.unwrap_err();
            assert_eq!((error.kind(), error.place().unwrap().0), (kind, &*place.log()), "{case}");
            assert!(log.reserve(OnFailure::Refuse).is_err(), "{case}");
            assert!(log.close().await.is_err());
        }
    });
}

#[cfg(unix)]
#[test]
fn an_owner_whose_lock_was_removed_writes_nothing_any_more() {
    block_on(async {
        let place = Place::new();
        let ledger = place.ledger().await;
        let log = prompt(&ledger).open(place.log()).await.unwrap();
        let before = fs::read(place.log()).unwrap();
        fs::remove_file(place.path("audit.jsonl.lock")).unwrap();
        assert_eq!(write(&log, "one").await.unwrap_err().kind(), Kind::InUse);
        assert!(fs::read(place.log()).unwrap() == before);
    });
}

#[cfg(unix)]
#[test]
fn all_files_are_their_owners_alone() {
    use std::os::unix::fs::PermissionsExt as _;

    block_on(async {
        let place = Place::new();
        let ledger = ledger();
        let log = prompt(&ledger).max_file_size(600).open(place.log()).await.unwrap();
        for number in 0..9 {
            write(&log, format!("{number}")).await.unwrap();
        }
        assert!(place.files().len() > 2);
        for path in place.paths().into_iter().chain([place.path("audit.jsonl.lock")]) {
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600, "{path:?}");
        }
    });
}

#[test]
fn full_files_are_put_aside_and_the_next_goes_on_where_they_end() {
    block_on(async {
        let place = Place::new();
        let ledger = place.ledger().await;
        let mut next = 0;
        for _ in 0..3 {
            let log = prompt(&ledger).max_file_size(1000).open(place.log()).await.unwrap();
            for _ in 0..10 {
                write(&log, format!("{next}")).await.unwrap();
                next += 1;
            }
            let report = log.verify().await.unwrap();
            assert!(report.is_intact(), "{report}");
            log.close().await.unwrap();
        }
        let files = place.files();
        assert!(files.len() > 5, "{}", files.len());
        let mut line = 1;
        for (name, content) in &files {
            let lines: Vec<serde_json::Value> = content
                .split_inclusive(|byte| *byte == b'\n')
                .map(|line| serde_json::from_slice(line).unwrap())
                .collect();
            assert_eq!(
                (&lines[0]["eventName"], &lines[0]["sequence"]),
                (&"BeginAuditFile".into(), &line.into())
            );
            let last = line + lines.len() - 1;
            if name != "audit.jsonl" {
                assert_eq!(*name, format!("audit.{line:012}-{last:012}.jsonl"));
                assert!((1000..1500).contains(&content.len()), "{}", content.len());
            }
            line = last + 1;
        }
        let calls: Vec<_> =
            place.lines().into_iter().filter(|line| line["eventType"] == "AwsApiCall").collect();
        assert_eq!(calls.len(), 30);
        let report = audit::verify(&ledger, place.paths().into_iter().rev()).await.unwrap();
        assert!(report.is_intact(), "{report}");
        assert_eq!((report.files, report.last), (files.len(), line as u64 - 1));

        // Those that are full may be kept elsewhere.
        let elsewhere = tempfile::tempdir().unwrap();
        let mut full = place.paths();
        assert_eq!(full.pop(), Some(place.log()));
        for path in full {
            fs::rename(&path, elsewhere.path().join(path.file_name().unwrap())).unwrap();
        }
        let log = prompt(&ledger).open(place.log()).await.unwrap();
        write(&log, "after").await.unwrap();
        log.close().await.unwrap();
        let part = audit::verify_part(&ledger, &place.paths()).await.unwrap();
        assert!(part.is_intact() && part.head.is_none(), "{part}");
    });
}

#[test]
fn what_is_in_the_way_of_a_full_file_is_not_written_over() {
    block_on(async {
        let place = Place::new();
        let ledger = ledger();
        let log = prompt(&ledger).max_file_size(1).open(place.log()).await.unwrap();
        write(&log, "one").await.unwrap();
        log.flush().await.unwrap();
        let next = place.path(&format!("audit.{:012}-{:012}.jsonl", log.lines(), log.lines() + 1));
        fs::write(&next, "a letter").unwrap();
        write(&log, "two").await.unwrap();
        log.flush().await.unwrap();
        assert_eq!(fs::read(&next).unwrap(), b"a letter");
        assert!(next.with_extension("2.jsonl").exists());
    });
}

#[test]
fn a_record_that_is_too_long_for_a_line_loses_what_is_longest() {
    block_on(async {
        let place = Place::new();
        let ledger = ledger();
        let log = prompt(&ledger).open(place.log()).await.unwrap();
        let text = "\u{1}".repeat(300_000);
        let context = EncryptionContext::new([("a", "b")]).unwrap();
        let long = record(text.clone())
            .with_principal(text.clone())
            .with_encryption_context(context)
            .with_parameter("text", text.clone())
            .with_request_id(text.as_str().into());
        for record in [long, record("CreateKey").with_parameter("text", text.clone()).with_principal("Alice")]
        {
            log.reserve(OnFailure::Refuse).unwrap();
            log.write(record).await.unwrap();
        }
        let lines = place.lines();
        for line in &lines[2..] {
            assert!(line.to_string().len() < 256 << 10);
            assert!(line["requestParameters"]["omittedForLength"].as_u64().unwrap() > 256 << 10);
        }
        assert_eq!((&lines[3]["principal"], &lines[3]["eventName"]), (&"Alice".into(), &"CreateKey".into()));
        assert!(log.verify().await.unwrap().is_intact());
        log.close().await.unwrap();
        prompt(&ledger).open(place.log()).await.unwrap();
    });
}

#[test]
fn nothing_that_is_secret_shows() {
    block_on(async {
        let place = Place::new();
        let ledger = place.ledger().await;
        let builder = prompt(&ledger);
        let log = builder.open(place.log()).await.unwrap();
        write(&log, "one").await.unwrap();
        let shown = format!("{builder:?} {log:?} {:?}", AuditTrail::new(log.clone(), OnFailure::Refuse));
        // Neither keys nor codes: names of types and fields, limits and paths.
        assert!(!shown.contains("hmac") && !shown.contains("key"), "{shown}");
        let codes: Vec<String> =
            place.lines().iter().map(|line| line["hmac"].as_str().unwrap().into()).collect();
        assert!(codes.iter().all(|code| !shown.contains(code)));
    });
}
