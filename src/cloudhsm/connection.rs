//! A connection to a cluster.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use async_trait::async_trait;
use aws_lc_rs::constant_time;
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass};

use super::class::{Class, class};
use super::cluster::Settings;
use super::gcm;
use super::health;
use super::keys::{self, KeyNames, NoKey};
use super::password::Keeper;
use super::pool::Pool;
use super::seat::Seat;
use crate::backend::{
    BackendError, BackendErrorKind as Kind, BackingKeyId, Ciphertext, Closed, Connection,
    ConnectionErrorCode, DecryptRequest, Decrypted, DeleteKeyRequest, DescribeKeyRequest, EncryptRequest,
    GenerateKeyRequest, GenerateRandomRequest, GeneratedKey, Health, HealthRequest, KeyDescription, KeySpec,
    KeyStatus, KeyUsages, authenticated_data,
};
use crate::primitive::random;
use crate::secret::SecretBytes;

/// How long a token that failed is asked last, in milliseconds.
const AVOIDED_MILLIS: u64 = 1000;

pub(super) struct HsmConnection {
    settings: Arc<Settings>,
    members: Vec<Member>,
    keeper: Keeper,
    closed: AtomicBool,
    since: Instant,
}

/// A token that all of the connection's keys are in.
pub(super) struct Member {
    pub(super) pool: Pool,
    /// Until when it is asked last, in milliseconds since the connection was made.
    avoided: AtomicU64,
}

impl Member {
    pub(super) const fn new(pool: Pool) -> Self {
        Self { pool, avoided: AtomicU64::new(0) }
    }
}

impl HsmConnection {
    pub(super) fn new(settings: Arc<Settings>, members: Vec<Member>, keeper: Keeper) -> Self {
        let since = settings.clock.monotonic();
        Self { settings, members, keeper, closed: AtomicBool::new(false), since }
    }

    fn refuse_closed(&self) -> Result<(), BackendError> {
        if self.closed.load(Ordering::Acquire) { Err(Kind::Closed.into()) } else { Ok(()) }
    }

    fn now(&self) -> u64 {
        let passed = self.settings.clock.monotonic().saturating_duration_since(self.since);
        u64::try_from(passed.as_millis()).unwrap_or(u64::MAX)
    }

    /// Has a token do this: the first that can. So `work` must be something that may be done twice.
    async fn on_one<T: Send + 'static>(
        &self,
        work: impl Fn(&mut Seat) -> Result<T, BackendError> + Send + Sync + 'static,
    ) -> Result<T, BackendError> {
        self.refuse_closed()?;
        let work = Arc::new(work);
        if let [member] = &self.members[..] {
            return member.pool.call(move |seat| work(seat)).await;
        }
        let now = self.now();
        let (good, avoided): (Vec<_>, Vec<_>) =
            self.members.iter().partition(|member| member.avoided.load(Ordering::Relaxed) <= now);
        let mut failed = BackendError::new(Kind::Unreachable);
        for member in good.into_iter().chain(avoided) {
            let work = Arc::clone(&work);
            match member.pool.call(move |seat| work(seat)).await {
                Err(error) if is_the_token(error.kind()) => {
                    let until = self.now() + AVOIDED_MILLIS;
                    member.avoided.store(until, Ordering::Relaxed);
                    failed = error;
                }
                answer => return answer,
            }
        }
        Err(failed)
    }

    /// The token, where there is but one.
    fn only(&self) -> Result<&Member, BackendError> {
        self.refuse_closed()?;
        match &self.members[..] {
            [member] if self.settings.tokens.len() == 1 => Ok(member),
            _ => {
                let detail =
                    "a key of one token cannot be copied to the others; have the vendor's tools make it";
                Err(BackendError::new(Kind::Unsupported).with_detail(detail))
            }
        }
    }
}

/// Whether another token may well do what this one did not.
const fn is_the_token(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::Unreachable
            | Kind::TimedOut
            | Kind::Internal
            | Kind::AuthenticationFailed
            | Kind::Throttled
            | Kind::Panicked
    )
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Connection for HsmConnection {
    async fn describe_key(&self, request: &DescribeKeyRequest<'_>) -> Result<KeyDescription, BackendError> {
        let id = request.key.clone();
        self.on_one(move |seat| describe(seat, &id)).await
    }

    async fn generate_key(&self, request: &GenerateKeyRequest<'_>) -> Result<GeneratedKey, BackendError> {
        let member = self.only()?;
        if self.settings.names != KeyNames::Id {
            let detail = "keys that are named by their labels cannot be made here";
            return Err(BackendError::new(Kind::Unsupported).with_detail(detail));
        }
        self.settings.refuse_too_few_to_create().await?;
        let label = request.label.to_owned();
        let made = member.pool.call_or_undo(
            move |seat| generate(seat, &label),
            // Nobody waits any more: a key that nobody would know of.
            |seat, id| drop(delete(seat, &id)),
        );
        made.await.map(GeneratedKey::new)
    }

    async fn delete_key(&self, request: &DeleteKeyRequest<'_>) -> Result<(), BackendError> {
        let member = self.only()?;
        let id = request.key.clone();
        member.pool.call(move |seat| delete(seat, &id)).await
    }

    async fn generate_random(
        &self,
        request: &GenerateRandomRequest<'_>,
    ) -> Result<SecretBytes, BackendError> {
        let length = request.length;
        self.on_one(move |seat| draw(seat, length)).await
    }

    async fn encrypt(&self, request: &EncryptRequest<'_>) -> Result<Ciphertext, BackendError> {
        let id = request.key.clone();
        let plaintext = SecretBytes::from(request.plaintext);
        let authenticated = authenticated(request.additional_authenticated_data, b"")?;
        let (origin, verified) = (self.settings.iv, request.verified);
        let work = move |seat: &mut Seat| {
            seat.with_key(&id, |session, token, key| {
                if let Err(error) = token.keys.count(&id, origin) {
                    return Ok(Err(error));
                }
                let plaintext = plaintext.expose();
                let ciphertext = match gcm::encrypt(session, key, origin, plaintext, &authenticated)? {
                    Ok(ciphertext) => ciphertext,
                    Err(error) => return Ok(Err(error)),
                };
                if !verified {
                    return Ok(Ok(ciphertext));
                }
                let may_encrypt = || token.keys.count(&id, origin).is_ok();
                let opened = gcm::decrypt(session, key, origin, &ciphertext, &authenticated, may_encrypt)?;
                let same = opened.is_some_and(|opened| {
                    constant_time::verify_slices_are_equal(opened.expose(), plaintext).is_ok()
                });
                Ok(if same { Ok(ciphertext) } else { Err(Kind::IntegrityCheckFailed.into()) })
            })
        };
        self.on_one(work).await
    }

    async fn decrypt(&self, request: &DecryptRequest<'_>) -> Result<Decrypted, BackendError> {
        let (id, ciphertext) = (request.key.clone(), request.ciphertext.clone());
        let authenticated =
            authenticated(request.additional_authenticated_data, ciphertext.metadata.as_bytes())?;
        let origin = self.settings.iv;
        let work = move |seat: &mut Seat| {
            seat.with_key(&id, |session, token, key| {
                let may_encrypt = || token.keys.count(&id, origin).is_ok();
                let opened = gcm::decrypt(session, key, origin, &ciphertext, &authenticated, may_encrypt)?;
                Ok(match opened {
                    Some(opened) if opened.len() == ciphertext.bytes.len() => Ok(opened),
                    Some(_) => Err(invalid("the token's plaintext is not as long as the ciphertext")),
                    None => Err(Kind::InvalidCiphertext.into()),
                })
            })
        };
        self.on_one(work).await.map(Decrypted::new)
    }

    async fn health(&self, _: &HealthRequest<'_>) -> Result<Health, BackendError> {
        self.refuse_closed()?;
        health::read(&self.members, &self.settings.tokens).await
    }

    async fn close(&self) -> Result<Closed, BackendError> {
        self.closed.store(true, Ordering::Release);
        // The password of the others, should it be another, is not the one that is written down.
        if self.members.first().is_some_and(|member| member.pool.token().login().was_refused()) {
            self.keeper.clone().refused(ConnectionErrorCode::InvalidCredentials).await;
        }
        let ends = self.members.iter().map(|member| member.pool.close());
        let running: usize = futures_util::future::join_all(ends).await.into_iter().sum();
        Ok(Closed::new().with_still_running(running as u64))
    }
}

fn authenticated(aad: &[u8], metadata: &[u8]) -> Result<Vec<u8>, BackendError> {
    authenticated_data(aad, metadata).map_err(|error| BackendError::new(Kind::Unsupported).with_source(error))
}

fn describe(seat: &mut Seat, id: &BackingKeyId) -> Result<KeyDescription, BackendError> {
    seat.with_key(id, |session, _, key| {
        let wanted =
            [AttributeType::KeyType, AttributeType::ValueLen, AttributeType::Encrypt, AttributeType::Decrypt];
        let (mut kind, mut bytes, mut usages) = (None, 0_u64, KeyUsages::NONE);
        for attribute in session.get_attributes(key, &wanted)? {
            match attribute {
                Attribute::KeyType(of) => kind = Some(of),
                Attribute::ValueLen(length) => bytes = u64::from(length),
                Attribute::Encrypt(allowed) => usages = usages.encrypting(allowed),
                Attribute::Decrypt(allowed) => usages = usages.decrypting(allowed),
                _ => {}
            }
        }
        let spec = match kind {
            Some(KeyType::AES) if bytes == 32 => KeySpec::Aes256,
            Some(KeyType::AES) => KeySpec::Other(format!("AES_{}", bytes.saturating_mul(8))),
            Some(other) => KeySpec::Other(other.to_string()),
            None => KeySpec::Other("UNKNOWN".to_owned()),
        };
        Ok(Ok(KeyDescription::new(spec, usages, KeyStatus::Enabled)))
    })
}

/// Makes a key. Tried again after a session was lost, it looks first whether the key was made all the same: two of one id
/// would be of no use.
fn generate(seat: &mut Seat, label: &str) -> Result<BackingKeyId, BackendError> {
    let bytes: [u8; 16] = random();
    let id = keys::name(&bytes)?;
    let mut is_begun = false;
    let made = seat.perform(|session, token| {
        if is_begun {
            match token.key(session, &id) {
                Ok(_) => return Ok(Ok(())),
                Err(NoKey::Told(error)) if error.kind() == Kind::KeyNotFound => {}
                Err(NoKey::Told(error)) => return Ok(Err(error)),
                Err(NoKey::Pkcs11(error)) => return Err(error),
            }
        }
        is_begun = true;
        let template = [
            Attribute::Class(ObjectClass::SECRET_KEY),
            Attribute::KeyType(KeyType::AES),
            Attribute::Token(true),
            Attribute::Private(true),
            Attribute::Sensitive(true),
            Attribute::Extractable(false),
            Attribute::Encrypt(true),
            Attribute::Decrypt(true),
            Attribute::Wrap(false),
            Attribute::Unwrap(false),
            Attribute::ValueLen(32.into()),
            Attribute::Label(label.as_bytes().to_vec()),
            Attribute::Id(bytes.to_vec()),
        ];
        session.generate_key(&Mechanism::AesKeyGen, &template).map(|_| Ok(()))
    });
    let made = made.and_then(|()| refuse_unfit(seat, &id));
    if let Err(error) = &made
        && is_begun
        && error.kind().may_have_taken_effect()
    {
        // Nobody would know of it. Should this fail too, it carries its label.
        let _ = delete(seat, &id);
    }
    made.map(|()| id)
}

/// Refuses a key that is not what was asked for: that it stays in the token is what the store is for.
fn refuse_unfit(seat: &mut Seat, id: &BackingKeyId) -> Result<(), BackendError> {
    seat.with_key(id, |session, _, key| {
        let wanted = [AttributeType::Sensitive, AttributeType::Extractable, AttributeType::ValueLen];
        let fits = session.get_attributes(key, &wanted)?.into_iter().all(|attribute| match attribute {
            Attribute::Sensitive(sensitive) => sensitive,
            Attribute::Extractable(extractable) => !extractable,
            Attribute::ValueLen(length) => u64::from(length) == 32,
            _ => true,
        });
        Ok(if fits {
            Ok(())
        } else {
            Err(invalid("the token made a key that is not of 256 bits or can leave it"))
        })
    })
}

fn delete(seat: &mut Seat, id: &BackingKeyId) -> Result<(), BackendError> {
    let mut is_begun = false;
    // What is destroyed is what is found now, not what a handle meant once.
    seat.token().keys.forget_handles();
    let deleted = seat.with_key(id, |session, token, key| {
        // Whatever becomes of it, its handle is of no more use.
        token.keys.forget_handles();
        let destroyed = session.destroy_object(key);
        match &destroyed {
            Ok(()) => token.keys.remove(id),
            Err(error) => is_begun |= class(error) != Class::FindAgain,
        }
        destroyed.map(Ok)
    });
    match deleted {
        // An attempt before did it, though its answer was lost.
        Err(error) if error.kind() == Kind::KeyNotFound && is_begun => Ok(()),
        other => other,
    }
}

fn invalid(detail: &'static str) -> BackendError {
    BackendError::new(Kind::InvalidResponse).with_detail(detail)
}

fn draw(seat: &mut Seat, length: usize) -> Result<SecretBytes, BackendError> {
    seat.perform(|session, _| {
        let mut bytes = SecretBytes::new(vec![0; length]);
        session.generate_random_slice(bytes.expose_mut())?;
        // By chance once in 2^128 times.
        let is_random = length < 16 || bytes.expose().iter().any(|byte| *byte != 0);
        Ok(if is_random { Ok(bytes) } else { Err(invalid("the token's random bytes are all zero")) })
    })
}

impl fmt::Debug for HsmConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tokens: Vec<_> = self.members.iter().map(|member| &member.pool).collect();
        f.debug_struct("HsmConnection")
            .field("tokens", &tokens)
            .field("closed", &self.closed)
            .finish_non_exhaustive()
    }
}
