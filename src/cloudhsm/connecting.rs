//! From a description to a connection: the library, the tokens, the login, the new password.

use std::sync::Arc;

use cryptoki::context::Function;
use cryptoki::error::{Error as Pkcs11Error, RvError};
use futures_channel::oneshot;

use super::class::{Class, class, text, told};
use super::cluster::{CloudHsmCluster, PasswordRotation, Seen, Settings};
use super::connection::{HsmConnection, Member};
use super::login::{Entered, LoginError, Ticket, is_refusal};
use super::module::Module;
use super::password::Keeper;
use super::pin::Pin;
use super::pool::Pool;
use super::rotating::rotate;
use super::token::{NoToken, Token, TokenName};
use crate::backend::{
    BackendError, BackendErrorKind, ConnectReason, ConnectRequest, ConnectionError,
    ConnectionErrorCode as Code, CustomKeyStoreType,
};
use crate::clock::within;

/// More names than that no detail has.
const MAX_SHOWN: usize = 10;

pub(super) async fn connect(
    cluster: &CloudHsmCluster,
    request: &ConnectRequest,
) -> Result<HsmConnection, ConnectionError> {
    let settings = &cluster.settings;
    refuse_too_few(settings, request.reason).await?;
    let mut keeper = Keeper::open(request, &cluster.password).await?;
    keeper.settle(cluster.seen.attempts.take());
    // A password that is not to be tried is a reason not to go to the HSM at all.
    keeper.candidates()?;

    let pools = find_tokens(settings, &cluster.seen).await?;
    let (first, others) = pools.split_first().ok_or_else(nobody_serves)?;
    let password = log_in(settings, &cluster.seen, first, &mut keeper).await?;
    log_in_to_others(settings, others, &password, &mut keeper).await;
    if request.reason == ConnectReason::Connect && settings.rotates {
        let rotation = match &pools[..] {
            [pool] if settings.tokens.len() == 1 => rotate(settings, pool, &mut keeper).await?,
            _ => PasswordRotation::Shared,
        };
        cluster.seen.rotation(rotation);
    }
    // Those that nobody is logged in to stay: they log in when they are asked.
    let members = pools.into_iter().map(Member::new).collect();
    Ok(HsmConnection::new(Arc::clone(settings), members, keeper))
}

fn pool(settings: &Settings, token: Token) -> Pool {
    Pool::new(token, settings.limits.clone(), Arc::clone(&settings.clock))
}

async fn refuse_too_few(settings: &Settings, reason: ConnectReason) -> Result<(), ConnectionError> {
    let needed = match reason {
        ConnectReason::Create | ConnectReason::Update => Settings::active_to_create(),
        ConnectReason::Connect | ConnectReason::Probe | ConnectReason::Resume => 1,
    };
    let active = settings.active_hsms().await.map_err(failed)?;
    match active {
        Some(active) if active < needed => {
            let detail = format!("{active} of the cluster's HSMs are active; needed: {needed}");
            Err(ConnectionError::new(Code::InsufficientCloudhsmHsms).with_detail(detail))
        }
        _ => Ok(()),
    }
}

/// Those of the tokens that are there. Loading a library blocks, for as long as it likes: its thread is left alone with
/// it when there is no more time. What it has found it gives as pools, which let go of it on threads of their own.
async fn find_tokens(settings: &Arc<Settings>, seen: &Arc<Seen>) -> Result<Vec<Pool>, ConnectionError> {
    // All wait for the one that hangs: a store that is connected again and again must not fill the process with them.
    let loading = seen.loading(settings.limits.hanging).ok_or_else(|| {
        ConnectionError::new(Code::NetworkErrors)
            .with_detail("earlier attempts hang in loading the PKCS#11 library still")
    })?;
    let (reply, found) = oneshot::channel();
    let work = Arc::clone(settings);
    let thread = std::thread::Builder::new().name("pkcs11-load".to_owned());
    thread
        .spawn(move || {
            let found = find_all(&work);
            drop(loading);
            drop(reply.send(found));
        })
        .map_err(|error| internal("no thread could be started for the PKCS#11 library").with_source(error))?;
    match within(&*settings.clock, settings.limits.deadline, found).await {
        Some(Ok(found)) => found,
        Some(Err(oneshot::Canceled)) => Err(internal("the PKCS#11 library's wrapper panicked")),
        None => Err(ConnectionError::new(Code::NetworkErrors)
            .with_detail("the PKCS#11 library did not come back from loading in time")),
    }
}

fn find_all(settings: &Settings) -> Result<Vec<Pool>, ConnectionError> {
    let mut found = Vec::new();
    let mut missing = None;
    for name in &settings.tokens {
        let module = Module::load(&settings.library).map_err(|error| no_library(settings, error))?;
        match Token::find(module, name.clone(), settings.names) {
            Ok(token) => found.push(pool(settings, token)),
            Err(error) => missing = Some(no_token(name, error)),
        }
    }
    match missing {
        // Others will do, until it is back.
        Some(error) if found.is_empty() => Err(error),
        _ => Ok(found),
    }
}

/// Logs in with the passwords that may be in force, each tried once. Gives the one that did.
async fn log_in(
    settings: &Settings,
    seen: &Arc<Seen>,
    pool: &Pool,
    keeper: &mut Keeper,
) -> Result<Pin, ConnectionError> {
    let (mut refused, mut elsewhere) = (None, None);
    for (candidate, password) in keeper.candidates()? {
        keeper.before_try().await?;
        match enter(settings, Some(seen), pool, password.clone(), keeper.is_told()).await {
            Ok(Entered::LoggedIn) => {
                keeper.accepted(candidate).await?;
                return Ok(password);
            }
            Ok(Entered::Shared) => {
                keeper.untried().await;
                return Ok(password);
            }
            Err(Attempt::Refused(error)) => {
                keeper.declined(candidate);
                refused = Some(error);
            }
            Err(Attempt::Elsewhere(error)) => {
                keeper.untried().await;
                elsewhere = Some(error);
            }
            Err(Attempt::Untried(error)) => {
                keeper.untried().await;
                return Err(error);
            }
            Err(Attempt::Unknown(error)) => return Err(error),
        }
    }
    match (elsewhere, refused) {
        // One of them was not tried: it may be the one in force.
        (Some(error), _) => Err(error),
        (None, Some(error)) => {
            keeper.refused(error.code()).await;
            Err(error)
        }
        (None, None) => Err(nobody_serves()),
    }
}

/// An attempt that failed, by what it means for the next one.
enum Attempt {
    /// The token says that the password is wrong.
    Refused(ConnectionError),
    /// The password was not shown to the token, since somebody is logged in with another one.
    Elsewhere(ConnectionError),
    /// The password was not shown to the token.
    Untried(ConnectionError),
    /// Nobody knows.
    Unknown(ConnectionError),
}

/// Takes the ticket when nobody waits any more: a password that is shown later would be shown for nothing.
struct Waiting<'a> {
    ticket: Arc<Ticket>,
    seen: Option<&'a Arc<Seen>>,
    is_over: bool,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if self.ticket.take()
            && !self.is_over
            && let Some(seen) = self.seen
        {
            seen.attempts.unshown();
        }
    }
}

/// Logs in to a token. Where the attempt was written down, it is `seen` how it ends when nobody waits any more.
async fn enter(
    settings: &Settings,
    seen: Option<&Arc<Seen>>,
    pool: &Pool,
    password: Pin,
    is_told: bool,
) -> Result<Entered, Attempt> {
    let user = settings.user.clone();
    let ticket = Arc::new(Ticket::new(is_told));
    let mut waiting = Waiting { ticket, seen, is_over: false };
    let (ticket, seen) = (Arc::clone(&waiting.ticket), seen.cloned());
    let entered = pool.call(move |seat| {
        let entered = seat.enter(&user, &password, &ticket);
        if let (Ok(Entered::LoggedIn), Some(seen)) = (&entered, seen) {
            seen.attempts.accepted();
        }
        Ok(entered)
    });
    let entered = entered.await;
    waiting.is_over = true;
    match entered {
        Ok(Ok(entered)) => Ok(entered),
        Ok(Err(error)) => Err(login_failed(pool.token().name(), error)),
        Err(error) => {
            let untried = waiting.ticket.take();
            let explained = not_entered(pool.token().name(), error);
            Err(if untried { Attempt::Untried(explained) } else { Attempt::Unknown(explained) })
        }
    }
}

/// Logs in to the tokens that are there for when the first fails. One that cannot be logged in to now is asked again
/// when it is needed, unless it refuses the password: then not before the store is told one.
async fn log_in_to_others(settings: &Settings, others: &[Pool], password: &Pin, keeper: &mut Keeper) {
    let asked = others.iter().filter(|pool| !keeper.is_refused_by(pool.token().name()));
    let logins = asked.map(|pool| async {
        let entered = enter(settings, None, pool, password.clone(), keeper.is_told()).await;
        matches!(entered, Err(Attempt::Refused(_))).then_some(pool.token().name())
    });
    let refused: Vec<_> = futures_util::future::join_all(logins).await.into_iter().flatten().collect();
    if !refused.is_empty() {
        keeper.refused_by(refused).await;
    }
}

fn not_entered(name: &TokenName, error: BackendError) -> ConnectionError {
    let detail = of_token(name, error.detail().unwrap_or("no login"));
    failed(error).with_detail(detail)
}

fn of_token(name: &TokenName, detail: &str) -> String {
    format!("the token of {name}: {detail}")
}

fn login_failed(name: &TokenName, error: LoginError) -> Attempt {
    let explained = |code, detail: &str| ConnectionError::new(code).with_detail(of_token(name, detail));
    match error {
        LoginError::OtherUser(user) => Attempt::Untried(explained(
            Code::UserLoggedIn,
            &format!(
                "another custom key store of this process is logged in as {user:?}; PKCS#11 allows one user in a process"
            ),
        )),
        LoginError::OtherPassword => Attempt::Elsewhere(explained(
            Code::UserLoggedIn,
            "another custom key store of this process is logged in as this user with another password; which one is \
             right only a login would show",
        )),
        LoginError::Stranger => Attempt::Untried(explained(
            Code::UserLoggedIn,
            "something else in this process is logged in already",
        )),
        LoginError::TooLate => {
            Attempt::Untried(explained(Code::NetworkErrors, "the PKCS#11 library did not come back in time"))
        }
        LoginError::Refused => Attempt::Untried(explained(
            Code::InvalidCredentials,
            "a login of this process with the password was lost, and not to be had again with it; it is not tried until \
             this store is told it by an update, be it the same",
        )),
        LoginError::Pkcs11(error) => {
            let (refusal, code) = (is_refusal(&error), login_code(&error));
            // Only the login itself shows the password.
            let untried = !matches!(error, Pkcs11Error::Pkcs11(_, Function::Login));
            let explained = explained(code, &text(&error)).with_source(told(error));
            match (refusal, untried) {
                (true, _) => Attempt::Refused(explained),
                (_, true) => Attempt::Untried(explained),
                _ => Attempt::Unknown(explained),
            }
        }
    }
}

// Sources: facts on KMS, 3.1 and 3.2.
fn login_code(error: &Pkcs11Error) -> Code {
    match error {
        Pkcs11Error::Pkcs11(value, _) => match value {
            RvError::PinLocked => Code::UserLockedOut,
            RvError::UserPinNotInitialized | RvError::UserTypeInvalid => Code::UserNotFound,
            RvError::UserAlreadyLoggedIn
            | RvError::UserAnotherAlreadyLoggedIn
            | RvError::UserTooManyTypes
            | RvError::SessionReadOnlyExists => Code::UserLoggedIn,
            _ => code(error),
        },
        _ => code(error),
    }
}

fn code(error: &Pkcs11Error) -> Code {
    match class(error) {
        Class::GiveUp(BackendErrorKind::AuthenticationFailed) | Class::LogIn => Code::InvalidCredentials,
        Class::Reopen(BackendErrorKind::Unreachable) => Code::NetworkErrors,
        _ => Code::InternalError,
    }
}

fn no_library(settings: &Settings, error: Pkcs11Error) -> ConnectionError {
    let library = settings.library.display();
    let detail = format!("the PKCS#11 library {library} cannot be used: {}", text(&error));
    ConnectionError::new(code(&error)).with_detail(detail).with_source(told(error))
}

fn no_token(name: &TokenName, error: NoToken) -> ConnectionError {
    match error {
        NoToken::None => ConnectionError::new(Code::InsufficientCloudhsmHsms)
            .with_detail("the PKCS#11 library shows no token at all"),
        NoToken::Missing(others) => ConnectionError::new(Code::ClusterNotFound)
            .with_detail(format!("the PKCS#11 library shows no token of {name}, but {}", shown(&others))),
        NoToken::Ambiguous => {
            internal("").with_detail(format!("more than one of the PKCS#11 library's tokens has {name}"))
        }
        NoToken::Pkcs11(error) => {
            ConnectionError::new(code(&error)).with_detail(text(&error)).with_source(told(error))
        }
    }
}

/// Says which tokens there are.
fn shown(tokens: &[TokenName]) -> String {
    let names: Vec<_> = tokens.iter().take(MAX_SHOWN).map(TokenName::to_string).collect();
    let (names, more) = (names.join(", "), tokens.len().saturating_sub(MAX_SHOWN));
    match (tokens.len(), more) {
        (0, _) => "none that is initialized".to_owned(),
        (1, _) => format!("one of {names}"),
        (count, 0) => format!("{count} others: {names}"),
        (count, more) => format!("{count} others: {names} and {more} more"),
    }
}

pub(super) fn failed(error: BackendError) -> ConnectionError {
    ConnectionError::from_call(CustomKeyStoreType::AwsCloudhsm, error)
}

fn internal(detail: &'static str) -> ConnectionError {
    ConnectionError::new(Code::InternalError).with_detail(detail)
}

fn nobody_serves() -> ConnectionError {
    ConnectionError::nobody_serves(CustomKeyStoreType::AwsCloudhsm)
}
