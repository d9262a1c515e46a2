//! The proxy's responses, as the client reads and checks them.

use http::HeaderMap;
use http::header::CONTENT_TYPE;

use super::json::{self, Member};
use super::malformed::{Flaw, Malformed};
use super::{MAX_INSTANCES, MAX_USAGES, TAG_LEN, name};
use crate::backend::{
    BackendError, BackendErrorKind, Ciphertext, CiphertextMetadata, Decrypted, EncryptRequest, Health,
    HealthStatus, InitializationVector, KeyDescription, KeySpec, KeyStatus, KeyUsages, ManagerInstance,
    ProxyDescription,
};
use crate::xks::integrity::IntegrityValue;

/// Whether a message says that it is JSON, with or without parameters (XKS-C-01).
pub(crate) fn is_json(headers: &HeaderMap) -> bool {
    let mut types = headers.get_all(CONTENT_TYPE).iter();
    let (Some(only), None) = (types.next(), types.next()) else {
        return false;
    };
    let essence = only.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default();
    essence.trim_ascii().eq_ignore_ascii_case(b"application/json")
}

/// What a key is. That a KMS key needs `AES_256`, both usages and `ENABLED` is the caller's to check (XKS-C-45 to
/// XKS-C-47): this is a description, whatever it says.
pub(crate) fn key_metadata_response(body: &[u8]) -> Result<KeyDescription, BackendError> {
    Ok(key_description(body)?)
}

fn key_description(body: &[u8]) -> Result<KeyDescription, Malformed> {
    // XKS-C-42
    let [spec, usage, status, error] =
        json::body(body, [name::KEY_SPEC, name::KEY_USAGE, name::KEY_STATUS, name::ERROR_NAME])?;
    error.must_be_absent()?;

    let spec = match &*spec.text()? {
        "AES_256" => KeySpec::Aes256,
        other => KeySpec::Other(other.to_owned()),
    };
    let entries = usage.entries()?;
    if entries.len() > MAX_USAGES {
        return Err(usage.count_is_wrong());
    }
    let mut usages = KeyUsages::NONE;
    for entry in entries {
        match &*entry.text()? {
            "ENCRYPT" => usages.encrypt = true,
            "DECRYPT" => usages.decrypt = true,
            // XKS-C-44: keys can do more than we ask of them.
            _ => {}
        }
    }
    let status = match &*status.text()? {
        "ENABLED" => KeyStatus::Enabled,
        "DISABLED" => KeyStatus::Disabled,
        _ => return Err(status.word_is_unknown()),
    };
    Ok(KeyDescription::new(spec, usages, status))
}

/// What an encryption gave, checked against the request (XKS-C-48 to XKS-C-54).
pub(crate) fn encrypt_response(
    body: &[u8],
    request: &EncryptRequest<'_>,
) -> Result<Ciphertext, BackendError> {
    let (ciphertext, claimed) = ciphertext(body, request)?;
    if request.verified {
        let value = IntegrityValue::compute(request.additional_authenticated_data, &ciphertext);
        let failed = |why: &'static str| {
            Err(BackendError::new(BackendErrorKind::IntegrityCheckFailed).with_detail(why))
        };
        match claimed {
            None => return failed("the response has no integrity value"),
            Some(claimed) if !value.matches(&claimed) => {
                return failed("the integrity value is another than that of the response");
            }
            Some(_) => {}
        }
    }
    Ok(ciphertext)
}

fn ciphertext(body: &[u8], request: &EncryptRequest<'_>) -> Result<(Ciphertext, Option<Vec<u8>>), Malformed> {
    let [bytes, iv, tag, metadata, integrity, error] = json::body(
        body,
        [name::CIPHERTEXT, name::IV, name::TAG, name::METADATA, name::INTEGRITY_VALUE, name::ERROR_NAME],
    )?;
    error.must_be_absent()?;

    let bytes = bytes.base64()?;
    let (iv, tag) = (iv.base64()?, tag.base64()?);
    // Before it is decoded: what the caller gets is never larger than what it gave.
    if bytes.decoded_len() != request.plaintext.len() {
        return Err(bytes.wrong_length());
    }
    let vector = InitializationVector::new(iv.decode_short()?.as_bytes()).map_err(|_| iv.wrong_length())?;
    let tag_bytes: [u8; TAG_LEN] =
        tag.decode_short()?.as_bytes().try_into().map_err(|_| tag.wrong_length())?;
    let mut ciphertext = Ciphertext::new(bytes.decode()?, vector, tag_bytes);
    if let Some(metadata) = metadata.optional_base64()? {
        let short = metadata.decode_short()?;
        let metadata = CiphertextMetadata::new(short.as_bytes()).map_err(|_| metadata.wrong_length())?;
        ciphertext = ciphertext.with_metadata(metadata);
    }
    // One that nobody asked for is ignored, whatever it is.
    let integrity = if request.verified { integrity.optional_base64()? } else { None };
    Ok((ciphertext, integrity.map(|value| value.decode()).transpose()?))
}

/// What a decryption gave; `ciphertext_len` is the request's (XKS-C-56, XKS-C-57).
pub(crate) fn decrypt_response(body: &[u8], ciphertext_len: usize) -> Result<Decrypted, BackendError> {
    let [plaintext, error] = json::body(body, [name::PLAINTEXT, name::ERROR_NAME])?;
    error.must_be_absent()?;
    let plaintext = plaintext.base64()?;
    if plaintext.decoded_len() != ciphertext_len {
        return Err(plaintext.wrong_length().into());
    }
    Ok(Decrypted::new(plaintext.decode_secret()?))
}

/// How proxy and key manager are (XKS-C-60 to XKS-C-62). Whether anyone serves is [`Health::status`]
/// (XKS-C-63).
pub(crate) fn health_response(body: &[u8]) -> Result<Health, BackendError> {
    Ok(health(body)?)
}

fn health(body: &[u8]) -> Result<Health, Malformed> {
    let [size, proxy_vendor, proxy_model, vendor, fleet, error] = json::body(
        body,
        [
            name::FLEET_SIZE,
            name::PROXY_VENDOR,
            name::PROXY_MODEL,
            name::MANAGER_VENDOR,
            name::FLEET,
            name::ERROR_NAME,
        ],
    )?;
    error.must_be_absent()?;
    let proxy = ProxyDescription::new(size.positive()?, proxy_vendor.text()?, proxy_model.text()?);
    let entries = fleet.entries()?;
    if !(1..=MAX_INSTANCES).contains(&entries.len()) {
        return Err(fleet.count_is_wrong());
    }
    let instances = entries.into_iter().map(instance).collect::<Result<_, _>>()?;
    Ok(Health::new(vendor.text()?, instances).with_proxy(proxy))
}

fn instance(entry: Member<'_>) -> Result<ManagerInstance, Malformed> {
    let [id, model, status] = entry.object([name::ID, name::MODEL, name::HEALTH_STATUS])?;
    let word = status.text()?;
    let status: HealthStatus =
        word.parse().map_err(|_| Malformed::member(name::HEALTH_STATUS, Flaw::UnknownWord))?;
    Ok(ManagerInstance::new(id.text()?, model.text()?, status))
}
