//! Which operation a request is for.

use http::HeaderMap;
use http::header::CONTENT_TYPE;

use super::failure::{Failure, UNKNOWN_OPERATION};
use crate::kms::Action;

pub(super) const HEADER: &str = "x-amz-target";
/// What the service is called in targets.
const SERVICE: &str = "TrentService.";

/// An operation of AWS's model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    Had(Action),
    /// One that custom key stores do not have, or that would be a lie here.
    NotHad(&'static str),
}

/// The operations of the model that are not had.
const NOT_HAD: &[&str] = &[
    "CreateGrant",
    "Decapsulate",
    "DeleteImportedKeyMaterial",
    "DeriveSharedSecret",
    "DisableKeyRotation",
    "EnableKeyRotation",
    "Encapsulate",
    "GenerateDataKeyPair",
    "GenerateDataKeyPairWithoutPlaintext",
    "GenerateMac",
    "GetKeyLastUsage",
    "GetKeyRotationStatus",
    "GetParametersForImport",
    "GetPublicKey",
    "ImportKeyMaterial",
    "ListGrants",
    "ListKeyRotations",
    "ListRetirableGrants",
    "PutKeyPolicy",
    "ReplicateKey",
    "RetireGrant",
    "RevokeGrant",
    "RotateKeyOnDemand",
    "Sign",
    "UpdatePrimaryRegion",
    "Verify",
    "VerifyMac",
];

impl Target {
    /// What a request names, if it is an operation of KMS.
    pub(super) fn named(headers: &HeaderMap) -> Result<Self, Failure> {
        let unknown = |message| Err(Failure::named(UNKNOWN_OPERATION, message));
        let mut targets = headers.get_all(HEADER).iter();
        let (Some(target), None) = (targets.next(), targets.next()) else {
            return unknown("there is not exactly one X-Amz-Target header");
        };
        let name =
            target.as_bytes().strip_prefix(SERVICE.as_bytes()).and_then(|name| str::from_utf8(name).ok());
        let Some(name) = name else {
            return unknown("X-Amz-Target is not TrentService. and the name of an operation");
        };
        if let Ok(action) = name.parse() {
            return Ok(Self::Had(action));
        }
        match NOT_HAD.iter().find(|known| **known == name) {
            Some(known) => Ok(Self::NotHad(known)),
            None => unknown("X-Amz-Target names no operation of AWS KMS"),
        }
    }

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Had(action) => action.as_str(),
            Self::NotHad(name) => name,
        }
    }
}

/// Refuses what does not say that it speaks the protocol, of which there is one version here.
pub(super) fn check_content_type(headers: &HeaderMap) -> Result<(), Failure> {
    let mut types = headers.get_all(CONTENT_TYPE).iter();
    let essence = match (types.next(), types.next()) {
        (Some(only), None) => only.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default(),
        _ => b"",
    };
    if essence.trim_ascii().eq_ignore_ascii_case(super::answer::CONTENT_TYPE.as_bytes()) {
        return Ok(());
    }
    Err(Failure::named(UNKNOWN_OPERATION, "the Content-Type is not application/x-amz-json-1.1"))
}
