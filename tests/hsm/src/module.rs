mod kryoptic;
mod softhsm;

use std::path::{Path, PathBuf};
use std::process::Command;

/// A PKCS#11 module that keeps its tokens in files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "nobody outside this workspace uses it")]
pub enum Module {
    /// SoftHSM, which is what tests use when it does not matter. Debian's `softhsm2`.
    SoftHsm,
    /// Kryoptic, to see that something does not work with SoftHSM alone. It has nothing in common with it, and is of
    /// version 3.2 of the standard. Built by the first test that asks for it.
    Kryoptic,
}

impl Module {
    pub(crate) const ALL: [Self; 2] = [Self::SoftHsm, Self::Kryoptic];

    /// Its library.
    ///
    /// # Panics
    ///
    /// When there is none, and says what to install. Tests are not skipped.
    #[must_use]
    pub fn library(self) -> PathBuf {
        match self {
            Self::SoftHsm => softhsm::library(),
            Self::Kryoptic => kryoptic::library(),
        }
    }

    /// The variable that tells it where its configuration is.
    pub(crate) const fn variable(self) -> &'static str {
        match self {
            Self::SoftHsm => "SOFTHSM2_CONF",
            Self::Kryoptic => "KRYOPTIC_CONF",
        }
    }

    /// Writes a configuration with no token.
    pub(crate) fn configure(self, home: &Path) {
        std::fs::create_dir(tokens(home)).unwrap();
        let text = match self {
            Self::SoftHsm => softhsm::configuration(&tokens(home)),
            Self::Kryoptic => String::new(),
        };
        std::fs::write(conf(home), text).unwrap();
    }

    /// Makes a token, and gives the folder that it is in.
    pub(crate) fn init_token(self, home: &Path, label: &str, so_pin: &str, pin: &str) -> PathBuf {
        let init = |slot: &[&str]| {
            let mut command = Command::new("softhsm2-util");
            command.env(self.variable(), conf(home)).arg("--module").arg(self.library());
            command.args(["--init-token", "--label", label, "--so-pin", so_pin, "--pin", pin]).args(slot);
            run(&mut command, "softhsm2");
        };
        match self {
            Self::SoftHsm => softhsm::init(home, init),
            Self::Kryoptic => kryoptic::init(home, init),
        }
    }
}

/// Where the configuration is.
pub(crate) fn conf(home: &Path) -> PathBuf {
    home.join("module.conf")
}

fn tokens(home: &Path) -> PathBuf {
    home.join("tokens")
}

/// Gives what it printed, or fails and says what may have been missing.
fn run(command: &mut Command, packages: &str) -> String {
    let output = match command.output() {
        Ok(output) => output,
        Err(error) => panic!("{command:?}: {error}; on Debian: apt-get install {packages}"),
    };
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{command:?}: {}; if something is missing, on Debian: apt-get install {packages}\n{printed}{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    printed
}
