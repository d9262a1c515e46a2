//! The bodies of requests and answers, by AWS's model of KMS.
//!
//! Reading is total: any bytes give a request or a [`Failure`](super::failure::Failure). It follows AWS where AWS's behaviour
//! is known: unknown members are passed over, `null` is absence, what is of the wrong type is `SerializationException`, what
//! breaks a rule is `ValidationException` with a message that names the member. Values are never repeated in messages, as they
//! may be secret. A member that is there twice is refused, since which of the two was meant nobody could say.

pub(super) mod answers;
mod checks;
mod context;
mod crypto_requests;
mod key_requests;
mod member;
mod names;
mod page;
mod rule;
mod store_requests;

pub(super) use crypto_requests::{decrypt, encrypt, generate_data_key, generate_random, re_encrypt};
pub(super) use key_requests::*;
pub(super) use store_requests::{
    Stores, create_custom_key_store, describe_custom_key_stores, store, update_custom_key_store,
};
