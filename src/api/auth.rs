//! Who has sent a request: its signature, by version 4 of AWS's.

use http::request::Parts;
use http::uri::Authority;

use super::callers::{CallerCredential, CallerKeyId};
use super::failure::{Failure, INCOMPLETE, SIGNATURE, UNRECOGNIZED, UNSIGNED};
use super::service::Shared;
use super::target;
use crate::clock::in_time;
use crate::kms::Exception;
use crate::sigv4::{Claim, Reason, Refused, Service, SignedRequest, Unauthenticated};

/// What KMS is called in signatures.
pub(super) const KMS: Service = Service::new("kms");

const SECURITY_TOKEN: &str = "x-amz-security-token";
const UNKNOWN_CALLER: &str = "The security token included in the request is invalid.";

/// Who claims to have signed a request, of which everything is right that can be seen without its body.
pub(super) struct Claimed<'r> {
    claim: Claim<'r>,
    caller: CallerCredential,
}

/// Finds out who claims to have signed a request, or why nobody can have.
pub(super) async fn claimed<'r>(shared: &'r Shared, head: &'r Parts) -> Result<Claimed<'r>, Failure> {
    let signed = SignedRequest {
        path: head.uri.path(),
        query: head.uri.query(),
        headers: &head.headers,
        authority: head.uri.authority().map(Authority::as_str),
    };
    let claim = shared.verifier.claim(signed, shared.clock.wall()).map_err(refused)?;
    // What is not signed anybody on the way may change: for instance which operation it is.
    if head.headers.contains_key(target::HEADER) && !claim.covers(target::HEADER) {
        let message = "'X-Amz-Target' must be a 'SignedHeader' in the AWS Authorization.";
        return Err(Failure::named(INCOMPLETE, message));
    }
    if !shared.hosts.have(claim.host()) {
        return Err(Failure::named(SIGNATURE, "The request is signed for another host than this."));
    }
    let caller = resolve(shared, claim.access_key_id()).await?;
    claim.check_headers().map_err(refused)?;
    match caller {
        Some(caller) => Ok(Claimed { claim, caller }),
        None => Err(Failure::named(UNRECOGNIZED, UNKNOWN_CALLER).because("the access key id is unknown")),
    }
}

impl Claimed<'_> {
    /// Whether it is true, by the whole of the request.
    pub(super) fn proven(self, head: &Parts, body: &[u8]) -> Result<CallerCredential, Failure> {
        let Self { claim, caller } = self;
        claim.verify(body, Some(caller.keys())).map_err(refused)?;
        let tokens = head.headers.get_all(SECURITY_TOKEN).iter().map(http::HeaderValue::as_bytes);
        if caller.has_token(tokens) {
            return Ok(caller);
        }
        Err(Failure::named(UNRECOGNIZED, UNKNOWN_CALLER).because("the session token is another"))
    }
}

async fn resolve(shared: &Shared, access_key_id: &str) -> Result<Option<CallerCredential>, Failure> {
    if !CallerKeyId::is_legal(access_key_id) {
        return Ok(None);
    }
    let looked_up = shared.callers.resolve(access_key_id);
    match in_time(&*shared.clock, shared.resolver_timeout, looked_up).await {
        Some(Ok(caller)) => Ok(caller),
        Some(Err(error)) => Err(Failure::new(Exception::KmsInternal, "callers cannot be looked up")
            .because(format!("the resolver of callers failed: {error}"))),
        None => Err(Failure::new(Exception::DependencyTimeout, "callers could not be looked up in time")),
    }
}

/// In AWS's words, as far as AWS has some.
#[cold]
fn refused(error: Unauthenticated) -> Failure {
    let reason = error.reason();
    let failure = match reason.refused() {
        Refused::Unsigned => Failure::named(UNSIGNED, "Missing Authentication Token"),
        Refused::Incomplete => Failure::named(INCOMPLETE, format!("The signature is incomplete: {reason}.")),
        Refused::Unknown => Failure::named(UNRECOGNIZED, UNKNOWN_CALLER),
        Refused::Scope => Failure::named(
            SIGNATURE,
            format!("Credential should be scoped to the day, Region and service of the request: {reason}."),
        ),
        Refused::Clock => Failure::named(SIGNATURE, off(reason)),
        Refused::Signature => Failure::named(
            SIGNATURE,
            "The request signature we calculated does not match the signature you provided. Check your AWS Secret \
             Access Key and signing method. Consult the service documentation for details.",
        ),
    };
    failure.because(reason.to_string())
}

/// SDKs that mend their clock look for these beginnings.
fn off(reason: Reason) -> String {
    match reason {
        Reason::Skew(seconds) if seconds < 0 => {
            format!(
                "Signature not yet current: it is {} seconds ahead of the clock here, and 300 are allowed",
                -seconds
            )
        }
        Reason::Skew(seconds) => {
            format!("Signature expired: it is {seconds} seconds behind the clock here, and 300 are allowed")
        }
        other => format!("Signature expired: {other}"),
    }
}
