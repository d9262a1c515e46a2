//! What outlives the process: the catalogue, and the key that it is sealed under.

use std::error::Error;
use std::path::Path;

use custom_key_store::SealingKey;
use custom_key_store::audit::{self, AuditErrorKind, AuditLog};
use custom_key_store::catalog::{CatalogError, CatalogErrorKind, Ledger, SqliteCatalog};

use crate::config::Settings;
use crate::made::Made;

pub(crate) async fn ledger(settings: &Settings, made: &mut Made) -> Result<Ledger, Box<dyn Error>> {
    let catalog = settings.catalog();
    if settings.verify && !catalog.try_exists()? {
        // Nothing is made where something is to be checked.
        return Err(format!("{}: there is no catalogue to be checked", catalog.display()).into());
    }
    made.folder(&settings.folder).map_err(|error| format!("{}: {error}", settings.folder.display()))?;
    let sealer = sealing_key(&settings.sealing_key(), &catalog, made)?;
    let identity = settings.identity()?;
    let opened = open_or_create(&catalog, made).await?;
    let ledger = Ledger::open_or_create(opened, &sealer, identity.clone()).await?;
    let found = ledger.identity();
    if settings.identity.is_some() && *found != identity {
        return Err(format!(
            "{}: the catalogue is that of partition {}, region {} and account {}, not of those in [identity]",
            catalog.display(),
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

/// One that is new is known to be this process's.
async fn open_or_create(path: &Path, made: &mut Made) -> Result<SqliteCatalog, CatalogError> {
    match SqliteCatalog::create(path).await {
        Ok(new) => {
            // With its companions, as far as they are there.
            for companion in ["", ".lock", "-wal", "-shm"] {
                let mut name = path.to_owned().into_os_string();
                name.push(companion);
                made.file(name);
            }
            Ok(new)
        }
        Err(error) if error.kind() == CatalogErrorKind::AlreadyExists => SqliteCatalog::open(path).await,
        Err(error) => Err(error),
    }
}

/// A new sealing key is for a new catalogue only: of one that is there it opens nothing.
fn sealing_key(path: &Path, catalog: &Path, made: &mut Made) -> Result<SealingKey, Box<dyn Error>> {
    Ok(match SealingKey::from_file(path) {
        // What cannot be looked at may be there.
        Err(error) if error.is_not_found() && matches!(catalog.try_exists(), Ok(false)) => {
            let new = SealingKey::create_file(path)?;
            made.file(path);
            new
        }
        found => found?,
    })
}
