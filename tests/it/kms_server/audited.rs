//! Where there was an audit log nothing is served without it, and what is wrong with it, or with who has the folder, is said with
//! the way on.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};

use serde_json::json;
use tempfile::TempDir;

use super::caller::Caller;
use super::server::program;
use super::together::{command, end, once, serves, start};

/// A folder whose server has written an audit log.
fn audited() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(with_log(&folder, &["--audit-log", "audit.jsonl"]), Ok(()));
    folder
}

fn with_log(folder: &TempDir, flags: &[&str]) -> Result<(), String> {
    once(command(program(), folder).args(flags))
}

#[test]
fn where_there_was_an_audit_log_nothing_is_served_without_it() {
    let folder = audited();
    fs::remove_file(folder.path().join("data/admin.credentials")).unwrap();
    let said = with_log(&folder, &[]).unwrap_err();
    assert!(said.contains("the catalogue knows of an audit log: give it with --audit-log FILE"), "{said}");
    assert!(!folder.path().join("data/admin.credentials").exists(), "it makes nothing");
    assert_eq!(with_log(&folder, &["--audit-log", "audit.jsonl"]), Ok(()));
}

#[test]
fn a_damaged_audit_log_is_begun_anew_by_a_flag_and_kept() {
    let folder = audited();
    let log = folder.path().join("audit.jsonl");
    let whole = fs::read_to_string(&log).unwrap();
    // Of a log that is whole it takes nothing away.
    assert_eq!(with_log(&folder, &["--audit-log", "audit.jsonl", "--begin-audit-log-anew"]), Ok(()));
    assert!(fs::read_to_string(&log).unwrap().starts_with(&whole));

    let cut = whole.split_inclusive('\n').next().unwrap();
    for damaged in [cut.to_owned(), whole.replace("OpenAuditLog", "OpenAuditPen")] {
        fs::write(&log, &damaged).unwrap();
        let said = with_log(&folder, &["--audit-log", "audit.jsonl"]).unwrap_err();
        assert!(said.contains("--begin-audit-log-anew") && !said.contains("another, give"), "{said}");
        assert_eq!(fs::read_to_string(&log).unwrap(), damaged);
        assert_eq!(with_log(&folder, &["--audit-log", "audit.jsonl", "--begin-audit-log-anew"]), Ok(()));
        assert!(fs::read_to_string(&log).unwrap().lines().next().unwrap().contains("begunAnew"));
        let kept = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
        let kept = kept.filter(|path| path.to_string_lossy().contains("damaged"));
        assert!(kept.into_iter().any(|path| fs::read_to_string(path).unwrap() == damaged));
        assert_eq!(with_log(&folder, &["--audit-log", "audit.jsonl"]), Ok(()));
    }
}

#[test]
fn another_name_for_the_audit_log_leads_to_the_right_one() {
    let folder = audited();
    let said = with_log(&folder, &["--audit-log", "log.jsonl"]).unwrap_err();
    assert!(said.contains("the catalogue knows the end of a log that is not in this file"), "{said}");
    assert!(said.contains("--audit-log") && said.contains("--begin-audit-log-anew"), "{said}");
    assert_eq!(with_log(&folder, &["--audit-log", "log.jsonl", "--begin-audit-log-anew"]), Ok(()));
}

#[test]
fn whoever_finds_a_folder_in_use_is_told_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let mut first = start(&mut command(program(), &folder));
    assert_eq!(serves(&mut first), Ok(()));
    for flags in [&["--verify"][..], &[]] {
        let said = with_log(&folder, flags).unwrap_err();
        assert!(said.contains("end the server that uses it") && said.contains("--folder"), "{said}");
    }
    end(first);
}

#[test]
fn nobody_has_to_read_what_a_server_prints() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = start(&mut command(program(), &folder));
    let mut printed = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    printed.read_line(&mut line).unwrap();
    drop(printed);
    let address = line.strip_prefix("serving at http://").unwrap().split_once(';').unwrap().0;
    let address = address.parse().unwrap();
    // It has printed all that it prints by when it answers.
    let nobody = Caller { id: "AKIAAAAAAAAAAAAAAAAA".to_owned(), secret: "no secret".to_owned() };
    let answered = nobody.call(address, "DescribeCustomKeyStores", &json!({}));
    let is_there = child.try_wait().unwrap().is_none();
    end_kindly(&child);
    let ended = child.wait().unwrap();
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(answered.is_some() && is_there && ended.success(), "{ended}: {said}");
}

/// As Ctrl-C does.
fn end_kindly(child: &std::process::Child) {
    let ended = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(ended.unwrap().success());
}
