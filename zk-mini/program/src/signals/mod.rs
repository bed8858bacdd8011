//! Signals as values with their origin, which a handler could not see.

#[cfg(target_os = "linux")]
#[path = "signalfd.rs"]
mod source;
#[cfg(not(target_os = "linux"))]
#[path = "kqueue.rs"]
mod source;

use std::io;

use nix::sys::signal::{SigSet, Signal, raise};

use source::Source;

/// Signals that are forwarded to the command.
const FORWARDED: [Signal; 6] =
    [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGQUIT, Signal::SIGUSR1, Signal::SIGUSR2];

/// Receives the signals to forward. No handler is installed, so the command inherits the dispositions that zk-mini was
/// started with: under `nohup` it ignores SIGHUP.
#[derive(Debug)]
pub(crate) struct Signals {
    source: Source,
}

/// A signal that has arrived.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Received {
    pub(crate) signal: Signal,
    /// True if the system sent it to the whole process group: a key was pressed, or the terminal was closed.
    pub(crate) from_terminal: bool,
}

impl Signals {
    /// Blocks them in this thread, and in the threads and processes that it starts.
    pub(crate) fn block() -> io::Result<()> {
        Ok(set().thread_block()?)
    }

    /// Unblocks them; pending ones are delivered at once.
    pub(crate) fn unblock() -> io::Result<()> {
        Ok(set().thread_unblock()?)
    }

    /// Starts to receive the blocked signals.
    pub(crate) fn receive() -> io::Result<Self> {
        Ok(Self { source: Source::new()? })
    }

    /// Waits for the next signal.
    pub(crate) async fn next(&mut self) -> io::Result<Received> {
        self.source.next().await
    }

    /// Takes the next signal, if there is one.
    pub(crate) fn take(&self) -> io::Result<Option<Received>> {
        self.source.take()
    }

    /// Lets a signal that was received do what it does without this: it ends the process, unless that was started to ignore it.
    pub(crate) fn deliver(signal: Signal) -> io::Result<()> {
        let alone = SigSet::from(signal);
        alone.thread_unblock()?;
        let raised = raise(signal);
        alone.thread_block()?;
        Ok(raised?)
    }
}

fn set() -> SigSet {
    FORWARDED.into_iter().collect()
}
