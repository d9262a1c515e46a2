//! Which password may be in force, written down before anything is tried or changed.
//!
//! A password that is refused is not tried again before it is changed: five wrong ones lock the user. One that is being
//! changed is written down as *pending* first, so that after a crash at any moment either it or the *current* one works.

use std::sync::Arc;

use crate::backend::{
    BackendError, BackendErrorKind, ConnectReason, ConnectionError, ConnectionErrorCode, KeyStorePassword,
    Vault,
};
use crate::primitive::random;
use crate::secret::SecretBytes;

const VERSION: &str = "custom-key-store password v1";
/// After so many attempts of which nobody knows how they ended, a password counts as refused: one fewer than lock a
/// user of AWS CloudHSM, and then one for a person.
const MAX_TRIES: u8 = 3;
/// As long as a password may be.
const NEW_PASSWORD_LEN: usize = 32;

/// What is kept in the vault.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Record {
    /// What the store was configured with when the others were derived from it.
    given: KeyStorePassword,
    current: KeyStorePassword,
    pending: Option<KeyStorePassword>,
    /// Attempts that were begun since one was known to succeed.
    tries: u8,
    refused: bool,
}

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Candidate {
    Pending,
    Current,
}

/// The record of a store, as an attempt to connect uses it.
pub(super) struct Keeper {
    vault: Arc<dyn Vault>,
    record: Record,
    /// A configuration that is only tried out must not replace what the store rests on.
    writable: bool,
}

impl Record {
    const fn new(given: KeyStorePassword, current: KeyStorePassword) -> Self {
        Self { given, current, pending: None, tries: 0, refused: false }
    }

    fn to_bytes(&self) -> SecretBytes {
        let (tries, refused) = ([b'0' + self.tries.min(9)], if self.refused { &b"refused"[..] } else { b"" });
        let lines: [&[u8]; 6] = [
            VERSION.as_bytes(),
            self.given.expose(),
            self.current.expose(),
            self.pending.as_ref().map_or(&[], KeyStorePassword::expose),
            &tries,
            refused,
        ];
        // Never grown, which would leave a copy behind.
        let mut bytes = Vec::with_capacity(lines.iter().map(|line| line.len() + 1).sum());
        for line in lines {
            bytes.extend_from_slice(line);
            bytes.push(b'\n');
        }
        SecretBytes::new(bytes)
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?.strip_suffix('\n')?;
        let mut lines = text.split('\n');
        let mut next = || lines.next();
        if next()? != VERSION {
            return None;
        }
        let password = |text| KeyStorePassword::new(text).ok();
        let (given, current) = (password(next()?)?, password(next()?)?);
        let pending = match next()? {
            "" => None,
            text => Some(password(text)?),
        };
        let tries = next()?.parse().ok()?;
        let refused = match next()? {
            "" => false,
            "refused" => true,
            _ => return None,
        };
        next().is_none().then_some(Self { given, current, pending, tries, refused })
    }
}

impl Keeper {
    /// Reads what is written down, if it belongs to the password that the store is configured with.
    pub(super) async fn open(
        vault: &Arc<dyn Vault>,
        given: &KeyStorePassword,
        reason: ConnectReason,
    ) -> Result<Self, ConnectionError> {
        let stored = vault.read().await.map_err(unwritten)?;
        let record = match stored {
            Some(bytes) => Some(Record::from_bytes(bytes.expose()).ok_or_else(unreadable)?),
            None => None,
        };
        let is_ours = record.as_ref().is_none_or(|record| record.given == *given);
        let is_real = matches!(reason, ConnectReason::Connect | ConnectReason::Resume);
        let record = record
            .filter(|record| record.given == *given)
            .unwrap_or_else(|| Record::new(given.clone(), given.clone()));
        Ok(Self { vault: Arc::clone(vault), record, writable: is_real || is_ours })
    }

    /// What is to be tried, in this order, each once.
    pub(super) fn candidates(&self) -> Result<Vec<(Candidate, KeyStorePassword)>, ConnectionError> {
        if self.record.refused || self.record.tries >= MAX_TRIES {
            let detail = "the password was refused before, and is not tried again before it is changed";
            return Err(ConnectionError::new(ConnectionErrorCode::InvalidCredentials).with_detail(detail));
        }
        let pending = self.record.pending.iter().map(|pending| (Candidate::Pending, pending.clone()));
        Ok(pending.chain([(Candidate::Current, self.record.current.clone())]).collect())
    }

    /// Writes down that a password is about to be tried.
    pub(super) async fn before_try(&mut self) -> Result<(), ConnectionError> {
        self.record.tries += 1;
        self.write().await.map_err(unwritten)
    }

    /// Writes down which password is in force.
    pub(super) async fn accepted(&mut self, candidate: Candidate) -> Result<(), ConnectionError> {
        self.record.tries = 0;
        match (candidate, self.record.pending.take()) {
            (Candidate::Pending, Some(pending)) => self.record.current = pending,
            (Candidate::Pending | Candidate::Current, _) => {}
        }
        self.write().await.map_err(unwritten)
    }

    /// Writes down that all are refused. Should that fail, what was written before counts as an attempt all the same.
    pub(super) async fn refused(&mut self) {
        self.record.refused = true;
        let _ = self.write().await;
    }

    /// Takes back an attempt that never reached the token.
    pub(super) async fn untried(&mut self) {
        self.record.tries = self.record.tries.saturating_sub(1);
        let _ = self.write().await;
    }

    /// Whether a password that is changed would still be known after a crash.
    pub(super) fn may_change(&self) -> bool {
        self.writable && self.vault.is_durable()
    }

    pub(super) const fn current(&self) -> &KeyStorePassword {
        &self.record.current
    }

    /// A new password, written down as pending.
    pub(super) async fn propose(&mut self) -> Result<KeyStorePassword, BackendError> {
        let new = new_password()?;
        self.record.pending = Some(new.clone());
        self.write().await?;
        Ok(new)
    }

    /// The token has taken the pending password. Should it not be written, the pending one is tried first next time.
    pub(super) async fn promote(&mut self) {
        if let Some(pending) = self.record.pending.take() {
            self.record.current = pending;
            let _ = self.write().await;
        }
    }

    /// The token has definitely not taken the pending password.
    pub(super) async fn withdraw(&mut self) {
        self.record.pending = None;
        let _ = self.write().await;
    }

    async fn write(&self) -> Result<(), BackendError> {
        if self.writable { self.vault.write(self.record.to_bytes()).await } else { Ok(()) }
    }
}

/// 190 bits, in letters and digits.
fn new_password() -> Result<KeyStorePassword, BackendError> {
    const ALPHABET: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let mut text = zeroize::Zeroizing::new(String::with_capacity(NEW_PASSWORD_LEN));
    while text.len() < NEW_PASSWORD_LEN {
        let [byte] = random::<1>();
        // Each letter as often as any other: what is beyond is thrown away.
        if let Some(letter) = ALPHABET.get(usize::from(byte >> 2)) {
            text.push(char::from(*letter));
        }
    }
    KeyStorePassword::new(&text)
        .map_err(|error| BackendError::new(BackendErrorKind::Internal).with_source(error))
}

fn unwritten(error: BackendError) -> ConnectionError {
    ConnectionError::new(ConnectionErrorCode::InternalError)
        .with_detail("what is known of the password could not be read or written down, so it was not tried")
        .with_source(error)
}

fn unreadable() -> ConnectionError {
    ConnectionError::new(ConnectionErrorCode::InternalError)
        .with_detail("what is written down of the password is not of this release")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn password(text: &str) -> KeyStorePassword {
        KeyStorePassword::new(text).unwrap()
    }

    #[test]
    fn a_record_comes_back_as_it_was_written() {
        let mut record = Record::new(password("given111"), password("current1"));
        for (pending, tries, refused) in
            [(None, 0, false), (Some(password("pending1")), 3, false), (None, 1, true)]
        {
            (record.pending, record.tries, record.refused) = (pending, tries, refused);
            assert_eq!(Record::from_bytes(record.to_bytes().expose()), Some(record.clone()));
        }
    }

    #[test]
    fn what_is_no_record_is_refused() {
        let record = Record::new(password("given111"), password("current1")).to_bytes();
        let bytes = record.expose();
        for end in 0..bytes.len() {
            assert_eq!(Record::from_bytes(&bytes[..end]), None, "{end}");
        }
        assert_eq!(Record::from_bytes(&[bytes, b"\n"].concat()), None);
        assert_eq!(Record::from_bytes(&[0xff; 40]), None);
    }

    #[test]
    fn new_passwords_are_long_and_unlike() {
        let (one, other) = (new_password().unwrap(), new_password().unwrap());
        assert_eq!((one.expose().len(), other.expose().len()), (32, 32));
        assert_ne!(one, other);
    }
}
