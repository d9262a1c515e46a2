//! What can be wrong with the conditions of a commit.

use custom_key_store::catalog::{CatalogError, CatalogErrorKind as Kind, Edit, Row};

use super::Flaw;

const fn is_condition(edit: &Edit) -> bool {
    matches!(edit, Edit::Require { .. } | Edit::RequireNone { .. })
}

pub(super) fn without(mut edits: Vec<Edit>) -> Vec<Edit> {
    edits.retain(|edit| !is_condition(edit));
    edits
}

/// What becomes of conditions before a commit is made.
pub(super) fn altered(flaw: Flaw, mut edits: Vec<Edit>, before: &[Row]) -> Result<Vec<Edit>, CatalogError> {
    match flaw {
        Flaw::IgnoresRequire => edits.retain(|edit| !matches!(edit, Edit::Require { .. })),
        Flaw::IgnoresRequireNone => edits.retain(|edit| !matches!(edit, Edit::RequireNone { .. })),
        Flaw::RequiresAtFirst => edits.sort_by_key(|edit| !is_condition(edit)),
        _ => {}
    }
    for edit in &edits {
        let (table, id) = edit.place();
        let mut rows = before.iter().filter(|row| row.table == table);
        let refused = match (edit, flaw) {
            (Edit::Require { .. }, Flaw::RequiresTheFirstVersion) => {
                rows.any(|row| row.id == id && row.version > 1)
            }
            (Edit::RequireNone { .. }, Flaw::RequiresNoneOfAnybody) => rows.next().is_some(),
            _ => false,
        };
        if refused {
            return Err(CatalogError::at(Kind::Conflict, table, id));
        }
    }
    Ok(edits)
}
