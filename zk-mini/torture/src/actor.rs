//! Processes under torture: started, listened to, signalled, and ended with everything that they have started.

use std::collections::{BTreeMap, VecDeque};
use std::ffi::OsString;
use std::io;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use common::{Millis, TokioClock};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use rustix::process::{WaitId, WaitIdOptions, waitid};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;
use tokio::time::sleep;

use crate::claim::Claim;

/// Longest line that is read in one piece; a longer one is no claim.
const LONGEST_LINE: u64 = 64 << 10;
/// Maximum number of claims that are kept; a process that says more is ended.
const MOST_CLAIMS: usize = 20_000;
/// Number of claims that are told.
const LAST_CLAIMS: usize = 6;
/// Number of lines of standard error that are kept, the last ones, and the length of each.
const LAST_LINES: usize = 8;
const LAST_LINE_CHARS: usize = 300;
/// Time after the end of a process in which its output must end, too.
const OUTPUT_LIMIT: Duration = Duration::from_secs(1);

/// A process that runs the user's command in one role.
///
/// It leads a process group of its own. Signals go to the group, and only as long as the leader has not been reaped, so
/// they reach no process that we did not start.
#[derive(Debug)]
pub(crate) struct Actor {
    /// Name of its instance.
    pub(crate) name: &'static str,
    group: Pid,
    heard: Arc<Mutex<Heard>>,
}

/// All that is known of a process.
#[derive(Debug, Default)]
struct Heard {
    claims: Vec<(Millis, Claim)>,
    /// True if it has said more than is kept.
    flooded: bool,
    stderr: VecDeque<String>,
    reaped: bool,
    /// True if it was asked to end, or killed.
    dismissed: bool,
    /// Set when the process has ended and all of its output has been read.
    ended: Option<ExitStatus>,
}

impl Actor {
    /// Starts a process. `clock` dates its claims.
    pub(crate) fn start(
        name: &'static str,
        command: &[OsString],
        environment: &BTreeMap<&'static str, String>,
        clock: TokioClock,
    ) -> io::Result<Self> {
        let [program, arguments @ ..] = command else { return Err(io::ErrorKind::InvalidInput.into()) };
        // Before the start, so that no end is missed.
        let ends = signal(SignalKind::child())?;
        let mut command = Command::new(program);
        command.args(arguments).envs(environment).process_group(0).kill_on_drop(true);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.spawn()?;
        let pid = child.id().and_then(|pid| i32::try_from(pid).ok()).ok_or(io::ErrorKind::NotFound)?;
        let heard = Arc::<Mutex<Heard>>::default();
        let group = Pid::from_raw(pid);
        tokio::spawn(listen(child, group, ends, Arc::clone(&heard), clock));
        Ok(Self { name, group, heard })
    }

    /// Sends a signal to the process and those that it has started; to nothing if it has ended.
    pub(crate) fn signal(&self, signal: Signal) {
        let mut heard = self.heard();
        heard.dismissed |= matches!(signal, Signal::SIGTERM | Signal::SIGKILL);
        if !heard.reaped {
            let _ = killpg(self.group, signal);
        }
    }

    /// Returns the last claim of which `select` returns something, with its time.
    pub(crate) fn last<T>(&self, select: impl Fn(&Claim) -> Option<T>) -> Option<(Millis, T)> {
        self.heard().claims.iter().rev().find_map(|(at, claim)| Some((*at, select(claim)?)))
    }

    /// Returns all claims since a time.
    pub(crate) fn claims_since(&self, since: Millis) -> Vec<(Millis, Claim)> {
        self.heard().claims.iter().filter(|(at, _)| *at >= since).cloned().collect()
    }

    /// Returns true if it has ever said anything that is a claim.
    pub(crate) fn has_spoken(&self) -> bool {
        !self.heard().claims.is_empty()
    }

    /// Returns its status once it has ended.
    pub(crate) fn ended(&self) -> Option<ExitStatus> {
        self.heard().ended
    }

    /// Returns the complaint that it has ended by itself, if it has.
    pub(crate) fn is_alive(&self) -> Result<(), String> {
        let heard = self.heard();
        match heard.ended {
            Some(status) if !heard.dismissed => Err(format!("{} has ended by itself: {status}", self.name)),
            _ => Ok(()),
        }
    }

    /// Returns its last claims, with their times.
    pub(crate) fn last_claims(&self) -> Vec<(Millis, String)> {
        let heard = self.heard();
        let first = heard.claims.len().saturating_sub(LAST_CLAIMS);
        let last = heard.claims.get(first..).unwrap_or_default();
        last.iter().map(|(at, claim)| (*at, format!("{} says: {claim}", self.name))).collect()
    }

    /// Tells its state for people: its end, and the end of its standard error if it has ended by itself or never spoken.
    pub(crate) fn describe(&self) -> Vec<String> {
        let heard = self.heard();
        let (name, has_spoken) = (self.name, !heard.claims.is_empty());
        let mut lines = Vec::new();
        if !has_spoken {
            lines.push(format!("{name} has said nothing that the contract knows"));
        }
        if heard.flooded {
            lines.push(format!("{name} was ended after {MOST_CLAIMS} lines"));
        }
        if let Some(status) = heard.ended {
            let how = if heard.dismissed { "has ended" } else { "has ended by itself" };
            lines.push(format!("{name} {how}: {status}"));
        }
        if !has_spoken || (heard.ended.is_some() && !heard.dismissed) {
            lines.extend(heard.stderr.iter().map(|line| format!("{name}'s standard error: {line}")));
        }
        lines
    }

    fn heard(&self) -> MutexGuard<'_, Heard> {
        lock(&self.heard)
    }
}

/// Kills the process, and all of its group. The task that listens reaps it.
impl Drop for Actor {
    fn drop(&mut self) {
        self.signal(Signal::SIGKILL);
    }
}

/// Reads the output of a process to its end, and reaps it.
async fn listen(
    mut child: Child,
    group: Pid,
    mut ends: tokio::signal::unix::Signal,
    heard: Arc<Mutex<Heard>>,
    clock: TokioClock,
) {
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let output = async {
        let claims = lines(stdout, |line| {
            let Some(claim) = Claim::parse(line) else { return };
            let mut heard = lock(&heard);
            if heard.claims.len() < MOST_CLAIMS {
                heard.claims.push((clock.now(), claim));
            } else if !heard.flooded && !heard.reaped {
                heard.flooded = true;
                let _ = killpg(group, Signal::SIGKILL);
            }
        });
        let errors = lines(stderr, |line| {
            let text = String::from_utf8_lossy(line);
            let line: String = text.trim_end().chars().take(LAST_LINE_CHARS).map(shown).collect();
            let mut heard = lock(&heard);
            if heard.stderr.len() == LAST_LINES {
                heard.stderr.pop_front();
            }
            heard.stderr.push_back(line);
        });
        tokio::join!(claims, errors);
    };
    let has_gone = Notify::new();
    let end = async {
        while !has_ended(group) && ends.recv().await.is_some() {}
        let mut heard = lock(&heard);
        // The leader is not reaped yet, so the group is still ours.
        let _ = killpg(group, Signal::SIGKILL);
        heard.reaped = true;
        has_gone.notify_one();
        child.try_wait().ok().flatten()
    };
    let output = async {
        tokio::select! {
            () = output => {}
            // A process that has left the group may hold the pipes.
            () = async { has_gone.notified().await; sleep(OUTPUT_LIMIT).await } => {}
        }
    };
    let (status, ()) = tokio::join!(end, output);
    let mut heard = lock(&heard);
    heard.ended = status;
}

/// Returns true if a child of ours has ended. It stays to be reaped.
fn has_ended(pid: Pid) -> bool {
    let Some(pid) = rustix::process::Pid::from_raw(pid.as_raw()) else { return true };
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    !matches!(waitid(WaitId::Pid(pid), options), Ok(None))
}

/// Calls `take` with each line, until the end of the output.
async fn lines(pipe: Option<impl AsyncRead + Unpin>, mut take: impl FnMut(&[u8])) {
    let Some(pipe) = pipe else { return };
    let mut pipe = BufReader::new(pipe);
    let mut line = Vec::new();
    loop {
        line.clear();
        match (&mut pipe).take(LONGEST_LINE).read_until(b'\n', &mut line).await {
            Ok(0) | Err(_) => return,
            Ok(_) => take(&line),
        }
    }
}

/// Returns a character that a terminal may show.
fn shown(char: char) -> char {
    if char.is_control() { '\u{fffd}' } else { char }
}

fn lock(heard: &Mutex<Heard>) -> MutexGuard<'_, Heard> {
    heard.lock().unwrap_or_else(PoisonError::into_inner)
}
