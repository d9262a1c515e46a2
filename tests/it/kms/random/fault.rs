//! What the faults of key managers come to, by AWS's documents: exceptions of calls, and codes of attempts.

use std::time::Duration;

use custom_key_store::backend::software::Fault;
use custom_key_store::backend::{
    BackendErrorKind as Kind, ConnectionError, ConnectionErrorCode as Code, CustomKeyStoreType,
};
use custom_key_store::kms::Exception;

/// How a question to a key manager ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Met {
    Works,
    Damaged,
    Refuses(Code),
    Fails(Kind),
}

/// How it may end for this fault, within a limit of seconds; `stepwise` if time did not leap over both.
pub(super) fn ends(fault: &Fault, limit: u64, stepwise: bool) -> Vec<Met> {
    let late = Met::Fails(Kind::TimedOut);
    match fault {
        Fault::Delay(delay) if *delay < Duration::from_secs(limit) => vec![Met::Works],
        Fault::Delay(_) if !stepwise => vec![Met::Works, late],
        Fault::Delay(_) | Fault::Hang => vec![late],
        Fault::Fail(kind) => vec![Met::Fails(*kind)],
        Fault::Refuse(code) => vec![Met::Refuses(*code)],
        Fault::Panic => vec![Met::Fails(Kind::Panicked)],
        Fault::Corrupt => vec![Met::Damaged],
        other => panic!("{other:?} is not generated"),
    }
}

impl Met {
    /// Of an attempt to connect.
    pub(super) fn code(self, external: bool) -> Option<Code> {
        let store_type =
            if external { CustomKeyStoreType::ExternalKeyStore } else { CustomKeyStoreType::AwsCloudhsm };
        // That table is the library's own; what is checked here is that it is used.
        let of_call = |kind: Kind| Some(ConnectionError::from_call(store_type, kind.into()).code());
        match self {
            Self::Works => None,
            Self::Damaged => of_call(Kind::InvalidResponse),
            Self::Refuses(code) => Some(match code.store_type() {
                Some(other) if other != store_type => Code::InternalError,
                _ => code,
            }),
            Self::Fails(kind) => of_call(kind),
        }
    }

    /// Of a call other than an attempt to connect: what is wrong, and `None` where the answer is damaged.
    pub(super) const fn kind(self) -> Result<Option<()>, Kind> {
        match self {
            Self::Works => Ok(Some(())),
            Self::Damaged => Ok(None),
            Self::Refuses(_) => Err(Kind::Internal),
            Self::Fails(kind) => Err(kind),
        }
    }
}

/// A call that uses a key. (Facts on KMS, 4.3 and 4.4)
pub(super) const fn of_use(external: bool, kind: Kind) -> Exception {
    match kind {
        Kind::Throttled if !external => Exception::Throttling,
        Kind::Internal | Kind::Panicked if !external => Exception::KmsInternal,
        _ => Exception::KmsInvalidState,
    }
}

/// `CreateKey`. (4.3)
pub(super) const fn of_create_key(external: bool, kind: Kind) -> Exception {
    match kind {
        Kind::KeyNotFound => Exception::XksKeyNotFound,
        Kind::InvalidKeyState if !external => Exception::CloudHsmClusterInvalidConfiguration,
        Kind::InvalidKeyState | Kind::InvalidKeyUsage => Exception::XksKeyInvalidConfiguration,
        Kind::Unsupported => Exception::UnsupportedOperation,
        _ => Exception::CustomKeyStoreInvalidState,
    }
}

/// `GenerateRandom` by a cluster. (6.3)
pub(super) const fn of_random(kind: Kind) -> Exception {
    match kind {
        Kind::Unsupported => Exception::UnsupportedOperation,
        Kind::TimedOut | Kind::DependencyTimedOut => Exception::DependencyTimeout,
        _ => Exception::KmsInternal,
    }
}

/// `CreateCustomKeyStore` and `UpdateCustomKeyStore`. (4.3)
pub(super) const fn of_code(code: Code) -> Exception {
    match code {
        Code::InvalidCredentials => Exception::XksProxyIncorrectAuthenticationCredential,
        Code::XksProxyAccessDenied
        | Code::XksProxyInvalidConfiguration
        | Code::XksProxyInvalidTlsConfiguration => Exception::XksProxyInvalidConfiguration,
        Code::XksProxyInvalidResponse => Exception::XksProxyInvalidResponse,
        Code::XksProxyNotReachable | Code::XksProxyTimedOut | Code::NetworkErrors => {
            Exception::XksProxyUriUnreachable
        }
        Code::XksVpcEndpointServiceNotFound => Exception::XksProxyVpcEndpointServiceNotFound,
        Code::XksVpcEndpointServiceInvalidConfiguration => {
            Exception::XksProxyVpcEndpointServiceInvalidConfiguration
        }
        _ => Exception::KmsInternal,
    }
}
