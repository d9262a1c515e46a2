//! Many custom key stores by id.

mod apart;
mod life;
mod matrix;
mod restart;
pub(crate) mod support;
