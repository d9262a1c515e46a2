//! Changing the password to one that only the store knows.

use cryptoki::context::Function;
use cryptoki::error::{Error as Pkcs11Error, RvError};

use super::cluster::{PasswordRotation, Settings};
use super::connecting::failed;
use super::login::User;
use super::password::Keeper;
use super::pin::Pin;
use super::pool::Pool;
use super::seat::Seat;
use crate::backend::ConnectionError;

/// What the token answers.
enum Answer {
    /// The token was not asked.
    Shared,
    Changed,
    /// There is no such function.
    Unsupported,
    /// It was not changed.
    Declined,
    /// Nobody knows.
    Unclear,
}

/// Changes the password, where that can be done without losing it.
///
/// The order is what keeps the store from locking itself out: the new password is written down as pending, then set,
/// then written down as current. Whoever connects after a crash tries the pending one first, and then the current one.
pub(super) async fn rotate(
    settings: &Settings,
    pool: &Pool,
    keeper: &mut Keeper,
) -> Result<PasswordRotation, ConnectionError> {
    if !keeper.may_change() {
        return Ok(PasswordRotation::NotKept);
    }
    // On a thread of the pool: whoever is logging in has the login, for as long as the library likes.
    let is_alone = pool.call(|seat| Ok(seat.token().login().is_alone())).await.map_err(failed)?;
    // In a login that was shared no password was tried, so that either may be in force.
    if !is_alone || keeper.is_unsettled() {
        return Ok(PasswordRotation::Shared);
    }
    let old = keeper.current().clone();
    let Ok(new) = keeper.propose().await else { return Ok(PasswordRotation::Failed) };
    let user = settings.user.clone();
    let answer = pool.call(move |seat| Ok(set(seat, &user, &old, &new)));
    // One that hangs leaves both passwords possible, and a login that nobody may rely on.
    match answer.await.map_err(failed)? {
        Answer::Shared => {
            keeper.withdraw().await;
            Ok(PasswordRotation::Shared)
        }
        Answer::Changed => {
            keeper.promote().await;
            Ok(PasswordRotation::Changed)
        }
        Answer::Unsupported => {
            keeper.withdraw().await;
            Ok(PasswordRotation::Unsupported)
        }
        Answer::Declined => {
            keeper.withdraw().await;
            Ok(PasswordRotation::Failed)
        }
        Answer::Unclear => Ok(PasswordRotation::Failed),
    }
}

/// Changes the password, and who is logged in with it, whether anybody still waits for the answer or not.
fn set(seat: &mut Seat, user: &User, old: &Pin, new: &Pin) -> Answer {
    if !seat.token().login().begin_change(new) {
        return Answer::Shared;
    }
    // In the one attempt that there is: a second one would not know which password is the old one.
    let answer = meaning(seat.once(|session| session.set_pin(&user.pin(old), &user.pin(new))));
    match answer {
        Answer::Changed => seat.token().login().end_change(true),
        Answer::Unsupported | Answer::Declined => seat.token().login().end_change(false),
        // The next login finds out.
        Answer::Shared | Answer::Unclear => {}
    }
    answer
}

fn meaning(answer: Result<(), Pkcs11Error>) -> Answer {
    match answer {
        Ok(()) => Answer::Changed,
        Err(Pkcs11Error::NullFunctionPointer | Pkcs11Error::NotSupported)
        | Err(Pkcs11Error::Pkcs11(RvError::FunctionNotSupported, _)) => Answer::Unsupported,
        // Not a session that was closed: that is one that was so in the middle of the change.
        Err(Pkcs11Error::Pkcs11(
            RvError::PinIncorrect
            | RvError::PinInvalid
            | RvError::PinLenRange
            | RvError::PinTooWeak
            | RvError::PinLocked
            | RvError::ActionProhibited
            | RvError::SessionReadOnly
            | RvError::SessionHandleInvalid
            | RvError::TokenWriteProtected
            | RvError::UserNotLoggedIn
            | RvError::ArgumentsBad,
            _,
        )) => Answer::Declined,
        // No session was to be had for it.
        Err(Pkcs11Error::Pkcs11(_, function)) if !matches!(function, Function::SetPIN) => Answer::Declined,
        Err(_) => Answer::Unclear,
    }
}
