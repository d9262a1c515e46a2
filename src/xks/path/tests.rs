use proptest::prelude::*;

use super::{Route, UnknownPath, health_path, key_path, parse};
use crate::backend::{BackingKeyId, UriEndpoint, UriPath};
use crate::value::Problem;
use crate::xks::ProxyOperation::{Decrypt, Encrypt, GetHealthStatus, GetKeyMetadata};
use crate::xks::check_uri_length;

const HOST: &str = "xks.example.com";

// XKS-P-06, XKS-P-12
#[test]
fn what_is_built_is_understood() {
    let key = BackingKeyId::new("ext-key_01.v2").unwrap();
    for base in ["/kms/xks/v1", "/a/b-c_D/kms/xks/v1", "/kms/xks/v1/keys/x/kms/xks/v1"] {
        let base = UriPath::new(base).unwrap();
        for operation in [GetKeyMetadata, Encrypt, Decrypt] {
            let path = key_path(HOST, &base, operation, &key).unwrap();
            assert_eq!(path, format!("{base}/keys/ext-key_01.v2/{}", operation.segment()));
            assert_eq!(parse(&path), Ok((base.as_str(), Route { operation, key: key.as_str() })));
        }
        let path = health_path(HOST, &base).unwrap();
        assert_eq!(parse(&path), Ok((base.as_str(), Route { operation: GetHealthStatus, key: "" })));
    }
}

// XKS-P-16, XKS-P-17, XKS-P-10, XKS-P-11, XKS-P-21, XKS-P-22, XKS-C-25
#[test]
fn what_the_protocol_does_not_have_is_unknown() {
    let long_id = format!("/kms/xks/v1/keys/{}/encrypt", "k".repeat(129));
    let long_base = format!("/{}/kms/xks/v1/health", "p".repeat(117));
    for path in [
        "",
        "/",
        "/health",
        "health",
        "/kms/xks/v1",
        "/kms/xks/v1/",
        "/kms/xks/v2/health",
        "/kms/xks/v1/health/",
        "/kms/xks/v1/Health",
        "/kms/xks/v1/health?",
        "/kms/xks/v1/health?x=1",
        "/kms/xks/v1/health#a",
        "/kms/xks/v1//health",
        "//kms/xks/v1/health",
        "/a//b/kms/xks/v1/health",
        "/a%2Fb/kms/xks/v1/health",
        "/a.b/kms/xks/v1/health",
        "/../kms/xks/v1/health",
        "kms/xks/v1/health",
        "/xkms/xks/v1x/health",
        "/kms/xks/v1/keys/a/encrypt/",
        "/kms/xks/v1/keys/a/delete",
        "/kms/xks/v1/keys//encrypt",
        "/kms/xks/v1/keys/./encrypt",
        "/kms/xks/v1/keys/../encrypt",
        "/kms/xks/v1/keys/a%20b/encrypt",
        "/kms/xks/v1/keys/a b/encrypt",
        "/kms/xks/v1/keys/ä/encrypt",
        "/kms/xks/v1/keys/a/b/encrypt",
        "/kms/xks/v1/key/a/encrypt",
        "/kms/xks/v1/keys/encrypt",
        "/kms/xks/v1/keys/a/health",
        &long_id,
        &long_base,
    ] {
        assert_eq!(parse(path), Err(UnknownPath), "{path}");
    }
    // Three dots mean nothing.
    assert!(parse("/kms/xks/v1/keys/.../encrypt").is_ok());
    assert!(parse(&format!("/{}/kms/xks/v1/health", "p".repeat(116))).is_ok());
}

// XKS-P-14, XKS-C-14, A15: the budget table of the facts.
#[test]
fn a_uri_has_at_most_256_characters() {
    let endpoint = |length: usize| {
        let mut host = "a.".repeat(length / 2);
        host.truncate(length - 1);
        if host.ends_with('.') {
            host.pop();
            host.push('b');
        }
        UriEndpoint::new(format!("https://{host}x")).unwrap()
    };
    let base = |length: usize| UriPath::new(format!("/{}/kms/xks/v1", "p".repeat(length - 12))).unwrap();
    let key = |length: usize| BackingKeyId::new("k".repeat(length)).unwrap();
    for (host_len, key_len, longest) in [(15, 128, 90), (30, 128, 75), (60, 128, 45), (120, 36, 77)] {
        let endpoint = endpoint(host_len);
        assert_eq!(endpoint.host().len(), host_len);
        assert_eq!(check_uri_length(&endpoint, &base(longest), &key(key_len)), Ok(()));
        let error = check_uri_length(&endpoint, &base(longest + 1), &key(key_len)).unwrap_err();
        assert_eq!(error.problem(), Problem::TooLong { length: 257, maximum: 256 });
        // A shorter operation fits where the longest does not.
        assert!(key_path(endpoint.host(), &base(longest + 1), Encrypt, &key(key_len)).is_ok());
    }
    assert!(check_uri_length(&endpoint(15), &base(128), &key(36)).is_ok());
}

proptest! {
    // XKS-P-17: total, and what is understood is made of legal parts.
    #[test]
    fn any_path_is_understood_or_refused(path in "(/[a-z./%?]{0,6}){0,3}(/kms/xks/v1)?(/keys)?(/[a-zA-Z0-9._%-]{0,5})?/(health|encrypt|metadata|x)?") {
        if let Ok((base, route)) = parse(&path) {
            let base = UriPath::new(base).unwrap();
            let rebuilt = match route.operation {
                GetHealthStatus => health_path("", &base),
                operation => key_path("", &base, operation, &BackingKeyId::new(route.key).unwrap()),
            };
            prop_assert_eq!(rebuilt.unwrap(), path);
        }
    }

    #[test]
    fn any_text_is_understood_or_refused(path in ".*") {
        let _ = parse(&path);
    }
}
