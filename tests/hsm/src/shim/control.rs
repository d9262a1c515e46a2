//! The file that the shim maps: first the settings, then a record for each function. `shim.c` has the same layout.
//!
//! It is read and written by position, a word at a time, since only the shim may map it: here no code is unsafe.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// All numbers are as long.
const WORD: u64 = 8;
/// The settings, and each record: sixteen numbers.
const BLOCK: u64 = 16 * WORD;
/// The user's name is behind eight numbers, and ends with a zero.
const USER: u64 = 8 * WORD;
const USER_LEN: usize = 64;

/// What is the same for all functions, in the order of `struct settings`.
#[derive(Debug, Clone, Copy)]
pub(super) enum Setting {
    ChooseIv,
    MaxSessions,
    LockAfter,
    WrongPins,
    Sessions,
    MostSessions,
    LoseSessions,
    ZeroIv,
}

/// What each function has, in the order of `struct record`.
#[derive(Debug, Clone, Copy)]
pub(super) enum Field {
    Calls,
    Queries,
    UnderWay,
    MostUnderWay,
    Hanging,
    Failed,
    DelayMicroseconds,
    Hang,
    Failure,
    Rv,
    After,
    Times,
    Hidden,
    SpareQueries,
    /// One more than it, or zero.
    Slot,
}

#[derive(Debug)]
pub(super) struct Control(File);

impl Control {
    pub(super) fn create(path: &Path) -> Self {
        let blocks = 1 + u64::try_from(functions().count()).unwrap();
        File::create_new(path).unwrap().set_len(blocks * BLOCK).unwrap();
        Self::open(path)
    }

    pub(super) fn open(path: &Path) -> Self {
        Self(File::options().read(true).write(true).open(path).unwrap())
    }

    pub(super) fn get(&self, function: &str, field: Field) -> u64 {
        self.read(record(function) + field as u64 * WORD)
    }

    pub(super) fn set(&self, function: &str, field: Field, value: u64) {
        self.write(record(function) + field as u64 * WORD, value);
    }

    pub(super) fn setting(&self, setting: Setting) -> u64 {
        self.read(setting as u64 * WORD)
    }

    pub(super) fn configure(&self, setting: Setting, value: u64) {
        self.write(setting as u64 * WORD, value);
    }

    pub(super) fn name_user(&self, name: &str) {
        assert!(name.len() < USER_LEN && !name.contains(':'), "no name of a user: '{name}'");
        let mut bytes = [0; USER_LEN];
        bytes[..name.len()].copy_from_slice(name.as_bytes());
        self.0.write_all_at(&bytes, USER).unwrap();
    }

    fn read(&self, position: u64) -> u64 {
        let mut bytes = [0; 8];
        self.0.read_exact_at(&mut bytes, position).unwrap();
        u64::from_ne_bytes(bytes)
    }

    fn write(&self, position: u64, value: u64) {
        self.0.write_all_at(&value.to_ne_bytes(), position).unwrap();
    }
}

/// The functions of PKCS#11, in the order of its list, from the file that the shim has them from.
pub(super) fn functions() -> impl Iterator<Item = &'static str> {
    include_str!("../../functions.h")
        .lines()
        .filter_map(|line| line.strip_prefix("X(").and_then(|rest| rest.strip_suffix(')')))
}

fn record(function: &str) -> u64 {
    let index = functions().position(|name| name == function);
    assert!(index.is_some(), "'{function}' is no function of PKCS#11");
    (1 + u64::try_from(index.unwrap()).unwrap()) * BLOCK
}
