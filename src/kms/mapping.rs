//! Errors of what lies below, in AWS's words. (Facts: section 4 of AWS KMS custom key stores, tables 4.2 to 4.4.)

use super::action::Action;
use super::backends::Refusal;
use super::error::KmsError;
use super::exception::Exception;
use super::told::Told;
use crate::backend::{
    BackendErrorKind as Kind, ConnectionError, ConnectionErrorCode as Code, CustomKeyStoreType,
    InvalidChange, StoreName,
};
use crate::catalog::{CatalogError, CatalogErrorKind};
use crate::error::{Error, ErrorKind};
use crate::key::KeyId;
use crate::store::{ConnectionState, CreateError, UpdateError};
use crate::store_id::StoreId;
use crate::value::{InvalidValue, Problem};

const CONNECT: &str = "connect the custom key store; DescribeCustomKeyStores tells when it is CONNECTED";

pub(super) fn store_not_found(id: &str) -> KmsError {
    KmsError::new(Exception::CustomKeyStoreNotFound, format!("there is no custom key store {id}"))
}

/// The caller is code that the store itself runs.
pub(super) fn from_inside(id: &StoreId) -> KmsError {
    let message = format!(
        "the custom key store {id} was asked from inside of what it does: by its backend while it connects or disconnects, or \
         by a waker; ask when that has returned"
    );
    KmsError::new(Exception::KmsInternal, message)
}

pub(super) fn store_not_found_by_name(name: &StoreName) -> KmsError {
    KmsError::new(Exception::CustomKeyStoreNotFound, format!("there is no custom key store named {name}"))
}

pub(super) fn key_not_found(id: &KeyId) -> KmsError {
    KmsError::new(Exception::NotFound, format!("there is no KMS key {id}"))
}

/// The connection state does not allow `what`.
pub(super) fn invalid_state(
    id: &StoreId,
    found: ConnectionState,
    what: &str,
    advice: &'static str,
) -> KmsError {
    let message = format!("the custom key store {id} is {found}: {what}");
    KmsError::new(Exception::CustomKeyStoreInvalidState, message).found(found).advised(advice)
}

/// A key cannot be used in this state of its store.
pub(super) fn unavailable(id: &StoreId, found: ConnectionState, error: Error) -> KmsError {
    let message = match error.may_have_taken_effect() {
        true => format!("the custom key store {id} was disconnected before the operation was done"),
        false => format!(
            "the KMS key is unavailable, since its custom key store {id} is {found} and not {}",
            ConnectionState::Connected
        ),
    };
    KmsError::new(Exception::KmsInvalidState, message).found(found).advised(advice_in(found)).because(error)
}

/// What leads from a state to `CONNECTED`.
pub(super) const fn advice_in(found: ConnectionState) -> &'static str {
    match found {
        ConnectionState::Disconnected => CONNECT,
        ConnectionState::Connecting | ConnectionState::Connected => {
            "wait until DescribeCustomKeyStores says CONNECTED, and try again"
        }
        ConnectionState::Disconnecting => {
            "wait until DescribeCustomKeyStores says DISCONNECTED, then connect the custom key store"
        }
        ConnectionState::Failed => {
            "read the ConnectionErrorCode, disconnect the custom key store, mend what the code names, and connect it"
        }
    }
}

pub(super) fn of_value(error: InvalidValue) -> KmsError {
    let exception = match error.field() {
        "Marker" => Exception::InvalidMarker,
        "Tags" => Exception::Tag,
        _ => Exception::Validation,
    };
    KmsError::new(exception, error.to_string()).because(error)
}

/// Of what every use and every management of a key may answer, whatever the key manager says.
pub(super) fn of_key(error: Error) -> KmsError {
    let exception = match error.kind() {
        ErrorKind::InvalidInput => return of_input(error),
        ErrorKind::KeyNotFound | ErrorKind::AliasNotFound => Exception::NotFound,
        ErrorKind::AliasExists => Exception::AlreadyExists,
        ErrorKind::KeyDisabled => Exception::Disabled,
        ErrorKind::KeyPendingDeletion => {
            let advice =
                "if the KMS key is needed, cancel that with CancelKeyDeletion, and enable it with EnableKey";
            return KmsError::new(Exception::KmsInvalidState, error.to_string())
                .advised(advice)
                .because(error);
        }
        ErrorKind::KeyNotPendingDeletion | ErrorKind::NotConnected => Exception::KmsInvalidState,
        ErrorKind::IncorrectKey => Exception::IncorrectKey,
        ErrorKind::InvalidCiphertext | ErrorKind::UnknownVersion => Exception::InvalidCiphertext,
        ErrorKind::ExternalKeyInUse => Exception::XksKeyAlreadyInUse,
        ErrorKind::UnsuitableExternalKey => Exception::XksKeyInvalidConfiguration,
        // Somebody is changing the key at this moment.
        ErrorKind::Busy => Exception::KeyUnavailable,
        ErrorKind::Catalog(kind) => return of_catalog_kind(kind, error),
        ErrorKind::Backend(_) => Exception::KmsInvalidState,
    };
    // The text of these kinds names a key, an alias or a member, and nothing else.
    KmsError::new(exception, error.to_string()).because(error)
}

fn of_input(error: Error) -> KmsError {
    match error.invalid_value().cloned() {
        Some(value) => of_value(value),
        None => KmsError::new(Exception::Validation, error.to_string()).because(error),
    }
}

/// Of the use of a key: whatever the key manager answers is `KMSInvalidStateException`, told apart by its message; only
/// what a CloudHSM cluster has too much to do for is told apart by its name. (4.3, 4.4)
pub(super) fn of_use(
    store: &StoreId,
    store_type: CustomKeyStoreType,
    found: ConnectionState,
    error: Error,
) -> KmsError {
    match error.kind() {
        ErrorKind::NotConnected => unavailable(store, found, error),
        ErrorKind::Backend(kind) => {
            let is_cluster = store_type == CustomKeyStoreType::AwsCloudhsm;
            let exception = match kind {
                Kind::Throttled if is_cluster => Exception::Throttling,
                Kind::Internal | Kind::Panicked if is_cluster => Exception::KmsInternal,
                _ => Exception::KmsInvalidState,
            };
            told(exception, store_type, kind, error)
        }
        _ => of_key(error),
    }
}

/// Of making a key. (4.3, conflicts C14 and C15)
pub(super) fn of_create_key(
    store: &StoreId,
    store_type: CustomKeyStoreType,
    found: ConnectionState,
    error: Error,
) -> KmsError {
    let is_cluster = store_type == CustomKeyStoreType::AwsCloudhsm;
    match error.kind() {
        ErrorKind::NotConnected => {
            let what = "KMS keys are made only while it is CONNECTED";
            invalid_state(store, found, what, advice_in(found)).because(error)
        }
        ErrorKind::Backend(kind) => {
            let exception = match kind {
                Kind::KeyNotFound if !is_cluster => Exception::XksKeyNotFound,
                // The cluster says so when it has too few active HSMs.
                Kind::InvalidKeyState if is_cluster => Exception::CloudHsmClusterInvalidConfiguration,
                Kind::InvalidKeyState | Kind::InvalidKeyUsage => Exception::XksKeyInvalidConfiguration,
                Kind::Unsupported => Exception::UnsupportedOperation,
                _ => Exception::CustomKeyStoreInvalidState,
            };
            told(exception, store_type, kind, error)
        }
        ErrorKind::Catalog(CatalogErrorKind::NotFound) => store_not_found(store.as_str()).because(error),
        ErrorKind::InvalidInput => of_origin(store, store_type, error),
        _ => of_key(error),
    }
}

/// Of a key that a store of this type does not have: who calls has said so with an Origin, of which a store knows nothing.
fn of_origin(store: &StoreId, store_type: CustomKeyStoreType, error: Error) -> KmsError {
    let is_of_origin = |value: &InvalidValue| {
        value.field() == "XksKeyId"
            && matches!(value.problem(), Problem::Missing | Problem::Inconsistent { .. })
    };
    if !error.invalid_value().is_some_and(is_of_origin) {
        return of_key(error);
    }
    let wanted = match store_type {
        CustomKeyStoreType::AwsCloudhsm => "Origin AWS_CLOUDHSM and no XksKeyId",
        _ => "Origin EXTERNAL_KEY_STORE and an XksKeyId",
    };
    let message =
        format!("the custom key store {store} is of the type {store_type}: its KMS keys have {wanted}");
    KmsError::new(Exception::Validation, message)
        .advised("give what keys of this custom key store have, or name another one")
        .because(error)
}

/// Of random bytes of a cluster. (6.3)
pub(super) fn of_random(store: &StoreId, found: ConnectionState, error: Error) -> KmsError {
    match error.kind() {
        ErrorKind::NotConnected => {
            let what = "it gives random bytes only while it is CONNECTED";
            invalid_state(store, found, what, advice_in(found)).because(error)
        }
        ErrorKind::Backend(kind) => {
            let exception = match kind {
                Kind::Unsupported => Exception::UnsupportedOperation,
                Kind::TimedOut | Kind::DependencyTimedOut => Exception::DependencyTimeout,
                _ => Exception::KmsInternal,
            };
            told(exception, CustomKeyStoreType::AwsCloudhsm, kind, error)
        }
        _ => of_key(error),
    }
}

/// What a caller is told of a key manager: what kind of failure, and none of its words.
fn told(exception: Exception, store_type: CustomKeyStoreType, kind: Kind, error: Error) -> KmsError {
    let Told { message, advice } = Told::of_call(store_type, kind);
    KmsError::new(exception, message).advised(advice).passing(error.is_retryable()).because(error)
}

/// Of an attempt to reach the key manager of a store that is to be created or changed. (4.3, conflict C13)
pub(super) fn of_connection(store_type: CustomKeyStoreType, error: ConnectionError) -> KmsError {
    let code = error.code();
    let exception = match code {
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
        Code::ClusterNotFound => Exception::CloudHsmClusterNotFound,
        Code::InsufficientCloudhsmHsms => Exception::CloudHsmClusterInvalidConfiguration,
        _ => Exception::KmsInternal,
    };
    let Told { message, advice } = Told::of_connection(store_type, &error);
    KmsError::new(exception, message).advised(advice).because(error)
}

pub(super) fn of_create(store_type: CustomKeyStoreType, error: CreateError) -> KmsError {
    match error {
        CreateError::Refused(error) => of_connection(store_type, error),
        CreateError::NameTaken(name) => name_in_use(&name),
        CreateError::Catalog(error) | CreateError::NotOpened(error) => of_catalog(error),
    }
}

pub(super) fn name_in_use(name: &StoreName) -> KmsError {
    KmsError::new(Exception::CustomKeyStoreNameInUse, format!("another custom key store is named {name}"))
}

pub(super) fn of_update(
    store_type: CustomKeyStoreType,
    name: Option<&StoreName>,
    error: UpdateError,
) -> KmsError {
    match error {
        UpdateError::InvalidChange(error) => of_change(error),
        UpdateError::Refused(error) => of_connection(store_type, error),
        UpdateError::Catalog(error) => match name {
            Some(name) if error.kind() == CatalogErrorKind::UniqueTaken => name_in_use(name),
            _ => of_catalog(error),
        },
        UpdateError::InvalidState { id, found } => not_now(&id, found),
    }
}

/// What cannot be changed in this state.
pub(super) fn not_now(id: &StoreId, found: ConnectionState) -> KmsError {
    let what = "its name, and the credential and path of its proxy, can be changed while it is CONNECTED or \
                DISCONNECTED, everything else only while it is DISCONNECTED";
    invalid_state(
        id,
        found,
        what,
        "disconnect the custom key store, wait until it is DISCONNECTED, and try again",
    )
}

pub(super) fn of_change(error: InvalidChange) -> KmsError {
    match error {
        InvalidChange::Inconsistent(error) => of_value(error),
        InvalidChange::WrongStoreType { .. } | InvalidChange::Unsupported { .. } => {
            KmsError::new(Exception::Validation, error.to_string()).because(error)
        }
    }
}

pub(super) fn of_refusal(refusal: Refusal) -> KmsError {
    let exception = match refusal {
        Refusal::ClusterNotFound => Exception::CloudHsmClusterNotFound,
        Refusal::ClusterNotActive => Exception::CloudHsmClusterNotActive,
        Refusal::ClusterInvalidConfiguration(_) => Exception::CloudHsmClusterInvalidConfiguration,
        Refusal::ClusterNotRelated => Exception::CloudHsmClusterNotRelated,
        Refusal::IncorrectTrustAnchor => Exception::IncorrectTrustAnchor,
        Refusal::VpcEndpointServiceNotFound => Exception::XksProxyVpcEndpointServiceNotFound,
        Refusal::VpcEndpointServiceInvalidConfiguration(_) => {
            Exception::XksProxyVpcEndpointServiceInvalidConfiguration
        }
        Refusal::Unreachable(_) => Exception::XksProxyUriUnreachable,
        Refusal::Unsupported(_) => Exception::UnsupportedOperation,
        Refusal::TimedOut | Refusal::Internal => Exception::KmsInternal,
    };
    let error = KmsError::new(exception, refusal.to_string());
    let error = match refusal {
        Refusal::Unsupported(_) => error.advised(
            "name a custom key store that is supported here, or have whoever operates this set up a key manager for it",
        ),
        _ => error,
    };
    error.because(refusal)
}

/// Of what a change of a store would need for itself. A cluster of another store shares no backup with this store's, since
/// that one could not have been created then: AWS documents no `CloudHsmClusterInUseException` for an update. (1.4)
pub(super) fn of_changed_claim(error: KmsError) -> KmsError {
    match error.exception() {
        Exception::CloudHsmClusterInUse => {
            let message = "the CloudHSM cluster belongs to another custom key store, and so shares no backup with the one of \
                           this";
            KmsError::new(Exception::CloudHsmClusterNotRelated, message).because(error)
        }
        _ => error,
    }
}

/// Of what lies around the key manager in which a key was to be made: AWS documents few names for it. (5.1)
pub(super) fn of_refused_key(refusal: Refusal) -> KmsError {
    match refusal {
        Refusal::ClusterInvalidConfiguration(_)
        | Refusal::Unsupported(_)
        | Refusal::TimedOut
        | Refusal::Internal => of_refusal(refusal),
        _ => KmsError::new(Exception::CustomKeyStoreInvalidState, refusal.to_string()).because(refusal),
    }
}

/// By a name that AWS documents for this operation; what it says stays what it is.
pub(super) fn as_documented(action: Action, error: KmsError) -> KmsError {
    let exception = error.exception();
    if action.may_answer(exception) {
        return error;
    }
    error.named(match exception {
        Exception::InvalidArn if action.may_answer(Exception::NotFound) => Exception::NotFound,
        Exception::UnsupportedOperation => Exception::Validation,
        // Whoever tries again after those tries again after this.
        _ => Exception::KmsInternal,
    })
}

/// Of the operations on custom key stores, for which AWS documents no other exception for this. (4.2)
pub(super) fn of_catalog(error: CatalogError) -> KmsError {
    KmsError::new(Exception::KmsInternal, UNREADABLE).because(error)
}

const UNREADABLE: &str = "what is kept of custom key stores and keys could not be read or written";

fn of_catalog_kind(kind: CatalogErrorKind, error: Error) -> KmsError {
    let (exception, message) = match kind {
        CatalogErrorKind::Unavailable => (
            Exception::DependencyTimeout,
            "what is kept of custom key stores and keys did not answer in time",
        ),
        _ => (Exception::KmsInternal, UNREADABLE),
    };
    KmsError::new(exception, message).because(error)
}
