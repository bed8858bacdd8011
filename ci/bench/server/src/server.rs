//! A server under test: a command that listens on a port.

use std::io::{self, Error};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::str::FromStr;
use std::time::{Duration, Instant};

use tokio::time::timeout;

use crate::session::Session;

/// Maximum wait for the answer to a handshake, before a starting server is asked again.
const HANDSHAKE: Duration = Duration::from_millis(500);

/// Command that starts a server: `NAME=COMMAND`, with `{port}` in it.
#[derive(Clone, Debug)]
pub struct Spec {
    pub name: String,
    command: String,
}

impl Spec {
    /// Replaces `{data}` in the command by a data directory.
    pub fn on(&self, dir: &Path) -> Self {
        Self { name: self.name.clone(), command: self.command.replace("{data}", &dir.display().to_string()) }
    }
}

impl FromStr for Spec {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((name, command)) if command.contains("{port}") => {
                Ok(Self { name: name.into(), command: command.into() })
            }
            _ => Err("not NAME=COMMAND with {port} in the command".into()),
        }
    }
}

/// A running server; killed on drop.
pub struct Server {
    child: Child,
    addr: SocketAddr,
    /// Time from exec to the reply to the first handshake.
    pub start_up: Duration,
}

impl Server {
    /// Starts it and waits until it has answered a handshake.
    pub async fn start(spec: &Spec) -> io::Result<Self> {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let command = format!("exec {}", spec.command.replace("{port}", &port.to_string()));
        let begun = Instant::now();
        let child =
            Command::new("sh").args(["-c", &command]).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let mut server = Self { child, addr, start_up: Duration::ZERO };
        while begun.elapsed() < Duration::from_secs(60) {
            if let Some(status) = server.child.try_wait()? {
                return Err(Error::other(format!("{} ended with {status}: {command}", spec.name)));
            }
            // Apache ZooKeeper can accept a connection before it is ready to serve, and never answer.
            let connecting = timeout(HANDSHAKE, Session::connect(addr, Duration::from_secs(10)));
            if let Ok(Ok(session)) = connecting.await {
                server.start_up = begun.elapsed();
                session.close().await?;
                return Ok(server);
            }
            tokio::time::sleep(Duration::from_micros(500)).await;
        }
        Err(Error::other(format!("{} does not answer: {command}", spec.name)))
    }

    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// CPU time used so far.
    pub fn cpu(&self) -> io::Result<Duration> {
        measure::cpu(self.child.id())
    }

    /// Resident memory in KiB.
    pub fn memory_kib(&self) -> io::Result<u64> {
        measure::memory_kib(self.child.id())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
