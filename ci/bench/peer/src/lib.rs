//! Common parts of all measured programs: the command line, the load, the method that is called.
//!
//! ```text
//! PEER serve --listen ADDR [--threads N]
//! PEER load --connect ADDR --concurrency C --conns K --body B --seconds S [--warmup W] [--threads N] [--stream]
//! PEER idle --connect ADDR --conns N
//! ```
#![forbid(unsafe_code)]

mod load;

use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::process::ExitCode;

use anyhow::bail;
use clap::{Args, Parser, Subcommand};
use futures_core::Stream;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use serde::{Deserialize, Serialize};
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};

/// Message that is sent and echoed.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Echo {
    pub id: u64,
    pub body: String,
}

/// A library under test.
pub trait Peer: 'static {
    /// One connection; clones share it.
    type Client: Clone + Send + Sync + 'static;

    /// Serves until the process ends.
    fn serve(listener: TcpListener) -> impl Future<Output = anyhow::Result<()>> + Send;

    /// Opens one connection.
    fn connect(addr: SocketAddr) -> impl Future<Output = anyhow::Result<Self::Client>> + Send;

    /// One call.
    fn call(client: &Self::Client, echo: Echo) -> impl Future<Output = anyhow::Result<Echo>> + Send;

    /// A stream of echoes from the server, without end.
    fn stream(_: &Self::Client, _: Echo) -> impl Future<Output = anyhow::Result<Echoes>> + Send {
        async { bail!("this peer has no streams") }
    }
}

/// Files for TLS, in the directory that the environment variable `BENCH_TLS` names: `cert.pem`, which is its own authority, for
/// `127.0.0.1` and `localhost`, and `key.pem`. `None` for plain text.
#[must_use]
pub fn tls() -> Option<(PathBuf, PathBuf)> {
    let dir = PathBuf::from(std::env::var_os("BENCH_TLS")?);
    Some((dir.join("cert.pem"), dir.join("key.pem")))
}

/// Messages of a stream.
pub type Echoes = Pin<Box<dyn Stream<Item = anyhow::Result<Echo>> + Send>>;

#[derive(Debug, Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serves echoes; prints `LISTENING IP:PORT` once it listens.
    Serve {
        #[arg(long)]
        listen: SocketAddr,
        #[arg(long, default_value_t = 1)]
        threads: usize,
    },
    /// Calls in closed loops; prints `MEASURING` after the warm-up, and at the end one JSON object.
    Load(Load),
    /// Opens connections, makes one call on each, prints a line, and holds them until standard input ends.
    Idle {
        #[arg(long)]
        connect: SocketAddr,
        #[arg(long)]
        conns: usize,
    },
}

#[derive(Args, Debug)]
pub(crate) struct Load {
    #[arg(long)]
    connect: SocketAddr,
    /// Calls in flight, over all connections.
    #[arg(long)]
    concurrency: usize,
    #[arg(long)]
    conns: usize,
    /// Bytes of the body.
    #[arg(long)]
    body: usize,
    #[arg(long)]
    seconds: f64,
    #[arg(long, default_value_t = 0.5)]
    warmup: f64,
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// Streams in place of calls: each message counts as one.
    #[arg(long)]
    stream: bool,
}

/// Runs the program.
pub fn main<P: Peer>() -> ExitCode {
    match run::<P>(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run<P: Peer>(command: Command) -> anyhow::Result<()> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    match command {
        Command::Serve { listen, threads } => runtime(threads)?.block_on(async {
            let listener = TcpListener::bind(listen).await?;
            println!("LISTENING {}", listener.local_addr()?);
            P::serve(listener).await
        }),
        Command::Load(load) => runtime(load.threads)?.block_on(load::run::<P>(&load)),
        Command::Idle { connect, conns } => runtime(1)?.block_on(async {
            let mut clients = Vec::new();
            for id in 0..conns as u64 {
                let client = P::connect(connect).await?;
                P::call(&client, Echo { id, body: "idle".into() }).await?;
                clients.push(client);
            }
            println!("{conns} connections are idle");
            tokio::io::stdin().read_to_end(&mut Vec::new()).await?;
            Ok(())
        }),
    }
}

fn runtime(threads: usize) -> std::io::Result<Runtime> {
    match threads {
        1 => Builder::new_current_thread().enable_all().build(),
        threads => Builder::new_multi_thread().worker_threads(threads).enable_all().build(),
    }
}
