//! The client of the XKS protocol against servers on loopback that answer by a script, and badly when told to.
//!
//! Row ids are those of the XKS checklist; `xks_client/ROWS.md` says which test shows which row. Nothing here sleeps:
//! whatever must take time does so on a clock that the test moves, and everything else is awaited, with a guard of
//! five seconds against hanging.

mod answers;
mod authority;
mod building;
mod counting;
mod errors;
mod faults;
mod fixture;
mod requests;
mod server;
mod sigv4;
mod silence;
mod tls;
mod updating;
