use std::path::{Path, PathBuf};

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};

use crate::module::{Module, conf};
use crate::shim::Shim;
use crate::token::Token;

/// The label of the token that every [`Hsm`] has.
const LABEL: &str = "first";

/// A directory with a module's configuration, its tokens, of which there is one to begin with, and a [`Shim`].
#[derive(Debug)]
pub struct Hsm {
    home: PathBuf,
    module: Module,
    library: PathBuf,
    token: Token,
    shim: Shim,
    /// In the process that made the directory, whose it is to remove.
    _owned: Option<tempfile::TempDir>,
}

impl Hsm {
    /// Makes one in a new directory, which is removed with it. For programs that a test starts with [`Self::env`];
    /// tests themselves get theirs from [`alone`](crate::alone).
    #[must_use]
    pub fn new(module: Module) -> Self {
        let owned = tempfile::Builder::new().prefix("hsm-").tempdir().unwrap();
        let home = owned.path().to_owned();
        module.configure(&home);
        let library = module.library();
        std::fs::write(note(&home), format!("{module:?}\n{}", library.display())).unwrap();
        let token = Token::init(module, &home, LABEL);
        let shim = Shim::create(&control(&home));
        Self { home, module, library, token, shim, _owned: Some(owned) }
    }

    /// The one that another process made here.
    pub(crate) fn at(home: &Path) -> Self {
        let note = std::fs::read_to_string(note(home)).unwrap();
        let (module, library) = note.split_once('\n').unwrap();
        let module = Module::ALL.into_iter().find(|one| format!("{one:?}") == module);
        Self {
            home: home.to_owned(),
            module: module.unwrap(),
            library: library.into(),
            token: Token::at(home, LABEL),
            shim: Shim::open(&control(home)),
            _owned: None,
        }
    }

    /// What a process must have in its environment to use the module and the shim here.
    #[must_use]
    pub fn env(&self) -> [(&'static str, PathBuf); 3] {
        [
            (self.module.variable(), conf(&self.home)),
            ("CKS_SHIM_TARGET", self.library.clone()),
            ("CKS_SHIM_CONTROL", control(&self.home)),
        ]
    }

    /// A directory for whatever the test needs, which is removed with this.
    #[must_use]
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// The module's library, without the shim.
    #[must_use]
    pub fn library(&self) -> &Path {
        &self.library
    }

    /// The token that is there from the beginning.
    #[must_use]
    pub const fn token(&self) -> &Token {
        &self.token
    }

    /// One more token, in the same configuration. A process that has initialized the module will not see it.
    #[must_use]
    pub fn another(&self, label: &str) -> Token {
        Token::init(self.module, &self.home, label)
    }

    /// The shim in front of the module.
    #[must_use]
    pub const fn shim(&self) -> &Shim {
        &self.shim
    }

    /// Loads the library and initializes it, unless somebody in this process has.
    #[must_use]
    pub fn initialized(&self, library: &Path) -> Pkcs11 {
        let context = Pkcs11::new(library).unwrap();
        match context.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
            Ok(()) | Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => context,
            Err(error) => panic!("C_Initialize: {error}"),
        }
    }
}

fn control(home: &Path) -> PathBuf {
    home.join("shim.control")
}

/// Where is written which module it is.
fn note(home: &Path) -> PathBuf {
    home.join("module")
}
