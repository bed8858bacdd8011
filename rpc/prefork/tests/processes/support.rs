//! Starts the fixture, reads its output, inspects its processes, and leaves none of them behind.

use std::io::{self, BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio, id};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU32};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};
use std::{fs, thread};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Longest wait for anything; long enough for a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// A running fixture. Drop kills every process that descends from it.
pub(crate) struct Fixture {
    parent: Child,
    /// Variable in the environment of every process that descends from this one.
    mark: String,
    lines: Receiver<String>,
    seen: Vec<String>,
}

impl Fixture {
    /// Starts it and waits until all workers are ready.
    pub(crate) fn ready(args: &str) -> Self {
        let mut fixture = Self::start(args);
        fixture.line("> ready ");
        fixture
    }

    pub(crate) fn start(args: &str) -> Self {
        Self::start_with(args, |_| {})
    }

    /// Starts it like systemd: `socket` is descriptor 3, and the variables of socket activation are set.
    pub(crate) fn start_activated(args: &str, socket: impl Into<OwnedFd>) -> Self {
        let socket: OwnedFd = socket.into();
        let program = env!("CARGO_BIN_EXE_prefork-fixture");
        Self::start_command(Command::new("sh"), |command| {
            // `exec` keeps the shell's pid, so that `LISTEN_PID` is right.
            command
                .args(["-c", &format!("LISTEN_FDS=1 LISTEN_PID=$$ exec {program} {args} 3<&0 0</dev/null")]);
            command.stdin(socket);
        })
    }

    /// Starts it after `prepare` has changed the command.
    pub(crate) fn start_with(args: &str, prepare: impl FnOnce(&mut Command)) -> Self {
        Self::start_command(Command::new(env!("CARGO_BIN_EXE_prefork-fixture")), |command| {
            prepare(command.args(args.split_whitespace()));
        })
    }

    /// Starts it by a path at which another program may be installed later.
    pub(crate) fn start_at(path: &Path, args: &str) -> Self {
        Self::start_by(path, args, |_| {})
    }

    /// Starts it by a path, after `prepare` has changed the command.
    pub(crate) fn start_by(path: &Path, args: &str, prepare: impl FnOnce(&mut Command)) -> Self {
        install(path, Path::new(env!("CARGO_BIN_EXE_prefork-fixture")));
        Self::start_command(Command::new(path), |command| {
            prepare(command.args(args.split_whitespace()));
        })
    }

    /// Starts it through another program.
    pub(crate) fn start_program(program: &str, args: &str) -> Self {
        Self::start_command(Command::new(program), |command| {
            command.args(args.split_whitespace());
        })
    }

    fn start_command(mut command: Command, prepare: impl FnOnce(&mut Command)) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let mark = format!("PREFORK_TEST={}-{}", id(), COUNT.fetch_add(1, Relaxed));
        let (key, value) = mark.split_once('=').unwrap();
        command.env(key, value);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        prepare(&mut command);
        let mut parent = command.spawn().unwrap();
        let (sender, lines) = channel();
        // `None` if `prepare` has redirected them.
        parent.stdout.take().into_iter().for_each(|stdout| forward(stdout, sender.clone()));
        parent.stderr.take().into_iter().for_each(|stderr| forward(stderr, sender.clone()));
        Self { parent, mark, lines, seen: Vec::new() }
    }

    pub(crate) fn pid(&self) -> i32 {
        i32::try_from(self.parent.id()).unwrap()
    }

    /// Waits for a line that contains `what` and returns it. Each line is returned once.
    pub(crate) fn line(&mut self, what: &str) -> String {
        if let Some(at) = self.seen.iter().position(|line| line.contains(what)) {
            return self.seen.remove(at);
        }
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) if line.contains(what) => return line,
                Ok(line) => self.seen.push(line),
                Err(_) => panic!("no line {what:?} came; these did: {:#?}", self.seen),
            }
        }
    }

    /// Waits for a moment for the next line, which may not come.
    pub(crate) fn anything(&mut self) {
        self.seen.extend(self.lines.recv_timeout(Duration::from_millis(20)));
    }

    /// Waits for `n` more workers to start and returns their pids.
    pub(crate) fn workers(&mut self, n: usize) -> Vec<i32> {
        (0..n).map(|_| number(&self.line("> worker "), 3)).collect()
    }

    /// Returns the pid of the only child of the process that was started.
    pub(crate) fn only_child(&self) -> i32 {
        let pid = self.pid();
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
        children.trim().parse().unwrap()
    }

    /// Waits for one more parent to start and returns its pid.
    pub(crate) fn parent(&mut self) -> i32 {
        number(&self.line("> parent "), 2)
    }

    pub(crate) fn addr(&mut self) -> SocketAddr {
        self.line("> listening ").rsplit(' ').next().unwrap().parse().unwrap()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        send(self.pid(), signal);
    }

    /// Waits for the end of the parent, and checks that no process and no zombie is left.
    pub(crate) fn ends(&mut self) -> ExitStatus {
        let mut status = None;
        eventually("the parent ends", || {
            status = self.parent.try_wait().unwrap();
            status.is_some()
        });
        self.leaves_nothing_behind();
        status.unwrap()
    }

    fn leaves_nothing_behind(&self) {
        let mut left = Vec::new();
        let gone = comes_true(|| {
            left = self.processes();
            left.is_empty()
        });
        let describe = |pid: &i32| fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        assert!(gone, "left behind: {:#?}", left.iter().map(describe).collect::<Vec<_>>());
    }

    /// Returns every living process that descends from this fixture, except the parent itself.
    pub(crate) fn processes(&self) -> Vec<i32> {
        let ours = |pid: &i32| {
            let environ = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            environ.split(|byte| *byte == 0).any(|var| var == self.mark.as_bytes())
        };
        all_pids().filter(|pid| *pid != self.pid()).filter(ours).collect()
    }

    /// Returns the dead children of the parent that have not been reaped.
    pub(crate) fn zombies(&self) -> Vec<i32> {
        let parent = self.pid().to_string();
        let ours = |pid: &i32| {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            // The process name before it is in parentheses and may contain anything.
            let mut fields = stat.rsplit(')').next().unwrap_or("").split_whitespace();
            fields.next() == Some("Z") && fields.next() == Some(&parent)
        };
        all_pids().filter(ours).collect()
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        let _ = self.parent.kill();
        let _ = self.parent.wait();
        // By pid, and only processes with the mark.
        for pid in self.processes() {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }
}

/// Sets a flag on drop, also on a panic: threads that wait for the flag would wait for ever otherwise.
pub(crate) struct Over<'a>(pub(crate) &'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

/// Replaces a program at once, by a link, as a deployment does.
pub(crate) fn install(path: &Path, program: &Path) {
    let beside = path.with_extension("new");
    symlink(program, &beside).unwrap();
    fs::rename(beside, path).unwrap();
}

/// Connects to `addr` and returns the pid of the worker that answers.
pub(crate) fn ask(addr: SocketAddr) -> i32 {
    try_ask(addr).unwrap()
}

pub(crate) fn try_ask(addr: SocketAddr) -> io::Result<i32> {
    let mut answer = String::new();
    let mut stream = TcpStream::connect_timeout(&addr, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.read_to_string(&mut answer)?;
    answer.trim().parse().map_err(io::Error::other)
}

pub(crate) fn is_free(addr: SocketAddr) -> bool {
    TcpListener::bind(addr).is_ok()
}

pub(crate) fn send(pid: i32, signal: Signal) {
    kill(Pid::from_raw(pid), signal).unwrap();
}

/// Parses the word at `index` of a line as a number.
fn number(line: &str, index: usize) -> i32 {
    line.split_whitespace().nth(index).unwrap().parse().unwrap()
}

/// Waits for a condition, for a bounded time.
pub(crate) fn eventually(what: &str, condition: impl FnMut() -> bool) {
    assert!(comes_true(condition), "timed out waiting for: {what}");
}

#[expect(clippy::disallowed_methods, reason = "bounds the wait, whatever the condition costs")]
fn comes_true(mut condition: impl FnMut() -> bool) -> bool {
    let start = Instant::now();
    while !condition() {
        if start.elapsed() > PATIENCE {
            return false;
        }
        thread::sleep(Duration::from_millis(5));
    }
    true
}

fn all_pids() -> impl Iterator<Item = i32> {
    fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}

fn forward(from: impl Read + Send + 'static, to: Sender<String>) {
    thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            if to.send(line).is_err() {
                return;
            }
        }
    });
}
