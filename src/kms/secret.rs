//! What a store needs to be let in, as bytes to be sealed.

use super::request::StoreSecret;
use crate::backend::{AccessKeyId, KeyStorePassword, SecretAccessKey, XksProxyCredential};
use crate::secret::SecretBytes;

/// No part of a secret has a line break in it.
const BREAK: u8 = b'\n';
const CREDENTIAL: &[u8] = b"credential 1";
const PASSWORD: &[u8] = b"password 1";

pub(super) fn encode(secret: &StoreSecret) -> SecretBytes {
    let parts: &[&[u8]] = match secret {
        StoreSecret::Credential(credential) => {
            &[CREDENTIAL, credential.access_key_id.as_str().as_bytes(), credential.secret_access_key.expose()]
        }
        StoreSecret::Password(password) => &[PASSWORD, password.expose()],
    };
    // As long as it becomes, so that it does not grow and leave copies behind.
    let mut bytes = Vec::with_capacity(parts.iter().map(|part| part.len() + 1).sum());
    for part in parts {
        bytes.extend_from_slice(part);
        bytes.push(BREAK);
    }
    SecretBytes::new(bytes)
}

/// `None` for what a newer release wrote, or nobody.
pub(super) fn decode(bytes: &SecretBytes) -> Option<StoreSecret> {
    let mut parts = bytes.expose().split(|byte| *byte == BREAK);
    let kind = parts.next()?;
    let mut text = || str::from_utf8(parts.next()?).ok();
    match kind {
        CREDENTIAL => {
            let access_key_id = AccessKeyId::new(text()?).ok()?;
            let secret_access_key = SecretAccessKey::new(text()?).ok()?;
            Some(StoreSecret::Credential(XksProxyCredential::new(access_key_id, secret_access_key)))
        }
        PASSWORD => Some(StoreSecret::Password(KeyStorePassword::new(text()?).ok()?)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_is_decoded_and_nothing_else_is() {
        let credential = XksProxyCredential::new(
            AccessKeyId::new("AKIAI2SFODNN7EXAMPLE").unwrap(),
            SecretAccessKey::new(&"s/".repeat(22)).unwrap(),
        );
        for secret in [
            StoreSecret::Credential(credential),
            StoreSecret::Password(KeyStorePassword::new("correcthorse").unwrap()),
        ] {
            let bytes = encode(&secret);
            assert_eq!(decode(&bytes), Some(secret));
            for end in 0..bytes.len() - 1 {
                let mut cut = bytes.clone();
                cut.truncate(end);
                // Never another secret of the same kind, unless a shorter one is legal too.
                if let Some(StoreSecret::Password(password)) = decode(&cut) {
                    assert!(b"correcthorse".starts_with(password.expose()));
                }
            }
        }
        assert_eq!(decode(&SecretBytes::from(b"credential 2\nx\ny\n".as_slice())), None);
        assert_eq!(decode(&SecretBytes::default()), None);
    }
}
