//! Starts the fixture, reads what it says, looks at its processes, and leaves none of them behind.

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

/// A running fixture; when dropped, every process that came of it is killed.
pub(crate) struct Fixture {
    parent: Child,
    /// In the environment of every process that came of this one.
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

    /// Starts it as systemd would that has bound `socket` for it: as descriptor 3, with our pid in the environment.
    pub(crate) fn start_activated(args: &str, socket: impl Into<OwnedFd>) -> Self {
        let socket: OwnedFd = socket.into();
        let program = env!("CARGO_BIN_EXE_prefork-fixture");
        Self::start_command(Command::new("sh"), |command| {
            // The shell becomes the fixture, so its pid is the right one.
            command
                .args(["-c", &format!("LISTEN_FDS=1 LISTEN_PID=$$ exec {program} {args} 3<&0 0</dev/null")]);
            command.stdin(socket);
        })
    }

    /// Starts it by a command that `prepare` may change before.
    pub(crate) fn start_with(args: &str, prepare: impl FnOnce(&mut Command)) -> Self {
        Self::start_command(Command::new(env!("CARGO_BIN_EXE_prefork-fixture")), |command| {
            prepare(command.args(args.split_whitespace()));
        })
    }

    /// Starts it by a path that another program may be put at later.
    pub(crate) fn start_at(path: &Path, args: &str) -> Self {
        Self::start_by(path, args, |_| {})
    }

    /// The same, by a command that `prepare` may change before.
    pub(crate) fn start_by(path: &Path, args: &str, prepare: impl FnOnce(&mut Command)) -> Self {
        install(path, Path::new(env!("CARGO_BIN_EXE_prefork-fixture")));
        Self::start_command(Command::new(path), |command| {
            prepare(command.args(args.split_whitespace()));
        })
    }

    /// Starts it by another program.
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
        // Unless `prepare` has put them elsewhere.
        parent.stdout.take().into_iter().for_each(|stdout| forward(stdout, sender.clone()));
        parent.stderr.take().into_iter().for_each(|stderr| forward(stderr, sender.clone()));
        Self { parent, mark, lines, seen: Vec::new() }
    }

    pub(crate) fn pid(&self) -> i32 {
        i32::try_from(self.parent.id()).unwrap()
    }

    /// Waits for a line that contains `what`, and gives it; each line is given once.
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

    /// Waits for whatever comes next, but not for long: perhaps nothing does.
    pub(crate) fn anything(&mut self) {
        self.seen.extend(self.lines.recv_timeout(Duration::from_millis(20)));
    }

    /// The pids of the next `n` workers that say hello.
    pub(crate) fn workers(&mut self, n: usize) -> Vec<i32> {
        (0..n).map(|_| number(&self.line("> worker "), 3)).collect()
    }

    /// The one process that the one we started has started.
    pub(crate) fn only_child(&self) -> i32 {
        let pid = self.pid();
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
        children.trim().parse().unwrap()
    }

    /// The pid of the next parent that says hello.
    pub(crate) fn parent(&mut self) -> i32 {
        number(&self.line("> parent "), 2)
    }

    pub(crate) fn addr(&mut self) -> SocketAddr {
        self.line("> listening ").rsplit(' ').next().unwrap().parse().unwrap()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        send(self.pid(), signal);
    }

    /// Waits for the end, and checks that nothing is left: no process, no zombie.
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

    /// Every living process that came of this fixture, but for the parent itself.
    pub(crate) fn processes(&self) -> Vec<i32> {
        let ours = |pid: &i32| {
            let environ = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            environ.split(|byte| *byte == 0).any(|var| var == self.mark.as_bytes())
        };
        all_pids().filter(|pid| *pid != self.pid()).filter(ours).collect()
    }

    /// The parent's children that are dead and have not been reaped.
    pub(crate) fn zombies(&self) -> Vec<i32> {
        let parent = self.pid().to_string();
        let ours = |pid: &i32| {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            // The name before it is in parentheses and may contain anything.
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
        // By pid, and only what carries our mark.
        for pid in self.processes() {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }
}

/// Says that it is over when it goes, also by a panic: else who waits for that in a thread would wait for ever.
pub(crate) struct Over<'a>(pub(crate) &'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

/// Puts a program in the place of another, as a deployment does: at once, by a link.
pub(crate) fn install(path: &Path, program: &Path) {
    let beside = path.with_extension("new");
    symlink(program, &beside).unwrap();
    fs::rename(beside, path).unwrap();
}

/// The pid of whichever worker answers on `addr`.
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

/// The word at `index` of a line, as a number.
fn number(line: &str, index: usize) -> i32 {
    line.split_whitespace().nth(index).unwrap().parse().unwrap()
}

/// Waits for a condition, for a bounded time.
pub(crate) fn eventually(what: &str, condition: impl FnMut() -> bool) {
    assert!(comes_true(condition), "it never came to this: {what}");
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

/// Long enough for a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);
