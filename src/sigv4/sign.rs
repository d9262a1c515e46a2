//! Signing, for the client.

use std::time::SystemTime;

use http::HeaderValue;

use super::canonical;
use super::date::AmzDate;
use super::keys::SigningKeys;
use super::names::{ALGORITHM, HOST, SIGNED_HEADERS};
use super::scope::Scope;
use crate::SecretBytes;

/// Signs requests with one credential, for one scope.
#[derive(Debug)]
pub(crate) struct Signer {
    access_key_id: Box<str>,
    scope: Scope,
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
    /// `access_key_id` is in the characters of a header's value, without `/`, `,` and spaces.
    pub(crate) fn new(access_key_id: &str, secret: SecretBytes, scope: Scope) -> Self {
        Self { access_key_id: access_key_id.into(), scope, keys: SigningKeys::new(secret) }
    }

    /// Signs a POST of `body` to `path`, without a query.
    ///
    /// `host` is what the `Host` header says: the name alone, with a port only where it is not 443.
    pub(crate) fn sign(&self, host: &str, path: &str, body: &[u8], now: SystemTime) -> SignedHeaders {
        let date = AmzDate::from_system_time(now);

        let mut text = canonical::begin(path, None, host.len());
        canonical::header(&mut text, HOST, [host.as_bytes()].into_iter());
        canonical::date(&mut text, &date);
        canonical::end(&mut text, SIGNED_HEADERS, body);
        canonical::string_to_sign(&mut text, &date, &self.scope);
        let signature = self.keys.sign(date.day(), &self.scope, &text);

        // In the same buffer, too, since a header's value is a copy of its own length.
        text.clear();
        text.extend_from_slice(ALGORITHM.as_bytes());
        text.extend_from_slice(b" Credential=");
        text.extend_from_slice(self.access_key_id.as_bytes());
        text.push(b'/');
        self.scope.write(&mut text, &date);
        text.extend_from_slice(b", SignedHeaders=");
        text.extend_from_slice(SIGNED_HEADERS.as_bytes());
        text.extend_from_slice(b", Signature=");
        canonical::hex(&mut text, signature.as_ref());
        let mut authorization = header_value(HeaderValue::from_bytes(&text));
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
