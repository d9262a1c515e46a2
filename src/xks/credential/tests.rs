use std::collections::HashSet;

use serde_json::json;

use crate::backend::{AccessKeyId, SecretAccessKey, UriPath, XksProxyCredential};
use crate::xks::vectors::base64;

// XKS-P-130, XKS-P-131, XKS-C-18: the types check the alphabets; here that all of the alphabet is used.
#[test]
fn generated_credentials_are_legal_and_random() {
    let made: Vec<_> = (0..200).map(|_| XksProxyCredential::generate().unwrap()).collect();
    let ids: HashSet<_> = made.iter().map(|credential| credential.access_key_id.as_str()).collect();
    assert_eq!(ids.len(), made.len());
    let letters: HashSet<_> = ids.iter().flat_map(|id| id.bytes()).collect();
    assert_eq!(letters.len(), 32);
    for credential in &made {
        let secret = str::from_utf8(credential.secret_access_key.expose()).unwrap();
        assert_eq!((secret.len(), base64(secret).len()), (44, 32));
    }
}

// XKS-P-157, A10: strict JSON, as the console reads it.
#[test]
fn the_configuration_file_is_what_the_console_takes() {
    let credential = XksProxyCredential::new(
        AccessKeyId::new("XKSTESTVECTOR234567ABCDE").unwrap(),
        SecretAccessKey::new("5/E2yj4NPGpDj2kcGSxJjB6BT7b+OavVy/keR7nqJS0=").unwrap(),
    );
    let file = credential.configuration_file(&UriPath::new("/tenant/kms/xks/v1").unwrap());
    assert_eq!(
        serde_json::from_slice::<serde_json::Value>(file.expose()).unwrap(),
        json!({
            "XksProxyUriPath": "/tenant/kms/xks/v1",
            "XksProxyAuthenticationCredential": {
                "AccessKeyId": "XKSTESTVECTOR234567ABCDE",
                "RawSecretAccessKey": "5/E2yj4NPGpDj2kcGSxJjB6BT7b+OavVy/keR7nqJS0=",
            }
        })
    );
    assert!(!format!("{file:?}").contains("E2yj"));
}
