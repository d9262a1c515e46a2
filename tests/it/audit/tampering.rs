//! Whatever is done to the files, it is noticed, and said where and what it is.

use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock};

use custom_key_store::audit::{self, AuditFindingKind as Kind, AuditReport, AuditSink as _};
use custom_key_store::catalog::{Ledger, MemoryCatalog};
use futures::executor::block_on;

use super::support::{Place, ledger_on, prompt, write};

pub(super) type Lines = Vec<Vec<u8>>;

/// A log of several files, each of several lines.
pub(super) struct Log {
    pub(super) ledger: Ledger,
    pub(super) files: Vec<(String, Lines)>,
}

pub(super) static LOG: LazyLock<Log> = LazyLock::new(|| {
    block_on(async {
        let place = Place::new();
        let ledger = ledger_on(Arc::new(MemoryCatalog::new())).await;
        let log = prompt(&ledger).max_file_size(1100).open(place.log()).await.unwrap();
        for number in 0..12 {
            write(&log, format!("Operation{number}")).await.unwrap();
        }
        log.close().await.unwrap();
        let lines = |content: Vec<u8>| content.split_inclusive(|b| *b == b'\n').map(<[u8]>::to_vec).collect();
        let files: Vec<(String, Lines)> =
            place.files().into_iter().map(|(name, content)| (name, lines(content))).collect();
        assert!(files.len() > 3 && files.iter().all(|(_, lines)| lines.len() > 2));
        Log { ledger, files }
    })
});

/// How many lines it has.
pub(super) fn count() -> usize {
    LOG.files.iter().map(|(_, lines)| lines.len()).sum()
}

/// Of a line by its number from 0: the file, and the number in that, from 0.
fn locate(mut line: usize) -> (usize, usize) {
    for (file, (_, lines)) in LOG.files.iter().enumerate() {
        if line < lines.len() {
            return (file, line);
        }
        line -= lines.len();
    }
    panic!("there is no such line")
}

fn begins_a_file(line: usize) -> bool {
    locate(line).1 == 0
}

pub(super) fn check_files(files: &[(String, Vec<u8>)]) -> AuditReport {
    let folder = tempfile::tempdir().unwrap();
    let paths: Vec<PathBuf> = files.iter().map(|(name, _)| folder.path().join(name)).collect();
    for ((_, content), path) in files.iter().zip(&paths) {
        fs::write(path, content).unwrap();
    }
    block_on(audit::verify(&LOG.ledger, &paths)).unwrap()
}

fn check(files: &[(String, Lines)]) -> AuditReport {
    check_files(&files.iter().map(|(name, lines)| (name.clone(), lines.concat())).collect::<Vec<_>>())
}

/// What is found after a change: what, the file, and the line of it from 0.
fn after(change: impl FnOnce(&mut Vec<(String, Lines)>)) -> Vec<(Kind, (usize, usize))> {
    let mut files = LOG.files.clone();
    change(&mut files);
    let report = check(&files);
    let found = report.findings.iter().map(|finding| {
        let name = finding.file.file_name().unwrap().to_str().unwrap();
        let file = LOG.files.iter().position(|(there, _)| there == name).unwrap();
        let line = usize::try_from(finding.line).unwrap() - 1;
        // The place in bytes is that of the line.
        let content = files.iter().find(|(there, _)| there == name).unwrap().1.concat();
        let before: usize = content.split_inclusive(|byte| *byte == b'\n').take(line).map(<[u8]>::len).sum();
        assert_eq!(finding.offset, before as u64, "{report}");
        (finding.kind, (file, line))
    });
    assert_eq!(report.more_findings, 0);
    found.collect()
}

pub(super) fn number(line: usize) -> u64 {
    line as u64 + 1
}

#[test]
fn a_log_that_nobody_touched_is_intact_in_whatever_order_its_files_are_given() {
    let mut files = LOG.files.clone();
    for _ in 0..files.len() {
        files.rotate_left(1);
        let report = check(&files);
        assert!(report.is_intact(), "{report}");
        assert_eq!((report.lines, report.proven), (number(count()) - 1, number(count()) - 1));
        assert!(report.to_string().ends_with(": intact"), "{report}");
    }
}

#[test]
fn a_line_that_was_edited_is_found() {
    for line in 0..count() {
        let at = locate(line);
        let found = after(|files| {
            // In the middle of it.
            let middle = files[at.0].1[at.1].len() / 2;
            files[at.0].1[at.1][middle] ^= 1;
        });
        assert_eq!(found, [(Kind::Edited, at)], "{line}");
    }
}

#[test]
fn a_line_whose_code_was_edited_is_found_and_the_next_cannot_be_proven() {
    for line in 0..count() {
        let at = locate(line);
        let found = after(|files| {
            let text = &mut files[at.0].1[at.1];
            let digit = text.len() - 10;
            text[digit] = if text[digit] == b'0' { b'1' } else { b'0' };
        });
        let mut expected = vec![(Kind::Edited, at)];
        if line + 1 < count() && !begins_a_file(line + 1) {
            expected.push((Kind::Unproven, locate(line + 1)));
        }
        assert_eq!(found, expected, "{line}");
    }
}

#[test]
fn a_line_that_has_no_form_any_more_is_found() {
    for line in 0..count() {
        let at = locate(line);
        for text in
            ["\n", "}\n", "{\"sequence\":0,\"hmac\":\"\"}\n", "\0\0\0\n", "\u{feff}{\"sequence\":1}\r\n"]
        {
            let found = after(|files| files[at.0].1[at.1] = text.into());
            let mut expected = vec![(Kind::Malformed, at)];
            if line + 1 < count() && !begins_a_file(line + 1) {
                expected.push((Kind::Unproven, locate(line + 1)));
            }
            assert_eq!(found, expected, "{line}: {text:?}");
        }
    }
}

#[test]
fn a_line_that_is_missing_is_found() {
    for line in 0..count() {
        let (file, at) = locate(line);
        let missing = Kind::Missing { first: number(line), last: number(line) };
        let found = after(|files| drop(files[file].1.remove(at)));
        let expected = if line + 1 == count() {
            vec![(Kind::CutOff { first: number(line), last: number(line) }, (file, at))]
        } else if begins_a_file(line + 1) {
            vec![(missing, (file + 1, 0))]
        } else {
            vec![(missing, (file, at)), (Kind::Unproven, (file, at))]
        };
        assert_eq!(found, expected, "{line}");
    }
}

#[test]
fn a_second_copy_of_a_line_is_found_wherever_it_stands() {
    for line in 0..count() {
        for to in 0..count() {
            let (from, (file, at)) = (locate(line), locate(to));
            let found = after(|files| {
                let copy = files[from.0].1[from.1].clone();
                files[file].1.insert(at + 1, copy);
            });
            // Of two equal ones that follow each other the second is too many.
            let place = match (line == to + 1, begins_a_file(line)) {
                (true, true) => (file + 1, 0),
                (true, false) => (file, at + 2),
                (false, _) => (file, at + 1),
            };
            assert_eq!(found, [(Kind::Inserted, place)], "{line} after {to}");
        }
    }
}

#[test]
fn a_line_that_the_log_never_wrote_is_found() {
    // One of another log, one that is made up, and one that is not even that.
    let other = block_on(async {
        let place = Place::new();
        let log = prompt(&crate::support::ledger()).open(place.log()).await.unwrap();
        write(&log, "Operation1").await.unwrap();
        let content = fs::read(place.log()).unwrap();
        content.split_inclusive(|byte| *byte == b'\n').nth(2).unwrap().to_vec()
    });
    for line in 0..count() {
        let (file, at) = locate(line);
        let next = number(line) + 1;
        let code = "0".repeat(64);
        let made_up = format!(r#"{{"sequence":{next},"eventName":"Encrypt","hmac":"{code}"}}"#) + "\n";
        for text in [other.clone(), made_up.into_bytes(), b"\n".to_vec()] {
            let found = after(|files| files[file].1.insert(at + 1, text.clone()));
            // At the very end, what has no form is no line, and what has one is one that was not written.
            let kind = match (line + 1 == count(), text.len()) {
                (true, 1) => Kind::Malformed,
                (true, _) if text.starts_with(format!(r#"{{"sequence":{next},"#).as_bytes()) => Kind::Edited,
                _ => Kind::Inserted,
            };
            assert_eq!(found, [(kind, (file, at + 1))], "{line}");
        }
    }
}

#[test]
fn lines_that_changed_places_are_found() {
    for line in 0..count() - 1 {
        let (one, two) = (locate(line), locate(line + 1));
        let found = after(|files| {
            let text = files[one.0].1[one.1].clone();
            files[one.0].1[one.1] = std::mem::replace(&mut files[two.0].1[two.1], text);
        });
        // The second stands where the first should.
        assert_eq!(found, [(Kind::Reordered, one)], "{line}");
    }
}

#[test]
fn lines_that_were_moved_elsewhere_are_found() {
    let (last, moved) = (count() - 1, 2);
    for line in 0..count() - moved {
        for to in line + moved + 1..count() {
            let mut kinds: Vec<Kind> = after(|files| {
                let (file, at) = locate(to);
                // After that line; and then away from where they were.
                let texts: Lines =
                    (line..line + moved).map(locate).map(|(file, at)| files[file].1[at].clone()).collect();
                files[file].1.splice(at + 1..at + 1, texts);
                for line in (line..line + moved).rev() {
                    let (file, at) = locate(line);
                    files[file].1.remove(at);
                }
            })
            .into_iter()
            .map(|(kind, _)| kind)
            .collect();
            kinds.retain(|kind| *kind != Kind::Unproven);
            assert_eq!(kinds, [Kind::Reordered; 2], "{line} after {to} of {last}");
        }
    }
}

#[test]
fn a_line_that_was_torn_or_joined_with_another_is_found() {
    for line in 0..count() {
        let (file, at) = locate(line);
        let torn = after(|files| {
            let text = &mut files[file].1[at];
            let half = text.len() / 2;
            text.insert(half, b'\n');
        });
        assert!(
            torn.iter().any(|(kind, place)| (*kind, *place) == (Kind::Malformed, (file, at))),
            "{torn:?}"
        );
        let joined = after(|files| files[file].1[at].truncate(LOG.files[file].1[at].len() - 1));
        assert!(!joined.is_empty() && joined.iter().all(|(_, place)| *place >= (file, at)), "{joined:?}");
    }
}

#[test]
fn a_file_that_is_missing_or_cut_off_is_found() {
    let mut first = 1;
    for (file, (_, lines)) in LOG.files.iter().enumerate() {
        let last = first + lines.len() as u64 - 1;
        let found = after(|files| files[file].1.clear());
        let is_last = file == LOG.files.len() - 1;
        let expected = match is_last {
            true => (Kind::CutOff { first, last }, (file, 0)),
            false => (Kind::Missing { first, last }, (file + 1, 0)),
        };
        assert_eq!(found, [expected]);
        let found = after(|files| files[file].1.truncate(2));
        let expected = match is_last {
            true => (Kind::CutOff { first: first + 2, last }, (file, 2)),
            false => (Kind::Missing { first: first + 2, last }, (file + 1, 0)),
        };
        assert_eq!(found, [expected]);
        first = last + 1;
    }
}

#[test]
fn a_file_that_is_given_twice_is_found() {
    let mut files = LOG.files.clone();
    let (name, lines) = files[1].clone();
    files.push((format!("copy of {name}"), lines.clone()));
    let report = check(&files);
    assert_eq!(report.findings.len(), lines.len(), "{report}");
    assert!(report.findings.iter().all(|finding| finding.kind == Kind::Inserted), "{report}");
}

#[test]
fn a_part_of_a_log_is_proven_by_itself() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    for (name, lines) in &LOG.files {
        fs::write(path(name), lines.concat()).unwrap();
    }
    let names: Vec<&str> = LOG.files.iter().map(|(name, _)| name.as_str()).collect();
    for range in [0..1, 1..3, 2..names.len(), 0..names.len()] {
        let paths: Vec<PathBuf> = names[range.clone()].iter().map(|name| path(name)).collect();
        let report = block_on(audit::verify_part(&LOG.ledger, &paths)).unwrap();
        assert!(report.is_intact() && report.head.is_none(), "{report}");
        let whole = block_on(audit::verify(&LOG.ledger, &paths)).unwrap();
        assert_eq!(whole.is_intact(), range == (0..names.len()), "{whole}");
    }
    // What is missing between the first and the last is missing.
    let apart = [path(names[0]), path(names[2])];
    let report = block_on(audit::verify_part(&LOG.ledger, &apart)).unwrap();
    assert!(
        matches!(report.findings.as_slice(), [found] if matches!(found.kind, Kind::Missing { .. })),
        "{report}"
    );
    // The first line of all is proven by what it says itself.
    let (name, lines) = &LOG.files[1];
    for line in 0..lines.len() {
        let mut lines = lines.clone();
        let at = lines[line].windows(5).position(|window| window == b"event").unwrap() + 12;
        lines[line][at] ^= 1;
        fs::write(path(name), lines.concat()).unwrap();
        let report = block_on(audit::verify_part(&LOG.ledger, [path(name)])).unwrap();
        let found: Vec<_> = report.findings.iter().map(|found| (found.kind, found.line)).collect();
        assert_eq!(found, [(Kind::Edited, number(line))]);
    }
}
