//! A server under test: a command that listens on a port.

use std::io::{self, Error};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::str::FromStr;
use std::time::{Duration, Instant};

use tokio::time::timeout;

use crate::session::Session;

/// How long a server that is starting may take to answer a handshake before it is asked again.
const HANDSHAKE: Duration = Duration::from_millis(500);

/// How to start a server: `NAME=COMMAND`, with `{port}` in the command.
#[derive(Clone, Debug)]
pub struct Spec {
    pub name: String,
    command: String,
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

/// A running one; killed when dropped.
pub struct Server {
    child: Child,
    addr: SocketAddr,
    /// From exec to the reply to the first handshake.
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

    /// CPU time used so far, of all threads. The kernel keeps it to the nanosecond per thread; servers under
    /// test end no threads while they are measured.
    pub fn cpu(&self) -> io::Result<Duration> {
        let mut nanos = 0;
        for task in std::fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            let line = std::fs::read_to_string(task?.path().join("schedstat"))?;
            nanos += line.split(' ').next().and_then(|field| field.parse::<u64>().ok()).unwrap_or(0);
        }
        Ok(Duration::from_nanos(nanos))
    }

    /// Resident memory in KiB.
    pub fn memory_kib(&self) -> io::Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let value = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
        value.ok_or_else(|| Error::other("no VmRSS"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
