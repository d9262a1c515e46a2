//! The way of one request: each check in its order, the first failure is the answer.

use std::net::IpAddr;

use http::request::Parts;
use http::{Method, Request};
use http_body::Body;

use super::Peer;
use super::answer::{self, HttpResponse};
use super::auth::{self, Claimed};
use super::failure::{Failure, METHOD, NOT_FOUND, TIMEOUT, TOO_LARGE};
use super::log::Record;
use super::operate;
use super::service::Shared;
use super::target::{self, Target};
use crate::backend::RequestId;
use crate::json::EncodedBody;
use crate::kms::Exception;
use crate::panics::{Panicked, catch, caught};
use crate::serve::body::Unreadable;
use crate::store::Caller;

/// Answers one request, and writes its line of the access log. Never panics, whatever does.
pub(super) async fn answer<B>(shared: &Shared, request: Request<B>) -> HttpResponse
where
    B: Body + Send,
    B::Data: Send,
{
    let (head, body) = request.into_parts();
    if head.uri.path() == shared.ping_path {
        return match head.method {
            Method::GET | Method::HEAD => answer::pong(),
            _ => answer::no_pong(),
        };
    }
    let request_id = RequestId::generate();
    let mut record = Record::begin(&*shared.clock, &request_id, head.extensions.get().copied());
    let work = async {
        match admit(shared, &head, shared.bodies.check_announced(&body), &mut record).await {
            Ok(claimed) => serve(shared, &head, body, claimed, &request_id, &mut record).await,
            Err(failure) => Err(heard(shared, body, failure).await),
        }
    };
    let outcome = caught(work).await.unwrap_or_else(|Panicked| {
        let failed = Failure::new(Exception::KmsInternal, "something failed inside");
        Err(failed.because("a panic").hanging_up())
    });
    match outcome {
        Ok(body) => {
            record.succeeded();
            answer::success(body, &request_id)
        }
        Err(failure) => {
            if !failure.is_audited {
                // A sink of the application's that panics costs no answer.
                let _ = catch(|| shared.kms.refused(&record.refused(&failure)));
            }
            record.failed(&failure);
            answer::failure(&failure, &request_id)
        }
    }
}

/// What is checked before anything is kept of the body, of which is known by now whether it is `announced` to be too long.
async fn admit<'r>(
    shared: &'r Shared,
    head: &'r Parts,
    announced: Result<(), Unreadable>,
    record: &mut Record<'_>,
) -> Result<Claimed<'r>, Failure> {
    if let (Some(limit), Some(peer)) = (&shared.peers, peer(head))
        && !limit.take(peer)
    {
        // Its body has not been read and may be long.
        return Err(throttled("too many requests from this address").hanging_up());
    }
    if head.uri.path() != "/" {
        return Err(Failure::named(NOT_FOUND, "requests are sent to the path /"));
    }
    if head.method != Method::POST {
        return Err(Failure::named(METHOD, "requests are sent by POST"));
    }
    let target = Target::named(&head.headers);
    if let Ok(target) = &target {
        record.operation(target.as_str());
    }
    record.claim(&head.headers);
    announced.map_err(unreadable)?;
    auth::claimed(shared, head).await.map_err(|failure| match target {
        Ok(Target::Had(action)) => failure.of(action),
        _ => failure,
    })
}

/// Lets whoever is refused before his body was read hear why, though he is sending it still.
async fn heard<B>(shared: &Shared, body: B, failure: Failure) -> Failure
where
    B: Body + Send,
    B::Data: Send,
{
    if failure.hang_up || shared.bodies.discard(body, &*shared.clock).await {
        return failure;
    }
    failure.hanging_up()
}

async fn serve<B>(
    shared: &Shared,
    head: &Parts,
    body: B,
    claimed: Claimed<'_>,
    request_id: &RequestId,
    record: &mut Record<'_>,
) -> Result<EncodedBody, Failure>
where
    B: Body + Send,
    B::Data: Send,
{
    let body = shared.bodies.read(body, head.extensions.get(), &*shared.clock).await.map_err(unreadable)?;
    let credential = claimed.proven(head, body.expose())?;
    record.principal(credential.principal());
    target::check_content_type(&head.headers)?;
    let action = match Target::named(&head.headers)? {
        Target::Had(action) => action,
        Target::NotHad(name) => return Err(Failure::unsupported(format!("{name} is not supported"))),
    };
    let mut caller = Caller::new(std::sync::Arc::clone(credential.principal()));
    if let Some(peer) = peer(head) {
        caller = caller.with_source_address(peer);
    }
    let kms = shared.kms.on_behalf_of(caller).with_request_id(request_id.clone());
    operate::carry_out(&kms, action, body.expose()).await
}

fn peer(head: &Parts) -> Option<IpAddr> {
    head.extensions.get::<Peer>().map(|Peer(peer)| peer.ip())
}

fn throttled(message: &'static str) -> Failure {
    Failure::new(Exception::Throttling, message)
}

fn unreadable(why: Unreadable) -> Failure {
    let failure = match why {
        Unreadable::TooLong => Failure::named(TOO_LARGE, "the body is longer than it may be"),
        Unreadable::TooSlow => Failure::named(TIMEOUT, "the body did not arrive in time"),
        Unreadable::Crowded => throttled("too many bodies are being read"),
        Unreadable::Broken => Failure::serialization("the body is incomplete"),
    };
    failure.hanging_up()
}
