use std::path::{Path, PathBuf};
use std::process::Command;

/// Debian's file, and where its package says to look for it.
const PLACES: [&str; 2] =
    ["/usr/lib/softhsm/libsofthsm2.so", "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so"];

/// SoftHSM's library: the one that `SOFTHSM2_MODULE` names, or Debian's.
///
/// # Panics
///
/// When there is none. Tests are not skipped.
#[must_use]
pub fn softhsm() -> PathBuf {
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

/// Writes the file that tells SoftHSM where its tokens are.
pub(crate) fn configure(conf: &Path, tokens: &Path) {
    std::fs::create_dir_all(tokens).unwrap();
    let lines = [
        format!("directories.tokendir = {}", tokens.display()),
        "objectstore.backend = file".to_owned(),
        "log.level = ERROR".to_owned(),
        "slots.removable = false".to_owned(),
    ];
    std::fs::write(conf, lines.join("\n") + "\n").unwrap();
}

/// Makes a token in a free slot.
pub(crate) fn init_token(conf: &Path, label: &str, so_pin: &str, pin: &str) {
    let output = Command::new("softhsm2-util")
        .env("SOFTHSM2_CONF", conf)
        .arg("--module")
        .arg(softhsm())
        .args(["--init-token", "--free", "--label", label, "--so-pin", so_pin, "--pin", pin])
        .output();
    let output = match output {
        Ok(output) => output,
        Err(error) => panic!("softhsm2-util: {error}; on Debian: apt-get install softhsm2"),
    };
    assert!(
        output.status.success(),
        "softhsm2-util --init-token: {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}
