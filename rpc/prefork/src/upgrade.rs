//! The hot upgrade, seen from both sides: how the program is started anew, and how the new one reports back.

use std::env;
use std::ffi::OsString;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, id};

use nix::errno::Errno;

use crate::channel::WorkerEnd;
use crate::error::describe;
use crate::guard::quietly;
use crate::process;
use crate::supervisor::MAX_WORKERS;

/// How this process was started, and what it has to pass on.
#[derive(Debug)]
pub(crate) struct Program {
    path: PathBuf,
    args: Vec<OsString>,
    listeners: Vec<OwnedFd>,
}

impl Program {
    /// Remembered at the start, because a later answer may be about a file that has been replaced: the first argument
    /// if it is a path, so that a symbolic link to the current release is followed anew; else the running file.
    pub(crate) fn of_this_process(listeners: Vec<OwnedFd>) -> Self {
        let mut args = env::args_os();
        let named = args.next().map(PathBuf::from).filter(|path| path.components().nth(1).is_some());
        let path = named.and_then(|path| std::path::absolute(path).ok()).or_else(|| env::current_exe().ok());
        Self { path: path.unwrap_or_default(), args: args.collect(), listeners }
    }

    /// Whether there is anything to take over.
    pub(crate) fn has_listeners(&self) -> bool {
        !self.listeners.is_empty()
    }

    /// In a child that is no new program.
    pub(crate) fn close_listeners(&mut self) {
        self.listeners.clear();
    }

    /// In the child: becomes the new program, and comes back only with the reason why not. `workers` is how many that one
    /// shall have, if it is not to decide for itself.
    pub(crate) fn become_it(&self, channel: &WorkerEnd, workers: Option<u32>) -> String {
        let passed = self.listeners.iter().map(AsFd::as_fd).chain([channel.as_fd()]);
        let first = match process::become_program(&passed.collect::<Vec<_>>()) {
            Ok(first) => first,
            Err(errno) => return describe(errno),
        };
        let mut command = Command::new(&self.path);
        let channel = first + self.listeners.len();
        command
            .args(&self.args)
            .env("LISTEN_FDS", self.listeners.len().to_string())
            .env("LISTEN_PID", id().to_string())
            .env_remove("LISTEN_FDNAMES")
            .env(PREDECESSOR, format!("{}:{channel}:{}", id(), workers.unwrap_or(0)));
        if env::var_os("WATCHDOG_PID").is_some() {
            command.env("WATCHDOG_PID", id().to_string());
        }
        let error = command.exec();
        let why =
            error.raw_os_error().map_or_else(|| error.to_string(), |raw| describe(Errno::from_raw(raw)));
        format!("cannot execute {}: {why}", self.path.display())
    }
}

/// The parent that has started this program anew and waits to hear that it is ready, if there is one; and how many
/// workers it has, if somebody has changed that.
pub(crate) fn predecessor() -> Option<(WorkerEnd, Option<u32>)> {
    let value = env::var(PREDECESSOR).ok()?;
    let mut parts = value.split(':');
    let (pid, fd) = (parts.next()?, parts.next()?);
    let workers = parts.next().and_then(|workers| workers.parse().ok());
    let workers = workers.filter(|workers| (1..=MAX_WORKERS).contains(workers));
    // Else it was meant for a process whose environment we happen to have.
    if pid.parse() != Ok(id()) {
        return None;
    }
    match process::take_predecessor(fd.parse().ok()?) {
        Ok(fd) => fd.map(|fd| (WorkerEnd::from(fd), workers)),
        Err(errno) => {
            let why = describe(errno);
            quietly(|| tracing::warn!("cannot tell the program before this one that it is ready: {why}"));
            None
        }
    }
}

/// Names the new program's pid, the descriptor on which it says that it is ready, and the number of workers, or 0.
const PREDECESSOR: &str = "PREFORK_PREDECESSOR";
