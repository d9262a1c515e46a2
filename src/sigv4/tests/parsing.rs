//! The parsers, on any input.

use std::time::{Duration, SystemTime};

use proptest::prelude::*;

use super::Arriving;
use crate::Region;
use crate::sigv4::Signer;
use crate::sigv4::authorization::{Authorization, Fault};
use crate::sigv4::date::AmzDate;

fn fault(text: &str) -> Option<Fault> {
    Authorization::parse(text.as_bytes()).err()
}

// XKS-P-138, XKS-P-141
#[test]
fn a_malformed_header_says_for_the_log_what_is_wrong() {
    let c = "Credential=XKSTESTVECTOR234567ABCDE/20260115/us-east-2/kms-xks-proxy/aws4_request";
    let h = "SignedHeaders=host;x-amz-date";
    let s = format!("Signature={}", "0".repeat(64));
    let with_headers = |list: &str| fault(&format!("AWS4-HMAC-SHA256 {c}, SignedHeaders={list}, {s}"));

    assert_eq!(fault(&format!("AWS4-HMAC-SHA256 {c}, {h}, {s}")), None);
    for algorithm in ["AWS4-HMAC-SHA512", "AWS4-HMAC-SHA256,", "aws4-hmac-sha256", "AWS4-HMAC-SHA256X", ""] {
        assert_eq!(fault(&format!("{algorithm} {c}, {h}, {s}")), Some(Fault::Algorithm));
    }
    assert_eq!(fault("AWS4-HMAC-SHA256"), Some(Fault::Algorithm));
    assert_eq!(fault(&format!("AWS4-HMAC-SHA256 {c}, {h}")), Some(Fault::MissingPart));
    assert_eq!(fault(&format!("AWS4-HMAC-SHA256 {c}, {s}")), Some(Fault::MissingPart));
    assert_eq!(fault(&format!("AWS4-HMAC-SHA256 {c}, {c}, {h}, {s}")), Some(Fault::RepeatedPart));
    assert_eq!(fault(&format!("AWS4-HMAC-SHA256 {c}, {h}, {s}, Extra=1")), Some(Fault::Part));
    assert_eq!(fault(&format!("AWS4-HMAC-SHA256 {c}, {h}, {s},")), Some(Fault::Part));
    assert_eq!(fault(&format!("AWS4-HMAC-SHA256 {c}, {h}, Signature=")), Some(Fault::Part));
    assert_eq!(fault(&format!("AWS4-HMAC-SHA256 {c} {h} {s}")), Some(Fault::MissingPart));
    assert_eq!(fault(&format!("AWS4-HMAC-SHA256 {c}, {h}, {s} 0")), Some(Fault::Signature));
    assert_eq!(with_headers("host;x-amz-date x"), Some(Fault::SignedHeaders));
    assert_eq!(fault(&format!("AWS4-HMAC-SHA256 {c}\u{1}, {h}, {s}")), Some(Fault::NotText));
    assert_eq!(fault(&format!("AWS4-HMAC-SHA256 {c}é, {h}, {s}")), Some(Fault::NotText));
    assert_eq!(fault(&format!("AWS4-HMAC-SHA256 {c}\t0, {h}, {s}")), Some(Fault::NotText));
    for space in ["\n", "\r\n", "\u{b}", "\u{a0}"] {
        assert_eq!(fault(&format!("{space}AWS4-HMAC-SHA256 {c}, {h}, {s}")), Some(Fault::Algorithm));
        assert_eq!(fault(&format!("AWS4-HMAC-SHA256{space}{c}, {h}, {s}")), Some(Fault::Algorithm));
        assert_eq!(fault(&format!("AWS4-HMAC-SHA256 {c},{space}{h}, {s}")), Some(Fault::Part));
        assert_eq!(fault(&format!("AWS4-HMAC-SHA256 {c}, {h}{space}, {s}")), Some(Fault::SignedHeaders));
        assert_eq!(fault(&format!("AWS4-HMAC-SHA256 {c}, {h}, {s}{space}")), Some(Fault::Signature));
    }
    assert_eq!(fault(&format!("AWS4-HMAC-SHA256 {c}, {h}, {s}{}", " ".repeat(4096))), Some(Fault::TooLong));
    for credential in ["a", "a/b/c/d", "a/b/c/d/e/f", "/b/c/d/e", "a//c/d/e"] {
        let text = format!("AWS4-HMAC-SHA256 Credential={credential}, {h}, {s}");
        assert_eq!(fault(&text), Some(Fault::Credential), "{credential}");
    }
    for list in [
        "x-amz-date;host",
        "host;host;x-amz-date",
        "Host;x-amz-date",
        "host;;x-amz-date",
        "host;x-amz-date;",
        ":host;host;x-amz-date",
    ] {
        assert_eq!(with_headers(list), Some(Fault::SignedHeaders), "{list}");
    }
    for byte in 0..=0x7f_u8 {
        let (name, is_legal) = (char::from(byte), b"!#$%&'*+-.^_`|~".contains(&byte));
        let is_legal = is_legal || byte.is_ascii_digit() || byte.is_ascii_lowercase();
        // Of these three a list would read otherwise.
        if !b",; \t".contains(&byte) {
            let expected = (!is_legal).then_some(Fault::SignedHeaders);
            assert_eq!(with_headers(&format!("host;i{name};x-amz-date")), expected, "{name:?}");
        }
    }
    assert_eq!(with_headers("x-amz-date"), Some(Fault::HostNotSigned));
    assert_eq!(with_headers("host"), Some(Fault::DateNotSigned));
    assert_eq!(with_headers(":authority;x-amz-date"), None);
}

// XKS-C-23
#[test]
fn a_date_has_one_form() {
    assert_eq!(AmzDate::from_system_time(SystemTime::UNIX_EPOCH).as_bytes(), b"19700101T000000Z");
    let before = SystemTime::UNIX_EPOCH - Duration::from_secs(1);
    assert_eq!(AmzDate::from_system_time(before).as_bytes(), b"19700101T000000Z");
    for date in ["20240229T235959Z", "19700101T000000Z", "99981231T235959Z", "20000229T000000Z"] {
        assert!(AmzDate::parse(date.as_bytes()).is_some(), "{date}");
    }
    for date in [
        "",
        "20260115T123456",
        "20260115T123456z",
        "20260115t123456Z",
        "20260115 123456Z",
        "2026-01-15T12:34:56Z",
        "20260115T123456+0000",
        "20260229T000000Z",
        "20261301T000000Z",
        "20260100T000000Z",
        "20260115T240000Z",
        "20260115T126000Z",
        "20260115T123460Z",
        "+0260115T123456Z",
        "2026011aT123456Z",
        "20260115T123456Z0",
    ] {
        assert_eq!(AmzDate::parse(date.as_bytes()), None, "{date}");
    }
}

proptest! {
    #[test]
    fn any_header_is_parsed_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Authorization::parse(&bytes);
    }

    #[test]
    fn anything_like_a_header_is_parsed_or_refused(
        text in "AWS4-HMAC-SHA256[ ,\t]{1,3}(Credential=[a-zA-Z0-9/_-]{0,40}|SignedHeaders=[a-z:;-]{0,20}|Signature=[0-9a-f]{62,66}|[ ,=]){0,6}"
    ) {
        if let Ok(parsed) = Authorization::parse(text.as_bytes()) {
            prop_assert!(parsed.signed_headers().any(|name| name == "x-amz-date"));
        }
    }

    #[test]
    fn a_date_survives_the_round_trip(seconds in 0_u64..250_000_000_000) {
        let date = AmzDate::from_system_time(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
        prop_assert_eq!(AmzDate::parse(date.as_bytes()), Some(date));
    }

    #[test]
    fn any_date_is_parsed_or_refused(text in "[0-9TZ]{14,18}") {
        let _ = AmzDate::parse(text.as_bytes());
    }

    // XKS-C-21, XKS-P-135: what we sign we accept, with any body, and not with another one.
    #[test]
    fn what_is_signed_is_verified(
        body in proptest::collection::vec(any::<u8>(), 0..300),
        seconds in 0_u64..100_000_000_000,
        region in "[a-z]{2}-[a-z]{4,9}-[1-9]",
    ) {
        let mut request = Arriving::worked();
        request.region = Region::new(region).unwrap();
        request.clock = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        request.body = body;
        let signed = Signer::new(request.credential.access_key_id.as_str(), request.secret(), request.scope())
            .sign("xks.example.com", &request.path, &request.body, request.clock);
        request.headers.insert("authorization", signed.authorization);
        request.headers.insert("x-amz-date", signed.x_amz_date);
        prop_assert_eq!(request.verify(), Ok(()));
        request.body.push(0);
        prop_assert!(request.verify().is_err());
    }
}
