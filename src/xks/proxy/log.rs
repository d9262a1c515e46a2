//! The access log: one event of `tracing` for each request.

use std::time::Instant;

use http::StatusCode;
use tracing::Level;

use super::Peer;
use super::answer::Failure;
use crate::clock::Clock;
use crate::serve::log::{clean, listening, micros};
use crate::xks::path::Route;
use crate::xks::wire::ParsedMetadata;
use crate::xks::{ErrorName, ProxyOperation};

/// What is to be said of one request. Holds nothing that must not be seen: neither bodies nor headers get here.
///
/// A request whose caller goes away before it is answered is said to be `abandoned`.
pub(super) struct Record<'a> {
    clock: &'a dyn Clock,
    began: Instant,
    peer: Option<Peer>,
    operation: Option<ProxyOperation>,
    said: Said,
    status: Option<u16>,
    error: Option<ErrorName>,
    reason: Option<String>,
    rule: Option<String>,
}

/// What the caller says of itself; kept only when somebody listens.
#[derive(Default)]
struct Said {
    key: Option<String>,
    access_key_id: Option<String>,
    request_id: Option<String>,
    kms_operation: Option<String>,
    principal: Option<String>,
    kms_key_arn: Option<String>,
    source_vpc: Option<String>,
    source_vpc_endpoint: Option<String>,
    via_service: Option<String>,
}

impl<'a> Record<'a> {
    pub(super) fn begin(clock: &'a dyn Clock, peer: Option<Peer>) -> Self {
        Self {
            began: clock.monotonic(),
            clock,
            peer,
            operation: None,
            said: Said::default(),
            status: None,
            error: None,
            reason: None,
            rule: None,
        }
    }

    pub(super) fn route(&mut self, route: Route<'_>) {
        self.operation = Some(route.operation);
        if !route.key.is_empty() && listening() {
            self.said.key = Some(route.key.to_owned());
        }
    }

    /// Who claims to have signed, which need not be true.
    pub(super) fn access_key_id(&mut self, id: Option<&str>) {
        if listening() {
            self.said.access_key_id = id.map(clean);
        }
    }

    /// All of it, of a request that is authenticated (XKS-P-30, XKS-P-148).
    pub(super) fn metadata(&mut self, metadata: &ParsedMetadata<'_>) {
        if !listening() {
            return;
        }
        let optional = |text: &Option<std::borrow::Cow<'_, str>>| text.as_deref().map(clean);
        let said = &mut self.said;
        said.request_id = Some(clean(&metadata.request_id.to_string()));
        said.kms_operation = Some(clean(metadata.operation.as_str()));
        said.principal = (!metadata.principal.is_empty()).then(|| clean(&metadata.principal));
        said.kms_key_arn = optional(&metadata.kms_key_arn);
        said.source_vpc = optional(&metadata.source_vpc);
        said.source_vpc_endpoint = optional(&metadata.source_vpc_endpoint);
        said.via_service = optional(&metadata.via_service);
    }

    pub(super) fn succeeded(mut self) {
        self.status = Some(200);
    }

    pub(super) fn refused(mut self, status: StatusCode) {
        self.status = Some(status.as_u16());
    }

    pub(super) fn failed(mut self, failure: &Failure) {
        self.status = Some(failure.refusal.name.http_status());
        self.error = Some(failure.refusal.name);
        let reason = failure.reason.as_deref().or(failure.refusal.message.as_deref());
        self.reason = reason.map(clean);
        self.rule = failure.rule.as_deref().map(clean);
    }
}

impl Drop for Record<'_> {
    fn drop(&mut self) {
        macro_rules! event {
            ($level:expr, $outcome:literal) => {
                tracing::event!(
                    $level,
                    operation = self.operation.map(tracing_str),
                    key = self.said.key.as_deref(),
                    access_key_id = self.said.access_key_id.as_deref(),
                    request_id = self.said.request_id.as_deref(),
                    kms_operation = self.said.kms_operation.as_deref(),
                    principal = self.said.principal.as_deref(),
                    kms_key_arn = self.said.kms_key_arn.as_deref(),
                    source_vpc = self.said.source_vpc.as_deref(),
                    source_vpc_endpoint = self.said.source_vpc_endpoint.as_deref(),
                    via_service = self.said.via_service.as_deref(),
                    peer = self.peer.map(|Peer(peer)| tracing::field::display(peer)),
                    status = self.status,
                    error = self.error.map(ErrorName::as_str),
                    reason = self.reason.as_deref(),
                    rule = self.rule.as_deref(),
                    duration_us = micros(self.clock.monotonic().saturating_duration_since(self.began)),
                    $outcome
                )
            };
        }
        match self.status {
            Some(200) => event!(Level::INFO, "served"),
            // Asking for too much is the caller's affair.
            Some(501) => event!(Level::WARN, "refused"),
            Some(500..) => event!(Level::ERROR, "failed"),
            Some(_) => event!(Level::WARN, "refused"),
            None => event!(Level::WARN, "abandoned"),
        }
    }
}

const fn tracing_str(operation: ProxyOperation) -> &'static str {
    operation.as_str()
}
