//! `--ready-fd`: a descriptor that the parent has passed on, and that is told once that the server is ready.

use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixStream;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{ControlMessage, MsgFlags, SockaddrStorage, getsockname, sendmsg};
use nix::unistd::close;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};

/// Reason why a descriptor cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("--ready-fd {number}: {why}")]
pub(crate) struct ReadyFdError {
    number: RawFd,
    why: Why,
}

#[derive(Debug, thiserror::Error)]
enum Why {
    #[error(
        "the descriptor is not open; the program that starts zk-mini passes it on, as a shell does with {0}>ready"
    )]
    NotOpen(RawFd),
    #[error("the descriptor is open for reading only; pass the end of the pipe that is written to")]
    ReadOnly,
    #[error("nobody reads from the pipe; keep the other end open until the line has come")]
    NoReader,
    #[error("the descriptor cannot be written to: {0}")]
    Other(io::Error),
}

/// A descriptor that is this program's now: processes that it starts do not get it.
#[derive(Debug)]
pub(crate) struct ReadyFd {
    file: File,
}

/// Number of bytes for which a pipe that can be written to has room, on every system.
const ROOM: usize = 512;

/// Parses a number; the standard streams have other uses, and are open always.
pub(crate) fn number(value: &str) -> Result<RawFd, &'static str> {
    let number = value.parse().ok().filter(|number| *number > 2);
    number.ok_or("the number of an open descriptor, 3 or more: 0 to 2 are standard input, output and error")
}

impl ReadyFd {
    /// Takes the descriptor over. To be called before the program opens anything, which could get this number.
    pub(crate) fn claim(number: RawFd) -> Result<Self, ReadyFdError> {
        take_over(number).map_err(|why| ReadyFdError { number, why })
    }

    /// Writes a line, and closes the descriptor. Never waits for a reader.
    pub(crate) fn write(mut self, line: &str) -> io::Result<()> {
        let line = format!("{line}\n");
        // Other processes may share the open pipe, so it is not made non-blocking.
        for part in line.as_bytes().chunks(ROOM) {
            if !events(&self.file, PollFlags::POLLOUT)?.contains(PollFlags::POLLOUT) {
                return Err(io::Error::new(io::ErrorKind::WouldBlock, "the pipe is full"));
            }
            self.file.write_all(part)?;
        }
        Ok(())
    }
}

fn take_over(number: RawFd) -> Result<ReadyFd, Why> {
    // Any other answer is one of an open descriptor. The sockets of the copy could get a number that is free.
    if let Err(Errno::EBADF) = getsockname::<SockaddrStorage>(number) {
        return Err(Why::NotOpen(number));
    }
    let file = File::from(copy(number).map_err(Why::Other)?);
    close(number).map_err(|errno| Why::Other(errno.into()))?;
    let flags = fcntl(&file, FcntlArg::F_GETFL).map_err(|errno| Why::Other(errno.into()))?;
    if OFlag::from_bits_retain(flags) & OFlag::O_ACCMODE == OFlag::O_RDONLY {
        return Err(Why::ReadOnly);
    }
    let is_fifo = file.metadata().map_err(Why::Other)?.file_type().is_fifo();
    let broken = PollFlags::POLLERR | PollFlags::POLLHUP;
    if is_fifo && events(&file, PollFlags::POLLOUT).map_err(Why::Other)?.intersects(broken) {
        return Err(Why::NoReader);
    }
    Ok(ReadyFd { file })
}

/// Makes another descriptor for what this one names. A number alone proves nothing, so safe code cannot turn it into a
/// `File`. The system passes on what it names, as to another process: here it is a message of this process to itself.
fn copy(number: RawFd) -> io::Result<OwnedFd> {
    let (near, far) = UnixStream::pair()?;
    let numbers = [number];
    let passed = [ControlMessage::ScmRights(&numbers)];
    sendmsg::<()>(near.as_raw_fd(), &[IoSlice::new(b"!")], &passed, MsgFlags::empty(), None)?;
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    recvmsg(&far, &mut [IoSliceMut::new(&mut byte)], &mut control, RecvFlags::empty())?;
    let copy = control.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut copies) => copies.next(),
        _ => None,
    });
    let copy = copy.ok_or_else(|| io::Error::other("the system has not passed it on"))?;
    fcntl(&copy, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
    Ok(copy)
}

/// Returns what is true of the descriptor now.
fn events(fd: impl AsFd, wanted: PollFlags) -> io::Result<PollFlags> {
    let mut polled = [PollFd::new(fd.as_fd(), wanted)];
    poll(&mut polled, PollTimeout::ZERO)?;
    Ok(polled[0].revents().unwrap_or(PollFlags::empty()))
}
