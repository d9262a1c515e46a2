//! What the support of tests promises, in one binary to link once.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod alone;
mod device;
mod second;
mod shim;
mod token;

use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::mechanism::aead::GcmParams;
use cryptoki::object::{Attribute, ObjectHandle};
use cryptoki::session::Session;

/// What the module answered.
fn rv<T: std::fmt::Debug>(result: Result<T, Error>) -> RvError {
    match result {
        Err(Error::Pkcs11(rv, _)) => rv,
        other => panic!("the module did not fail: {other:?}"),
    }
}

/// A key of the session, which goes away with it.
fn key(session: &Session) -> ObjectHandle {
    let template = [Attribute::Encrypt(true), Attribute::Decrypt(true), Attribute::ValueLen(32_u64.into())];
    session.generate_key(&Mechanism::AesKeyGen, &template).unwrap()
}

fn encrypt(session: &Session, key: ObjectHandle, iv: &mut [u8]) -> Result<Vec<u8>, Error> {
    session.encrypt(&Mechanism::AesGcm(GcmParams::new(iv, b"aad", 128_u64.into())?), key, b"plaintext")
}

fn decrypt(session: &Session, key: ObjectHandle, iv: &mut [u8], sealed: &[u8]) -> Result<Vec<u8>, Error> {
    session.decrypt(&Mechanism::AesGcm(GcmParams::new(iv, b"aad", 128_u64.into())?), key, sealed)
}
