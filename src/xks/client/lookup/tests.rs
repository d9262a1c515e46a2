use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};

use futures_util::FutureExt as _;
use futures_util::future::join_all;

use super::Lookups;

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
