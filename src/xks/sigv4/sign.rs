//! Signing, for the client.

use std::time::SystemTime;

use http::HeaderValue;

use super::date::AmzDate;
use super::keys::SigningKeys;
use super::{ALGORITHM, HOST, X_AMZ_DATE, canonical};
use crate::backend::{AccessKeyId, XksProxyCredential};
use crate::xks::Region;

/// What HTTP/1.1 signs: these two and nothing else (XKS-C-22).
const SIGNED_HEADERS: &str = "host;x-amz-date";

/// Signs requests with one credential, from one Region.
#[derive(Debug)]
pub(crate) struct Signer {
    access_key_id: AccessKeyId,
    region: Region,
    keys: SigningKeys,
}

/// The headers that a signed request carries besides its `Host`.
#[derive(Debug, Clone)]
pub(crate) struct SignedHeaders {
    /// `X-Amz-Date`
    pub(crate) x_amz_date: HeaderValue,
    /// `Authorization`; marked as sensitive, so that nobody prints it.
    pub(crate) authorization: HeaderValue,
}

impl Signer {
    pub(crate) fn new(credential: &XksProxyCredential, region: Region) -> Self {
        Self {
            access_key_id: credential.access_key_id.clone(),
            region,
            keys: SigningKeys::new(credential.secret_access_key.clone()),
        }
    }

    /// Signs a POST of `body` to `path`.
    ///
    /// `host` is what the `Host` header says: the name alone, with a port only where it is not 443.
    pub(crate) fn sign(&self, host: &str, path: &str, body: &[u8], now: SystemTime) -> SignedHeaders {
        let date = AmzDate::from_system_time(now);

        let mut text = canonical::begin(path, host.len());
        canonical::header(&mut text, HOST, [host.as_bytes()].into_iter());
        canonical::header(&mut text, X_AMZ_DATE, [date.as_bytes().as_slice()].into_iter());
        canonical::end(&mut text, SIGNED_HEADERS, body);
        canonical::string_to_sign(&mut text, &date, &self.region);
        let signature = self.keys.key(date.day(), &self.region).sign(&text);

        let mut authorization = Vec::with_capacity(256);
        authorization.extend_from_slice(ALGORITHM.as_bytes());
        authorization.extend_from_slice(b" Credential=");
        authorization.extend_from_slice(self.access_key_id.as_str().as_bytes());
        authorization.push(b'/');
        canonical::scope(&mut authorization, &date, &self.region);
        authorization.extend_from_slice(b", SignedHeaders=");
        authorization.extend_from_slice(SIGNED_HEADERS.as_bytes());
        authorization.extend_from_slice(b", Signature=");
        canonical::hex(&mut authorization, signature.as_ref());

        let mut authorization = header_value(HeaderValue::try_from(authorization));
        authorization.set_sensitive(true);
        SignedHeaders { x_amz_date: header_value(HeaderValue::from_bytes(date.as_bytes())), authorization }
    }
}

#[expect(
    clippy::expect_used,
    reason = "ids, Regions and dates cannot hold what a header cannot; a request without them must not be sent"
)]
fn header_value(value: Result<HeaderValue, http::header::InvalidHeaderValue>) -> HeaderValue {
    value.expect("printable ASCII is a header value")
}
