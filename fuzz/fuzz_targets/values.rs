//! Names and ciphertext blobs from outside: whatever is accepted must obey the rule, and come back as it went in.
#![no_main]

use custom_key_store::backend::{BackingKeyId, UriEndpoint, UriPath};
use custom_key_store::{CiphertextBlob, KeyArn, KeyId, Marker, Sealer as _, SealingKey};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(blob) = CiphertextBlob::from_bytes(bytes.to_vec()) {
        assert_eq!(blob.as_bytes(), bytes);
        assert!(bytes.len() <= CiphertextBlob::MAX_LEN && bytes[2..18] == *blob.key_id().as_bytes());
    }
    let unsealed = futures_executor::block_on(SealingKey::from_bytes(&[7; 32]).unseal(b"fuzz", bytes));
    assert!(unsealed.is_err());
    if let Ok(text) = str::from_utf8(bytes) {
        names(text);
    }
});

fn names(text: &str) {
    if let Ok(id) = BackingKeyId::new(text) {
        assert_eq!(id.as_str(), text);
        assert!(text != "." && text != ".." && !text.contains(['/', '%', '?', '#']));
    }
    if let Ok(path) = UriPath::new(text) {
        assert_eq!(path.as_str(), text);
        assert!(
            text.starts_with('/') && text.ends_with("/kms/xks/v1") && !text.contains(['.', '%', '?', '#'])
        );
        assert!(text.parse::<http::uri::PathAndQuery>().is_ok());
    }
    if let Ok(endpoint) = UriEndpoint::new(text) {
        assert_eq!(endpoint.as_str(), text);
        let uri: http::Uri = text.parse().expect("an endpoint is a URI");
        assert_eq!((uri.scheme_str(), uri.host(), uri.port()), (Some("https"), Some(endpoint.host()), None));
    }
    if let Ok(arn) = KeyArn::new(text) {
        assert_eq!(arn.as_str(), text);
    }
    if let Ok(id) = KeyId::new(text) {
        assert_eq!(id.to_string(), text);
    }
    if let Ok(marker) = Marker::from_text(text) {
        assert_eq!(marker.to_string(), text);
    }
}
