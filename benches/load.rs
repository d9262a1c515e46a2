//! How long the XKS proxy lets a request wait when half as many arrive as it can answer.
//!
//! The load is open: when each request arrives is fixed beforehand, whatever became of those before it, and its
//! latency counts from then; so a request that has to wait for a connection, or for a load that is late, is not
//! counted as faster than it was.
#![expect(clippy::print_stdout, reason = "it reports")]

use std::time::{Duration, Instant};

use custom_key_store::backend::XksProxyCredential;
use custom_key_store_benches::loopback::{
    Elsewhere, Exchange, Failure, LIMIT, Lane, Recorded, Tls, Wire, constant, is_trial, lanes, proxy,
    saturate,
};
use futures_util::future::try_join_all;
use tokio::runtime::Builder;
use tokio::sync::Mutex;
use tokio::task::yield_now;
use tokio::time::timeout;

/// How many requests can be under way.
const CONNECTIONS: usize = 64;

/// Moments since the start, on average `rate` in each second, each independent of those before it: a Poisson process,
/// the same at each run.
fn arrivals(rate: f64, time: Duration) -> Vec<Duration> {
    let mut state = 1_u32;
    let gaps = std::iter::repeat_with(|| {
        // xorshift; never zero, so that there is a logarithm.
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        Duration::from_secs_f64(-(f64::from(state) / (f64::from(u32::MAX) + 1.0)).ln() / rate)
    });
    gaps.scan(Duration::ZERO, |now, gap| {
        *now += gap;
        Some(*now)
    })
    .take_while(|now| *now < time)
    .collect()
}

/// Sends a request at each of these moments, as soon as a lane is free; the latencies, sorted.
async fn offer(
    lanes: &mut [Lane],
    exchange: &Exchange,
    arrivals: Vec<Duration>,
) -> Result<Vec<Duration>, Failure> {
    let last = arrivals.last().copied().unwrap_or_default();
    let start = Instant::now();
    // The lane that holds it waits for the next request, the other free lanes for their turn.
    let queue = Mutex::new(arrivals.into_iter());
    let working = lanes.iter_mut().map(async |lane| {
        let mut latencies = Vec::new();
        loop {
            let due = {
                let mut queue = queue.lock().await;
                let Some(due) = queue.next() else { return Ok::<_, Failure>(latencies) };
                // tokio's timers have a millisecond's resolution, so this looks at the clock again and again.
                while start.elapsed() < due {
                    yield_now().await;
                }
                due
            };
            lane.exchange(exchange.request()).await?;
            latencies.push(start.elapsed() - due);
        }
    });
    let latencies = timeout(LIMIT + last, try_join_all(working)).await??;
    let mut latencies = latencies.concat();
    latencies.sort();
    Ok(latencies)
}

/// The latency that this share of the requests kept below, of a thousand.
fn quantile(latencies: &[Duration], per_mille: usize) -> f64 {
    let at = (latencies.len() * per_mille / 1000).min(latencies.len().saturating_sub(1));
    latencies.get(at).copied().unwrap_or_default().as_secs_f64() * 1e6
}

async fn measure(server: &Elsewhere, wire: Wire) -> Result<(), Failure> {
    let (saturating, offering) = if is_trial() {
        (Duration::ZERO, Duration::from_millis(50))
    } else {
        (Duration::from_secs(2), Duration::from_secs(5))
    };
    let tls = Tls::new()?;
    let credential = XksProxyCredential::generate()?;
    let recorded = Recorded::now(&credential).await?;
    let exchange = recorded.verified.over(wire)?;
    let options = tls.options(wire)?;
    let proxy = server.run(async move { proxy(&credential, options).await }).await?;
    let acceptor = tls.acceptor(wire)?;
    let constant = server.run(async move { constant(&recorded, wire, acceptor).await }).await?;

    let mut busy = lanes(CONNECTIONS, proxy, wire, &tls).await?;
    // The first round warms up: connections, buffers, the signing key.
    saturate(server, &mut busy, &exchange, saturating / 4).await?;
    let saturated = saturate(server, &mut busy, &exchange, saturating).await?.rate;
    let rate = saturated / 2.0;
    println!("load, {wire}: {rate:.0} requests/s of at most {saturated:.0}");

    let floor = lanes(CONNECTIONS, constant, wire, &tls).await?;
    for (name, mut lanes) in [("hyper", floor), ("encrypt 32 B, verified", busy)] {
        let latencies = offer(&mut lanes, &exchange, arrivals(rate, offering)).await?;
        let [p50, p99, p999, most] = [500, 990, 999, 1000].map(|part| quantile(&latencies, part));
        println!(
            "  {name:<24}p50 {p50:>7.0} µs  p99 {p99:>7.0} µs  p99.9 {p999:>7.0} µs  max {most:>7.0} µs"
        );
    }
    Ok(())
}

fn main() -> Result<(), Failure> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let server = Elsewhere::start()?;
    for wire in [Wire::Plain, Wire::Tls] {
        runtime.block_on(measure(&server, wire))?;
    }
    Ok(())
}
