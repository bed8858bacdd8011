//! Measures RPC libraries against each other in one run.
//!
//! Each is a program that serves or calls; both sides are processes of their own, started anew for each cell and taken in
//! turn round by round, so that a machine that drifts drifts for all of them. Figures are medians of the rounds; CPU is
//! the server's own.
#![forbid(unsafe_code)]

mod peer;

use std::fs;
use std::path::PathBuf;

use clap::Parser;
use measure::Report;
use tempfile::TempDir;

use peer::{Cell, Peer};

/// Measures RPC libraries against each other. The others are compared with the first.
#[derive(Debug, Parser)]
#[command(args_override_self = true)]
struct Cli {
    /// The programs.
    #[arg(required = true)]
    peers: Vec<PathBuf>,
    /// Calls in flight.
    #[arg(long, default_value = "1,64,1024", value_delimiter = ',')]
    concurrency: Vec<usize>,
    /// Connections.
    #[arg(long, default_value = "1,8", value_delimiter = ',')]
    conns: Vec<usize>,
    /// Measures streams of messages in place of calls.
    #[arg(long)]
    stream: bool,
    /// Measures over TLS, with a certificate that is made for this run.
    #[arg(long)]
    tls: bool,
    /// Bytes of the body.
    #[arg(long, default_value = "64,1024", value_delimiter = ',')]
    bodies: Vec<usize>,
    /// Measure also with two threads each, on cores that the system chooses.
    #[arg(long)]
    unpinned: bool,
    /// Idle connections whose memory is measured; 0 for none.
    #[arg(long, default_value_t = 10_000)]
    idle: usize,
    /// Duration of each measurement in seconds.
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// Number of rounds.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
}

fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    let certificate = cli.tls.then(certificate).transpose()?;
    let tls = certificate.as_ref().map(TempDir::path);
    let peers: Vec<_> = cli.peers.iter().map(|program| Peer::new(program, tls)).collect();
    let cells = cli.cells();
    let mut report = Report::default();
    for _ in 0..cli.rounds {
        for cell in &cells {
            for peer in &peers {
                let measured = peer.measure(cell)?;
                let mut add = |figure, value| report.add(&cell.to_string(), figure, &peer.name, value);
                add("calls per second", measured.calls.rps);
                add("server CPU us per call", measured.cpu_us_per_call);
                add("p50 us", measured.calls.p50_us);
                add("p99 us", measured.calls.p99_us);
                add("p99.9 us", measured.calls.p999_us);
            }
        }
        for peer in peers.iter().filter(|_| cli.idle > 0) {
            let kib = peer.memory_per_connection(cli.idle)?;
            report.add(
                &format!("{} idle connections", cli.idle),
                "server KiB per connection",
                &peer.name,
                kib,
            );
        }
    }
    let names: Vec<_> = peers.iter().map(|peer| peer.name.as_str()).collect();
    println!("\n{}", report.table(&names));
    Ok(())
}

/// Makes a certificate and its key, in a directory that goes with the value.
fn certificate() -> anyhow::Result<TempDir> {
    let (dir, names) = (TempDir::new()?, ["127.0.0.1".to_owned(), "localhost".to_owned()]);
    let made = rcgen::generate_simple_self_signed(names)?;
    fs::write(dir.path().join("cert.pem"), made.cert.pem())?;
    fs::write(dir.path().join("key.pem"), made.signing_key.serialize_pem())?;
    Ok(dir)
}

impl Cli {
    fn cells(&self) -> Vec<Cell> {
        let mut cells = Vec::new();
        for pinned in [true, false].into_iter().filter(|pinned| *pinned || self.unpinned) {
            for &body in &self.bodies {
                for &concurrency in &self.concurrency {
                    for &conns in self.conns.iter().filter(|conns| **conns <= concurrency) {
                        let (seconds, stream) = (self.seconds, self.stream);
                        cells.push(Cell { pinned, body, concurrency, conns, seconds, stream });
                    }
                }
            }
        }
        cells
    }
}
