//! What the command line can say. It counts before what the configuration says.

use std::error::Error;
use std::net::SocketAddr;
use std::path::PathBuf;

pub(crate) const HELP: &str = "\
AWS KMS's API with custom key stores, for AWS SDKs and AWS's command-line client.

Usage: cargo run --example kms_server -- [FLAG]...

  --config FILE          the configuration, in TOML; the top of examples/kms_server/main.rs says what it can hold
                         [default: none; each of its settings has a value of its own]
  --listen ADDRESS:PORT  where to serve; port 0 is any that is free
                         [default: the first of the ports 8080 to 8089 of 127.0.0.1 that is free]
  --folder FOLDER        where catalogue, sealing key and credentials are; made if it is not there
                         [default: kms-data in the working directory]
  --audit-log FILE       who did what and how it ended, in lines of JSON; once there is one, each start wants it
                         [default: no log]
  --begin-audit-log-anew
                         for a log that is cut off or altered, when it is known by whom: what is there is kept under
                         another name, and a new file begins, whose first line says why. What is lost stays lost:
                         --verify goes on finding it. A log that is whole is gone on with
  --connect-to HOST=ADDRESS:PORT
                         where the proxies of this host are, may be given again; any other host must be a public
                         address, on port 443 [default: none]
  --trust-root FILE      a certificate, in PEM, in place of those that the system trusts, may be given again
                         [default: those that the system trusts]
  --software             every store is one of a key manager in memory with one key, `usable`: for tests
  --verify               checks every row of the catalogue, and every line of the audit log, as they are, and ends
  --log                  each request, and whatever becomes of a connection, is a line on standard error
                         [default: only why a connection failed]
  --help                 this

Where time runs out, which the configuration can change: a request to a proxy after 250 milliseconds. How much there may
be: 1800 uses of keys a second in each store, connections of 128 from each address and of 1024 from all. Ctrl-C or SIGTERM
ends it.
";

/// What flags say.
#[derive(Default)]
pub(crate) struct Flags {
    pub(crate) help: bool,
    pub(crate) config: Option<String>,
    pub(crate) listen: Option<String>,
    pub(crate) folder: Option<PathBuf>,
    pub(crate) audit_log: Option<PathBuf>,
    pub(crate) begin_audit_log_anew: bool,
    pub(crate) connect_to: Vec<(String, SocketAddr)>,
    pub(crate) trust_roots: Vec<PathBuf>,
    pub(crate) software: bool,
    pub(crate) verify: bool,
    pub(crate) log: bool,
}

impl Flags {
    pub(crate) fn of(arguments: impl Iterator<Item = String>) -> Result<Self, Box<dyn Error>> {
        Self::parse(arguments).map_err(|error| format!("{error}; --help says what there is").into())
    }

    fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut flags = Self::default();
        while let Some(flag) = arguments.next() {
            let mut value = || arguments.next().ok_or_else(|| format!("{flag} needs a value"));
            match &*flag {
                "--help" | "-h" => flags.help = true,
                "--config" => flags.config = Some(value()?),
                "--listen" => flags.listen = Some(value()?),
                "--folder" => flags.folder = Some(value()?.into()),
                "--audit-log" => flags.audit_log = Some(value()?.into()),
                "--begin-audit-log-anew" => flags.begin_audit_log_anew = true,
                "--connect-to" => {
                    let text = value()?;
                    let (host, address) = text
                        .split_once('=')
                        .ok_or_else(|| format!("--connect-to {text}: it is HOST=ADDRESS:PORT"))?;
                    let address = address.parse().map_err(|error| {
                        format!("--connect-to {text}: {error}, such as 127.0.0.1:8000, is behind the =")
                    })?;
                    flags.connect_to.push((host.to_owned(), address));
                }
                "--trust-root" => flags.trust_roots.push(value()?.into()),
                "--software" => flags.software = true,
                "--verify" => flags.verify = true,
                "--log" => flags.log = true,
                _ => return Err(format!("{flag} is no flag")),
            }
        }
        Ok(flags)
    }
}
