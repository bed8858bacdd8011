//! Apache ZooKeeper as `ci/setup` installs it: one server or an ensemble, on loopback ports, in a temporary directory.

use std::env;
use std::fmt;
use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::Signal;
use tempfile::TempDir;

use crate::four_letter;
use crate::ports::Port;
use crate::process::Process;
use crate::procfs;
use crate::programs;
use crate::wait::poll;

/// Maximum time to start. Java needs a second, and three servers at once on a busy machine need several.
const START_TIMEOUT: Duration = Duration::from_secs(60);

const MAIN_CLASS: &str = "org.apache.zookeeper.server.quorum.QuorumPeerMain";

/// Options that spare a JVM a large heap, parallel collectors and its best compiler, which tests do not need.
pub const JVM_OPTIONS: [&str; 5] =
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
    /// Address for clients.
    addr: SocketAddr,
    command: Command,
    process: Option<Process>,
    /// Reserved as long as the server may be started again.
    _ports: [Port; 3],
}

/// Releases that zk-mini is compared with: the newest of each line.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Release {
    /// 3.8.7.
    V3_8,
    /// 3.9.5.
    V3_9,
}

impl Release {
    /// Returns the version number.
    pub fn version(self) -> &'static str {
        match self {
            Self::V3_8 => "3.8.7",
            Self::V3_9 => "3.9.5",
        }
    }

    /// Returns the directory where `ci/setup` puts the jars.
    pub fn directory(self) -> PathBuf {
        programs::target_dir().join("zookeeper").join(self.version())
    }
}

impl RealZooKeeper {
    /// Starts one server on its own. Returns when it serves.
    pub fn standalone() -> Result<Self, Error> {
        Self::builder().start()
    }

    /// Starts three servers. Returns when one leads and all serve.
    pub fn ensemble() -> Result<Self, Error> {
        Self::builder().servers(3).start()
    }

    /// Begins with the default settings.
    pub fn builder() -> Builder {
        Builder {
            servers: 1,
            tick: Duration::from_millis(200),
            java: "java".into(),
            jars: Release::V3_9.directory(),
            jvm_options: Vec::new(),
            data: None,
            names_clients: false,
            lines: String::new(),
            own_lines: Vec::new(),
        }
    }

    /// Returns the addresses of all members, as a client takes them.
    pub fn connect_string(&self) -> String {
        let addrs: Vec<String> = self.members.iter().map(|member| member.addr.to_string()).collect();
        addrs.join(",")
    }

    /// Returns the address of one member for clients.
    pub fn addr(&self, index: usize) -> SocketAddr {
        self.members[index].addr
    }

    /// Returns the data directory of one member.
    pub fn data_dir(&self, index: usize) -> PathBuf {
        self.dir.path().join(index.to_string())
    }

    /// Returns what a running member has logged; nothing of one that is down.
    pub fn log(&self, index: usize) -> String {
        self.members[index].process.as_ref().map(Process::stderr).unwrap_or_default()
    }

    /// Returns the leader; `None` while an ensemble has no majority.
    pub fn leader(&self) -> Option<usize> {
        self.members.iter().position(|member| four_letter::mode(member.addr).as_deref() == Some("leader"))
    }

    /// Returns the member that a session's client is connected to.
    pub fn serving(&self, session: i64) -> Option<usize> {
        self.members.iter().position(|member| four_letter::serves_session(member.addr, session))
    }

    /// Kills one member (SIGKILL). Returns when it is gone.
    pub fn kill(&mut self, index: usize) {
        self.end(index, Signal::SIGKILL);
    }

    /// Stops one member (SIGTERM). Returns when it is gone.
    pub fn stop(&mut self, index: usize) {
        self.end(index, Signal::SIGTERM);
    }

    /// Starts a killed or stopped member again, with the same address and data. Returns when it serves.
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

    /// Waits until all running members serve.
    fn wait_until_serving(&mut self) -> Result<(), Error> {
        for member in &mut self.members {
            let (addr, Some(process)) = (member.addr, &mut member.process) else { continue };
            // Another process on that port would answer as well.
            let serves = |pid| procfs::listens(pid, addr.port()) && four_letter::mode(addr).is_some();
            let settled = || (process.status().is_some() || serves(process.pid())).then_some(());
            if poll(START_TIMEOUT, settled).is_none() || process.status().is_some() {
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
    jars: PathBuf,
    jvm_options: Vec<String>,
    data: Option<PathBuf>,
    names_clients: bool,
    lines: String,
    /// Lines of one server alone, by its index.
    own_lines: Vec<(usize, String)>,
}

impl Builder {
    /// Sets the number of servers: 1 stands alone, 3 or more are an ensemble. Default: 1.
    pub fn servers(mut self, servers: usize) -> Self {
        self.servers = servers;
        self
    }

    /// Sets the tick, the unit of ZooKeeper's clock: a session timeout is at least 2 ticks, and the server notices it at the
    /// next. Default: 200 ms.
    pub fn tick(mut self, tick: Duration) -> Self {
        self.tick = tick;
        self
    }

    /// Sets the Java program. Default: `java` on the path.
    pub fn java(mut self, java: impl Into<PathBuf>) -> Self {
        self.java = java.into();
        self
    }

    /// Sets the release. Default: 3.9.
    pub fn release(self, release: Release) -> Self {
        self.jars(release.directory())
    }

    /// Sets the directory of the server's jar and its dependencies. Default: that of the release.
    pub fn jars(mut self, directory: impl Into<PathBuf>) -> Self {
        self.jars = directory.into();
        self
    }

    /// Adds an option of the JVM, such as `-Dkey=value` for a setting that `zoo.cfg` does not have.
    pub fn jvm_option(mut self, option: impl Into<String>) -> Self {
        self.jvm_options.push(option.into());
        self
    }

    /// Sets a data directory to start from; the servers get a copy. Default: none.
    pub fn data(mut self, dir: impl Into<PathBuf>) -> Self {
        self.data = Some(dir.into());
        self
    }

    /// Adds a line to the `zoo.cfg` of all servers. Of lines with the same key the last one counts.
    pub fn setting(mut self, key: &str, value: impl fmt::Display) -> Self {
        self.lines += &format!("{key}={value}\n");
        self
    }

    /// Adds a line to the `zoo.cfg` of one server alone, behind those of all.
    pub fn setting_of(mut self, index: usize, key: &str, value: impl fmt::Display) -> Self {
        self.own_lines.push((index, format!("{key}={value}\n")));
        self
    }

    /// Writes the addresses for clients into the configuration that the servers of an ensemble share, which `/zookeeper/config`
    /// shows. Default: each server knows its own only.
    pub fn client_addresses(mut self) -> Self {
        self.names_clients = true;
        self
    }

    /// Lets clients change the members of an ensemble (`reconfigEnabled`).
    pub fn reconfigurable(self) -> Self {
        self.client_addresses().setting("reconfigEnabled", true)
    }

    /// Starts the servers. Returns when all of them serve.
    pub fn start(self) -> Result<RealZooKeeper, Error> {
        let missing = |what: &Path| Error::NotInstalled { what: what.into() };
        let java = find_program(&self.java).ok_or_else(|| missing(&self.java))?;
        // The last file that ci/setup writes.
        if !self.jars.join("pom.xml").exists() {
            return Err(missing(&self.jars));
        }
        let dir = tempfile::tempdir()?;
        let port_of = |_| Ok([Port::reserve()?, Port::reserve()?, Port::reserve()?]);
        let reserved: Vec<[Port; 3]> = (0..self.servers).map(port_of).collect::<io::Result<_>>()?;
        let ports: Vec<[u16; 3]> = reserved.iter().map(|ports| ports.each_ref().map(Port::number)).collect();
        let mut members = Vec::new();
        for (index, own) in reserved.into_iter().enumerate() {
            let config = self.write_config(dir.path(), index, &ports)?;
            let mut command = Command::new(&java);
            command.args(JVM_OPTIONS).arg("-Dzookeeper.forceSync=no").args(&self.jvm_options);
            command.arg("-cp").arg(self.jars.join("*"));
            command.arg(MAIN_CLASS).arg(config).current_dir(dir.path());
            let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, ports[index][0]));
            let process = Some(Process::start(&mut command));
            members.push(Member { addr, command, process, _ports: own });
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
            for (index, [clients, quorum, election]) in ports.iter().enumerate() {
                config.push_str(&format!("server.{}=127.0.0.1:{quorum}:{election}", index + 1));
                if self.names_clients {
                    config.push_str(&format!(":participant;127.0.0.1:{clients}"));
                }
                config.push('\n');
            }
            fs::write(data_dir.join("myid"), (index + 1).to_string())?;
        }
        config.push_str(&self.lines);
        let own = self.own_lines.iter().filter(|(of, _)| *of == index);
        config.extend(own.map(|(_, line)| line.as_str()));
        let path = data_dir.join("zoo.cfg");
        fs::write(&path, config)?;
        Ok(path)
    }
}

/// Cause of a ZooKeeper that does not run. Its `Debug` is its `Display`, so that `unwrap` in a test tells the remedy.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Java or the server's jar is missing.
    #[error("a real Apache ZooKeeper is needed and {what} is missing: run ci/setup")]
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
    /// Its directory or its ports could not be prepared.
    #[error("cannot prepare Apache ZooKeeper: {0}")]
    Io(#[from] io::Error),
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn find_program(name: &Path) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let mut candidates = env::split_paths(&path).map(|dir| dir.join(name));
    candidates.find(|candidate| candidate.is_file())
}
