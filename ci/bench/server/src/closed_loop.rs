//! K sessions, each with D requests in flight all the time.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use tokio::task::JoinSet;

use crate::codec;
use crate::server::Server;
use crate::session::Session;
use crate::workload::{Place, Workload};

/// Amount of load, and its duration.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    pub sessions: usize,
    pub depth: usize,
    pub warm_up: Duration,
    pub time: Duration,
}

/// Result of a closed loop.
pub struct Measured {
    pub per_second: f64,
    pub p50_us: f64,
    pub p99_us: f64,
    pub p999_us: f64,
    /// CPU time of the server, user and system.
    pub cpu_us_per_operation: f64,
}

/// Runs one workload against one server.
pub async fn run(server: &Server, workload: Workload, shape: Shape, run: &str) -> io::Result<Measured> {
    let mut sessions = Vec::new();
    for number in 0..shape.sessions {
        sessions.push(prepared(server.addr(), workload, run, number).await?);
    }
    let start = Instant::now() + shape.warm_up;
    let end = start + shape.time;
    let mut loops = JoinSet::new();
    for (session, place) in sessions {
        loops.spawn(closed_loop(session, workload, place, shape.depth, start, end));
    }
    tokio::time::sleep_until(start.into()).await;
    let (cpu_before, begun) = (server.cpu()?, Instant::now());
    tokio::time::sleep_until(end.into()).await;
    let (cpu, elapsed) = (server.cpu()? - cpu_before, begun.elapsed());
    let mut latencies = new_histogram();
    while let Some(finished) = loops.join_next().await {
        latencies.add(finished??).map_err(io::Error::other)?;
    }
    let operations = latencies.len();
    let percentile = |q: f64| latencies.value_at_quantile(q) as f64 / 1e3;
    Ok(Measured {
        per_second: operations as f64 / elapsed.as_secs_f64(),
        p50_us: percentile(0.5),
        p99_us: percentile(0.99),
        p999_us: percentile(0.999),
        cpu_us_per_operation: cpu.as_secs_f64() * 1e6 / operations.max(1) as f64,
    })
}

async fn prepared(
    addr: SocketAddr,
    workload: Workload,
    run: &str,
    number: usize,
) -> io::Result<(Session, Place)> {
    let mut session = Session::connect(addr, Duration::from_secs(40)).await?;
    let place = workload.prepare(&mut session, run, number).await?;
    Ok((session, place))
}

/// Latencies in nanoseconds of the requests answered between `start` and `end`.
async fn closed_loop(
    mut session: Session,
    workload: Workload,
    place: Place,
    depth: usize,
    start: Instant,
    end: Instant,
) -> io::Result<Histogram<u64>> {
    let mut latencies = new_histogram();
    let mut in_flight = VecDeque::with_capacity(depth);
    let mut sent = 0;
    loop {
        let now = Instant::now();
        if now < end {
            while in_flight.len() < depth {
                workload.encode(&mut session.output, &place, sent);
                in_flight.push_back(now);
                sent += 1;
            }
            session.send().await?;
        } else if in_flight.is_empty() {
            session.close().await?;
            return Ok(latencies);
        }
        session.receive().await?;
        let now = Instant::now();
        while let Some(reply) = session.received()? {
            if reply.xid == codec::EVENT {
                continue;
            }
            if reply.err != 0 {
                return Err(io::Error::other(format!(
                    "{}: the server answered {}",
                    workload.name, reply.err
                )));
            }
            let asked = in_flight.pop_front().ok_or_else(|| io::Error::other("an answer to nothing"))?;
            if now >= start && now < end {
                let nanos = u64::try_from((now - asked).as_nanos()).unwrap_or(u64::MAX);
                latencies.saturating_record(nanos);
            }
        }
    }
}

/// Nanoseconds up to a minute, to three digits.
pub fn new_histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 60_000_000_000, 3).expect("constant bounds")
}
