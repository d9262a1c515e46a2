//! A process that is killed has lost no line that it was told is durable, and its log goes on.
//!
//! The process is this test binary once more, running [`child`], which does nothing unless it is asked to.

use std::env;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use custom_key_store::audit::{self, AuditErrorKind as Kind, AuditLog, AuditSink as _};
use futures::executor::block_on;

use super::support::{Place, enqueue, files_in, ledger_at, prompt, write};

const PLACE: &str = "AUDIT_LOG_OF_THE_CHILD";

/// So many kills, each at another moment.
const KILLS: usize = 60;

fn log_in(folder: &Path) -> std::path::PathBuf {
    folder.join("audit.jsonl")
}

/// Writes one line after another, from several threads, and says which are durable.
#[test]
fn child() {
    let Some(place) = env::var_os(PLACE) else { return };
    let place = Path::new(&place);
    let ledger = block_on(ledger_at(&place.join("catalogue")));
    // A new file for each few lines.
    let log = block_on(prompt(&ledger).max_file_size(4000).open(log_in(place))).unwrap();
    let out = Arc::new(Mutex::new(std::io::stdout()));
    writeln!(out.lock().unwrap(), "\nopen").unwrap();
    let start = log.lines();
    thread::scope(|scope| {
        for thread in 0..3 {
            let (log, out) = (log.clone(), Arc::clone(&out));
            scope.spawn(move || {
                for number in 0.. {
                    let name = format!("{start}/{thread}/{number}");
                    enqueue(&log, format!("{name}/soon"));
                    block_on(write(&log, name.clone())).unwrap();
                    writeln!(out.lock().unwrap(), "done {name}").unwrap();
                }
            });
        }
    });
}

fn spawn(place: &Path) -> (Child, BufReader<ChildStdout>) {
    let mut child = Command::new(env::current_exe().unwrap())
        .args(["--exact", "audit::crashing::child", "--nocapture"])
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

/// What it said is done.
fn killed(mut child: Child, out: BufReader<ChildStdout>) -> Vec<String> {
    child.kill().unwrap();
    child.wait().unwrap();
    let mut said = Vec::new();
    for line in out.split(b'\n').map_while(Result::ok) {
        if let Some(name) = std::str::from_utf8(&line).ok().and_then(|line| line.strip_prefix("done ")) {
            said.push(name.to_owned());
        }
    }
    // The last line may be half a line.
    said.pop();
    said
}

#[test]
fn a_killed_process_has_lost_no_line_that_was_acknowledged() {
    let place = Place::new();
    let folder = place.path("folder");
    std::fs::create_dir(&folder).unwrap();
    let (mut acknowledged, mut last) = (Vec::new(), 0);
    for kill in 0..KILLS {
        let (child, mut out) = spawn(&folder);
        // Some are killed while they open what the one before left, most while they write.
        let random = (kill as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
        if kill % 5 == 0 {
            thread::sleep(Duration::from_micros(random % 30_000));
        } else {
            wait_until_open(&mut out);
            thread::sleep(Duration::from_micros(random % 60_000));
        }
        acknowledged.extend(killed(child, out));
        // Some leave what they left to the next child.
        if kill % 4 == 0 {
            continue;
        }
        block_on(async {
            let ledger = ledger_at(&folder.join("catalogue")).await;
            let log =
                AuditLog::open(&ledger, log_in(&folder)).await.expect("the killed owner owns it no more");
            let report = log.verify().await.unwrap();
            assert!(report.is_intact(), "kill {kill}: {report}");
            assert!(report.last > last, "kill {kill}: {report}");
            last = report.last;
            log.close().await.unwrap();
            ledger.close().await.unwrap();
        });
    }
    let mut there = std::collections::HashSet::new();
    for (_, content) in files_in(&folder) {
        for line in content.split_inclusive(|byte| *byte == b'\n') {
            let line: serde_json::Value = serde_json::from_slice(line).unwrap();
            there.insert(line["eventName"].as_str().unwrap().to_owned());
        }
    }
    for name in &acknowledged {
        assert!(there.contains(name), "{name} is lost");
        // And so is none that was taken before it.
        assert!(there.contains(&format!("{name}/soon")), "{name}/soon is lost");
    }
    assert!(acknowledged.len() > KILLS, "{} lines are too few to be interrupted", acknowledged.len());
}

#[test]
fn another_process_is_kept_out_until_the_owner_is_killed() {
    let place = Place::new();
    let folder = place.path("folder");
    std::fs::create_dir(&folder).unwrap();
    let (child, mut out) = spawn(&folder);
    wait_until_open(&mut out);
    block_on(async {
        // By way of a ledger of its own: the catalogue has an owner too.
        let ledger = ledger_at(&place.path("other")).await;
        let error = AuditLog::open(&ledger, log_in(&folder)).await.unwrap_err();
        assert_eq!(error.kind(), Kind::InUse);
        killed(child, out);
        let ledger = ledger_at(&folder.join("catalogue")).await;
        let log = AuditLog::open(&ledger, log_in(&folder)).await.unwrap();
        log.close().await.unwrap();
        let paths = files_in(&folder).into_iter().map(|(name, _)| folder.join(name));
        let report = audit::verify(&ledger, paths).await.unwrap();
        assert!(report.is_intact(), "{report}");
    });
}
