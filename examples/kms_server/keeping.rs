//! What outlives the process: the catalogue, the key that it is sealed under, and the audit log.

use std::error::Error;
use std::path::Path;

use custom_key_store::SealingKey;
use custom_key_store::audit::{self, AuditError, AuditErrorKind, AuditLog};
use custom_key_store::catalog::{Catalog as _, CatalogError, CatalogErrorKind, Ledger, SqliteCatalog};

use crate::config::Settings;
use crate::making;
use crate::say::say;

/// Opens what there is, or makes it: the key by whoever has the catalogue, of whom there is one, so that what is sealed is
/// sealed by the key that stays.
pub(crate) async fn ledger(settings: &Settings) -> Result<Ledger, Box<dyn Error>> {
    let (path, key, identity) = (settings.catalog(), settings.sealing_key(), settings.identity()?);
    let ledger = if settings.verify {
        // Nothing is made where something is to be checked.
        if !path.try_exists()? {
            return Err(format!("{}: there is no catalogue to be checked", path.display()).into());
        }
        let catalog = SqliteCatalog::open(&path).await.map_err(|error| not_opened(&path, error))?;
        Ledger::open(catalog, &SealingKey::from_file(&key)?).await?
    } else {
        making::folder(&settings.folder)
            .map_err(|error| format!("{}: {error}", settings.folder.display()))?;
        let catalog = SqliteCatalog::open_or_create(&path).await.map_err(|error| not_opened(&path, error))?;
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

fn not_opened(path: &Path, error: CatalogError) -> Box<dyn Error> {
    if error.kind() != CatalogErrorKind::InUse {
        return error.into();
    }
    let shown = path.display();
    format!("{shown}: {error}: end the server that uses it, or give another folder with --folder").into()
}

const LOG_NOT_GIVEN: &str = "the catalogue knows of an audit log: give it with --audit-log FILE, or as `audit_log` in the \
                             configuration";

/// The audit log, if there is to be one. Where there was one, nothing is served without it.
pub(crate) async fn audit_log(
    ledger: &Ledger,
    settings: &Settings,
) -> Result<Option<AuditLog>, Box<dyn Error>> {
    let Some(path) = &settings.audit_log else {
        let no_files: [&Path; 0] = [];
        let known = audit::verify(ledger, no_files).await?;
        return if known.head == Some(0) {
            Ok(None)
        } else {
            Err(format!("{LOG_NOT_GIVEN}; if it is lost, give --begin-audit-log-anew too").into())
        };
    };
    let mut builder = AuditLog::builder(ledger);
    if settings.begin_audit_log_anew {
        builder = builder.begin_anew();
    }
    let opened = builder.open(path).await;
    Ok(Some(opened.map_err(|error| match error.kind() {
        AuditErrorKind::CutOff | AuditErrorKind::Altered => damaged(path, &error).into(),
        _ => Box::<dyn Error>::from(error),
    })?))
}

/// What is wrong with a log, and the ways on.
fn damaged(path: &Path, error: &AuditError) -> String {
    let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
    let way = "find out who did that; then --begin-audit-log-anew keeps what is there under another name, and begins a new \
               file";
    // Of what is not there the likeliest is that it is elsewhere.
    let elsewhere = if path.exists() {
        ""
    } else {
        "; the catalogue knows the end of a log that is not in this file: if it is in another, give that with --audit-log; \
         or"
    };
    format!("{error}{cause}{elsewhere}; {way}")
}

/// Checks every row of the catalogue, and every line of the audit log; says what it found, and closes both.
pub(crate) async fn verify(ledger: &Ledger, settings: &Settings) -> Result<(), Box<dyn Error>> {
    let rows = ledger.verify().await?;
    say(format_args!("catalogue: {} rows, {} of them altered", rows.rows, rows.altered.len()));
    let mut is_intact = rows.altered.is_empty();
    // Looked at as it is: to open it would put in order what a crash has left, and write a line.
    let files = settings.audit_log.as_ref().map_or_else(|| Ok(Vec::new()), AuditLog::files)?;
    match audit::verify(ledger, files).await {
        Ok(report) if settings.audit_log.is_some() => {
            say(format_args!("audit log: {report}"));
            is_intact &= report.is_intact_or_unfinished();
        }
        Ok(report) if report.head == Some(0) => say("audit log: none, and the catalogue knows of none"),
        // What is wrong with it nobody can say who does not know where it is.
        Ok(_) => {
            ledger.close().await?;
            return Err(format!("{LOG_NOT_GIVEN}, to have it checked too").into());
        }
        Err(error) if error.kind() == AuditErrorKind::Altered => {
            say(format_args!("audit log: {error}"));
            if let Some(cause) = error.source() {
                say(format_args!("  because {cause}"));
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
