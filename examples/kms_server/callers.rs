//! Who may call, and the files of their secrets.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::error::Error;
use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::path::Path;

use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use custom_key_store::Identity;
use custom_key_store::api::{CallerCredential, CallerKeyId, CallerSecret, Callers, Principal};

use crate::config::{CallerSettings, Settings};
use crate::making;
use crate::shell::word;

/// Whether those that are there can be read, and the others made.
pub(crate) fn check(settings: &Settings, identity: &Identity) -> Result<(), Box<dyn Error>> {
    let (callers, mut new) = (Callers::new(), BTreeSet::new());
    for caller in configured(settings, identity).iter() {
        let file = &caller.credentials_file;
        let checked = match Pair::of_file(file) {
            Ok(Some(pair)) => add(&callers, caller, &pair),
            Ok(None) if !new.insert(file.clone()) => Err("it is another caller's".into()),
            Ok(None) => Principal::new(&caller.principal).map(drop).map_err(Into::into),
            Err(error) => Err(error),
        };
        checked.map_err(|error| shown(caller, &*error))?;
        making::has_place(file, Some(&settings.folder))?;
    }
    Ok(())
}

/// The callers, and of each what to put into its environment, for a server at this URL.
pub(crate) fn callers(
    settings: &Settings,
    url: &str,
    identity: &Identity,
) -> Result<(Callers, Vec<String>), Box<dyn Error>> {
    let (callers, mut said) = (Callers::new(), Vec::new());
    for caller in configured(settings, identity).iter() {
        let file = &caller.credentials_file;
        let known = Pair::of_file(file).map_err(|error| shown(caller, &*error))?;
        let is_new = known.is_none();
        let pair = match known {
            Some(pair) => pair,
            None => Pair::make(file).map_err(|error| shown(caller, &*error))?,
        };
        add(&callers, caller, &pair).map_err(|error| shown(caller, &*error))?;
        let keys = if is_new {
            format!("AWS_ACCESS_KEY_ID={} AWS_SECRET_ACCESS_KEY={}", pair.id, pair.secret)
        } else {
            format!("AWS_SHARED_CREDENTIALS_FILE={}", word(&std::path::absolute(file)?))
        };
        // What is left over from another KMS would count before these.
        said.push(format!(
            "  {}:\n  unset AWS_PROFILE AWS_SESSION_TOKEN AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY\n  export {keys} \
             AWS_DEFAULT_REGION={} AWS_ENDPOINT_URL_KMS={url}",
            caller.principal, identity.region
        ));
    }
    Ok((callers, said))
}

fn configured<'a>(settings: &'a Settings, identity: &Identity) -> Cow<'a, [CallerSettings]> {
    if !settings.caller.is_empty() {
        return Cow::Borrowed(&settings.caller);
    }
    Cow::Owned(vec![CallerSettings {
        principal: format!("arn:{}:iam::{}:user/admin", identity.partition, identity.account),
        credentials_file: settings.folder.join("admin.credentials"),
    }])
}

fn add(callers: &Callers, caller: &CallerSettings, pair: &Pair) -> Result<(), Box<dyn Error>> {
    let credential = CallerCredential::new(&pair.secret()?, &Principal::new(&caller.principal)?);
    Ok(callers.add(CallerKeyId::new(&pair.id)?, credential)?)
}

fn shown(caller: &CallerSettings, error: &dyn Error) -> String {
    format!("caller {}: {}: {error}", caller.principal, caller.credentials_file.display())
}

/// What a caller signs with.
struct Pair {
    id: String,
    secret: String,
}

impl Pair {
    /// That in the file, if it is there.
    fn of_file(path: &Path) -> Result<Option<Self>, Box<dyn Error>> {
        match fs::read_to_string(path) {
            Ok(content) => Ok(Some(Self::parse(&content)?)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// A new one, put into the file.
    fn make(path: &Path) -> Result<Self, Box<dyn Error>> {
        let made = Self::generate()?;
        made.write(path)?;
        Ok(made)
    }

    /// Of the form of `~/.aws/credentials`, with one profile. What is wrong is said without its content.
    fn parse(content: &str) -> Result<Self, &'static str> {
        let (mut id, mut secret) = (None, None);
        for line in content.lines() {
            let Some((name, value)) = line.split_once('=') else { continue };
            let place = match name.trim() {
                "aws_access_key_id" => &mut id,
                "aws_secret_access_key" => &mut secret,
                _ => continue,
            };
            if place.replace(value.trim().to_owned()).is_some() {
                return Err("there is more than one profile in it");
            }
        }
        match (id, secret) {
            (Some(id), Some(secret)) => Ok(Self { id, secret }),
            _ => Err("aws_access_key_id or aws_secret_access_key is missing in it"),
        }
    }

    fn generate() -> Result<Self, Box<dyn Error>> {
        const LETTERS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
        let (mut id, mut secret) = ([0; 16], [0; 30]);
        rand::fill(&mut id)?;
        rand::fill(&mut secret)?;
        let letters = id.iter().filter_map(|byte| LETTERS.get(usize::from(byte % 32)));
        Ok(Self {
            id: format!("AKIA{}", letters.map(|letter| char::from(*letter)).collect::<String>()),
            secret: STANDARD.encode(secret),
        })
    }

    /// Whole or not at all, so that a start that is cut off leaves no half of one behind.
    fn write(&self, path: &Path) -> io::Result<()> {
        let mut new = path.to_owned().into_os_string();
        new.push(".new");
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        {
            use std::os::unix::fs::OpenOptionsExt as _;
            options.mode(0o600);
        }
        let mut file = options.open(&new)?;
        writeln!(
            file,
            "[default]\naws_access_key_id = {}\naws_secret_access_key = {}",
            self.id, self.secret
        )?;
        file.sync_all()?;
        fs::rename(&new, path)
    }

    fn secret(&self) -> Result<CallerSecret, Box<dyn Error>> {
        Ok(CallerSecret::new(&self.secret)?)
    }
}
