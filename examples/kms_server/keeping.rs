//! What outlives the process: the catalogue, and the key that it is sealed under.

use std::error::Error;
use std::path::Path;

use custom_key_store::SealingKey;
use custom_key_store::audit::{self, AuditErrorKind, AuditLog};
use custom_key_store::catalog::{Catalog as _, CatalogError, Ledger, SqliteCatalog};

use crate::config::Settings;
use crate::making;

/// Opens what there is, or makes it: the key by whoever has the catalogue, of whom there is one, so that what is sealed is
/// sealed by the key that stays.
pub(crate) async fn ledger(settings: &Settings) -> Result<Ledger, Box<dyn Error>> {
    let (path, key, identity) = (settings.catalog(), settings.sealing_key(), settings.identity()?);
    let ledger = if settings.verify {
        // Nothing is made where something is to be checked.
        if !path.try_exists()? {
            return Err(format!("{}: there is no catalogue to be checked", path.display()).into());
        }
        Ledger::open(SqliteCatalog::open(&path).await?, &SealingKey::from_file(&key)?).await?
    } else {
        making::folder(&settings.folder)
            .map_err(|error| format!("{}: {error}", settings.folder.display()))?;
        let catalog = SqliteCatalog::open_or_create(&path).await?;
        let sealer = sealing_key(&key, &catalog).await?;
        Ledger::open_or_create(catalog, &sealer, identity.clone()).await?
    };
    let found = ledger.identity();
    if settings.identity.is_some() && *found != identity {
        return Err(format!(
            "{}: the catalogue is that of partition {}, region {} and account {}, not of those in [identity]",
            path.display(),
            found.partition,
            found.region,
            found.account
        )
        .into());
    }
    Ok(ledger)
}

/// Checks every row of the catalogue, and every line of the audit log; says what it found, and closes both.
pub(crate) async fn verify(ledger: &Ledger, settings: &Settings) -> Result<(), Box<dyn Error>> {
    let rows = ledger.verify().await?;
    println!("catalogue: {} rows, {} of them altered", rows.rows, rows.altered.len());
    let mut is_intact = rows.altered.is_empty();
    // Looked at as it is: to open it would put in order what a crash has left, and write a line.
    let files = settings.audit_log.as_ref().map_or_else(|| Ok(Vec::new()), AuditLog::files)?;
    match audit::verify(ledger, files).await {
        Ok(report) if settings.audit_log.is_some() => {
            println!("audit log: {report}");
            is_intact &= report.is_intact_or_unfinished();
        }
        Ok(report) if report.head == Some(0) => println!("audit log: none, and the catalogue knows of none"),
        // What is wrong with it nobody can say who does not know where it is.
        Ok(_) => {
            let missing = "the catalogue knows of an audit log: give it with --audit-log FILE, or as `audit_log` in \
                           the configuration, to have it checked too";
            ledger.close().await?;
            return Err(missing.into());
        }
        Err(error) if error.kind() == AuditErrorKind::Altered => {
            println!("audit log: {error}");
            if let Some(cause) = error.source() {
                println!("  because {cause}");
            }
            is_intact = false;
        }
        Err(error) => return Err(error.into()),
    }
    ledger.close().await?;
    if is_intact { Ok(()) } else { Err("what is kept is not as it was written".into()) }
}

/// A new sealing key is for an empty catalogue only: of any other it opens nothing. That a catalogue is empty says who has it,
/// and not whether there is a file: a start may have ended between the two.
async fn sealing_key(path: &Path, catalog: &SqliteCatalog) -> Result<SealingKey, Box<dyn Error>> {
    Ok(match SealingKey::from_file(path) {
        // What cannot be looked at may be there.
        Err(error) if error.is_not_found() && is_empty(catalog).await? => SealingKey::create_file(path)?,
        found => found?,
    })
}

async fn is_empty(catalog: &SqliteCatalog) -> Result<bool, CatalogError> {
    Ok(catalog.snapshot().await?.next().await?.is_none())
}
