//! A worker's side: what it is, what it tells the parent, how it hears that it should stop.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::read;

pub use crate::channel::MAX_NOTE;
use crate::channel::WorkerEnd;
use crate::process;
use crate::supervisor::Stop;

/// The handle that a worker function gets, in the child, right after the fork.
///
/// The signal mask is empty and every signal has its default action, but for `TERM`, `INT` and `QUIT`, which make
/// [`stop_fd`](Self::stop_fd) readable, `USR1`, which does so with [`usr1_fd`](Self::usr1_fd), and `ALRM`, which ends a
/// worker that does not leave after its parent was killed. `HUP` and `USR2` have a handler that does nothing, and `TSTP`,
/// `TTIN` and `TTOU` are ignored, also by programs that the worker starts: all of them are the parent's. A worker that
/// installs its own handlers takes that over.
///
/// In a single-threaded tokio runtime:
///
/// ```no_run
/// # fn worker(worker: rpc_prefork::Worker) -> std::io::Result<()> {
/// use tokio::io::{Interest, unix::AsyncFd};
///
/// let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
/// runtime.block_on(async {
///     let stop = AsyncFd::with_interest(worker.stop_fd(), Interest::READABLE)?;
///     worker.ready(b"")?;
///     let _ = stop.readable().await?;         // never cleared: once readable, always readable
///     println!("asked to leave: {:?}", worker.stop_requested());
///     Ok(())
/// })
/// # }
/// ```
#[derive(Debug)]
pub struct Worker {
    slot: u32,
    urgent: bool,
    channel: Arc<WorkerEnd>,
    stop: OwnedFd,
    usr1: OwnedFd,
}

impl Worker {
    pub(crate) fn new(
        slot: u32,
        urgent: bool,
        channel: Arc<WorkerEnd>,
        stop: OwnedFd,
        usr1: OwnedFd,
    ) -> Self {
        Self { slot, urgent, channel, stop, usr1 }
    }

    /// Which worker this is: 0 up to one less than the number of workers. The one that replaces another has its slot;
    /// in a rolling restart the other may still be on its way out.
    #[must_use]
    pub fn slot(&self) -> u32 {
        self.slot
    }

    /// Returns true if clients miss this worker: its place is empty in a service that has served. It should then come
    /// to serve with what it has, and get later what cannot be had now, such as a place in a registry that is away.
    ///
    /// Not so at the first start, where an error that somebody reads is better; nor for the successor of a worker that
    /// serves until then.
    #[must_use]
    pub fn is_urgent(&self) -> bool {
        self.urgent
    }

    /// Tells the parent that this worker serves, and leaves a note with it: bytes that mean nothing to the parent,
    /// at most [`MAX_NOTE`]. If the worker dies without saying goodbye, the hook
    /// [`on_unclean_death`](crate::Prefork::on_unclean_death) gets the last note. An empty note means there is
    /// nothing to clean up.
    ///
    /// # Errors
    /// The note is too long; the parent is gone (`BrokenPipe`); or it has not read for a long time (`WouldBlock`).
    pub fn ready(&self, note: &[u8]) -> io::Result<()> {
        Ok(self.channel.ready(note)?)
    }

    /// Replaces the note, for example because the worker has a new session, or nothing to clean up any more.
    ///
    /// # Errors
    /// As for [`ready`](Self::ready).
    pub fn set_note(&self, note: &[u8]) -> io::Result<()> {
        Ok(self.channel.note(note)?)
    }

    /// Tells the parent that this worker is alive. Never blocks; that the parent has not read for a long time is no
    /// error, it knows enough then.
    ///
    /// # Errors
    /// The parent is gone (`BrokenPipe`).
    pub fn heartbeat(&self) -> io::Result<()> {
        match self.channel.heartbeat() {
            Err(Errno::EAGAIN) => Ok(()),
            sent => Ok(sent?),
        }
    }

    /// Asks to be replaced, for example after so many requests or because memory has grown: the parent starts a
    /// successor, and when that is ready, this worker is asked to leave. One worker at a time.
    ///
    /// # Errors
    /// As for [`ready`](Self::ready).
    pub fn retire(&self) -> io::Result<()> {
        Ok(self.channel.tired()?)
    }

    /// Leaves a message for the operator, shown when this worker ends before it was ever ready and the parent
    /// therefore gives up. The message of a panic is left by itself.
    ///
    /// # Errors
    /// As for [`ready`](Self::ready), but for the length: what is too long is cut.
    pub fn last_words(&self, words: &str) -> io::Result<()> {
        Ok(self.channel.last_words(words)?)
    }

    /// A descriptor that becomes readable, and stays so, when the worker should leave. Wait on it with `poll` or a
    /// runtime and do not read from it; [`stop_requested`](Self::stop_requested) says how to leave.
    #[must_use]
    pub fn stop_fd(&self) -> BorrowedFd<'_> {
        self.stop.as_fd()
    }

    /// Whether and how the worker has been asked to leave. The most urgent request counts.
    #[must_use]
    pub fn stop_requested(&self) -> Option<Stop> {
        process::stop_requested()
    }

    /// A descriptor that becomes readable when `USR1` comes, which the parent passes on to all workers, for example to
    /// reopen logs; [`take_usr1`](Self::take_usr1), or reading from it (it is a pipe), makes it quiet again. A worker
    /// that does not look at it does not notice the signal.
    #[must_use]
    pub fn usr1_fd(&self) -> BorrowedFd<'_> {
        self.usr1.as_fd()
    }

    /// Whether `USR1` has come since the last time that this was asked. Never blocks.
    #[must_use]
    pub fn take_usr1(&self) -> bool {
        let (mut bytes, mut came) = ([0; 64], false);
        loop {
            match read(self.usr1.as_fd(), &mut bytes) {
                Err(Errno::EINTR) => {}
                Ok(1..) => came = true,
                _ => return came,
            }
        }
    }

    /// Blocks until the worker is asked to leave.
    pub fn wait_for_stop(&self) -> Stop {
        loop {
            if let Some(stop) = self.stop_requested() {
                return stop;
            }
            // Woken or interrupted: the loop looks again either way, and the descriptor stays readable.
            let _ = poll(&mut [PollFd::new(self.stop_fd(), PollFlags::POLLIN)], PollTimeout::NONE);
        }
    }
}
