//! A container, which is a process of `zkServer.sh`.

use std::collections::HashMap;
use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::marker::PhantomData;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::core::RunnableImage;
use crate::images::generic::GenericImage;

/// Port of servers in their containers, for clients.
const PORT: &str = "2181";

/// Configuration of the image, if none is given.
const DEFAULT: &str = "dataDir=/data\nclientPort=2181\ntickTime=2000\ninitLimit=5\nsyncLimit=2\n";

/// Beginning of the line that says that a server is ready, before its address.
const READY: &str = "listening on ";

/// Line in the log of a server that has lost its quorum and serves reads.
const READ_ONLY: &str = "Read-only server started";

/// Maximum wait for that.
const PATIENCE: Duration = Duration::from_secs(60);

/// Number of containers so far, for the names of their folders.
static STARTED: AtomicUsize = AtomicUsize::new(0);

/// A server, which ends with it.
#[derive(Debug)]
pub struct Container<'d, I> {
    folder: PathBuf,
    config: PathBuf,
    environment: Vec<(String, String)>,
    running: Mutex<Option<Running>>,
    docker: PhantomData<(&'d (), I)>,
}

#[derive(Debug)]
struct Running {
    process: Child,
    output: BufReader<ChildStdout>,
    addr: SocketAddr,
}

/// The log of a server.
#[derive(Debug)]
pub struct LogStream {
    addr: SocketAddr,
}

impl Container<'_, GenericImage> {
    pub(crate) fn start_new(RunnableImage { image, volumes }: RunnableImage<GenericImage>) -> Self {
        let GenericImage { tag, environment } = image;
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("container-{}-{number}", std::process::id()));
        let data = folder.join("data");
        fs::create_dir_all(&data).unwrap();
        let mut places: HashMap<_, _> = HashMap::from([("/data".to_owned(), data.display().to_string())]);
        places.extend(volumes);
        let text =
            places.get("/conf/zoo.cfg").map_or(DEFAULT.into(), |file| fs::read_to_string(file).unwrap());
        let config = folder.join("zoo.cfg");
        fs::write(&config, outside(&text, "\n", &places)).unwrap();
        let environment = environment.into_iter().map(|(name, value)| (name, outside(&value, " ", &places)));
        let compat = if tag.starts_with("3.9") { "3.9" } else { "3.8" };
        let environment = environment.chain([("ZOOKEEPER_COMPAT".to_owned(), compat.to_owned())]).collect();
        let container = Self { folder, config, environment, running: Mutex::new(None), docker: PhantomData };
        container.start();
        container
    }
}

impl<I> Container<'_, I> {
    /// Starts the server, and returns when it serves.
    pub fn start(&self) {
        let mut command = Command::new("zkServer.sh");
        command.arg("start-foreground").arg(&self.config).envs(self.environment.clone());
        let mut process = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let mut output = BufReader::new(process.stdout.take().unwrap());
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        let addr = line.trim_end().strip_prefix(READY).expect("zkServer.sh says where it listens");
        let addr = addr.parse().unwrap();
        *self.running.lock().unwrap() = Some(Running { process, output, addr });
    }

    /// Stops the server, and returns when its port refuses.
    pub fn stop(&self) {
        if let Some(mut running) = self.running.lock().unwrap().take() {
            running.process.kill().unwrap();
            // The end of its outputs is that of the server.
            io::copy(&mut running.output, &mut io::sink()).unwrap();
            running.process.wait().unwrap();
        }
    }

    /// Returns the port on this machine.
    pub fn get_host_port(&self, _: u16) -> u16 {
        self.addr().port()
    }

    pub fn stdout(&self) -> LogStream {
        LogStream { addr: self.addr() }
    }

    fn addr(&self) -> SocketAddr {
        self.running.lock().unwrap().as_ref().expect("the server runs").addr
    }
}

impl<I> Drop for Container<'_, I> {
    fn drop(&mut self) {
        self.stop();
        fs::remove_dir_all(&self.folder).unwrap();
    }
}

impl LogStream {
    /// Waits until the server is in the state of which this line tells. zk-mini writes no such lines, so it is asked.
    pub fn wait_for_message(self, line: &str) -> io::Result<()> {
        assert_eq!(line, READ_ONLY, "no other line of ZooKeeper's log is known");
        let deadline = Instant::now() + PATIENCE;
        while !self.answer("srvr")?.contains("Mode: read-only") {
            if Instant::now() > deadline {
                return Err(io::ErrorKind::TimedOut.into());
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    fn answer(&self, word: &str) -> io::Result<String> {
        let mut connection = TcpStream::connect(self.addr)?;
        connection.write_all(word.as_bytes())?;
        let mut answer = String::new();
        connection.read_to_string(&mut answer)?;
        Ok(answer)
    }
}

/// Returns settings, each `key=value`, with a free port and paths outside of the container for those in it.
fn outside(text: &str, separator: &str, places: &HashMap<String, String>) -> String {
    let setting = |setting: &str| match setting.split_once('=') {
        Some((key, PORT)) => format!("{key}=0"),
        Some((key, inside)) => match places.get(inside) {
            Some(place) => format!("{key}={}", Path::new(place).display()),
            None => setting.into(),
        },
        None => setting.into(),
    };
    text.split(separator).map(setting).collect::<Vec<_>>().join(separator)
}
