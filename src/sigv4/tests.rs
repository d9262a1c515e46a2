mod hostile;
mod kms;
mod parsing;
mod query;
mod vectors;

use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;

use super::date::AmzDate;
use super::{Scope, Service, SignedRequest, SigningKeys, Unauthenticated, Verifier, canonical};
use crate::Region;
use crate::SecretBytes;
use crate::backend::{AccessKeyId, SecretAccessKey, XksProxyCredential};
use crate::xks::vectors::{named, text};

const XKS: Service = Service::new("kms-xks-proxy");

/// The worked vector of the facts.
const WORKED: &str = "sigv4-http11-host-xamzdate";

fn worked() -> Value {
    named("sigv4", WORKED)
}

fn credential(vector: &Value) -> XksProxyCredential {
    XksProxyCredential::new(
        AccessKeyId::new(text(vector, "access_key_id")).unwrap(),
        SecretAccessKey::new(text(vector, "secret_access_key")).unwrap(),
    )
}

/// The moment that a date of the vectors names.
fn moment(date: &str) -> SystemTime {
    let seconds = AmzDate::parse(date.as_bytes()).unwrap().seconds();
    SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).unwrap())
}

fn header(headers: &mut HeaderMap, name: &str, value: &str) {
    let name: HeaderName = name.parse().unwrap();
    headers.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
}

/// A request as it arrives, to be spoiled.
struct Arriving {
    path: String,
    headers: HeaderMap,
    authority: Option<String>,
    body: Vec<u8>,
    clock: SystemTime,
    region: Region,
    credential: XksProxyCredential,
}

impl Arriving {
    /// The request of a vector that has all its parts.
    fn vector(vector: &Value) -> Self {
        let mut headers = HeaderMap::new();
        for (name, value) in vector["headers"].as_object().unwrap() {
            header(&mut headers, name, value.as_str().unwrap());
        }
        header(&mut headers, "authorization", text(vector, "authorization"));
        Self {
            path: text(vector, "canonical_uri").to_owned(),
            headers,
            authority: None,
            body: text(vector, "body_utf8").as_bytes().to_vec(),
            clock: moment(text(vector, "x_amz_date")),
            region: Region::new(text(vector, "region")).unwrap(),
            credential: credential(vector),
        }
    }

    fn worked() -> Self {
        Self::vector(&worked())
    }

    fn scope(&self) -> Scope {
        Scope::new(self.region.clone(), XKS)
    }

    fn secret(&self) -> SecretBytes {
        SecretBytes::from(self.credential.secret_access_key.expose())
    }

    fn keys(&self) -> SigningKeys {
        SigningKeys::new(self.secret())
    }

    fn set(&mut self, name: &'static str, value: &str) {
        self.headers.insert(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }

    fn authorization(&self) -> String {
        self.headers["authorization"].to_str().unwrap().to_owned()
    }

    fn replace(&mut self, from: &str, to: &str) {
        let authorization = self.authorization();
        assert!(authorization.contains(from));
        self.set("authorization", &authorization.replacen(from, to, 1));
    }

    /// Signs what is there with this list of headers, as a client of another make would.
    fn sign(&mut self, signed_headers: &str) {
        let date = AmzDate::parse(self.headers["x-amz-date"].as_bytes()).unwrap();
        let mut canonical = canonical::begin(&self.path, None, 0);
        for name in signed_headers.split(';') {
            let authority = self.authority.as_deref().unwrap_or_default();
            if name == ":authority" || (name == "host" && !self.headers.contains_key("host")) {
                canonical::header(&mut canonical, name, [authority.as_bytes()].into_iter());
            } else {
                let values = self.headers.get_all(name).iter().map(HeaderValue::as_bytes);
                canonical::header(&mut canonical, name, values);
            }
        }
        canonical::end(&mut canonical, signed_headers, &self.body);
        canonical::string_to_sign(&mut canonical, &date, &self.scope());
        let signature = self.keys().sign(date.day(), &self.scope(), &canonical);
        let mut hex = Vec::new();
        canonical::hex(&mut hex, signature.as_ref());
        let mut scope = Vec::new();
        self.scope().write(&mut scope, &date);
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential={}/{}, SignedHeaders={signed_headers}, Signature={}",
            self.credential.access_key_id,
            String::from_utf8(scope).unwrap(),
            String::from_utf8(hex).unwrap(),
        );
        self.set("authorization", &authorization);
    }

    /// Verifies as a proxy does that knows the credential and no other.
    fn verify(&self) -> Result<(), Unauthenticated> {
        let verifier = Verifier::new(self.scope());
        let request = SignedRequest {
            path: &self.path,
            query: None,
            headers: &self.headers,
            authority: self.authority.as_deref(),
        };
        let claim = verifier.claim(request, self.clock)?;
        let known = claim.access_key_id() == self.credential.access_key_id.as_str();
        claim.verify(&self.body, known.then_some(&self.keys()))
    }

    fn reason(&self) -> super::Reason {
        self.verify().unwrap_err().reason()
    }
}
