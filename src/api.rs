//! An endpoint that AWS SDKs, AWS's command-line client and whatever else speaks to AWS KMS use with no change but its URL:
//! AWS KMS's protocol (JSON 1.1 over HTTP, signature version 4) over a [`Kms`].
//!
//! A [`KmsApi`] is a [`Service`] from an HTTP request to its answer. [`serve`] puts it behind a TCP listener, with TLS, limits
//! and a graceful end; or mount it in a server of one's own.
//!
//! ```no_run
//! use custom_key_store::api::{
//!     CallerCredential, CallerKeyId, CallerSecret, Callers, KmsApi, Principal, ServeOptions, ServerCertificate,
//!     TlsOptions, serve,
//! };
//! use custom_key_store::kms::Kms;
//!
//! # async fn example(kms: Kms) -> Result<(), Box<dyn std::error::Error>> {
//! let callers = Callers::new();
//! callers.add(
//!     CallerKeyId::new(std::env::var("PAYROLL_ACCESS_KEY_ID")?)?,
//!     CallerCredential::new(
//!         &CallerSecret::new(&std::env::var("PAYROLL_SECRET_ACCESS_KEY")?)?,
//!         &Principal::new("arn:aws:iam::111122223333:role/payroll")?,
//!     ),
//! )?;
//! let api = KmsApi::builder(kms, callers).build()?;
//!
//! let certificate = ServerCertificate::from_pem(&std::fs::read("chain.pem")?, &std::fs::read("key.pem")?)?;
//! let options = ServeOptions::https(TlsOptions::new(certificate)?);
//! let listener = tokio::net::TcpListener::bind("0.0.0.0:443").await?;
//! let (serving, handle) = serve(listener, api, options);
//! serving.await; // until `handle.shut_down()`
//! # drop(handle);
//! # Ok(()) }
//! ```
//!
//! and then, on another machine, with the same two keys in its environment:
//!
//! ```text
//! aws kms describe-custom-key-stores --region eu-central-1 --endpoint-url https://kms.example.com
//! ```
//!
//! # In which order a request is checked
//!
//! A load balancer's question at the [ping path](KmsApiBuilder::ping_path) is answered before all of it, neither counted nor
//! logged. Of the others the first failure is the answer:
//!
//! 1. how many requests this peer has sent (`ThrottlingException`; the connection is closed);
//! 2. the path (404) and the method (405), both `UnknownOperationException`;
//! 3. the length of the body, if it is announced (413 `RequestEntityTooLargeException`; the connection is closed);
//! 4. what the headers say of the signature: that there is one (`MissingAuthenticationTokenException`), its form
//!    (`IncompleteSignatureException`), its day, Region, service and clock, the [host](KmsApiBuilder::hosts) and that the signed
//!    headers are there (`InvalidSignatureException`), and the access key id (`UnrecognizedClientException`): of a stranger's
//!    body nothing is kept. Up to 64 KiB of it that come within a second are thrown away, so that he hears the answer, and
//!    otherwise the connection is closed;
//! 5. the body, while it is read: its length (413 `RequestEntityTooLargeException`), the
//!    [memory](KmsApiBuilder::body_memory) for it (`ThrottlingException`), that it is there in time
//!    (`RequestTimeoutException`) and whole (`SerializationException`); the connection is closed;
//! 6. the signature itself (`InvalidSignatureException`) and the session token (`UnrecognizedClientException`);
//! 7. the content type and the operation: `UnknownOperationException`, or `UnsupportedOperationException`, which names the
//!    operation, for those of AWS KMS that are not had here; who cannot say who he is learns neither;
//! 8. the JSON (`SerializationException`), then the rules of its members (`ValidationException`), of which several may be
//!    broken at once;
//! 9. what [`Kms`] checks: the [rules](crate::kms::Rules) of who may do what, names, states, quotas, in the end the key
//!    manager.
//!
//! Every answer has an `x-amzn-RequestId`, which is also what key managers, the audit trail and the access log know the request
//! by. Errors have AWS's names in `__type` and in `x-amzn-ErrorType`, and the status 400; `KMSInternalException` and
//! `KeyUnavailableException` have 500, `DependencyTimeoutException` 503.
//!
//! # Where it differs from AWS KMS
//!
//! | what | here | why |
//! |---|---|---|
//! | `CreateKey` without `CustomKeyStoreId` | `UnsupportedOperationException` | there are KMS keys in custom key stores alone |
//! | `GetKeyPolicy` | the one policy that every key has | who may do what is said by [rules](crate::kms::Rules) |
//! | `PutKeyPolicy`, `Policy` in `CreateKey` | `UnsupportedOperationException` | a policy that is kept and not enforced would be a lie |
//! | grants and `GrantTokens` | `UnsupportedOperationException`, which names them; an empty list is none | the same |
//! | `GetKeyLastUsage` | `UnsupportedOperationException` | what a key was used for is in the audit trail |
//! | an ARN that is none of a key, a marker that is none of a list of key policies | `InvalidArnException` and `ValidationException`, by what AWS documents for the operation | AWS does not say more |
//! | `Recipient` | `UnsupportedOperationException` | nobody here checks attestations |
//! | `DryRunModifiers` | `UnsupportedOperationException` | a dry run checks the ciphertext too |
//! | rotation, imported and asymmetric keys, MACs, replicas | `UnsupportedOperationException`, as AWS has it for custom key stores | custom key stores do not have them |
//! | `KeyUsage`, `KeySpec`, `MultiRegion` that custom key stores do not have | `UnsupportedOperationException`, which AWS documents for `CreateKey` | AWS does not say which error it is |
//! | parameters that contradict each other | `ValidationException` | the same |
//! | another `EncryptionAlgorithm` | `InvalidKeyUsageException`, which AWS documents for that | |
//! | a member that is there twice | `SerializationException` | which of the two was meant nobody could say |
//! | a number in an encryption context | the text that it is written as: `1.0` is not `1` | AWS does not say how it writes numbers |
//! | `null` as a value in an encryption context | `ValidationException` | to leave the pair out would change what is authenticated |
//! | messages of `ValidationException` | AWS's words, but never the value | it may be a secret |
//! | `ListAliases` and `ListResourceTags` with a greater `Limit` than AWS documents | pages of 100 and 50, as if it were documented | pages may be shorter than asked for |
//! | a message of `__type` | as AWS, without the namespace that some of its services put before it | |
//! | signatures in the query string | not taken | SDKs send none for this service |
//! | a signature that does not cover `X-Amz-Target` | `IncompleteSignatureException` | anybody on the way could make another operation of it |
//! | operations that answer nothing | `{}` in place of an empty body | no client minds, and some want JSON |
//! | what [`Kms`] decides otherwise | see [there](crate::kms) | |
//!
//! # What it logs
//!
//! Each request is one event of `tracing`, at `INFO` when it succeeded, `WARN` when it was refused and `ERROR` when something
//! here failed: operation, principal, the access key id that it claims, request id, peer, status, error, the message that was
//! sent, what the caller is not told of its reason, and the time taken. Never a plaintext, a ciphertext, a body, a secret, a
//! signature or an `Authorization` header. What comes from the caller is cut and escaped, so that it cannot forge a line.
//!
//! # What it leaves in the audit trail
//!
//! What [`Kms`] refuses, [`Kms`] writes down. What is refused before, to a caller whose signature was right (steps 7 and 8), is
//! a line too: who, which operation, the request id, the name of the error and its message, and nothing of the body. Such lines
//! cost whoever causes them nothing, so that there is a [limit](crate::kms::KmsBuilder::audit_refusals) for each principal,
//! beyond which they are counted. Requests of which nobody knows who sent them (steps 1 to 6) are counted alone, by the names of
//! the errors: without a key nobody can fill the medium of the trail. A count is a line `CountRefusedCalls`, at most one a
//! minute for each principal and one for all who are unknown; the access log has each request.
//!
//! # What it does not do
//!
//! - **Prevent a replay** within the five minutes for which a signature holds, as AWS does not: two honest requests of one
//!   second have the same signature in several SDKs. What is older is refused, and so is what comes from the future.
//! - **Decide who may do what.** [`Kms`] does; without [rules](crate::kms::Rules) every caller is an administrator, of which
//!   [`build`](KmsApiBuilder::build) warns.
//! - **Wipe what is not its own**: the buffers of HTTP, TLS and the operating system carry plaintexts too.
//! - **Withstand a crowd**: limits of rate and of connections are for each peer, what all peers share is bounded and can be
//!   used up by many of them. Keeping strangers out is the network's affair, or that of mutual TLS, which comes before HTTP.
//!
//! [`Kms`]: crate::kms::Kms
//! [`Service`]: tower_service::Service

mod answer;
mod auth;
mod builder;
mod callers;
mod failure;
mod hosts;
mod log;
mod operate;
mod pipeline;
mod service;
mod target;
mod wire;

pub use crate::RateLimit;
pub use crate::serve::{
    CertificateHandle, ClientIdentity, Drained, InvalidTls, Peer, ServeOptions, ServerCertificate,
    ServerHandle, Serving, TlsOptions, serve,
};
pub use builder::{KmsApiBuilder, SetupError};
pub use callers::{
    CallerCredential, CallerKeyId, CallerResolver, CallerSecret, Callers, Principal, SessionToken,
};
pub use service::KmsApi;
