//! The server as a child process, and the proxy that it reaches.

use std::env;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use custom_key_store::backend::software::KeyManager;
use custom_key_store::backend::{
    Backend as _, BackingKeyId, ConnectReason, ConnectRequest, UriPath, XksProxyCredential,
};
use custom_key_store::xks::Region;
use custom_key_store::xks::proxy::{
    KeyGrant, Proxy, ServeOptions, ServerCertificate, Tenant, TlsOptions, serve,
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

use super::caller::Caller;

const HOST: &str = "proxy.example.com";
/// Of the two stores; a proxy's path is one store's alone.
const PATHS: [&str; 2] = ["/blue/kms/xks/v1", "/green/kms/xks/v1"];

/// How many external keys there are, `key-0` and so on.
pub(super) const KEYS: usize = 64;

/// A proxy that is there for as long as this is.
pub(super) struct Proxied {
    pub(super) manager: KeyManager,
    credential: XksProxyCredential,
    address: SocketAddr,
    root: String,
    _runtime: Runtime,
}

impl Proxied {
    pub(super) fn start() -> Self {
        let runtime = Runtime::new().unwrap();
        let credential = XksProxyCredential::generate().unwrap();
        let manager = KeyManager::new();
        let ids: Vec<_> =
            (0..KEYS).map(|number| BackingKeyId::new(format!("key-{number}")).unwrap()).collect();
        ids.iter().for_each(|id| manager.create_key(id.clone()));
        let (root, certificate) = certificate();
        let address = runtime.block_on(async {
            let request = ConnectRequest::new(ConnectReason::Connect, Duration::from_secs(5));
            let connection = manager.connect(&request).await.unwrap();
            let mut proxy = Proxy::builder().deadline(Duration::from_secs(20));
            for path in PATHS {
                let mut tenant = Tenant::builder(UriPath::new(path).unwrap(), Arc::clone(&connection))
                    .region(Region::new("us-east-1").unwrap())
                    .credential(credential.clone())
                    .shallow_health_check();
                for id in &ids {
                    tenant = tenant.key(id.clone(), KeyGrant::new(id.clone()));
                }
                proxy = proxy.tenant(tenant.build().unwrap());
            }
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let options = ServeOptions::https(TlsOptions::new(certificate).unwrap());
            let (serving, handle) = serve(listener, proxy.build().unwrap(), options);
            tokio::spawn(async move {
                serving.await;
                drop(handle);
            });
            address
        });
        Self { manager, credential, address, root, _runtime: runtime }
    }

    /// What makes a store on it; there can be two.
    pub(super) fn store(&self, number: usize, name: &str) -> Value {
        json!({
            "CustomKeyStoreName": name,
            "CustomKeyStoreType": "EXTERNAL_KEY_STORE",
            "XksProxyConnectivity": "PUBLIC_ENDPOINT",
            "XksProxyUriEndpoint": format!("https://{HOST}"),
            "XksProxyUriPath": PATHS[number],
            "XksProxyAuthenticationCredential": {
                "AccessKeyId": self.credential.access_key_id.as_str(),
                "RawSecretAccessKey": str::from_utf8(self.credential.secret_access_key.expose()).unwrap(),
            },
        })
    }
}

fn certificate() -> (String, ServerCertificate) {
    let mut authority = rcgen::CertificateParams::default();
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority_key = rcgen::KeyPair::generate().unwrap();
    let root = authority.self_signed(&authority_key).unwrap().pem();
    let issuer = rcgen::Issuer::new(authority, authority_key);
    let key = rcgen::KeyPair::generate().unwrap();
    let leaf = rcgen::CertificateParams::new([HOST.to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
    let pair = ServerCertificate::from_pem(leaf.pem().as_bytes(), key.serialize_pem().as_bytes());
    (root, pair.unwrap())
}

/// Where all its files are.
pub(super) struct Place {
    folder: TempDir,
}

impl Place {
    pub(super) fn new(proxied: &Proxied) -> Self {
        let place = Self { folder: tempfile::tempdir().unwrap() };
        fs::write(place.file("root.pem"), &proxied.root).unwrap();
        let config = format!(
            "folder = {folder:?}\naudit_log = {audit:?}\n[external]\ntrust_roots = [{root:?}]\nconnect_to = {{ \
             {HOST:?} = \"{address}\" }}\n# A busy machine is no broken one.\ndeadline_ms = 20000\n",
            folder = place.file("data"),
            audit = place.file("data/audit.jsonl"),
            root = place.file("root.pem"),
            address = proxied.address,
        );
        fs::write(place.file("kms.toml"), config).unwrap();
        place
    }

    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

/// A server that runs.
pub(super) struct Server {
    child: Child,
    pub(super) address: SocketAddr,
    pub(super) caller: Caller,
    /// Open for as long as it runs, since it says more.
    _lines: Lines,
}

type Lines = Box<dyn Iterator<Item = String>>;

impl Server {
    pub(super) fn start(place: &Place) -> Self {
        let (mut child, mut lines) = spawn(place);
        let address = lines.find_map(|line| {
            let (address, _) = line.strip_prefix("serving at http://")?.split_once(';')?;
            address.parse().ok()
        });
        let Some(address) = address else {
            child.kill().unwrap();
            let said = fs::read_to_string(place.file("log")).unwrap();
            panic!("the server does not start again: {said}");
        };
        let file = fs::read_to_string(place.file("data/admin.credentials")).unwrap();
        let value =
            |name: &str| file.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().to_owned();
        let caller = Caller { id: value("aws_access_key_id ="), secret: value("aws_secret_access_key =") };
        Self { child, address, caller, _lines: lines }
    }

    /// As SIGKILL does.
    pub(super) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A server, and the lines that it prints.
pub(super) fn spawn(place: &Place) -> (Child, Lines) {
    let log = fs::File::create(place.file("log")).unwrap();
    let mut child = Command::new(program())
        .args(["--listen", "127.0.0.1:0", "--config"])
        .arg(place.file("kms.toml"))
        .stdout(Stdio::piped())
        .stderr(log)
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    (child, Box::new(lines.map_while(Result::ok)))
}

/// The example, built now if it is not, or is of before a change.
pub(super) fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| built("kms_server"))
}

/// The proxy that is an example too.
pub(super) fn proxy_program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| built("xks_proxy"))
}

fn built(example: &str) -> PathBuf {
    // .../debug/deps/it-0123
    let this = env::current_exe().unwrap();
    let profile = this.parent().and_then(Path::parent).unwrap();
    let mut build = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    build.args(["build", "--quiet", "--locked", "--example", example]);
    build.current_dir(env!("CARGO_MANIFEST_DIR")).arg("--target-dir").arg(profile.parent().unwrap());
    if profile.ends_with("release") {
        build.arg("--release");
    }
    assert!(build.status().unwrap().success(), "the example {example} does not build");
    profile.join("examples").join(example)
}
