//! Who is logged in to which token: in PKCS#11 that holds for a whole process, and so for all stores in it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cryptoki::error::{Error as Pkcs11Error, RvError};
use cryptoki::session::{Session, SessionState, UserType};
use cryptoki::types::AuthPin;

use super::pin::Pin;

/// As many attempts to log in again may end nobody knows how: five wrong passwords lock a user of AWS CloudHSM.
const MAX_UNCLEAR: u8 = 3;

/// Who logs in, and how the library wants it written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct User {
    pub(super) name: String,
    pub(super) form: LoginForm,
}

/// How a library takes a user's name and password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum LoginForm {
    /// The password alone: PKCS#11 knows one user of a token.
    #[default]
    Password,
    /// `user:password`, as the libraries of AWS CloudHSM want it.
    UserAndPassword,
}

impl User {
    /// What the library is given.
    pub(super) fn pin(&self, password: &Pin) -> AuthPin {
        // It was made of a text: no byte of it is lost.
        let password = std::str::from_utf8(password.expose()).unwrap_or_default();
        let text = match self.form {
            LoginForm::Password => password.to_owned(),
            LoginForm::UserAndPassword => [&self.name, ":", password].concat(),
        };
        // Takes the text's memory over, and wipes it.
        AuthPin::from(text)
    }
}

/// Why nobody is logged in.
#[derive(Debug)]
pub(super) enum LoginError {
    /// Another store of this process is logged in as somebody else.
    OtherUser(String),
    /// Another store of this process is logged in as the same user with another password, or is changing it.
    OtherPassword,
    /// Somebody in this process is logged in, but none of our stores.
    Stranger,
    /// Who wanted it has given up, before the token was shown the password.
    TooLate,
    /// The password was refused before, and is not tried again.
    Refused,
    /// What the library answers.
    Pkcs11(Pkcs11Error),
}

/// What a login showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entered {
    /// That the password is in force.
    LoggedIn,
    /// Nothing: somebody was logged in already, and the token was not asked.
    Shared,
}

/// Settles between a thread that is about to show the token a password and whoever gives up waiting for it whether it
/// was shown.
#[derive(Default)]
pub(super) struct Ticket {
    is_taken: AtomicBool,
    /// The store is told the password, which is good for one attempt, whatever was refused before.
    is_told: bool,
}

impl Ticket {
    pub(super) fn new(is_told: bool) -> Self {
        Self { is_taken: AtomicBool::new(false), is_told }
    }

    /// Whether the caller is the first: either the password is shown, or it never will be.
    pub(super) fn take(&self) -> bool {
        !self.is_taken.swap(true, Ordering::AcqRel)
    }
}

/// The logins on the tokens of a library.
#[derive(Default)]
pub(super) struct Logins(Mutex<HashMap<String, TokenLogin>>);

/// The user that is logged in to a token.
struct Holder {
    user: User,
    password: Pin,
    /// What the password is being changed to, or was, if the token did not say.
    next: Option<Pin>,
    stores: usize,
    /// Attempts to log in again, one after the other, of which nobody knows whether the password was wrong.
    unclear: u8,
    /// The token refused the password when it was to be logged in to again.
    refused: Arc<AtomicBool>,
}

/// A login to a token that a store shares in.
#[derive(Clone, Default)]
pub(super) struct TokenLogin {
    holder: Arc<Mutex<Option<Holder>>>,
    /// That of the last holder, for who must not wait for the lock.
    refused: Arc<AtomicBool>,
    logins: Arc<AtomicU64>,
}

impl Logins {
    /// The login to the token of this serial number, whoever has it.
    pub(super) fn of(&self, token: String) -> TokenLogin {
        lock(&self.0).entry(token).or_default().clone()
    }
}

impl TokenLogin {
    /// Logs in, unless another store of this process has done it, and shares in the login. A login that was lost, and whose
    /// password is not tried again, is tried once more for a store that is told this one.
    pub(super) fn enter(
        &self,
        session: &Session,
        user: &User,
        password: &Pin,
        ticket: &Ticket,
    ) -> Result<Entered, LoginError> {
        // Another store may hang in the library with it.
        let mut holder = lock(&self.holder);
        match &mut *holder {
            Some(held) if held.user != *user => Err(LoginError::OtherUser(held.user.name.clone())),
            // Who knows but the old one would share in a login that it could not repeat.
            Some(held) if held.next.as_ref().unwrap_or(&held.password) != password => {
                Err(LoginError::OtherPassword)
            }
            _ if !ticket.take() => Err(LoginError::TooLate),
            Some(held) => {
                let entered = again(session, held, ticket.is_told)?;
                self.count(entered);
                held.stores += 1;
                // A login with the other one shows nothing of this one.
                Ok(if held.password == *password { entered } else { Entered::Shared })
            }
            None => {
                show(session, user, password)?;
                self.count(Entered::LoggedIn);
                let (user, password) = (user.clone(), password.clone());
                self.refused.store(false, Ordering::Release);
                let refused = Arc::clone(&self.refused);
                *holder = Some(Holder { user, password, next: None, stores: 1, unclear: 0, refused });
                Ok(Entered::LoggedIn)
            }
        }
    }

    /// Logs in again if the login was lost, as all sessions were, and says whether it was. A password that is refused
    /// then is not tried again before a store is told it.
    pub(super) fn again(&self, session: &Session) -> Result<Entered, LoginError> {
        match &mut *lock(&self.holder) {
            Some(held) => {
                let entered = again(session, held, false)?;
                self.count(entered);
                Ok(entered)
            }
            // Given up meanwhile.
            None => Err(LoginError::Stranger),
        }
    }

    fn count(&self, entered: Entered) {
        if entered == Entered::LoggedIn {
            self.logins.fetch_add(1, Ordering::AcqRel);
        }
    }

    /// How often it was logged in to: handles of keys do not outlast a login. Does not block.
    pub(super) fn logins(&self) -> u64 {
        self.logins.load(Ordering::Acquire)
    }

    /// Lets go of the login; the last store logs out.
    pub(super) fn leave(&self, session: Option<&Session>) {
        let mut holder = lock(&self.holder);
        let Some(held) = &mut *holder else { return };
        held.stores = held.stores.saturating_sub(1);
        if held.stores == 0 {
            *holder = None;
            if let Some(session) = session {
                // The end of the last session logs out too.
                let _ = session.logout();
            }
        }
    }

    /// The last attempt to log in again failed because the token is not there: it says nothing of the password.
    pub(super) fn forgive(&self) {
        if let Some(held) = &mut *lock(&self.holder) {
            held.unclear = held.unclear.saturating_sub(1);
        }
    }

    /// Whether the token refused the password when it was to be logged in to again. Does not block.
    pub(super) fn was_refused(&self) -> bool {
        self.refused.load(Ordering::Acquire)
    }

    /// Whether no other store shares in the login.
    pub(super) fn is_alone(&self) -> bool {
        lock(&self.holder).as_ref().is_some_and(|held| held.stores == 1)
    }

    /// The password is about to be changed to this one, unless another store shares in the login: that would know the
    /// old one alone. From here on nobody else can.
    pub(super) fn begin_change(&self, new: &Pin) -> bool {
        match &mut *lock(&self.holder) {
            Some(held) if held.stores == 1 => {
                held.next = Some(new.clone());
                true
            }
            _ => false,
        }
    }

    /// The password was changed, or was not.
    pub(super) fn end_change(&self, changed: bool) {
        if let Some(held) = &mut *lock(&self.holder)
            && let Some(next) = held.next.take()
            && changed
        {
            held.password = next;
        }
    }
}

/// Logs in where nobody of ours is.
fn show(session: &Session, user: &User, password: &Pin) -> Result<(), LoginError> {
    match session.login(UserType::User, Some(&user.pin(password))) {
        Ok(()) => Ok(()),
        Err(Pkcs11Error::Pkcs11(
            RvError::UserAlreadyLoggedIn
            | RvError::UserAnotherAlreadyLoggedIn
            | RvError::UserTooManyTypes
            | RvError::SessionReadOnlyExists,
            _,
        )) => Err(LoginError::Stranger),
        Err(error) => Err(LoginError::Pkcs11(error)),
    }
}

/// Logs in again if the login was lost, with one password where the store is told it and nobody may try otherwise.
fn again(session: &Session, held: &mut Holder, is_told: bool) -> Result<Entered, LoginError> {
    if is_logged_in(session).map_err(LoginError::Pkcs11)? {
        return Ok(Entered::Shared);
    }
    let is_barred = held.refused.load(Ordering::Acquire) || held.unclear >= MAX_UNCLEAR;
    if is_barred && !is_told {
        return Err(LoginError::Refused);
    }
    if let Some(next) = held.next.clone() {
        match relogin(session, held, &next) {
            Err(error) if is_refusal(&error) => {
                held.next = None;
                if is_barred {
                    return Err(LoginError::Pkcs11(error));
                }
            }
            Err(error) => return Err(LoginError::Pkcs11(error)),
            Ok(Entered::LoggedIn) => {
                held.password = next;
                held.next = None;
                return Ok(Entered::LoggedIn);
            }
            Ok(Entered::Shared) => return Ok(Entered::Shared),
        }
    }
    let password = held.password.clone();
    relogin(session, held, &password).map_err(|error| {
        if is_refusal(&error) {
            held.refused.store(true, Ordering::Release);
        }
        LoginError::Pkcs11(error)
    })
}

/// Whether the user is, in this process.
pub(super) fn is_logged_in(session: &Session) -> Result<bool, Pkcs11Error> {
    let state = session.get_session_info()?.session_state();
    Ok(matches!(state, SessionState::RoUser | SessionState::RwUser))
}

/// Logs in, as long as there were not too many attempts of which nobody knows how they ended: what a library of its own
/// words means by them may be that the password is wrong.
fn relogin(session: &Session, held: &mut Holder, password: &Pin) -> Result<Entered, Pkcs11Error> {
    match session.login(UserType::User, Some(&held.user.pin(password))) {
        Ok(()) => {
            held.unclear = 0;
            held.refused.store(false, Ordering::Release);
            Ok(Entered::LoggedIn)
        }
        // By another session, in this moment.
        Err(Pkcs11Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => Ok(Entered::Shared),
        Err(error) => {
            held.unclear = held.unclear.saturating_add(1);
            Err(error)
        }
    }
}

/// Whether the token says that the password is wrong, so that trying again would only lock the user.
pub(super) const fn is_refusal(error: &Pkcs11Error) -> bool {
    matches!(
        error,
        Pkcs11Error::Pkcs11(
            RvError::PinIncorrect
                | RvError::PinInvalid
                | RvError::PinLenRange
                | RvError::PinExpired
                | RvError::PinLocked
                | RvError::UserPinNotInitialized
                | RvError::UserTypeInvalid,
            _
        )
    )
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
