//! `requestMetadata`: on whose behalf.

use std::borrow::Cow;

use super::json::Member;
use super::malformed::Malformed;
use super::name;
use crate::backend::{Operation, RequestId, RequestMetadata};
use crate::json::Writer;
use crate::xks::ProxyOperation;

/// What a request says of itself, as a proxy reads it.
///
/// Only presence is checked: none of the contents is the proxy's to judge (XKS-P-26, XKS-P-28, XKS-P-29,
/// XKS-P-31), and there is no limit below that of the body (XKS-P-25).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ParsedMetadata<'a> {
    /// Empty for a health check, which has none.
    pub(crate) principal: Cow<'a, str>,
    pub(crate) operation: Operation,
    pub(crate) request_id: RequestId,
    pub(crate) kms_key_arn: Option<Cow<'a, str>>,
    pub(crate) source_vpc: Option<Cow<'a, str>>,
    pub(crate) source_vpc_endpoint: Option<Cow<'a, str>>,
    pub(crate) via_service: Option<Cow<'a, str>>,
}

impl<'a> ParsedMetadata<'a> {
    /// Reads the members that `operation` has (XKS-P-32, XKS-P-33, XKS-P-34).
    pub(super) fn read(member: Member<'a>, operation: ProxyOperation) -> Result<Self, Malformed> {
        let [principal, vpc, vpc_endpoint, key_arn, kms_operation, request_id, via_service] =
            member.object([
                name::PRINCIPAL,
                name::SOURCE_VPC,
                name::SOURCE_VPCE,
                name::KEY_ARN,
                name::OPERATION,
                name::REQUEST_ID,
                name::VIA_SERVICE,
            ])?;
        let (needs_principal, needs_key) = match operation {
            ProxyOperation::GetHealthStatus => (false, false),
            // XKS-P-45: a key's ARN is not sent there any more, but older callers do.
            ProxyOperation::GetKeyMetadata => (true, false),
            ProxyOperation::Encrypt | ProxyOperation::Decrypt => (true, true),
        };
        Ok(Self {
            principal: if needs_principal {
                principal.text()?
            } else {
                principal.optional_text()?.unwrap_or_default()
            },
            operation: operation_named(kms_operation.text()?),
            request_id: RequestId::from(&*request_id.text()?),
            kms_key_arn: if needs_key { Some(key_arn.text()?) } else { key_arn.optional_text()? },
            source_vpc: vpc.optional_text()?,
            source_vpc_endpoint: vpc_endpoint.optional_text()?,
            via_service: via_service.optional_text()?,
        })
    }

    /// The same as a connection takes it.
    pub(crate) fn as_request_metadata(&self) -> RequestMetadata<'_> {
        let metadata = RequestMetadata::new(&self.principal, &self.operation, &self.request_id)
            .with_source(self.source_vpc.as_deref(), self.source_vpc_endpoint.as_deref())
            .with_via_service(self.via_service.as_deref());
        match &self.kms_key_arn {
            Some(arn) => metadata.with_kms_key_arn(arn),
            None => metadata,
        }
    }
}

/// Without an allocation for the operations of today; any other word is one too (XKS-P-26).
fn operation_named(name: Cow<'_, str>) -> Operation {
    const KNOWN: [Operation; 13] = [
        Operation::ENCRYPT,
        Operation::DECRYPT,
        Operation::GENERATE_DATA_KEY,
        Operation::GENERATE_DATA_KEY_WITHOUT_PLAINTEXT,
        Operation::RE_ENCRYPT,
        Operation::HEALTH_CHECK,
        Operation::CREATE_KEY,
        Operation::DELETE_KEY,
        Operation::DESCRIBE_KEY,
        Operation::CREATE_CUSTOM_KEY_STORE,
        Operation::CONNECT_CUSTOM_KEY_STORE,
        Operation::UPDATE_CUSTOM_KEY_STORE,
        Operation::GENERATE_RANDOM,
    ];
    let known = KNOWN.into_iter().find(|known| known.as_str() == name);
    known.unwrap_or_else(|| Operation::new(name.into_owned()))
}

/// Writes the members that `operation` has: no more and no less (XKS-C-28 to XKS-C-31).
///
/// The ARN of a KMS key, which the protocol demands with an encryption or decryption, is the caller's to give.
pub(super) fn write(json: &mut Writer, metadata: &RequestMetadata<'_>, operation: ProxyOperation) {
    let optional = |json: &mut Writer, name, value: Option<&str>| {
        if let Some(value) = value {
            json.string(name, value);
        }
    };
    let names_key = matches!(operation, ProxyOperation::Encrypt | ProxyOperation::Decrypt);

    json.open_object(Some(name::REQUEST_METADATA));
    if operation != ProxyOperation::GetHealthStatus {
        json.string(name::PRINCIPAL, metadata.principal);
        optional(json, name::SOURCE_VPC, metadata.source_vpc);
        optional(json, name::SOURCE_VPCE, metadata.source_vpc_endpoint);
    }
    if names_key {
        optional(json, name::KEY_ARN, metadata.kms_key_arn);
    }
    json.string(name::OPERATION, metadata.operation.as_str());
    json.display(name::REQUEST_ID, metadata.request_id);
    if names_key {
        optional(json, name::VIA_SERVICE, metadata.via_service);
    }
    json.close_object();
}
