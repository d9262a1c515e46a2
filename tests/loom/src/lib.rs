//! The crate's own gate, compiled against loom's primitives in place of std's.
//!
//! The gate takes its primitives from `crate::sync`. In the library that is a list of std's; here it is a list
//! of loom's. So the very source that ships is checked, and the library needs no `cfg` for it.
#![cfg(test)]

mod sync {
    pub(crate) use loom::sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    };
}

#[path = "../../../src/store/gate.rs"]
mod gate;

mod model;
