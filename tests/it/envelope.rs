//! Envelopes, from the outside: one module for each promise.

mod cache;
mod golden;
mod ranges;
mod records;
mod streams;
mod streams_async;
mod support;
mod sweeping;
