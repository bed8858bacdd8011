//! Signals as values, with where they come from: handlers could not tell.

use std::io;

use nix::libc::SI_KERNEL;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use tokio::io::unix::AsyncFd;

/// What a command is told about.
const PASSED_ON: [Signal; 6] =
    [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGQUIT, Signal::SIGUSR1, Signal::SIGUSR2];

/// The signals that are passed on, as they come. No handler is installed, so a child inherits what its grandparent
/// has set up: under `nohup` it ignores SIGHUP.
#[derive(Debug)]
pub(crate) struct Signals {
    fd: AsyncFd<SignalFd>,
}

/// A signal that came.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Received {
    pub(crate) signal: Signal,
    /// The kernel sent it to the whole process group: a key was pressed, or the terminal went away.
    pub(crate) from_terminal: bool,
}

impl Signals {
    /// Holds them back, in this thread, and in those threads and processes that it starts.
    pub(crate) fn block() -> io::Result<()> {
        Ok(set().thread_block()?)
    }

    /// Lets them through, those that have come already at once.
    pub(crate) fn unblock() -> io::Result<()> {
        Ok(set().thread_unblock()?)
    }

    /// Receives what is held back.
    #[expect(deprecated, reason = "sound for a type that owns its descriptor; the new constructor is unsafe")]
    pub(crate) fn receive() -> io::Result<Self> {
        let fd = SignalFd::with_flags(&set(), SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?;
        Ok(Self { fd: AsyncFd::new(fd)? })
    }

    /// The next one.
    pub(crate) async fn next(&mut self) -> io::Result<Received> {
        loop {
            let mut ready = self.fd.readable().await?;
            // `None` is "would block", which takes the readiness back.
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
    PASSED_ON.into_iter().collect()
}
