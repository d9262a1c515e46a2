//! The programs are compiled, and what the compiler says is read.

use std::collections::BTreeSet;
use std::process::Command;
use std::{env, fs};

use crate::programs::{Complaint, Program, WRITTEN_BY_HAND, check_or_update, directory, generated};

/// The toolchain that made the snapshots, such as `1.95`: the root package's `rust-version`.
fn pinned_toolchain() -> String {
    let manifest = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../Cargo.toml")).unwrap();
    let version = manifest.lines().find_map(|line| line.strip_prefix("rust-version = "));
    version.expect("the root package has a rust-version").trim_matches('"').to_owned()
}

/// Fails when the compiler is not the one whose words the snapshots are.
fn check_toolchain() -> Result<(), String> {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc).arg("--version").output().map_err(|error| format!("rustc: {error}"))?;
    let found = String::from_utf8_lossy(&output.stdout);
    let pinned = pinned_toolchain();
    let number = found.split_whitespace().nth(1).unwrap_or_default();
    if !number.contains('-') && (number == pinned || number.starts_with(&format!("{pinned}."))) {
        return Ok(());
    }
    Err(format!(
        "the snapshots are in the words of Rust {pinned} (rust-version in the root Cargo.toml), this is {found}\
         run\n    cargo +{pinned} test -p custom-key-store-compile-fail\n\
         or, to move to another toolchain, change rust-version and refresh the snapshots as the README says"
    ))
}

/// The errors in a snapshot, each with its line in the program.
fn errors(program: &Program) -> Vec<(usize, String)> {
    let path = directory().join(&program.path).with_extension("stderr");
    let snapshot = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
    let mut errors: Vec<String> = Vec::new();
    for line in snapshot.lines() {
        if line.starts_with("error") {
            errors.push(String::new());
        }
        let error = errors.last_mut().unwrap_or_else(|| panic!("{path:?} begins with something else"));
        error.push_str(line);
        error.push('\n');
    }
    let place = format!("--> tests/ui/{}:", program.path);
    let line_of = |error: &str| {
        let (_, rest) = error.split_once(&place)?;
        rest.split_once(':')?.0.parse().ok()
    };
    errors
        .into_iter()
        .map(|error| (line_of(&error).unwrap_or_else(|| panic!("{path:?}, without a place: {error}")), error))
        .collect()
}

#[test]
fn the_compiler_is_the_one_that_made_the_snapshots() {
    check_toolchain().unwrap_or_else(|problem| panic!("{problem}"));
}

#[test]
fn the_programs_are_what_the_table_says() {
    check_or_update().unwrap_or_else(|problem| panic!("{problem}"));
}

#[test]
fn there_is_no_program_beside_those_of_the_table_and_no_snapshot_without_a_program() {
    check_or_update().unwrap_or_else(|problem| panic!("{problem}"));
    let mut known: BTreeSet<_> = WRITTEN_BY_HAND.iter().map(|path| (*path).to_owned()).collect();
    known.extend(generated().into_iter().map(|program| program.path));
    for directory_name in ["fail", "pass"] {
        for entry in fs::read_dir(directory().join(directory_name)).unwrap() {
            let path = entry.unwrap().path().with_extension("rs");
            let name = path.file_name().unwrap().to_str().unwrap();
            assert!(known.contains(&format!("{directory_name}/{name}")), "nobody knows {path:?}");
        }
    }
}

/// Every illegal line has one error of its own, with the words that help; read after the snapshots are known to be
/// true, or were refreshed.
fn assert_one_error_for_each_illegal_line() {
    for program in generated().iter().filter(|program| !program.complaints.is_empty()) {
        let errors = errors(program);
        let wanted: Vec<_> = program.complaints.iter().map(|complaint| complaint.line).collect();
        let mut found: Vec<_> = errors.iter().map(|(line, _)| *line).collect();
        found.sort_unstable();
        assert_eq!(found, wanted, "the lines with errors in {}", program.path);
        for Complaint { line, says } in &program.complaints {
            let (_, error) = errors.iter().find(|(at, _)| at == line).unwrap();
            for text in says {
                assert!(error.contains(text), "{}: {text:?} is not in\n{error}", program.path);
            }
        }
    }
}

#[test]
fn every_illegal_call_is_one_helpful_error_and_every_legal_one_runs() {
    check_toolchain().unwrap_or_else(|problem| panic!("{problem}"));
    check_or_update().unwrap_or_else(|problem| panic!("{problem}"));
    let programs = trybuild::TestCases::new();
    programs.compile_fail("tests/ui/fail/*.rs");
    programs.pass("tests/ui/pass/*.rs");
    // Compiles them, and panics if one is not as it should be.
    drop(programs);
    assert_one_error_for_each_illegal_line();
}
