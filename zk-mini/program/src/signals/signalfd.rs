//! Blocked signals on Linux: a descriptor that can be read.

use std::io;

use nix::libc::SI_KERNEL;
use nix::sys::signal::Signal;
use nix::sys::signalfd::{SfdFlags, SignalFd, siginfo};
use tokio::io::unix::AsyncFd;

use super::{Received, set};

#[derive(Debug)]
pub(super) struct Source {
    fd: AsyncFd<SignalFd>,
}

impl Source {
    #[expect(deprecated, reason = "sound for a type that owns its descriptor; the new constructor is unsafe")]
    pub(super) fn new() -> io::Result<Self> {
        let fd = SignalFd::with_flags(&set(), SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?;
        Ok(Self { fd: AsyncFd::new(fd)? })
    }

    pub(super) async fn next(&mut self) -> io::Result<Received> {
        loop {
            let mut ready = self.fd.readable().await?;
            // `None` means "would block": it clears the readiness.
            let read = ready.try_io(|fd| fd.get_ref().read_signal()?.ok_or(io::ErrorKind::WouldBlock.into()));
            let Ok(info) = read else { continue };
            if let Some(received) = received(&info?) {
                return Ok(received);
            }
        }
    }

    /// Takes the next signal, whether or not the runtime knows of it already.
    pub(super) fn take(&self) -> io::Result<Option<Received>> {
        Ok(self.fd.get_ref().read_signal()?.as_ref().and_then(received))
    }
}

fn received(info: &siginfo) -> Option<Received> {
    let signal = i32::try_from(info.ssi_signo).ok().and_then(|number| Signal::try_from(number).ok())?;
    Some(Received { signal, from_terminal: info.ssi_code == SI_KERNEL })
}
