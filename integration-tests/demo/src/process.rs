//! A `demo server` process of the demonstration.

use std::env;
use std::process::{self, ExitStatus, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::{PATIENCE, Result};

/// A running server; killed when dropped.
pub(crate) struct ServerProcess {
    child: Child,
    pid: u32,
    addr: String,
}

impl ServerProcess {
    /// Starts this program as a server on a free port. Returns when its workers are registered.
    pub(crate) async fn start(hosts: &str, service: &str, workers: usize) -> Result<Self> {
        let mut child = Command::new(env::current_exe()?)
            .args(["server", "--listen", "127.0.0.1:0", "--zookeeper", hosts, "--service", service])
            .args(["--workers", &workers.to_string(), "--with-parent", &process::id().to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            // Ctrl-C is for the demonstration, which stops its servers in order.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        let (Some(pid), Some(stdout)) = (child.id(), child.stdout.take()) else {
            return Err("the server ended at once".into());
        };
        let mut lines = BufReader::new(stdout).lines();
        let line =
            timeout(PATIENCE, lines.next_line()).await.map_err(|_| "the server does not become ready")??;
        let addr = line.as_deref().and_then(|line| line.strip_prefix("ready "));
        let addr = addr.ok_or("the server did not start; its own message is above")?.to_owned();
        Ok(Self { child, pid, addr })
    }

    /// Returns the process id of the parent.
    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// Returns the address that it listens on: `HOST:PORT`.
    pub(crate) fn addr(&self) -> &str {
        &self.addr
    }

    /// Returns how it has ended, if it has.
    pub(crate) fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// Stops it with SIGTERM and waits for its end.
    pub(crate) async fn terminate(mut self) -> Result<ExitStatus> {
        kill(Pid::from_raw(i32::try_from(self.pid)?), Signal::SIGTERM)?;
        let status = timeout(PATIENCE, self.child.wait()).await.map_err(|_| "the server does not stop")?;
        Ok(status?)
    }
}
