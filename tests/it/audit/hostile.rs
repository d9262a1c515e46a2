//! Files that nobody would call a log are read to their end, in bounded memory; and no change goes unseen.

use std::path::PathBuf;

use custom_key_store::audit::{self, AuditErrorKind, AuditFindingKind as Kind, AuditReport};
use futures::executor::block_on;
use proptest::prelude::*;

use super::tampering::{LOG, Lines, check_files, count, number};

#[test]
fn hostile_files_are_read_to_their_end() {
    let code = "f".repeat(64);
    let invented = |sequence: u64| format!(r#"{{"sequence":{sequence},"hmac":"{code}"}}"#) + "\n";
    let most = u64::MAX;
    let begin = |sequence: u64| {
        let details = format!(r#"{{"format":1,"previousHmac":"{code}"}}"#);
        format!(
            r#"{{"sequence":{sequence},"eventName":"BeginAuditFile","serviceEventDetails":{details},"hmac":"{code}"}}"#
        ) + "\n"
    };
    let hostile: Vec<Vec<u8>> = vec![
        vec![b'x'; 3 << 20],
        [vec![b'x'; 3 << 20], b"\n".to_vec()].concat(),
        vec![0; 1 << 20],
        vec![b'\n'; 50_000],
        vec![0xff; 1000],
        invented(most).repeat(3).into_bytes(),
        (invented(most) + &invented(1) + &invented(most - 1) + &invented(2)).into_bytes(),
        begin(most).repeat(3).into_bytes(),
        format!("{{\"sequence\":99999999999999999999999,\"hmac\":\"{code}\"}}\n").into_bytes(),
        format!("{{\"sequence\":01,\"hmac\":\"{code}\"}}\n").into_bytes(),
        (0..30_000).map(invented).collect::<String>().into_bytes(),
        (0..30_000).rev().map(invented).collect::<String>().into_bytes(),
        b"\n{}\n[]\n{\"sequence\":1}\n,\"hmac\":\"\"}\n".to_vec(),
    ];
    for content in hostile {
        let report = check_files(&[("hostile".into(), content.clone())]);
        assert!(!report.is_intact());
        assert!(report.findings.len() <= AuditReport::MAX_FINDINGS);
        // In the middle of the log it spoils nothing else.
        let mut files: Vec<_> =
            LOG.files.iter().map(|(name, lines)| (name.clone(), lines.concat())).collect();
        let mut ends_with_line = content;
        ends_with_line.push(b'\n');
        files[1].1.extend(ends_with_line);
        let report = check_files(&files);
        assert!(!report.is_intact());
        assert_eq!(
            (report.proven, report.last),
            (number(count()) - 1, number(count()) - 1),
            "{:.300}",
            report.to_string()
        );
    }
}

#[test]
fn what_is_no_file_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let verify = |path: PathBuf| block_on(audit::verify(&LOG.ledger, [path])).unwrap_err();
    let error = verify(folder.path().join("missing"));
    assert_eq!(
        (error.kind(), error.place().unwrap().0),
        (AuditErrorKind::NotFound, &*folder.path().join("missing"))
    );
    assert_eq!(verify(folder.path().to_owned()).kind(), AuditErrorKind::Unavailable);
    let report = block_on(audit::verify(&LOG.ledger, &[] as &[PathBuf])).unwrap();
    let all = Kind::CutOff { first: 1, last: number(count()) - 1 };
    assert_eq!(report.findings.iter().map(|found| found.kind).collect::<Vec<_>>(), [all]);
}

#[derive(Debug, Clone)]
enum Change {
    Flip { at: usize, bit: u8 },
    Cut { from: usize, length: usize },
    Copy { from: usize, length: usize, to: usize },
    Insert { at: usize, bytes: Vec<u8> },
    Truncate { at: usize },
    RemoveLine { line: usize },
    MoveLine { line: usize, to: usize },
}

fn change() -> impl Strategy<Value = Change> {
    let place = any::<usize>;
    prop_oneof![
        (place(), 0..8_u8).prop_map(|(at, bit)| Change::Flip { at, bit }),
        (place(), 1..600_usize).prop_map(|(from, length)| Change::Cut { from, length }),
        (place(), 1..600_usize, place()).prop_map(|(from, length, to)| Change::Copy { from, length, to }),
        (place(), prop::collection::vec(any::<u8>(), 1..9))
            .prop_map(|(at, bytes)| Change::Insert { at, bytes }),
        place().prop_map(|at| Change::Truncate { at }),
        place().prop_map(|line| Change::RemoveLine { line }),
        (place(), place()).prop_map(|(line, to)| Change::MoveLine { line, to }),
    ]
}

fn make(change: Change, content: &mut Vec<u8>) {
    let place = |at: usize| at % (content.len() + 1);
    let lines = |content: &[u8]| -> Lines {
        content.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect()
    };
    match change {
        Change::Flip { at, bit } => {
            let at = place(at);
            if let Some(byte) = content.get_mut(at) {
                *byte ^= 1 << bit;
            }
        }
        Change::Cut { from, length } => {
            let from = place(from);
            content.drain(from..(from + length).min(content.len()));
        }
        Change::Copy { from, length, to } => {
            let (from, to) = (place(from), place(to));
            let copy = content[from..(from + length).min(content.len())].to_vec();
            content.splice(to..to, copy);
        }
        Change::Insert { at, bytes } => {
            let at = place(at);
            content.splice(at..at, bytes);
        }
        Change::Truncate { at } => content.truncate(place(at)),
        Change::RemoveLine { line } => {
            let mut all = lines(content);
            if !all.is_empty() {
                all.remove(line % all.len());
            }
            *content = all.concat();
        }
        Change::MoveLine { line, to } => {
            let mut all = lines(content);
            if !all.is_empty() {
                let moved = all.remove(line % all.len());
                let to = to % (all.len() + 1);
                all.insert(to, moved);
            }
            *content = all.concat();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    /// In one file, since that one does not depend on which line it begins with.
    #[test]
    fn whatever_else_is_done_is_noticed(changes in prop::collection::vec(change(), 1..4)) {
        let original: Vec<u8> = LOG.files.iter().flat_map(|(_, lines)| lines.concat()).collect();
        let mut content = original.clone();
        for change in changes {
            make(change, &mut content);
        }
        let report = check_files(&[("all".into(), content.clone())]);
        prop_assert_eq!(report.is_intact(), content == original, "{}", report);
        let mut last = 0;
        for finding in &report.findings {
            prop_assert!(finding.line >= last && finding.offset <= content.len() as u64);
            last = finding.line;
        }
    }
}
