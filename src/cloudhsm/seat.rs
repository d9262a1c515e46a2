//! A worker's place at a token: its session, and how it is kept alive.

use std::sync::Arc;

use cryptoki::error::{Error as Pkcs11Error, RvError};
use cryptoki::session::Session;

use super::class::{Class, class, told};
use super::keys::NoKey;
use super::login::{Entered, LoginError, Ticket, User};
use super::token::{NoToken, Token};
use crate::backend::{BackendError, BackendErrorKind, BackingKeyId, KeyStorePassword};
use cryptoki::object::ObjectHandle;

/// How often a call is tried, a session that was lost being opened anew in between.
const TRIES: usize = 3;

pub(super) struct Seat {
    token: Arc<Token>,
    session: Option<Session>,
}

impl Seat {
    pub(super) const fn new(token: Arc<Token>) -> Self {
        Self { token, session: None }
    }

    /// Logs in.
    pub(super) fn enter(
        &mut self,
        user: &User,
        password: &KeyStorePassword,
        ticket: &Ticket,
    ) -> Result<Entered, LoginError> {
        let session = open(&self.token).map_err(LoginError::Pkcs11)?;
        let entered = self.token.enter(&session, user, password, ticket)?;
        self.session = Some(session);
        Ok(entered)
    }

    pub(super) fn token(&self) -> &Token {
        &self.token
    }

    /// Ends the session; the next call opens another.
    pub(super) fn stand_up(&mut self) {
        self.session = None;
    }

    /// Lets go of the login, where this is the last session.
    pub(super) fn log_out(&mut self) {
        self.token.leave(self.session.as_ref());
    }

    /// Does something with a key; see [`perform`](Self::perform).
    pub(super) fn with_key<T>(
        &mut self,
        id: &BackingKeyId,
        mut work: impl FnMut(&Session, &Token, ObjectHandle) -> Result<Result<T, BackendError>, Pkcs11Error>,
    ) -> Result<T, BackendError> {
        self.perform(|session, token| match token.keys.handle(session, id) {
            Ok(handle) => work(session, token, handle),
            Err(NoKey::Told(error)) => Ok(Err(error)),
            Err(NoKey::Pkcs11(error)) => Err(error),
        })
    }

    /// Does something in the session, again after it was lost, whatever it was lost by: so `work` must be something
    /// that may be done twice.
    pub(super) fn perform<T>(
        &mut self,
        mut work: impl FnMut(&Session, &Token) -> Result<Result<T, BackendError>, Pkcs11Error>,
    ) -> Result<T, BackendError> {
        for _ in 1..TRIES {
            match self.attempt(&mut work) {
                Ok(done) => return done,
                Err(error) => self.recover(error)?,
            }
        }
        self.attempt(&mut work).map_err(told)?
    }

    /// Does something in the session, once.
    pub(super) fn once<T>(
        &mut self,
        work: impl FnOnce(&Session) -> Result<T, Pkcs11Error>,
    ) -> Result<T, Pkcs11Error> {
        let session = match self.session.take() {
            Some(session) => session,
            None => open(&self.token)?,
        };
        let done = work(&session);
        self.session = Some(session);
        done
    }

    fn attempt<T>(
        &mut self,
        work: &mut impl FnMut(&Session, &Token) -> Result<Result<T, BackendError>, Pkcs11Error>,
    ) -> Result<Result<T, BackendError>, Pkcs11Error> {
        let session = match self.session.take() {
            Some(session) => session,
            None => {
                let session = open(&self.token)?;
                match self.token.enter_again(&session) {
                    Ok(()) => session,
                    Err(LoginError::Pkcs11(error)) => return Err(error),
                    Err(other) => return Ok(Err(not_logged_in(&other))),
                }
            }
        };
        let done = work(&session, &self.token);
        self.session = Some(session);
        done
    }

    /// Mends what an error says is broken, or gives up.
    fn recover(&mut self, error: Pkcs11Error) -> Result<(), BackendError> {
        match class(&error) {
            Class::Session | Class::Reopen(_) => self.stand_up(),
            Class::LogIn => {
                // Logged in to again when the next session is opened.
                self.stand_up();
            }
            Class::Initialize => {
                self.stand_up();
                self.token.module().initialize_again().map_err(told)?;
                self.token.keys.forget_handles();
            }
            Class::FindAgain => self.token.keys.forget_handles(),
            Class::Exhausted | Class::GiveUp(_) => return Err(told(error)),
        }
        Ok(())
    }
}

/// A session that may make and delete keys.
fn open(token: &Token) -> Result<Session, Pkcs11Error> {
    let open = || token.module().pkcs11().open_rw_session(token.slot());
    match open() {
        Err(Pkcs11Error::Pkcs11(
            RvError::SlotIdInvalid | RvError::TokenNotPresent | RvError::TokenNotRecognized,
            function,
        )) => {
            let lost = |_| Pkcs11Error::Pkcs11(RvError::TokenNotPresent, function);
            match token.locate_again() {
                Ok(()) => open(),
                Err(NoToken::Pkcs11(error)) => Err(error),
                Err(other) => Err(lost(other)),
            }
        }
        other => other,
    }
}

fn not_logged_in(error: &LoginError) -> BackendError {
    let detail = match error {
        LoginError::Refused => "the password was refused, and is not tried again before it is changed",
        _ => "the login to the token was given up",
    };
    BackendError::new(BackendErrorKind::AuthenticationFailed).with_detail(detail)
}
