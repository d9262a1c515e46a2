//! Which password may be in force, written down before anything is tried or changed.
//!
//! A password that is refused is not tried again before the store is told one: five wrong ones lock the user. One that
//! is being changed is written down as *pending* first, so that after a crash at any moment either it or the *current*
//! one works. It stays written down until a login shows which of them does.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::token::TokenName;
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
    /// The token has refused the pending one: it is not in force, as far as the token knew.
    pending_refused: bool,
    /// Attempts that were begun since one was known to succeed.
    tries: u8,
    /// All are refused, and this is what the store showed then.
    refused: Option<ConnectionErrorCode>,
    /// The tokens beside the first that refuse what that one accepts, by their names, which have no tab in them.
    others: Vec<String>,
}

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Candidate {
    Pending,
    Current,
}

/// The record of a store, as an attempt to connect uses it, and the connection at its end.
#[derive(Clone)]
pub(super) struct Keeper {
    vault: Arc<dyn Vault>,
    record: Record,
    /// A configuration that is only tried out must not replace what the store rests on.
    writable: bool,
    /// Whether the store was told a password of which nothing is written down yet.
    told: Arc<AtomicBool>,
}

impl Record {
    const fn new(given: KeyStorePassword, current: KeyStorePassword) -> Self {
        let others = Vec::new();
        Self { given, current, pending: None, pending_refused: false, tries: 0, refused: None, others }
    }

    fn to_bytes(&self) -> SecretBytes {
        let tries = [b'0' + self.tries.min(9)];
        let others = self.others.join("\t");
        let lines: [&[u8]; 8] = [
            VERSION.as_bytes(),
            self.given.expose(),
            self.current.expose(),
            self.pending.as_ref().map_or(&[], KeyStorePassword::expose),
            if self.pending_refused { b"refused" } else { b"" },
            &tries,
            self.refused.map_or("", ConnectionErrorCode::as_str).as_bytes(),
            others.as_bytes(),
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
        let pending_refused = match next()? {
            "" => false,
            "refused" => true,
            _ => return None,
        };
        let tries = next()?.parse().ok()?;
        let refused = match next()? {
            "" => None,
            code => Some(code.parse().ok()?),
        };
        let others = next()?.split('\t').filter(|name| !name.is_empty()).map(str::to_owned).collect();
        next().is_none().then_some(Self { given, current, pending, pending_refused, tries, refused, others })
    }
}

impl Keeper {
    /// Reads what is written down, if it belongs to the password that the store is configured with. It does not when the
    /// store was `told` one since, be it the same: whoever told it may have set it in the cluster.
    pub(super) async fn open(
        vault: &Arc<dyn Vault>,
        given: &KeyStorePassword,
        told: &Arc<AtomicBool>,
        reason: ConnectReason,
    ) -> Result<Self, ConnectionError> {
        let stored = vault.read().await.map_err(unread)?;
        let record = match stored {
            Some(bytes) if !told.load(Ordering::Acquire) => {
                Some(Record::from_bytes(bytes.expose()).ok_or_else(unreadable)?)
            }
            _ => None,
        };
        let record = record.filter(|record| record.given == *given);
        // What is only tried out may be written down where it replaces nothing.
        let is_tried_out = matches!(reason, ConnectReason::Create | ConnectReason::Update);
        let writable = !is_tried_out || record.is_some();
        let record = record.unwrap_or_else(|| Record::new(given.clone(), given.clone()));
        Ok(Self { vault: Arc::clone(vault), record, writable, told: Arc::clone(told) })
    }

    /// What is to be tried, in this order, each once.
    pub(super) fn candidates(&self) -> Result<Vec<(Candidate, KeyStorePassword)>, ConnectionError> {
        if let Some(code) = self.record.refused {
            let detail =
                "the password was refused before, and is not tried again before the store is told one";
            return Err(ConnectionError::new(code).with_detail(detail));
        }
        if self.record.tries >= MAX_TRIES {
            let detail = "nobody knows how the last attempts to log in with the password ended; for fear of locking the \
                          user, it is not tried again before the store is told one";
            return Err(ConnectionError::new(ConnectionErrorCode::InvalidCredentials).with_detail(detail));
        }
        let pending = self.record.pending.iter().filter(|_| !self.record.pending_refused);
        let pending = pending.map(|pending| (Candidate::Pending, pending.clone()));
        Ok(pending.chain([(Candidate::Current, self.record.current.clone())]).collect())
    }

    /// Writes down that a password is about to be tried.
    pub(super) async fn before_try(&mut self) -> Result<(), ConnectionError> {
        self.record.tries += 1;
        self.write().await.map_err(untried)
    }

    /// Writes down which password is in force, as a login has shown.
    pub(super) async fn accepted(&mut self, candidate: Candidate) -> Result<(), ConnectionError> {
        self.record.tries = 0;
        self.record.pending_refused = false;
        match (candidate, self.record.pending.take()) {
            (Candidate::Pending, Some(pending)) => self.record.current = pending,
            (Candidate::Pending | Candidate::Current, _) => {}
        }
        self.write().await.map_err(unwritten)
    }

    /// The token refuses one of them. Written down with what comes next: the attempt with the other one, or that all are
    /// refused.
    pub(super) const fn declined(&mut self, candidate: Candidate) {
        if matches!(candidate, Candidate::Pending) {
            self.record.pending_refused = true;
        }
    }

    /// Writes down that all are refused. Should that fail, what was written before counts as an attempt all the same.
    pub(super) async fn refused(&mut self, code: ConnectionErrorCode) {
        self.record.refused = Some(code);
        let _ = self.write().await;
    }

    /// Whether another token than the first refused the password.
    pub(super) fn is_refused_by(&self, other: &TokenName) -> bool {
        self.record.others.contains(&other.to_string())
    }

    /// Writes down that these refuse it.
    pub(super) async fn refused_by(&mut self, others: Vec<&TokenName>) {
        self.record.others.extend(others.into_iter().map(TokenName::to_string));
        let _ = self.write().await;
    }

    /// Takes back an attempt that never reached the token.
    pub(super) async fn untried(&mut self) {
        self.record.tries = self.record.tries.saturating_sub(1);
        let _ = self.write().await;
    }

    /// Whether it is not known which of two passwords is in force: then there must not be a third.
    pub(super) const fn is_unsettled(&self) -> bool {
        self.record.pending.is_some()
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
        self.record.pending_refused = false;
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
        if !self.writable {
            return Ok(());
        }
        self.vault.write(self.record.to_bytes()).await?;
        self.told.store(false, Ordering::Release);
        Ok(())
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

fn unread(error: BackendError) -> ConnectionError {
    failed("what is known of the password could not be read, so it was not tried", error)
}

fn untried(error: BackendError) -> ConnectionError {
    failed("it could not be written down that the password is tried, so it was not", error)
}

fn unwritten(error: BackendError) -> ConnectionError {
    failed("the password was accepted, which could not be written down", error)
}

fn failed(detail: &'static str, error: BackendError) -> ConnectionError {
    ConnectionError::new(ConnectionErrorCode::InternalError).with_detail(detail).with_source(error)
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
        let code = ConnectionErrorCode::UserLockedOut;
        for (pending, tries, refused) in
            [(None, 0, None), (Some(password("pending1")), 3, None), (None, 1, Some(code))]
        {
            record.pending_refused = pending.is_some();
            record.others.push(TokenName::Label(format!("a\tb\nc{tries}")).to_string());
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
