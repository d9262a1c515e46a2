//! Names from outside: whatever is accepted must obey the rule, and come back as it went in.
#![no_main]

use custom_key_store::backend::{BackingKeyId, UriEndpoint, UriPath};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
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
});
