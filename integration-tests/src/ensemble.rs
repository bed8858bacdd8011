//! Apache ZooKeeper itself, from Debian's package: one server or an ensemble, on loopback ports, in a directory of its own.

use std::env;
use std::fmt;
use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use nix::sys::signal::Signal;
use tempfile::TempDir;

use crate::four_letter;
use crate::process::Process;
use crate::wait::{PATIENCE, poll};

/// Java needs its second to start, and three at once on a busy machine need several.
const START_TIMEOUT: Duration = Duration::from_secs(60);

const MAIN_CLASS: &str = "org.apache.zookeeper.server.quorum.QuorumPeerMain";

/// What a test JVM does not need: a large heap, parallel collectors, its best compiler.
const JVM_OPTIONS: [&str; 5] =
    ["-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto", "-XX:-UsePerfData"];

/// Running Apache ZooKeeper servers. Dropping it kills them and removes their data.
///
/// ```no_run
/// # fn main() -> Result<(), integration_tests::ensemble::Error> {
/// use integration_tests::ensemble::RealZooKeeper;
///
/// let mut zk = RealZooKeeper::ensemble()?;
/// let servers = zk.connect_string(); // "127.0.0.1:20001,127.0.0.1:20004,127.0.0.1:20007"
/// zk.kill(zk.leader().expect("a majority is up"));
/// # Ok(())
/// # }
/// ```
pub struct RealZooKeeper {
    members: Vec<Member>,
    dir: TempDir,
}

struct Member {
    /// Where clients connect.
    addr: SocketAddr,
    command: Command,
    process: Option<Process>,
}

impl RealZooKeeper {
    /// One server on its own. Returns when it serves.
    pub fn standalone() -> Result<Self, Error> {
        Self::builder().start()
    }

    /// Three servers. Returns when one leads and all serve.
    pub fn ensemble() -> Result<Self, Error> {
        Self::builder().servers(3).start()
    }

    /// Settings other than the defaults.
    pub fn builder() -> Builder {
        Builder {
            servers: 1,
            tick: Duration::from_millis(200),
            java: "java".into(),
            jar: jar_path(),
            jvm_options: Vec::new(),
            data: None,
        }
    }

    /// The addresses of all members, as a client takes them.
    pub fn connect_string(&self) -> String {
        let addrs: Vec<String> = self.members.iter().map(|member| member.addr.to_string()).collect();
        addrs.join(",")
    }

    /// Where clients connect to one member.
    pub fn addr(&self, index: usize) -> SocketAddr {
        self.members[index].addr
    }

    /// Where one member keeps its data.
    pub fn data_dir(&self, index: usize) -> PathBuf {
        self.dir.path().join(index.to_string())
    }

    /// Which member leads; `None` while an ensemble has no majority.
    pub fn leader(&self) -> Option<usize> {
        self.members.iter().position(|member| four_letter::mode(member.addr).as_deref() == Some("leader"))
    }

    /// To which member a session's client is connected.
    pub fn serving(&self, session: i64) -> Option<usize> {
        self.members.iter().position(|member| four_letter::serves_session(member.addr, session))
    }

    /// Ends one member at once (SIGKILL). Returns when it is gone.
    pub fn kill(&mut self, index: usize) {
        self.end(index, Signal::SIGKILL);
    }

    /// Stops one member in its own time (SIGTERM). Returns when it is gone.
    pub fn stop(&mut self, index: usize) {
        self.end(index, Signal::SIGTERM);
    }

    /// Starts a member again that was killed or stopped: same address, same data. Returns when it serves.
    pub fn restart(&mut self, index: usize) -> Result<(), Error> {
        let member = &mut self.members[index];
        member.process = Some(Process::start(&mut member.command));
        self.wait_until_serving()
    }

    /// Sends one member a signal: SIGSTOP makes it hang, SIGCONT lets it go on.
    pub fn signal(&mut self, index: usize, signal: Signal) {
        if let Some(process) = &mut self.members[index].process {
            process.signal(signal);
        }
    }

    fn end(&mut self, index: usize, signal: Signal) {
        if let Some(mut process) = self.members[index].process.take() {
            process.signal(signal);
            process.wait();
        }
    }

    /// All members that run must serve.
    fn wait_until_serving(&mut self) -> Result<(), Error> {
        for member in &mut self.members {
            let (addr, Some(process)) = (member.addr, &mut member.process) else { continue };
            let serves = || (four_letter::mode(addr).is_some() || process.status().is_some()).then_some(());
            if poll(START_TIMEOUT, serves).is_none() || process.status().is_some() {
                return Err(Error::NotServing { process: process.to_string() });
            }
        }
        Ok(())
    }
}

/// Settings of a [`RealZooKeeper`].
pub struct Builder {
    servers: usize,
    tick: Duration,
    java: PathBuf,
    jar: PathBuf,
    jvm_options: Vec<String>,
    data: Option<PathBuf>,
}

impl Builder {
    /// How many servers: 1 stands alone, 3 or more are an ensemble. Default: 1.
    pub fn servers(mut self, servers: usize) -> Self {
        self.servers = servers;
        self
    }

    /// The unit of ZooKeeper's clock: a session lasts at least 2, and its expiry is noticed by the next. Default: 200 ms.
    pub fn tick(mut self, tick: Duration) -> Self {
        self.tick = tick;
        self
    }

    /// The program that runs Java. Default: `java` on the path.
    pub fn java(mut self, java: impl Into<PathBuf>) -> Self {
        self.java = java.into();
        self
    }

    /// The jar of the server. Default: Debian's, or the one that `ZOOKEEPER_JAR` names (a class path is fine, too).
    pub fn jar(mut self, jar: impl Into<PathBuf>) -> Self {
        self.jar = jar.into();
        self
    }

    /// A further option of the Java machine, such as `-Dkey=value` for a setting that `zoo.cfg` does not have.
    pub fn jvm_option(mut self, option: impl Into<String>) -> Self {
        self.jvm_options.push(option.into());
        self
    }

    /// A data directory that the servers go on from; it is copied. Default: none.
    pub fn data(mut self, dir: impl Into<PathBuf>) -> Self {
        self.data = Some(dir.into());
        self
    }

    /// Starts the servers. Returns when all of them serve.
    pub fn start(self) -> Result<RealZooKeeper, Error> {
        let missing = |what: &Path| Error::NotInstalled { what: what.into() };
        let java = find_program(&self.java).ok_or_else(|| missing(&self.java))?;
        let first_jar = env::split_paths(&self.jar).next().unwrap_or_default();
        if !first_jar.exists() && !first_jar.ends_with("*") {
            return Err(missing(&first_jar));
        }
        let dir = tempfile::tempdir()?;
        let ports: Vec<[u16; 3]> = (0..self.servers).map(|_| free_ports()).collect::<io::Result<_>>()?;
        let mut members = Vec::new();
        for (index, &[client_port, ..]) in ports.iter().enumerate() {
            let config = self.write_config(dir.path(), index, &ports)?;
            let mut command = Command::new(&java);
            command.args(JVM_OPTIONS).arg("-Dzookeeper.forceSync=no").args(&self.jvm_options);
            // Debian's package ships no logging back end; where there is one, the log becomes part of error messages.
            command.arg("-cp").arg(format!("{}:/usr/share/java/slf4j-simple.jar", self.jar.display()));
            command.arg(MAIN_CLASS).arg(config).current_dir(dir.path());
            let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, client_port));
            let process = Some(Process::start(&mut command));
            members.push(Member { addr, command, process });
        }
        let mut zk = RealZooKeeper { members, dir };
        zk.wait_until_serving()?;
        Ok(zk)
    }

    /// Writes `INDEX/zoo.cfg` and `INDEX/myid` below `dir`.
    fn write_config(&self, dir: &Path, index: usize, ports: &[[u16; 3]]) -> io::Result<PathBuf> {
        let data_dir = dir.join(index.to_string());
        fs::create_dir(&data_dir)?;
        if let Some(from) = &self.data {
            let files = data_dir.join("version-2");
            fs::create_dir(&files)?;
            for file in fs::read_dir(from.join("version-2"))? {
                let file = file?;
                fs::copy(file.path(), files.join(file.file_name()))?;
            }
        }
        let mut config = format!(
            "tickTime={}\nmaxSessionTimeout=60000\ninitLimit=100\nsyncLimit=25\n\
             dataDir={}\nclientPortAddress=127.0.0.1\nclientPort={}\nmaxClientCnxns=0\n\
             admin.enableServer=false\n4lw.commands.whitelist=*\n",
            self.tick.as_millis(),
            data_dir.display(),
            ports[index][0],
        );
        if ports.len() > 1 {
            for (index, [_, quorum, election]) in ports.iter().enumerate() {
                config.push_str(&format!("server.{}=127.0.0.1:{quorum}:{election}\n", index + 1));
            }
            fs::write(data_dir.join("myid"), (index + 1).to_string())?;
        }
        let path = data_dir.join("zoo.cfg");
        fs::write(&path, config)?;
        Ok(path)
    }
}

/// Why there is no ZooKeeper. Its `Debug` is its `Display`, so that `unwrap` in a test tells what to do.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Java or the server's jar is not there.
    #[error(
        "a real Apache ZooKeeper is needed and {what} is missing: run ci/setup, \
         or as root: apt-get install zookeeper default-jre-headless"
    )]
    NotInstalled {
        /// The missing program or file.
        what: PathBuf,
    },
    /// A server ended, or did not serve in time.
    #[error("Apache ZooKeeper does not serve: {process}")]
    NotServing {
        /// Its command, status and output.
        process: String,
    },
    /// Its directory or its ports could not be had.
    #[error("cannot prepare Apache ZooKeeper: {0}")]
    Io(#[from] io::Error),
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn jar_path() -> PathBuf {
    env::var_os("ZOOKEEPER_JAR").map_or_else(|| "/usr/share/java/zookeeper.jar".into(), PathBuf::from)
}

fn find_program(name: &Path) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let mut candidates = env::split_paths(&path).map(|dir| dir.join(name));
    candidates.find(|candidate| candidate.is_file())
}

/// Three ports that nobody listens on. They lie below those that the system gives to outgoing connections, so that a
/// killed server finds its own free when it comes back.
fn free_ports() -> io::Result<[u16; 3]> {
    const FIRST: u16 = 20_000;
    const COUNT: u16 = 12_000;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Tests that run at the same time are different processes: they begin in different places.
    let start = u16::try_from(std::process::id() % 1_000).unwrap_or_default() * 12;
    let candidate = || FIRST + (start + NEXT.fetch_add(1, Ordering::Relaxed)) % COUNT;
    let is_free = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
    let port = || poll(PATIENCE, || Some(candidate()).filter(|&port| is_free(port)));
    let none = || io::Error::new(io::ErrorKind::AddrInUse, "no free port in 20000..32000");
    Ok([port().ok_or_else(none)?, port().ok_or_else(none)?, port().ok_or_else(none)?])
}
