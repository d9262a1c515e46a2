//! Compiles the shim, once for all tests.

use std::path::PathBuf;
use std::process::Command;

fn main() -> Result<(), String> {
    for source in ["shim.c", "functions.h"] {
        println!("cargo::rerun-if-changed={source}");
    }
    let folder = std::env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?;
    let status = Command::new("cc")
        .args(["-shared", "-fPIC", "-O1", "-Wall", "-o"])
        .arg(PathBuf::from(folder).join("shim.so"))
        .args(["shim.c", "-ldl", "-lpthread"])
        .status()
        .map_err(|error| format!("cc: {error}; on Debian: apt-get install gcc libc6-dev"))?;
    if status.success() { Ok(()) } else { Err(format!("cc shim.c: {status}")) }
}
