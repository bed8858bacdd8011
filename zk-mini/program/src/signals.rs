//! Signals as values with their origin, which a handler could not see.

use std::io;

use nix::libc::SI_KERNEL;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use tokio::io::unix::AsyncFd;

/// Signals that are forwarded to the command.
const FORWARDED: [Signal; 6] =
    [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGQUIT, Signal::SIGUSR1, Signal::SIGUSR2];

/// Receives the signals to forward. No handler is installed, so the command inherits the dispositions that zk-mini was
/// started with: under `nohup` it ignores SIGHUP.
#[derive(Debug)]
pub(crate) struct Signals {
    fd: AsyncFd<SignalFd>,
}

/// A signal that has arrived.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Received {
    pub(crate) signal: Signal,
    /// True if the kernel sent it to the whole process group: a key was pressed, or the terminal was closed.
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
    #[expect(deprecated, reason = "sound for a type that owns its descriptor; the new constructor is unsafe")]
    pub(crate) fn receive() -> io::Result<Self> {
        let fd = SignalFd::with_flags(&set(), SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?;
        Ok(Self { fd: AsyncFd::new(fd)? })
    }

    /// Waits for the next signal.
    pub(crate) async fn next(&mut self) -> io::Result<Received> {
        loop {
            let mut ready = self.fd.readable().await?;
            // `None` means "would block": it clears the readiness.
            let read = ready.try_io(|fd| fd.get_ref().read_signal()?.ok_or(io::ErrorKind::WouldBlock.into()));
            let Ok(info) = read else { continue };
            let info = info?;
            let signal = i32::try_from(info.ssi_signo).ok().and_then(|number| Signal::try_from(number).ok());
            if let Some(signal) = signal {
                return Ok(Received { signal, from_terminal: info.ssi_code == SI_KERNEL });
            }
        }
    }
}

fn set() -> SigSet {
    FORWARDED.into_iter().collect()
}
