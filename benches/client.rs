//! The XKS client over loopback: what it adds to hyper's client, and how `reqwest` does.
//!
//! Both ends share one thread, so a row is the work of both, and the difference of two rows is the work of the end
//! in which they differ. What the others send are the bytes that the client of this crate sent.

use std::hint::black_box;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, SamplingMode};
use custom_key_store::backend::XksProxyCredential;
use custom_key_store_benches::criterion;
use custom_key_store_benches::loopback::{
    Call, Exchange, Failure, HOST, IN_FLIGHT, LIMIT, Lane, Recorded, Tls, Wire, connect, constant, lanes,
    settings,
};
use futures_util::future::try_join_all;
use reqwest::Url;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Mutex;
use tokio::time::timeout;

/// Measures `work`, which is given the number of a worker and how often that worker is to call.
fn measure<F>(
    group: &mut BenchmarkGroup<'_, WallTime>,
    runtime: &Runtime,
    in_flight: usize,
    name: &str,
    work: impl Fn(usize, u64) -> F,
) where
    F: Future<Output = Result<(), Failure>> + Send + 'static,
{
    let workers = in_flight as u64;
    let run = async |count: u64| -> Result<Duration, Failure> {
        let start = Instant::now();
        let tasks = (0..in_flight).map(|worker| {
            let extra = u64::from((worker as u64) < count % workers);
            tokio::spawn(work(worker, count / workers + extra))
        });
        for done in try_join_all(tasks).await? {
            done?;
        }
        Ok(start.elapsed())
    };
    group.bench_function(name, |bencher| {
        bencher.iter_custom(|count| {
            // Criterion cannot be told of a failure.
            match runtime.block_on(async { timeout(LIMIT, run(count)).await }) {
                Ok(Ok(taken)) => taken,
                Ok(Err(error)) => panic!("{name}: {error}"),
                Err(_elapsed) => panic!("{name}: not done within {LIMIT:?}"),
            }
        });
    });
}

/// Measures bare hyper sending the request of `exchange`, each worker on a lane of its own.
fn measure_hyper(
    group: &mut BenchmarkGroup<'_, WallTime>,
    runtime: &Runtime,
    name: &str,
    exchange: &Arc<Exchange>,
    lanes: Vec<Lane>,
) {
    let in_flight = lanes.len();
    let lanes: Vec<_> = lanes.into_iter().map(|lane| Arc::new(Mutex::new(lane))).collect();
    measure(group, runtime, in_flight, name, |worker, times| {
        let (lane, exchange) = (lanes.get(worker).map(Arc::clone), Arc::clone(exchange));
        async move {
            let lane = lane.ok_or("there are as many workers as lanes")?;
            let mut lane = lane.lock().await;
            for _ in 0..times {
                black_box(lane.exchange(exchange.request()).await?);
            }
            Ok(())
        }
    });
}

/// `reqwest` as one would set it up for a server of this kind, and where it is to send.
fn reqwest(
    address: SocketAddr,
    exchange: &Exchange,
    wire: Wire,
    tls: &Tls,
) -> Result<(reqwest::Client, Url), Failure> {
    let client = reqwest::Client::builder()
        .resolve(HOST, address)
        .timeout(LIMIT)
        .http1_only()
        .tls_backend_preconfigured(tls.client(wire)?)
        .build()?;
    let scheme = if wire.is_tls() { "https" } else { "http" };
    // With the port, for one that `resolve` says is not always heard; the Host header is the recorded one.
    let url = format!("{scheme}://{HOST}:{}{}", address.port(), exchange.uri);
    Ok((client, url.parse()?))
}

async fn send(client: &reqwest::Client, url: &Url, exchange: &Exchange) -> Result<(), Failure> {
    let mut request = reqwest::Request::new(reqwest::Method::POST, url.clone());
    *request.headers_mut() = exchange.headers.clone();
    *request.body_mut() = Some(exchange.body.clone().into());
    let response = client.execute(request).await?.error_for_status()?;
    black_box(response.bytes().await?);
    Ok(())
}

/// All that is compared, calling hyper's server.
fn compare(
    criterion: &mut Criterion,
    runtime: &Runtime,
    in_flight: usize,
    wire: Wire,
    tls: &Tls,
) -> Result<(), Failure> {
    let credential = XksProxyCredential::generate()?;
    let open = async |address| lanes(in_flight, address, wire, tls).await;
    let prepared = async {
        let recorded = Recorded::now(&credential).await?;
        let address = constant(&recorded, wire, tls.acceptor(wire)?).await?;
        let settings = settings(&credential)?.max_idle_connections(in_flight);
        let settings = match wire {
            Wire::Plain => settings.dangerous_plain_http_on_loopback(address),
            _ => settings.dial(address).trust_roots(tls.roots()?),
        };
        let spawned: Vec<_> = open(address).await?.into_iter().map(Lane::spawned).collect();
        Ok::<_, Failure>((
            recorded.verified,
            address,
            open(address).await?,
            spawned,
            connect(settings).await?,
        ))
    };
    let (exchange, address, bare, spawned, connection) =
        runtime.block_on(async { timeout(LIMIT, prepared).await? })?;
    let exchange = Arc::new(exchange);

    let mut group = criterion.benchmark_group(format!("client, {wire}, {in_flight} in flight"));
    // So that each sample is long enough for all workers to be busy.
    group.sampling_mode(SamplingMode::Flat);
    measure_hyper(&mut group, runtime, "hyper", &exchange, bare);
    measure_hyper(&mut group, runtime, "hyper, connection spawned", &exchange, spawned);

    let others = Arc::new(reqwest(address, &exchange, wire, tls)?);
    measure(&mut group, runtime, in_flight, "reqwest", |_, times| {
        let (others, exchange) = (Arc::clone(&others), Arc::clone(&exchange));
        async move {
            let (client, url) = &*others;
            for _ in 0..times {
                send(client, url, &exchange).await?;
            }
            Ok(())
        }
    });

    let call = Arc::new(Call::new()?);
    for (name, verified) in [("encrypt 32 B, unverified", false), ("encrypt 32 B, verified", true)] {
        measure(&mut group, runtime, in_flight, name, |_, times| {
            let (connection, call) = (Arc::clone(&connection), Arc::clone(&call));
            async move {
                for _ in 0..times {
                    black_box(call.encrypt(&*connection, verified).await?);
                }
                Ok(())
            }
        });
    }
    group.finish();
    Ok(())
}

fn main() -> Result<(), Failure> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let tls = Tls::new()?;
    let mut criterion = criterion();
    for in_flight in IN_FLIGHT {
        for wire in [Wire::Plain, Wire::Tls] {
            compare(&mut criterion, &runtime, in_flight, wire, &tls)?;
        }
    }
    criterion.final_summary();
    Ok(())
}
