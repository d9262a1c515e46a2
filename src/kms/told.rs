//! What a caller is told of a key manager that failed: one text for each failure, whatever was asked and by whichever name it is
//! answered, and one way on for each failure and type of store. Nothing that a key manager said is among it.

use crate::backend::{BackendError, BackendErrorKind as Kind, ConnectionError, CustomKeyStoreType};

/// What is wrong, and what to do.
pub(super) struct Told {
    pub(super) message: String,
    pub(super) advice: &'static str,
}

impl Told {
    pub(super) fn of_call(store_type: CustomKeyStoreType, kind: Kind) -> Self {
        Self { message: BackendError::new(kind).to_string(), advice: advice(store_type, kind) }
    }

    /// The same, if a call is what failed; else what the code says.
    pub(super) fn of_connection(store_type: CustomKeyStoreType, error: &ConnectionError) -> Self {
        let beneath = std::error::Error::source(error).and_then(|source| source.downcast_ref());
        match beneath.map(BackendError::kind) {
            Some(kind) => Self::of_call(store_type, kind),
            None => {
                let code = error.code();
                Self {
                    message: format!("{code}: {}", code.meaning()),
                    advice: code.advice(Some(store_type)).action,
                }
            }
        }
    }
}

const fn advice(store_type: CustomKeyStoreType, kind: Kind) -> &'static str {
    let is_cluster = matches!(store_type, CustomKeyStoreType::AwsCloudhsm);
    match kind {
        Kind::InvalidRequest => {
            "tell whoever makes the key manager: it takes a request of the protocol for none"
        }
        Kind::InvalidKeyState if is_cluster => {
            "have the cluster's key be usable, and at least one HSM active"
        }
        Kind::InvalidKeyState => "have the external key, and the key manager, enabled",
        Kind::InvalidCiphertext => {
            "check that the key manager's key is the one that it was when this was encrypted: nothing else can have been \
             changed unseen"
        }
        Kind::InvalidKeyUsage => "have the key manager let the key both encrypt and decrypt",
        Kind::AuthenticationFailed if is_cluster => {
            "disconnect the custom key store, give the password of kmsuser as KeyStorePassword with UpdateCustomKeyStore, and \
             connect it"
        }
        Kind::AuthenticationFailed => {
            "give the proxy's XksProxyAuthenticationCredential with UpdateCustomKeyStore"
        }
        Kind::AccessDenied => "have the key manager's rules of access let this caller use this key",
        Kind::KeyNotFound if is_cluster => {
            "look for the key in the cluster; if it was deleted, restore a backup that has it"
        }
        Kind::KeyNotFound => {
            "check the XksKeyId, and that the proxy offers this key at the path of the store"
        }
        Kind::InvalidPath => "correct the XksProxyUriPath with UpdateCustomKeyStore",
        Kind::Throttled => "try again, slower; or have the key manager be given more capacity",
        Kind::Unsupported => "use a key manager that does what is asked",
        Kind::DependencyTimedOut => {
            "try again; if it stays, have whoever operates the proxy look at the key managers behind it"
        }
        Kind::Internal => {
            "try again, with growing pauses; if it stays, have whoever operates the key manager look at it"
        }
        Kind::Unreachable if is_cluster => {
            "check that an HSM of the cluster is active, and the network between, and try again"
        }
        Kind::Unreachable => "check that the proxy runs, and the network between, and try again",
        Kind::InvalidTls => {
            "check the proxy's certificate: its chain, its name, that it has not expired, and TLS 1.2 or 1.3"
        }
        Kind::TimedOut if is_cluster => "try again; if it stays, check how busy the cluster is",
        Kind::TimedOut => {
            "try again; if it stays, bring the proxy nearer: it has 250 milliseconds, unless that is set otherwise here"
        }
        Kind::InvalidResponse => "try again; if it stays, tell whoever makes the key manager",
        Kind::IntegrityCheckFailed => {
            "try again; if it stays, the key manager, or what lies between, is damaging data"
        }
        Kind::Closed => "try again; if it stays, disconnect the custom key store and connect it",
        Kind::Panicked => {
            "have whoever operates this look at its log: what reaches the key manager has a fault of its own"
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_failure_of_a_key_manager_has_a_text_and_a_way_on_of_its_own() {
        for store_type in CustomKeyStoreType::ALL {
            let all: Vec<_> = Kind::ALL.iter().map(|kind| Told::of_call(*store_type, *kind)).collect();
            let texts: BTreeSet<_> = all.iter().map(|told| &told.message).collect();
            let ways: BTreeSet<_> = all.iter().map(|told| told.advice).collect();
            assert_eq!((texts.len(), ways.len()), (Kind::ALL.len(), Kind::ALL.len()));
        }
    }

    #[test]
    fn what_was_found_and_what_a_key_manager_said_is_told_to_nobody() {
        let said = BackendError::new(Kind::Unreachable).with_detail("10.0.0.1").with_source("at port 1234");
        let of_call = ConnectionError::from_call(CustomKeyStoreType::ExternalKeyStore, said);
        let code = of_call.code();
        let bare = ConnectionError::new(code).with_detail("10.0.0.1");
        for error in [of_call, bare] {
            let told = Told::of_connection(CustomKeyStoreType::ExternalKeyStore, &error);
            let all = format!("{}; {}", told.message, told.advice);
            assert!(!all.contains("10.0.0.1") && !all.contains("1234"), "{all}");
        }
    }
}
