//! The worker's side: its slot, its messages to the parent, and the requests to stop.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::read;
use rpc_metrics::Snapshot;

use crate::board::BoardWriter;
use crate::channel::WorkerEnd;
use crate::process;
use crate::supervisor::Stop;

/// Handle of a worker to its parent and to the requests to stop. The worker function gets it in the child, right after the
/// fork.
///
/// The signal mask is empty, and most signals have their default action. The exceptions:
///
/// - `TERM`, `INT` and `QUIT` make [`stop_fd`](Self::stop_fd) readable.
/// - `USR1` makes [`usr1_fd`](Self::usr1_fd) readable.
/// - `ALRM` kills a worker that does not exit in time after its parent was killed.
/// - `HUP` and `USR2` have a handler that does nothing: they are meant for the parent.
/// - `TSTP`, `TTIN` and `TTOU` are ignored, also by programs that the worker starts.
///
/// A worker that installs handlers of its own takes over the duty of these.
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
///     let _ = stop.readable().await?;         // never cleared: it stays readable
///     println!("asked to stop: {:?}", worker.stop_requested());
///     Ok(())
/// })
/// # }
/// ```
#[derive(Debug)]
pub struct Worker {
    slot: u32,
    urgent: bool,
    channel: Arc<WorkerEnd>,
    board: Option<BoardWriter>,
    stop: OwnedFd,
    usr1: OwnedFd,
}

impl Worker {
    pub(crate) fn new(
        slot: u32,
        urgent: bool,
        channel: Arc<WorkerEnd>,
        board: Option<BoardWriter>,
        stop: OwnedFd,
        usr1: OwnedFd,
    ) -> Self {
        Self { slot, urgent, channel, board, stop, usr1 }
    }

    /// Returns the worker's number: 0 up to one less than the number of workers. A replacement has the slot of the worker
    /// that it replaces; in a rolling restart that one may still be stopping.
    #[must_use]
    pub fn slot(&self) -> u32 {
        self.slot
    }

    /// Returns true if clients miss this worker, because its slot is empty in a service that has served. It should then
    /// serve as soon as it can and do later what is not possible now, such as registering with a registry that is away.
    ///
    /// Returns false at the first start, where an error that an operator reads is better, and for the successor of a worker
    /// that still serves.
    #[must_use]
    pub fn is_urgent(&self) -> bool {
        self.urgent
    }

    /// Tells the parent that this worker serves, and leaves a note with it: at most [`MAX_NOTE`](crate::MAX_NOTE) bytes of
    /// any content. If the worker dies uncleanly, the hook [`on_unclean_death`](crate::Prefork::on_unclean_death) gets its
    /// last note. An empty note means that there is nothing to clean up.
    ///
    /// # Errors
    /// The note is too long, the parent is gone (`BrokenPipe`), or it has not read for a long time (`WouldBlock`).
    pub fn ready(&self, note: &[u8]) -> io::Result<()> {
        Ok(self.channel.ready(note)?)
    }

    /// Replaces the note, for example because the worker has a new session or nothing to clean up any more.
    ///
    /// # Errors
    /// Fails as [`ready`](Self::ready) does.
    pub fn set_note(&self, note: &[u8]) -> io::Result<()> {
        Ok(self.channel.note(note)?)
    }

    /// Tells the parent that this worker is alive. It never blocks. A parent that has not read for a long time is no error:
    /// earlier messages still wait for it.
    ///
    /// # Errors
    /// The parent is gone (`BrokenPipe`).
    pub fn heartbeat(&self) -> io::Result<()> {
        match self.channel.heartbeat() {
            Err(Errno::EAGAIN) => Ok(()),
            sent => Ok(sent?),
        }
    }

    /// Asks to be replaced, for example after a number of requests: the parent starts a successor, and asks this worker to
    /// stop when that is ready. Workers are replaced one at a time.
    ///
    /// # Errors
    /// Fails as [`ready`](Self::ready) does.
    pub fn retire(&self) -> io::Result<()> {
        Ok(self.channel.retire()?)
    }

    /// Returns true if the parent has a status port, on which it shows the sum of what workers [post](Self::post).
    #[must_use]
    pub fn posts_metrics(&self) -> bool {
        self.board.is_some()
    }

    /// Replaces the metrics that this worker has shown to the parent, which adds them to those of the other workers.
    ///
    /// Post what has been counted since the start of the worker, every second or so and before the exit: the parent keeps
    /// the last counts of workers that have ended. It is not woken. Has no effect without a
    /// [status port](crate::Prefork::status).
    ///
    /// # Errors
    /// The metrics are over 1 MiB, or the system has no memory for them.
    pub fn post(&self, metrics: &Snapshot) -> io::Result<()> {
        self.board.as_ref().map_or(Ok(()), |board| board.write(&metrics.to_bytes()))
    }

    /// Leaves a message for the operator. The parent shows it if this worker dies before it is ready and the service is
    /// given up for that. The message of a panic is left automatically.
    ///
    /// # Errors
    /// Fails as [`ready`](Self::ready) does, but a long message is cut instead of refused.
    pub fn last_words(&self, words: &str) -> io::Result<()> {
        Ok(self.channel.last_words(words)?)
    }

    /// Returns a descriptor that becomes readable, and stays so, when the worker is asked to stop. Wait on it with `poll` or
    /// a runtime, and do not read from it; [`stop_requested`](Self::stop_requested) returns the request.
    #[must_use]
    pub fn stop_fd(&self) -> BorrowedFd<'_> {
        self.stop.as_fd()
    }

    /// Returns the most urgent request to stop so far, if there was one.
    #[must_use]
    pub fn stop_requested(&self) -> Option<Stop> {
        process::stop_requested()
    }

    /// Returns a descriptor that becomes readable on `USR1`, which the parent passes on to all workers, for example to
    /// reopen logs. It is a pipe: [`take_usr1`](Self::take_usr1) or a read empties it. A worker that ignores the descriptor
    /// does not notice the signal.
    #[must_use]
    pub fn usr1_fd(&self) -> BorrowedFd<'_> {
        self.usr1.as_fd()
    }

    /// Returns true if `USR1` has come since the last call. It never blocks.
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

    /// Blocks until the worker is asked to stop.
    pub fn wait_for_stop(&self) -> Stop {
        loop {
            if let Some(stop) = self.stop_requested() {
                return stop;
            }
            // Woken or interrupted: the loop checks again either way, and the descriptor stays readable.
            let _ = poll(&mut [PollFd::new(self.stop_fd(), PollFlags::POLLIN)], PollTimeout::NONE);
        }
    }
}
