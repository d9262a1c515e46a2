//! The XKS protocol over loopback: what the client adds to hyper's client, and the server to hyper's server.
//!
//! Both ends share one thread, so a row is the work of both, and the difference of two rows is the work of the end
//! in which they differ. What bare hyper sends and answers are bytes that client and server of this crate exchanged.

use std::error::Error;
use std::hint::black_box;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, SamplingMode};
use custom_key_store::EncryptionContext;
use custom_key_store::backend::software::KeyManager;
use custom_key_store::backend::{
    Backend as _, BackendError, BackingKeyId, Ciphertext, ConnectReason, ConnectRequest, Connection,
    EncryptRequest, Operation, RequestId, RequestMetadata, UriEndpoint, UriPath, XksProxyCredential,
};
use custom_key_store::xks::proxy::{KeyGrant, Proxy, ServeOptions, Tenant, serve};
use custom_key_store::xks::{Region, TrustRoots, XksProxy, XksProxyBuilder};
use custom_key_store_benches::criterion;
use futures_util::future::{BoxFuture, Either, select, try_join, try_join_all};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1 as client;
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use hyper::rt::{Read, Write};
use hyper::server::conn::http1 as server;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Mutex as AsyncMutex;
use tokio::time::timeout;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::{PrivatePkcs8KeyDer, ServerName};
use tokio_rustls::rustls::version::TLS13;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector};

const HOST: &str = "xks.example.com";
const KEY: &str = "key";
const PLAINTEXT: [u8; 32] = [7; 32];
/// How many requests are under way at any time.
const IN_FLIGHT: [usize; 2] = [1, 16];
/// Longer than whatever is waited for takes: a benchmark fails rather than hangs.
const LIMIT: Duration = Duration::from_secs(60);

type Failure = Box<dyn Error + Send + Sync>;

/// A certificate, for whoever shows it and for whoever trusts it.
struct Tls {
    pem: String,
    server: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
}

impl Tls {
    /// TLS 1.3 alone.
    fn new() -> Result<Self, Failure> {
        let made = rcgen::generate_simple_self_signed([HOST.to_owned()])?;
        let certificate = made.cert.der().clone();
        let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
        let mut roots = RootCertStore::empty();
        roots.add(certificate.clone())?;

        let provider = Arc::new(aws_lc_rs::default_provider());
        let server = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&TLS13])?
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key.into())?;
        let client = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13])?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self { pem: made.cert.pem(), server: Arc::new(server), client: Arc::new(client) })
    }
}

/// A signed request as the client sent it, and the body of its answer.
#[derive(Clone)]
struct Exchange {
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
    answer: Bytes,
}

impl Exchange {
    fn request(&self) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(self.body.clone()));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = self.headers.clone();
        request
    }
}

/// One connection of hyper's client, without anything around it.
struct Lane {
    sender: client::SendRequest<Full<Bytes>>,
    /// `None` when it is a task of its own.
    driver: Option<BoxFuture<'static, hyper::Result<()>>>,
}

impl Lane {
    async fn open(address: SocketAddr, tls: Option<&Tls>) -> Result<Self, Failure> {
        let socket = TcpStream::connect(address).await?;
        socket.set_nodelay(true)?;
        let Some(tls) = tls else { return Self::on(socket).await };
        let connector = TlsConnector::from(Arc::clone(&tls.client));
        Self::on(connector.connect(ServerName::try_from(HOST)?, socket).await?).await
    }

    async fn on(
        stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    ) -> Result<Self, Failure> {
        let (sender, connection) = client::handshake(TokioIo::new(stream)).await?;
        Ok(Self { sender, driver: Some(Box::pin(connection)) })
    }

    /// As hyper's documentation does it; otherwise the connection is polled by the call that uses it.
    fn spawned(mut self) -> Self {
        self.driver.take().map(tokio::spawn);
        self
    }

    /// The body of a success.
    async fn exchange(&mut self, request: Request<Full<Bytes>>) -> Result<Bytes, Failure> {
        let Self { sender, driver } = self;
        let work = pin!(async {
            sender.ready().await?;
            let response = sender.send_request(request).await?;
            let status = response.status();
            let body = response.into_body().collect().await?.to_bytes();
            if status == StatusCode::OK { Ok(body) } else { Err(format!("{status}: {body:?}").into()) }
        });
        match driver {
            None => work.await,
            Some(driver) => match select(work, driver).await {
                Either::Left((body, _)) => body,
                Either::Right(_) => Err("the server hung up".into()),
            },
        }
    }
}

fn answer(body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// Binds a port of loopback.
async fn listen() -> io::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

/// hyper's server, without anything around it, that answers a health check and, to whatever else is asked, an
/// encryption.
async fn constant(health: Bytes, encrypted: Bytes, tls: Option<&Tls>) -> Result<SocketAddr, Failure> {
    let (listener, address) = listen().await?;
    let acceptor = tls.map(|tls| TlsAcceptor::from(Arc::clone(&tls.server)));
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let (health, encrypted, acceptor) = (health.clone(), encrypted.clone(), acceptor.clone());
            tokio::spawn(async move {
                socket.set_nodelay(true)?;
                match acceptor {
                    None => answer_with(TokioIo::new(socket), health, encrypted).await,
                    Some(tls) => {
                        answer_with(TokioIo::new(tls.accept(socket).await?), health, encrypted).await
                    }
                }
            });
        }
    });
    Ok(address)
}

async fn answer_with(
    io: impl Read + Write + Unpin + Send,
    health: Bytes,
    encrypted: Bytes,
) -> Result<(), Failure> {
    let service = service_fn(|request: Request<Incoming>| {
        let body = if request.uri().path().ends_with("/health") { &health } else { &encrypted };
        let body = body.clone();
        async move {
            request.into_body().collect().await?;
            Ok::<_, hyper::Error>(answer(body))
        }
    });
    Ok(server::Builder::new().serve_connection(io, service).await?)
}

/// This crate's server, with a software key behind it.
async fn proxy(credential: &XksProxyCredential) -> Result<SocketAddr, Failure> {
    let manager = KeyManager::new();
    manager.create_key(BackingKeyId::new(KEY)?);
    let connection = manager.connect(&ConnectRequest::new(ConnectReason::Connect, LIMIT)).await?;
    let tenant = Tenant::builder(path()?, connection)
        .region(region()?)
        .credential(credential.clone())
        .key(BackingKeyId::new(KEY)?, KeyGrant::new(BackingKeyId::new(KEY)?))
        .health_key(BackingKeyId::new(KEY)?)
        .build()?;
    let proxy = Proxy::builder().tenant(tenant).deadline(LIMIT).build()?;
    let (listener, address) = listen().await?;
    // Without its handle it serves until the runtime ends.
    let (serving, _) = serve(listener, proxy, ServeOptions::plain_http());
    tokio::spawn(serving);
    Ok(address)
}

fn path() -> Result<UriPath, Failure> {
    Ok(UriPath::new("/bench/kms/xks/v1")?)
}

fn region() -> Result<Region, Failure> {
    Ok(Region::new("us-east-1")?)
}

fn settings(credential: &XksProxyCredential) -> Result<XksProxyBuilder, Failure> {
    Ok(XksProxy::builder()
        .endpoint(UriEndpoint::new(format!("https://{HOST}"))?)
        .path(path()?)
        .credential(credential.clone())
        .region(region()?)
        .deadline(LIMIT))
}

/// A connection of this crate's client.
async fn connect(settings: XksProxyBuilder) -> Result<Arc<dyn Connection>, Failure> {
    Ok(settings.build()?.connect(&ConnectRequest::new(ConnectReason::Connect, LIMIT)).await?)
}

/// What each encryption asks for.
struct Call {
    key: BackingKeyId,
    context: EncryptionContext,
    id: RequestId,
}

impl Call {
    fn new() -> Result<Self, Failure> {
        let context = EncryptionContext::new([("tenant", "blue")])?;
        Ok(Self { key: BackingKeyId::new(KEY)?, context, id: RequestId::generate() })
    }

    async fn encrypt(&self, connection: &dyn Connection, verified: bool) -> Result<Ciphertext, BackendError> {
        let metadata = RequestMetadata::new("bench", &Operation::ENCRYPT, &self.id);
        let request = EncryptRequest::new(metadata, &self.key, &PLAINTEXT).with_aad(self.context.canonical());
        connection.encrypt(&if verified { request } else { request.unverified() }).await
    }
}

/// What client and server of this crate exchange for each operation; the signatures hold for five minutes.
struct Recorded {
    health: Exchange,
    unverified: Exchange,
    verified: Exchange,
}

impl Recorded {
    /// Has the client call the server at `upstream` through a relay that remembers what passes.
    async fn now(credential: &XksProxyCredential, upstream: SocketAddr) -> Result<Self, Failure> {
        let (listener, relay) = listen().await?;
        let seen = Mutex::new(Vec::new());
        let relaying = async {
            let (socket, _) = listener.accept().await?;
            let service = service_fn(|request| relayed(request, upstream, &seen));
            Ok(server::Builder::new().serve_connection(TokioIo::new(socket), service).await?)
        };
        let calling = async {
            let connection = connect(settings(credential)?.dangerous_plain_http_on_loopback(relay)).await?;
            let call = Call::new()?;
            call.encrypt(&*connection, false).await?;
            call.encrypt(&*connection, true).await?;
            // Dropping the connection ends the relay.
            Ok::<_, Failure>(())
        };
        try_join(relaying, calling).await?;
        let seen = seen.into_inner().unwrap_or_else(PoisonError::into_inner);
        let [health, unverified, verified] =
            seen.try_into().map_err(|_| "the client sends one request for each call")?;
        Ok(Self { health, unverified, verified })
    }
}

async fn relayed(
    request: Request<Incoming>,
    upstream: SocketAddr,
    seen: &Mutex<Vec<Exchange>>,
) -> Result<Response<Full<Bytes>>, Failure> {
    let (head, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let mut exchange = Exchange { uri: head.uri, headers: head.headers, body, answer: Bytes::new() };
    exchange.answer = Lane::open(upstream, None).await?.exchange(exchange.request()).await?;
    let answer = answer(exchange.answer.clone());
    seen.lock().unwrap_or_else(PoisonError::into_inner).push(exchange);
    Ok(answer)
}

/// Runs what prepares a measurement.
fn prepare<T>(runtime: &Runtime, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    runtime.block_on(async { timeout(LIMIT, work).await? })
}

/// Measures `work`, which is given the number of a worker and how often that worker is to call.
fn measure<F>(
    group: &mut BenchmarkGroup<'_, WallTime>,
    runtime: &Runtime,
    in_flight: usize,
    name: &str,
    work: impl Fn(usize, u64) -> F,
) where
    F: Future<Output = Result<(), Failure>> + Send + 'static,
{
    let workers = in_flight as u64;
    let run = async |count: u64| -> Result<Duration, Failure> {
        let start = Instant::now();
        let tasks = (0..in_flight).map(|worker| {
            let extra = u64::from((worker as u64) < count % workers);
            tokio::spawn(work(worker, count / workers + extra))
        });
        for done in try_join_all(tasks).await? {
            done?;
        }
        Ok(start.elapsed())
    };
    group.bench_function(name, |bencher| {
        bencher.iter_custom(|count| {
            // Criterion cannot be told of a failure.
            match runtime.block_on(async { timeout(LIMIT, run(count)).await }) {
                Ok(Ok(taken)) => taken,
                Ok(Err(error)) => panic!("{name}: {error}"),
                Err(_elapsed) => panic!("{name}: not done within {LIMIT:?}"),
            }
        });
    });
}

/// Measures bare hyper sending the request of `exchange`, each worker on a lane of its own.
fn measure_hyper(
    group: &mut BenchmarkGroup<'_, WallTime>,
    runtime: &Runtime,
    name: &str,
    exchange: &Exchange,
    lanes: Vec<Lane>,
) {
    let in_flight = lanes.len();
    let lanes: Vec<_> = lanes.into_iter().map(|lane| Arc::new(AsyncMutex::new(lane))).collect();
    let exchange = Arc::new(exchange.clone());
    measure(group, runtime, in_flight, name, |worker, times| {
        let (lane, exchange) = (lanes.get(worker).map(Arc::clone), Arc::clone(&exchange));
        async move {
            let lane = lane.ok_or("there are as many workers as lanes")?;
            let mut lane = lane.lock().await;
            for _ in 0..times {
                black_box(lane.exchange(exchange.request()).await?);
            }
            Ok(())
        }
    });
}

fn lanes(
    runtime: &Runtime,
    number: usize,
    address: SocketAddr,
    tls: Option<&Tls>,
) -> Result<Vec<Lane>, Failure> {
    prepare(runtime, try_join_all((0..number).map(|_| Lane::open(address, tls))))
}

fn group<'c>(criterion: &'c mut Criterion, name: &str, in_flight: usize) -> BenchmarkGroup<'c, WallTime> {
    let mut group = criterion.benchmark_group(format!("{name}, {in_flight} in flight"));
    // So that each sample is long enough for all workers to be busy.
    group.sampling_mode(SamplingMode::Flat);
    group
}

/// This crate's client beside hyper's, both calling hyper's server.
fn clients(
    criterion: &mut Criterion,
    runtime: &Runtime,
    in_flight: usize,
    tls: Option<&Tls>,
) -> Result<(), Failure> {
    let credential = XksProxyCredential::generate()?;
    let (recorded, address, connection) = prepare(runtime, async {
        let recorded = Recorded::now(&credential, proxy(&credential).await?).await?;
        let (health, encrypted) = (recorded.health.answer.clone(), recorded.verified.answer.clone());
        let address = constant(health, encrypted, tls).await?;
        let settings = settings(&credential)?;
        let settings = match tls {
            None => settings.dangerous_plain_http_on_loopback(address),
            Some(tls) => settings.dial(address).trust_roots(TrustRoots::from_pem(tls.pem.as_bytes())?),
        };
        Ok((recorded, address, connect(settings).await?))
    })?;
    let call = Arc::new(Call::new()?);

    let name = if tls.is_some() { "client, TLS 1.3" } else { "client, plain" };
    let mut group = group(criterion, name, in_flight);
    let bare = lanes(runtime, in_flight, address, tls)?;
    measure_hyper(&mut group, runtime, "hyper", &recorded.verified, bare);
    let bare = lanes(runtime, in_flight, address, tls)?;
    let spawned = runtime.block_on(async { bare.into_iter().map(Lane::spawned).collect() });
    measure_hyper(&mut group, runtime, "hyper, connection spawned", &recorded.verified, spawned);
    for (name, verified) in [("encrypt 32 B, unverified", false), ("encrypt 32 B, verified", true)] {
        measure(&mut group, runtime, in_flight, name, |_, times| {
            let (connection, call) = (Arc::clone(&connection), Arc::clone(&call));
            async move {
                for _ in 0..times {
                    black_box(call.encrypt(&*connection, verified).await?);
                }
                Ok(())
            }
        });
    }
    group.finish();
    Ok(())
}

/// This crate's server beside hyper's, both called by hyper's client.
fn servers(criterion: &mut Criterion, runtime: &Runtime, in_flight: usize) -> Result<(), Failure> {
    let credential = XksProxyCredential::generate()?;
    let (recorded, proxy, constant) = prepare(runtime, async {
        let proxy = proxy(&credential).await?;
        let recorded = Recorded::now(&credential, proxy).await?;
        let (health, encrypted) = (recorded.health.answer.clone(), recorded.verified.answer.clone());
        Ok((recorded, proxy, constant(health, encrypted, None).await?))
    })?;

    let mut group = group(criterion, "server, plain", in_flight);
    for (name, address, exchange) in [
        ("hyper", constant, &recorded.verified),
        ("encrypt 32 B, unverified", proxy, &recorded.unverified),
        ("encrypt 32 B, verified", proxy, &recorded.verified),
    ] {
        let lanes = lanes(runtime, in_flight, address, None)?;
        measure_hyper(&mut group, runtime, name, exchange, lanes);
    }
    group.finish();
    Ok(())
}

fn main() -> Result<(), Failure> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let tls = Tls::new()?;
    let mut criterion = criterion();
    for in_flight in IN_FLIGHT {
        servers(&mut criterion, &runtime, in_flight)?;
        for tls in [None, Some(&tls)] {
            clients(&mut criterion, &runtime, in_flight, tls)?;
        }
    }
    criterion.final_summary();
    Ok(())
}
