//! A connection whose calls never end and panic when they are dropped: no request takes others with it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use custom_key_store::backend::{
    BackendError, BackendErrorKind, Ciphertext, Closed, Connection, DecryptRequest, Decrypted,
    DescribeKeyRequest, EncryptRequest, Health, HealthRequest, KeyDescription,
};
use custom_key_store::xks::proxy::ServeOptions;

use super::http2::http2;
use super::support::{Call, KEY, Rig, describe_body, encrypt_body, until};

#[derive(Debug, Default)]
struct Trap {
    entered: AtomicUsize,
    sprung: AtomicUsize,
}

struct Spring<'a>(&'a Trap);

impl Drop for Spring<'_> {
    fn drop(&mut self) {
        self.0.sprung.fetch_add(1, Ordering::SeqCst);
        panic!("told to panic when it is dropped");
    }
}

#[async_trait]
impl Connection for Trap {
    async fn describe_key(&self, _: &DescribeKeyRequest<'_>) -> Result<KeyDescription, BackendError> {
        Err(BackendErrorKind::KeyNotFound.into())
    }

    async fn encrypt(&self, _: &EncryptRequest<'_>) -> Result<Ciphertext, BackendError> {
        let _spring = Spring(self);
        self.entered.fetch_add(1, Ordering::SeqCst);
        std::future::pending().await
    }

    async fn decrypt(&self, _: &DecryptRequest<'_>) -> Result<Decrypted, BackendError> {
        Err(BackendErrorKind::Unsupported.into())
    }

    async fn health(&self, _: &HealthRequest<'_>) -> Result<Health, BackendError> {
        Err(BackendErrorKind::Unsupported.into())
    }

    async fn close(&self) -> Result<Closed, BackendError> {
        Ok(Closed::new())
    }
}

/// At the deadline it is an answer; when the caller goes away, of either version, it is nobody's affair: not the
/// server's, and not that of the peer's other connections, whose places would soon be gone.
#[tokio::test]
async fn a_call_that_panics_when_it_is_dropped_takes_nobody_with_it() {
    let rig = Rig::with_options(ServeOptions::plain_http().max_connections_per_peer(3)).await;
    let trap = Arc::new(Trap::default());
    let connection: Arc<dyn Connection> = Arc::<Trap>::clone(&trap);
    rig.tenant.set_connection(connection);
    let mut other = rig.client().await;
    let ask = Call::on_key("metadata", KEY, &describe_body());
    let call = Call::on_key("encrypt", KEY, &encrypt_body(b"x", None));
    for turn in 0..3 {
        let entered = |index: usize| {
            let trap = &trap;
            until(move || trap.entered.load(Ordering::SeqCst) == 3 * turn + index)
        };
        let sprung = |index: usize| {
            let trap = &trap;
            until(move || trap.sprung.load(Ordering::SeqCst) == 3 * turn + index)
        };
        let mut client = rig.client().await;
        tokio::io::AsyncWriteExt::write_all(&mut client.0, &call.bytes()).await.unwrap();
        entered(1).await;
        until(|| rig.clock.sleepers() == 1).await;
        rig.clock.advance(Duration::from_millis(150));
        client.receive().await.is_error(500, "InternalException");
        sprung(1).await;

        tokio::io::AsyncWriteExt::write_all(&mut client.0, &call.bytes()).await.unwrap();
        entered(2).await;
        drop(client);
        sprung(2).await;
        other.send(&ask).await.is_error(404, "KeyNotFoundException");

        let (mut http, connection) = http2(rig.client().await.0).await;
        let answer = tokio::spawn(http.send_request(call.http2()));
        entered(3).await;
        answer.abort();
        sprung(3).await;
        assert_eq!(http.send_request(ask.http2()).await.unwrap().status(), 404);
        drop(http);
        connection.await.unwrap();
        other.send(&ask).await.is_error(404, "KeyNotFoundException");
    }
    rig.handle.shut_down();
    assert_eq!(rig.serving.await.unwrap().cut_off, 0);
}
