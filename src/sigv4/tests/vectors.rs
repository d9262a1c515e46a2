//! Every vector of the facts, signed and verified, and the nine that must fail.

use std::time::Duration;

use super::{Arriving, moment, worked};
use crate::sigv4::date::AmzDate;
use crate::sigv4::{Reason, Signer, canonical};
use crate::xks::vectors::{hex, named, section, text};
use serde_json::Value;

/// Vectors with all their parts.
fn complete() -> Vec<Value> {
    section("sigv4").into_iter().filter(|vector| vector.get("body_utf8").is_some()).collect()
}

// XKS-C-21 to XKS-C-24, XKS-P-135
#[test]
fn the_signer_writes_what_the_vector_says() {
    let vector = worked();
    let request = Arriving::worked();
    let signer = Signer::new(request.credential.access_key_id.as_str(), request.secret(), request.scope());
    let Arriving { clock, path, body, .. } = request;
    // Twice, the second time with the kept key; and with a fraction of a second, which is cut.
    for now in [clock, clock + Duration::from_millis(999)] {
        let headers = signer.sign("xks.example.com", &path, &body, now);
        assert_eq!(headers.x_amz_date, text(&vector, "x_amz_date"));
        assert_eq!(headers.authorization, text(&vector, "authorization"));
        assert!(headers.authorization.is_sensitive());
    }
    assert!(!format!("{signer:?}").contains("E2yj"));
}

// XKS-P-135: step by step, so that a slip shows where it is.
#[test]
fn each_step_is_that_of_the_vectors() {
    for vector in complete() {
        let request = Arriving::vector(&vector);
        let (keys, scope) = (request.keys(), request.scope());
        let Arriving { headers, path, body, .. } = request;
        let names: Vec<_> =
            vector["signed_headers"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
        let mut canonical = canonical::begin(&path, None, 0);
        for name in &names {
            let values = headers.get_all(*name).iter().map(http::HeaderValue::as_bytes);
            canonical::header(&mut canonical, name, values);
        }
        canonical::end(&mut canonical, &names.join(";"), &body);
        assert_eq!(str::from_utf8(&canonical).unwrap(), text(&vector, "canonical_request"));

        let date = AmzDate::parse(text(&vector, "x_amz_date").as_bytes()).unwrap();
        canonical::string_to_sign(&mut canonical, &date, &scope);
        assert_eq!(str::from_utf8(&canonical).unwrap(), text(&vector, "string_to_sign"));

        assert_eq!(keys.sign(date.day(), &scope, &canonical).as_ref(), hex(text(&vector, "signature")));
        // XKS-C-24: the derived key itself is that of the vector, whose secret is text.
        let derived =
            aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, &hex(text(&vector, "k_signing")));
        assert_eq!(aws_lc_rs::hmac::sign(&derived, &canonical).as_ref(), hex(text(&vector, "signature")));
    }
}

// XKS-P-120, XKS-P-140: with more headers signed, and with a port.
#[test]
fn the_verifier_accepts_the_vectors() {
    assert_eq!(complete().len(), 2);
    for vector in complete() {
        assert_eq!(Arriving::vector(&vector).verify(), Ok(()), "{}", vector["name"]);
    }
}

// XKS-P-142, A17: both spellings of HTTP/2's host.
#[test]
fn the_verifier_accepts_the_authority_of_http_2() {
    let mut request = Arriving::worked();
    request.headers.remove("host");
    request.authority = Some("xks.example.com".to_owned());
    assert_eq!(request.verify(), Ok(()));

    let vector = named("sigv4", "sigv4-http2-authority-pseudo-header");
    request.set("authorization", text(&vector, "authorization"));
    assert_eq!(request.verify(), Ok(()));

    // A gateway that spoke HTTP/2 and passes HTTP/1.1 on.
    request.authority = None;
    request.set("host", "xks.example.com");
    assert_eq!(request.verify(), Ok(()));
}

// XKS-P-136, XKS-P-137
#[test]
fn the_clock_may_be_five_minutes_off_and_no_more() {
    let vector = worked();
    let cases = vector["clock_skew_cases"].as_array().unwrap();
    assert_eq!(cases.len(), 5);
    for case in cases {
        let mut request = Arriving::worked();
        request.clock = moment(text(case, "server_clock_utc"));
        assert_eq!(request.verify().is_ok(), text(case, "expect") == "accept", "{case}");
    }
    let mut request = Arriving::worked();
    request.clock = moment("20260115T123957Z");
    assert_eq!(request.reason(), Reason::Skew(301));
    request.clock = moment("20260115T122955Z");
    assert_eq!(request.reason(), Reason::Skew(-301));
}

// XKS-P-135, XKS-P-138, XKS-P-139, XKS-P-141: each negative vector fails, and for its own reason.
#[test]
fn the_negative_vectors_fail() {
    let negatives = section("sigv4_negative");
    assert_eq!(negatives.len(), 9);
    let right = text(&worked(), "signature").to_owned();
    for negative in negatives {
        let mut request = Arriving::worked();
        request.replace(&right, text(&negative, "signature_sent"));
        let name = text(&negative, "name");
        let expected = match name {
            "sigv4-neg-body-changed" => {
                let body = String::from_utf8(request.body).unwrap();
                request.body = body.replace("GenerateDataKey", "Encrypt").into_bytes();
                Reason::Signature
            }
            "sigv4-neg-path-changed" => {
                request.path = request.path.replace("/encrypt", "/decrypt");
                Reason::Signature
            }
            "sigv4-neg-host-changed" => {
                request.set("host", "xks.example.com:443");
                Reason::Signature
            }
            "sigv4-neg-scope-date-mismatch" => {
                request.replace("/20260115/", "/20260114/");
                Reason::ScopeDay
            }
            "sigv4-neg-wrong-service" => {
                request.replace("/kms-xks-proxy/", "/kms/");
                Reason::ScopeService
            }
            "sigv4-neg-host-not-signed" => {
                request.replace("SignedHeaders=host;x-amz-date", "SignedHeaders=x-amz-date");
                Reason::Authorization(super::super::authorization::Fault::HostNotSigned)
            }
            "sigv4-neg-unsigned-payload" => {
                request.set("x-amz-content-sha256", "UNSIGNED-PAYLOAD");
                Reason::Signature
            }
            "sigv4-neg-secret-base64-decoded" => Reason::Signature,
            "sigv4-neg-unknown-access-key-id" => {
                request.replace("Credential=", "Credential=Invalid");
                Reason::UnknownAccessKeyId
            }
            other => panic!("no test for {other}"),
        };
        assert_eq!(request.reason(), expected, "{name}");
    }
}
