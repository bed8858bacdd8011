//! Forking: what the parent keeps of a child, and what the child does until it ends.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::unistd::pipe2;

use super::{Child, Shell};
use crate::channel::{self, WorkerEnd};
use crate::error::describe;
use crate::guard::{quietly, survive};
use crate::notify::Notifier;
use crate::prefork::Dead;
use crate::process::{self, ForkError};
use crate::supervisor::ChildId;
use crate::{Error, Worker};

impl<F: FnMut(Worker) -> i32> Shell<F> {
    pub(super) fn spawn(&mut self, id: ChildId, slot: u32, urgent: bool) -> Result<(), ForkError> {
        let (channel, worker_end) = channel::pair()?;
        let (stop_read, stop_write) = pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)?;
        let Some(pid) = process::fork()? else {
            drop(channel);
            self.be_worker((slot, urgent), worker_end, stop_read, &stop_write)
        };
        self.children.insert(id, Child::new(pid, slot, Some(channel)));
        Ok(())
    }

    pub(super) fn help(&mut self, id: ChildId, dead: ChildId) -> Result<(), ForkError> {
        // The core asks for help while it handles the death, so the dead worker is still known.
        let Some((slot, dead_pid, exit)) =
            self.children.get(&dead).and_then(|c| Some((c.slot, c.pid, c.exit?)))
        else {
            return Err(ForkError::System(Errno::ESRCH));
        };
        let Some(pid) = process::fork()? else {
            let note = self.children.remove(&dead).map(|child| child.note).unwrap_or_default();
            self.be_helper(&Dead { slot, pid: dead_pid.as_raw(), exit, note: &note })
        };
        self.children.insert(id, Child::new(pid, slot, None));
        Ok(())
    }

    pub(super) fn upgrade(&mut self, id: ChildId) -> Result<(), String> {
        if self.pid.as_raw() == 1 {
            return Err("this is PID 1, and everything ends with it".into());
        }
        let (channel, new_end) = channel::pair().map_err(describe)?;
        match process::fork() {
            Ok(Some(pid)) => {
                self.children.insert(id, Child::new(pid, 0, Some(channel)));
                Ok(())
            }
            Ok(None) => {
                let workers = self.core.wanted();
                let changed = (workers != self.options.workers).then_some(workers);
                let why = self.program.become_it(&new_end, changed);
                quietly(|| tracing::error!("{why}"));
                process::exit(1)
            }
            Err(ForkError::System(errno)) => Err(describe(errno)),
            Err(ForkError::Threads(threads)) => Err(Error::Threads(threads).to_string()),
        }
    }

    /// In the child: from the fork to the end of the process.
    fn be_worker(
        &mut self,
        (slot, urgent): (u32, bool),
        channel: WorkerEnd,
        stop_read: OwnedFd,
        stop_write: &OwnedFd,
    ) -> ! {
        self.close_what_is_the_parents();
        // Both ends are kept until the worker function has ended: a handler writes to it.
        let ready = pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK).and_then(|(usr1_read, usr1_write)| {
            process::become_worker(self.pid, stop_write, &usr1_write, self.options.grace)?;
            Ok((usr1_read, usr1_write))
        });
        let status = match ready {
            Ok((usr1_read, _usr1_write)) => {
                let channel = Arc::new(channel);
                let worker = Worker::new(slot, urgent, channel.clone(), stop_read, usr1_read);
                survive(|| (self.worker)(worker)).unwrap_or_else(|why| {
                    // A parent that does not listen any more needs no reason either.
                    let _ = channel.last_words(&why);
                    PANICKED
                })
            }
            Err(errno) => {
                let why = describe(errno);
                quietly(|| tracing::error!("worker {slot} cannot set up its signals: {why}"));
                1
            }
        };
        process::exit(status)
    }

    /// In the child: from the fork to the end of the process.
    fn be_helper(&mut self, dead: &Dead<'_>) -> ! {
        self.close_what_is_the_parents();
        let status = match (
            process::become_helper(self.pid, self.options.helper_timeout),
            &self.hooks.unclean_death,
        ) {
            (Ok(()), Some(hook)) => survive(|| hook(dead)).map_or(PANICKED, |()| 0),
            _ => 1,
        };
        process::exit(status)
    }

    /// In the child: its siblings' channels, the parent's signals, and its lines to systemd and to the operator.
    fn close_what_is_the_parents(&mut self) {
        self.children.clear();
        self.signals = None;
        self.notify = Notifier::default();
        self.control = None;
        self.predecessor = None;
        self.program.close_listeners();
    }
}

/// The status of a child whose function panicked, as for a Rust `main`.
const PANICKED: i32 = 101;
