//! What outlives the process: the catalogue, and the key that it is sealed under.

use std::error::Error;
use std::path::{Path, PathBuf};

use custom_key_store::SealingKey;
use custom_key_store::audit::{self, AuditErrorKind, AuditLog, AuditSink as _};
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
    if let Some(path) = &settings.audit_log {
        // What a crash left is put in order by opening it; what somebody changed is left as it is, and looked at.
        let report = match AuditLog::open(ledger, path).await {
            Ok(log) => {
                let report = log.verify().await?;
                log.close().await?;
                report
            }
            Err(error) if matches!(error.kind(), AuditErrorKind::Altered | AuditErrorKind::CutOff) => {
                is_intact = false;
                println!("audit log: {error}");
                audit::verify(ledger, files_of(path)?).await?
            }
            Err(error) => return Err(error.into()),
        };
        println!("audit log: {report}");
        is_intact &= report.is_intact();
    }
    ledger.close().await?;
    if is_intact { Ok(()) } else { Err("what is kept is not as it was written".into()) }
}

/// The files of an audit log: the one that is written to, and those that are full, which are named after it.
fn files_of(path: &Path) -> std::io::Result<Vec<PathBuf>> {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let is_full = |name: &str| name.starts_with(&format!("{stem}.")) && name.ends_with(".jsonl");
    let mut files = vec![path.to_owned()];
    for entry in path.parent().unwrap_or_else(|| Path::new(".")).read_dir()? {
        let entry = entry?.path();
        let name = entry.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if entry != path && is_full(&name) {
            files.push(entry);
        }
    }
    Ok(files)
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
