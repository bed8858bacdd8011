//! Demonstration of all parts in one program: a registry, a preforked server, a client that finds and calls it, and the death
//! of a worker.
#![forbid(unsafe_code)]

mod client;
mod load;
mod narrator;
mod process;
mod registry_view;
mod server;
mod services;
mod show;
mod stay;

use std::error::Error;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use tracing_subscriber::EnvFilter;

/// Shows services that register themselves, clients that find and call them, and the death of a worker without a failed call.
///
/// Without a command it runs the whole demonstration, checks everything that it prints, and ends with status 0 if it is true.
#[derive(Debug, Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    half: Option<Half>,
    #[command(flatten)]
    show: ShowArgs,
}

#[derive(Debug, Subcommand)]
enum Half {
    /// Runs a preforked server; prints `ready HOST:PORT` when all its workers are registered.
    Server(ServerArgs),
    /// Calls a service; the last line of the output is a JSON object with the counts.
    Client(ClientArgs),
}

#[derive(Args, Debug)]
struct ShowArgs {
    /// Use this ZooKeeper (`HOST:PORT,HOST:PORT.../CHROOT`) instead of a zk-mini in this process.
    #[arg(long, value_name = "HOSTS")]
    zookeeper: Option<String>,
    /// Name of the service in the registry; no other server may use it meanwhile.
    #[arg(long, default_value = "demo", value_name = "NAME")]
    service: String,
    /// Serve a page and keep running until Ctrl-C: watch the workers, kill one by a button.
    #[arg(long)]
    stay: bool,
}

#[derive(Args, Debug)]
struct ServerArgs {
    /// Address to listen on; port 0 lets the system choose.
    #[arg(long, value_name = "HOST:PORT")]
    listen: String,
    /// Number of worker processes.
    #[arg(long, default_value_t = 2, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    workers: u32,
    /// Address of ZooKeeper: `HOST:PORT,HOST:PORT.../CHROOT`.
    #[arg(long, value_name = "HOSTS")]
    zookeeper: String,
    /// Name of the service in the registry.
    #[arg(long, default_value = "demo", value_name = "NAME")]
    service: String,
    /// Stop when this process, the parent of the server, ends.
    #[arg(long, hide = true, value_name = "PID")]
    with_parent: Option<u32>,
    /// Session timeout of each worker.
    #[arg(long, default_value_t = 10_000, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    session_timeout_ms: u64,
}

#[derive(Args, Debug)]
struct ClientArgs {
    /// Address of ZooKeeper: `HOST:PORT,HOST:PORT.../CHROOT`.
    #[arg(long, value_name = "HOSTS")]
    zookeeper: String,
    /// Name of the service in the registry.
    #[arg(long, default_value = "demo", value_name = "NAME")]
    service: String,
    /// Number of calls.
    #[arg(long, value_name = "N")]
    calls: u64,
    /// Number of calls at the same time.
    #[arg(long, default_value_t = 8, value_name = "C", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    concurrency: u32,
}

/// Maximum time for a step. Each takes far less.
const PATIENCE: Duration = Duration::from_secs(20);

/// Maximum time for a call with all its retries.
const CALL_DEADLINE: Duration = Duration::from_secs(5);

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn"));
    let colours = io::stderr().is_terminal();
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colours);
    log.with_writer(|| Log).log_internal_errors(false).init();
    let result = match cli.half {
        // The server forks, which has to happen before a runtime exists.
        Some(Half::Server(args)) => server::run(args),
        Some(Half::Client(args)) => with_runtime(client::run(args)),
        None if cli.show.stay => with_runtime(stay::run(cli.show)),
        None => with_runtime(show::run(cli.show)),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "demo: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Standard error without errors: a log that cannot be written must not end the program.
struct Log;

impl Write for Log {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let _ = io::stderr().write_all(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Prints a line on standard output. Fails if its reader is gone, as with `demo | head -1`.
fn print_line(line: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}

fn with_runtime(work: impl Future<Output = Result<()>>) -> Result<()> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work)
}
