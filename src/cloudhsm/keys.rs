//! The keys of a token: how they are named, found, and counted.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use cryptoki::context::Function;
use cryptoki::error::{Error as Pkcs11Error, RvError};
use cryptoki::object::{Attribute, ObjectClass, ObjectHandle};
use cryptoki::session::Session;

use super::gcm::IvOrigin;
use super::login::is_logged_in;
use crate::backend::{BackendError, BackendErrorKind, BackingKeyId};

#[cfg(test)]
mod tests;

/// What the id of a backing key says of a key in a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum KeyNames {
    /// It is the key's `CKA_ID`, in lower-case hexadecimal digits: what keys that this crate makes are named by.
    #[default]
    Id,
    /// It is the key's `CKA_LABEL`. No keys can be made then: a label is the ARN of the KMS key.
    Label,
}

/// With a random 96-bit IV, the most encryptions of a key: NIST SP 800-38D, 8.3.
const MAX_ENCRYPTIONS: u64 = 1 << 32;

/// The keys of a token that were found, by their names.
pub(super) struct KeyTable {
    names: KeyNames,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    found: HashMap<BackingKeyId, Found>,
    /// How often all handles were forgotten.
    forgotten: u64,
}

struct Found {
    /// `None` when it is to be found anew.
    handle: Option<ObjectHandle>,
    encryptions: u64,
}

/// Why there is no handle of a key.
#[derive(Debug)]
pub(super) enum NoKey {
    Told(BackendError),
    Pkcs11(Pkcs11Error),
}

impl From<Pkcs11Error> for NoKey {
    fn from(error: Pkcs11Error) -> Self {
        Self::Pkcs11(error)
    }
}

impl From<BackendError> for NoKey {
    fn from(error: BackendError) -> Self {
        Self::Told(error)
    }
}

impl KeyTable {
    pub(super) fn new(names: KeyNames) -> Self {
        Self { names, state: Mutex::default() }
    }

    /// The handle of a key, which is looked for once.
    pub(super) fn handle(&self, session: &Session, id: &BackingKeyId) -> Result<ObjectHandle, NoKey> {
        let forgotten = {
            let state = self.lock();
            if let Some(handle) = state.found.get(id).and_then(|found| found.handle) {
                return Ok(handle);
            }
            state.forgotten
        };
        let handle = self.find(session, id)?;
        let mut state = self.lock();
        // One that was found before the login was lost may be of another key by now.
        let kept = (state.forgotten == forgotten).then_some(handle);
        state.found.entry(id.clone()).or_insert(Found { handle: None, encryptions: 0 }).handle = kept;
        Ok(handle)
    }

    /// Counts an encryption under an IV of ours, of which there is an end.
    pub(super) fn count(&self, id: &BackingKeyId, iv: IvOrigin) -> Result<(), BackendError> {
        if iv == IvOrigin::Token {
            return Ok(());
        }
        match self.lock().found.get_mut(id) {
            Some(found) if found.encryptions >= MAX_ENCRYPTIONS => {
                let detail = "the key has made 2^32 encryptions, the most that random nonces allow";
                Err(BackendError::new(BackendErrorKind::InvalidKeyState).with_detail(detail))
            }
            Some(found) => {
                found.encryptions += 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Has all keys be found anew. What was counted stays.
    pub(super) fn forget_handles(&self) {
        let mut state = self.lock();
        state.forgotten += 1;
        state.found.values_mut().for_each(|found| found.handle = None);
    }

    /// Forgets a key that is no more, and what was counted of it.
    pub(super) fn remove(&self, id: &BackingKeyId) {
        let mut state = self.lock();
        state.found.remove(id);
        // Whoever looked for it meanwhile may have found what is no more.
        state.forgotten += 1;
    }

    fn find(&self, session: &Session, id: &BackingKeyId) -> Result<ObjectHandle, NoKey> {
        let not_found = || BackendError::new(BackendErrorKind::KeyNotFound);
        let name = match self.names {
            KeyNames::Id => Attribute::Id(bytes(id).ok_or_else(not_found)?),
            KeyNames::Label => Attribute::Label(id.as_str().as_bytes().to_vec()),
        };
        // Who is not logged in is shown no private key, and told nothing; asked before and after, as another thread may
        // log in meanwhile.
        logged_in(session)?;
        let hits = session.find_objects(&[Attribute::Class(ObjectClass::SECRET_KEY), name])?;
        match hits[..] {
            [] => {
                logged_in(session)?;
                Err(not_found().into())
            }
            [handle] => Ok(handle),
            [..] => {
                let detail = "more than one key of the token has this name";
                Err(BackendError::new(BackendErrorKind::InvalidKeyState).with_detail(detail).into())
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn logged_in(session: &Session) -> Result<(), Pkcs11Error> {
    if is_logged_in(session)? {
        Ok(())
    } else {
        Err(Pkcs11Error::Pkcs11(RvError::UserNotLoggedIn, Function::FindObjects))
    }
}

/// The `CKA_ID` that a name says, if it is one.
pub(super) fn bytes(id: &BackingKeyId) -> Option<Vec<u8>> {
    let digits = id.as_str().as_bytes();
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    if !digits.len().is_multiple_of(2) {
        return None;
    }
    digits.chunks_exact(2).map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?)).collect()
}

/// The name of a `CKA_ID`.
pub(super) fn name(id: &[u8; 16]) -> Result<BackingKeyId, BackendError> {
    let digits = format!("{:032x}", u128::from_be_bytes(*id));
    BackingKeyId::new(digits)
        .map_err(|error| BackendError::new(BackendErrorKind::Internal).with_source(error))
}
