//! The XKS proxy over loopback: what it adds to hyper's server that answers with a constant.
//!
//! The server has a thread of its own, whose computing time is measured, and the load another.

use custom_key_store::backend::XksProxyCredential;
use custom_key_store_benches::loopback::{
    Elsewhere, Failure, IN_FLIGHT, Recorded, Row, Tls, Wire, constant, lanes, proxy, take_turns,
};
use tokio::runtime::Builder;

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
        rows.push(Row::new(name, lanes(in_flight, address, wire, &tls).await?, exchange.clone()));
    }
    take_turns(server, &format!("server, {wire}, {in_flight} in flight"), rows).await
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
