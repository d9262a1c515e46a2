//! Which operation may answer what. (Facts: sections 1.3 to 1.5, 4.2 and 6.3 of AWS KMS custom key stores, and AWS's model.)

use super::Action;
use crate::kms::exception::Exception;

impl Action {
    /// The exceptions that AWS documents for this operation, as far as there is one of them [here](Exception); any operation
    /// may answer [common](Exception::is_common) ones besides. What [`Kms`](crate::kms::Kms) refuses has one of these names.
    #[must_use]
    pub const fn exceptions(self) -> &'static [Exception] {
        use Exception as E;

        match self {
            Self::CreateCustomKeyStore => &[
                E::CloudHsmClusterInUse,
                E::CloudHsmClusterInvalidConfiguration,
                E::CloudHsmClusterNotActive,
                E::CloudHsmClusterNotFound,
                E::CustomKeyStoreNameInUse,
                E::IncorrectTrustAnchor,
                E::KmsInternal,
                E::LimitExceeded,
                E::XksProxyIncorrectAuthenticationCredential,
                E::XksProxyInvalidConfiguration,
                E::XksProxyInvalidResponse,
                E::XksProxyUriEndpointInUse,
                E::XksProxyUriInUse,
                E::XksProxyUriUnreachable,
                E::XksProxyVpcEndpointServiceInUse,
                E::XksProxyVpcEndpointServiceInvalidConfiguration,
                E::XksProxyVpcEndpointServiceNotFound,
            ],
            Self::UpdateCustomKeyStore => &[
                E::CloudHsmClusterInvalidConfiguration,
                E::CloudHsmClusterNotActive,
                E::CloudHsmClusterNotFound,
                E::CloudHsmClusterNotRelated,
                E::CustomKeyStoreInvalidState,
                E::CustomKeyStoreNameInUse,
                E::CustomKeyStoreNotFound,
                E::KmsInternal,
                E::XksProxyIncorrectAuthenticationCredential,
                E::XksProxyInvalidConfiguration,
                E::XksProxyInvalidResponse,
                E::XksProxyUriEndpointInUse,
                E::XksProxyUriInUse,
                E::XksProxyUriUnreachable,
                E::XksProxyVpcEndpointServiceInUse,
                E::XksProxyVpcEndpointServiceInvalidConfiguration,
                E::XksProxyVpcEndpointServiceNotFound,
            ],
            Self::ConnectCustomKeyStore => &[
                E::CloudHsmClusterInvalidConfiguration,
                E::CloudHsmClusterNotActive,
                E::CustomKeyStoreInvalidState,
                E::CustomKeyStoreNotFound,
                E::KmsInternal,
            ],
            Self::DisconnectCustomKeyStore => {
                &[E::CustomKeyStoreInvalidState, E::CustomKeyStoreNotFound, E::KmsInternal]
            }
            Self::DeleteCustomKeyStore => &[
                E::CustomKeyStoreHasCmks,
                E::CustomKeyStoreInvalidState,
                E::CustomKeyStoreNotFound,
                E::KmsInternal,
            ],
            Self::DescribeCustomKeyStores => &[E::CustomKeyStoreNotFound, E::InvalidMarker, E::KmsInternal],
            Self::CreateKey => &[
                E::CloudHsmClusterInvalidConfiguration,
                E::CustomKeyStoreInvalidState,
                E::CustomKeyStoreNotFound,
                E::DependencyTimeout,
                E::InvalidArn,
                E::KmsInternal,
                E::LimitExceeded,
                E::Tag,
                E::UnsupportedOperation,
                E::XksKeyAlreadyInUse,
                E::XksKeyInvalidConfiguration,
                E::XksKeyNotFound,
            ],
            Self::Encrypt | Self::GenerateDataKey | Self::GenerateDataKeyWithoutPlaintext => &[
                E::DependencyTimeout,
                E::Disabled,
                E::DryRunOperation,
                E::InvalidKeyUsage,
                E::KeyUnavailable,
                E::KmsInternal,
                E::KmsInvalidState,
                E::NotFound,
            ],
            Self::Decrypt | Self::ReEncrypt => &[
                E::DependencyTimeout,
                E::Disabled,
                E::DryRunOperation,
                E::IncorrectKey,
                E::InvalidCiphertext,
                E::InvalidKeyUsage,
                E::KeyUnavailable,
                E::KmsInternal,
                E::KmsInvalidState,
                E::NotFound,
            ],
            Self::GenerateRandom => &[
                E::CustomKeyStoreInvalidState,
                E::CustomKeyStoreNotFound,
                E::DependencyTimeout,
                E::KmsInternal,
                E::UnsupportedOperation,
            ],
            Self::DescribeKey => &[E::DependencyTimeout, E::InvalidArn, E::KmsInternal, E::NotFound],
            Self::ListKeys => &[E::DependencyTimeout, E::InvalidMarker, E::KmsInternal],
            Self::EnableKey => &[
                E::DependencyTimeout,
                E::InvalidArn,
                E::KmsInternal,
                E::KmsInvalidState,
                E::LimitExceeded,
                E::NotFound,
            ],
            Self::DisableKey
            | Self::ScheduleKeyDeletion
            | Self::CancelKeyDeletion
            | Self::UpdateKeyDescription
            | Self::GetKeyPolicy
            | Self::ListKeyPolicies => {
                &[E::DependencyTimeout, E::InvalidArn, E::KmsInternal, E::KmsInvalidState, E::NotFound]
            }
            Self::CreateAlias => &[
                E::AlreadyExists,
                E::DependencyTimeout,
                E::InvalidAliasName,
                E::KmsInternal,
                E::KmsInvalidState,
                E::LimitExceeded,
                E::NotFound,
            ],
            Self::UpdateAlias => {
                &[E::DependencyTimeout, E::KmsInternal, E::KmsInvalidState, E::LimitExceeded, E::NotFound]
            }
            Self::DeleteAlias => &[E::DependencyTimeout, E::KmsInternal, E::KmsInvalidState, E::NotFound],
            Self::ListAliases => {
                &[E::DependencyTimeout, E::InvalidArn, E::InvalidMarker, E::KmsInternal, E::NotFound]
            }
            Self::TagResource => {
                &[E::InvalidArn, E::KmsInternal, E::KmsInvalidState, E::LimitExceeded, E::NotFound, E::Tag]
            }
            Self::UntagResource => &[E::InvalidArn, E::KmsInternal, E::KmsInvalidState, E::NotFound, E::Tag],
            Self::ListResourceTags => &[E::InvalidArn, E::InvalidMarker, E::KmsInternal, E::NotFound],
        }
    }

    /// Whether it may answer this.
    pub(in crate::kms) fn may_answer(self, exception: Exception) -> bool {
        exception.is_common() || self.exceptions().contains(&exception)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kms::error::KmsError;
    use crate::kms::mapping::as_documented;

    /// Whatever a mapping gives, the answer has a name of the operation's, and says the same.
    #[test]
    fn no_operation_answers_what_is_not_documented_for_it() {
        for action in Action::ALL {
            for exception in Exception::ALL {
                let error = KmsError::new(*exception, "what is wrong");
                let held = error.clone();
                for error in [error, KmsError::new(*exception, "what is wrong").advised("what to do")] {
                    let advice = error.advice();
                    let answered = as_documented(*action, error);
                    let name = answered.exception();
                    assert!(action.may_answer(name), "{action}: {exception} is answered as {name}");
                    assert_eq!(action.may_answer(*exception), name == *exception, "{action} {exception}");
                    assert_eq!((answered.message(), answered.advice()), ("what is wrong", advice));
                }
                assert_eq!(held.exception(), *exception, "what others hold stays what it is");
            }
        }
    }
}
