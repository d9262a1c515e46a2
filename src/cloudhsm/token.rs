//! A token: where its keys are used.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use cryptoki::context::Pkcs11;
use cryptoki::error::Error as Pkcs11Error;
use cryptoki::session::Session;
use cryptoki::slot::{Slot, TokenInfo};

use super::keys::{KeyNames, KeyTable};
use super::login::{Entered, LoginError, Ticket, TokenLogin, User};
use super::module::Module;
use crate::backend::KeyStorePassword;

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
    /// None of this name, among so many.
    Missing(usize),
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

/// A token that was found, and what all its sessions share.
pub(super) struct Token {
    module: Module,
    name: TokenName,
    slot: Mutex<Slot>,
    login: TokenLogin,
    /// Whether this store shares in the login.
    entered: AtomicBool,
    pub(super) keys: KeyTable,
}

impl Token {
    /// Finds the token of this name. Blocks.
    pub(super) fn find(module: Module, name: TokenName, names: KeyNames) -> Result<Self, NoToken> {
        let slot = locate(module.pkcs11(), &name)?;
        let login = module.logins().of(slot.id());
        let keys = KeyTable::new(names);
        Ok(Self { module, name, slot: Mutex::new(slot), login, entered: AtomicBool::new(false), keys })
    }

    pub(super) const fn name(&self) -> &TokenName {
        &self.name
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

    /// Looks for the token again: a library that was initialized again may have put it into another slot.
    pub(super) fn locate_again(&self) -> Result<(), NoToken> {
        let slot = locate(self.module.pkcs11(), &self.name)?;
        *self.slot.lock().unwrap_or_else(PoisonError::into_inner) = slot;
        Ok(())
    }

    /// Logs in, or shares in the login of another store.
    pub(super) fn enter(
        &self,
        session: &Session,
        user: &User,
        password: &KeyStorePassword,
        ticket: &Ticket,
    ) -> Result<Entered, LoginError> {
        let entered = self.login.enter(session, user, password, ticket)?;
        self.entered.store(true, Ordering::Release);
        Ok(entered)
    }

    /// Logs in again where the login was lost.
    pub(super) fn enter_again(&self, session: &Session) -> Result<(), LoginError> {
        if self.login.again(session)? == Entered::LoggedIn {
            // What was found belonged to the sessions that are gone.
            self.keys.forget_handles();
        }
        Ok(())
    }

    /// Lets go of the login, at the end.
    pub(super) fn leave(&self, session: Option<&Session>) {
        if self.entered.swap(false, Ordering::AcqRel) {
            self.login.leave(session);
        }
    }

    pub(super) const fn login(&self) -> &TokenLogin {
        &self.login
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
    let among = slots.len();
    let mut found = None;
    for slot in slots {
        let is_it = match name {
            TokenName::Slot(number) => slot.id() == *number,
            // One that cannot be asked is none that can be used.
            TokenName::Label(label) => pkcs11.get_token_info(slot).is_ok_and(|info| info.label() == label),
            TokenName::Serial(serial) => {
                pkcs11.get_token_info(slot).is_ok_and(|info| info.serial_number() == serial)
            }
        };
        if is_it && found.replace(slot).is_some() {
            return Err(NoToken::Ambiguous);
        }
    }
    found.ok_or(NoToken::Missing(among))
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token")
            .field("module", &self.module)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}
