//! What the examples that are servers say before they serve, and that they make nothing when they refuse to.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::json;
use tempfile::TempDir;

use super::caller::Caller;
use super::server::{program, proxy_program};

const PROGRAMS: [fn() -> &'static Path; 2] = [program, proxy_program];

fn run(program: &Path, folder: &TempDir, arguments: &[&str]) -> Output {
    Command::new(program).args(arguments).current_dir(folder).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8([&output.stdout[..], &output.stderr].concat()).unwrap()
}

/// All that is in a folder, and in those in it.
fn found(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(self::found(&path));
        }
        found.push(path);
    }
    found.sort();
    found
}

#[test]
fn help_lists_every_flag_that_there_is_and_a_flag_that_there_is_not_leads_to_it() {
    let folder = tempfile::tempdir().unwrap();
    for (program, source) in [
        (program(), include_str!("../../../examples/kms_server/flags.rs")),
        (proxy_program(), include_str!("../../../examples/xks_proxy/config.rs")),
    ] {
        let help = run(program, &folder, &["--help"]);
        assert!(help.status.success() && help.stderr.is_empty());
        let help = said(&help);
        // What it takes, as the code has it.
        let taken: Vec<_> = source
            .lines()
            .filter_map(|line| line.trim().strip_prefix("\"--")?.split_once('"'))
            .map(|(flag, _)| format!("--{flag}"))
            .collect();
        assert!(taken.len() >= 5, "{taken:?}");
        for flag in &taken {
            let lists = help.lines().any(|line| line.trim_start().split(' ').next() == Some(flag));
            assert!(lists, "{flag} is not in:\n{help}");
        }
        for wrong in [&["--prot", "1"][..], &["--listen"]] {
            let refused = run(program, &folder, wrong);
            assert!(!refused.status.success());
            let said = said(&refused);
            assert!(said.contains(wrong[0]) && said.contains("--help"), "{said}");
        }
    }
    assert_eq!(found(folder.path()), [] as [PathBuf; 0]);
}

#[test]
fn a_start_whose_configuration_is_refused_makes_nothing_and_what_was_there_stays() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, content: &str| fs::write(folder.path().join(name), content).unwrap();
    file("oops.toml", "oops = 1");
    file("no.pem", "no certificate");
    file("no.key", "no sealing key");
    file("sealing.toml", "sealing_key = 'no.key'");
    file("tls.toml", "[tls]\ncertificate = 'no.pem'\nprivate_key = 'no.pem'");
    file("no.credentials", "[default]\naws_access_key_id = AKIA");
    let caller = "[[caller]]\nprincipal = 'arn:aws:iam::111122223333:role/";
    // The first is not made, since the second cannot be read.
    let callers = format!(
        "{caller}new'\ncredentials_file = 'new.credentials'\n{caller}old'\ncredentials_file = 'no.credentials'"
    );
    file("callers.toml", &callers);
    let callers = format!(
        "{caller}a'\ncredentials_file = 'new.credentials'\n{caller}b'\ncredentials_file = 'new.credentials'"
    );
    file("twice.toml", &callers);
    file("caller.toml", &format!("{caller}a'\ncredentials_file = 'nowhere/a.credentials'"));
    file("audit.toml", "audit_log = 'nowhere/audit.jsonl'");
    file(
        "rules.toml",
        "folder = 'new/data'\naudit_log = 'new/data/audit.jsonl'\n[[rules]]\nprincipals = ['*']\nactions = ['*']\n\
         [[rules]]\nprincipals = ['*']\nactions = ['*']\nkeys = ['arn:aws:kms:us-east-1:999999999999:key/*']",
    );
    // Each of its settings has a value of its own.
    file("identity.toml", "audit_log = 'nowhere/audit.jsonl'\n[identity]\nregion = 'eu-central-1'");
    file("action.toml", "[[rules]]\nprincipals = ['*']\nactions = ['ReEncrypt']");
    file(
        "cluster.toml",
        "[[cluster]]\nid = 'cluster-mainhsmroom'\nlibrary = 'no.so'\ntoken = 't'\ntrust_anchor = 'gone'",
    );
    file(
        "keys.toml",
        "[[tenant]]\npath = '/kms/xks/v1'\nregions = []\nkey = [{ id = 'k', bytes = 'short' }]",
    );
    let tenant =
        "[[tenant]]\npath = '/a/kms/xks/v1'\nregions = ['us-east-1']\nkey = [{ id = 'k' }]\nkeys_file =";
    let after = "[[tenant]]\npath = '/b/kms/xks/v1'\nregions = ['us-east-1']\n";
    file("unsealed.toml", &format!("{tenant} 'a.sealed'"));
    file(
        "second.toml",
        &format!("sealing_key = 'a.key'\n{tenant} 'a.sealed'\n{after}credentials = ['gone.json']"),
    );
    file("nowhere.toml", &format!("sealing_key = 'a.key'\n{tenant} 'nowhere/a.sealed'"));
    file("damaged.toml", &format!("sealing_key = 'no.key'\n{tenant} 'a.sealed'"));
    let before = found(folder.path());
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let [server, proxy] = PROGRAMS.map(|program| program());
    for (program, arguments, expected) in [
        (server, &["--config", "gone.toml"][..], "gone.toml"),
        (server, &["--config", "oops.toml"], "oops.toml: line 1 of the configuration: unknown field `oops`"),
        (server, &["--connect-to", "x=y"], "--connect-to x=y"),
        (server, &["--listen", &taken, "--folder", "new/data"], "--listen"),
        (server, &["--listen", "0.0.0.0:0"], "plain HTTP is for loopback"),
        (server, &["--listen", "127.0.0.1:0", "--trust-root", "no.pem", "--folder", "new/data"], "no.pem"),
        (server, &["--listen", "127.0.0.1:0", "--config", "tls.toml"], "no.pem"),
        (server, &["--listen", "127.0.0.1:0", "--config", "sealing.toml"], "no.key"),
        (server, &["--listen", "127.0.0.1:0", "--config", "callers.toml"], "no.credentials"),
        (server, &["--listen", "127.0.0.1:0", "--config", "twice.toml"], "it is another caller's"),
        (
            server,
            &["--listen", "127.0.0.1:0", "--config", "caller.toml"],
            "nowhere/a.credentials: the folder",
        ),
        (server, &["--listen", "127.0.0.1:0", "--config", "audit.toml"], "nowhere/audit.jsonl"),
        (server, &["--listen", "127.0.0.1:0", "--config", "cluster.toml"], "gone"),
        (server, &["--listen", "127.0.0.1:0", "--config", "rules.toml"], "[[rules]]: rule 2: the rule names"),
        (
            server,
            &["--config", "action.toml"],
            "rule 1: the rule names ReEncrypt, which is no action of AWS's",
        ),
        (server, &["--verify"], "there is no catalogue"),
        (server, &["--begin-audit-log-anew"], "--audit-log FILE"),
        (server, &["--listen", "127.0.0.1:0", "--config", "identity.toml"], "nowhere/audit.jsonl"),
        (proxy, &["--config", "gone.toml"], "gone.toml"),
        (proxy, &["--listen", &taken, "--folder", "new/data"], "--listen"),
        (proxy, &["--listen", "0.0.0.0:0"], "plain HTTP is for loopback"),
        (proxy, &["--listen", "127.0.0.1:0", "--config", "keys.toml"], "64 hexadecimal digits"),
        (proxy, &["--listen", "127.0.0.1:0", "--config", "unsealed.toml"], "keys_file needs a sealing_key"),
        (proxy, &["--listen", "127.0.0.1:0", "--config", "second.toml"], "gone.json"),
        (proxy, &["--listen", "127.0.0.1:0", "--config", "nowhere.toml"], "nowhere/a.sealed: the folder"),
        (proxy, &["--listen", "127.0.0.1:0", "--config", "damaged.toml"], "no.key"),
        (proxy, &["--config", "keys.toml", "--folder", "new"], "--folder"),
    ] {
        // The port is taken for as long as this is.
        let _taken = TcpListener::bind(&taken);
        let refused = run(program, &folder, arguments);
        let said = said(&refused);
        assert!(!refused.status.success() && said.contains(expected), "{arguments:?}: {said}");
        assert_eq!(found(folder.path()), before, "{arguments:?}: {said}");
    }

    // What was there stays.
    let start = || {
        let mut child = Command::new(server)
            .args(["--listen", "127.0.0.1:0"])
            .current_dir(&folder)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let line = BufReader::new(child.stdout.take().unwrap()).lines().next().unwrap().unwrap();
        assert!(line.starts_with("serving at "), "{line}");
        child
    };
    let mut child = start();
    child.kill().unwrap();
    child.wait().unwrap();
    let before = found(folder.path());
    assert!(before.contains(&folder.path().join("kms-data/catalog.sqlite")), "{before:?}");
    let refused = run(server, &folder, &["--listen", "127.0.0.1:0", "--trust-root", "no.pem"]);
    assert!(!refused.status.success());
    let kept = |path: &&PathBuf| {
        !path.to_string_lossy().ends_with("-wal") && !path.to_string_lossy().ends_with("-shm")
    };
    assert_eq!(
        found(folder.path()).iter().filter(kept).collect::<Vec<_>>(),
        before.iter().filter(kept).collect::<Vec<_>>()
    );
    let mut child = start();
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn it_is_said_why_a_connection_failed_and_what_to_do_logged_or_not() {
    for flags in [&[][..], &["--log"]] {
        says_why_a_connection_failed(flags);
    }
}

fn says_why_a_connection_failed(flags: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut child = Command::new(program())
        .args(["--listen", "127.0.0.1:0", "--connect-to", &format!("proxy.example.com={closed}")])
        .args(flags)
        .current_dir(&folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let serving = lines.next().unwrap();
    let address = serving.strip_prefix("serving at http://").unwrap().split_once(';').unwrap().0;
    // Which is news to whoever had some.
    assert!(lines.next().unwrap().contains("there are no custom key stores"));
    // To be pasted: nothing in it depends on the port that was free.
    let export = lines.find(|line| line.contains("export ")).unwrap();
    assert!(export.contains(&format!("AWS_ENDPOINT_URL_KMS=http://{address}")), "{export}");
    let address = address.parse().unwrap();
    let value = |name: &str| {
        export.split(' ').find_map(|word| word.strip_prefix(name)?.strip_prefix('=')).unwrap().to_owned()
    };
    let caller = Caller { id: value("AWS_ACCESS_KEY_ID"), secret: value("AWS_SECRET_ACCESS_KEY") };
    // Through an endpoint service, it is not reached before it is connected.
    let secret = "s".repeat(43);
    let created = caller.call(
        address,
        "CreateCustomKeyStore",
        &json!({
            "CustomKeyStoreName": "root",
            "CustomKeyStoreType": "EXTERNAL_KEY_STORE",
            "XksProxyConnectivity": "VPC_ENDPOINT_SERVICE",
            "XksProxyUriEndpoint": "https://proxy.example.com",
            "XksProxyUriPath": "/kms/xks/v1",
            "XksProxyVpcEndpointServiceName": "com.amazonaws.vpce.us-east-1.vpce-svc-example",
            "XksProxyAuthenticationCredential": {
                "AccessKeyId": "ABCDEFGHIJKLMNOPQRST",
                "RawSecretAccessKey": secret,
            },
        }),
    );
    let created = created.unwrap();
    let store = created.body["CustomKeyStoreId"].as_str().unwrap_or_else(|| panic!("{created:?}")).to_owned();
    caller.call(address, "ConnectCustomKeyStore", &json!({ "CustomKeyStoreId": store })).unwrap();
    let mut said = Vec::new();
    for line in BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok) {
        let is_it = line.contains("a connection has failed");
        said.push(line);
        if is_it {
            break;
        }
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let line = said.last().unwrap();
    for part in
        [&store, "XKS_PROXY_NOT_REACHABLE", &closed.to_string(), "refused", "Check that the proxy runs"]
    {
        assert!(line.contains(part), "{part} is not in {line}");
    }
    assert!(said.iter().all(|line| !line.contains(&secret) && !line.contains(&caller.secret)), "{said:?}");
}
