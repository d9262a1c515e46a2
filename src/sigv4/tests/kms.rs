//! What SDKs sign for a JSON service such as KMS, whose callers' secrets may be any text.

use http::HeaderMap;

use super::{header, moment};
use crate::sigv4::authorization::Fault;
use crate::sigv4::date::AmzDate;
use crate::sigv4::verify::Refused;
use crate::sigv4::{
    Reason, Scope, Service, SignedRequest, SigningKeys, Unauthenticated, Verifier, canonical,
};
use crate::{Region, SecretBytes};

const ID: &str = "AKIAIOSFODNN7EXAMPLE";
const SECRET: &[u8] = b"wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
const NOW: &str = "20260115T123456Z";
const BODY: &[u8] = br#"{"NumberOfBytes":32}"#;
/// What AWS's SDKs for Rust and Java sign, with a session's token.
const SIGNED: &str = "amz-sdk-invocation-id;amz-sdk-request;content-type;host;x-amz-content-sha256;x-amz-date;x-amz-security-token;x-amz-target";

fn scope() -> Scope {
    Scope::new(Region::new("eu-central-1").unwrap(), Service::new("kms"))
}

fn headers() -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("host", "localhost:8443"),
        ("content-type", "application/x-amz-json-1.1"),
        ("content-length", "20"),
        ("user-agent", "aws-sdk-rust/1.3.9 os/linux lang/rust/1.95.0"),
        ("amz-sdk-invocation-id", "7cb0bd8f-2d2a-4e29-8ac1-6d0ed3f5b1f0"),
        ("amz-sdk-request", "attempt=1;  max=3"),
        ("x-amz-content-sha256", "0000000000000000000000000000000000000000000000000000000000000000"),
        ("x-amz-date", NOW),
        ("x-amz-security-token", "IQoJb3JpZ2luX2VjEHgaDGV1LWNlbnRyYWwtMSJH//=="),
        ("x-amz-target", "TrentService.GenerateRandom"),
    ] {
        header(&mut headers, name, value);
    }
    headers
}

fn keys(secret: &[u8]) -> SigningKeys {
    SigningKeys::new(SecretBytes::from(secret))
}

/// Adds what a client sends with `SIGNED` and without a query, unless another is given.
fn sign(headers: &mut HeaderMap, signed: &str, query: Option<&str>, secret: &[u8]) {
    let date = AmzDate::parse(headers["x-amz-date"].as_bytes()).unwrap();
    let mut text = canonical::begin("/", query, 0);
    for name in signed.split(';') {
        canonical::header(&mut text, name, headers.get_all(name).iter().map(http::HeaderValue::as_bytes));
    }
    canonical::end(&mut text, signed, BODY);
    canonical::string_to_sign(&mut text, &date, &scope());
    let mut line = format!("AWS4-HMAC-SHA256 Credential={ID}/").into_bytes();
    let signature = keys(secret).sign(date.day(), &scope(), &text);
    scope().write(&mut line, &date);
    line.extend(format!(", SignedHeaders={signed}, Signature=").bytes());
    canonical::hex(&mut line, signature.as_ref());
    headers.remove("authorization");
    header(headers, "authorization", str::from_utf8(&line).unwrap());
}

fn verify(headers: &HeaderMap, query: Option<&str>, secret: Option<&[u8]>) -> Result<(), Unauthenticated> {
    let verifier = Verifier::new(scope());
    let request = SignedRequest { path: "/", query, headers, authority: None };
    let claim = verifier.claim(request, moment(NOW))?;
    assert_eq!(claim.access_key_id(), ID);
    claim.verify(BODY, secret.map(keys).as_ref())
}

#[test]
fn what_sdks_sign_is_verified_whatever_of_it_they_sign() {
    for signed in [SIGNED, "content-type;host;x-amz-date;x-amz-target", "host;x-amz-date;x-amz-target"] {
        let mut headers = headers();
        sign(&mut headers, signed, None, SECRET);
        assert_eq!(verify(&headers, None, Some(SECRET)), Ok(()), "{signed}");
        headers.insert("x-amz-target", "TrentService.ScheduleKeyDeletion".parse().unwrap());
        assert_eq!(verify(&headers, None, Some(SECRET)), Err(Reason::Signature.into()), "{signed}");
    }
}

#[test]
fn a_secret_is_any_text() {
    for length in [1, 16, 40, 60, 61, 128, 500] {
        for character in ["a", " ", "/", "=", "\u{e9}", "\0"] {
            let secret = character.repeat(length);
            let mut headers = headers();
            sign(&mut headers, SIGNED, None, secret.as_bytes());
            assert_eq!(verify(&headers, None, Some(secret.as_bytes())), Ok(()));
            let other = format!("{secret}a");
            assert_eq!(verify(&headers, None, Some(other.as_bytes())), Err(Reason::Signature.into()));
        }
    }
}

#[test]
fn a_query_is_signed_with_the_rest() {
    let mut headers = headers();
    sign(&mut headers, SIGNED, Some("Version=2014-11-01&Action=X"), SECRET);
    assert_eq!(verify(&headers, Some("Action=X&Version=2014-11-01"), Some(SECRET)), Ok(()));
    for query in [None, Some(""), Some("Action=X"), Some("Action=X&Version=2014-11-02")] {
        assert_eq!(verify(&headers, query, Some(SECRET)), Err(Reason::Signature.into()), "{query:?}");
    }
    sign(&mut headers, SIGNED, None, SECRET);
    assert_eq!(verify(&headers, Some(""), Some(SECRET)), Ok(()), "a lone question mark asks nothing");
}

/// What the server of the KMS protocol says is decided by this.
#[test]
fn what_is_wrong_is_told_apart() {
    let refused = |change: &dyn Fn(&mut HeaderMap), secret| {
        let mut headers = headers();
        sign(&mut headers, SIGNED, None, SECRET);
        change(&mut headers);
        verify(&headers, None, secret).unwrap_err().reason().refused()
    };
    let known = Some(SECRET);
    let line = |change: &'static dyn Fn(&str) -> String| {
        move |headers: &mut HeaderMap| {
            let changed = change(headers["authorization"].to_str().unwrap());
            headers.insert("authorization", changed.parse().unwrap());
        }
    };
    let resigned = |date: &'static str| {
        move |headers: &mut HeaderMap| {
            headers.insert("x-amz-date", date.parse().unwrap());
            sign(headers, SIGNED, None, SECRET);
        }
    };
    assert_eq!(refused(&|headers| drop(headers.remove("authorization")), known), Refused::Unsigned);

    for malformed in [
        &line(&|_| String::new()) as &dyn Fn(&mut HeaderMap),
        &line(&|_| "Bearer token".to_owned()),
        &line(&|line| line.replace("SignedHeaders=", "Headers=")),
        &line(&|line| line.replace("host;", "")),
        &line(&|line| line.replace("x-amz-date;", "")),
        &line(&|line| line.replace("/aws4_request", "")),
        &|headers| assert!(headers.append("authorization", "x".parse().unwrap())),
        &|headers| drop(headers.remove("x-amz-date")),
        &|headers| drop(headers.insert("x-amz-date", "yesterday".parse().unwrap())),
        &|headers| drop(headers.remove("host")),
    ] {
        assert_eq!(refused(malformed, known), Refused::Incomplete);
    }

    for elsewhere in [
        &line(&|line| line.replace("/eu-central-1/", "/us-east-1/")) as &dyn Fn(&mut HeaderMap),
        &line(&|line| line.replace("/kms/", "/kms-xks-proxy/")),
        &line(&|line| line.replace("/20260115/", "/20260114/")),
        &line(&|line| line.replace("/aws4_request", "/aws5_request")),
    ] {
        assert_eq!(refused(elsewhere, known), Refused::Scope);
    }

    for (date, then) in [
        ("20260115T122955Z", Some(Refused::Clock)),
        ("20260115T122956Z", None),
        ("20260115T123956Z", None),
        ("20260115T123957Z", Some(Refused::Clock)),
    ] {
        let mut headers = headers();
        resigned(date)(&mut headers);
        let refused = verify(&headers, None, known).err().map(|error| error.reason().refused());
        assert_eq!(refused, then, "{date}");
    }

    assert_eq!(refused(&|_| (), None), Refused::Unknown);
    assert_eq!(refused(&|_| (), Some(b"another secret of an access key")), Refused::Signature);
    assert_eq!(refused(&|headers| drop(headers.remove("x-amz-target")), known), Refused::Signature);
    let lost = Reason::Authorization(Fault::HostNotSigned);
    assert_eq!(lost.refused(), Refused::Incomplete);
}
