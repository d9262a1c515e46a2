//! What can be wrong with a configuration, found out before anything is made.

use std::error::Error;

use custom_key_store::kms::Authorizer as _;
use custom_key_store::{Identity, SealingKey};

use crate::config::Settings;
use crate::{backends, callers, making};

/// Makes nothing, and changes nothing.
pub(crate) fn check(settings: &Settings, identity: &Identity) -> Result<(), Box<dyn Error>> {
    if let Some(rules) = &settings.rules {
        rules.check(identity).map_err(|error| format!("[[rules]]: {error}"))?;
    }
    drop(backends::backends(settings, identity)?);
    callers::check(settings, identity)?;
    let (catalog, key) = (settings.catalog(), settings.sealing_key());
    match SealingKey::from_file(&key) {
        // It is made, or missed when it is known whether it may be.
        Err(error) if error.is_not_found() => {}
        found => drop(found?),
    }
    for file in [Some(&catalog), Some(&key), settings.audit_log.as_ref()].into_iter().flatten() {
        making::has_place(file, Some(&settings.folder))?;
    }
    Ok(())
}
