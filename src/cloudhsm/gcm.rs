//! AES-GCM by a token.

use cryptoki::error::{Error as Pkcs11Error, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::mechanism::aead::GcmParams;
use cryptoki::object::ObjectHandle;
use cryptoki::session::Session;

use super::class::{Class, class};
use crate::backend::{BackendError, BackendErrorKind, Ciphertext};
use crate::primitive::{TAG_LEN, random};
use crate::secret::SecretBytes;

/// Who chooses the initialization vector of an encryption.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum IvOrigin {
    /// This crate does, at random. A key then encrypts 2^32 times at most; each connection counts for itself.
    #[default]
    Random,
    /// The token does: it is given zeros and overwrites them, as AWS CloudHSM insists.
    Token,
}

const IV_LEN: usize = 12;

/// Encrypts. One way for both origins of the IV: what it was is read afterwards.
pub(super) fn encrypt(
    session: &Session,
    key: ObjectHandle,
    origin: IvOrigin,
    plaintext: &[u8],
    authenticated: &[u8],
) -> Result<Result<Ciphertext, BackendError>, Pkcs11Error> {
    let mut iv: [u8; IV_LEN] = match origin {
        IvOrigin::Random => random(),
        IvOrigin::Token => [0; IV_LEN],
    };
    let mechanism = Mechanism::AesGcm(GcmParams::new(&mut iv, authenticated, tag_bits())?);
    let mut sealed = session.encrypt(&mechanism, key, plaintext)?;
    let invalid = |detail| Ok(Err(BackendError::new(BackendErrorKind::InvalidResponse).with_detail(detail)));
    if iv == [0; IV_LEN] {
        return invalid("the token did not choose an initialization vector");
    }
    let Some(tag) = sealed.len().checked_sub(TAG_LEN).filter(|length| *length == plaintext.len()) else {
        return invalid("the token's ciphertext is not as long as the plaintext and a tag");
    };
    let tag = sealed.split_off(tag);
    match <[u8; TAG_LEN]>::try_from(tag) {
        Ok(tag) => Ok(Ok(Ciphertext::new(sealed, iv.into(), tag))),
        Err(_) => invalid("the token's tag is not of 16 bytes"),
    }
}

/// Decrypts; `None` for what is not authentic. To find that out may take an encryption under the key, which `may_encrypt`
/// counts.
pub(super) fn decrypt(
    session: &Session,
    key: ObjectHandle,
    origin: IvOrigin,
    ciphertext: &Ciphertext,
    authenticated: &[u8],
    may_encrypt: impl FnOnce() -> bool,
) -> Result<Option<SecretBytes>, Pkcs11Error> {
    match open(session, key, ciphertext, authenticated) {
        Ok(plaintext) => Ok(Some(plaintext)),
        Err(error) if class(&error) == Class::GiveUp(BackendErrorKind::InvalidCiphertext) => Ok(None),
        Err(error) if says_nothing(&error) && may_encrypt() && works(session, key, origin) => Ok(None),
        Err(error) => Err(error),
    }
}

fn open(
    session: &Session,
    key: ObjectHandle,
    ciphertext: &Ciphertext,
    authenticated: &[u8],
) -> Result<SecretBytes, Pkcs11Error> {
    let mut iv = ciphertext.initialization_vector;
    let mechanism = Mechanism::AesGcm(GcmParams::new(iv.as_bytes_mut(), authenticated, tag_bits())?);
    // As PKCS#11 has it: with the tag at the end.
    let sealed = [&ciphertext.bytes[..], &ciphertext.authentication_tag].concat();
    session.decrypt(&mechanism, key, &sealed).map(SecretBytes::new)
}

/// Whether a token that answers this to a decryption may mean that the ciphertext is not authentic, or anything else.
const fn says_nothing(error: &Pkcs11Error) -> bool {
    matches!(
        error,
        Pkcs11Error::Pkcs11(RvError::GeneralError | RvError::FunctionFailed | RvError::VendorDefined(_), _)
    )
}

/// Whether the session can work with this key at all: what it encrypts it decrypts again. A token that knows exactly that
/// the key must not encrypt is in order too.
fn works(session: &Session, key: ObjectHandle, origin: IvOrigin) -> bool {
    const PROBE: &[u8] = b"does it work";
    match encrypt(session, key, origin, PROBE, b"") {
        Ok(Ok(sealed)) => open(session, key, &sealed, b"").is_ok_and(|opened| opened.expose() == PROBE),
        Ok(Err(_)) => false,
        Err(error) => matches!(error, Pkcs11Error::Pkcs11(RvError::KeyFunctionNotPermitted, _)),
    }
}

fn tag_bits() -> cryptoki::types::Ulong {
    128.into()
}
