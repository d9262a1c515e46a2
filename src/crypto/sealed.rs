//! Sealed bytes: the format, and the two ways through it.
//!
//! ```text
//! version 1 │ key id │ salt │ ciphertext │ tag
//!     1     │   16   │  32  │     n      │  16
//! ```
//!
//! The cipher is AES-256-GCM under a key derived from the root key and the salt, so that it meets one message. What
//! precedes the ciphertext is authenticated, followed by the purpose. The key id, derived from the root key, tells
//! a wrong key from damage.

use super::root::RootKey;
use crate::primitive::{TAG_LEN, random};
use crate::secret::SecretBytes;

const VERSION: u8 = 1;
const KEY_ID_LEN: usize = 16;
const SALT_LEN: usize = 32;
const HEADER_LEN: usize = 1 + KEY_ID_LEN + SALT_LEN;

const KEY_ID: &str = "custom-key-store sealing key id v1";
const SEAL: &str = "custom-key-store seal v1";

/// Why something cannot be unsealed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Unsealable {
    UnknownVersion,
    WrongKey,
    Damaged,
}

/// Seals `secret` for `purpose`.
pub(crate) fn seal(root: &RootKey, purpose: &[u8], secret: &[u8]) -> Vec<u8> {
    let salt: [u8; SALT_LEN] = random();
    let mut sealed = Vec::with_capacity(HEADER_LEN + secret.len() + TAG_LEN);
    sealed.push(VERSION);
    sealed.extend_from_slice(&*key_id(root));
    sealed.extend_from_slice(&salt);
    let aad = [&sealed, purpose].concat();

    sealed.extend_from_slice(secret);
    let tag = root.message_cipher(SEAL, &[&salt]).seal(&aad, &mut sealed[HEADER_LEN..]);
    sealed.extend_from_slice(&tag);
    sealed
}

/// Unseals what [`seal`] gave. Total: any bytes give a secret or an error.
pub(crate) fn unseal(root: &RootKey, purpose: &[u8], sealed: &[u8]) -> Result<SecretBytes, Unsealable> {
    match sealed.first() {
        Some(&VERSION) => {}
        Some(_) => return Err(Unsealable::UnknownVersion),
        None => return Err(Unsealable::Damaged),
    }
    let (header, rest) = sealed.split_at_checked(HEADER_LEN).ok_or(Unsealable::Damaged)?;
    let (key, salt) = header[1..].split_at(KEY_ID_LEN);
    let at = rest.len().checked_sub(TAG_LEN).ok_or(Unsealable::Damaged)?;
    let (ciphertext, tag) = rest.split_at(at);
    if key != key_id(root).as_slice() {
        return Err(Unsealable::WrongKey);
    }
    let aad = [header, purpose].concat();
    let mut secret = SecretBytes::new(vec![0; ciphertext.len()]);
    root.message_cipher(SEAL, &[salt])
        .open(&aad, ciphertext, tag, secret.expose_mut())
        .map_err(|_| Unsealable::Damaged)?;
    Ok(secret)
}

fn key_id(root: &RootKey) -> zeroize::Zeroizing<[u8; KEY_ID_LEN]> {
    root.derive(KEY_ID, &[])
}
