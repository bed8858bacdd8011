//! A program under test: its output line by line, its signals, its exit status, its left-over processes.

use std::fmt;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::procfs::{self, Entry};
use crate::wait::{PATIENCE, poll};

/// Variable in the environment of every [`Process`] and its descendants.
const MARK: &str = "INTEGRATION_TEST_PROCESS";

/// A running program. Dropping it kills it and its remaining descendants.
///
/// ```
/// use std::process::Command;
/// use integration_tests::process::Process;
///
/// let mut echo = Process::start(Command::new("echo").arg("ready 127.0.0.1:7"));
/// assert_eq!(echo.line_with("ready"), "ready 127.0.0.1:7");
/// assert!(echo.wait().success());
/// ```
pub struct Process {
    what: String,
    mark: String,
    child: Child,
    status: Option<ExitStatus>,
    stdout: CapturedOutput,
    stderr: CapturedOutput,
    /// Number of lines of standard output that `line_with` has passed.
    seen: usize,
}

impl Process {
    /// Starts a program with empty standard input; both outputs are collected.
    ///
    /// # Panics
    /// If it cannot be started; the message names it.
    #[track_caller]
    pub fn start(command: &mut Command) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let mark = format!("{}.{}", Pid::this(), COUNT.fetch_add(1, Ordering::Relaxed));
        let what = format!("{command:?}");
        command.env(MARK, &mark).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("cannot start {what}: {error}"));
        let (stdout, stderr) =
            (CapturedOutput::collect(child.stdout.take()), CapturedOutput::collect(child.stderr.take()));
        Self { what, mark, child, status: None, stdout, stderr, seen: 0 }
    }

    /// Returns its process id. Send it no signal by this id once it has been waited for.
    pub fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().cast_signed())
    }

    /// Waits for the next line on standard output that contains `text`, and passes over others.
    ///
    /// # Panics
    /// If the line does not come, or the program ends without it.
    #[track_caller]
    pub fn line_with(&mut self, text: &str) -> String {
        self.line_that(&format!("a line with {text:?}"), PATIENCE, |line| line.contains(text))
    }

    /// Waits for the next line on standard output that `wanted` accepts.
    ///
    /// # Panics
    /// If the line does not come within `timeout`, or the program ends without it; the message shows its whole output.
    #[track_caller]
    pub fn line_that(&mut self, what: &str, timeout: Duration, wanted: impl Fn(&str) -> bool) -> String {
        let found = poll(timeout, || {
            let ended = self.stdout.is_complete();
            for line in self.stdout.lines_from(self.seen) {
                self.seen += 1;
                if wanted(&line) {
                    return Some(Some(line));
                }
            }
            ended.then_some(None)
        });
        found.flatten().unwrap_or_else(|| panic!("{what} did not come\n{self}"))
    }

    /// Returns its standard output so far.
    pub fn stdout(&self) -> String {
        self.stdout.text()
    }

    /// Returns its standard error so far.
    pub fn stderr(&self) -> String {
        self.stderr.text()
    }

    /// Sends it a signal, unless it has ended and been waited for.
    pub fn signal(&mut self, signal: Signal) {
        if self.status().is_none() {
            // It may end just now. Its id stays its own until it is reaped.
            let _ = kill(self.pid(), signal);
        }
    }

    /// Returns its exit status, if it has ended.
    pub fn status(&mut self) -> Option<ExitStatus> {
        if self.status.is_none() {
            self.status = self.child.try_wait().unwrap_or_else(|error| panic!("{}: {error}", self.what));
        }
        self.status
    }

    /// Waits for its end and the end of its output.
    ///
    /// # Panics
    /// If it goes on.
    #[track_caller]
    pub fn wait(&mut self) -> ExitStatus {
        self.wait_for(PATIENCE)
    }

    /// Waits for its end and the end of its output.
    ///
    /// # Panics
    /// If it goes on for longer than `timeout`; the message shows its output.
    #[track_caller]
    pub fn wait_for(&mut self, timeout: Duration) -> ExitStatus {
        let ended = poll(timeout, || {
            let status = self.status()?;
            (self.stdout.is_complete() && self.stderr.is_complete()).then_some(status)
        });
        ended.unwrap_or_else(|| panic!("it or its output goes on\n{self}"))
    }

    /// Asks it to stop with SIGTERM and waits for its end.
    #[track_caller]
    pub fn terminate(&mut self) -> ExitStatus {
        self.signal(Signal::SIGTERM);
        self.wait()
    }

    /// Returns its remaining descendants, also those that outlive it and zombies of a live parent.
    pub fn descendants(&self) -> Vec<Entry> {
        let mut found = procfs::marked(MARK, &self.mark);
        // The environment of a zombie cannot be read.
        found.extend(procfs::descendants(self.pid()).into_iter().filter(Entry::is_zombie));
        found.retain(|entry| entry.pid != self.pid());
        found
    }

    /// Waits until no descendant is left.
    ///
    /// # Panics
    /// If one is left after a while.
    #[track_caller]
    pub fn assert_nothing_left(&self) {
        if poll(PATIENCE, || self.descendants().is_empty().then_some(())).is_none() {
            panic!("left behind: {:?}\n{self}", self.descendants());
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.status().is_none() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        for entry in self.descendants() {
            let _ = kill(entry.pid, Signal::SIGKILL);
        }
    }
}

impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} (pid {}, {:?})", self.what, self.pid(), self.status)?;
        write!(f, "--- stdout\n{}--- stderr\n{}---", self.stdout(), self.stderr())
    }
}

/// An output of a process, which a thread reads to its end.
struct CapturedOutput {
    bytes: Arc<Mutex<Vec<u8>>>,
    reader: JoinHandle<()>,
}

impl CapturedOutput {
    fn collect(pipe: Option<impl Read + Send + 'static>) -> Self {
        let bytes = Arc::<Mutex<Vec<u8>>>::default();
        let collected = Arc::clone(&bytes);
        let reader = thread::spawn(move || {
            let Some(pipe) = pipe else { return };
            let mut pipe = BufReader::new(pipe);
            let mut line = Vec::new();
            while pipe.read_until(b'\n', &mut line).is_ok_and(|n| n > 0) {
                collected.lock().unwrap_or_else(PoisonError::into_inner).append(&mut line);
            }
        });
        Self { bytes, reader }
    }

    /// Returns true once all processes have closed the other end.
    fn is_complete(&self) -> bool {
        self.reader.is_finished()
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
    }

    fn lines_from(&self, first: usize) -> Vec<String> {
        self.text().lines().skip(first).map(String::from).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Process {
        Process::start(Command::new("sh").args(["-c", script]))
    }

    #[test]
    fn lines_are_found_in_order_and_output_is_kept() {
        let mut process = shell("echo one; echo two; echo oops >&2; echo one more; exit 3");
        assert_eq!(process.line_with("one"), "one");
        assert_eq!(process.line_with("one"), "one more");
        assert_eq!(process.wait().code(), Some(3));
        assert_eq!(
            (process.stdout().as_str(), process.stderr().as_str()),
            ("one\ntwo\none more\n", "oops\n")
        );
    }

    #[test]
    #[should_panic(expected = "a line with \"ready\" did not come")]
    fn the_end_of_the_program_ends_the_wait_for_a_line() {
        shell("echo starting").line_with("ready");
    }

    #[test]
    fn a_signal_reaches_the_program() {
        let mut process = shell("trap 'echo bye; exit 7' TERM; echo ready; while :; do sleep 0.01; done");
        process.line_with("ready");
        assert_eq!(process.terminate().code(), Some(7));
        assert_eq!(process.stdout(), "ready\nbye\n");
    }

    #[test]
    fn a_descendant_that_outlives_the_program_is_found_and_killed() {
        let mut process = shell("sleep 300 >/dev/null 2>&1 & echo started");
        process.line_with("started");
        process.wait();
        let left = process.descendants();
        assert_eq!(left.len(), 1, "{left:?}");
        drop(process);
        let gone = || procfs::entry(left[0].pid).is_none_or(|entry| entry.is_zombie());
        crate::wait::eventually("the sleeper is killed", PATIENCE, gone);
    }
}
