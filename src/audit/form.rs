//! A record as JSON.

use std::borrow::Cow;
use std::net::IpAddr;
use std::time::SystemTime;

use serde::ser::SerializeMap as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use super::record::{AuditCategory, AuditEventType, AuditOutcome, AuditRecord};
use super::value::AuditParameters;
use crate::backend::{BackingKeyId, CloudHsmClusterId, Operation, RequestId};
use crate::crypto::EncryptionContext;
use crate::key::KeyArn;
use crate::store_id::StoreId;

/// The members by name. Serialized from what is borrowed, deserialized into what is owned.
#[derive(Serialize, Deserialize)]
struct Form<'a> {
    #[serde(rename = "eventTime", with = "crate::epoch::rfc3339")]
    time: SystemTime,
    #[serde(rename = "eventName")]
    operation: Cow<'a, str>,
    #[serde(rename = "eventType")]
    event_type: AuditEventType,
    #[serde(rename = "eventCategory")]
    category: AuditCategory,
    #[serde(rename = "requestID", skip_serializing_if = "Option::is_none", default)]
    request_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    principal: Option<Cow<'a, str>>,
    #[serde(rename = "sourceIPAddress", skip_serializing_if = "Option::is_none", default)]
    source_address: Option<IpAddr>,
    #[serde(rename = "keyArn", skip_serializing_if = "Option::is_none", default)]
    key: Option<KeyArn>,
    #[serde(rename = "destinationKeyArn", skip_serializing_if = "Option::is_none", default)]
    destination_key: Option<KeyArn>,
    #[serde(rename = "customKeyStoreId", skip_serializing_if = "Option::is_none", default)]
    store: Option<StoreId>,
    #[serde(rename = "destinationCustomKeyStoreId", skip_serializing_if = "Option::is_none", default)]
    destination_store: Option<StoreId>,
    #[serde(rename = "clusterId", skip_serializing_if = "Option::is_none", default)]
    cluster: Option<CloudHsmClusterId>,
    #[serde(rename = "backingKeyId", skip_serializing_if = "Option::is_none", default)]
    cluster_key: Option<BackingKeyId>,
    #[serde(rename = "xksKeyId", skip_serializing_if = "Option::is_none", default)]
    external_key: Option<BackingKeyId>,
    #[serde(rename = "encryptionContext", skip_serializing_if = "Option::is_none", default)]
    encryption_context: Option<Context>,
    #[serde(rename = "destinationEncryptionContext", skip_serializing_if = "Option::is_none", default)]
    destination_encryption_context: Option<Context>,
    #[serde(rename = "requestParameters", skip_serializing_if = "AuditParameters::is_empty", default)]
    request: Cow<'a, AuditParameters>,
    #[serde(rename = "serviceEventDetails", skip_serializing_if = "AuditParameters::is_empty", default)]
    event: Cow<'a, AuditParameters>,
    outcome: Outcome,
    #[serde(rename = "errorCode", skip_serializing_if = "Option::is_none", default)]
    error: Option<Cow<'a, str>>,
    #[serde(rename = "errorMessage", skip_serializing_if = "Option::is_none", default)]
    message: Option<Cow<'a, str>>,
}

#[derive(Serialize, Deserialize)]
enum Outcome {
    Succeeded,
    Failed,
    Dropped,
}

impl Serialize for AuditRecord {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // Destructured, so that no member is forgotten.
        let Self {
            time,
            operation,
            event_type,
            category,
            request_id,
            principal,
            source_address,
            key,
            destination_key,
            store,
            destination_store,
            cluster,
            backing_key,
            encryption_context,
            destination_encryption_context,
            parameters,
            outcome,
        } = self;
        let (outcome, error, message) = match outcome {
            AuditOutcome::Succeeded => (Outcome::Succeeded, None, None),
            AuditOutcome::Failed { error, message } => {
                (Outcome::Failed, Some(Cow::Borrowed(&**error)), Some(Cow::Borrowed(&**message)))
            }
            AuditOutcome::Dropped => (Outcome::Dropped, None, None),
        };
        let none = || Cow::Owned(AuditParameters::new());
        let (request, event) = match event_type {
            AuditEventType::Call => (Cow::Borrowed(parameters), none()),
            AuditEventType::Service => (none(), Cow::Borrowed(parameters)),
        };
        let (cluster_key, external_key) = match cluster {
            Some(_) => (backing_key.clone(), None),
            None => (None, backing_key.clone()),
        };
        let context = |context: &Option<EncryptionContext>| context.clone().map(Context);
        let form = Form {
            time: *time,
            operation: operation.as_str().into(),
            event_type: *event_type,
            category: *category,
            request_id: request_id.as_ref().map(ToString::to_string),
            principal: principal.as_deref().map(Cow::Borrowed),
            source_address: *source_address,
            key: key.clone(),
            destination_key: destination_key.clone(),
            store: store.clone(),
            destination_store: destination_store.clone(),
            cluster: cluster.clone(),
            cluster_key,
            external_key,
            encryption_context: context(encryption_context),
            destination_encryption_context: context(destination_encryption_context),
            request,
            event,
            outcome,
            error,
            message,
        };
        form.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for AuditRecord {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let form = Form::deserialize(deserializer)?;
        let outcome = match (form.outcome, form.error, form.message) {
            (Outcome::Succeeded, None, None) => AuditOutcome::Succeeded,
            (Outcome::Failed, Some(error), Some(message)) => AuditOutcome::Failed {
                error: error.into_owned().into(),
                message: message.into_owned().into(),
            },
            (Outcome::Dropped, None, None) => AuditOutcome::Dropped,
            _ => return Err(D::Error::custom("errorCode and errorMessage belong to the outcome Failed")),
        };
        let parameters = match form.event_type {
            AuditEventType::Call => form.request,
            AuditEventType::Service => form.event,
        };
        Ok(Self {
            time: form.time,
            operation: Operation::new(form.operation.into_owned()),
            event_type: form.event_type,
            category: form.category,
            request_id: form.request_id.as_deref().map(RequestId::from),
            principal: form.principal.map(|principal| principal.into_owned().into()),
            source_address: form.source_address,
            key: form.key,
            destination_key: form.destination_key,
            store: form.store,
            destination_store: form.destination_store,
            backing_key: if form.cluster.is_some() { form.cluster_key } else { form.external_key },
            cluster: form.cluster,
            encryption_context: form.encryption_context.map(|context| context.0),
            destination_encryption_context: form.destination_encryption_context.map(|context| context.0),
            parameters: parameters.into_owned(),
            outcome,
        })
    }
}

/// A context as an object.
struct Context(EncryptionContext);

impl Serialize for Context {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (key, value) in self.0.iter() {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Context {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let pairs = std::collections::BTreeMap::<String, String>::deserialize(deserializer)?;
        EncryptionContext::new(pairs).map(Self).map_err(D::Error::custom)
    }
}
