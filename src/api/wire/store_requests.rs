//! The requests about custom key stores.

use super::checks::Checks;
use super::crypto_requests::store_id;
use super::member::{Flaw, body, object};
use super::names::*;
use super::page::page;
use super::rule::{secret, text_of, value, word};
use crate::api::failure::Failure;
use crate::backend::{
    AccessKeyId, AccountId, Change, CloudHsmClusterId, CloudHsmConfiguration, KeyStorePassword,
    SecretAccessKey, StoreName, TrustAnchorCertificate, UriEndpoint, UriPath, VpcEndpointServiceName,
    XksProxyCredential,
};
use crate::key::PageRequest;
use crate::kms::{CreateCustomKeyStore, Exception};
use crate::store_id::StoreId;

const STORE_TYPE: &str = "CustomKeyStoreType";
const TRUST_ANCHOR: &str = "TrustAnchorCertificate";
const CLOUD_HSM: &str = "AWS_CLOUDHSM";
const EXTERNAL: &str = "EXTERNAL_KEY_STORE";
const PUBLIC: &str = "PUBLIC_ENDPOINT";
const VPC: &str = "VPC_ENDPOINT_SERVICE";
const CONNECTIVITIES: &[&str] = &[PUBLIC, VPC];

/// Which stores are to be described.
pub(crate) enum Stores {
    All(PageRequest),
    Id(StoreId),
    Name(StoreName),
}

/// `ConnectCustomKeyStore`, `DisconnectCustomKeyStore`, `DeleteCustomKeyStore`
pub(crate) fn store(json: &[u8]) -> Result<StoreId, Failure> {
    let [id] = body(json, [CUSTOM_KEY_STORE_ID])?;
    let mut checks = Checks::default();
    let id = checks.required(id, store_id)?;
    checks.done(|| id)
}

pub(crate) fn describe_custom_key_stores(json: &[u8]) -> Result<Stores, Failure> {
    let [id, name, limit, marker] = body(json, [CUSTOM_KEY_STORE_ID, CUSTOM_KEY_STORE_NAME, LIMIT, MARKER])?;
    let mut checks = Checks::default();
    let page = page(&mut checks, limit, marker, 100, 1000)?;
    if id.raw.is_some() && name.raw.is_some() {
        checks.flawed(CUSTOM_KEY_STORE_ID, "Member must be null when CustomKeyStoreName is given");
    }
    let id = checks.optional(id, store_id)?;
    let name = checks.optional(name, known_name)?;
    checks.done(|| match (id, name) {
        (Some(id), _) => Some(Stores::Id(id)),
        (None, Some(name)) => Some(Stores::Name(name)),
        (None, None) => Some(Stores::All(page?)),
    })
}

/// A name that is asked for. What can be none is one that no store has: AWS's model knows no form but the length.
fn known_name(raw: &str) -> Result<StoreName, Flaw> {
    let text = text_of(1..=256)(raw)?;
    StoreName::new(&text).map_err(|_| {
        let message = "there is no custom key store of this name";
        Flaw::Refused(Failure::new(Exception::CustomKeyStoreNotFound, message))
    })
}

pub(crate) fn create_custom_key_store(json: &[u8]) -> Result<CreateCustomKeyStore, Failure> {
    let [
        name,
        store_type,
        cluster,
        password,
        anchor,
        connectivity,
        credential,
        endpoint,
        path,
        service,
        owner,
    ] = body(
        json,
        [
            CUSTOM_KEY_STORE_NAME,
            STORE_TYPE,
            CLUSTER_ID,
            PASSWORD,
            TRUST_ANCHOR,
            CONNECTIVITY,
            CREDENTIAL,
            ENDPOINT,
            PATH,
            SERVICE_NAME,
            SERVICE_OWNER,
        ],
    )?;
    let mut checks = Checks::default();
    let store_type = checks.optional(store_type, word(&[CLOUD_HSM, EXTERNAL]))?.unwrap_or(CLOUD_HSM);
    let (of_cluster, of_proxy) =
        ([cluster, password, anchor], [connectivity, credential, endpoint, path, service, owner]);
    let is_external = store_type == EXTERNAL;
    let of_the_other = if is_external { &of_cluster[..] } else { &of_proxy[..] };
    for member in of_the_other.iter().filter(|member| member.raw.is_some()) {
        checks.flawed(member.name, &format!("Member must be null for CustomKeyStoreType {store_type}"));
    }
    // The members that a type needs are required of it by us, as AWS's model requires none.
    let needed = if is_external { &of_proxy[..4] } else { &of_cluster[..] };
    for member in needed.iter().filter(|member| member.raw.is_none()) {
        checks.missing(member.name, &format!("for CustomKeyStoreType {store_type}"));
    }

    let name = checks.required(name, value(|text| StoreName::new(text)))?;
    let cluster = checks.optional(cluster, value(|text| CloudHsmClusterId::new(text)))?;
    let password = checks.optional(password, secret(KeyStorePassword::new))?;
    let anchor = checks.optional(anchor, value(|text| TrustAnchorCertificate::new(text)))?;
    let connectivity = checks.optional(connectivity, word(CONNECTIVITIES))?;
    let credential = checks.optional(credential, proxy_credential)?;
    let endpoint = checks.optional(endpoint, value(|text| UriEndpoint::new(text)))?;
    let path = checks.optional(path, value(|text| UriPath::new(text)))?;
    let (service_given, owner_given) = (service.raw.is_some(), owner.raw.is_some());
    let service = checks.optional(service, value(|text| VpcEndpointServiceName::new(text)))?;
    let owner = checks.optional(owner, value(|text| AccountId::new(text)))?;
    match connectivity {
        Some(VPC) if !service_given => {
            checks.missing(SERVICE_NAME, "for XksProxyConnectivity VPC_ENDPOINT_SERVICE")
        }
        Some(PUBLIC) => refuse_service(&mut checks, service_given, owner_given),
        _ => {}
    }

    checks.done(|| {
        if !is_external {
            let cluster = CloudHsmConfiguration::new(cluster?).with_trust_anchor(anchor?);
            return Some(CreateCustomKeyStore::cloud_hsm(name?, cluster, password?));
        }
        let store = CreateCustomKeyStore::external(name?, endpoint?, path?, credential?);
        Some(match service {
            Some(service) => store.through_vpc_endpoint_service(service, owner),
            None => store,
        })
    })
}

/// A public endpoint has no service in front of it.
fn refuse_service(checks: &mut Checks, service: bool, owner: bool) {
    for (given, name) in [(service, SERVICE_NAME), (owner, SERVICE_OWNER)] {
        if given {
            checks.flawed(name, "Member must be null for XksProxyConnectivity PUBLIC_ENDPOINT");
        }
    }
}

fn proxy_credential(raw: &str) -> Result<XksProxyCredential, Flaw> {
    let [id, secret_key] = object(raw, ["AccessKeyId", "RawSecretAccessKey"])?;
    let id = id.required(value(|text| AccessKeyId::new(text)))?;
    Ok(XksProxyCredential::new(id, secret_key.required(secret(SecretAccessKey::new))?))
}

/// Another service name; an empty one says that there is to be none, which AWS wants to hear with `PUBLIC_ENDPOINT`.
fn new_service(raw: &str) -> Result<Option<VpcEndpointServiceName>, Flaw> {
    if raw == "\"\"" {
        return Ok(None);
    }
    value(|text| VpcEndpointServiceName::new(text))(raw).map(Some)
}

/// Where AWS's documents contradict each other about a change to `PUBLIC_ENDPOINT`, all that they show is taken: a service
/// name that is absent, `null` or empty.
pub(crate) fn update_custom_key_store(json: &[u8]) -> Result<(StoreId, Change), Failure> {
    let [id, name, password, cluster, connectivity, credential, endpoint, path, service, owner] = body(
        json,
        [
            CUSTOM_KEY_STORE_ID,
            "NewCustomKeyStoreName",
            PASSWORD,
            CLUSTER_ID,
            CONNECTIVITY,
            CREDENTIAL,
            ENDPOINT,
            PATH,
            SERVICE_NAME,
            SERVICE_OWNER,
        ],
    )?;
    let given = [endpoint, service, owner].map(|member| member.raw.is_some());
    let [endpoint_given, service_given, owner_given] = given;
    let mut checks = Checks::default();
    let id = checks.required(id, store_id)?;
    let name = checks.optional(name, value(|text| StoreName::new(text)))?;
    let password = checks.optional(password, secret(KeyStorePassword::new))?;
    let cluster = checks.optional(cluster, value(|text| CloudHsmClusterId::new(text)))?;
    let connectivity = checks.optional(connectivity, word(CONNECTIVITIES))?;
    let credential = checks.optional(credential, proxy_credential)?;
    let endpoint = checks.optional(endpoint, value(|text| UriEndpoint::new(text)))?;
    let path = checks.optional(path, value(|text| UriPath::new(text)))?;
    let service = checks.optional(service, new_service)?;
    let owner = checks.optional(owner, value(|text| AccountId::new(text)))?;
    if let Some(connectivity) = connectivity
        && !endpoint_given
    {
        checks.missing(ENDPOINT, &format!("when XksProxyConnectivity becomes {connectivity}"));
    }
    match (connectivity, &service) {
        (Some(VPC), None) if !service_given => {
            checks.missing(SERVICE_NAME, "when XksProxyConnectivity becomes VPC_ENDPOINT_SERVICE");
        }
        (Some(PUBLIC), Some(None)) => refuse_service(&mut checks, false, owner_given),
        (Some(PUBLIC), _) => refuse_service(&mut checks, service_given, owner_given),
        (_, Some(None)) => checks.flawed(SERVICE_NAME, "Member must have length greater than or equal to 20"),
        _ => {}
    }

    let change = move || {
        let mut change = Change::new();
        change.name = name;
        change.password = password;
        change.cluster_id = cluster;
        change.credential = credential;
        change.uri_path = path;
        change.uri_endpoint = endpoint;
        change.connectivity = connectivity.and_then(|word| word.parse().ok());
        change.vpc_endpoint_service_name = service.flatten();
        change.vpc_endpoint_service_owner = owner;
        change
    };
    checks.done(|| Some((id?, change())))
}
