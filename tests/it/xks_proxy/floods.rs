//! HTTP/2 by hand: what no well-behaved client sends.

use custom_key_store::xks::proxy::ServeOptions;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

use super::support::{Call, Client, LONG, PATH, Rig, health_body, until};

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const CONTINUATION: u8 = 9;
const END_HEADERS: u8 = 4;
const ACK: u8 = 1;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A POST whose body does not come, in HPACK without its table: the only names are those of the static one.
fn head() -> Vec<u8> {
    let text =
        |name: u8, value: &str| [&[name, u8::try_from(value.len()).unwrap()], value.as_bytes()].concat();
    [vec![0x83, 0x86], text(4, &format!("{PATH}/health")), text(1, "xks.example.com")].concat()
}

fn opening(stream: u32) -> Vec<u8> {
    frame(HEADERS, END_HEADERS, stream, &head())
}

async fn greet(rig: &Rig) -> Client {
    let mut client = rig.client().await;
    client.0.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
    client.0.write_all(&frame(SETTINGS, 0, 0, &[])).await.unwrap();
    client
}

/// Everything sent so far has been seen when this is answered; or the server has hung up, which is an answer too.
async fn is_answered(client: &mut Client) -> bool {
    if client.0.write_all(&frame(PING, 0, 0, b"are you?")).await.is_err() {
        return false;
    }
    timeout(LONG, async {
        loop {
            let mut head = [0; 9];
            if client.0.read_exact(&mut head).await.is_err() {
                return false;
            }
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
            let mut payload = vec![0; usize::try_from(length).unwrap()];
            if client.0.read_exact(&mut payload).await.is_err() {
                return false;
            }
            if (head[3], head[4]) == (PING, ACK) {
                return true;
            }
        }
    })
    .await
    .unwrap()
}

/// Many streams at once: so many as are allowed, and each waits for its body with one timer.
#[tokio::test]
async fn a_connection_has_so_many_streams_and_no_more() {
    let rig = Rig::new().await;
    let mut client = greet(&rig).await;
    for stream in 0..200 {
        client.0.write_all(&opening(2 * stream + 1)).await.unwrap();
    }
    assert!(is_answered(&mut client).await);
    until(|| rig.clock.sleepers() == 32).await;
    rig.send(&Call::new("health", &health_body())).await.ok();
    drop(client);
    until(|| rig.clock.sleepers() == 0).await;
}

/// Opened and reset, again and again: nothing of it stays, and others are served.
#[tokio::test]
async fn a_flood_of_resets_leaves_nothing_behind() {
    let rig = Rig::new().await;
    let mut client = greet(&rig).await;
    for stream in 0..5000 {
        let pair = [opening(2 * stream + 1), frame(RST_STREAM, 0, 2 * stream + 1, &[0, 0, 0, 8])].concat();
        if client.0.write_all(&pair).await.is_err() {
            break;
        }
    }
    let _either_will_do = is_answered(&mut client).await;
    until(|| rig.clock.sleepers() == 0).await;
    rig.send(&Call::new("health", &health_body())).await.ok();
}

/// A header without an end: the connection is given up, long before the memory is.
#[tokio::test]
async fn a_flood_of_continuations_ends_the_connection() {
    let rig = Rig::new().await;
    let mut client = greet(&rig).await;
    client.0.write_all(&frame(HEADERS, 0, 1, &head())).await.unwrap();
    // A literal without indexing, of 16,000 bytes.
    let part = [&[0, 1, b'x', 0x7f, 0x81, 0x7c][..], &[b'y'; 16_000]].concat();
    let flood = async { while client.0.write_all(&frame(CONTINUATION, 0, 1, &part)).await.is_ok() {} };
    timeout(LONG, flood).await.unwrap();
    rig.send(&Call::new("health", &health_body())).await.ok();
}

/// Who answers no PING and ends no header holds no shutdown up.
#[tokio::test]
async fn a_deaf_connection_holds_no_shutdown_up() {
    let hour = std::time::Duration::from_secs(3600);
    let options = ServeOptions::plain_http().first_request_timeout(hour).drain_limit(hour);
    let rig = Rig::with_options(options).await;
    let mut client = greet(&rig).await;
    client.0.write_all(&frame(HEADERS, 0, 1, &head())).await.unwrap();
    rig.send(&Call::new("health", &health_body())).await.ok();
    rig.handle.shut_down();
    assert_eq!(timeout(LONG, rig.serving).await.unwrap().unwrap().cut_off, 0);
    drop(client);
}

/// A body of empty pieces is still a body that does not come; one beyond the window is no HTTP/2 at all.
#[tokio::test]
async fn a_flood_of_empty_pieces_is_bounded_by_time() {
    let rig = Rig::new().await;
    let mut client = greet(&rig).await;
    client.0.write_all(&opening(1)).await.unwrap();
    for _ in 0..1000 {
        if client.0.write_all(&frame(DATA, 0, 1, &[])).await.is_err() {
            break;
        }
    }
    if is_answered(&mut client).await {
        until(|| rig.clock.sleepers() == 1).await;
        rig.clock.advance(std::time::Duration::from_secs(5));
    }
    until(|| rig.clock.sleepers() == 0).await;
    rig.send(&Call::new("health", &health_body())).await.ok();
}
