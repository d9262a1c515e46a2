use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::join_all;

use super::Lookups;
use crate::backend::{
    Backend, Change, ConnectReason, ConnectRequest, ConnectionError, ConnectionErrorCode, UriEndpoint,
    UriPath, XksProxyCredential,
};
use crate::xks::{Region, TrustRoots, XksProxy, XksProxyBuilder};

const HERE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 443);

/// A resolver that answers when it is told to, and counts how often it was asked.
#[derive(Clone, Default)]
struct Asked(Arc<AtomicUsize>);

impl Asked {
    fn look_up(&self, told: Receiver<()>) -> impl FnOnce() -> io::Result<Vec<SocketAddr>> + Send + 'static {
        let asked = Arc::clone(&self.0);
        move || {
            asked.fetch_add(1, Ordering::SeqCst);
            told.recv().map_err(|_| io::Error::from(io::ErrorKind::HostUnreachable))?;
            Ok(vec![HERE])
        }
    }

    fn times(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

/// One that is told at once.
fn told() -> Receiver<()> {
    let (tell, told) = channel();
    tell.send(()).unwrap();
    told
}

fn begin(lookups: &Lookups, asked: &Asked) -> (Sender<()>, impl Future<Output = super::Found> + use<>) {
    let (tell, told) = channel();
    (tell, lookups.under_way_or(asked.look_up(told)))
}

#[tokio::test]
async fn callers_that_give_up_leave_one_look_up_behind_and_not_one_each() {
    let (lookups, asked) = (Lookups::default(), Asked::default());
    let (tell, first) = begin(&lookups, &asked);
    drop(first);
    for _ in 0..100 {
        // Begun, and dropped at its deadline.
        assert!(lookups.join(asked.look_up(told())).now_or_never().is_none());
    }
    tell.send(()).unwrap();
    // Whoever still waits is served by the very first.
    assert_eq!(*lookups.join(asked.look_up(told())).await.unwrap(), [HERE]);
    // It may have ended before the last came, who then began the second.
    assert!(asked.times() <= 2, "{}", asked.times());
}

#[tokio::test]
async fn a_look_up_serves_all_who_wait_for_it() {
    let (lookups, asked) = (Lookups::default(), Asked::default());
    let (tell, first) = begin(&lookups, &asked);
    let waiting: Vec<_> = (0..10).map(|_| begin(&lookups, &asked).1).collect();
    tell.send(()).unwrap();
    for found in join_all(waiting).await {
        assert_eq!(*found.unwrap(), [HERE]);
    }
    assert_eq!(*first.await.unwrap(), [HERE]);
    assert_eq!(asked.times(), 1);
}

#[tokio::test]
async fn a_failure_is_told_to_all_who_wait_and_to_nobody_later() {
    let (lookups, asked) = (Lookups::default(), Asked::default());
    let (tell, first) = begin(&lookups, &asked);
    let (_, second) = begin(&lookups, &asked);
    drop(tell);
    for failed in [first.await, second.await] {
        assert_eq!(failed.unwrap_err().kind(), io::ErrorKind::HostUnreachable);
    }
    assert_eq!(asked.times(), 1);
    assert_eq!(*lookups.join(asked.look_up(told())).await.unwrap(), [HERE]);
    assert_eq!(asked.times(), 2, "what was found is not remembered");
}

#[tokio::test]
async fn one_that_hangs_is_overtaken_by_a_few_and_no_more() {
    let (lookups, asked) = (Lookups::default(), Asked::default());
    let mut hanging = Vec::new();
    for _ in 0..3 * super::MOST {
        hanging.push(begin(&lookups, &asked));
        // As if they had begun long ago.
        for lookup in &mut *lookups.0.lock().unwrap() {
            lookup.begun -= super::PATIENCE;
        }
    }
    assert_eq!(lookups.0.lock().unwrap().len(), super::MOST);
    // The last that was begun serves those who came after it, whatever the others do.
    hanging[super::MOST - 1].0.send(()).unwrap();
    assert_eq!(*hanging.pop().unwrap().1.await.unwrap(), [HERE]);
    // And makes room for another.
    assert_eq!(*lookups.join(asked.look_up(told())).await.unwrap(), [HERE]);
}

fn endpoint() -> UriEndpoint {
    UriEndpoint::new("https://nobody.invalid").unwrap()
}

fn settings() -> XksProxyBuilder {
    let authority = rcgen::generate_simple_self_signed(["proxy.example.com".to_owned()]).unwrap().cert.pem();
    XksProxy::builder()
        .endpoint(endpoint())
        .path(UriPath::new("/kms/xks/v1").unwrap())
        .credential(XksProxyCredential::generate().unwrap())
        .region(Region::new("us-east-1").unwrap())
        .trust_roots(TrustRoots::from_pem(authority.as_bytes()).unwrap())
}

fn proxy() -> XksProxy {
    settings().build().unwrap()
}

async fn connect(backend: &dyn Backend) -> ConnectionError {
    let request = ConnectRequest::new(ConnectReason::Connect, Duration::from_secs(60));
    backend.connect(&request).await.unwrap_err()
}

/// Whether the resolver of [`Asked`] is at the bottom of it, and not the system's, which knows no such name.
fn is_of_asked(error: &ConnectionError) -> bool {
    let causes = std::iter::successors(Some(error as &dyn std::error::Error), |error| error.source());
    causes
        .filter_map(|cause| cause.downcast_ref::<Arc<io::Error>>())
        .any(|error| error.kind() == io::ErrorKind::HostUnreachable)
}

/// Whoever connects in a loop while name servers are dead begins no look-up with each attempt.
#[tokio::test]
async fn all_connections_of_a_proxy_share_its_look_ups() {
    let (proxy, asked) = (proxy(), Asked::default());
    let mut hanging = Vec::new();
    for _ in 0..super::MOST {
        hanging.push(begin(&proxy.lookups, &asked));
        for lookup in &mut *proxy.lookups.0.lock().unwrap() {
            lookup.begun -= super::PATIENCE;
        }
    }
    // The same host by another path is the same host.
    let path = UriPath::new("/other/kms/xks/v1").unwrap();
    let same = proxy.reconfigured(&Change::new().uri_path(path)).unwrap();
    for _ in 0..100 {
        assert!(connect(&proxy).now_or_never().is_none());
        assert!(connect(&proxy.clone()).now_or_never().is_none());
        assert!(connect(&*same).now_or_never().is_none());
    }
    assert_eq!(proxy.lookups.0.lock().unwrap().len(), super::MOST);
    // Another host waits for nobody.
    let elsewhere = UriEndpoint::new("https://somebody.invalid").unwrap();
    let other = proxy.reconfigured(&Change::new().uri_endpoint(elsewhere)).unwrap();
    assert!(!is_of_asked(&connect(&*other).await));

    let (mut one, mut two) = (Box::pin(connect(&proxy)), Box::pin(connect(&*same)));
    assert!((&mut one).now_or_never().is_none() && (&mut two).now_or_never().is_none());
    drop(hanging);
    assert!(is_of_asked(&one.await) && is_of_asked(&two.await), "each waited for the last that was begun");
}

/// What a store shows, and that an endpoint which becomes another is no way around it.
#[tokio::test]
async fn a_proxy_for_public_addresses_alone_cannot_be_connected_where_its_name_leads_to_this_machine() {
    let proxy = settings().public_addresses_only().build().unwrap();
    let elsewhere = Change::new().uri_endpoint(UriEndpoint::new("https://somebody.invalid").unwrap());
    let moved = settings().public_addresses_only().dial(HERE).build().unwrap();
    let moved = moved.reconfigured(&elsewhere).unwrap().reconfigured(&Change::new().uri_endpoint(endpoint()));
    let moved = moved.unwrap();
    let asked = Asked::default();
    let (tell, _) = begin(&proxy.lookups, &asked);
    let mut connecting = Box::pin(connect(&proxy));
    assert!((&mut connecting).now_or_never().is_none());
    tell.send(()).unwrap();
    let error = connecting.await;
    assert_eq!(error.code(), ConnectionErrorCode::XksProxyNotReachable);
    assert!(error.detail().unwrap().contains("not public"), "{error:?}");
    assert!(!error.to_string().contains("127.0.0.1"), "where it leads is not for who named it");
    assert!(format!("{moved:?}").contains("dial: None, public_only: true"), "{moved:?}");
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// It is on a thread, which belongs to no caller.
#[test]
fn a_look_up_outlives_the_runtime_in_which_it_was_begun() {
    let (lookups, asked) = (Lookups::default(), Asked::default());
    let ending = runtime();
    let (begun, is_begun) = channel();
    let (tell, told) = channel();
    let look_up = asked.look_up(told);
    let entered = ending.enter();
    let first = lookups.under_way_or(move || {
        begun.send(()).unwrap();
        look_up()
    });
    drop(entered);
    is_begun.recv().unwrap();
    ending.shutdown_background();

    let (_, second) = begin(&lookups, &asked);
    tell.send(()).unwrap();
    assert_eq!(*runtime().block_on(second).unwrap(), [HERE]);
    assert_eq!(*runtime().block_on(first).unwrap(), [HERE]);
    assert_eq!(asked.times(), 1);
}

#[test]
fn a_look_up_that_never_begins_stands_in_nobodys_way() {
    let (lookups, asked) = (Lookups::default(), Asked::default());
    let ending = runtime();
    let handle = ending.handle().clone();
    ending.shutdown_background();
    let entered = handle.enter();
    let never = lookups.under_way_or(asked.look_up(told()));
    drop(entered);

    let error = runtime().block_on(never).unwrap_err();
    assert!(error.to_string().contains("cancelled"), "{error}");
    assert_eq!(*runtime().block_on(lookups.join(asked.look_up(told()))).unwrap(), [HERE]);
    assert_eq!(asked.times(), 1);
}
