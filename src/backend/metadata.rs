//! On whose behalf a request is made, and by which operation.

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;

/// What a key manager is told of a request besides the request itself, for its authorization and its log.
///
/// Corresponds to `requestMetadata` of the XKS protocol. None of it is secret, none of it is to be parsed:
/// a principal is not always an ARN, and operations that do not exist yet will come.
///
/// ```
/// use custom_key_store::backend::{Operation, RequestId, RequestMetadata};
///
/// let id = RequestId::from("b1a3…");
/// let metadata = RequestMetadata::new("AWS Internal", &Operation::ENCRYPT, &id)
///     .with_kms_key_arn("arn:aws:kms:us-east-1:111122223333:key/example");
/// assert_eq!(metadata.operation.as_str(), "Encrypt");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct RequestMetadata<'a> {
    /// Who called (`awsPrincipalArn`).
    pub principal: &'a str,
    /// What was called (`kmsOperation`).
    pub operation: &'a Operation,
    /// Finds the request again in the logs of every party (`kmsRequestId`).
    pub request_id: &'a RequestId,
    /// The KMS key that is being used (`kmsKeyArn`).
    pub kms_key_arn: Option<&'a str>,
    /// The VPC that the call came from, when it came through a VPC endpoint (`awsSourceVpc`).
    pub source_vpc: Option<&'a str>,
    /// The VPC endpoint that the call came through (`awsSourceVpce`).
    pub source_vpc_endpoint: Option<&'a str>,
    /// The service that called on the principal's behalf (`kmsViaService`).
    pub via_service: Option<&'a str>,
}

impl<'a> RequestMetadata<'a> {
    /// Metadata with what every request has.
    #[must_use]
    pub const fn new(principal: &'a str, operation: &'a Operation, request_id: &'a RequestId) -> Self {
        Self {
            principal,
            operation,
            request_id,
            kms_key_arn: None,
            source_vpc: None,
            source_vpc_endpoint: None,
            via_service: None,
        }
    }

    /// The same with the KMS key.
    #[must_use]
    pub const fn with_kms_key_arn(mut self, arn: &'a str) -> Self {
        self.kms_key_arn = Some(arn);
        self
    }

    /// The same with where the call came from.
    #[must_use]
    pub const fn with_source(mut self, vpc: Option<&'a str>, vpc_endpoint: Option<&'a str>) -> Self {
        self.source_vpc = vpc;
        self.source_vpc_endpoint = vpc_endpoint;
        self
    }

    /// The same with the service that called.
    #[must_use]
    pub const fn with_via_service(mut self, service: Option<&'a str>) -> Self {
        self.via_service = service;
        self
    }
}

/// The KMS operation behind a request. Any word is one: those known today are constants.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Operation(Cow<'static, str>);

impl Operation {
    /// `CreateCustomKeyStore`
    pub const CREATE_CUSTOM_KEY_STORE: Self = Self(Cow::Borrowed("CreateCustomKeyStore"));
    /// `ConnectCustomKeyStore`
    pub const CONNECT_CUSTOM_KEY_STORE: Self = Self(Cow::Borrowed("ConnectCustomKeyStore"));
    /// `UpdateCustomKeyStore`
    pub const UPDATE_CUSTOM_KEY_STORE: Self = Self(Cow::Borrowed("UpdateCustomKeyStore"));
    /// `KmsHealthCheck`: the periodic probe, which is no public operation.
    pub const HEALTH_CHECK: Self = Self(Cow::Borrowed("KmsHealthCheck"));
    /// `CreateKey`
    pub const CREATE_KEY: Self = Self(Cow::Borrowed("CreateKey"));
    /// `DeleteKey`: the end of a deletion window, which is no public operation.
    pub const DELETE_KEY: Self = Self(Cow::Borrowed("DeleteKey"));
    /// `DescribeKey`
    pub const DESCRIBE_KEY: Self = Self(Cow::Borrowed("DescribeKey"));
    /// `Encrypt`
    pub const ENCRYPT: Self = Self(Cow::Borrowed("Encrypt"));
    /// `Decrypt`
    pub const DECRYPT: Self = Self(Cow::Borrowed("Decrypt"));
    /// `ReEncrypt`
    pub const RE_ENCRYPT: Self = Self(Cow::Borrowed("ReEncrypt"));
    /// `GenerateDataKey`
    pub const GENERATE_DATA_KEY: Self = Self(Cow::Borrowed("GenerateDataKey"));
    /// `GenerateDataKeyWithoutPlaintext`
    pub const GENERATE_DATA_KEY_WITHOUT_PLAINTEXT: Self =
        Self(Cow::Borrowed("GenerateDataKeyWithoutPlaintext"));
    /// `GenerateRandom`
    pub const GENERATE_RANDOM: Self = Self(Cow::Borrowed("GenerateRandom"));

    /// An operation by its name.
    #[must_use]
    pub fn new(name: impl Into<Cow<'static, str>>) -> Self {
        Self(name.into())
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Operation({})", self.0)
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// An opaque name for one request.
///
/// The store makes its own, in the form of a UUID; those of others are kept as they are.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct RequestId(Form);

#[derive(Clone, PartialEq, Eq, Hash)]
enum Form {
    Uuid(u128),
    Other(Arc<str>),
}

thread_local! {
    /// A random number for the thread, and how many ids it has made.
    static MADE: Cell<Option<(u64, u64)>> = const { Cell::new(None) };
}

impl RequestId {
    /// A new id, unlike every other of this process and, all but certainly, of others; a process that forks without
    /// an exec makes the same ones twice. It can be guessed: nothing may depend on its secrecy.
    ///
    /// Costs a nanosecond or two, since it must not be felt beside a call.
    #[must_use]
    pub fn generate() -> Self {
        let (thread, count) = MADE.with(|made| {
            let (thread, count) = made.get().unwrap_or_else(|| (RandomState::new().hash_one(0_u8), 0));
            made.set(Some((thread, count.wrapping_add(1))));
            (thread, count)
        });
        let number = (u128::from(thread) << 64) | u128::from(count);
        // Version 8 and variant 1 of RFC 9562: "the bits are our own business". They cut four bits off
        // the thread's number, and none off a count that anybody reaches.
        Self(Form::Uuid((number & !(0xf << 76) & !(0x3 << 62)) | (0x8 << 76) | (0x2 << 62)))
    }
}

/// A UUID in its canonical form is kept as a number, so that an id equals itself read back.
impl From<&str> for RequestId {
    fn from(id: &str) -> Self {
        let number = || u128::from_str_radix(&id.split('-').collect::<String>(), 16).ok();
        // The length first: ids come from peers, and may be long.
        let uuid = (id.len() == 36).then(number).flatten().map(|number| Self(Form::Uuid(number)));
        match uuid {
            Some(uuid) if uuid.to_string() == id => uuid,
            _ => Self(Form::Other(id.into())),
        }
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Form::Other(id) => f.pad(id),
            Form::Uuid(number) => {
                let hex = format!("{number:032x}");
                let (a, rest) = hex.split_at(8);
                let (b, rest) = rest.split_at(4);
                let (c, rest) = rest.split_at(4);
                let (d, e) = rest.split_at(4);
                f.pad(&format!("{a}-{b}-{c}-{d}-{e}"))
            }
        }
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RequestId({self})")
    }
}
