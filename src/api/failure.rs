//! Why a request is not carried out, by the names that AWS answers.

use std::borrow::Cow;

use crate::kms::{Action, Exception, KmsError};

/// A request that is not carried out.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) name: Name,
    /// For whoever called.
    pub(super) message: Cow<'static, str>,
    /// What the caller is not told, for our own log.
    pub(super) reason: Option<String>,
    /// Whether the connection is of no more use, as the rest of a body is in the way.
    pub(super) hang_up: bool,
    /// Whether the audit trail knows of it.
    pub(super) is_audited: bool,
}

/// What a failure is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Name {
    /// A name of the service's model.
    Kms(Exception),
    /// What is common to all services of AWS, with the status that it is answered with.
    Common(&'static str, u16),
}

const SERIALIZATION: Name = Name::Common("SerializationException", 400);
pub(super) const UNKNOWN_OPERATION: Name = Name::Common("UnknownOperationException", 400);
/// No such path. The name is that of AWS's other front ends.
pub(super) const NOT_FOUND: Name = Name::Common("UnknownOperationException", 404);
pub(super) const METHOD: Name = Name::Common("UnknownOperationException", 405);
pub(super) const TOO_LARGE: Name = Name::Common("RequestEntityTooLargeException", 413);
pub(super) const TIMEOUT: Name = Name::Common("RequestTimeoutException", 400);
pub(super) const UNSIGNED: Name = Name::Common("MissingAuthenticationTokenException", 400);
pub(super) const INCOMPLETE: Name = Name::Common("IncompleteSignatureException", 400);
pub(super) const UNRECOGNIZED: Name = Name::Common("UnrecognizedClientException", 400);
pub(super) const SIGNATURE: Name = Name::Common("InvalidSignatureException", 400);

impl Name {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Kms(exception) => exception.as_str(),
            Self::Common(name, _) => name,
        }
    }

    /// 400 for whatever is the caller's affair, as the JSON protocol has it on the wire. Of the three faults AWS's model says
    /// 500, and 503 of the one for what did not answer in time; SDKs retry after either. Whoever handles errors should go by
    /// the name.
    pub(super) const fn status(self) -> u16 {
        match self {
            Self::Kms(Exception::DependencyTimeout) => 503,
            Self::Kms(exception) if exception.is_fault() => 500,
            Self::Kms(_) => 400,
            Self::Common(_, status) => status,
        }
    }
}

impl Failure {
    #[cold]
    pub(super) fn new(exception: Exception, message: impl Into<Cow<'static, str>>) -> Self {
        Self::named(Name::Kms(exception), message)
    }

    #[cold]
    pub(super) fn named(name: Name, message: impl Into<Cow<'static, str>>) -> Self {
        Self { name, message: message.into(), reason: None, hang_up: false, is_audited: false }
    }

    pub(super) fn serialization(message: impl Into<Cow<'static, str>>) -> Self {
        Self::named(SERIALIZATION, message)
    }

    pub(super) fn unsupported(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Exception::UnsupportedOperation, message)
    }

    /// As AWS says it.
    pub(super) fn validation(violations: &[String]) -> Self {
        let (count, s) = (violations.len(), if violations.len() == 1 { "" } else { "s" });
        let message = format!("{count} validation error{s} detected: {}", violations.join("; "));
        Self::new(Exception::Validation, message)
    }

    /// With what the caller is not told.
    pub(super) fn because(mut self, reason: impl Into<String>) -> Self {
        self.reason = Some(reason.into());
        self
    }

    /// By a name that AWS documents for this operation, but for what is not had here, which is said of whatever it is.
    pub(super) fn of(mut self, action: Action) -> Self {
        let Name::Kms(exception) = self.name else { return self };
        self.name = Name::Kms(match exception {
            _ if action.exceptions().contains(&exception) => exception,
            Exception::InvalidArn => Exception::NotFound,
            Exception::InvalidMarker => Exception::Validation,
            Exception::DependencyTimeout => Exception::KmsInternal,
            other => other,
        });
        self
    }

    /// After it the connection is closed.
    pub(super) const fn hanging_up(mut self) -> Self {
        self.hang_up = true;
        self
    }
}

/// What the key manager or the catalogue said stays with us.
impl From<KmsError> for Failure {
    #[cold]
    fn from(error: KmsError) -> Self {
        let mut reason: Option<String> = None;
        let mut source = std::error::Error::source(&error);
        while let Some(cause) = source {
            let said = cause.to_string();
            reason = Some(match reason {
                None => said,
                Some(reason) => format!("{reason}: {said}"),
            });
            source = cause.source();
        }
        let message = format!("{}; {}", error.message(), error.advice());
        Self { reason, is_audited: error.is_audited(), ..Self::new(error.exception(), message) }
    }
}
