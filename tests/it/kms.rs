//! Many custom key stores by id.

mod apart;
mod events;
mod exceptions;
mod inside;
mod life;
mod matrix;
mod random;
mod restart;
mod reviewed;
pub(crate) mod support;
mod threads;
pub(crate) mod trail;
mod updates;
