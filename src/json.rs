//! JSON without an intermediate tree: objects of which some members are wanted, and documents written into one buffer that
//! is wiped.

mod body;
mod members;
mod writer;

pub(crate) use body::EncodedBody;
pub(crate) use members::{Unread, members};
pub(crate) use writer::{Writer, base64_len};
