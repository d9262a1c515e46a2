//! Calls of `Kms` itself.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use custom_key_store::backend::{
    AccessKeyId, BackingKeyId, Change, CloudHsmClusterId, CloudHsmConfiguration, KeyStorePassword,
    SecretAccessKey, StoreName, TrustAnchorCertificate, UriEndpoint, UriPath, VpcEndpointServiceName,
    XksProxyCredential,
};
use custom_key_store::kms::{
    Action, CreateCustomKeyStore, Decrypt, Encrypt, GenerateDataKey, KeyRef, Kms, KmsError, ReEncrypt,
};
use custom_key_store::{
    AliasName, CiphertextBlob, DataKeyLength, KeyId, KeyText, NewKey, PageRequest, StoreId, TagKey, TagValue,
};
use serde_json::{Value, json};

use super::level::{Level, Refused};
use super::world::World;

pub(super) struct Direct(Kms);

impl Level for Direct {
    const NAME: &'static str = "Kms";
    const IS_PROTOCOL: bool = false;

    fn to(world: &World) -> Self {
        Self::new(&world.kms)
    }

    async fn call(&self, operation: &str, body: &Value) -> Result<Value, Refused> {
        let (action, body) = (operation.parse().unwrap(), Body(body));
        let called = match action {
            Action::CreateKey
            | Action::DescribeKey
            | Action::ListKeys
            | Action::EnableKey
            | Action::DisableKey
            | Action::ScheduleKeyDeletion
            | Action::CancelKeyDeletion
            | Action::UpdateKeyDescription
            | Action::GetKeyPolicy
            | Action::ListKeyPolicies => self.on_key(action, body).await,
            Action::CreateAlias
            | Action::UpdateAlias
            | Action::DeleteAlias
            | Action::ListAliases
            | Action::TagResource
            | Action::UntagResource
            | Action::ListResourceTags => self.on_names(action, body).await,
            _ if action.is_cryptographic() => self.crypto(action, body).await,
            _ => self.on_store(action, body).await,
        };
        Ok(called?)
    }
}

impl Direct {
    pub(super) fn new(kms: &Kms) -> Self {
        Self(kms.clone())
    }

    async fn on_store(&self, action: Action, body: Body<'_>) -> Result<Value, KmsError> {
        let kms = &self.0;
        let id = || StoreId::new(body.text("CustomKeyStoreId").unwrap()).unwrap();
        match action {
            Action::CreateCustomKeyStore => {
                let id = kms.create_custom_key_store(body.new_store()).await?;
                return Ok(json!({ "CustomKeyStoreId": id }));
            }
            Action::DescribeCustomKeyStores => {
                let stores = match (body.text("CustomKeyStoreId"), body.text("CustomKeyStoreName")) {
                    (Some(_), _) => vec![kms.describe_custom_key_store(&id()).await?],
                    (_, Some(name)) => {
                        vec![kms.describe_custom_key_store_named(&StoreName::new(name).unwrap()).await?]
                    }
                    _ => kms.describe_custom_key_stores(&PageRequest::default()).await?.items,
                };
                return Ok(json!({ "CustomKeyStores": stores }));
            }
            Action::ConnectCustomKeyStore => kms.connect_custom_key_store(&id()).await?,
            Action::DisconnectCustomKeyStore => kms.disconnect_custom_key_store(&id()).await?,
            Action::UpdateCustomKeyStore => kms.update_custom_key_store(&id(), body.change()).await?,
            Action::DeleteCustomKeyStore => kms.delete_custom_key_store(&id()).await?,
            other => panic!("the matrix does not know how to call {other}"),
        }
        Ok(json!({}))
    }

    async fn on_key(&self, action: Action, body: Body<'_>) -> Result<Value, KmsError> {
        let kms = &self.0;
        match action {
            Action::CreateKey => {
                let store = StoreId::new(body.text("CustomKeyStoreId").unwrap()).unwrap();
                let new = match body.text("XksKeyId") {
                    Some(key) => NewKey::external(BackingKeyId::new(key).unwrap()),
                    None => NewKey::generated(),
                };
                return Ok(json!({ "KeyMetadata": kms.create_key(&store, &new).await? }));
            }
            Action::DescribeKey => {
                return Ok(json!({ "KeyMetadata": kms.describe_key(&self.key(body)?).await? }));
            }
            Action::ListKeys => {
                let keys = kms.list_keys(&PageRequest::default()).await?.items;
                let keys: Vec<_> = keys.iter().map(|arn| json!({ "KeyId": arn.key_id() })).collect();
                return Ok(json!({ "Keys": keys }));
            }
            _ => {}
        }
        let key = &KeyId::new(body.text("KeyId").unwrap()).unwrap();
        match action {
            Action::EnableKey => kms.enable_key(key).await?,
            Action::DisableKey => kms.disable_key(key).await?,
            Action::CancelKeyDeletion => kms.cancel_key_deletion(key).await?,
            Action::ScheduleKeyDeletion => {
                kms.schedule_key_deletion(key, Some(7)).await?;
            }
            Action::UpdateKeyDescription => {
                let description = KeyText::new(body.text("Description").unwrap()).unwrap();
                kms.update_key_description(key, description).await?;
            }
            Action::GetKeyPolicy => return Ok(json!({ "Policy": kms.key_policy(key).await? })),
            Action::ListKeyPolicies => {
                return Ok(json!({ "PolicyNames": kms.list_key_policies(key).await? }));
            }
            other => panic!("the matrix does not know how to call {other}"),
        }
        Ok(json!({}))
    }

    async fn on_names(&self, action: Action, body: Body<'_>) -> Result<Value, KmsError> {
        let kms = &self.0;
        let alias = || AliasName::new(body.text("AliasName").unwrap()).unwrap();
        let target = || KeyId::new(body.text("TargetKeyId").unwrap()).unwrap();
        let key = body.text("KeyId").map(|key| KeyId::new(key).unwrap());
        match action {
            Action::CreateAlias => kms.create_alias(&alias(), &target()).await?,
            Action::UpdateAlias => kms.update_alias(&alias(), &target()).await?,
            Action::DeleteAlias => kms.delete_alias(&alias()).await?,
            Action::ListAliases => {
                let aliases = kms.list_aliases(key.as_ref(), &PageRequest::default()).await?.items;
                let entry = |alias: &custom_key_store::kms::AliasEntry| json!({ "AliasName": alias.name.as_str(), "TargetKeyId": alias.key });
                return Ok(json!({ "Aliases": aliases.iter().map(entry).collect::<Vec<_>>() }));
            }
            Action::TagResource => kms.tag_resource(&key.unwrap(), &body.tags()).await?,
            Action::UntagResource => {
                let keys = body.0["TagKeys"].as_array().unwrap();
                let keys: Vec<_> =
                    keys.iter().map(|key| TagKey::new(key.as_str().unwrap()).unwrap()).collect();
                kms.untag_resource(&key.unwrap(), &keys).await?;
            }
            Action::ListResourceTags => {
                let tags = kms.list_resource_tags(&key.unwrap()).await?;
                let entry = |(key, value): &(TagKey, TagValue)| json!({ "TagKey": key.as_str(), "TagValue": value.as_str() });
                return Ok(json!({ "Tags": tags.iter().map(entry).collect::<Vec<_>>() }));
            }
            other => panic!("the matrix does not know how to call {other}"),
        }
        Ok(json!({}))
    }

    async fn crypto(&self, action: Action, body: Body<'_>) -> Result<Value, KmsError> {
        let kms = &self.0;
        match action {
            Action::GenerateRandom => {
                let store = body.text("CustomKeyStoreId").map(|id| StoreId::new(id).unwrap());
                let random = kms.generate_random(32, store.as_ref()).await?;
                Ok(json!({ "Plaintext": STANDARD.encode(random.expose()) }))
            }
            Action::Encrypt => {
                let (key, plaintext) = (self.key(body)?, body.bytes("Plaintext"));
                Ok(blob(&kms.encrypt(&Encrypt::new(&key, &plaintext)).await?.ciphertext))
            }
            Action::Decrypt => {
                let opened = kms.decrypt(&Decrypt::new(&body.bytes("CiphertextBlob"))).await?;
                Ok(json!({ "Plaintext": STANDARD.encode(opened.plaintext.expose()) }))
            }
            Action::ReEncrypt => {
                let text = body.text("DestinationKeyId").unwrap();
                let destination = KeyRef::parse(text, kms.identity())?;
                let ciphertext = body.bytes("CiphertextBlob");
                Ok(blob(&kms.re_encrypt(&ReEncrypt::new(&ciphertext, &destination)).await?.ciphertext))
            }
            Action::GenerateDataKey => {
                let key = self.key(body)?;
                let request = GenerateDataKey::new(&key, DataKeyLength::AES_256);
                Ok(blob(&kms.generate_data_key(&request).await?.ciphertext))
            }
            Action::GenerateDataKeyWithoutPlaintext => {
                let key = self.key(body)?;
                let request = GenerateDataKey::new(&key, DataKeyLength::AES_256);
                Ok(blob(&kms.generate_data_key_without_plaintext(&request).await?.ciphertext))
            }
            other => panic!("the matrix does not know how to call {other}"),
        }
    }

    fn key(&self, body: Body<'_>) -> Result<KeyRef, KmsError> {
        KeyRef::parse(body.text("KeyId").unwrap(), self.0.identity())
    }
}

fn blob(ciphertext: &CiphertextBlob) -> Value {
    json!({ "CiphertextBlob": STANDARD.encode(ciphertext.as_bytes()) })
}

/// The members of a request, all of them legal.
#[derive(Clone, Copy)]
struct Body<'v>(&'v Value);

impl<'v> Body<'v> {
    fn text(self, member: &str) -> Option<&'v str> {
        self.0.get(member).map(|text| text.as_str().unwrap())
    }

    fn bytes(self, member: &str) -> Vec<u8> {
        STANDARD.decode(self.text(member).unwrap()).unwrap()
    }

    fn tags(self) -> Vec<(TagKey, TagValue)> {
        let tag = |tag: &Value| {
            let (key, value) = (tag["TagKey"].as_str().unwrap(), tag["TagValue"].as_str().unwrap());
            (TagKey::new(key).unwrap(), TagValue::new(value).unwrap())
        };
        self.0["Tags"].as_array().unwrap().iter().map(tag).collect()
    }

    fn credential(self) -> Option<XksProxyCredential> {
        let credential = Self(self.0.get("XksProxyAuthenticationCredential")?);
        Some(XksProxyCredential::new(
            AccessKeyId::new(credential.text("AccessKeyId")?).unwrap(),
            SecretAccessKey::new(credential.text("RawSecretAccessKey")?).unwrap(),
        ))
    }

    fn new_store(self) -> CreateCustomKeyStore {
        let name = StoreName::new(self.text("CustomKeyStoreName").unwrap()).unwrap();
        let Some(cluster) = self.text("CloudHsmClusterId") else {
            let new = CreateCustomKeyStore::external(
                name,
                UriEndpoint::new(self.text("XksProxyUriEndpoint").unwrap()).unwrap(),
                UriPath::new(self.text("XksProxyUriPath").unwrap()).unwrap(),
                self.credential().unwrap(),
            );
            return match self.text("XksProxyVpcEndpointServiceName") {
                Some(service) => {
                    let service = VpcEndpointServiceName::new(service).unwrap();
                    new.through_vpc_endpoint_service(service, None)
                }
                None => new,
            };
        };
        let certificate = TrustAnchorCertificate::new(self.text("TrustAnchorCertificate").unwrap()).unwrap();
        let cluster = CloudHsmConfiguration::new(CloudHsmClusterId::new(cluster).unwrap());
        let password = KeyStorePassword::new(self.text("KeyStorePassword").unwrap()).unwrap();
        CreateCustomKeyStore::cloud_hsm(name, cluster.with_trust_anchor(certificate), password)
    }

    fn change(self) -> Change {
        let mut change = Change::new();
        change.name = self.text("NewCustomKeyStoreName").map(|text| StoreName::new(text).unwrap());
        change.credential = self.credential();
        change.uri_path = self.text("XksProxyUriPath").map(|text| UriPath::new(text).unwrap());
        change.uri_endpoint = self.text("XksProxyUriEndpoint").map(|text| UriEndpoint::new(text).unwrap());
        change.connectivity = self.text("XksProxyConnectivity").map(|text| text.parse().unwrap());
        change.vpc_endpoint_service_name = self
            .text("XksProxyVpcEndpointServiceName")
            .map(|text| VpcEndpointServiceName::new(text).unwrap());
        change.vpc_endpoint_service_owner = self
            .text("XksProxyVpcEndpointServiceOwner")
            .map(|text| custom_key_store::backend::AccountId::new(text).unwrap());
        change.password = self.text("KeyStorePassword").map(|text| KeyStorePassword::new(text).unwrap());
        change.cluster_id = self.text("CloudHsmClusterId").map(|text| CloudHsmClusterId::new(text).unwrap());
        change
    }
}
