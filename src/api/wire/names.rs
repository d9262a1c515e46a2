//! Names of members that several requests have.

pub(super) const KEY_ID: &str = "KeyId";
pub(super) const ENCRYPTION_CONTEXT: &str = "EncryptionContext";
pub(super) const CIPHERTEXT_BLOB: &str = "CiphertextBlob";
pub(super) const GRANT_TOKENS: &str = "GrantTokens";
pub(super) const RECIPIENT: &str = "Recipient";
pub(super) const DRY_RUN: &str = "DryRun";
pub(super) const DRY_RUN_MODIFIERS: &str = "DryRunModifiers";
pub(super) const NUMBER_OF_BYTES: &str = "NumberOfBytes";
pub(super) const KEY_SPEC: &str = "KeySpec";
pub(super) const CUSTOM_KEY_STORE_ID: &str = "CustomKeyStoreId";
pub(super) const CUSTOM_KEY_STORE_NAME: &str = "CustomKeyStoreName";
pub(super) const ALIAS_NAME: &str = "AliasName";
pub(super) const TARGET_KEY_ID: &str = "TargetKeyId";
pub(super) const DESCRIPTION: &str = "Description";
pub(super) const TAGS: &str = "Tags";
pub(super) const LIMIT: &str = "Limit";
pub(super) const MARKER: &str = "Marker";
pub(super) const CLUSTER_ID: &str = "CloudHsmClusterId";
pub(super) const PASSWORD: &str = "KeyStorePassword";
pub(super) const CONNECTIVITY: &str = "XksProxyConnectivity";
pub(super) const CREDENTIAL: &str = "XksProxyAuthenticationCredential";
pub(super) const ENDPOINT: &str = "XksProxyUriEndpoint";
pub(super) const PATH: &str = "XksProxyUriPath";
pub(super) const SERVICE_NAME: &str = "XksProxyVpcEndpointServiceName";
pub(super) const SERVICE_OWNER: &str = "XksProxyVpcEndpointServiceOwner";
/// The one spec of keys in custom key stores, and the one algorithm.
pub(super) const SYMMETRIC_DEFAULT: &str = "SYMMETRIC_DEFAULT";
