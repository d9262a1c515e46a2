//! One call on a connection, under supervision of the gate.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt as _};

use super::gate::Permit;
use super::guard::ask;
use crate::backend::{BackendError, BackendErrorKind};
use crate::clock::Clock;
use crate::error::Error;

/// Drives an admitted call to its result, and no further than the gate allows.
///
/// - Once the call is abandoned it answers `NotConnected` and never polls the backend again; a result that
///   arrives in the poll during which it was abandoned is thrown away.
/// - A panic of the backend becomes the call's error; what it said is not repeated, since it may hold a secret.
/// - The timer is made only when the first poll gives no result, so that a call in memory does not pay for it.
///
/// Dropping the future drops the backend's and gives the permit back.
pub(super) async fn supervise<T>(
    mut permit: Permit<'_>,
    clock: &dyn Clock,
    limit: Duration,
    call: impl Future<Output = Result<T, BackendError>> + Send,
) -> Result<T, Error> {
    // Declared after the permit, and so dropped before it: whoever finds the call out of the count finds its future
    // gone too. For the same reason every ending below empties it before the permit is given back.
    let mut call = pin!(Some(call));
    let mut timer: Option<BoxFuture<'static, ()>> = None;
    poll_fn(|cx| {
        let result = if permit.begin_poll() {
            let polled = ask(|| call.as_mut().as_pin_mut().map_or(Poll::Pending, |call| call.poll(cx)));
            match polled {
                Ok(Poll::Ready(result)) => result.map_err(Error::from),
                Err(panicked) => Err(BackendError::new(panicked).into()),
                Ok(Poll::Pending) => {
                    let timer = timer.get_or_insert_with(|| clock.sleep(limit));
                    if timer.poll_unpin(cx).is_ready() {
                        Err(BackendError::new(BackendErrorKind::TimedOut).into())
                    } else if permit.park(cx.waker()) {
                        return Poll::Pending;
                    } else {
                        Err(Error::ABANDONED)
                    }
                }
            }
        } else {
            Err(Error::ABANDONED)
        };
        // A backend's future that panics when it is dropped has still given its answer.
        let _ = ask(|| call.set(None));
        Poll::Ready(if permit.finish() { result } else { Err(Error::ABANDONED) })
    })
    .await
}
