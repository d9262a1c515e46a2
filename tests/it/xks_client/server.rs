//! A server of raw bytes: what it does with a connection, and what it answers to each request, is a script.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

use super::fixture::honest;

/// What happens to a connection once it is accepted.
#[derive(Clone)]
pub(crate) enum Manner {
    Plain,
    Tls(Arc<ServerConfig>),
    /// Says this to whatever comes first, then hangs up when the peer does.
    Says(Vec<u8>),
    /// Reads what comes first and hangs up in an orderly way.
    HangsUp,
    /// Never says anything.
    Mute,
}

/// What is answered to a request.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    /// An honest answer.
    Honest,
    /// An honest answer, once this permits one.
    HonestAfter(Arc<Semaphore>),
    /// An honest answer, and then the connection is closed while it is idle.
    HonestThenClose,
    /// These bytes.
    Raw(Vec<u8>),
    /// These bytes, and the end of the connection.
    RawThenClose(Vec<u8>),
    /// These bytes, and then nothing, for ever.
    RawThenNothing(Vec<u8>),
    /// The first bytes, and then the second again and again.
    Endless(Vec<u8>, Vec<u8>),
}

impl Reply {
    /// A proper HTTP response of any status and body.
    pub(crate) fn json(status: u16, body: &str) -> Self {
        Self::Raw(response(status, "application/json", body))
    }

    /// The protocol's own form of an error.
    pub(crate) fn error(status: u16, name: &str) -> Self {
        Self::json(status, &format!(r#"{{"errorName":"{name}","errorMessage":"for the log"}}"#))
    }
}

pub(crate) fn response(status: u16, content_type: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status} X\r\ncontent-type: {content_type}\r\ncontent-length: {length}\r\n\r\n{body}")
        .into_bytes()
}

/// A request as it arrived.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
    /// The how manieth connection it came on, from 1.
    pub(crate) connection: usize,
    pub(crate) client_certificate: Option<Vec<u8>>,
}

impl Seen {
    pub(crate) fn request_line(&self) -> &str {
        self.head.lines().next().unwrap()
    }

    pub(crate) fn headers(&self) -> Vec<(&str, &str)> {
        self.head.lines().skip(1).filter_map(|line| line.split_once(": ")).collect()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        let mut found = self.headers().into_iter().filter(|(found, _)| found.eq_ignore_ascii_case(name));
        let (Some((_, value)), None) = (found.next(), found.next()) else {
            unreachable!("not exactly one {name}: {}", self.head)
        };
        value
    }

    pub(crate) fn path(&self) -> &str {
        self.request_line().split(' ').nth(1).unwrap()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
    seen: tokio::sync::Mutex<mpsc::UnboundedReceiver<Seen>>,
    closed: tokio::sync::Mutex<mpsc::UnboundedReceiver<usize>>,
    task: JoinHandle<()>,
}

struct Shared {
    manner: Mutex<Manner>,
    /// Connections up to this number are answered no more.
    dark: AtomicUsize,
    script: Mutex<VecDeque<Reply>>,
    accepted: AtomicUsize,
    saw: mpsc::UnboundedSender<Seen>,
    closes: mpsc::UnboundedSender<usize>,
}

impl Server {
    pub(crate) async fn start(manner: Manner) -> Self {
        Self::start_at("127.0.0.1:0".parse().unwrap(), manner).await
    }

    pub(crate) async fn start_at(address: SocketAddr, manner: Manner) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (saw, seen) = mpsc::unbounded_channel();
        let (closes, closed) = mpsc::unbounded_channel();
        let (script, accepted, dark) = (Mutex::default(), AtomicUsize::new(0), AtomicUsize::new(0));
        let shared = Arc::new(Shared { manner: manner.into(), dark, script, accepted, saw, closes });
        let task = tokio::spawn(serve(listener, Arc::clone(&shared)));
        Self { address, shared, seen: seen.into(), closed: closed.into(), task }
    }

    /// Answers the next request, of those that nothing was said of, with this; honestly after the last.
    pub(crate) fn will(&self, reply: Reply) {
        self.shared.script.lock().unwrap().push_back(reply);
    }

    /// Treats the connections to come in this way.
    pub(crate) fn becomes(&self, manner: Manner) {
        *self.shared.manner.lock().unwrap() = manner;
    }

    /// Says nothing any more on the connections that there are, like a network that forgot them; those to come are
    /// answered as ever. Gives the number of the last that is dark.
    pub(crate) fn goes_dark(&self) -> usize {
        let last = self.accepted();
        self.shared.dark.store(last, Ordering::SeqCst);
        last
    }

    /// The next request.
    pub(crate) async fn seen(&self) -> Seen {
        self.seen.lock().await.recv().await.unwrap()
    }

    /// Waits until another connection has ended, and says which.
    pub(crate) async fn closed(&self) -> usize {
        self.closed.lock().await.recv().await.unwrap()
    }

    /// Closes everything; afterwards nobody listens there.
    pub(crate) async fn stops(mut self) {
        self.task.abort();
        let _ = (&mut self.task).await;
    }

    pub(crate) fn accepted(&self) -> usize {
        self.shared.accepted.load(Ordering::SeqCst)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    // Connections live as long as their server.
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let (tcp, _) = listener.accept().await.unwrap();
        let number = shared.accepted.fetch_add(1, Ordering::SeqCst) + 1;
        let shared = Arc::clone(&shared);
        connections.spawn(async move {
            converse(tcp, number, &shared).await;
            let _ = shared.closes.send(number);
        });
    }
}

async fn converse(mut tcp: TcpStream, number: usize, shared: &Shared) {
    let manner = shared.manner.lock().unwrap().clone();
    match manner {
        Manner::Plain => answer(tcp, number, None, shared).await,
        Manner::Tls(config) => {
            match TlsAcceptor::from(config).accept(tcp).into_fallible().await {
                Ok(tls) => {
                    let certificate = tls.get_ref().1.peer_certificates().map(|chain| chain[0].to_vec());
                    answer(tls, number, certificate, shared).await;
                }
                // Closing at once could overtake the alert.
                Err((_, tcp)) => drain(tcp).await,
            }
        }
        Manner::Says(bytes) => {
            let mut first = [0; 16 * 1024];
            let length = tcp.read(&mut first).await.unwrap_or(0);
            let (head, body) = (String::new(), first[..length].to_vec());
            let _ = shared.saw.send(Seen { head, body, connection: number, client_certificate: None });
            let _ = tcp.write_all(&bytes).await;
            drain(tcp).await;
        }
        Manner::HangsUp => {
            let _ = tcp.read(&mut [0; 16 * 1024]).await;
        }
        Manner::Mute => {
            let body = Vec::new();
            let seen = Seen { head: String::new(), body, connection: number, client_certificate: None };
            let _ = shared.saw.send(seen);
            drain(tcp).await;
        }
    }
}

async fn drain(mut stream: impl AsyncRead + Unpin) {
    while stream.read(&mut [0; 4096]).await.is_ok_and(|length| length > 0) {}
}

async fn answer(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    connection: usize,
    client_certificate: Option<Vec<u8>>,
    shared: &Shared,
) {
    while let Some((head, body)) = read_request(&mut stream).await {
        let seen = Seen { head, body, connection, client_certificate: client_certificate.clone() };
        if connection <= shared.dark.load(Ordering::SeqCst) {
            let _ = shared.saw.send(seen);
            return drain(stream).await;
        }
        let reply = shared.script.lock().unwrap().pop_front().unwrap_or(Reply::Honest);
        let honestly = honest(&seen);
        let _ = shared.saw.send(seen);
        let (bytes, then) = match reply {
            Reply::Honest => (honestly, true),
            Reply::HonestAfter(permits) => {
                permits.acquire().await.unwrap().forget();
                (honestly, true)
            }
            Reply::HonestThenClose => (honestly, false),
            Reply::Raw(bytes) => (bytes, true),
            Reply::RawThenClose(bytes) => (bytes, false),
            Reply::RawThenNothing(bytes) => {
                let _ = stream.write_all(&bytes).await;
                let _ = stream.flush().await;
                return drain(stream).await;
            }
            Reply::Endless(first, again) => {
                let _ = stream.write_all(&first).await;
                while stream.write_all(&again).await.is_ok() {}
                return;
            }
        };
        if stream.write_all(&bytes).await.is_err() || stream.flush().await.is_err() {
            return;
        }
        if !then {
            let _ = stream.shutdown().await;
            return;
        }
    }
}

async fn read_request(stream: &mut (impl AsyncRead + Unpin)) -> Option<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
    let total = end + length.parse::<usize>().unwrap();
    while bytes.len() < total {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
    assert_eq!(bytes.len(), total, "one request at a time");
    Some((head, bytes.split_off(end)))
}
