//! The sealer that is built in: a key in memory.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::Path;

use async_trait::async_trait;
use aws_lc_rs::digest::{SHA256, digest};
use zeroize::Zeroizing;

use super::root::RootKey;
use super::sealed::{self, Unsealable};
use super::sealer::{SealError, SealErrorKind, Sealer};
use crate::file::{folder_missing, sync_directory};
use crate::primitive::KEY_LEN;
use crate::secret::SecretBytes;

/// What a key file begins with.
const MAGIC: &[u8; 8] = b"CKSSEAL1";
/// How much of the key's hash ends the file, so that a file cut short or altered is seen.
const CHECK_LEN: usize = 8;
const FILE_LEN: usize = MAGIC.len() + KEY_LEN + CHECK_LEN;

/// A 256-bit key that seals what an application stores.
///
/// Whoever has it and the sealed data has the secrets; whoever loses it has lost them. Keep it apart from what it
/// seals, and keep a copy. `Debug` hides it, memory is wiped.
///
/// AES-256-GCM under a new key for each sealing, derived from this one and 32 random bytes; so there is no limit to
/// how often it may be used.
///
/// ```no_run
/// use std::path::Path;
///
/// use custom_key_store::SealingKey;
///
/// let catalog = Path::new("/var/lib/my-program/stores.sqlite");
/// let path = "/etc/my-program/sealing.key"; // apart from what it seals
/// let key = match SealingKey::from_file(path) {
///     // The first start: there is nothing yet that it should open. `create_file` never overwrites.
///     Err(error) if error.is_not_found() && !catalog.try_exists()? => SealingKey::create_file(path)?,
///     found => found?,
/// };
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// <div class="warning">
///
/// Make a key only together with what it will seal. Where a catalogue is there and its key is not, a new one opens
/// nothing, and lies in the way of the right one: find that, or restore it.
///
/// </div>
#[derive(Clone)]
pub struct SealingKey(RootKey);

impl SealingKey {
    /// A random key, which somebody must keep: see [`expose`](Self::expose).
    #[must_use]
    pub fn generate() -> Self {
        Self(RootKey::generate())
    }

    /// The key with these bytes, which must be random. Copies them; the original is the caller's to wipe.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; KEY_LEN]) -> Self {
        Self(RootKey::new(bytes))
    }

    /// The bytes of the key, to be kept. Whoever copies them is responsible for the copy.
    #[must_use]
    pub fn expose(&self) -> &[u8; KEY_LEN] {
        self.0.expose()
    }

    /// Reads a file that [`create_file`](Self::create_file) made. Blocks.
    ///
    /// # Errors
    ///
    /// [`File`](SealErrorKind::File) when it cannot be read, where [`SealError::is_not_found`] says that there is none;
    /// [`FileIsNotPrivate`](SealErrorKind::FileIsNotPrivate) when, on Unix, its permissions give it to others than
    /// its owner; [`NotAKeyFile`](SealErrorKind::NotAKeyFile) when it holds something else, or is damaged.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, SealError> {
        let path = path.as_ref();
        Self::read(path).map_err(|error| error.of_file(path))
    }

    fn read(path: &Path) -> Result<Self, SealError> {
        let mut file = File::open(path).map_err(cannot)?;
        // One byte more than it should hold, so that a longer file is seen.
        let mut content = Zeroizing::new([0; FILE_LEN + 1]);
        let mut length = 0;
        while let Some(rest) = content.get_mut(length..).filter(|rest| !rest.is_empty()) {
            match file.read(rest) {
                Ok(0) => break,
                Ok(more) => length += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(cannot(error)),
            }
        }
        let key = decode(&content[..length]).ok_or_else(|| SealError::new(SealErrorKind::NotAKeyFile))?;
        if is_private(&file).map_err(cannot)? {
            Ok(key)
        } else {
            Err(SealError::new(SealErrorKind::FileIsNotPrivate))
        }
    }

    /// Makes a random key and a file of it, which only its owner may read (Unix: mode 0600). Returns when the file is
    /// durable. Never overwrites: that would lose a key. Blocks.
    ///
    /// # Errors
    ///
    /// [`File`](SealErrorKind::File) when there is such a file already, its folder is missing, or it cannot be made; what
    /// was begun is removed.
    pub fn create_file(path: impl AsRef<Path>) -> Result<Self, SealError> {
        let path = path.as_ref();
        Self::write(path).map_err(|error| error.of_file(path))
    }

    fn write(path: &Path) -> Result<Self, SealError> {
        let key = Self::generate();
        let mut file = new_private(path).map_err(|error| cannot(folder_missing(path).unwrap_or(error)))?;
        let written = file
            .write_all(key.encode().as_slice())
            .and_then(|()| file.sync_all())
            .and_then(|()| sync_directory(path));
        if let Err(error) = written {
            // Half a key would be refused as damaged on the next start; none is made anew.
            let _ = std::fs::remove_file(path);
            return Err(cannot(error));
        }
        Ok(key)
    }

    fn encode(&self) -> Zeroizing<[u8; FILE_LEN]> {
        let mut content = Zeroizing::new([0; FILE_LEN]);
        let (magic, rest) = content.split_at_mut(MAGIC.len());
        let (key, check) = rest.split_at_mut(KEY_LEN);
        magic.copy_from_slice(MAGIC);
        key.copy_from_slice(self.expose());
        check.copy_from_slice(&digest(&SHA256, self.expose()).as_ref()[..CHECK_LEN]);
        content
    }
}

fn decode(content: &[u8]) -> Option<SealingKey> {
    let (key, check) = content.strip_prefix(MAGIC)?.split_first_chunk::<KEY_LEN>()?;
    (check == &digest(&SHA256, key).as_ref()[..CHECK_LEN]).then(|| SealingKey::from_bytes(key))
}

fn cannot(error: io::Error) -> SealError {
    SealError::new(SealErrorKind::File).with_source(error)
}

impl SealError {
    /// Whether the file of a key was not there.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        let source = std::error::Error::source(self).and_then(|source| source.downcast_ref::<io::Error>());
        source.is_some_and(|error| error.kind() == io::ErrorKind::NotFound)
    }
}

#[cfg(unix)]
fn is_private(file: &File) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt as _;
    Ok(file.metadata()?.mode() & 0o077 == 0)
}

#[cfg(unix)]
fn new_private(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt as _;
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

// Elsewhere the permissions of a new file are those of its directory.
#[cfg(not(unix))]
fn is_private(_: &File) -> io::Result<bool> {
    Ok(true)
}

#[cfg(not(unix))]
fn new_private(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).open(path)
}

#[async_trait]
impl Sealer for SealingKey {
    async fn seal(&self, purpose: &[u8], secret: &[u8]) -> Result<Vec<u8>, SealError> {
        Ok(sealed::seal(&self.0, purpose, secret))
    }

    async fn unseal(&self, purpose: &[u8], sealed: &[u8]) -> Result<SecretBytes, SealError> {
        sealed::unseal(&self.0, purpose, sealed).map_err(|error| {
            SealError::new(match error {
                Unsealable::UnknownVersion => SealErrorKind::UnknownVersion,
                Unsealable::WrongKey => SealErrorKind::WrongKey,
                Unsealable::Damaged => SealErrorKind::Damaged,
            })
        })
    }
}

impl fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealingKey").finish_non_exhaustive()
    }
}
