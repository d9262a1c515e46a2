//! Signatures for a JSON service, as AWS's SDKs make them, beside the verifier of the server of the KMS protocol.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, SignableBody, SignableRequest, SigningSettings, sign as sign_request,
};
use aws_sigv4::sign::v4;
use http::{HeaderMap, HeaderName, Request};
use proptest::prelude::*;

// The names by which the included sources know the crate around them.
use custom_key_store::{Region, SecretBytes};
use shipped::primitive;
use shipped::sigv4::{Reason, Scope, Service, SignedRequest, SigningKeys, Unauthenticated, Verifier};

// Signatures are private; this compiles the very source that ships. The files one by one, for their parent also names
// their unit tests.
#[path = "../../../src"]
mod shipped {
    pub(crate) mod primitive {
        pub(crate) fn random_secret(length: usize) -> crate::SecretBytes {
            crate::SecretBytes::new(vec![7; length])
        }
    }

    #[expect(dead_code, reason = "nothing is signed here, and not everything is asked for")]
    pub(crate) mod sigv4 {
        mod authorization;
        mod canonical;
        mod date;
        mod keys;
        mod names;
        mod query;
        mod scope;
        mod verify;

        pub(crate) use keys::SigningKeys;
        pub(crate) use scope::{Scope, Service};
        pub(crate) use verify::{Reason, SignedRequest, Unauthenticated, Verifier};
    }
}

/// A caller of AWS's SDK for Rust.
#[derive(Debug, Clone)]
struct Caller {
    id: String,
    secret: String,
    /// Of temporary credentials.
    token: Option<String>,
    /// Whether it says the hash of the body in a header of its own.
    checksum: bool,
}

impl Caller {
    /// The headers of a POST of this body, as it sends them.
    fn signed(
        &self,
        region: &str,
        uri: &str,
        headers: &[(String, String)],
        body: &[u8],
        time: SystemTime,
    ) -> HeaderMap {
        let credentials = Credentials::new(&self.id, &self.secret, self.token.clone(), None, "oracle").into();
        let mut settings = SigningSettings::default();
        if self.checksum {
            settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        }
        let parameters = v4::SigningParams::builder()
            .identity(&credentials)
            .region(region)
            .name("kms")
            .time(time)
            .settings(settings)
            .build()
            .unwrap()
            .into();
        let names = headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let signable = SignableRequest::new("POST", uri, names, SignableBody::Bytes(body)).unwrap();
        let mut request = Request::builder().method("POST").uri(uri).body(()).unwrap();
        sign_request(signable, &parameters).unwrap().into_parts().0.apply_to_request_http1x(&mut request);
        let mut all = request.headers().clone();
        for (name, value) in headers {
            all.insert(HeaderName::try_from(name).unwrap(), value.parse().unwrap());
        }
        all
    }
}

fn caller() -> impl Strategy<Value = Caller> {
    ("[A-Za-z0-9_]{16,128}", "[!-~]{16,128}", prop::option::of("[A-Za-z0-9/+=]{100,800}"), any::<bool>())
        .prop_map(|(id, secret, token, checksum)| Caller { id, secret, token, checksum })
}

struct Server {
    verifier: Verifier,
    caller: Caller,
    now: SystemTime,
}

impl Server {
    fn new(region: &str, caller: &Caller, now: SystemTime) -> Self {
        let scope = Scope::new(Region::new(region).unwrap(), Service::new("kms"));
        Self { verifier: Verifier::new(scope), caller: caller.clone(), now }
    }

    fn verify(&self, request: SignedRequest<'_>, body: &[u8]) -> Result<(), Unauthenticated> {
        let claim = self.verifier.claim(request, self.now)?;
        let keys = SigningKeys::new(SecretBytes::from(self.caller.secret.as_bytes()));
        claim.verify(body, (claim.access_key_id() == self.caller.id).then_some(&keys))
    }
}

const fn request<'a>(headers: &'a HeaderMap, query: Option<&'a str>) -> SignedRequest<'a> {
    SignedRequest { path: "/", query, headers, authority: None }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn what_an_sdk_signs_is_verified_and_nothing_that_was_changed_since(
        caller in caller(),
        region in "[a-z]{2}-[a-z]{4,9}-[1-9]",
        host in "[a-z]{1,20}(\\.[a-z]{2,8}){0,3}(:[1-9][0-9]{1,3})?",
        operation in "[A-Z][A-Za-z]{3,30}",
        extra in prop::collection::btree_map("(x-[a-z]{1,12}|amz-sdk-[a-z]{1,12})", "[!-~]([ -~]{0,30}[!-~])?", 0..5),
        query in prop::collection::vec(("[A-Za-z0-9._~-]{1,8}", "([A-Za-z0-9._~-]|%[2-7][0-9A-F]){0,8}"), 0..4),
        seconds in 1_000_000_000_u64..4_000_000_000,
        skew in -300_i64..=300,
        body in prop::collection::vec(any::<u8>(), 0..3000),
        flip in any::<prop::sample::Index>(),
    ) {
        let query = query.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&");
        let query = (!query.is_empty()).then_some(query);
        let uri = query.as_ref().map_or_else(|| format!("https://{host}/"), |query| format!("https://{host}/?{query}"));
        let mut headers: Vec<(String, String)> = extra.into_iter().collect();
        headers.push(("content-type".into(), "application/x-amz-json-1.1".into()));
        headers.push(("x-amz-target".into(), format!("TrentService.{operation}")));
        headers.push(("user-agent".into(), "aws-sdk-rust/1.3.9 os/linux".into()));
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let mut all = caller.signed(&region, &uri, &headers, &body, time);
        all.insert("host", host.parse().unwrap());

        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds.checked_add_signed(skew).unwrap());
        let server = Server::new(&region, &caller, now);
        let good = request(&all, query.as_deref());
        prop_assert_eq!(server.verify(good, &body), Ok(()));

        // Of HTTP/2.
        let mut of_http2 = all.clone();
        of_http2.remove("host");
        let over_http2 = SignedRequest { authority: Some(&host), ..request(&of_http2, query.as_deref()) };
        prop_assert_eq!(server.verify(over_http2, &body), Ok(()));

        let wrong = Err(Unauthenticated::from(Reason::Signature));
        let mut changed = body.clone();
        changed.push(0);
        prop_assert_eq!(server.verify(good, &changed), wrong);
        if !body.is_empty() {
            let mut changed = body.clone();
            changed[flip.index(body.len())] ^= 1;
            prop_assert_eq!(server.verify(good, &changed), wrong);
        }
        let other = format!("{}x=1", query.as_ref().map_or_else(String::new, |query| format!("{query}&")));
        prop_assert_eq!(server.verify(request(&all, Some(&other)), &body), wrong);
        for (name, value) in [("x-amz-target", "TrentService.ScheduleKeyDeletion9"), ("host", "other.example.com:1")] {
            let mut other = all.clone();
            other.insert(name, value.parse().unwrap());
            prop_assert_eq!(server.verify(request(&other, query.as_deref()), &body), wrong, "{}", name);
        }
        if caller.token.is_some() {
            let mut other = all.clone();
            other.insert("x-amz-security-token", "another".parse().unwrap());
            prop_assert_eq!(server.verify(request(&other, query.as_deref()), &body), wrong);
        }
        let mut stranger = caller.clone();
        stranger.secret.push('x');
        prop_assert_eq!(Server::new(&region, &stranger, now).verify(good, &body), wrong);
        stranger.id.push('x');
        let unknown = Err(Unauthenticated::from(Reason::UnknownAccessKeyId));
        prop_assert_eq!(Server::new(&region, &stranger, now).verify(good, &body), unknown);
    }
}

#[test]
fn a_body_of_a_mebibyte() {
    let caller =
        Caller { id: "AKIAIOSFODNN7EXAMPLE".into(), secret: "s".repeat(40), token: None, checksum: true };
    let (body, now) = (vec![b' '; 1 << 20], SystemTime::now());
    let mut headers = caller.signed("eu-west-1", "https://localhost/", &[], &body, now);
    headers.insert("host", "localhost".parse().unwrap());
    let request = request(&headers, None);
    assert_eq!(Server::new("eu-west-1", &caller, now).verify(request, &body), Ok(()));
}
