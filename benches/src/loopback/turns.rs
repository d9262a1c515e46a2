//! Servers side by side, each of which is kept busy in turn.
#![expect(clippy::print_stdout, reason = "it reports")]

use std::time::Duration;

use super::{Elsewhere, Exchange, Failure, Lane, Throughput, is_trial, saturate};

/// Each is long enough for thousands of requests, and there are enough of them for a median; rows take turns, so
/// that what disturbs the machine for a while disturbs all.
const ROUNDS: usize = 11;
const ROUND: Duration = Duration::from_millis(150);

/// A server under a load.
#[derive(Debug)]
pub struct Row {
    name: &'static str,
    lanes: Vec<Lane>,
    exchange: Exchange,
    seen: Vec<Throughput>,
}

impl Row {
    /// This request on these lanes, again and again.
    #[must_use]
    pub const fn new(name: &'static str, lanes: Vec<Lane>, exchange: Exchange) -> Self {
        Self { name, lanes, exchange, seen: Vec::new() }
    }

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

/// Keeps the servers busy, which share a thread of their own, and reports. The first is the floor.
pub async fn take_turns(server: &Elsewhere, title: &str, mut rows: Vec<Row>) -> Result<(), Failure> {
    let (rounds, round) = if is_trial() { (1, Duration::ZERO) } else { (ROUNDS, ROUND) };
    for row in &mut rows {
        saturate(server, &mut row.lanes, &row.exchange, round).await?;
    }
    for _ in 0..rounds {
        for row in &mut rows {
            row.seen.push(saturate(server, &mut row.lanes, &row.exchange, round).await?);
        }
    }

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
