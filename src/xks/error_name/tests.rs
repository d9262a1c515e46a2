use super::ErrorName;
use crate::backend::BackendErrorKind as Kind;
use crate::xks::ProxyOperation;
use crate::xks::ProxyOperation::{Decrypt, Encrypt, GetHealthStatus, GetKeyMetadata};

// The facts' table 3.1, row by row: name, status, where it may appear (in the order Meta, Enc, Dec, Health), what
// a client makes of it.
const TABLE: [(&str, u16, [bool; 4], Kind); 12] = {
    const X: bool = true;
    const O: bool = false;
    [
        // A1: on a health check too.
        ("ValidationException", 400, [X, X, X, X], Kind::InvalidRequest),
        ("InvalidStateException", 400, [X, X, X, X], Kind::InvalidKeyState),
        ("InvalidCiphertextException", 400, [O, O, X, O], Kind::InvalidCiphertext),
        // A14: not from GetKeyMetadata.
        ("InvalidKeyUsageException", 400, [O, X, X, O], Kind::InvalidKeyUsage),
        ("AuthenticationFailedException", 401, [X, X, X, X], Kind::AuthenticationFailed),
        ("AccessDeniedException", 403, [X, X, X, O], Kind::AccessDenied),
        ("KeyNotFoundException", 404, [X, X, X, O], Kind::KeyNotFound),
        ("InvalidUriPathException", 404, [X, X, X, X], Kind::InvalidPath),
        ("ThrottlingException", 429, [X, X, X, X], Kind::Throttled),
        ("UnsupportedOperationException", 501, [X, X, X, X], Kind::Unsupported),
        ("DependencyTimeoutException", 503, [X, X, X, X], Kind::DependencyTimedOut),
        ("InternalException", 500, [X, X, X, X], Kind::Internal),
    ]
};

// XKS-P-113, XKS-P-114, XKS-C-64, and XKS-P-16 for the status of an unknown path.
#[test]
fn every_name_has_its_row_of_the_table() {
    assert_eq!(ErrorName::ALL.len(), TABLE.len());
    for (word, status, allowed, kind) in TABLE {
        let name: ErrorName = word.parse().unwrap();
        assert_eq!(name.as_str(), word);
        assert_eq!(name.http_status(), status, "{word}");
        assert_eq!(name.kind(), kind, "{word}");
        let operations = [GetKeyMetadata, Encrypt, Decrypt, GetHealthStatus];
        assert_eq!(operations.map(|operation| name.allowed_on(operation)), allowed, "{word}");
    }
}

// XKS-P-113: on the wire the name is the word.
#[test]
fn a_name_serializes_to_its_word() {
    for name in ErrorName::ALL {
        let json = serde_json::to_string(name).unwrap();
        assert_eq!(json, format!("\"{name}\""));
        assert_eq!(serde_json::from_str::<ErrorName>(&json).unwrap(), *name);
    }
    assert!("KMSInternalException".parse::<ErrorName>().is_err());
}

// XKS-P-114: whatever fails behind it, a proxy says nothing that the table does not allow.
#[test]
fn no_kind_leads_to_a_name_that_is_not_allowed() {
    for kind in Kind::ALL {
        for operation in ProxyOperation::ALL {
            let name = ErrorName::from_kind(*kind, *operation);
            assert!(name.allowed_on(*operation), "{kind:?} on {operation}");
        }
    }
}

// XKS-P-114: a proxy in front of a proxy hands its caller the same name where it is the caller's business.
#[test]
fn a_name_survives_a_chain_of_proxies_unless_it_is_the_proxys_own_affair() {
    let own_affair = [ErrorName::AuthenticationFailed, ErrorName::InvalidUriPath];
    for name in ErrorName::ALL {
        for operation in ProxyOperation::ALL.iter().filter(|operation| name.allowed_on(**operation)) {
            let expected = if own_affair.contains(name) { ErrorName::Internal } else { *name };
            assert_eq!(ErrorName::from_kind(name.kind(), *operation), expected, "{name} on {operation}");
        }
    }
}

// The upstream's faults are no fault of the caller's credential, path or key.
#[test]
fn faults_of_the_way_to_the_key_manager_are_internal_or_timeouts() {
    for kind in [
        Kind::AuthenticationFailed,
        Kind::InvalidPath,
        Kind::InvalidTls,
        Kind::Unreachable,
        Kind::InvalidResponse,
        Kind::IntegrityCheckFailed,
        Kind::Closed,
        Kind::Panicked,
    ] {
        assert_eq!(ErrorName::from_kind(kind, Encrypt), ErrorName::Internal, "{kind:?}");
    }
    for kind in [Kind::TimedOut, Kind::DependencyTimedOut] {
        assert_eq!(ErrorName::from_kind(kind, GetHealthStatus), ErrorName::DependencyTimeout);
    }
}
