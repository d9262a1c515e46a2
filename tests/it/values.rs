//! Names, ids, endpoints and contexts: what is legal, and that a refusal says what, where and why.
//!
//! Source of the rules: facts on KMS, 1.1, and rows XKS-C-09 to XKS-C-18 of the XKS checklist.

use custom_key_store::backend::{
    AccessKeyId, AccountId, BackingKeyId, CiphertextMetadata, CloudHsmClusterId, InitializationVector,
    KeyStorePassword, SecretAccessKey, TrustAnchorCertificate, UriEndpoint, UriPath, VpcEndpointServiceName,
};
use custom_key_store::{EncryptionContext, InvalidValue, Problem, StoreId, StoreName};
use proptest::prelude::*;

fn accepts<T>(make: impl Fn(&str) -> Result<T, InvalidValue>, values: &[&str]) {
    for value in values {
        assert!(make(value).is_ok(), "{value:?}: {:?}", make(value).err());
    }
}

fn refuses<T>(field: &str, make: impl Fn(&str) -> Result<T, InvalidValue>, values: &[&str]) {
    for value in values {
        let Err(error) = make(value) else {
            unreachable!("{field} accepts {value:?}");
        };
        assert_eq!(error.field(), field, "{value:?}");
        assert!(error.to_string().contains(error.expected()), "{error}");
        let repeats = error.to_string().contains(value) && !error.expected().contains(value);
        assert!(value.len() < 8 || !repeats, "the value is not repeated: {error}");
    }
}

#[test]
fn store_names_have_1_to_256_characters() {
    let longest = "ö".repeat(256);
    accepts(|text| StoreName::new(text), &["x", "root keys", "Schlüssel für alle", &longest]);
    refuses(
        "CustomKeyStoreName",
        |text| StoreName::new(text),
        &["", &"x".repeat(257), "line\nbreak", "nul\0"],
    );
    accepts(|text| StoreId::new(text), &["cks-0123456789abcdef0", "x", &"x".repeat(64)]);
    refuses("CustomKeyStoreId", |text| StoreId::new(text), &["", &"x".repeat(65)]);
}

#[test]
fn made_store_ids_look_like_aws_s_and_differ() {
    let made: std::collections::BTreeSet<String> =
        (0..1000).map(|_| StoreId::generate().as_str().to_owned()).collect();
    assert_eq!(made.len(), 1000);
    assert!(made.iter().all(|id| {
        id.strip_prefix("cks-")
            .is_some_and(|hex| hex.len() == 17 && hex.bytes().all(|b| b.is_ascii_hexdigit()))
    }));
}

/// XKS-C-12, XKS-C-13
#[test]
fn endpoints_are_https_with_a_domain_name_and_nothing_more() {
    let longest_host = format!("https://{}.example.com", ["a".repeat(54), "b".repeat(53)].join("."));
    assert_eq!(longest_host.len(), 128);
    accepts(
        |text| UriEndpoint::new(text),
        &["https://xks.example.com", "https://XKS-1.example.com", "https://a.io", &longest_host],
    );
    assert_eq!(UriEndpoint::new("https://xks.example.com").unwrap().host(), "xks.example.com");
    refuses(
        "XksProxyUriEndpoint",
        |text| UriEndpoint::new(text),
        &[
            "https://xks.example.com:6443", // the documentation's own sample
            "http://xks.example.com",
            "https://xks.example.com/",
            "https://xks.example.com/path",
            "https://192.168.1.1",
            "https://localhost",
            "https://xks..example.com",
            "https://.example.com",
            "https://-xks.example.com",
            "https://xks_1.example.com",
            "https://user@xks.example.com",
            "https://xks.example.com?query",
            "https://xks.exämple.com",
            "HTTPS://xks.example.com",
            "https://ab",
            "",
            &format!("{longest_host}m"),
        ],
    );
}

/// XKS-C-09, XKS-C-10, XKS-C-11 and the path traps of the facts on XKS, part 1
#[test]
fn paths_end_in_kms_xks_v1() {
    let longest = format!("/{}/kms/xks/v1", "a".repeat(116));
    assert_eq!(longest.len(), 128);
    accepts(
        |text| UriPath::new(text),
        &["/kms/xks/v1", "/tenant-a/kms/xks/v1", "/a/b_c/kms/xks/v1", &longest],
    );
    refuses(
        "XksProxyUriPath",
        |text| UriPath::new(text),
        &[
            "kms/xks/v1",
            "/kms/xks/v1/",
            "/kms/xks/v2",
            "/kms/xks/v11",
            "/kms/xks/v\u{0661}", // an Arabic-Indic digit
            "//kms/xks/v1",
            "/a//b/kms/xks/v1", // legal in the model; SigV4 would canonicalise it away
            "/a.b/kms/xks/v1",
            "/a%20b/kms/xks/v1",
            "/akms/xks/v1x",
            "/kms/xks/v1\n",
            "",
            &longest.replace("/a", "/aa"),
        ],
    );
}

/// XKS-C-15, XKS-C-16
#[test]
fn key_ids_have_1_to_128_characters_of_a_small_alphabet() {
    accepts(|text| BackingKeyId::new(text), &["a", "A-z_0.9", "...", &"x".repeat(128)]);
    refuses(
        "XksKeyId",
        |text| BackingKeyId::new(text),
        &["", ".", "..", "a b", "a/b", "ä", "a%2e", &"x".repeat(129)],
    );
}

/// XKS-C-18
#[test]
fn credentials_keep_to_their_alphabets() {
    accepts(|text| AccessKeyId::new(text), &["AKIAI2SFODNN7EXAMPLE", &"A".repeat(30)]);
    refuses(
        "XksProxyAuthenticationAccessKeyId",
        |text| AccessKeyId::new(text),
        &["ABCDE12345670EXAMPLE", "akiai2sfodnn7example", &"A".repeat(19), &"A".repeat(31), ""],
    );
    accepts(SecretAccessKey::new, &[&"a".repeat(43), &"Z0+/=".repeat(10), &"a".repeat(64)]);
    refuses(
        "XksProxyAuthenticationRawSecretAccessKey",
        SecretAccessKey::new,
        &[&"a".repeat(42), &"a".repeat(65), &"a-".repeat(22), ""],
    );
    accepts(KeyStorePassword::new, &["kmsPswd", &"a1".repeat(16)]);
    refuses("KeyStorePassword", KeyStorePassword::new, &["kmsPsw", "kms:Pswd", &"a".repeat(33), "pässword"]);
}

#[test]
fn names_of_cloud_resources_keep_to_their_form() {
    accepts(|text| CloudHsmClusterId::new(text), &["cluster-abcdefghij2", "cluster-ABCDEFGHijklmno7"]);
    refuses(
        "CloudHsmClusterId",
        |text| CloudHsmClusterId::new(text),
        &[
            "cluster-1a23b4cdefg",
            "cluster-abcdefghij",
            "Cluster-abcdefghij2",
            "xcluster-abcdefghij2",
            "cluster_abcdefghij2",
        ],
    );
    accepts(
        |text| VpcEndpointServiceName::new(text),
        &[
            "com.amazonaws.vpce.us-east-1.vpce-svc-0123456789abcdef0",
            "com.amazonaws.vpce.us-gov-west-1.vpce-svc-0",
            "eu.amazonaws.vpce.eusc-de-east-1.vpce-svc-0",
        ],
    );
    refuses(
        "XksProxyVpcEndpointServiceName",
        |text| VpcEndpointServiceName::new(text),
        &[
            "org.amazonaws.vpce.us-east-1.vpce-svc-0",
            "com.amazonaws.vpce.us-1.vpce-svc-012345",
            "com.amazonaws.vpce.a-b-c-d-1.vpce-svc-0",
            "com.amazonaws.vpce.us-east-1.vpce-svc-",
            "com.amazonaws.vpce.us-east-one.vpce-svc-0",
            "com.amazonaws.vpce.us-east-1.vpce-svc-a-b",
            "com.amazonaws.vpce.us-east-1.vpce-svc-A",
        ],
    );
    accepts(|text| AccountId::new(text), &["111122223333"]);
    refuses(
        "XksProxyVpcEndpointServiceOwner",
        |text| AccountId::new(text),
        &["11112222333", "1111222233334", "11112222333x"],
    );
    accepts(
        |text| TrustAnchorCertificate::new(text),
        &["-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"],
    );
    refuses(
        "TrustAnchorCertificate",
        |text| TrustAnchorCertificate::new(text),
        &["", &"x".repeat(5001), "nul\0"],
    );
}

#[test]
fn initialization_vectors_have_12_or_16_bytes_and_metadata_up_to_20() {
    for length in 0..=32 {
        let bytes = vec![7; length];
        assert_eq!(InitializationVector::new(&bytes).is_ok(), matches!(length, 12 | 16));
        assert_eq!(CiphertextMetadata::new(&bytes).is_ok(), length <= 20);
        if let Ok(array) = <[u8; 12]>::try_from(&*bytes) {
            assert_eq!(InitializationVector::from(array), InitializationVector::new(&bytes).unwrap());
        }
        if let Ok(array) = <[u8; 16]>::try_from(&*bytes) {
            assert_eq!(InitializationVector::from(array), InitializationVector::new(&bytes).unwrap());
        }
        if let Ok(iv) = InitializationVector::new(&bytes) {
            assert_eq!(iv.as_bytes(), bytes);
        }
        if let Ok(metadata) = CiphertextMetadata::new(&bytes) {
            assert_eq!(metadata.as_bytes(), bytes);
        }
    }
}

#[test]
fn a_refusal_names_the_problem() {
    assert_eq!(StoreName::new("").unwrap_err().problem(), Problem::TooShort { length: 0, minimum: 1 });
    assert_eq!(
        BackingKeyId::new("x".repeat(200)).unwrap_err().problem(),
        Problem::TooLong { length: 200, maximum: 128 }
    );
    assert_eq!(BackingKeyId::new("ab cd").unwrap_err().problem(), Problem::IllegalCharacter { position: 2 });
    assert_eq!(BackingKeyId::new("..").unwrap_err().problem(), Problem::Malformed);
}

#[test]
fn a_context_has_no_empty_key_no_key_twice_and_at_most_8192_bytes() {
    assert!(EncryptionContext::new([("", "value")]).is_err());
    assert!(EncryptionContext::new([("key", "one"), ("key", "two")]).is_err());
    let of_length = |value: usize| EncryptionContext::new([("key".to_owned(), "v".repeat(value))]);
    assert_eq!(of_length(8192 - 8 - 3).unwrap().canonical().len(), 8192);
    let error = of_length(8192 - 8 - 3 + 1).unwrap_err();
    assert_eq!(error.problem(), Problem::TooLong { length: 8193, maximum: 8192 });
    assert!(EncryptionContext::none().canonical().is_empty());
}

proptest! {
    #[test]
    fn no_text_makes_a_constructor_panic_and_what_is_accepted_is_kept(text in any::<String>()) {
        macro_rules! check {
            ($($name:ident),+) => {
                $(if let Ok(value) = $name::new(&text) {
                    prop_assert_eq!(value.as_str(), &text);
                    let wire = serde_json::to_string(&value).unwrap();
                    prop_assert_eq!(serde_json::from_str::<$name>(&wire).unwrap(), value);
                } else {
                    let wire = serde_json::to_string(&text).unwrap();
                    prop_assert!(serde_json::from_str::<$name>(&wire).is_err());
                })+
            };
        }
        check!(StoreName, StoreId, BackingKeyId, UriEndpoint, UriPath, AccessKeyId, AccountId, CloudHsmClusterId,
            VpcEndpointServiceName, TrustAnchorCertificate);
        let _ = SecretAccessKey::new(&text);
        let _ = KeyStorePassword::new(&text);
    }

    #[test]
    fn near_misses_of_endpoints_paths_and_services_do_not_panic(text in "https://[a-z.:/-]{0,20}|/[a-z/]{0,9}(/kms/xks/v1)?|(com|eu)\\.amazonaws\\.vpce\\.[a-z0-9.-]{0,30}") {
        let _ = UriEndpoint::new(&text);
        let _ = UriPath::new(&text);
        let _ = VpcEndpointServiceName::new(&text);
    }

    #[test]
    fn a_context_has_one_form_whatever_the_order(mut pairs in prop::collection::btree_map("[a-c]{1,3}", "[a-c]{0,3}", 0..5).prop_map(|map| map.into_iter().collect::<Vec<_>>()), rotate in 0_usize..5) {
        let straight = EncryptionContext::new(pairs.clone()).unwrap();
        if !pairs.is_empty() {
            let by = rotate % pairs.len();
            pairs.rotate_left(by);
        }
        let turned = EncryptionContext::new(pairs).unwrap();
        prop_assert_eq!(straight.canonical(), turned.canonical());
    }

    #[test]
    fn two_contexts_share_a_form_only_if_they_are_equal(
        one in prop::collection::btree_map("[ab]{1,3}", "[ab]{0,3}", 0..3),
        other in prop::collection::btree_map("[ab]{1,3}", "[ab]{0,3}", 0..3),
    ) {
        let same = one == other;
        let (one, other) = (EncryptionContext::new(one).unwrap(), EncryptionContext::new(other).unwrap());
        prop_assert_eq!(one.canonical() == other.canonical(), same);
    }
}
