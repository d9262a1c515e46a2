//! The code that a row carries.

use aws_lc_rs::hmac;

use super::error::{CatalogError, CatalogErrorKind};
use super::row::Row;
use crate::crypto::{KEY_LEN, RootKey};

/// Makes and checks the codes: HMAC-SHA-256 over all other columns, each behind its length.
pub(super) struct MacKey(hmac::Key);

impl MacKey {
    pub(super) fn new(root: &RootKey) -> Self {
        let key = root.derive::<KEY_LEN>("custom-key-store catalog row v1", &[]);
        Self(hmac::Key::new(hmac::HMAC_SHA256, key.as_slice()))
    }

    pub(super) fn sign(&self, row: &mut Row) {
        let code = self.code(row);
        row.mac.copy_from_slice(code.as_ref());
    }

    pub(super) fn check(&self, row: &Row) -> Result<(), CatalogError> {
        let expected = self.code(row);
        aws_lc_rs::constant_time::verify_slices_are_equal(expected.as_ref(), &row.mac)
            .map_err(|_| CatalogError::at(CatalogErrorKind::Altered, row.table, row.id.clone()))
    }

    fn code(&self, row: &Row) -> hmac::Tag {
        let Row { table, id, version, owner, unique, due, body, mac: _ } = row;
        let mut code = hmac::Context::with_key(&self.0);
        let mut part = |bytes: &[u8]| {
            code.update(&(bytes.len() as u64).to_be_bytes());
            code.update(bytes);
        };
        part(table.as_str().as_bytes());
        part(id.as_bytes());
        part(&version.to_be_bytes());
        for text in [owner, unique] {
            part(&[u8::from(text.is_some())]);
            part(text.as_deref().unwrap_or_default().as_bytes());
        }
        part(&[u8::from(due.is_some())]);
        part(&due.unwrap_or_default().to_be_bytes());
        part(body);
        code.sign()
    }
}
