use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use super::{conf, run, tokens};

/// Builds it, beside the program that runs, if that has not been done.
pub(super) fn library() -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(build).clone()
}

fn build() -> PathBuf {
    // target/debug/deps/program
    let program = std::env::current_exe().unwrap();
    let target = program.ancestors().nth(3).unwrap();
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command
        .args(["build", "--locked", "--message-format=json", "--manifest-path"])
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../kryoptic/Cargo.toml"))
        .arg("--target-dir")
        .arg(target);
    let messages = run(&mut command, "libclang-dev libsqlite3-dev libssl-dev pkg-config");
    let is_library = |name: &&str| name.ends_with(".so") && name.contains("kryoptic_pkcs11");
    let library = messages.split('"').find(is_library).map(PathBuf::from);
    library.unwrap_or_else(|| panic!("{command:?} built no library:\n{messages}"))
}

/// It has a slot for each file that its configuration names.
pub(super) fn init(home: &Path, init: impl FnOnce(&[&str])) -> PathBuf {
    let slot = (std::fs::read_dir(tokens(home)).unwrap().count() + 1).to_string();
    let folder = tokens(home).join(&slot);
    std::fs::create_dir(&folder).unwrap();
    let mut configuration = std::fs::File::options().append(true).open(conf(home)).unwrap();
    let file = folder.join("token.sql");
    writeln!(configuration, "[[slots]]\nslot = {slot}\ndbtype = \"sqlite\"\ndbargs = \"{}\"", file.display())
        .unwrap();
    drop(configuration);
    init(&["--slot", &slot]);
    folder
}
