use tokio::net::TcpListener;

use super::first_to_connect;
use crate::backend::BackendErrorKind;

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
