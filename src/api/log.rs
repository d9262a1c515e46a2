//! The access log: one event of `tracing` for each request.

use std::sync::Arc;
use std::time::Instant;

use http::HeaderMap;
use tracing::Level;

use super::Peer;
use super::failure::{Failure, Name};
use crate::backend::RequestId;
use crate::clock::Clock;
use crate::kms::{Exception, RefusedRequest};
use crate::serve::log::{clean, listening, micros};
use crate::sigv4::claimed_access_key_id;

/// What is to be said of one request. Holds nothing that must not be seen: neither bodies nor headers get here.
///
/// A request whose caller goes away before it is answered is said to be `abandoned`.
pub(super) struct Record<'a> {
    clock: &'a dyn Clock,
    request_id: &'a RequestId,
    began: Instant,
    peer: Option<Peer>,
    operation: Option<&'static str>,
    access_key_id: Option<String>,
    principal: Option<Arc<str>>,
    status: Option<u16>,
    error: Option<Name>,
    message: Option<String>,
    reason: Option<String>,
}

impl<'a> Record<'a> {
    pub(super) fn begin(clock: &'a dyn Clock, request_id: &'a RequestId, peer: Option<Peer>) -> Self {
        Self {
            began: clock.monotonic(),
            clock,
            request_id,
            peer,
            operation: None,
            access_key_id: None,
            principal: None,
            status: None,
            error: None,
            message: None,
            reason: None,
        }
    }

    pub(super) const fn operation(&mut self, operation: &'static str) {
        self.operation = Some(operation);
    }

    /// Who claims to have signed, which need not be true.
    pub(super) fn claim(&mut self, headers: &HeaderMap) {
        if listening() {
            self.access_key_id = claimed_access_key_id(headers).map(clean);
        }
    }

    /// Who has signed.
    pub(super) fn principal(&mut self, principal: &Arc<str>) {
        self.principal = Some(Arc::clone(principal));
    }

    /// What the audit trail is to know of it, when it was refused before any call.
    pub(super) fn refused<'r>(&'r self, failure: &'r Failure) -> RefusedRequest<'r> {
        RefusedRequest {
            request_id: self.request_id,
            principal: self.principal.as_ref(),
            source_address: self.peer.map(|Peer(peer)| peer.ip()),
            operation: self.operation,
            error: failure.name.as_str(),
            message: &failure.message,
        }
    }

    pub(super) fn succeeded(mut self) {
        self.status = Some(200);
    }

    pub(super) fn failed(mut self, failure: &Failure) {
        self.status = Some(failure.name.status());
        self.error = Some(failure.name);
        if listening() {
            self.message = Some(clean(&failure.message));
            self.reason = failure.reason.as_deref().map(clean);
        }
    }
}

impl Drop for Record<'_> {
    fn drop(&mut self) {
        macro_rules! event {
            ($level:expr, $outcome:literal) => {
                tracing::event!(
                    $level,
                    operation = self.operation,
                    principal = self.principal.as_deref(),
                    access_key_id = self.access_key_id.as_deref(),
                    request_id = %self.request_id,
                    peer = self.peer.map(|Peer(peer)| tracing::field::display(peer)),
                    status = self.status,
                    error = self.error.map(Name::as_str),
                    message_sent = self.message.as_deref(),
                    reason = self.reason.as_deref(),
                    duration_us = micros(self.clock.monotonic().saturating_duration_since(self.began)),
                    $outcome
                )
            };
        }
        match (self.status, self.error) {
            (Some(200), _) => event!(Level::INFO, "served"),
            // What it says is that nothing is wrong.
            (_, Some(Name::Kms(Exception::DryRunOperation))) => event!(Level::INFO, "dry run"),
            (Some(500..), _) => event!(Level::ERROR, "failed"),
            (Some(_), _) => event!(Level::WARN, "refused"),
            (None, _) => event!(Level::WARN, "abandoned"),
        }
    }
}
