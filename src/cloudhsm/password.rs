//! Which password may be in force, written down before anything is tried or changed.
//!
//! A password that is refused is not tried again before the store is told one: five wrong ones lock the user. One that
//! is being changed is written down as *pending* first, so that after a crash at any moment either it or the *current*
//! one works. It stays written down until a login shows which of them does.
//!
//! That the store was told one is kept with the store itself, as a [`Telling`]; here it is written
//! down of which telling account was taken, in the same step as that the password is tried. So each telling is good for one
//! attempt, whichever process makes it; and for the password that was told alone, since the one at hand may be an earlier one.
//!
//! One that the store is *told* is written down beside those, which it replaces when a login shows that it is in force:
//! a mistaken one must not cost what only the store knows.

use std::sync::Arc;

use super::pin::Pin;
use super::token::TokenName;
use crate::backend::{
    BackendError, BackendErrorKind, ConnectReason, ConnectRequest, ConnectionError, ConnectionErrorCode,
    Telling, TellingId, Vault,
};
use crate::primitive::random;
use crate::secret::SecretBytes;

#[cfg(test)]
mod tests;

const VERSION: &str = "custom-key-store password v2";
/// That has no telling in it, and is written as long as there is none.
const FIRST_VERSION: &str = "custom-key-store password v1";
/// After so many attempts of which nobody knows how they ended, no other is begun; one that was begun before may be made
/// to its end with one more. That is one fewer than lock a user of AWS CloudHSM: the last is a person's.
const MAX_TRIES: u8 = 3;
/// As long as a password may be.
const NEW_PASSWORD_LEN: usize = 32;

/// What is kept in the vault.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Record {
    /// When the store was told a password last, of which this takes account.
    telling: Option<TellingId>,
    /// What the store was told since, and no login has shown to be in force.
    told: Option<Pin>,
    /// The token has refused that one.
    told_refused: bool,
    /// What the store was configured with when the others were derived from it.
    given: Pin,
    current: Pin,
    pending: Option<Pin>,
    /// The token has refused the pending one: it is not in force, as far as the token knew.
    pending_refused: bool,
    /// Attempts that were begun since one was known to succeed.
    tries: u8,
    /// All are refused, and this is what the store showed then.
    refused: Option<ConnectionErrorCode>,
    /// The tokens beside the first that refuse what that one accepts, by their names, which have no tab in them.
    others: Vec<String>,
}

/// Which of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Candidate {
    Told,
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
    /// The attempt is made since the store was told its password, and is the one that this is good for.
    is_told: bool,
}

impl Record {
    const fn new(given: Pin, current: Pin) -> Self {
        Self {
            telling: None,
            told: None,
            told_refused: false,
            given,
            current,
            pending: None,
            pending_refused: false,
            tries: 0,
            refused: None,
            others: Vec::new(),
        }
    }

    /// What the store was configured with last.
    fn last(&self) -> &Pin {
        self.told.as_ref().unwrap_or(&self.given)
    }

    /// The store is told a password: everything may be tried anew that goes by this one. `is_said` when it was in so many
    /// words, so that it may have been set in the cluster, rather than by being configured with it.
    fn tell(&mut self, password: &Pin, is_said: bool) {
        // By its name, the others are meant.
        let is_name = self.given == *password && (!is_said || self.current == *password);
        self.told = (!is_name).then(|| password.clone());
        self.told_refused = false;
        self.pending_refused = false;
        self.tries = 0;
        self.refused = None;
        self.others.clear();
    }

    fn to_bytes(&self) -> SecretBytes {
        let tries = [b'0' + self.tries.min(9)];
        let others = self.others.join("\t");
        let refused = |is_refused| if is_refused { b"refused".as_slice() } else { b"" };
        let (version, telling) = match &self.telling {
            Some(telling) => (VERSION, Some(telling.as_str().as_bytes())),
            None => (FIRST_VERSION, None),
        };
        let lines: [&[u8]; 9] = [
            self.told.as_ref().map_or(&[], Pin::expose),
            refused(self.told_refused),
            self.given.expose(),
            self.current.expose(),
            self.pending.as_ref().map_or(&[], Pin::expose),
            refused(self.pending_refused),
            &tries,
            self.refused.map_or("", ConnectionErrorCode::as_str).as_bytes(),
            others.as_bytes(),
        ];
        // Never grown, which would leave a copy behind.
        let lines = || [version.as_bytes()].into_iter().chain(telling).chain(lines);
        let mut bytes = Vec::with_capacity(lines().map(|line| line.len() + 1).sum());
        for line in lines() {
            bytes.extend_from_slice(line);
            bytes.push(b'\n');
        }
        SecretBytes::new(bytes)
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?.strip_suffix('\n')?;
        let mut lines = text.split('\n');
        let mut next = || lines.next();
        let telling = match next()? {
            VERSION => Some(TellingId::new(next()?).ok()?),
            FIRST_VERSION => None,
            _ => return None,
        };
        let password = |text: &str| Pin::new(text).ok();
        let perhaps = |text: &str| if text.is_empty() { Some(None) } else { password(text).map(Some) };
        let is_refused = |text| match text {
            "" => Some(false),
            "refused" => Some(true),
            _ => None,
        };
        let (told, told_refused) = (perhaps(next()?)?, is_refused(next()?)?);
        let (given, current) = (password(next()?)?, password(next()?)?);
        let (pending, pending_refused) = (perhaps(next()?)?, is_refused(next()?)?);
        let tries = next()?.parse().ok()?;
        let refused = match next()? {
            "" => None,
            code => Some(code.parse().ok()?),
        };
        let others = next()?.split('\t').filter(|name| !name.is_empty()).map(str::to_owned).collect();
        next().is_none().then_some(Self {
            telling,
            told,
            told_refused,
            given,
            current,
            pending,
            pending_refused,
            tries,
            refused,
            others,
        })
    }
}

impl Keeper {
    /// Reads what is written down, and tells it the password that the store is configured with, if that is another than
    /// the last. So it is when the store was told that one since, be it the same: whoever told it may have set it in the
    /// cluster. That is written down together with the attempt that comes of it, and so it is one attempt, whatever happens
    /// in between.
    pub(super) async fn open(request: &ConnectRequest, given: &Pin) -> Result<Self, ConnectionError> {
        let ConnectRequest { reason, vault, telling, .. } = request;
        let stored = vault.read().await.map_err(unread)?;
        // One that told it another password is left for whoever comes with that.
        let telling = telling.as_ref().filter(|telling| Pin::from(telling.password().clone()) == *given);
        let telling = telling.map(Telling::id);
        let is_since = |written: Option<&TellingId>| telling.is_some() && telling != written;
        let (record, is_said) = match stored.as_ref().map(SecretBytes::expose) {
            None => (None, telling.is_some()),
            Some(bytes) => match Record::from_bytes(bytes) {
                Some(record) => {
                    let is_said = is_since(record.telling.as_ref());
                    (Some(record), is_said)
                }
                // Who tells it one leads it out.
                None if is_since(telling_in(bytes).as_ref()) => (None, true),
                None => return Err(unreadable()),
            },
        };
        let is_known = !is_said && record.as_ref().is_some_and(|record| record.last() == given);
        // What is only tried out may be written down where it replaces nothing.
        let is_tried_out = matches!(reason, ConnectReason::Create | ConnectReason::Update);
        let writable = !is_tried_out || is_known;
        let mut record = record.unwrap_or_else(|| Record::new(given.clone(), given.clone()));
        if !is_known {
            record.tell(given, is_said);
        }
        if is_said {
            record.telling = telling.cloned();
        }
        Ok(Self { vault: Arc::clone(vault), record, writable, is_told: is_said })
    }

    /// Takes account of attempts that ended when nobody waited for them any more.
    pub(super) fn settle(&mut self, (accepted, unshown): (bool, usize)) {
        let unshown = u8::try_from(unshown).unwrap_or(u8::MAX);
        self.record.tries = if accepted { 0 } else { self.record.tries.saturating_sub(unshown) };
    }

    /// What is to be tried, in this order, each once.
    pub(super) fn candidates(&self) -> Result<Vec<(Candidate, Pin)>, ConnectionError> {
        if let Some(code) = self.record.refused {
            let detail =
                "the password was refused before, and is not tried again before the store is told one";
            return Err(ConnectionError::new(code).with_detail(detail));
        }
        if self.record.tries >= MAX_TRIES {
            return Err(lost_count());
        }
        let Record { told, told_refused, given, current, pending, pending_refused, .. } = &self.record;
        let goes_by_it = told.as_ref().is_none_or(|told| told == given);
        let told = told.iter().filter(|_| !told_refused).map(|told| (Candidate::Told, told));
        let pending = pending.iter().filter(|_| goes_by_it && !pending_refused);
        let pending = pending.map(|pending| (Candidate::Pending, pending));
        let current = goes_by_it.then_some((Candidate::Current, current));
        let all = told.chain(pending).chain(current);
        Ok(all.map(|(candidate, password)| (candidate, password.clone())).collect())
    }

    /// Writes down that a password is about to be tried.
    pub(super) async fn before_try(&mut self) -> Result<(), ConnectionError> {
        // Where there are more of them than two.
        if self.record.tries > MAX_TRIES {
            return Err(lost_count());
        }
        self.record.tries += 1;
        self.write().await.map_err(untried)
    }

    /// Writes down which password is in force, as a login has shown.
    pub(super) async fn accepted(&mut self, candidate: Candidate) -> Result<(), ConnectionError> {
        let record = &mut self.record;
        record.tries = 0;
        (record.told_refused, record.pending_refused) = (false, false);
        match (candidate, record.told.take(), record.pending.take()) {
            (Candidate::Told, Some(told), _) => (record.given, record.current) = (told.clone(), told),
            (Candidate::Pending, _, Some(pending)) => record.current = pending,
            (Candidate::Told | Candidate::Pending | Candidate::Current, _, _) => {}
        }
        self.write().await.map_err(unwritten)
    }

    /// The token refuses one of them. Written down with what comes next: the attempt with the other one, or that all are
    /// refused.
    pub(super) const fn declined(&mut self, candidate: Candidate) {
        match candidate {
            Candidate::Told => self.record.told_refused = true,
            Candidate::Pending => self.record.pending_refused = true,
            Candidate::Current => {}
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

    /// Whether it is not known which of several passwords is in force: then there must not be one more.
    pub(super) const fn is_unsettled(&self) -> bool {
        self.record.pending.is_some() || self.record.told.is_some()
    }

    /// Whether the attempt is the one that a telling is good for, which holds for whatever refused the password before.
    pub(super) const fn is_told(&self) -> bool {
        self.is_told
    }

    /// Whether a password that is changed would still be known after a crash.
    pub(super) fn may_change(&self) -> bool {
        self.writable && self.vault.is_durable()
    }

    /// The one in force, where it is settled.
    pub(super) const fn current(&self) -> &Pin {
        &self.record.current
    }

    /// A new password, written down as pending.
    pub(super) async fn propose(&mut self) -> Result<Pin, BackendError> {
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
        self.vault.write(self.record.to_bytes()).await
    }
}

/// The telling that a record of a later release takes account of: its second line, as in this one.
fn telling_in(bytes: &[u8]) -> Option<TellingId> {
    let second = bytes.split(|byte| *byte == b'\n').nth(1)?;
    TellingId::new(std::str::from_utf8(second).ok()?).ok()
}

/// 190 bits, in letters and digits.
fn new_password() -> Result<Pin, BackendError> {
    const ALPHABET: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let mut text = zeroize::Zeroizing::new(String::with_capacity(NEW_PASSWORD_LEN));
    while text.len() < NEW_PASSWORD_LEN {
        let [byte] = random::<1>();
        // Each letter as often as any other: what is beyond is thrown away.
        if let Some(letter) = ALPHABET.get(usize::from(byte >> 2)) {
            text.push(char::from(*letter));
        }
    }
    Pin::new(&text).map_err(|error| BackendError::new(BackendErrorKind::Internal).with_source(error))
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

fn lost_count() -> ConnectionError {
    let detail = "nobody knows how the last attempts to log in with the password ended; for fear of locking the user, it \
                  is not tried again before the store is told one";
    ConnectionError::new(ConnectionErrorCode::InvalidCredentials).with_detail(detail)
}

fn unreadable() -> ConnectionError {
    ConnectionError::new(ConnectionErrorCode::InternalError)
        .with_detail("what is written down of the password is not of this release")
}
