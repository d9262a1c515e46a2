use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::SystemTime;

use futures_util::FutureExt as _;
use tokio::net::TcpListener;

use super::{Connector, Reach, first_to_connect};
use crate::backend::{BackendErrorKind, UriEndpoint};
use crate::xks::client::counters::XksCounters;

#[tokio::test]
async fn of_several_addresses_any_that_works_will_do() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let good = listener.local_addr().unwrap();
    let refused = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    for addresses in [vec![good], vec![refused, good], vec![good, refused], vec![refused, refused, good]] {
        let stream = first_to_connect(addresses.into_iter()).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), good);
    }
    for addresses in [vec![], vec![refused], vec![refused, refused]] {
        let error = first_to_connect(addresses.into_iter()).await.unwrap_err().into_error();
        assert_eq!(error.kind(), BackendErrorKind::Unreachable);
    }
}

fn connector(reach: Reach) -> Connector {
    Connector {
        endpoint: UriEndpoint::new("https://nobody.invalid").unwrap(),
        reach,
        lookups: Arc::default(),
        counters: XksCounters::new(SystemTime::UNIX_EPOCH),
    }
}

/// The name is one that can never exist, so the address can only be that of the look-up begun before.
#[tokio::test]
async fn a_connection_takes_the_address_of_the_look_up_under_way() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let connector = connector(Reach::PlainOnLoopback(address));
    let (tell, told) = channel();
    let look_up = move || told.recv().map(|()| vec![address]).map_err(std::io::Error::other);
    // Of a call that gives up at once.
    assert!(connector.lookups.join(look_up).now_or_never().is_none());

    let mut dialling = Box::pin(connector.dial(None, false));
    assert!((&mut dialling).now_or_never().is_none());
    tell.send(()).unwrap();
    assert_eq!(dialling.await.unwrap().peer_addr().unwrap(), address);
}

/// One of several is enough, whichever it is, and nobody is connected to, not even where the others lead.
#[tokio::test]
async fn a_name_that_leads_to_an_address_that_is_not_public_is_refused() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let here = listener.local_addr().unwrap();
    // Of a network for documents, mapped into IPv6, so that a mistake would not reach anybody either.
    let nowhere = "[::ffff:192.0.2.1]:443".parse().unwrap();
    for addresses in [vec![here], vec![here, nowhere], vec![nowhere, here]] {
        let connector = connector(Reach::PlainOnLoopback(here));
        let (tell, told) = channel::<()>();
        let look_up = move || told.recv().map(|()| addresses).map_err(std::io::Error::other);
        assert!(connector.lookups.join(look_up).now_or_never().is_none());
        let mut dialling = Box::pin(connector.dial(None, true));
        assert!((&mut dialling).now_or_never().is_none());
        tell.send(()).unwrap();
        let error = dialling.await.unwrap_err().into_error();
        assert_eq!(error.kind(), BackendErrorKind::Unreachable);
        assert!(error.detail().unwrap().contains("not public"), "{error:?}");
        assert!(listener.accept().now_or_never().is_none());
    }
    // An address that was given is nobody's but its giver's.
    connector(Reach::PlainOnLoopback(here)).dial(Some(here), true).await.unwrap();
}
