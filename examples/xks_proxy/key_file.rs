//! The keys of a tenant between two starts: a file that a sealing key protects.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use custom_key_store::backend::BackingKeyId;
use custom_key_store::backend::software::SoftwareKey;
use custom_key_store::{Sealer as _, SealingKey, SecretBytes};

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
    /// Reads the file, if there is one. Makes the sealing key, if there is none and no file that needs it.
    pub(crate) async fn open(path: &Path, sealing_key: &Path, tenant: &str) -> Result<Self, Box<dyn Error>> {
        let shown = |path: &Path, error: &dyn Error| format!("{}: {error}", path.display());
        let file = match fs::read(path) {
            Ok(file) => Some(file),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(shown(path, &error).into()),
        };
        let sealer = match SealingKey::from_file(sealing_key) {
            Err(error) if error.is_not_found() && file.is_none() => SealingKey::create_file(sealing_key),
            opened => opened,
        };
        let sealer = sealer.map_err(|error| shown(sealing_key, &error))?;
        let purpose = format!("xks_proxy: keys of {tenant}");
        let keys = match file {
            None => BTreeMap::new(),
            Some(file) => {
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
            // The random bytes of a sealing key are as good as those of any other.
            let bytes = SecretBytes::from(SealingKey::generate().expose().as_slice());
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
            fs::rename(&new, &self.path)
        })();
        written.map_err(|error| format!("{}: {error}", self.path.display()).into())
    }
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
