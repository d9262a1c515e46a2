//! AWS signature version 4 once more, written for these tests from its description.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hmac::{HMAC_SHA256, Key, sign};

use super::server::Seen;

/// The `Authorization` that a request must have for this secret, Region and access key id.
pub(crate) fn authorization(request: &Seen, access_key_id: &str, secret: &str, region: &str) -> String {
    let (host, date) = (request.header("host"), request.header("x-amz-date"));
    let canonical = format!(
        "POST\n{}\n\nhost:{host}\nx-amz-date:{date}\n\nhost;x-amz-date\n{}",
        request.path(),
        hex(digest(&SHA256, &request.body).as_ref()),
    );
    let day = &date[..8];
    let scope = format!("{day}/{region}/kms-xks-proxy/aws4_request");
    let canonical = hex(digest(&SHA256, canonical.as_bytes()).as_ref());
    let to_sign = format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{canonical}");

    let mut key = format!("AWS4{secret}").into_bytes();
    for part in [day, region, "kms-xks-proxy", "aws4_request", &to_sign] {
        key = sign(&Key::new(HMAC_SHA256, &key), part.as_bytes()).as_ref().to_vec();
    }
    format!(
        "AWS4-HMAC-SHA256 Credential={access_key_id}/{scope}, SignedHeaders=host;x-amz-date, Signature={}",
        hex(&key),
    )
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
