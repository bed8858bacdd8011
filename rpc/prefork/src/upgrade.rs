//! The hot upgrade from both sides: the old program starts the new one, and the new one reports back.

use std::env;
use std::ffi::OsString;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, id};

use common::log::quietly;

use crate::channel::WorkerEnd;
use crate::error::{explain, explain_errno};
use crate::process;
use crate::supervisor::MAX_WORKERS;

/// Variable for the new program: its pid, the descriptor on which it says that it is ready, the number of workers or 0.
const PREDECESSOR: &str = "PREFORK_PREDECESSOR";

/// The command of this process, and the listeners that it hands over.
#[derive(Debug)]
pub(crate) struct Program {
    path: PathBuf,
    args: Vec<OsString>,
    listeners: Vec<OwnedFd>,
}

impl Program {
    /// Finds the path of this program: the first argument if that contains a slash, so that a symbolic link to the current
    /// release is resolved anew; else the running file. Call it at the start: later the file may have been replaced.
    pub(crate) fn of_this_process(listeners: Vec<OwnedFd>) -> Self {
        let mut args = env::args_os();
        let named = args.next().map(PathBuf::from).filter(|path| path.components().nth(1).is_some());
        let path = named.and_then(|path| std::path::absolute(path).ok()).or_else(|| env::current_exe().ok());
        Self { path: path.unwrap_or_default(), args: args.collect(), listeners }
    }

    /// Returns true if there is anything to hand over.
    pub(crate) fn has_listeners(&self) -> bool {
        !self.listeners.is_empty()
    }

    /// Closes the listeners, in a child that is not the new program.
    pub(crate) fn close_listeners(&mut self) {
        self.listeners.clear();
    }

    /// Executes the new program in the child, and returns only on failure, with the reason. `workers` overrides the new
    /// program's own number of workers.
    pub(crate) fn execute(&self, channel: &WorkerEnd, workers: Option<u32>) -> String {
        let passed = self.listeners.iter().map(AsFd::as_fd).chain([channel.as_fd()]);
        let first = match process::become_program(&passed.collect::<Vec<_>>()) {
            Ok(first) => first,
            Err(errno) => return explain_errno(errno),
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
        format!("cannot execute {}: {}", self.path.display(), explain(&error))
    }
}

/// Returns the channel to the parent that has started this program by an upgrade, and the number of workers to keep if an
/// operator has changed it there. The old parent waits to hear that this one is ready.
pub(crate) fn predecessor() -> Option<(WorkerEnd, Option<u32>)> {
    let value = env::var(PREDECESSOR).ok()?;
    let mut parts = value.split(':');
    let (pid, fd) = (parts.next()?, parts.next()?);
    let workers = parts.next().and_then(|workers| workers.parse().ok());
    let workers = workers.filter(|workers| (1..=MAX_WORKERS).contains(workers));
    // A different pid: the variable is inherited from the process that it was meant for.
    if pid.parse() != Ok(id()) {
        return None;
    }
    match process::take_predecessor(fd.parse().ok()?) {
        Ok(fd) => fd.map(|fd| (WorkerEnd::from(fd), workers)),
        Err(errno) => {
            let why = explain_errno(errno);
            quietly(|| tracing::warn!("cannot tell the old program that this one is ready: {why}"));
            None
        }
    }
}
