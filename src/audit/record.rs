//! What is written down of one operation.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

use super::value::{AuditParameters, AuditValue};
use crate::backend::{BackingKeyId, CloudHsmClusterId, ConnectionErrorCode, Operation, RequestId};
use crate::crypto::EncryptionContext;
use crate::epoch;
use crate::key::KeyArn;
use crate::store::ConnectionState;
use crate::store_id::StoreId;
use crate::value::wire_enum;

wire_enum! {
    /// What an [`AuditRecord`] is about, by CloudTrail's words.
    #[non_exhaustive]
    AuditEventType, field: "eventType" {
        /// Somebody called an operation.
        Call = "AwsApiCall",
        /// Something happened by itself: how an attempt to connect ended, a key whose deletion was due, what the audit
        /// trail says of itself.
        Service = "AwsServiceEvent",
    }
}

wire_enum! {
    /// How the record of an operation is kept.
    #[non_exhaustive]
    AuditCategory, field: "eventCategory" {
        /// Operations on stores and keys, all that change something included: durable before they are answered. Those that an
        /// endpoint refuses before they are calls are so soon after, and so are those that must not
        /// [wait](super::AuditTrail::begin_regardless), where they would have to for long.
        Management = "Management",
        /// Uses of keys, of which there are many: durable soon after.
        Cryptographic = "Cryptographic",
    }
}

/// How an operation ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum AuditOutcome {
    /// As it was asked for.
    Succeeded,
    /// It was refused, or it failed.
    Failed {
        /// The name of AWS's exception, such as `KMSInvalidStateException`.
        error: Cow<'static, str>,
        /// What the caller was told.
        message: Cow<'static, str>,
    },
    /// Whoever waited went away before there was an answer, or there was none: it may have taken effect, or not.
    Dropped,
}

/// What is written down of one operation: who, what, with which key, and how it ended. Never a plaintext, a ciphertext
/// or a secret; an encryption context is not secret, and is there in clear, as in CloudTrail.
///
/// Made at the beginning of an operation, as one whose caller [went away](AuditOutcome::Dropped), and given its
/// [`outcome`](Self::outcome) at the end. What is in it is shared with the operation, not copied.
///
/// # Form
///
/// A JSON object, by the names of CloudTrail where CloudTrail has one. Members that have no value are absent.
///
/// ```
/// use std::time::UNIX_EPOCH;
///
/// use custom_key_store::audit::{AuditCategory, AuditOutcome, AuditRecord};
/// use custom_key_store::backend::Operation;
///
/// let mut record = AuditRecord::call(UNIX_EPOCH, AuditCategory::Management, Operation::new("ListAliases"))
///     .with_principal("arn:aws:iam::111122223333:user/Alice")
///     .with_parameter("limit", 50_u32);
/// record.outcome = AuditOutcome::Succeeded;
/// assert_eq!(
///     record.to_json(),
///     r#"{"eventTime":"1970-01-01T00:00:00.000Z","eventName":"ListAliases","eventType":"AwsApiCall","#.to_owned()
///         + r#""eventCategory":"Management","principal":"arn:aws:iam::111122223333:user/Alice","#
///         + r#""requestParameters":{"limit":50},"outcome":"Succeeded"}"#
/// );
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct AuditRecord {
    /// When the operation began, to the millisecond (`eventTime`).
    pub time: SystemTime,
    /// The operation, by AWS's name (`eventName`).
    pub operation: Operation,
    /// Whether somebody called it (`eventType`).
    pub event_type: AuditEventType,
    /// How it is kept (`eventCategory`).
    pub category: AuditCategory,
    /// Finds the request again in the logs of every party (`requestID`).
    pub request_id: Option<RequestId>,
    /// Who called (`principal`).
    pub principal: Option<Arc<str>>,
    /// Where the call came from (`sourceIPAddress`).
    pub source_address: Option<IpAddr>,
    /// The KMS key that was used or changed (`keyArn`).
    pub key: Option<KeyArn>,
    /// The KMS key that was encrypted under, where there are two (`destinationKeyArn`).
    pub destination_key: Option<KeyArn>,
    /// The custom key store (`customKeyStoreId`).
    pub store: Option<StoreId>,
    /// The custom key store of the key that was encrypted under, where there are two (`destinationCustomKeyStoreId`).
    pub destination_store: Option<StoreId>,
    /// The cluster of a CloudHSM key store (`clusterId`).
    pub cluster: Option<CloudHsmClusterId>,
    /// The key in the key manager: the external key (`xksKeyId`), or where the [`cluster`](Self::cluster) is named, its
    /// key (`backingKeyId`).
    pub backing_key: Option<BackingKeyId>,
    /// The encryption context (`encryptionContext`).
    pub encryption_context: Option<EncryptionContext>,
    /// That to encrypt with, where there are two (`destinationEncryptionContext`).
    pub destination_encryption_context: Option<EncryptionContext>,
    /// What else was asked for (`requestParameters`), or of an event of the service, what happened
    /// (`serviceEventDetails`). Nothing that is secret.
    pub parameters: AuditParameters,
    /// How it ended (`outcome`, `errorCode`, `errorMessage`).
    pub outcome: AuditOutcome,
}

impl AuditRecord {
    /// A call that was not answered yet.
    #[must_use]
    pub fn call(time: SystemTime, category: AuditCategory, operation: Operation) -> Self {
        Self {
            time: epoch::from_millis(epoch::millis(time)),
            operation,
            event_type: AuditEventType::Call,
            category,
            request_id: None,
            principal: None,
            source_address: None,
            key: None,
            destination_key: None,
            store: None,
            destination_store: None,
            cluster: None,
            backing_key: None,
            encryption_context: None,
            destination_encryption_context: None,
            parameters: AuditParameters::new(),
            outcome: AuditOutcome::Dropped,
        }
    }

    /// Something that happened by itself.
    #[must_use]
    pub fn service(time: SystemTime, operation: Operation, outcome: AuditOutcome) -> Self {
        let call = Self::call(time, AuditCategory::Management, operation);
        Self { event_type: AuditEventType::Service, outcome, ..call }
    }

    /// How a transition ended that somebody began: the state before, the state now and, if that is `FAILED`, why.
    ///
    /// An event of the service by the name of the operation that began it, such as
    /// [`Operation::CONNECT_CUSTOM_KEY_STORE`].
    #[must_use]
    pub fn transition(
        time: SystemTime,
        operation: Operation,
        (from, to): (ConnectionState, ConnectionState),
        code: Option<ConnectionErrorCode>,
    ) -> Self {
        let outcome = match code {
            Some(code) => {
                AuditOutcome::Failed { error: code.as_str().into(), message: code.meaning().into() }
            }
            None => AuditOutcome::Succeeded,
        };
        Self::service(time, operation, outcome)
            .with_parameter("from", from.as_str())
            .with_parameter("to", to.as_str())
    }

    /// The same with the id of the request.
    #[must_use]
    pub fn with_request_id(mut self, id: RequestId) -> Self {
        self.request_id = Some(id);
        self
    }

    /// The same with who called. An `Arc` is not copied.
    #[must_use]
    pub fn with_principal(mut self, principal: impl Into<Arc<str>>) -> Self {
        self.principal = Some(principal.into());
        self
    }

    /// The same with where the call came from.
    #[must_use]
    pub const fn with_source_address(mut self, address: IpAddr) -> Self {
        self.source_address = Some(address);
        self
    }

    /// The same with the KMS key.
    #[must_use]
    pub fn with_key(mut self, key: KeyArn) -> Self {
        self.key = Some(key);
        self
    }

    /// The same with the KMS key and the context that were encrypted under, where there are two.
    #[must_use]
    pub fn with_destination(mut self, key: KeyArn, context: EncryptionContext) -> Self {
        self.destination_key = Some(key);
        self.destination_encryption_context = Some(context);
        self
    }

    /// The same with the custom key store.
    #[must_use]
    pub fn with_store(mut self, store: StoreId) -> Self {
        self.store = Some(store);
        self
    }

    /// The same with the custom key store of the key that was encrypted under, where there are two.
    #[must_use]
    pub fn with_destination_store(mut self, store: StoreId) -> Self {
        self.destination_store = Some(store);
        self
    }

    /// The same with the cluster.
    #[must_use]
    pub fn with_cluster(mut self, cluster: CloudHsmClusterId) -> Self {
        self.cluster = Some(cluster);
        self
    }

    /// The same with the key in the key manager.
    #[must_use]
    pub fn with_backing_key(mut self, key: BackingKeyId) -> Self {
        self.backing_key = Some(key);
        self
    }

    /// The same with the encryption context. A clone of one is not a copy.
    #[must_use]
    pub fn with_encryption_context(mut self, context: EncryptionContext) -> Self {
        self.encryption_context = Some(context);
        self
    }

    /// The same with one more parameter, none that is secret.
    #[must_use]
    pub fn with_parameter(
        mut self,
        name: impl Into<Cow<'static, str>>,
        value: impl Into<AuditValue>,
    ) -> Self {
        self.parameters.insert(name, value);
        self
    }

    /// The same with how it ended.
    #[must_use]
    pub fn with_outcome(mut self, outcome: AuditOutcome) -> Self {
        self.outcome = outcome;
        self
    }

    /// As JSON, on one line.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// About how many bytes it takes in memory: for sinks that bound what waits.
    #[must_use]
    pub fn weight(&self) -> usize {
        let text = |text: Option<usize>| text.unwrap_or_default();
        let context = |context: &Option<EncryptionContext>| {
            context.as_ref().map_or(0, |context| context.canonical().len())
        };
        size_of::<Self>()
            + self.operation.as_str().len()
            + text(self.principal.as_ref().map(|principal| principal.len()))
            + context(&self.encryption_context)
            + context(&self.destination_encryption_context)
            + self.parameters.weight()
            + match &self.outcome {
                AuditOutcome::Failed { error, message } => error.len() + message.len(),
                AuditOutcome::Succeeded | AuditOutcome::Dropped => 0,
            }
    }
}
