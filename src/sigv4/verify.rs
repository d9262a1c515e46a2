//! Verification, for servers.

use std::time::SystemTime;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use http::{HeaderMap, HeaderValue};

use super::authorization::{Authorization, Fault, SIGNATURE_LEN};
use super::canonical;
use super::date::AmzDate;
use super::keys::SigningKeys;
use super::names::{AUTHORITY, HOST, TERMINATOR, X_AMZ_DATE};
use super::scope::Scope;
use crate::primitive::random_secret;

/// How far the request's clock may be off, in seconds, either way and inclusive (XKS-P-136, XKS-P-137).
const MAX_SKEW: i64 = 300;

/// The parts of a POST that a signature covers, apart from its body.
#[derive(Clone, Copy)]
pub(crate) struct SignedRequest<'a> {
    /// The path as it was received, without its query; the route has been found, so it is legal.
    pub(crate) path: &'a str,
    /// What is behind the `?`, as it was received.
    pub(crate) query: Option<&'a str>,
    pub(crate) headers: &'a HeaderMap,
    /// The authority of the request's own URI: HTTP/2's `:authority`.
    pub(crate) authority: Option<&'a str>,
}

/// Without the headers, in which there are a signature and perhaps a token.
impl std::fmt::Debug for SignedRequest<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SignedRequest")
            .field("path", &self.path)
            .field("query", &self.query)
            .finish_non_exhaustive()
    }
}

/// The signature does not hold.
///
/// One error whatever the reason, which is for our own log and whoever tells his callers more than the XKS protocol does, by
/// which a peer learns nothing (XKS-P-138, XKS-P-139).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the request is not authenticated")]
pub(crate) struct Unauthenticated {
    reason: Reason,
}

/// Why a signature does not hold. Never says what would have been right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Reason {
    #[error("there is no Authorization header")]
    NoAuthorization,
    #[error("there is more than one Authorization header")]
    ManyAuthorizations,
    #[error("the Authorization header is malformed: {0}")]
    Authorization(Fault),
    #[error("there is not exactly one X-Amz-Date header")]
    DateCount,
    #[error("the X-Amz-Date header is malformed")]
    Date,
    #[error("the credential's scope is of another day than the request")]
    ScopeDay,
    #[error("the credential's scope is of another Region")]
    ScopeRegion,
    #[error("the credential's scope is of another service")]
    ScopeService,
    #[error("the credential's scope ends otherwise")]
    ScopeTerminator,
    /// How many seconds the request's clock is behind ours.
    #[error("the request's clock is {0} seconds behind ours")]
    Skew(i64),
    #[error("Host and :authority are absent, repeated or differ")]
    Host,
    #[error("a signed header is absent")]
    SignedHeaderAbsent,
    #[error("the access key id is unknown")]
    UnknownAccessKeyId,
    #[error("the signature is another")]
    Signature,
}

/// What a server tells its callers apart that tells them something, as those of AWS do.
#[cfg(any(test, feature = "kms-api"))]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// There is no signature: `MissingAuthenticationToken`.
    Unsigned,
    /// What there is cannot be read, or lacks something: `IncompleteSignature`.
    Incomplete,
    /// The access key id is unknown: `UnrecognizedClient`.
    Unknown,
    /// It is for another day, Region or service: `InvalidSignature`.
    Scope,
    /// It is too old, or from the future: `InvalidSignature`, which says that it expired or is not yet current.
    Clock,
    /// It is another than it should be: `InvalidSignature`.
    Signature,
}

impl Unauthenticated {
    /// Which of the checks failed.
    pub(crate) const fn reason(self) -> Reason {
        self.reason
    }
}

impl Reason {
    #[cfg(any(test, feature = "kms-api"))]
    pub(crate) const fn refused(self) -> Refused {
        match self {
            Self::NoAuthorization => Refused::Unsigned,
            Self::ManyAuthorizations | Self::Authorization(_) | Self::DateCount | Self::Date | Self::Host => {
                Refused::Incomplete
            }
            Self::ScopeDay | Self::ScopeRegion | Self::ScopeService | Self::ScopeTerminator => Refused::Scope,
            Self::Skew(_) => Refused::Clock,
            Self::UnknownAccessKeyId => Refused::Unknown,
            // A header that should have been signed was lost on the way, or never there.
            Self::SignedHeaderAbsent | Self::Signature => Refused::Signature,
        }
    }
}

impl From<Reason> for Unauthenticated {
    fn from(reason: Reason) -> Self {
        Self { reason }
    }
}

/// Verifies requests for one scope.
#[derive(Debug)]
pub(crate) struct Verifier {
    scope: Scope,
    /// Stands in for the secret of an unknown access key id, so that asking for one costs as much as a wrong
    /// signature.
    decoy: SigningKeys,
}

impl Verifier {
    pub(crate) fn new(scope: Scope) -> Self {
        // As long as most secrets are.
        Self { scope, decoy: SigningKeys::new(random_secret(40)) }
    }

    /// Checks form, scope and clock, and that there is one host.
    pub(crate) fn claim<'a>(
        &'a self,
        request: SignedRequest<'a>,
        now: SystemTime,
    ) -> Result<Claim<'a>, Unauthenticated> {
        let (mut authorization, mut date, mut host) = (Seen::Never, Seen::Never, Seen::Never);
        // Faster than to look up each.
        for (name, value) in request.headers {
            let seen = match name.as_str() {
                "authorization" => &mut authorization,
                X_AMZ_DATE => &mut date,
                HOST => &mut host,
                _ => continue,
            };
            *seen = seen.and(value.as_bytes());
        }

        let authorization = match authorization {
            Seen::Once(authorization) => authorization,
            Seen::Never => return Err(Reason::NoAuthorization.into()),
            Seen::Often => return Err(Reason::ManyAuthorizations.into()),
        };
        let authorization = Authorization::parse(authorization).map_err(Reason::Authorization)?;
        let Seen::Once(date) = date else { return Err(Reason::DateCount.into()) };
        let date = AmzDate::parse(date.trim_ascii()).ok_or(Reason::Date)?;

        if authorization.day != date.day() {
            return Err(Reason::ScopeDay.into());
        }
        if authorization.region != self.scope.region.as_str().as_bytes() {
            return Err(Reason::ScopeRegion.into());
        }
        if authorization.service != self.scope.service.as_str().as_bytes() {
            return Err(Reason::ScopeService.into());
        }
        if authorization.terminator != TERMINATOR.as_bytes() {
            return Err(Reason::ScopeTerminator.into());
        }
        let behind = date.seconds_until(now);
        if !(-MAX_SKEW..=MAX_SKEW).contains(&behind) {
            return Err(Reason::Skew(behind).into());
        }
        let host = Hosts::new(host, request.authority).ok_or(Reason::Host)?;
        Ok(Claim { verifier: self, request, authorization, date, host })
    }
}

/// A request that claims to be signed by an access key id.
#[derive(Debug)]
pub(crate) struct Claim<'a> {
    verifier: &'a Verifier,
    request: SignedRequest<'a>,
    authorization: Authorization<'a>,
    date: AmzDate,
    host: Hosts<'a>,
}

impl<'a> Claim<'a> {
    /// Who claims to have signed. May be anything: never more than a key to look up.
    pub(crate) const fn access_key_id(&self) -> &'a str {
        self.authorization.access_key_id
    }

    /// Whether the signature covers the header of this name, which is in lower case.
    #[cfg(feature = "kms-api")]
    pub(crate) fn covers(&self, header: &str) -> bool {
        self.authorization.signed_headers().any(|signed| signed == header)
    }

    /// Checks that the signed headers are there, which the signature is checked after.
    #[cfg(feature = "kms-api")]
    pub(crate) fn check_headers(&self) -> Result<(), Unauthenticated> {
        let is_there = |name: &str| {
            matches!(name, HOST | AUTHORITY | X_AMZ_DATE) || self.request.headers.contains_key(name)
        };
        match self.authorization.signed_headers().all(is_there) {
            true => Ok(()),
            false => Err(Reason::SignedHeaderAbsent.into()),
        }
    }

    /// The host that the request was sent to, as it says; of any form.
    #[cfg(feature = "kms-api")]
    pub(crate) const fn host(&self) -> &'a [u8] {
        self.host.host
    }

    /// Checks that the signed headers are there, and the signature over them and the body with the keys of the access
    /// key id, `None` when it is unknown.
    pub(crate) fn verify(&self, body: &[u8], keys: Option<&SigningKeys>) -> Result<(), Unauthenticated> {
        let Self { verifier, request, authorization, date, host } = self;
        let room: usize = authorization.signed_headers.len();
        let mut text = canonical::begin(request.path, request.query, 2 * room);
        for name in authorization.signed_headers() {
            match name {
                HOST => canonical::header(&mut text, name, [host.host].into_iter()),
                AUTHORITY => canonical::header(&mut text, name, [host.authority].into_iter()),
                X_AMZ_DATE => canonical::date(&mut text, date),
                _ => {
                    let mut values =
                        request.headers.get_all(name).iter().map(HeaderValue::as_bytes).peekable();
                    if values.peek().is_none() {
                        return Err(Reason::SignedHeaderAbsent.into());
                    }
                    canonical::header(&mut text, name, values);
                }
            }
        }
        canonical::end(&mut text, authorization.signed_headers, body);
        canonical::string_to_sign(&mut text, date, &verifier.scope);

        let tag = keys.unwrap_or(&verifier.decoy).sign(date.day(), &verifier.scope, &text);
        let mut right = [0; SIGNATURE_LEN];
        canonical::hex_into(&mut right, tag.as_ref());
        let right = verify_slices_are_equal(&right, authorization.signature).is_ok();
        match (keys, right) {
            (Some(_), true) => Ok(()),
            (Some(_), false) => Err(Reason::Signature.into()),
            (None, _) => Err(Reason::UnknownAccessKeyId.into()),
        }
    }
}

/// The value of each of the two names of the host, as received.
#[derive(Debug, Clone, Copy)]
struct Hosts<'a> {
    host: &'a [u8],
    authority: &'a [u8],
}

impl<'a> Hosts<'a> {
    /// Each name stands in for the other: a gateway may have turned one into the other on the way. When both are
    /// there they must agree, and there is one of each (XKS-P-142).
    fn new(host: Seen<'a>, authority: Option<&'a str>) -> Option<Self> {
        let authority = authority.map(str::as_bytes);
        match (host, authority) {
            (Seen::Never, None) | (Seen::Often, _) => None,
            (Seen::Never, Some(authority)) => Some(Self { host: authority, authority }),
            (Seen::Once(host), None) => Some(Self { host, authority: host }),
            (Seen::Once(host), Some(authority)) => {
                host.trim_ascii().eq_ignore_ascii_case(authority).then_some(Self { host, authority })
            }
        }
    }
}

/// The values of a header that is to appear once.
#[derive(Clone, Copy)]
enum Seen<'a> {
    Never,
    Once(&'a [u8]),
    Often,
}

impl<'a> Seen<'a> {
    const fn and(self, value: &'a [u8]) -> Self {
        match self {
            Self::Never => Self::Once(value),
            Self::Once(_) | Self::Often => Self::Often,
        }
    }
}
