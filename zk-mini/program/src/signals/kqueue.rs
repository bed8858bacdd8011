//! Blocked signals on macOS: a queue of the kernel, which hears of them before they are held back.
//!
//! The queue does not tell who sent a signal. In the foreground of a terminal SIGINT and SIGQUIT are taken for keys.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};

use nix::libc::timespec;
use nix::sys::event::{EvFlags, EventFilter, FilterFlag, KEvent, Kqueue};
use nix::sys::signal::Signal;
use nix::unistd::{getpgrp, tcgetpgrp};
use tokio::io::unix::AsyncFd;

use super::{FORWARDED, Received};

#[derive(Debug)]
pub(super) struct Source {
    queue: AsyncFd<Queue>,
}

/// A queue that tells its number, by which the runtime waits for it.
#[derive(Debug)]
struct Queue(Kqueue);

impl Source {
    #[expect(deprecated, reason = "sound for a type that owns its descriptor; the new constructor is unsafe")]
    pub(super) fn new() -> io::Result<Self> {
        let queue = Kqueue::new()?;
        queue.kevent(&FORWARDED.map(|signal| event(signal as usize)), &mut [], Some(NOW))?;
        Ok(Self { queue: AsyncFd::new(Queue(queue))? })
    }

    pub(super) async fn next(&mut self) -> io::Result<Received> {
        loop {
            let mut ready = self.queue.readable().await?;
            // `None` means "would block": it clears the readiness.
            let taken = ready.try_io(|queue| queue.get_ref().take()?.ok_or(io::ErrorKind::WouldBlock.into()));
            let Ok(number) = taken else { continue };
            if let Some(received) = received(number?) {
                return Ok(received);
            }
        }
    }

    /// Takes the next signal, whether or not the runtime knows of it already.
    pub(super) fn take(&self) -> io::Result<Option<Received>> {
        Ok(self.queue.get_ref().take()?.and_then(received))
    }
}

fn received(number: usize) -> Option<Received> {
    let signal = i32::try_from(number).ok().and_then(|number| Signal::try_from(number).ok())?;
    Some(Received { signal, from_terminal: is_key(signal) && is_in_foreground() })
}

impl Queue {
    /// Returns the number of the next signal; several of one number count once, as blocked signals do.
    fn take(&self) -> io::Result<Option<usize>> {
        let mut events = [event(0)];
        let taken = self.0.kevent(&[], &mut events, Some(NOW))?;
        Ok((taken > 0).then(|| events[0].ident()))
    }
}

impl AsRawFd for Queue {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

const NOW: timespec = timespec { tv_sec: 0, tv_nsec: 0 };

fn event(signal: usize) -> KEvent {
    let flags = EvFlags::EV_ADD | EvFlags::EV_CLEAR;
    KEvent::new(signal, EventFilter::EVFILT_SIGNAL, flags, FilterFlag::empty(), 0, 0)
}

/// Returns true for the signals of Ctrl-C and Ctrl-\.
fn is_key(signal: Signal) -> bool {
    matches!(signal, Signal::SIGINT | Signal::SIGQUIT)
}

/// Returns true if the keys of the terminal reach this process, and so the command.
fn is_in_foreground() -> bool {
    File::open("/dev/tty").is_ok_and(|terminal| tcgetpgrp(terminal).is_ok_and(|group| group == getpgrp()))
}
