//! What a return value of PKCS#11 means: one table for all functions.
//!
//! What vendors do differently is in three places, and needs no table for each vendor:
//!
//! - What must be asked for differently is a setting of the builder: [`LoginForm`](super::LoginForm),
//!   [`IvOrigin`](super::IvOrigin), [`KeyNames`](super::KeyNames).
//! - Values that mean something else in one function than in another have a guard here, by function.
//! - Values that say nothing, `CKR_GENERAL_ERROR`, `CKR_FUNCTION_FAILED` and those of a vendor's own, have the session
//!   opened anew and the call tried again, which is right for a session that was lost and does no harm otherwise. Where
//!   they may be about a ciphertext, the [key is tried](super::gcm::decrypt) instead. So a vendor's value for a lost
//!   session needs no entry, nor one for a forged ciphertext; one for a missing permission is told as a failure of the
//!   HSM. A vendor whose value must be told as something else gets a guard here, once there is one.

use cryptoki::context::Function;
use cryptoki::error::{Error as Pkcs11Error, RvError};

use crate::backend::{BackendError, BackendErrorKind as Kind};

#[cfg(test)]
mod tests;

/// What is to be done about a call that failed, before it is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    /// The session is in the middle of something else: take another one.
    Session,
    /// The session is gone, or what it leads to: open it anew; and what the caller is told when that does not help.
    Reopen(Kind),
    /// The user is not logged in any more.
    LogIn,
    /// The library was finalized under us.
    Initialize,
    /// The handle of the key is not valid any more: find the key anew.
    FindAgain,
    /// There are no more sessions to be had.
    Exhausted,
    /// Nothing helps; what the caller is told.
    GiveUp(Kind),
}

/// What the caller is told when trying again did not help either.
pub(super) const fn kind(class: Class) -> Kind {
    match class {
        Class::GiveUp(kind) | Class::Reopen(kind) => kind,
        // A key that is gone is not found when it is looked for anew, and this is not its error.
        Class::Session | Class::Exhausted | Class::FindAgain => Kind::Internal,
        Class::Initialize => Kind::Unreachable,
        Class::LogIn => Kind::AuthenticationFailed,
    }
}

pub(super) fn class(error: &Pkcs11Error) -> Class {
    match error {
        Pkcs11Error::Pkcs11(value, function) => of_value(*value, *function),
        Pkcs11Error::NullFunctionPointer | Pkcs11Error::NotSupported | Pkcs11Error::MissingSymbol(_) => {
            Class::GiveUp(Kind::Unsupported)
        }
        Pkcs11Error::LibraryLoading(_) => Class::GiveUp(Kind::Internal),
        Pkcs11Error::TryFromInt(_)
        | Pkcs11Error::TryFromSlice(_)
        | Pkcs11Error::ParseInt(_)
        | Pkcs11Error::Utf8(_)
        | Pkcs11Error::NulError(_)
        | Pkcs11Error::InvalidValue
        | Pkcs11Error::PinNotSet => Class::GiveUp(Kind::InvalidResponse),
    }
}

// One arm for each meaning, no wildcard: a value that a later version of cryptoki knows must be sorted here.
fn of_value(value: RvError, function: Function) -> Class {
    match value {
        RvError::OperationActive | RvError::OperationNotInitialized | RvError::FunctionNotParallel => {
            Class::Session
        }

        RvError::SessionClosed
        | RvError::SessionHandleInvalid
        | RvError::SessionReadOnly
        | RvError::DeviceError
        | RvError::DeviceRemoved
        | RvError::TokenNotPresent
        | RvError::TokenNotRecognized
        | RvError::SlotIdInvalid
        | RvError::FunctionCanceled
        | RvError::Cancel => Class::Reopen(Kind::Unreachable),

        // What libraries answer when they have no better word for it; SoftHSM also for a ciphertext that is not
        // authentic, which `decrypt` looks into.
        RvError::GeneralError | RvError::FunctionFailed | RvError::VendorDefined(_) => {
            Class::Reopen(Kind::Internal)
        }

        RvError::UserNotLoggedIn => Class::LogIn,
        RvError::CryptokiNotInitialized => Class::Initialize,
        RvError::KeyHandleInvalid
        | RvError::ObjectHandleInvalid
        | RvError::KeyChanged
        | RvError::WrappingKeyHandleInvalid
        | RvError::UnwrappingKeyHandleInvalid => Class::FindAgain,
        RvError::SessionCount | RvError::DeviceMemory | RvError::HostMemory => Class::Exhausted,

        // A ciphertext's IV or tag may be of a form that the token does not take: then it is none of its own.
        RvError::EncryptedDataInvalid
        | RvError::EncryptedDataLenRange
        | RvError::SignatureInvalid
        | RvError::MechanismParamInvalid
        | RvError::ArgumentsBad
            if matches!(function, Function::DecryptInit | Function::Decrypt) =>
        {
            Class::GiveUp(Kind::InvalidCiphertext)
        }
        RvError::KeyFunctionNotPermitted | RvError::KeyTypeInconsistent | RvError::KeySizeRange => {
            Class::GiveUp(Kind::InvalidKeyUsage)
        }
        RvError::DataLenRange
        | RvError::DataInvalid
        | RvError::MechanismInvalid
        | RvError::FunctionNotSupported
        | RvError::RandomNoRng
        | RvError::RandomSeedNotSupported
        | RvError::CurveNotSupported
        | RvError::SessionParallelNotSupported => Class::GiveUp(Kind::Unsupported),
        RvError::PinIncorrect
        | RvError::PinInvalid
        | RvError::PinLenRange
        | RvError::PinExpired
        | RvError::PinLocked
        | RvError::PinTooWeak
        | RvError::UserPinNotInitialized
        | RvError::UserTypeInvalid
        | RvError::UserAlreadyLoggedIn
        | RvError::UserAnotherAlreadyLoggedIn
        | RvError::UserTooManyTypes
        | RvError::NewPinMode
        | RvError::NextOtp => Class::GiveUp(Kind::AuthenticationFailed),
        RvError::ActionProhibited
        | RvError::TokenWriteProtected
        | RvError::AttributeSensitive
        | RvError::InformationSensitive
        | RvError::KeyUnextractable
        | RvError::KeyNotWrappable
        | RvError::FunctionRejected => Class::GiveUp(Kind::AccessDenied),

        // What we should not have asked, or a library should not have answered.
        RvError::EncryptedDataInvalid
        | RvError::EncryptedDataLenRange
        | RvError::SignatureInvalid
        | RvError::ArgumentsBad
        | RvError::MechanismParamInvalid
        | RvError::AttributeReadOnly
        | RvError::AttributeTypeInvalid
        | RvError::AttributeValueInvalid
        | RvError::TemplateIncomplete
        | RvError::TemplateInconsistent
        | RvError::DomainParamsInvalid
        | RvError::BufferTooSmall
        | RvError::NoEvent
        | RvError::NeedToCreateThreads
        | RvError::CantLock
        | RvError::KeyNotNeeded
        | RvError::KeyNeeded
        | RvError::KeyIndigestible
        | RvError::SessionExists
        | RvError::SessionReadOnlyExists
        | RvError::SessionReadWriteSoExists
        | RvError::SignatureLenRange
        | RvError::UnwrappingKeySizeRange
        | RvError::UnwrappingKeyTypeInconsistent
        | RvError::WrappedKeyInvalid
        | RvError::WrappedKeyLenRange
        | RvError::WrappingKeySizeRange
        | RvError::WrappingKeyTypeInconsistent
        | RvError::SavedStateInvalid
        | RvError::StateUnsaveable
        | RvError::CryptokiAlreadyInitialized
        | RvError::MutexBad
        | RvError::MutexNotLocked
        | RvError::ExceededMaxIterations
        | RvError::FipsSelfTestFailed
        | RvError::LibraryLoadFailed
        | RvError::PublicKeyInvalid
        | RvError::UnknownErrorCode(_) => Class::GiveUp(Kind::Internal),
    }
}

/// What the caller is told.
pub(super) fn told(error: Pkcs11Error) -> BackendError {
    BackendError::new(kind(class(&error))).with_detail(text(&error))
}

/// The error as one looks it up: the function and the value by the names that the standard has for them. Neither holds
/// anything of a request.
pub(super) fn text(error: &Pkcs11Error) -> String {
    match error {
        Pkcs11Error::Pkcs11(RvError::VendorDefined(value) | RvError::UnknownErrorCode(value), function) => {
            format!("C_{function:?}: {value:#x}")
        }
        Pkcs11Error::Pkcs11(value, function) => {
            let words = format!("{value:?}");
            let mut name = String::from("CKR");
            for letter in words.chars() {
                if letter.is_ascii_uppercase() {
                    name.push('_');
                }
                name.push(letter.to_ascii_uppercase());
            }
            format!("C_{function:?}: {name}")
        }
        Pkcs11Error::LibraryLoading(error) => error.to_string(),
        other => other.to_string(),
    }
}
