//! The XKS proxy over loopback: what it adds to hyper's server that answers with a constant.
//!
//! The server has a thread of its own, whose computing time is measured, and the load another.
#![expect(clippy::print_stdout, reason = "it reports")]

use std::time::Duration;

use custom_key_store::backend::XksProxyCredential;
use custom_key_store_benches::loopback::{
    Elsewhere, Exchange, Failure, IN_FLIGHT, Lane, Recorded, Throughput, Tls, Wire, constant, is_trial,
    lanes, proxy, saturate,
};
use tokio::runtime::Builder;

/// Each is long enough for thousands of requests, and there are enough of them for a median; rows take turns, so
/// that what disturbs the machine for a while disturbs all.
const ROUNDS: usize = 11;
const ROUND: Duration = Duration::from_millis(150);

/// A server under a load.
struct Row {
    name: &'static str,
    lanes: Vec<Lane>,
    exchange: Exchange,
    seen: Vec<Throughput>,
}

impl Row {
    /// The medians of rate and cost.
    fn median(&self) -> Option<Throughput> {
        let mut rates: Vec<_> = self.seen.iter().map(|seen| seen.rate).collect();
        let mut costs: Vec<_> = self.seen.iter().map(|seen| seen.cost).collect();
        rates.sort_by(f64::total_cmp);
        costs.sort();
        let middle = self.seen.len() / 2;
        Some(Throughput { rate: *rates.get(middle)?, cost: *costs.get(middle)? })
    }
}

async fn compare(server: &Elsewhere, wire: Wire, in_flight: usize) -> Result<(), Failure> {
    let tls = Tls::new()?;
    let credential = XksProxyCredential::generate()?;
    let recorded = Recorded::now(&credential).await?;
    let (unverified, verified) = (recorded.unverified.over(wire)?, recorded.verified.over(wire)?);
    let options = tls.options(wire)?;
    let proxy = server.run(async move { proxy(&credential, options).await }).await?;
    let acceptor = tls.acceptor(wire)?;
    let constant = server.run(async move { constant(&recorded, wire, acceptor).await }).await?;

    let mut rows = Vec::new();
    for (name, address, exchange) in [
        ("hyper", constant, &verified),
        ("encrypt 32 B, unverified", proxy, &unverified),
        ("encrypt 32 B, verified", proxy, &verified),
    ] {
        let lanes = lanes(in_flight, address, wire, &tls).await?;
        rows.push(Row { name, lanes, exchange: exchange.clone(), seen: Vec::new() });
    }
    let (rounds, round) = if is_trial() { (1, Duration::ZERO) } else { (ROUNDS, ROUND) };
    for row in &mut rows {
        saturate(server, &mut row.lanes, &row.exchange, round).await?;
    }
    for _ in 0..rounds {
        for row in &mut rows {
            row.seen.push(saturate(server, &mut row.lanes, &row.exchange, round).await?);
        }
    }

    let title = format!("server, {wire}, {in_flight} in flight");
    println!("{title:<36}{:>12}{:>16}{:>14}", "requests/s", "CPU per request", "above hyper");
    let floor = rows.first().and_then(Row::median).map(|floor| floor.cost);
    for row in &rows {
        let Some(Throughput { rate, cost }) = row.median() else { continue };
        let above = floor.map(|floor| microseconds(cost) - microseconds(floor)).unwrap_or_default();
        println!("  {:<34}{rate:>12.0}{:>13.2} µs{above:>11.2} µs", row.name, microseconds(cost));
    }
    Ok(())
}

fn microseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

fn main() -> Result<(), Failure> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let server = Elsewhere::start()?;
    for wire in [Wire::Plain, Wire::Tls, Wire::Http2] {
        for in_flight in IN_FLIGHT {
            runtime.block_on(compare(&server, wire, in_flight))?;
        }
    }
    Ok(())
}
