use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::tokens;

/// Where Debian's package says to look for it, and where it is.
const PLACES: [&str; 2] =
    ["/usr/lib/softhsm/libsofthsm2.so", "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so"];

/// The one that `SOFTHSM2_MODULE` names, or Debian's.
pub(super) fn library() -> PathBuf {
    if let Some(named) = std::env::var_os("SOFTHSM2_MODULE").map(PathBuf::from) {
        assert!(named.is_file(), "SOFTHSM2_MODULE names {}, which is no file", named.display());
        return named;
    }
    let found = PLACES.iter().map(Path::new).find(|place| place.is_file());
    assert!(
        found.is_some(),
        "SoftHSM is missing; on Debian: apt-get install softhsm2; elsewhere set SOFTHSM2_MODULE to libsofthsm2.so"
    );
    found.unwrap().to_owned()
}

pub(super) fn configuration(tokens: &Path) -> String {
    let lines = [
        format!("directories.tokendir = {}", tokens.display()),
        "objectstore.backend = file".to_owned(),
        "log.level = ERROR".to_owned(),
        "slots.removable = false".to_owned(),
    ];
    lines.join("\n") + "\n"
}

/// SoftHSM names the folder itself.
pub(super) fn init(home: &Path, init: impl FnOnce(&[&str])) -> PathBuf {
    let before = folders(home);
    init(&["--free"]);
    let made: Vec<PathBuf> = folders(home).difference(&before).cloned().collect();
    let [folder] = made.as_slice() else { panic!("softhsm2-util made {made:?}, not one folder") };
    folder.clone()
}

fn folders(home: &Path) -> BTreeSet<PathBuf> {
    std::fs::read_dir(tokens(home)).unwrap().map(|entry| entry.unwrap().path()).collect()
}
