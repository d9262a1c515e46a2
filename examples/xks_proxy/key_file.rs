//! The keys of a tenant between two starts: a file that a sealing key protects.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use aws_lc_rs::rand;
use custom_key_store::backend::BackingKeyId;
use custom_key_store::backend::software::SoftwareKey;
use custom_key_store::{SealError, Sealer as _, SealingKey, SecretBytes};

const KEY_LEN: usize = 32;

/// The bytes of keys by their ids. What is added is kept when it is saved.
pub(crate) struct KeyFile {
    path: PathBuf,
    sealer: SealingKey,
    /// Another tenant's file must not pass for this one's.
    purpose: String,
    keys: BTreeMap<String, SecretBytes>,
    changed: bool,
}

impl KeyFile {
    /// Reads the file, if there is one.
    pub(crate) async fn open(path: &Path, sealer: SealingKey, tenant: &str) -> Result<Self, Box<dyn Error>> {
        let purpose = format!("xks_proxy: keys of {tenant}");
        let keys = match fs::read(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => return Err(shown(path, &error).into()),
            Ok(file) => {
                let unsealed =
                    sealer.unseal(purpose.as_bytes(), &file).await.map_err(|error| shown(path, &error))?;
                decode(unsealed.expose()).ok_or_else(|| format!("{}: not a file of keys", path.display()))?
            }
        };
        Ok(Self { path: path.to_owned(), sealer, purpose, keys, changed: false })
    }

    /// The key of this id, a new one if it is not in the file yet.
    pub(crate) async fn key(&mut self, id: &BackingKeyId) -> Result<SoftwareKey, Box<dyn Error>> {
        if !self.keys.contains_key(id.as_str()) {
            let mut bytes = SecretBytes::new(vec![0; KEY_LEN]);
            rand::fill(bytes.expose_mut())?;
            self.keys.insert(id.to_string(), bytes);
            self.changed = true;
        }
        let bytes = self.keys.get(id.as_str()).map_or(&[][..], SecretBytes::expose);
        Ok(SoftwareKey::from_bytes(bytes.try_into()?))
    }

    /// Puts the file in the place of the old one, in one step; nothing if it is as it was.
    pub(crate) async fn save(&self) -> Result<(), Box<dyn Error>> {
        if !self.changed {
            return Ok(());
        }
        let content = encode(&self.keys);
        let sealed = self.sealer.seal(self.purpose.as_bytes(), content.expose()).await?;
        let mut new = self.path.clone().into_os_string();
        new.push(".new");
        let new = PathBuf::from(new);
        let written = (|| {
            let mut file = OpenOptions::new().write(true).create(true).truncate(true).open(&new)?;
            file.write_all(&sealed)?;
            file.sync_all()?;
            fs::rename(&new, &self.path)?;
            sync_directory(&self.path)
        })();
        Ok(written.map_err(|error| shown(&self.path, &error))?)
    }
}

/// Has the file, and what goes with it, to this process alone for as long as this is kept: of two that make keys the one that
/// saves them later would undo what the other saved. The system lets go of it when the process ends, however it ends. The
/// file `<path>.lock`, which is empty, is never removed: whoever does lets in another process.
pub(crate) fn lock(path: &Path) -> Result<File, Box<dyn Error>> {
    let mut name = path.to_owned().into_os_string();
    name.push(".lock");
    let name = PathBuf::from(name);
    let file = OpenOptions::new().write(true).create(true).truncate(false).open(&name);
    let file = file.map_err(|error| shown(&name, &error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            Err(format!("{}: a proxy, or another tenant, has this file of keys", path.display()).into())
        }
        Err(TryLockError::Error(error)) => Err(shown(&name, &error).into()),
    }
}

/// The key that all files are sealed under. `None`, so that it is to be made, when there is none, and none of the files, which
/// would need it.
pub(crate) fn sealing_key<'a>(
    path: &Path,
    mut files: impl Iterator<Item = &'a Path>,
) -> Result<Option<SealingKey>, SealError> {
    match SealingKey::from_file(path) {
        // What cannot be looked at may be there.
        Err(error) if error.is_not_found() && files.all(|file| matches!(file.try_exists(), Ok(false))) => {
            Ok(None)
        }
        found => found.map(Some),
    }
}

fn shown(path: &Path, error: &dyn Error) -> String {
    format!("{}: {error}", path.display())
}

/// Makes the new name durable, which the content alone is not.
#[cfg(unix)]
fn sync_directory(path: &Path) -> io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(parent.unwrap_or_else(|| Path::new(".")))?.sync_all()
}

// Elsewhere a directory is no file that could be synchronized.
#[cfg(not(unix))]
fn sync_directory(_: &Path) -> io::Result<()> {
    Ok(())
}

/// Of each key the length of its id, the id, and its bytes.
fn encode(keys: &BTreeMap<String, SecretBytes>) -> SecretBytes {
    // As large as it gets, so that it does not move and leave copies behind.
    let mut content = Vec::with_capacity(keys.keys().map(|id| 1 + id.len() + KEY_LEN).sum());
    for (id, bytes) in keys {
        content.push(u8::try_from(id.len()).unwrap_or(u8::MAX));
        content.extend_from_slice(id.as_bytes());
        content.extend_from_slice(bytes.expose());
    }
    SecretBytes::new(content)
}

fn decode(mut content: &[u8]) -> Option<BTreeMap<String, SecretBytes>> {
    let mut keys = BTreeMap::new();
    while let Some((length, rest)) = content.split_first() {
        let (id, rest) = rest.split_at_checked(usize::from(*length))?;
        let (bytes, rest) = rest.split_at_checked(KEY_LEN)?;
        keys.insert(str::from_utf8(id).ok()?.to_owned(), SecretBytes::from(bytes));
        content = rest;
    }
    Some(keys)
}
