//! Forks: the parent's record of a child, and the child's way from the fork to its end.

use std::hash::{BuildHasher, RandomState};
use std::os::fd::OwnedFd;
use std::sync::Arc;

use common::log::{quietly, survive};
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::unistd::pipe2;

use super::Shell;
use super::child::ChildProcess;
use crate::board::{self, BoardReader, BoardWriter};
use crate::channel::{self, WorkerEnd};
use crate::error::{Error, explain_errno};
use crate::hooks::DeadWorker;
use crate::notify::Notifier;
use crate::process::{self, ForkError};
use crate::supervisor::ChildId;
use crate::worker::Worker;

/// Exit status of a child whose function panicked, the same as for a Rust `main`.
const PANICKED: i32 = 101;

impl<F: FnMut(Worker) -> i32> Shell<F> {
    pub(super) fn spawn(&mut self, id: ChildId, slot: u32, urgent: bool) -> Result<(), ForkError> {
        let (channel, worker_end) = channel::pair()?;
        let (stop_read, stop_write) = pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)?;
        let (reader, writer) = self.board().unzip();
        let Some(pid) = process::fork()? else {
            drop(channel);
            drop(reader);
            self.be_worker((slot, urgent), worker_end, writer, stop_read, &stop_write)
        };
        let child = ChildProcess::new(pid, slot, Some(channel));
        self.children.insert(id, ChildProcess { board: reader, ..child });
        Ok(())
    }

    /// Makes a board for the metrics of a worker. Without one the worker serves all the same.
    fn board(&self) -> Option<(BoardReader, BoardWriter)> {
        if !self.has_status {
            return None;
        }
        let made = board::board();
        made.inspect_err(|error| quietly(|| tracing::warn!("no metrics of a worker: {error}"))).ok()
    }

    pub(super) fn help(&mut self, id: ChildId, dead: ChildId) -> Result<(), ForkError> {
        // The core asks for help while it handles the death, so the entry of the dead worker still exists.
        let Some((slot, dead_pid, exit)) =
            self.children.get(&dead).and_then(|c| Some((c.slot, c.pid, c.exit?)))
        else {
            return Err(ForkError::System(Errno::ESRCH));
        };
        let Some(pid) = process::fork()? else {
            let note = self.children.remove(&dead).map(|child| child.note).unwrap_or_default();
            self.be_helper(&DeadWorker { slot, pid: dead_pid.as_raw(), exit, note: &note })
        };
        self.children.insert(id, ChildProcess::new(pid, slot, None));
        Ok(())
    }

    pub(super) fn upgrade(&mut self, id: ChildId) -> Result<(), String> {
        if self.pid.as_raw() == 1 {
            return Err("this is PID 1, and every process ends with it".into());
        }
        let (channel, new_end) = channel::pair().map_err(explain_errno)?;
        match process::fork() {
            Ok(Some(pid)) => {
                self.children.insert(id, ChildProcess::new(pid, 0, Some(channel)));
                Ok(())
            }
            Ok(None) => {
                let workers = self.core.workers_wanted();
                let changed = (workers != self.options.workers).then_some(workers);
                let why = self.program.execute(&new_end, changed);
                quietly(|| tracing::error!("{why}"));
                process::exit(1)
            }
            Err(ForkError::System(errno)) => Err(explain_errno(errno)),
            Err(ForkError::Threads(threads)) => Err(Error::Threads(threads).to_string()),
        }
    }

    /// Runs the worker function in the child and ends the process.
    fn be_worker(
        &mut self,
        (slot, urgent): (u32, bool),
        channel: WorkerEnd,
        board: Option<BoardWriter>,
        stop_read: OwnedFd,
        stop_write: &OwnedFd,
    ) -> ! {
        self.close_parents_descriptors();
        draw_own_numbers();
        // Both ends stay open until the worker function has ended: a signal handler writes to the pipe.
        let ready = pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK).and_then(|(usr1_read, usr1_write)| {
            process::become_worker(self.pid, stop_write, &usr1_write, self.options.grace)?;
            Ok((usr1_read, usr1_write))
        });
        let status = match ready {
            Ok((usr1_read, _usr1_write)) => {
                let channel = Arc::new(channel);
                let worker = Worker::new(slot, urgent, channel.clone(), board, stop_read, usr1_read);
                let work = || self.worker.as_mut().map_or(1, |work| work(worker));
                survive(work).unwrap_or_else(|why| {
                    // An error means that the parent is gone and needs no reason.
                    let _ = channel.last_words(&why);
                    PANICKED
                })
            }
            Err(errno) => {
                let why = explain_errno(errno);
                quietly(|| tracing::error!("worker {slot} cannot set up its signals: {why}"));
                1
            }
        };
        process::exit(status)
    }

    /// Runs the user's hook in the child and ends the process.
    fn be_helper(&mut self, dead: &DeadWorker<'_>) -> ! {
        self.close_parents_descriptors();
        let status = match (
            process::become_helper(self.pid, self.options.helper_timeout),
            &self.hooks.unclean_death,
        ) {
            (Ok(()), Some(hook)) => survive(|| hook(dead)).map_or(PANICKED, |()| 0),
            _ => 1,
        };
        process::exit(status)
    }

    /// Closes, in the child, the descriptors that belong to the parent: channels, signals, control socket, listeners.
    fn close_parents_descriptors(&mut self) {
        self.children.clear();
        self.signals = None;
        self.notify = Notifier::default();
        self.control = None;
        self.status_port = None;
        self.predecessor = None;
        self.program.close_listeners();
    }
}

/// Gives this process random numbers of its own. It has the generator of its parent, as its siblings have: their jitter would be
/// the same, and their clients would choose the same instances.
fn draw_own_numbers() {
    fastrand::seed(RandomState::new().hash_one((std::process::id(), fastrand::u64(..))));
}
