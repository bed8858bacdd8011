//! Measures ZooKeeper servers against each other in one run: closed loops, storms, fan-out, expiry, memory.
//!
//! Servers are commands, started anew in each round and measured in turn, so that a machine that drifts
//! drifts for all of them. Figures are medians of the rounds; CPU is the server's own.
#![forbid(unsafe_code)]

use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bench_server::bulk;
use bench_server::closed_loop::{self, Shape};
use bench_server::scenario;
use bench_server::server::{Server, Spec};
use bench_server::workload::WORKLOADS;
use clap::Parser;
use measure::{Panel, Plot, Report};

/// Measures ZooKeeper servers against each other. The others are compared with the first.
#[derive(Debug, Parser)]
struct Cli {
    /// A server: NAME=COMMAND, where {port} in the command stands for the port to listen on.
    #[arg(long = "server", required = true, value_name = "NAME=COMMAND")]
    servers: Vec<Spec>,
    /// A program that answers every request alike, without events or ends of sessions: the upper limit.
    #[arg(long = "null", value_name = "NAME=COMMAND")]
    null: Option<Spec>,
    /// Run only workloads and scenarios whose names contain one of these words.
    #[arg(long = "only", value_name = "WORD")]
    only: Vec<String>,
    /// Numbers of sessions of the closed loops.
    #[arg(long, default_value = "1,16,256", value_delimiter = ',')]
    sessions: Vec<usize>,
    /// Numbers of requests in flight per session of the closed loops.
    #[arg(long, default_value = "1,64", value_delimiter = ',')]
    depths: Vec<usize>,
    /// Duration of each closed loop in seconds.
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// Number of rounds.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// File for a plot of the servers' CPU in the closed loops, as SVG.
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
}

/// The figure that is plotted.
const CPU: &str = "server CPU us per operation";

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    let cli = Cli::parse();
    let mut report = Report::default();
    for round in 0..cli.rounds {
        for spec in cli.servers.iter().chain(&cli.null) {
            if let Err(error) = measure(&cli, spec, round, &mut report).await {
                return Err(io::Error::other(format!("{}: {error}", spec.name)));
            }
        }
    }
    let names: Vec<_> = cli.servers.iter().chain(&cli.null).map(|spec| spec.name.as_str()).collect();
    println!("\n{}", report.table(&names));
    if let Some(file) = &cli.plot {
        cli.plot(&report, &names, file)
            .map_err(|error| io::Error::other(format!("{}: {error}", file.display())))?;
    }
    Ok(())
}

impl Cli {
    fn wants(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|word| name.contains(word.as_str()))
    }

    /// Returns the closed loops: numbers of sessions, each with its numbers of requests in flight.
    fn shapes(&self) -> impl Iterator<Item = (usize, usize)> {
        self.sessions.iter().flat_map(|sessions| self.depths.iter().map(|depth| (*sessions, *depth)))
    }

    /// Plots the CPU of the servers: a panel for each shape of the closed loops, a row for each workload.
    fn plot(&self, report: &Report, servers: &[&str], file: &Path) -> Result<(), Box<dyn Error>> {
        let names: Vec<_> =
            WORKLOADS.iter().map(|workload| workload.name).filter(|name| self.wants(name)).collect();
        let panels: Vec<_> = self
            .shapes()
            .map(|(sessions, depth)| {
                let median =
                    |name: &str, server: &&str| report.median(&loop_name(name, sessions, depth), CPU, server);
                Panel {
                    title: format!("{sessions} sessions, {depth} in flight each"),
                    values: names
                        .iter()
                        .map(|name| servers.iter().map(|server| median(name, server)).collect())
                        .collect(),
                }
            })
            .collect();
        let rows: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let title = "CPU time of the server for an operation, in microseconds";
        Plot { title, servers, rows: &rows, panels: &panels }.write(file)
    }
}

/// Returns the name of a closed loop in the report.
fn loop_name(workload: &str, sessions: usize, depth: usize) -> String {
    format!("{workload} K={sessions} D={depth}")
}

async fn measure(cli: &Cli, spec: &Spec, round: usize, report: &mut Report) -> io::Result<()> {
    let server = Server::start(spec).await?;
    report.add("cold start", "exec to first reply ms", &spec.name, server.start_up.as_secs_f64() * 1e3);
    for workload in WORKLOADS.iter().filter(|workload| cli.wants(workload.name)) {
        for (sessions, depth) in cli.shapes() {
            let time = Duration::from_secs_f64(cli.seconds);
            let shape = Shape { sessions, depth, warm_up: time / 2, time };
            let what = loop_name(workload.name, sessions, depth);
            let run = format!("{round}-{}-{sessions}-{depth}", workload.name.replace([' ', '+'], "-"));
            let measured = closed_loop::run(&server, *workload, shape, &run).await?;
            report.add(&what, "operations per second", &spec.name, measured.per_second);
            report.add(&what, CPU, &spec.name, measured.cpu_us_per_operation);
            report.add(&what, "p50 us", &spec.name, measured.p50_us);
            report.add(&what, "p99 us", &spec.name, measured.p99_us);
            report.add(&what, "p99.9 us", &spec.name, measured.p999_us);
        }
    }
    let run = round.to_string();
    let mut add = |what: &str, figures: Vec<scenario::Figure>| {
        for (figure, value) in figures {
            report.add(what, figure, &spec.name, value);
        }
    };
    if cli.wants("session storm") {
        add("session storm", scenario::session_storm(&server, Duration::from_secs_f64(cli.seconds)).await?);
    }
    let is_null = cli.null.as_ref().is_some_and(|null| null.name == spec.name);
    if cli.wants("watch fan-out") && !is_null {
        add("watch fan-out", scenario::watch_fan_out(&server, &run, 1000).await?);
    }
    if cli.wants("expiry burst") && !is_null {
        add("expiry burst", scenario::expiry_burst(&server, &run, 1000).await?);
    }
    for (name, things, count, end) in bulk::CASES {
        if cli.wants(name) && !is_null {
            let fresh = Server::start(spec).await?;
            add(name, bulk::end(&fresh, things, count, end).await?);
        }
    }
    for sessions in [1000, 10_000] {
        if cli.wants("idle memory") {
            let fresh = Server::start(spec).await?;
            add("idle memory", scenario::idle_memory(&fresh, sessions).await?);
        }
    }
    Ok(())
}
