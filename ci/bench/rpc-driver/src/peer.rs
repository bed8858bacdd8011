//! A measured program, as a server and as a load.

use std::fmt;
use std::io::{BufRead, BufReader, Lines};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use anyhow::{Context, anyhow, ensure};
use serde::Deserialize;

/// The cores of the server and of the load.
const SERVER: &str = "0";
const LOAD: &str = "1";

/// A program with the commands `serve`, `load` and `idle`.
pub struct Peer {
    pub name: String,
    program: PathBuf,
    /// Directory of the certificate, for TLS.
    tls: Option<PathBuf>,
}

/// One measurement.
pub struct Cell {
    pub pinned: bool,
    pub body: usize,
    pub concurrency: usize,
    pub conns: usize,
    pub seconds: f64,
    /// Streams in place of calls.
    pub stream: bool,
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { body, concurrency, conns, .. } = self;
        let how = if self.pinned { "one thread each, pinned" } else { "two threads each" };
        let what = if self.stream { "streams" } else { "in flight" };
        write!(f, "{body} B, {concurrency} {what}, {conns} connections, {how}")
    }
}

/// Report of a load.
#[derive(Debug, Deserialize)]
pub struct Calls {
    requests: u64,
    errors: u64,
    pub rps: f64,
    pub p50_us: f64,
    pub p99_us: f64,
    pub p999_us: f64,
}

/// Measured figures.
pub struct Measured {
    pub calls: Calls,
    pub cpu_us_per_call: f64,
}

impl Peer {
    pub fn new(program: impl AsRef<Path>, tls: Option<&Path>) -> Self {
        let program = program.as_ref().to_path_buf();
        let name = program.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        Self { name, program, tls: tls.map(Path::to_path_buf) }
    }

    pub fn measure(&self, cell: &Cell) -> anyhow::Result<Measured> {
        let threads = if cell.pinned { "1" } else { "2" };
        let core = |core| cell.pinned.then_some(core);
        let mut server = Process::start(self.command(core(SERVER)).args([
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--threads",
            threads,
        ]))?;
        let addr = server.listening()?;
        let mut load = self.command(core(LOAD));
        load.args(["load", "--connect", &addr, "--threads", threads]);
        load.arg("--concurrency")
            .arg(cell.concurrency.to_string())
            .arg("--conns")
            .arg(cell.conns.to_string());
        load.arg("--body").arg(cell.body.to_string()).arg("--seconds").arg(cell.seconds.to_string());
        if cell.stream {
            load.arg("--stream");
        }
        let mut load = Process::start(&mut load)?;
        ensure!(load.line()? == "MEASURING", "{}: load does not begin", self.name);
        let before = measure::cpu(server.child.id())?;
        let result = load.line()?;
        let used = measure::cpu(server.child.id())?.saturating_sub(before);
        let calls: Calls =
            serde_json::from_str(&result).with_context(|| format!("{}: {result}", self.name))?;
        ensure!(calls.errors == 0 && calls.requests > 0, "{}: {calls:?}", self.name);
        Ok(Measured { cpu_us_per_call: used.as_secs_f64() * 1e6 / calls.requests as f64, calls })
    }

    /// Measures the resident KiB of the server per idle connection.
    pub fn memory_per_connection(&self, conns: usize) -> anyhow::Result<f64> {
        let mut server = Process::start(self.command(None).args(["serve", "--listen", "127.0.0.1:0"]))?;
        let addr = server.listening()?;
        // The first connection also pays for what is allocated once.
        let first = self.idle(&addr, 1)?;
        let before = measure::memory_kib(server.child.id())?;
        let idle = self.idle(&addr, conns)?;
        let after = measure::memory_kib(server.child.id())?;
        drop((first, idle));
        Ok(after.saturating_sub(before) as f64 / conns as f64)
    }

    fn idle(&self, addr: &str, conns: usize) -> anyhow::Result<Process> {
        let mut command = self.command(None);
        let mut idle =
            Process::start(command.args(["idle", "--connect", addr, "--conns", &conns.to_string()]))?;
        idle.line()?;
        Ok(idle)
    }

    fn command(&self, core: Option<&str>) -> Command {
        let mut command = match core {
            None => Command::new(&self.program),
            Some(core) => {
                let mut command = Command::new("taskset");
                command.args(["--cpu-list", core]).arg(&self.program);
                command
            }
        };
        command.envs(self.tls.iter().map(|dir| ("BENCH_TLS", dir)));
        command
    }
}

/// A running program; killed on drop.
struct Process {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Process {
    fn start(command: &mut Command) -> anyhow::Result<Self> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().with_context(|| format!("{command:?}"))?;
        let stdout = child.stdout.take().context("no standard output")?;
        Ok(Self { child, lines: BufReader::new(stdout).lines() })
    }

    fn line(&mut self) -> anyhow::Result<String> {
        Ok(self.lines.next().ok_or_else(|| anyhow!("it ended without a word"))??)
    }

    fn listening(&mut self) -> anyhow::Result<String> {
        let line = self.line()?;
        let addr = line.strip_prefix("LISTENING ").with_context(|| format!("not LISTENING: {line}"))?;
        Ok(addr.to_owned())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
