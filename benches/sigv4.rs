//! Signing and verifying a request beside the hashes that each contains: what is not hashing.

use std::error::Error;
use std::hint::black_box;
use std::time::SystemTime;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hmac::{self, HMAC_SHA256};
use criterion::Criterion;
use custom_key_store_benches::criterion;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue};

use crate::shipped::sigv4::{Scope, Service, SignedRequest, Signer, SigningKeys, Verifier, texts};

// The names by which the included sources know the crate around them.
use custom_key_store::{Region, SecretBytes};
use shipped::primitive;

// Signatures are private; this compiles the very source that ships, as `tests/loom` does with the gate. The files one
// by one, for their parent also names their tests.
#[path = "../src"]
mod shipped {
    pub(crate) mod primitive {
        pub(crate) fn random_secret(length: usize) -> crate::SecretBytes {
            crate::SecretBytes::new(vec![7; length])
        }
    }

    #[expect(dead_code, reason = "nothing is refused, and so nobody asks why")]
    pub(crate) mod sigv4 {
        mod authorization;
        mod canonical;
        mod date;
        mod keys;
        mod names;
        mod query;
        mod scope;
        mod sign;
        mod verify;

        pub(crate) use keys::SigningKeys;
        pub(crate) use scope::{Scope, Service};
        pub(crate) use sign::Signer;
        pub(crate) use verify::{SignedRequest, Verifier};

        /// What is hashed besides the body: the canonical request and the string to sign.
        pub(crate) fn texts(
            host: &str,
            path: &str,
            body: &[u8],
            now: std::time::SystemTime,
            scope: &Scope,
        ) -> (Vec<u8>, Vec<u8>) {
            let date = date::AmzDate::from_system_time(now);
            let mut text = canonical::begin(path, None, host.len());
            canonical::header(&mut text, names::HOST, [host.as_bytes()].into_iter());
            canonical::date(&mut text, &date);
            canonical::end(&mut text, names::SIGNED_HEADERS, body);
            let request = text.clone();
            canonical::string_to_sign(&mut text, &date, scope);
            (request, text)
        }
    }
}

const NAME: &str = "xks.example.com";
const PATH: &str = "/bench/kms/xks/v1/keys/0123456789abcdef/encrypt";

fn compare(criterion: &mut Criterion, name: &str, length: usize) -> Result<(), Box<dyn Error>> {
    let body = vec![b'x'; length];
    let now = SystemTime::now();
    let scope = Scope::new(Region::new("us-east-1")?, Service::new("kms-xks-proxy"));
    let secret = SecretBytes::from(b"5/E2yj4NPGpDj2kcGSxJjB6BT7b+OavVy/keR7nqJS0=".as_slice());
    let signer = Signer::new("XKSTESTVECTOR234567ABCDE", secret.clone(), scope.clone());
    let keys = SigningKeys::new(secret);
    let verifier = Verifier::new(scope.clone());

    let signed = signer.sign(NAME, PATH, &body, now);
    // What hyper's client sends with it, in the order of the client of this crate.
    let headers = HeaderMap::from_iter([
        (HOST, HeaderValue::from_static(NAME)),
        (CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (HeaderName::from_static("x-amz-date"), signed.x_amz_date),
        (AUTHORIZATION, signed.authorization),
        (http::header::CONTENT_LENGTH, HeaderValue::from(length)),
    ]);
    let request = SignedRequest { path: PATH, query: None, headers: &headers, authority: None };
    let verify = || verifier.claim(black_box(request), now)?.verify(black_box(&body), Some(&keys));
    verify()?;

    let (canonical, to_sign) = texts(NAME, PATH, &body, now, &scope);
    let key = hmac::Key::new(HMAC_SHA256, &[7; 32]);
    let hashes = || {
        black_box(digest(&SHA256, black_box(&body)));
        black_box(digest(&SHA256, black_box(&canonical)));
        black_box(hmac::sign(black_box(&key), black_box(&to_sign)))
    };

    let mut group = criterion.benchmark_group(format!("signature of a body of {name}"));
    group.bench_function("bare hashes", |bencher| bencher.iter(hashes));
    group.bench_function("sign", |bencher| {
        bencher.iter(|| signer.sign(black_box(NAME), black_box(PATH), black_box(&body), now));
    });
    group.bench_function("verify", |bencher| bencher.iter(|| black_box(verify())));
    group.finish();
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut criterion = criterion();
    for (name, length) in [("300 B", 300), ("8 KiB", 8192)] {
        compare(&mut criterion, name, length)?;
    }
    criterion.final_summary();
    Ok(())
}
