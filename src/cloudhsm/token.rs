//! A token: where its keys are used.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cryptoki::context::{Function, Pkcs11};
use cryptoki::error::Error as Pkcs11Error;
use cryptoki::object::ObjectHandle;
use cryptoki::session::Session;
use cryptoki::slot::{Slot, TokenInfo};

use super::keys::{KeyNames, KeyTable, NoKey};
use super::login::{Entered, LoginError, Ticket, TokenLogin, User, is_refusal};
use super::module::Module;
use super::pin::Pin;
use crate::backend::{BackendErrorKind, BackingKeyId};

/// Which token of a library is meant.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TokenName {
    /// The one of this label: up to 32 bytes.
    Label(String),
    /// The one of this serial number: up to 16 bytes.
    Serial(String),
    /// Whichever is in the slot of this number. Libraries may number their slots anew each time.
    Slot(u64),
}

impl fmt::Display for TokenName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Label(label) => write!(f, "label {label:?}"),
            Self::Serial(serial) => write!(f, "serial number {serial:?}"),
            Self::Slot(slot) => write!(f, "slot {slot}"),
        }
    }
}

/// Why there is no such token.
#[derive(Debug)]
pub(super) enum NoToken {
    /// No slot has one.
    None,
    /// None of this name, though these are initialized; said in the same way.
    Missing(Vec<TokenName>),
    /// More than one has this name.
    Ambiguous,
    /// What the library answers.
    Pkcs11(Pkcs11Error),
}

impl From<Pkcs11Error> for NoToken {
    fn from(error: Pkcs11Error) -> Self {
        Self::Pkcs11(error)
    }
}

/// What is known of a token as long as it is meant, whether it is used or let go of.
#[derive(Clone)]
pub(super) struct Known {
    name: TokenName,
    described: Arc<Description>,
    login: TokenLogin,
}

/// What a token said of itself.
#[derive(Debug, Clone)]
pub(super) struct Description {
    /// Label and serial number: which of several it is, to people.
    pub(super) id: String,
    pub(super) vendor: Option<String>,
    pub(super) model: String,
}

impl Description {
    pub(super) fn new(info: &TokenInfo) -> Self {
        let (label, serial, vendor) = (info.label(), info.serial_number(), info.manufacturer_id());
        let versions = format!("hardware {}, firmware {}", info.hardware_version(), info.firmware_version());
        Self {
            id: if serial.is_empty() { label.to_owned() } else { format!("{label} ({serial})") },
            vendor: (!vendor.is_empty()).then(|| vendor.to_owned()),
            model: match info.model() {
                "" => versions,
                model => format!("{model}, {versions}"),
            },
        }
    }

    /// Of one that has said nothing yet.
    pub(super) fn unknown(name: &TokenName) -> Self {
        let id = match name {
            TokenName::Label(name) | TokenName::Serial(name) => name.clone(),
            TokenName::Slot(_) => name.to_string(),
        };
        Self { id, vendor: None, model: "unknown".to_owned() }
    }
}

impl Known {
    pub(super) const fn name(&self) -> &TokenName {
        &self.name
    }

    /// What it said of itself when it was found.
    pub(super) fn described(&self) -> &Description {
        &self.described
    }

    pub(super) const fn login(&self) -> &TokenLogin {
        &self.login
    }
}

/// A token that was found, and what all its sessions share.
pub(super) struct Token {
    module: Module,
    known: Known,
    /// How often the library had been initialized again when the slot was looked for.
    era: Mutex<u64>,
    slot: Mutex<Slot>,
    /// Which of the logins the handles of keys belong to.
    logins: AtomicU64,
    /// Whether this store shares in the login.
    entered: AtomicBool,
    /// Who is to be logged in when the token can be, which it could not.
    later: Mutex<Option<(User, Pin)>>,
    pub(super) keys: KeyTable,
}

impl Token {
    /// Finds the token of this name. Blocks.
    pub(super) fn find(module: Module, name: TokenName, names: KeyNames) -> Result<Self, NoToken> {
        let era = module.renewals();
        let slot = locate(module.pkcs11(), &name)?;
        let keys = KeyTable::new(names);
        let info = module.pkcs11().get_token_info(slot);
        // A token's number may change, its serial number does not.
        let serial = info.as_ref().map(|info| info.serial_number().to_owned()).unwrap_or_default();
        let login = module.logins().of(if serial.is_empty() { slot.id().to_string() } else { serial });
        let described = info.map_or_else(|_| Description::unknown(&name), |info| Description::new(&info));
        let (known, slot) = (Known { name, described: Arc::new(described), login }, Mutex::new(slot));
        Ok(Self {
            era: Mutex::new(era),
            module,
            known,
            slot,
            logins: AtomicU64::new(0),
            entered: AtomicBool::new(false),
            later: Mutex::default(),
            keys,
        })
    }

    pub(super) const fn known(&self) -> &Known {
        &self.known
    }

    pub(super) const fn module(&self) -> &Module {
        &self.module
    }

    pub(super) fn slot(&self) -> Slot {
        *self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the token says of itself.
    pub(super) fn info(&self) -> Result<TokenInfo, Pkcs11Error> {
        self.module.pkcs11().get_token_info(self.slot())
    }

    /// Begins anew where the library was initialized again: slots may be numbered anew, and ours be another token's, as
    /// handles of keys may be those of others.
    pub(super) fn renew(&self) -> Result<(), NoToken> {
        let mut era = self.era.lock().unwrap_or_else(PoisonError::into_inner);
        let renewals = self.module.renewals();
        if *era != renewals {
            self.keys.forget_handles();
            self.locate_again()?;
            *era = renewals;
        }
        Ok(())
    }

    /// Looks for the token again: a library that was initialized again may have put it into another slot.
    pub(super) fn locate_again(&self) -> Result<(), NoToken> {
        let slot = locate(self.module.pkcs11(), &self.known.name)?;
        *self.slot.lock().unwrap_or_else(PoisonError::into_inner) = slot;
        Ok(())
    }

    /// Logs in, or shares in the login of another store. Unless it is refused, it is tried again with the next session.
    pub(super) fn enter(
        &self,
        session: &Session,
        user: &User,
        password: &Pin,
        ticket: &Ticket,
    ) -> Result<Entered, LoginError> {
        self.enter_for(&mut self.later(), session, user, password, ticket)
    }

    /// `later` is held meanwhile, so that the store enters once.
    fn enter_for(
        &self,
        later: &mut Option<(User, Pin)>,
        session: &Session,
        user: &User,
        password: &Pin,
        ticket: &Ticket,
    ) -> Result<Entered, LoginError> {
        let entered = self.known.login.enter(session, user, password, ticket);
        let is_for_later = match &entered {
            Ok(_) | Err(LoginError::Refused) => false,
            Err(LoginError::Pkcs11(error)) => !is_refusal(error),
            Err(_) => true,
        };
        *later = is_for_later.then(|| (user.clone(), password.clone()));
        let entered = entered?;
        self.logins.fetch_max(self.known.login.logins(), Ordering::AcqRel);
        self.entered.store(true, Ordering::Release);
        Ok(entered)
    }

    /// Logs in again where the login was lost, unless another store has done it, and for the first time where it could not
    /// be before.
    pub(super) fn enter_again(&self, session: &Session) -> Result<(), LoginError> {
        let mut later = self.later();
        if let Some((user, password)) = later.take() {
            let ticket = Ticket::default();
            return self.enter_for(&mut later, session, &user, &password, &ticket).map(drop);
        }
        drop(later);
        if let Err(error) = self.known.login.again(session) {
            if matches!(error, LoginError::Pkcs11(Pkcs11Error::Pkcs11(_, Function::Login)))
                && self.info().is_err()
            {
                self.known.login.forgive();
            }
            return Err(error);
        }
        let logins = self.known.login.logins();
        if self.logins.load(Ordering::Acquire) < logins {
            // What was found belonged to the sessions that are gone; its handles may be those of other keys by now. First
            // forgotten, then known to be: whoever sees the number finds none of them.
            self.keys.forget_handles();
            self.logins.fetch_max(logins, Ordering::AcqRel);
        }
        Ok(())
    }

    /// The handle of a key. None is said to be missing by a token that is not there itself.
    pub(super) fn key(&self, session: &Session, id: &BackingKeyId) -> Result<ObjectHandle, NoKey> {
        let found = self.keys.handle(session, id);
        if let Err(NoKey::Told(error)) = &found
            && error.kind() == BackendErrorKind::KeyNotFound
        {
            self.info()?;
        }
        found
    }

    /// Lets go of the login, at the end.
    pub(super) fn leave(&self, session: Option<&Session>) {
        if self.entered.swap(false, Ordering::AcqRel) {
            self.known.login.leave(session);
        }
    }

    pub(super) const fn login(&self) -> &TokenLogin {
        self.known.login()
    }

    fn later(&self) -> MutexGuard<'_, Option<(User, Pin)>> {
        self.later.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn is_entered(&self) -> bool {
        self.entered.load(Ordering::Acquire)
    }
}

/// For a token whose workers have all hung, or that never had any.
impl Drop for Token {
    fn drop(&mut self) {
        self.leave(None);
    }
}

fn locate(pkcs11: &Pkcs11, name: &TokenName) -> Result<Slot, NoToken> {
    let slots = pkcs11.get_slots_with_token()?;
    if slots.is_empty() {
        return Err(NoToken::None);
    }
    let (mut found, mut others) = (None, Vec::new());
    for slot in slots {
        // One that cannot be asked is none that can be used, unless it is meant whatever it is.
        let info = pkcs11.get_token_info(slot).ok();
        let its_name = match (name, &info) {
            (TokenName::Slot(_), _) => TokenName::Slot(slot.id()),
            (TokenName::Label(_), Some(info)) => TokenName::Label(info.label().to_owned()),
            (TokenName::Serial(_), Some(info)) => TokenName::Serial(info.serial_number().to_owned()),
            (TokenName::Label(_) | TokenName::Serial(_), None) => continue,
        };
        if its_name == *name {
            if found.replace(slot).is_some() {
                return Err(NoToken::Ambiguous);
            }
        } else if info.is_some_and(|info| info.token_initialized()) {
            others.push(its_name);
        }
    }
    found.ok_or(NoToken::Missing(others))
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token")
            .field("module", &self.module)
            .field("name", &self.known.name)
            .finish_non_exhaustive()
    }
}
