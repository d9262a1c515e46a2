//! As many requests as a server takes, from lanes that never rest.

use std::time::{Duration, Instant};

use futures_util::future::try_join_all;
use tokio::time::timeout;

use super::{Elsewhere, Exchange, Failure, LIMIT, Lane};

/// What a server on a thread of its own did while it was kept busy.
#[derive(Debug, Clone, Copy)]
pub struct Throughput {
    /// Requests in each second.
    pub rate: f64,
    /// How long its thread computed for each request.
    pub cost: Duration,
}

/// Sends the request on each lane again and again for `time`.
pub async fn saturate(
    server: &Elsewhere,
    lanes: &mut [Lane],
    exchange: &Exchange,
    time: Duration,
) -> Result<Throughput, Failure> {
    let before = server.computed().await?;
    let start = Instant::now();
    let busy = lanes.iter_mut().map(async |lane| {
        let mut answers = 0_u32;
        // Once at least, so that there is a request to divide by.
        while answers == 0 || start.elapsed() < time {
            lane.exchange(exchange.request()).await?;
            answers += 1;
        }
        Ok::<_, Failure>(answers)
    });
    let answers: u32 = timeout(LIMIT + time, try_join_all(busy)).await??.into_iter().sum();
    let taken = start.elapsed();
    let computed = server.computed().await? - before;
    Ok(Throughput { rate: f64::from(answers) / taken.as_secs_f64(), cost: computed / answers })
}
