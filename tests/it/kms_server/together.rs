//! Examples that are started at once, or cut off while they start: what one has made is there for whoever uses it next.

use std::fs::{self, File, TryLockError};
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::SystemTime;

use custom_key_store::catalog::{Catalog as _, SqliteCatalog};
use tempfile::TempDir;

use super::server::{program, proxy_program};

/// A server on the folder `data`, wherever a port is free.
pub(super) fn command(program: &Path, folder: &TempDir) -> Command {
    let mut command = Command::new(program);
    command.args(["--listen", "127.0.0.1:0", "--folder", "data"]).current_dir(folder);
    command
}

pub(super) fn start(command: &mut Command) -> Child {
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Whether it serves, or else what it says against it.
pub(super) fn serves(child: &mut Child) -> Result<(), String> {
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    if lines.into_iter().any(|line| line.starts_with("serving at ")) {
        return Ok(());
    }
    let said = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
    Err(said.collect::<Vec<_>>().join("\n"))
}

pub(super) fn end(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

/// Starts, serves and ends; or what was said against it.
pub(super) fn once(command: &mut Command) -> Result<(), String> {
    let mut child = start(command);
    let served = serves(&mut child);
    end(child);
    served
}

fn is_locked(path: &Path) -> bool {
    matches!(File::open(path).unwrap().try_lock(), Err(TryLockError::WouldBlock))
}

#[test]
fn of_those_that_start_at_once_for_the_first_time_one_serves_and_finds_all_of_it_again() {
    for (program, lock) in
        [(program(), "data/catalog.sqlite.lock"), (proxy_program(), "data/keys.sealed.lock")]
    {
        for _ in 0..6 {
            let folder = tempfile::tempdir().unwrap();
            let mut all: Vec<_> = (0..4).map(|_| start(&mut command(program, &folder))).collect();
            let ended: Vec<_> = all.iter_mut().map(serves).collect();
            assert_eq!(ended.iter().filter(|one| one.is_ok()).count(), 1, "{ended:?}");
            assert!(is_locked(&folder.path().join(lock)));
            all.into_iter().for_each(end);
            let again = once(&mut command(program, &folder));
            assert!(again.is_ok(), "{again:?} after {ended:?}");
        }
    }
}

#[test]
fn who_does_not_have_the_catalogue_makes_no_key_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    fs::create_dir(file("data")).unwrap();
    fs::create_dir(file("keys")).unwrap();
    fs::write(file("kms.toml"), "sealing_key = 'keys/sealing.key'").unwrap();
    let lock = File::create(file("data/catalog.sqlite.lock")).unwrap();
    lock.lock().unwrap();
    // Which tells of a file that was made and removed, too.
    let keys = File::open(file("keys")).unwrap();
    keys.set_modified(SystemTime::UNIX_EPOCH).unwrap();
    let said = once(command(program(), &folder).args(["--config", "kms.toml"])).unwrap_err();
    assert!(said.contains("catalog.sqlite"), "{said}");
    assert_eq!(fs::metadata(file("keys")).unwrap().modified().unwrap(), SystemTime::UNIX_EPOCH, "{said}");
    assert!(!file("data/catalog.sqlite").exists() && file("data/catalog.sqlite.lock").exists());

    lock.unlock().unwrap();
    assert_eq!(once(command(program(), &folder).args(["--config", "kms.toml"])), Ok(()));
    assert!(file("keys/sealing.key").exists());
}

#[test]
fn a_start_that_fails_when_the_catalogue_is_made_takes_nothing_away_again() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("no-file")).unwrap();
    let said = once(command(program(), &folder).args(["--audit-log", "no-file"])).unwrap_err();
    assert!(said.contains("no-file"), "{said}");
    let key = fs::read(folder.path().join("data/sealing.key")).unwrap();
    for name in ["data/catalog.sqlite", "data/catalog.sqlite.lock"] {
        assert!(folder.path().join(name).exists(), "{name}");
    }
    assert_eq!(once(&mut command(program(), &folder)), Ok(()));
    assert_eq!(fs::read(folder.path().join("data/sealing.key")).unwrap(), key);
}

#[test]
fn a_key_is_made_for_a_catalogue_with_nothing_in_it_and_for_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    fs::create_dir(file("data")).unwrap();
    // As a start leaves it that is cut off before there is a key.
    futures::executor::block_on(async {
        SqliteCatalog::create(file("data/catalog.sqlite")).await.unwrap().close().await.unwrap();
    });
    // To check makes nothing.
    once(command(program(), &folder).arg("--verify")).unwrap_err();
    assert!(!file("data/sealing.key").exists());
    assert_eq!(once(&mut command(program(), &folder)), Ok(()));

    fs::rename(file("data/sealing.key"), file("elsewhere.key")).unwrap();
    let said = once(&mut command(program(), &folder)).unwrap_err();
    assert!(said.contains("sealing.key"), "{said}");
    assert!(!file("data/sealing.key").exists());
    fs::rename(file("elsewhere.key"), file("data/sealing.key")).unwrap();
    assert_eq!(once(&mut command(program(), &folder)), Ok(()));
}
