//! The whole life of stores and keys.

mod keys;
mod stores;
mod uses;
