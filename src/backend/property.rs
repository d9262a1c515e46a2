//! The properties that a custom key store is configured with, each a type that cannot hold a wrong value.
//!
//! Lengths and alphabets are those of the KMS API model (`kms/2014-11-01`).

use crate::value::{InvalidValue, Problem, secret_newtype, text_newtype, wire_enum};

wire_enum! {
    /// The two kinds of custom key store.
    #[non_exhaustive]
    CustomKeyStoreType, field: "CustomKeyStoreType" {
        /// Keys are made and held in a CloudHSM cluster.
        AwsCloudhsm = "AWS_CLOUDHSM",
        /// Keys are held by an external key manager, behind an external key store proxy.
        ExternalKeyStore = "EXTERNAL_KEY_STORE",
    }
}

wire_enum! {
    /// How an external key store proxy is reached. Invisible on the wire.
    #[non_exhaustive]
    XksProxyConnectivity, field: "XksProxyConnectivity" {
        /// Over the internet.
        PublicEndpoint = "PUBLIC_ENDPOINT",
        /// Through a VPC endpoint service.
        VpcEndpointService = "VPC_ENDPOINT_SERVICE",
    }
}

text_newtype! {
    /// Where an external key store proxy is: `https://` and a fully qualified domain name, without port or path.
    UriEndpoint,
    field: "XksProxyUriEndpoint",
    expected: "10 to 128 characters: https:// and a fully qualified domain name, without port, path or IP address",
    length: 10..=128,
    legal: |c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '/'),
    extra: |endpoint| endpoint.strip_prefix("https://").is_some_and(is_domain_name),
}

impl UriEndpoint {
    /// The host name alone.
    #[must_use]
    pub fn host(&self) -> &str {
        self.as_str().strip_prefix("https://").unwrap_or_default()
    }
}

/// At least two labels of letters, digits and inner hyphens, the last of which is not a number.
fn is_domain_name(host: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let last_is_name =
        |host: &str| host.rsplit('.').next().is_some_and(|last| !last.bytes().all(|b| b.is_ascii_digit()));
    host.contains('.') && host.split('.').all(label) && last_is_name(host)
}

text_newtype! {
    /// The base path of an external key store proxy, ending in `/kms/xks/v1`, with or without a prefix.
    ///
    /// Prefixes with empty segments (`//`) are refused: SigV4 would canonicalise them away.
    UriPath,
    field: "XksProxyUriPath",
    expected: "11 to 128 characters of A-Z a-z 0-9 / - _, beginning with / and ending in /kms/xks/v1, without empty segments",
    length: 11..=128,
    legal: |c| c.is_ascii_alphanumeric() || matches!(c, '/' | '-' | '_'),
    extra: |path| path.starts_with('/') && path.ends_with("/kms/xks/v1") && !path.contains("//"),
}

text_newtype! {
    /// The name of the VPC endpoint service in front of an external key store proxy.
    VpcEndpointServiceName,
    field: "XksProxyVpcEndpointServiceName",
    expected: "20 to 64 characters such as com.amazonaws.vpce.us-east-1.vpce-svc-0123456789abcdef0",
    length: 20..=64,
    legal: |c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '-'),
    extra: is_service_name,
}

/// `(com|eu).amazonaws.vpce.<region>.vpce-svc-<id>`, where a region is two or three words and a number.
fn is_service_name(name: &str) -> bool {
    let Some(rest) = name.strip_prefix("com.").or_else(|| name.strip_prefix("eu.")) else {
        return false;
    };
    let Some((region, service)) = rest.strip_prefix("amazonaws.vpce.").and_then(|rest| rest.split_once('.'))
    else {
        return false;
    };
    let Some((words, number)) = region.rsplit_once('-') else {
        return false;
    };
    let is_word = |word: &str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase());
    let is_number = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
    let is_id = |id: &str| !id.is_empty() && !id.contains(['.', '-']);
    is_number
        && (2..=3).contains(&words.split('-').count())
        && words.split('-').all(is_word)
        && service.strip_prefix("vpce-svc-").is_some_and(is_id)
}

text_newtype! {
    /// A twelve-digit account number.
    AccountId,
    field: "XksProxyVpcEndpointServiceOwner",
    expected: "12 digits",
    length: 12..=12,
    legal: |c| c.is_ascii_digit(),
}

text_newtype! {
    /// The id of a CloudHSM cluster.
    CloudHsmClusterId,
    field: "CloudHsmClusterId",
    expected: "cluster- and 11 to 16 characters of A-Z a-z 2-7",
    length: 19..=24,
    legal: |c| c.is_ascii_alphanumeric() || c == '-',
    extra: |id| id.strip_prefix("cluster-").is_some_and(|rest| {
        rest.bytes().all(|b| b.is_ascii_alphabetic() || (b'2'..=b'7').contains(&b))
    }),
}

text_newtype! {
    /// The certificate, in PEM, that signs a CloudHSM cluster's own (`customerCA.crt`).
    TrustAnchorCertificate,
    field: "TrustAnchorCertificate",
    expected: "1 to 5,000 characters of PEM",
    length: 1..=5000,
    legal: |c| c.is_ascii_graphic() || matches!(c, ' ' | '\n' | '\r' | '\t'),
}

impl TrustAnchorCertificate {
    /// Whether it is the same certificate, however its lines are broken.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        self.as_str().split_ascii_whitespace().eq(other.as_str().split_ascii_whitespace())
    }
}

text_newtype! {
    /// Names one of a proxy's secret access keys. Not secret itself, yet AWS treats it as sensitive.
    AccessKeyId,
    field: "XksProxyAuthenticationAccessKeyId",
    expected: "20 to 30 characters of A-Z 2-7",
    length: 20..=30,
    legal: |c| c.is_ascii_uppercase() || ('2'..='7').contains(&c),
}

secret_newtype! {
    /// A secret access key. `Debug` hides it, memory is wiped, comparison takes constant time.
    ///
    /// SigV4 uses it as text, without decoding it.
    SecretAccessKey,
    field: "XksProxyAuthenticationRawSecretAccessKey",
    expected: "43 to 64 characters of A-Z a-z 0-9 + / =",
    length: 43..=64,
    legal: |c| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '='),
}

/// What a store authenticates itself with to an external key store proxy. Has nothing to do with IAM.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct XksProxyCredential {
    /// Which secret.
    pub access_key_id: AccessKeyId,
    /// The secret.
    pub secret_access_key: SecretAccessKey,
}

impl XksProxyCredential {
    /// A credential.
    #[must_use]
    pub const fn new(access_key_id: AccessKeyId, secret_access_key: SecretAccessKey) -> Self {
        Self { access_key_id, secret_access_key }
    }
}

secret_newtype! {
    /// The password of a CloudHSM cluster's `kmsuser`. `Debug` hides it, memory is wiped, comparison takes constant
    /// time.
    KeyStorePassword,
    field: "KeyStorePassword",
    expected: "7 to 32 letters and digits",
    length: 7..=32,
    legal: |c| c.is_ascii_alphanumeric(),
}

text_newtype! {
    /// The friendly name of a custom key store. Not secret: it shows in logs and audit trails.
    StoreName,
    field: "CustomKeyStoreName",
    expected: "1 to 256 characters, none of them a control character",
    length: 1..=256,
    legal: |c| !c.is_control(),
}

/// Both a CloudHSM cluster and a proxy of a VPC need more than one value; this says which is missing.
pub(crate) const fn inconsistent(
    field: &'static str,
    expected: &'static str,
    with: &'static str,
) -> InvalidValue {
    InvalidValue::new(field, expected, Problem::Inconsistent { with })
}
