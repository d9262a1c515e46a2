//! What is left out of a line that costs its caller nothing.

use std::collections::BTreeMap;

use crate::audit::{AuditRecord, AuditValue};
use crate::crypto::EncryptionContext;

/// How many bytes of JSON a caller may have written down of what he gives himself at any length.
const MOST: usize = 1024;

/// The parameter that says what is left out, and of how many it was.
const LEFT_OUT: &str = "leftOut";

/// Leaves out what is long: an encryption context and tags, as soon as there is more of them in all than so many bytes. Says
/// how many pairs or tags each of them was of. Everything else in a record is bounded by what it is.
#[cold]
pub(super) fn shorten(record: &mut AuditRecord) {
    let mut left = MOST;
    let mut left_out = BTreeMap::new();
    let contexts = [
        ("EncryptionContext", &mut record.encryption_context),
        ("DestinationEncryptionContext", &mut record.destination_encryption_context),
    ];
    for (name, context) in contexts {
        if let Some(given) = context
            && !take(&mut left, context_len(given))
        {
            left_out.insert(name, given.iter().count());
            *context = None;
        }
    }
    for name in ["Tags", "TagKeys"] {
        let Some(tags) = record.parameters.get(name) else { continue };
        if !take(&mut left, tags.to_json().len()) {
            left_out.insert(name, tags.entries());
            record.parameters.remove(name);
        }
    }
    if !left_out.is_empty() {
        record.parameters.insert(LEFT_OUT, AuditValue::of(&left_out));
    }
}

fn take(left: &mut usize, bytes: usize) -> bool {
    let rest = left.checked_sub(bytes);
    *left = rest.unwrap_or(*left);
    rest.is_some()
}

/// In JSON, where a character may take six bytes.
fn context_len(context: &EncryptionContext) -> usize {
    AuditValue::of(&context.iter().collect::<BTreeMap<_, _>>()).to_json().len()
}
