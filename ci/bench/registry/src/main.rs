//! Compares ways of service discovery on the same zk-mini: the time to find all instances, the time until subscribers see a
//! change, and the number of requests that this takes.
#![forbid(unsafe_code)]

mod kazoo;
mod obvious;
mod ours;
mod reconnect;
mod row;
mod server;

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use anyhow::ensure;
use clap::Parser;
use measure::Report;
use zk_client::{Client, CreateMode, Expected};

use row::Row;
use server::Server;

/// Parent node of the instances.
const SERVICE: &str = "/bench/service";

/// Compares ways of service discovery.
#[derive(Debug, Parser)]
struct Cli {
    /// Path of the zk-mini program.
    #[arg(long)]
    zk_mini: PathBuf,
    /// Python interpreter with kazoo.
    #[arg(long)]
    python: PathBuf,
    /// Numbers of instances to find.
    #[arg(long, default_value = "10,1000,10000", value_delimiter = ',')]
    instances: Vec<usize>,
    /// Numbers of subscribers that see a change.
    #[arg(long, default_value = "1,100,1000", value_delimiter = ',')]
    subscribers: Vec<usize>,
    /// Maximum number of subscribers with kazoo, which has two threads for each.
    #[arg(long, default_value_t = 100)]
    most_of_kazoo: usize,
    /// Numbers of watches of a client that loses its connection.
    #[arg(long, default_value = "1000,100000", value_delimiter = ',')]
    watches: Vec<usize>,
    /// Changes in one round.
    #[arg(long, default_value_t = 10)]
    changes: usize,
    /// Number of rounds.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Compares only ways with this text in their names.
    #[arg(long)]
    only: Vec<String>,
}

impl Cli {
    fn rows(&self) -> impl Iterator<Item = Row> {
        let wanted =
            |row: &Row| self.only.is_empty() || self.only.iter().any(|text| row.name().contains(text));
        Row::ALL.into_iter().filter(wanted)
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    let mut report = Report::default();
    for _ in 0..cli.rounds {
        for &count in &cli.instances {
            for row in cli.rows().filter(|row| *row != Row::Bare) {
                let millis = resolve(&cli, row, count).await?;
                report.add(&format!("find {count} instances"), "ms", row.name(), millis);
            }
        }
    }
    // Afterwards: thousands of clients are a while busy with the end of their server.
    for _ in 0..cli.rounds {
        for &count in &cli.subscribers {
            for row in cli.rows().filter(|row| *row != Row::Kazoo || count <= cli.most_of_kazoo) {
                changes(&cli, row, count, &mut report).await?;
            }
        }
        for &count in &cli.watches {
            let server = Server::start(&cli.zk_mini).await?;
            let millis = reconnect::with_watches(&server, count).await?;
            report.add(&format!("reconnect with {count} watches"), "ms", Row::Ours.name(), millis);
        }
    }
    println!("\n{}", report.table(&Row::ALL.map(Row::name)));
    Ok(())
}

/// Measures the milliseconds to find all instances of a service over an open connection; median of several runs.
async fn resolve(cli: &Cli, row: Row, count: usize) -> anyhow::Result<f64> {
    let server = Server::start(&cli.zk_mini).await?;
    let _instances = announce(&server, count).await?;
    let times = (10_000 / count).clamp(3, 100);
    let mut millis = match row {
        Row::Ours => ours::resolve(&server, &ours::one_format(), times, count).await?,
        Row::Formats => ours::resolve(&server, &ours::two_formats(), times, count).await?,
        Row::Obvious => obvious::resolve(&server, times, count).await?,
        Row::Kazoo => kazoo::resolve(&cli.python, &server, times, count).await?,
        Row::Bare => Vec::new(),
    };
    Ok(middle(&mut millis))
}

/// Measures the time until subscribers see a new instance, and an update of it.
async fn changes(cli: &Cli, row: Row, count: usize, report: &mut Report) -> anyhow::Result<()> {
    let server = Server::start(&cli.zk_mini).await?;
    let instances = announce(&server, 1).await?;
    let mut seen = match row {
        Row::Ours => ours::subscribe(&server, &ours::one_format(), count).await?,
        Row::Formats => ours::subscribe(&server, &ours::two_formats(), count).await?,
        Row::Obvious => obvious::subscribe(&server, count).await?,
        Row::Bare => ours::watch(&server, count).await?,
        Row::Kazoo => kazoo::subscribe(&cli.python, &server, count).await?,
    };
    for what in ["instance comes", "instance changes"] {
        let (mut medians, mut p99s, mut lasts, mut reads) = (vec![], vec![], vec![], vec![]);
        for number in 0..cli.changes {
            let before = server.received().await?;
            let begun = SystemTime::now();
            if what == "instance comes" {
                let path = format!("{SERVICE}/n-{number}");
                instances.create(&path, instance(number), CreateMode::Ephemeral).await?;
            } else {
                instances.set(&format!("{SERVICE}/n-0"), instance(1_000 + number), Expected::Any).await?;
            }
            let mut micros = Vec::new();
            for _ in 0..count {
                let at = seen.next().await?;
                micros.push(at.duration_since(begun).unwrap_or_default().as_secs_f64() * 1e6);
            }
            // Less the change and the question.
            reads.push((server.received().await?.saturating_sub(before + 2)) as f64 / count as f64);
            micros.sort_by(f64::total_cmp);
            medians.push(micros[count / 2]);
            p99s.push(micros[(count * 99 / 100).min(count - 1)]);
            lasts.push(micros[count - 1]);
        }
        let what = format!("{what}, {count} subscribers");
        report.add(&what, "median us", row.name(), middle(&mut medians));
        report.add(&what, "p99 us", row.name(), middle(&mut p99s));
        report.add(&what, "last us", row.name(), middle(&mut lasts));
        report.add(&what, "requests per subscriber", row.name(), middle(&mut reads));
    }
    Ok(())
}

/// Registers instances, which last as long as the returned value.
async fn announce(server: &Server, count: usize) -> anyhow::Result<Client> {
    let client =
        Client::builder().servers(&server.addr).session_timeout(Duration::from_secs(40)).connect().await?;
    client.ensure_path(SERVICE).await?;
    for number in 0..count {
        let path = format!("{SERVICE}/i-{number:06}");
        let path = if count == 1 { format!("{SERVICE}/first") } else { path };
        client.create(&path, instance(number), CreateMode::Ephemeral).await?;
    }
    ensure!(client.children(SERVICE).await?.0.len() == count, "instances are missing");
    Ok(client)
}

fn instance(number: usize) -> String {
    format!(r#"{{"host":"127.0.0.1","port":{}}}"#, 1_024 + number % 60_000)
}

fn middle(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
