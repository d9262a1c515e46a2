//! The test vectors, for the tests beside the code.

use serde_json::Value;

/// The entries of one section of the file.
pub(crate) fn section(name: &str) -> Vec<Value> {
    let file: Value = serde_json::from_str(include_str!("../../tests/data/xks-vectors.json")).unwrap();
    file[name].as_array().unwrap().clone()
}

/// One entry of a section.
pub(crate) fn named(section_name: &str, name: &str) -> Value {
    section(section_name).into_iter().find(|entry| entry["name"] == name).unwrap()
}

/// A member that is a string.
pub(crate) fn text<'v>(entry: &'v Value, member: &str) -> &'v str {
    entry[member].as_str().unwrap()
}

/// Decodes Base64 the way that the rest of the world does.
pub(crate) fn base64(text: &str) -> Vec<u8> {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.decode(text).unwrap()
}

/// Decodes hexadecimal digits.
pub(crate) fn hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}
