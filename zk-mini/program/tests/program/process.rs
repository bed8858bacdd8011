//! A process under test. It is killed, by its own id, on drop.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, mkfifo};
use tempfile::TempDir;

/// Data directory with a log that a server cannot read to its end.
pub(crate) struct EndlessLog {
    dir: TempDir,
    writer: Receiver<io::Result<File>>,
}

impl EndlessLog {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("version-2/log.1");
        fs::create_dir(log.parent().unwrap()).unwrap();
        mkfifo(&log, Mode::S_IRWXU).unwrap();
        let (sender, writer) = channel();
        thread::spawn(move || sender.send(File::options().write(true).open(log)));
        Self { dir, writer }
    }

    pub(crate) fn dir(&self) -> &str {
        self.dir.path().to_str().unwrap()
    }

    /// Waits until a server reads the log. It does so as long as the returned file is open.
    pub(crate) fn is_read(&self) -> File {
        self.writer.recv_timeout(PATIENCE).expect("a server reads the log").unwrap()
    }
}

/// Maximum wait for something that takes milliseconds on an idle machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Program {
    child: Child,
    /// Lines of standard output, as they come.
    stdout: Receiver<String>,
    /// Lines of standard error, once one has been asked for.
    stderr: Option<Receiver<String>>,
}

impl Program {
    /// Starts `zk-mini` with these arguments.
    pub(crate) fn start(args: &[&str]) -> Self {
        Self::with_stderr(args, None, Stdio::piped())
    }

    /// Starts `zk-mini` with a value of RUST_LOG and a destination for standard error.
    pub(crate) fn with_stderr(args: &[&str], log: Option<&str>, stderr: Stdio) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_zk-mini"));
        command.args(args).env_remove("RUST_LOG").envs(log.map(|log| ("RUST_LOG", log)));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(stderr);
        Self::spawn(command)
    }

    /// Starts a command of the caller, whose standard output is read.
    pub(crate) fn spawn(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let stdout = lines(child.stdout.take().unwrap());
        Self { child, stdout, stderr: None }
    }

    /// Waits for its end and returns the status.
    pub(crate) fn status(mut self) -> ExitStatus {
        let pid = self.child.id();
        let (sender, receiver) = channel();
        let mut child = std::mem::replace(&mut self.child, Command::new("true").spawn().unwrap());
        thread::spawn(move || sender.send(child.wait()));
        receiver.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("process {pid} goes on")).unwrap()
    }

    /// Returns the next line on standard output; `None` at its end.
    pub(crate) fn line(&self) -> Option<String> {
        use std::sync::mpsc::RecvTimeoutError::{Disconnected, Timeout};
        match self.stdout.recv_timeout(PATIENCE) {
            Ok(line) => Some(line),
            Err(Disconnected) => None,
            Err(Timeout) => panic!("no line"),
        }
    }

    /// Returns the next line on standard error.
    pub(crate) fn error_line(&mut self) -> String {
        let errors = self.stderr.get_or_insert_with(|| lines(self.child.stderr.take().unwrap()));
        errors.recv_timeout(PATIENCE).expect("a line on standard error")
    }

    /// Returns the address that it prints.
    pub(crate) fn address(&self) -> String {
        let line = self.line().expect("a line");
        line.strip_prefix("listening on ").unwrap_or_else(|| panic!("{line}")).into()
    }

    /// Returns its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().cast_signed()), signal).unwrap();
    }

    /// Stops it, and waits until it is stopped: it may run for a moment after the signal.
    pub(crate) fn stop(&self) {
        let pid = Pid::from_raw(self.child.id().cast_signed());
        kill(pid, Signal::SIGSTOP).unwrap();
        let status = waitpid(pid, Some(WaitPidFlag::WUNTRACED)).unwrap();
        assert_eq!(status, WaitStatus::Stopped(pid, Signal::SIGSTOP));
    }

    /// Waits for its end, and returns its status and all of its standard error.
    pub(crate) fn end(mut self) -> (ExitStatus, String) {
        let mut stderr = self.child.stderr.take().unwrap();
        let (sender, receiver) = channel();
        thread::spawn(move || {
            let mut text = String::new();
            let _ = stderr.read_to_string(&mut text);
            let _ = sender.send(text);
        });
        // Its end closes standard error.
        let stderr = receiver.recv_timeout(PATIENCE).expect("it goes on");
        (self.child.wait().unwrap(), stderr)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn lines(output: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        BufReader::new(output).lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
    });
    receiver
}

/// Returns true if the server at this address answers `ruok`.
pub(crate) fn is_ok(address: &str) -> bool {
    TcpStream::connect(address).is_ok() && ask(address, "ruok") == "imok"
}

/// Returns the answer of the server at this address to a four-letter word.
pub(crate) fn ask(address: &str, word: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(word.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// Returns the session timeout that a server grants to a client that asks for `wish`, in milliseconds.
pub(crate) fn granted_timeout(address: &str, wish: i32) -> i32 {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut request = vec![0, 0, 0, 44];
    request.extend([0; 12]);
    request.extend(wish.to_be_bytes());
    request.extend([0; 8]);
    request.extend([0, 0, 0, 16]);
    request.extend([0; 16]);
    stream.write_all(&request).unwrap();
    let mut response = [0; 12];
    stream.read_exact(&mut response).unwrap();
    i32::from_be_bytes(*response.last_chunk().unwrap())
}
