//! The way of one request: each check in its order, the first failure is the answer.

use http::request::Parts;
use http::{Method, Request, StatusCode};
use http_body::Body;

use super::answer::{self, Failure, HttpResponse};
use super::log::Record;
use super::operate::{self, Asked};
use super::service::Shared;
use super::{AuthorizationRequest, Decision, KeyGrant, Peer, Tenant, authorize};
use crate::backend::BackendErrorKind;
use crate::json::EncodedBody;
use crate::serve::body::Unreadable;
use crate::sigv4::{SignedRequest, Unauthenticated, claimed_access_key_id};
use crate::xks::path::{self, Route};
use crate::xks::{ErrorName, ProxyOperation};

/// Answers one request, and writes its line of the access log.
pub(super) async fn answer<B>(shared: &Shared, request: Request<B>) -> HttpResponse
where
    B: Body + Send,
    B::Data: Send,
{
    let (head, body) = request.into_parts();
    if head.uri.path() == shared.ping_path {
        return match head.method {
            Method::GET | Method::HEAD => answer::pong(),
            _ => answer::method_not_allowed("GET, HEAD"),
        };
    }

    let peer = head.extensions.get::<Peer>().copied();
    let mut record = Record::begin(&*shared.clock, peer);
    if let (Some(limit), Some(Peer(peer))) = (&shared.peers, peer)
        && !limit.take(peer.ip())
    {
        // Its body has not been read and may be long.
        let failure = hanging_up(throttled("the peer has used up its limit"));
        record.failed(&failure);
        return answer::failure(&failure);
    }
    let routed = match route(shared, &head) {
        Ok((tenant, route)) => {
            record.route(route);
            if head.method != Method::POST {
                record.refused(StatusCode::METHOD_NOT_ALLOWED);
                shared.bodies.discard(body, &*shared.clock).await;
                return answer::method_not_allowed("POST");
            }
            Ok((tenant, route))
        }
        Err(failure) => Err(failure),
    };
    let outcome = match routed {
        Ok((tenant, route)) => serve(shared, &tenant, route, &head, body, &mut record).await,
        Err(failure) => {
            // Whoever is sending his body still has to hear it.
            let is_whole = shared.bodies.discard(body, &*shared.clock).await;
            Err(if is_whole { failure } else { hanging_up(failure) })
        }
    };
    match outcome {
        Ok(body) => {
            record.succeeded();
            answer::success(body)
        }
        Err(failure) => {
            record.failed(&failure);
            answer::failure(&failure)
        }
    }
}

/// Since credentials belong to a path, what it is comes before authentication (XKS-P-16).
fn route<'a>(shared: &Shared, head: &'a Parts) -> Result<(Tenant, Route<'a>), Failure> {
    let unknown = || Failure::new(ErrorName::InvalidUriPath);
    let path = head.uri.path_and_query().ok_or_else(unknown)?;
    let (base, route) = path::parse(path.as_str()).map_err(|_| unknown())?;
    let tenant = shared.tenants.load().get(base).cloned().ok_or_else(unknown)?;
    Ok((tenant, route))
}

async fn serve<B>(
    shared: &Shared,
    tenant: &Tenant,
    route: Route<'_>,
    head: &Parts,
    body: B,
    record: &mut Record<'_>,
) -> Result<EncodedBody, Failure>
where
    B: Body + Send,
    B::Data: Send,
{
    let inner = tenant.inner();
    let signed = SignedRequest {
        path: head.uri.path(),
        query: head.uri.query(),
        headers: &head.headers,
        authority: head.uri.authority().map(http::uri::Authority::as_str),
    };
    let refused = |error: Unauthenticated| {
        Failure::new(ErrorName::AuthenticationFailed).because(error.reason().to_string())
    };
    let body = shared.bodies.read(body, head.extensions.get(), &*shared.clock);
    let body = body.await.map_err(unreadable);
    let authenticated = body.and_then(|body| {
        let access_key_id = inner.authenticate(signed, body.expose(), shared.clock.wall());
        Ok((access_key_id.map_err(refused)?, body))
    });
    let known = authenticated.as_ref().map(|(access_key_id, _)| *access_key_id);
    record.access_key_id(known.ok().or_else(|| claimed_access_key_id(&head.headers)));
    let (access_key_id, body) = authenticated?;

    // Read before quota and kill switch, so that the log can name the request; judged after them.
    let asked = Asked::parse(route.operation, body.expose());
    if let Ok(asked) = &asked {
        record.metadata(asked.metadata());
    }
    if !inner.is_within_quota(&shared.clock) {
        return Err(throttled("the tenant has used up its quota"));
    }
    if tenant.is_suspended() {
        let refusal = Failure::new(ErrorName::InvalidState).saying("this key store is suspended");
        return Err(refusal.because("the tenant is suspended"));
    }
    let asked = asked?;

    if route.operation == ProxyOperation::GetHealthStatus {
        // Exempt from authorization (XKS-P-97).
        return inner.health.answer(shared, inner, asked.metadata()).await;
    }
    let grant = inner.grants.load().find(route.key).ok_or_else(|| Failure::new(ErrorName::KeyNotFound))?;
    authorize(tenant, &grant, route, access_key_id, &asked)?;
    operate::carry_out(shared, inner, &grant, &asked).await
}

/// The key's own principals first, then the policy (XKS-P-143 to XKS-P-147).
fn authorize(
    tenant: &Tenant,
    grant: &KeyGrant,
    route: Route<'_>,
    access_key_id: &str,
    asked: &Asked<'_>,
) -> Result<(), Failure> {
    let metadata = asked.metadata().as_request_metadata();
    let denied = |rule| {
        let mut failure = Failure::new(ErrorName::AccessDenied).because("denied");
        failure.rule = Some(rule);
        Err(failure)
    };
    if !grant.is_for(metadata.principal) {
        return denied("the key's grant: only_for".into());
    }
    let Some(policy) = &*inner_policy(tenant) else { return Ok(()) };
    let request = AuthorizationRequest::new(route.operation, route.key, access_key_id, metadata);
    match authorize::ask(&*policy.0, &request) {
        Some(Decision::Allow) => Ok(()),
        Some(Decision::Deny { rule }) => denied(rule),
        None => Err(Failure::new(ErrorName::from_kind(BackendErrorKind::Panicked, route.operation))
            .because("the authorizer panicked")),
    }
}

fn inner_policy(tenant: &Tenant) -> arc_swap::Guard<Option<std::sync::Arc<super::tenant::Policy>>> {
    tenant.inner().authorizer.load()
}

fn throttled(who: &'static str) -> Failure {
    Failure::new(ErrorName::Throttling).because(who)
}

fn hanging_up(mut failure: Failure) -> Failure {
    failure.hang_up = true;
    failure
}

fn unreadable(why: Unreadable) -> Failure {
    hanging_up(match why {
        // Longer than this proxy takes, and above what every proxy has to take (XKS-P-18, XKS-P-49).
        Unreadable::TooLong => Failure::new(ErrorName::UnsupportedOperation)
            .saying("the request is longer than this proxy takes"),
        Unreadable::TooSlow => Failure::new(ErrorName::Validation).saying("the body did not arrive in time"),
        Unreadable::Crowded => throttled("too many bodies are being read"),
        Unreadable::Broken => Failure::new(ErrorName::Validation).saying("the body is incomplete"),
    })
}
