//! A worker's place at a token: its session, and how it is kept alive.

use std::sync::Arc;

use cryptoki::context::Function;
use cryptoki::error::{Error as Pkcs11Error, RvError};
use cryptoki::session::Session;

use super::class::{Class, class, told};
use super::keys::NoKey;
use super::login::{Entered, LoginError, Ticket, User};
use super::pin::Pin;
use super::token::{NoToken, Token};
use crate::backend::{BackendError, BackendErrorKind, BackingKeyId};
use cryptoki::object::ObjectHandle;

/// How often a call is tried, a session that was lost being opened anew in between.
const TRIES: usize = 3;

pub(super) struct Seat {
    token: Arc<Token>,
    session: Option<Session>,
    /// How often the library had been initialized again when the session was opened.
    era: u64,
}

impl Seat {
    pub(super) const fn new(token: Arc<Token>) -> Self {
        Self { token, session: None, era: 0 }
    }

    /// Logs in.
    pub(super) fn enter(
        &mut self,
        user: &User,
        password: &Pin,
        ticket: &Ticket,
    ) -> Result<Entered, LoginError> {
        let token = Arc::clone(&self.token);
        let _calling = token.module().calling();
        let session = open(&self.token).map_err(LoginError::Pkcs11)?;
        let entered = self.token.enter(&session, user, password, ticket)?;
        self.keep(session);
        Ok(entered)
    }

    pub(super) fn token(&self) -> &Token {
        &self.token
    }

    /// Opens a session for the next call, if there is none. False when the token has no more to give.
    pub(super) fn sit_down(&mut self) -> bool {
        let token = Arc::clone(&self.token);
        let _calling = token.module().calling();
        self.session = self.take();
        if self.session.is_some() || !self.token.is_entered() {
            return true;
        }
        match self.open_entered() {
            Ok(Ok(session)) => {
                self.keep(session);
                true
            }
            // The call will find out for itself.
            Ok(Err(_)) => true,
            Err(error) => class(&error) != Class::Exhausted,
        }
    }

    /// Ends the session; the next call opens another.
    pub(super) fn stand_up(&mut self) {
        let token = Arc::clone(&self.token);
        let _calling = token.module().calling();
        drop(self.take());
    }

    /// Lets go of the login, where this is the last session, or this other one that was left over.
    pub(super) fn log_out(&mut self, other: Option<Session>) {
        let token = Arc::clone(&self.token);
        let _calling = token.module().calling();
        let session = self.take();
        self.token.leave(session.as_ref().or(other.as_ref()));
    }

    /// Does something with a key; see [`perform`](Self::perform).
    pub(super) fn with_key<T>(
        &mut self,
        id: &BackingKeyId,
        mut work: impl FnMut(&Session, &Token, ObjectHandle) -> Result<Result<T, BackendError>, Pkcs11Error>,
    ) -> Result<T, BackendError> {
        self.perform(|session, token| match token.key(session, id) {
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
        let token = Arc::clone(&self.token);
        let _calling = token.module().calling();
        let session = match self.take() {
            Some(session) => session,
            None => {
                let session = open(&self.token)?;
                self.era = self.token.module().renewals();
                session
            }
        };
        let done = work(&session);
        self.session = Some(session);
        done
    }

    fn attempt<T>(
        &mut self,
        work: &mut impl FnMut(&Session, &Token) -> Result<Result<T, BackendError>, Pkcs11Error>,
    ) -> Result<Result<T, BackendError>, Pkcs11Error> {
        let token = Arc::clone(&self.token);
        let _calling = token.module().calling();
        let session = match self.take() {
            Some(session) => session,
            None => match self.open_entered()? {
                Ok(session) => session,
                Err(error) => return Ok(Err(error)),
            },
        };
        let done = work(&session, &self.token);
        self.session = Some(session);
        done
    }

    fn keep(&mut self, session: Session) {
        self.era = self.token.module().renewals();
        self.session = Some(session);
    }

    /// The session, unless the library was initialized again since: it counts its handles anew, and this one may be that of
    /// a session which another worker has opened, which must neither be used nor closed.
    pub(super) fn take(&mut self) -> Option<Session> {
        let session = self.session.take()?;
        if self.era == self.token.module().renewals() {
            return Some(session);
        }
        std::mem::forget(session);
        None
    }

    /// A session that somebody is logged in with.
    fn open_entered(&mut self) -> Result<Result<Session, BackendError>, Pkcs11Error> {
        let session = open(&self.token)?;
        let entered = self.token.enter_again(&session);
        self.era = self.token.module().renewals();
        match entered {
            Ok(()) => Ok(Ok(session)),
            Err(LoginError::Pkcs11(error)) => Err(error),
            Err(other) => Ok(Err(not_logged_in(&other))),
        }
    }

    /// Mends what an error says is broken, or gives up.
    fn recover(&mut self, error: Pkcs11Error) -> Result<(), BackendError> {
        match class(&error) {
            Class::Session => self.stand_up(),
            Class::Reopen(_) => {
                self.stand_up();
                // Some libraries have no better word for a handle that is not valid any more.
                self.token.keys.forget_handles();
            }
            // A handle may be invalid because the login is gone, and a session of which nobody is logged in is no lost one.
            Class::LogIn | Class::FindAgain => {
                self.token.keys.forget_handles();
                let token = Arc::clone(&self.token);
                let _calling = token.module().calling();
                // Where that fails, the session is closed, and whoever opens the next one is told why.
                if let Some(session) = self.take()
                    && self.token.enter_again(&session).is_ok()
                {
                    self.session = Some(session);
                }
            }
            // What it meant for the token is seen when the next session is opened, by every worker of every token.
            Class::Initialize => {
                self.token.module().initialize_again().map_err(told)?;
                self.stand_up();
            }
            Class::Exhausted | Class::GiveUp(_) => return Err(told(error)),
        }
        Ok(())
    }
}

/// Closes the session, if it is its own still.
impl Drop for Seat {
    fn drop(&mut self) {
        self.stand_up();
    }
}

/// A session that may make and delete keys.
fn open(token: &Token) -> Result<Session, Pkcs11Error> {
    let open = || token.module().pkcs11().open_rw_session(token.slot());
    let located = |located| match located {
        Ok(()) => Ok(()),
        Err(NoToken::Pkcs11(error)) => Err(error),
        Err(_) => Err(Pkcs11Error::Pkcs11(RvError::TokenNotPresent, Function::OpenSession)),
    };
    located(token.renew())?;
    match open() {
        Err(Pkcs11Error::Pkcs11(
            RvError::SlotIdInvalid | RvError::TokenNotPresent | RvError::TokenNotRecognized,
            _,
        )) => {
            located(token.locate_again())?;
            open()
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
