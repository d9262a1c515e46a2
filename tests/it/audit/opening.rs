//! However a process ended, its log is found again; and whatever is missing from it is noticed.

use std::fs;
use std::sync::Arc;

use custom_key_store::audit::{
    self, AuditErrorKind as Kind, AuditFindingKind as Finding, AuditLog, AuditSink as _,
};
use custom_key_store::catalog::MemoryCatalog;
use futures::executor::block_on;

use super::support::{Place, copy_of, ledger_at, ledger_on, prompt, write};
use crate::support::ledger;

/// A log that was closed twice, and its catalogue at either time.
pub(super) struct Twice {
    pub(super) place: Place,
    /// Of either time, the catalogue and what was in the file.
    pub(super) first: (Arc<MemoryCatalog>, Vec<u8>),
    pub(super) second: (Arc<MemoryCatalog>, Vec<u8>),
}

pub(super) async fn twice() -> Twice {
    let place = Place::new();
    let catalog = Arc::new(MemoryCatalog::new());
    let ledger = ledger_on(Arc::clone(&catalog)).await;
    let mut times = Vec::new();
    for names in [["a", "b"], ["c", "d"]] {
        let log = prompt(&ledger).open(place.log()).await.unwrap();
        for name in names {
            write(&log, name).await.unwrap();
        }
        log.close().await.unwrap();
        times.push((copy_of(&catalog).await, fs::read(place.log()).unwrap()));
    }
    let second = times.pop().unwrap();
    Twice { place, first: times.pop().unwrap(), second }
}

/// Where lines end.
pub(super) fn ends(content: &[u8]) -> Vec<usize> {
    content.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at + 1).collect()
}

#[test]
fn what_the_catalogue_does_not_know_of_yet_is_adopted_up_to_every_byte() {
    block_on(async {
        let Twice { place, first, second } = twice().await;
        let (whole, ends) = (&second.1, ends(&second.1));
        // Every byte of a line, and all around each of the others.
        let near = |length: usize| ends.iter().any(|end| end.abs_diff(length) < 3);
        let lengths = (first.1.len()..=whole.len())
            .filter(|length| (ends[5]..ends[6]).contains(length) || near(*length));
        for length in lengths {
            fs::write(place.log(), &whole[..length]).unwrap();
            let ledger = ledger_on(copy_of(&first.0).await).await;
            let complete = ends.iter().filter(|end| **end <= length).count();
            let whole_lines = *ends[..complete].last().unwrap();
            let torn = length - whole_lines;
            // Who looks before it is opened sees what a crash has left, and changes nothing.
            let report = audit::verify(&ledger, AuditLog::files(place.log()).unwrap()).await.unwrap();
            let findings: Vec<_> = report.findings.iter().map(|finding| finding.kind).collect();
            assert_eq!(findings, vec![Finding::Unfinished; usize::from(torn > 0)], "at {length}: {report}");
            assert_eq!((report.is_intact(), report.is_intact_or_unfinished()), (torn == 0, true));
            assert!(fs::read(place.log()).unwrap() == whole[..length]);
            let log = prompt(&ledger).open(place.log()).await.unwrap();
            log.close().await.unwrap();
            let lines = place.lines();
            assert_eq!(lines.len(), complete + 2, "at {length}");
            assert_eq!(lines[complete]["eventName"], "OpenAuditLog");
            let said = &lines[complete]["serviceEventDetails"];
            let adopted = complete - 5;
            assert_eq!(said["adoptedLines"].as_u64().unwrap_or(0), adopted as u64, "at {length}: {said}");
            assert_eq!(said["cutOffBytes"].as_u64().unwrap_or(0), torn as u64, "at {length}: {said}");
            let report = audit::verify(&ledger, [place.log()]).await.unwrap();
            assert!(report.is_intact(), "at {length}: {report}");
            // What was cut off is kept.
            let kept = said["keptAs"].as_str();
            assert_eq!(kept.is_some(), torn > 0, "at {length}: {said}");
            if let Some(kept) = kept {
                assert_eq!(kept, format!("audit.jsonl.torn-{complete:012}"));
                assert!(fs::read(place.path(kept)).unwrap() == whole[whole_lines..length]);
                fs::remove_file(place.path(kept)).unwrap();
            }
        }
    });
}

#[test]
fn what_somebody_put_behind_the_last_line_is_kept_and_never_written_over() {
    block_on(async {
        let place = Place::new();
        let ledger = ledger();
        prompt(&ledger).open(place.log()).await.unwrap().close().await.unwrap();
        for (number, behind) in ["a letter\n{}\n", "and half of another"].into_iter().enumerate() {
            let lines = place.lines().len();
            let content = [fs::read(place.log()).unwrap(), behind.as_bytes().to_vec()].concat();
            fs::write(place.log(), content).unwrap();
            fs::write(place.path(&format!("audit.jsonl.torn-{lines:012}")), "of before").unwrap();
            let report = audit::verify(&ledger, AuditLog::files(place.log()).unwrap()).await.unwrap();
            // Whole lines are nothing that a crash leaves.
            assert_eq!(report.is_intact_or_unfinished(), number == 1, "{report}");
            prompt(&ledger).open(place.log()).await.unwrap().close().await.unwrap();
            let kept = fs::read_to_string(place.path(&format!("audit.jsonl.torn-{lines:012}.2"))).unwrap();
            assert_eq!(kept, behind);
            let said = &place.lines()[lines]["serviceEventDetails"];
            assert_eq!(
                (&said["cutOffBytes"], &said["keptBytes"]),
                (&behind.len().into(), &behind.len().into())
            );
        }
        // None of them is a file of the log.
        assert_eq!(AuditLog::files(place.log()).unwrap(), [place.log()]);
        assert!(audit::verify(&ledger, [place.log()]).await.unwrap().is_intact());
    });
}

#[test]
fn of_more_than_is_kept_it_is_said_how_much_is() {
    block_on(async {
        let place = Place::new();
        let ledger = ledger();
        prompt(&ledger).open(place.log()).await.unwrap().close().await.unwrap();
        let lines = place.lines().len();
        let file = fs::OpenOptions::new().write(true).open(place.log()).unwrap();
        // A hole takes no room.
        let (length, torn) = (file.metadata().unwrap().len(), (64 << 20) + 5);
        file.set_len(length + torn).unwrap();
        prompt(&ledger).open(place.log()).await.unwrap().close().await.unwrap();
        let said = &place.lines()[lines]["serviceEventDetails"];
        assert_eq!((&said["cutOffBytes"], &said["keptBytes"]), (&torn.into(), &(64 << 20).into()), "{said}");
        let kept = fs::metadata(place.path(said["keptAs"].as_str().unwrap())).unwrap();
        assert_eq!(kept.len(), 64 << 20);
    });
}

#[test]
fn what_the_catalogue_knows_of_and_is_missing_is_noticed_at_every_byte() {
    block_on(async {
        let Twice { place, second, .. } = twice().await;
        let (whole, ends) = (&second.1, ends(&second.1));
        let ledger = ledger_on(second.0).await;
        for length in 0..whole.len() {
            fs::write(place.log(), &whole[..length]).unwrap();
            let error = prompt(&ledger).open(place.log()).await.unwrap_err();
            // Of the first line half is none.
            let expected = if (1..ends[0]).contains(&length) { Kind::Altered } else { Kind::CutOff };
            assert_eq!(error.kind(), expected, "at {length}");
            assert_eq!(error.place().unwrap().0, place.log());
            assert!(fs::read(place.log()).unwrap() == whole[..length], "it is left as it is");

            let report = audit::verify(&ledger, [place.log()]).await.unwrap();
            let complete = ends.iter().filter(|end| **end <= length).count() as u64;
            let findings: Vec<_> = report.findings.iter().map(|finding| finding.kind).collect();
            let cut = Finding::CutOff { first: complete + 1, last: 9 };
            let at_end = length == 0 || whole[length - 1] == b'\n';
            let expected = if at_end { vec![cut] } else { vec![Finding::Torn, cut] };
            assert_eq!(findings, expected, "at {length}");
        }
        fs::remove_file(place.log()).unwrap();
        let error = prompt(&ledger).open(place.log()).await.unwrap_err();
        assert_eq!(error.kind(), Kind::CutOff);
        assert!(!place.log().exists(), "nothing is made in its place");
        // As it was, it is as it was.
        fs::write(place.log(), whole).unwrap();
        prompt(&ledger).open(place.log()).await.unwrap();
    });
}

#[test]
fn a_byte_that_was_changed_is_noticed_wherever_it_is() {
    block_on(async {
        let Twice { place, second, .. } = twice().await;
        let whole = &second.1;
        let ledger = ledger_on(second.0).await;
        for at in 0..whole.len() {
            let mut changed = whole.clone();
            changed[at] ^= 1;
            fs::write(place.log(), &changed).unwrap();
            let error = prompt(&ledger).open(place.log()).await.unwrap_err();
            // An end of the last line that is none any more is a file that ends too early.
            let expected = if at == whole.len() - 1 { Kind::CutOff } else { Kind::Altered };
            assert_eq!(error.kind(), expected, "at {at}");
            let line = whole[..at].iter().filter(|byte| **byte == b'\n').count() as u64 + 1;
            assert_eq!(error.place().unwrap(), (&*place.log(), Some(line)), "at {at}");
        }
    });
}

#[test]
fn what_is_no_log_is_left_alone() {
    block_on(async {
        let place = Place::new();
        let ledger = ledger();
        for content in ["a letter", "a letter\n", "\n", "{}\n{}\n", "\0\0\0\0"] {
            fs::write(place.log(), content).unwrap();
            let error = prompt(&ledger).open(place.log()).await.unwrap_err();
            assert_eq!((error.kind(), error.place().unwrap().1), (Kind::Altered, Some(1)), "{content:?}");
            assert_eq!(fs::read(place.log()).unwrap(), content.as_bytes());
        }
        let folder = place.path("folder.jsonl");
        fs::create_dir(&folder).unwrap();
        let kind = |error: audit::AuditError| error.kind();
        assert_eq!(prompt(&ledger).open(&folder).await.map_err(kind).unwrap_err(), Kind::Unavailable);
        let deep = place.path("missing").join("audit.jsonl");
        assert_eq!(prompt(&ledger).open(&deep).await.map_err(kind).unwrap_err(), Kind::NotFound);
        assert_eq!(prompt(&ledger).open("/").await.map_err(kind).unwrap_err(), Kind::NotFound);
        // One that is empty is as good as none.
        fs::write(place.log(), "").unwrap();
        prompt(&ledger).open(place.log()).await.unwrap();
    });
}

#[test]
fn a_log_belongs_to_a_ledger_that_is_restored_too() {
    block_on(async {
        let Twice { place, first, second } = twice().await;
        // With the catalogue of before, the log goes on from where it is.
        let ledger = ledger_on(copy_of(&first.0).await).await;
        let log = prompt(&ledger).open(place.log()).await.unwrap();
        write(&log, "e").await.unwrap();
        log.close().await.unwrap();
        assert!(audit::verify(&ledger, [place.log()]).await.unwrap().is_intact());
        // With both of before, and so in another way, the catalogue that went on knows that it is another.
        fs::write(place.log(), &first.1).unwrap();
        let forked = ledger_on(first.0).await;
        let log = prompt(&forked).open(place.log()).await.unwrap();
        for name in ["x", "y", "z"] {
            write(&log, name).await.unwrap();
        }
        log.close().await.unwrap();
        let ledger = ledger_on(second.0).await;
        let error = prompt(&ledger).open(place.log()).await.unwrap_err();
        assert_eq!((error.kind(), error.place().unwrap().1), (Kind::Altered, Some(9)));
        let report = audit::verify(&ledger, [place.log()]).await.unwrap();
        let findings: Vec<_> = report.findings.iter().map(|finding| (finding.kind, finding.line)).collect();
        assert_eq!(findings, [(Finding::Forked, 9)]);
    });
}

/// The steps at which a crash can leave a new file half begun.
#[test]
fn a_file_that_was_being_begun_is_begun_again() {
    block_on(async {
        let place = Place::new();
        let catalog = Arc::new(MemoryCatalog::new());
        let ledger = ledger_on(Arc::clone(&catalog)).await;
        let log = prompt(&ledger).open(place.log()).await.unwrap();
        write(&log, "a").await.unwrap();
        log.close().await.unwrap();
        let before = (copy_of(&catalog).await, fs::read(place.log()).unwrap());
        let log = prompt(&ledger).max_file_size(1).open(place.log()).await.unwrap();
        log.flush().await.unwrap();
        let new = fs::read(place.log()).unwrap();
        log.close().await.unwrap();
        let full = place.paths()[0].clone();
        let (next, lines) = (place.path("audit.new.jsonl"), ends(&before.1).len() as u64);
        assert!(fs::read(&full).unwrap().starts_with(&before.1));
        let full = place.path(&format!("audit.{:012}-{lines:012}.jsonl", 1));

        let begin = || {
            for path in place.paths() {
                fs::remove_file(path).unwrap();
            }
            let _ = fs::remove_file(&next);
        };
        let as_it_is = |path, content: &[u8]| fs::write(path, content).unwrap();
        for step in 0..4 {
            begin();
            match step {
                // The new one is half written.
                0 => {
                    as_it_is(place.log(), &before.1);
                    as_it_is(next.clone(), &new[..new.len() / 2]);
                }
                // It is written.
                1 => {
                    as_it_is(place.log(), &before.1);
                    as_it_is(next.clone(), &new);
                }
                // The old one has its new name.
                2 => {
                    as_it_is(full.clone(), &before.1);
                    as_it_is(next.clone(), &new);
                }
                // The same, and what was written is gone with the power.
                _ => as_it_is(full.clone(), &before.1),
            }
            let ledger = ledger_on(copy_of(&before.0).await).await;
            let log = prompt(&ledger).open(place.log()).await.unwrap();
            write(&log, "after").await.unwrap();
            let report = log.verify().await.unwrap();
            assert!(report.is_intact(), "{step}: {report}");
            log.close().await.unwrap();
            assert_eq!(place.files().len(), if step < 2 { 1 } else { 2 }, "{step}");
        }
    });
}

#[test]
fn a_catalogue_of_before_finds_the_files_that_it_does_not_know_of() {
    block_on(async {
        let place = Place::new();
        let catalog = Arc::new(MemoryCatalog::new());
        let ledger = ledger_on(Arc::clone(&catalog)).await;
        let log = prompt(&ledger).max_file_size(800).open(place.log()).await.unwrap();
        let mut before = Vec::new();
        for number in 0..12 {
            before.push(copy_of(&catalog).await);
            write(&log, format!("{number}")).await.unwrap();
        }
        log.close().await.unwrap();
        assert!(place.files().len() > 3);
        let files = place.files();
        for catalog in before {
            let ledger = ledger_on(catalog).await;
            let log = prompt(&ledger).open(place.log()).await.unwrap();
            assert!(log.verify().await.unwrap().is_intact());
            log.close().await.unwrap();
            for (name, content) in &files {
                fs::write(place.path(name), content).unwrap();
            }
        }
    });
}

#[test]
fn with_a_real_catalogue_a_log_is_found_again_without_being_closed() {
    block_on(async {
        let place = Place::new();
        for round in 0..5 {
            let ledger = ledger_at(&place.path("catalogue")).await;
            let log = AuditLog::open(&ledger, place.log()).await.unwrap();
            write(&log, format!("{round}")).await.unwrap();
            // Neither is closed; either ends on its own thread.
            drop((log, ledger));
            let start = std::time::Instant::now();
            while fs::read_to_string(place.log()).unwrap().matches("CloseAuditLog").count() <= round {
                assert!(start.elapsed() < std::time::Duration::from_secs(60));
                std::thread::yield_now();
            }
        }
        let ledger = ledger_at(&place.path("catalogue")).await;
        assert!(audit::verify(&ledger, [place.log()]).await.unwrap().is_intact());
    });
}
