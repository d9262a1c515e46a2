//! What does not compile, and what does: every method of `KeyStore<S>` in every state.
//!
//! The table says in which states each method exists. From it come the programs under `tests/ui`: those
//! under `fail` make every illegal call, and the compiler's words are kept as snapshots; those under `pass` make
//! every legal one, on a real store. The README says how to refresh them.

pub mod fixtures;

#[cfg(test)]
mod programs;
#[cfg(test)]
mod snapshots;
#[cfg(test)]
mod surface;
#[cfg(test)]
mod table;
