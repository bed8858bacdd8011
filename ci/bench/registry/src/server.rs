//! The zk-mini server that all peers use. It has a core of its own, and `ci/bench/run` gives the clients the other: where the
//! scheduler chooses, it lets both work at once in one run and in turns in the next.

use std::path::Path;
use std::process::Stdio;

use anyhow::Context;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

/// A running server; killed on drop.
pub struct Server {
    _child: Child,
    pub addr: String,
}

impl Server {
    pub async fn start(program: &Path) -> anyhow::Result<Self> {
        let mut command = Command::new("taskset");
        command.args(["--cpu-list", "0"]).arg(program);
        command.args(["serve", "--listen", "127.0.0.1:0", "--max-client-cnxns", "0"]);
        let mut child = command.stdout(Stdio::piped()).kill_on_drop(true).spawn().context("zk-mini")?;
        let stdout = child.stdout.take().context("no standard output")?;
        let line = BufReader::new(stdout).lines().next_line().await?.context("zk-mini does not start")?;
        let addr = line.strip_prefix("listening on ").context("zk-mini does not listen")?.to_owned();
        Ok(Self { _child: child, addr })
    }

    /// Returns the number of requests so far, including this one.
    pub async fn received(&self) -> anyhow::Result<u64> {
        let mut stream = TcpStream::connect(&self.addr).await?;
        stream.write_all(b"srvr").await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        let line = answer.lines().find_map(|line| line.strip_prefix("Received: "));
        Ok(line.context("no count of requests")?.parse()?)
    }
}
