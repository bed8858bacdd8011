//! Measures the time that servers take to restart on the data of a killed one, and the longest wait of a client while they
//! take snapshots.
#![forbid(unsafe_code)]

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use bench_server::codec::{self, Frame};
use bench_server::server::{Server, Spec};
use bench_server::session::Session;
use clap::Parser;
use measure::Report;

/// Duration of the writes that make the server take snapshots.
const WRITING: Duration = Duration::from_secs(5);

/// Children of one node.
const SIBLINGS: usize = 1_000;

/// Measures the time that servers take to restart. The others are compared with the first; the last makes the data.
#[derive(Debug, Parser)]
struct Cli {
    /// A server: NAME=COMMAND, where {port} and {data} in the command stand for its port and its data directory.
    #[arg(long = "server", required = true, value_name = "NAME=COMMAND")]
    servers: Vec<Spec>,
    /// Directory for the data directories.
    #[arg(long)]
    dir: PathBuf,
    /// Numbers of nodes, of 100 B each.
    #[arg(long, default_value = "1000,100000,1000000", value_delimiter = ',')]
    nodes: Vec<usize>,
    /// Number of rounds.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    let cli = Cli::parse();
    let Some(maker) = cli.servers.last() else { return Ok(()) };
    let mut report = Report::default();
    for &nodes in &cli.nodes {
        let left = cli.dir.join(format!("left-{nodes}"));
        make(maker, &left, nodes).await?;
        for _ in 0..cli.rounds {
            for spec in &cli.servers {
                let copy = cli.dir.join("copy");
                copy_dir(&left, &copy)?;
                let server = Server::start(&spec.on(&copy)).await?;
                let what = format!("{nodes} nodes");
                report.add(&what, "exec to first reply ms", &spec.name, server.start_up.as_secs_f64() * 1e3);
                report.add(&what, "resident MiB", &spec.name, server.memory_kib()? as f64 / 1024.0);
                let wait = longest_wait(&server).await?;
                report.add(&what, "longest wait ms", &spec.name, wait.as_secs_f64() * 1e3);
                drop(server);
                std::fs::remove_dir_all(&copy)?;
            }
        }
        std::fs::remove_dir_all(&left)?;
    }
    let names: Vec<_> = cli.servers.iter().map(|spec| spec.name.as_str()).collect();
    println!("\n{}", report.table(&names));
    Ok(())
}

/// Creates nodes on a server, and kills it.
async fn make(maker: &Spec, dir: &Path, nodes: usize) -> io::Result<()> {
    let server = Server::start(&maker.on(dir)).await?;
    let mut session = Session::connect(server.addr(), Duration::from_secs(30)).await?;
    for first in (0..nodes).step_by(SIBLINGS) {
        let parent = format!("/{first}");
        let mut paths = vec![parent.clone()];
        paths.extend((1..SIBLINGS.min(nodes - first)).map(|number| format!("{parent}/{number}")));
        for path in &paths {
            Frame::request(&mut session.output, 0, codec::CREATE)
                .create(path, &[7; 100], codec::PERSISTENT)
                .end();
        }
        session.send().await?;
        for path in &paths {
            let reply = session.next_reply().await?;
            if reply.err != 0 {
                return Err(io::Error::other(format!("{path}: the server answered {}", reply.err)));
            }
        }
    }
    Ok(())
}

/// Measures the longest read while another session writes, which makes the server take snapshots if its command asks for
/// frequent ones.
async fn longest_wait(server: &Server) -> io::Result<Duration> {
    let timeout = Duration::from_secs(30);
    let mut reader = Session::connect(server.addr(), timeout).await?;
    let mut writer = Session::connect(server.addr(), timeout).await?;
    let begun = Instant::now();
    let write = async {
        while begun.elapsed() < WRITING {
            writer
                .call(|out| Frame::request(out, 0, codec::SET_DATA).set_data("/0", &[8; 100]).end())
                .await?;
        }
        io::Result::Ok(())
    };
    let read = async {
        let mut longest = Duration::ZERO;
        while begun.elapsed() < WRITING {
            let asked = Instant::now();
            reader.call(|out| Frame::request(out, 0, codec::GET_DATA).bytes(b"/0").bool(false).end()).await?;
            longest = longest.max(asked.elapsed());
        }
        io::Result::Ok(longest)
    };
    let (written, longest) = tokio::join!(write, read);
    written?;
    longest
}

fn copy_dir(from: &Path, to: &Path) -> io::Result<()> {
    let status = Command::new("cp").arg("--recursive").arg(from).arg(to).status()?;
    if status.success() { Ok(()) } else { Err(io::Error::other("cp failed")) }
}
