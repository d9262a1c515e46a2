//! Requests that are odd, and requests that attack.

use std::time::Duration;

use super::{Arriving, header, text, worked};
use crate::sigv4::authorization::Fault;
use crate::sigv4::{Reason, Scope};

const PORTLESS: &str = "host;x-amz-date";

// XKS-P-140: whatever is signed is canonicalised: trimmed, collapsed, joined.
#[test]
fn signed_headers_are_canonicalised() {
    let mut request = Arriving::worked();
    header(&mut request.headers, "x-trace", "a   b\t c");
    header(&mut request.headers, "x-trace", "d");
    header(&mut request.headers, "content-type", "application/json");
    request.sign("content-type;host;x-amz-date;x-trace");
    assert_eq!(request.verify(), Ok(()));
    // As another party may rewrite it on the way.
    request.headers.remove("x-trace");
    header(&mut request.headers, "x-trace", " a b c ");
    header(&mut request.headers, "x-trace", "d  ");
    assert_eq!(request.verify(), Ok(()));
    request.headers.remove("x-trace");
    header(&mut request.headers, "x-trace", "d");
    header(&mut request.headers, "x-trace", "a b c");
    assert_eq!(request.reason(), Reason::Signature);
    request.headers.remove("x-trace");
    assert_eq!(request.reason(), Reason::SignedHeaderAbsent);
}

// XKS-P-135: what is not signed may be anything.
#[test]
fn headers_that_are_not_signed_do_not_count() {
    let mut request = Arriving::worked();
    header(&mut request.headers, "date", "Thu, 01 Jan 1970 00:00:00 GMT");
    header(&mut request.headers, "x-forwarded-for", "192.0.2.1");
    assert_eq!(request.verify(), Ok(()));
}

// XKS-P-140: odd spacing and any order of the parts.
#[test]
fn the_authorization_header_may_be_spaced_and_ordered_oddly() {
    let request = Arriving::worked();
    let authorization = request.authorization();
    let (algorithm, parts) = authorization.split_once(' ').unwrap();
    let parts: Vec<_> = parts.split(", ").collect();
    let [a, b, c] = [parts[0], parts[1], parts[2]];
    for odd in [
        format!("{algorithm} {a},{b},{c}"),
        format!("{algorithm}   {a} ,\t{b}  ,  {c}"),
        format!("  {algorithm}\t{c}, {a}, {b} "),
        format!("{algorithm} {b}, {c}, {a}"),
    ] {
        let mut request = Arriving::worked();
        request.set("authorization", &odd);
        assert_eq!(request.verify(), Ok(()), "{odd}");
    }
}

// XKS-P-141: one of each.
#[test]
fn authorization_and_date_appear_exactly_once() {
    for name in ["authorization", "x-amz-date", "host"] {
        let mut request = Arriving::worked();
        let value = request.headers[name].to_str().unwrap().to_owned();
        header(&mut request.headers, name, &value);
        let twice = request.reason();
        request.headers.remove(name);
        let never = request.reason();
        let expected = match name {
            "authorization" => (Reason::ManyAuthorizations, Reason::NoAuthorization),
            "x-amz-date" => (Reason::DateCount, Reason::DateCount),
            _ => (Reason::Host, Reason::Host),
        };
        assert_eq!((twice, never), expected);
    }
}

// XKS-P-142
#[test]
fn host_and_authority_must_agree() {
    let mut request = Arriving::worked();
    request.authority = Some("XKS.example.com".to_owned());
    assert_eq!(request.verify(), Ok(()));
    request.authority = Some("other.example.com".to_owned());
    assert_eq!(request.reason(), Reason::Host);
    // Signed under both names, each with the value that it arrived with.
    request.authority = Some("xks.example.com".to_owned());
    request.sign(":authority;host;x-amz-date");
    assert_eq!(request.verify(), Ok(()));
}

// XKS-P-141: every part of the scope.
#[test]
fn the_scope_is_compared() {
    let cases = [
        ("/20260115/", "/20260116/", Reason::ScopeDay),
        ("/us-east-2/", "/us-east-1/", Reason::ScopeRegion),
        ("/aws4_request", "/aws4_requests", Reason::ScopeTerminator),
        ("/kms-xks-proxy/", "/KMS-XKS-PROXY/", Reason::ScopeService),
    ];
    for (from, to, reason) in cases {
        let mut request = Arriving::worked();
        request.replace(from, to);
        assert_eq!(request.reason(), reason);
    }
    // Signed correctly for another Region than the proxy serves.
    let mut request = Arriving::worked();
    let home = request.region.clone();
    request.region = crate::Region::new("eu-west-1").unwrap();
    request.sign(PORTLESS);
    assert_eq!(request.verify(), Ok(()));
    request.region = home;
    assert_eq!(request.reason(), Reason::ScopeRegion);
}

// XKS-P-141: no signature but the whole one, and no header's word for the body's hash.
#[test]
fn no_signature_but_the_right_one_is_accepted() {
    let right = text(&worked(), "signature").to_owned();
    for at in 0..right.len() {
        let mut wrong = right.clone().into_bytes();
        wrong[at] = if wrong[at] == b'0' { b'1' } else { b'0' };
        let mut request = Arriving::worked();
        request.replace(&right, str::from_utf8(&wrong).unwrap());
        assert_eq!(request.reason(), Reason::Signature);
    }
    for malformed in [&right[..62], &format!("{right}00"), &right.to_uppercase(), &right.replace('3', "g")] {
        let mut request = Arriving::worked();
        request.replace(&right, malformed);
        assert_eq!(request.reason(), Reason::Authorization(Fault::Signature));
    }
    let mut request = Arriving::worked();
    let hash = "d54ec83b1869c75d6f70b7fa5ece85ac24de8545785c0d8b26231582088e0ecf";
    header(&mut request.headers, "x-amz-content-sha256", hash);
    request.body.push(b' ');
    assert_eq!(request.reason(), Reason::Signature);
}

// XKS-P-155: neither the error nor the claim tells anyone a signature.
#[test]
fn no_text_holds_a_signature() {
    let mut request = Arriving::worked();
    request.path.push('x');
    let error = request.verify().unwrap_err();
    let texts = [format!("{error} {error:?} {}", error.reason()), {
        let authorization = request.authorization();
        let parsed = super::super::authorization::Authorization::parse(authorization.as_bytes()).unwrap();
        format!("{parsed:?}")
    }];
    for text in texts {
        assert!(!text.contains(super::text(&worked(), "signature")), "{text}");
        assert!(!text.bytes().collect::<Vec<_>>().windows(40).any(|w| w.iter().all(u8::is_ascii_hexdigit)));
    }
    // The outward error is one, whatever the reason.
    assert_eq!(error.to_string(), "the request is not authenticated");
}

// XKS-P-139
#[test]
fn a_wrong_secret_is_refused() {
    let mut request = Arriving::worked();
    let other = crate::backend::XksProxyCredential::generate().unwrap();
    request.credential.secret_access_key = other.secret_access_key;
    assert_eq!(request.reason(), Reason::Signature);
}

// The kept keys are the right ones across midnight and Regions, and stay few.
#[test]
fn signing_keys_are_kept_by_day_and_region() {
    let request = Arriving::worked();
    let keys = request.keys().for_scopes(2);
    let here = request.scope();
    let elsewhere = Scope::new(crate::Region::new("us-east-1").unwrap(), super::XKS);
    let sign = |day: &[u8; 8], scope| keys.sign(*day, scope, b"x").as_ref().to_vec();
    let signatures = || [sign(b"20260115", &here), sign(b"20260116", &here), sign(b"20260115", &elsewhere)];
    let first = signatures();
    assert!(first[0] != first[1] && first[0] != first[2] && first[1] != first[2]);
    let kept = [*b"20260115", *b"20260116", *b"20260115"];
    assert_eq!(keys.days(), kept);
    assert_eq!(signatures(), first);
    assert_eq!(keys.days(), kept, "what is kept is not derived again");

    for day in 10_u8..30 {
        let day = format!("202601{day}").into_bytes().try_into().unwrap();
        keys.sign(day, &here, b"x");
    }
    assert_eq!(keys.days(), [*b"20260129", *b"20260128", *b"20260127", *b"20260126"]);
    assert_eq!(signatures(), first);
}

// Around midnight requests of either day come from each Region in turn: none of that derives a key again, nor a day
// later.
#[test]
fn no_signing_key_is_derived_twice_around_midnight() {
    let regions = ["us-east-1", "us-east-2", "us-west-2", "eu-west-1", "eu-central-1"];
    let regions = regions.map(|region| Scope::new(crate::Region::new(region).unwrap(), super::XKS));
    let keys = Arriving::worked().keys().for_scopes(regions.len());
    let all = |days: [&[u8; 8]; 2]| {
        for (region, day) in regions.iter().flat_map(|region| days.map(|day| (region, day))) {
            keys.sign(*day, region, b"x");
        }
        keys.kept()
    };
    let midnight = all([b"20260115", b"20260116"]);
    assert_eq!(midnight.len(), 10);
    for _ in 0..3 {
        assert_eq!(all([b"20260115", b"20260116"]), midnight);
    }
    // Some of the day between may have made way for those of the day that came, once.
    all([b"20260116", b"20260117"]);
    let next = all([b"20260116", b"20260117"]);
    assert_eq!(all([b"20260116", b"20260117"]), next);
}

// XKS-P-137: the day of the scope may differ from the server's own, around midnight.
#[test]
fn a_request_from_before_midnight_is_accepted_after_it() {
    let mut request =
        Arriving::vector(&crate::xks::vectors::named("sigv4", "sigv4-contenttype-signed-nondefault-port"));
    request.clock += Duration::from_secs(300);
    assert_eq!(request.verify(), Ok(()));
    request.clock += Duration::from_secs(1);
    assert_eq!(request.reason(), Reason::Skew(301));
}
