//! Integration tests, from the outside: one module for each promise, in one binary to link once.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod audit;
mod blobs;
mod catalog;
mod conformance;
mod connecting;
mod deleting;
mod describing;
mod disconnecting;
mod envelope;
mod erased;
mod errors;
mod hostile;
mod keys;
mod kms;
mod kms_api;
mod kms_rules;
mod ledger;
mod listening;
mod machine;
mod recording;
mod restart;
mod reviewed;
mod sealing;
mod secrets;
mod serving;
mod software;
mod starting;
mod support;
mod threads;
mod updating;
mod using;
mod values;
mod xks_both;
mod xks_client;
mod xks_proxy;
