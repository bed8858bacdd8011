//! `scale CASE [SERVERS]`: starts 1,000 servers, one after the other, and keeps them all. Prints a row: the medians of the time
//! that `start()` takes and of the time from then to the first reply to a request, the time until as many servers have served that are started at
//! once by one thread, and the memory of each. Allocations are counted, which takes a few nanoseconds each.
#![forbid(unsafe_code)]

use std::time::{Duration, Instant};
use std::{fmt, io, process};

use anyhow::{Context, ensure};
use bench_micro::{exists, handshake};
use peak_alloc::PeakAlloc;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use zk_mini::{Builder, ZkMini};

#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

/// Configuration to measure.
struct Case {
    name: &'static str,
    builder: fn() -> Builder,
}

const CASES: [Case; 4] = [
    Case { name: "in memory", builder: || ZkMini::builder().in_memory() },
    Case { name: "in memory, without history", builder: || ZkMini::builder().in_memory().without_history() },
    Case { name: "with a port", builder: ZkMini::builder },
    Case { name: "with a port, without history", builder: || ZkMini::builder().without_history() },
];

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let name = arguments.next().context("which case?")?;
    let servers = arguments.next().map_or(Ok(1_000), |number| number.parse())?;
    let case = CASES.iter().find(|case| case.name == name).with_context(|| format!("no case {name}"))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let row = runtime.block_on(measure(case.builder, servers))?;
    println!("| {name} | {row} |");
    Ok(())
}

async fn measure(builder: fn() -> Builder, servers: usize) -> anyhow::Result<String> {
    // Starts what all servers of the process share.
    first_reply(&builder().start().await?).await?;
    let before = Memory::now()?;
    let (mut running, mut starts, mut replies) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..servers {
        let begin = Instant::now();
        let zk = builder().start().await?;
        starts.push(begin.elapsed());
        let connection = first_reply(&zk).await?;
        replies.push(begin.elapsed());
        drop(connection);
        running.push(zk);
    }
    for zk in &running {
        while !zk.connections().is_empty() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    let idle = Memory::now()?.since(before, servers);
    let mut connections = Vec::new();
    for zk in &running {
        connections.push(first_reply(zk).await?);
    }
    let with_session = Memory::now()?.since(before, servers);
    drop((running, connections));
    let begin = Instant::now();
    let all = (0..servers).map(|_| tokio::spawn(async move { first_reply(&builder().start().await?).await }));
    for one in all.collect::<Vec<_>>() {
        one.await??;
    }
    let all_at_once = begin.elapsed().as_secs_f64() * 1e3;
    let (start, reply) = (median_us(&mut starts), median_us(&mut replies));
    Ok(format!("{start:.1} µs | {reply:.1} µs | {all_at_once:.1} ms | {idle} | {with_session}"))
}

/// Connects, opens a session, and asks for the root. Returns the connection.
async fn first_reply(zk: &ZkMini) -> anyhow::Result<Box<dyn Stream>> {
    let mut stream: Box<dyn Stream> = match zk.addr() {
        Some(addr) => Box::new(TcpStream::connect(addr).await?),
        None => Box::new(zk.connect()),
    };
    stream.write_all(&handshake()).await?;
    ensure!(reply(&mut stream).await? == 37, "no session");
    stream.write_all(&exists("/")).await?;
    ensure!(reply(&mut stream).await? == 16 + 68, "no root");
    Ok(stream)
}

/// Reads a frame, and returns its length.
async fn reply(stream: &mut Box<dyn Stream>) -> anyhow::Result<usize> {
    let len = usize::try_from(stream.read_u32().await?)?;
    ensure!(len < 1_000, "a frame of {len} bytes");
    stream.read_exact(&mut vec![0; len]).await?;
    Ok(len)
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// Memory in KiB.
#[derive(Clone, Copy)]
struct Memory {
    heap: f64,
    resident: f64,
}

impl Memory {
    fn now() -> io::Result<Self> {
        let resident = measure::memory_kib(process::id())? as f64;
        Ok(Self { heap: HEAP.current_usage() as f64 / 1024.0, resident })
    }

    /// Returns what each of the servers has added.
    fn since(self, before: Self, servers: usize) -> Self {
        let each = |now: f64, before: f64| (now - before) / servers as f64;
        Self { heap: each(self.heap, before.heap), resident: each(self.resident, before.resident) }
    }
}

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.1} KiB of heap, {:.1} KiB resident", self.heap, self.resident)
    }
}

fn median_us(times: &mut [Duration]) -> f64 {
    times.sort_unstable();
    times[times.len() / 2].as_secs_f64() * 1e6
}
