//! The libraries that are loaded into this process, each once, whoever uses it.
//!
//! PKCS#11 belongs to the process: `C_Initialize` is called once for a library, and a login holds for all sessions on a
//! token. So what stores share of a library lies here.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{
    Arc, LazyLock, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, TryLockError,
};
use std::time::Duration;

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Function, Pkcs11};
use cryptoki::error::{Error as Pkcs11Error, RvError};

use super::login::Logins;

static LIBRARIES: LazyLock<Mutex<HashMap<PathBuf, Arc<Library>>>> = LazyLock::new(Mutex::default);

/// A library's place, whether it is loaded or not. Held while it is loaded, initialized or finalized, so that nobody
/// sees it in between.
#[derive(Default)]
struct Library {
    loaded: Mutex<Loaded>,
    /// How often it was initialized under those who use it.
    renewals: AtomicU64,
    /// Held for reading by whoever calls it with a session, for writing while it is initialized again.
    calls: RwLock<()>,
}

#[derive(Default)]
struct Loaded {
    users: usize,
    pkcs11: Option<Pkcs11>,
    /// Whether it was us who initialized it. Somebody else's is not ours to finalize.
    ours: bool,
    logins: Arc<Logins>,
}

/// A library that is loaded, as long as this is held. The last one to let go finalizes it.
pub(super) struct Module {
    library: Arc<Library>,
    path: PathBuf,
    pkcs11: Pkcs11,
    logins: Arc<Logins>,
}

impl Module {
    /// Loads and initializes a library, unless it is there already. Blocks, for as long as the library likes.
    pub(super) fn load(path: &Path) -> Result<Self, Pkcs11Error> {
        // Two names of one file are one library. A mere name is for the system's loader to find, which does not look into
        // the folder that the process happens to be in.
        let is_name = path.components().count() < 2;
        let path = if is_name {
            path.to_owned()
        } else {
            std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
        };
        let library = Arc::clone(lock(&LIBRARIES).entry(path.clone()).or_default());
        let mut loaded = lock(&library.loaded);
        let pkcs11 = match &loaded.pkcs11 {
            Some(pkcs11) => pkcs11.clone(),
            None => {
                let pkcs11 = Pkcs11::new(&path)?;
                loaded.ours = initialize(&pkcs11)?;
                loaded.pkcs11.insert(pkcs11).clone()
            }
        };
        loaded.users += 1;
        let logins = Arc::clone(&loaded.logins);
        drop(loaded);
        Ok(Self { library, path, pkcs11, logins })
    }

    pub(super) fn pkcs11(&self) -> &Pkcs11 {
        &self.pkcs11
    }

    pub(super) fn logins(&self) -> &Logins {
        &self.logins
    }

    /// Initializes it again after somebody else has finalized it, which ended everybody's sessions anyway. Never
    /// finalizes: calls of others may be under way.
    pub(super) fn initialize_again(&self) -> Result<(), Pkcs11Error> {
        // No call that began before may reach it with a handle of before.
        let _alone = self.alone()?;
        let mut loaded = lock(&self.library.loaded);
        if initialize(&self.pkcs11)? {
            loaded.ours = true;
            self.library.renewals.fetch_add(1, Ordering::Release);
        }
        Ok(())
    }

    /// Waits until no call is under way, but not for one that hangs: whoever waits to write holds all others back.
    fn alone(&self) -> Result<RwLockWriteGuard<'_, ()>, Pkcs11Error> {
        for _ in 0..50 {
            match self.library.calls.try_write() {
                Ok(alone) => return Ok(alone),
                Err(TryLockError::Poisoned(poisoned)) => return Ok(poisoned.into_inner()),
                Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(1)),
            }
        }
        Err(Pkcs11Error::Pkcs11(RvError::CryptokiNotInitialized, Function::Initialize))
    }

    /// While this is held, nobody initializes it again.
    pub(super) fn calling(&self) -> RwLockReadGuard<'_, ()> {
        self.library.calls.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// How often it was initialized again. Handles of sessions from before mean nothing, or sessions of somebody else:
    /// a library begins to count anew.
    pub(super) fn renewals(&self) -> u64 {
        self.library.renewals.load(Ordering::Acquire)
    }
}

/// Whether it was not initialized before.
fn initialize(pkcs11: &Pkcs11) -> Result<bool, Pkcs11Error> {
    match pkcs11.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
        Ok(()) => Ok(true),
        Err(Pkcs11Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => Ok(false),
        Err(error) => Err(error),
    }
}

impl Drop for Module {
    fn drop(&mut self) {
        let mut loaded = lock(&self.library.loaded);
        loaded.users = loaded.users.saturating_sub(1);
        if loaded.users == 0
            && let Some(pkcs11) = loaded.pkcs11.take()
            && loaded.ours
        {
            // What goes wrong here nobody can mend; the next user initializes it, or is told that it cannot be.
            let _ = pkcs11.finalize();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for Module {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Module").field("path", &self.path).finish_non_exhaustive()
    }
}
