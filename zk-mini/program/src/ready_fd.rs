//! `--ready-fd`: a descriptor that the parent has passed on, and that is told once that the server is ready.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::RawFd;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};

use nix::errno::Errno;
use nix::libc::{O_ACCMODE, O_NOCTTY, O_NONBLOCK, O_RDONLY};
use nix::sys::socket::{MsgFlags, send};
use nix::unistd::close;

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
pub(crate) enum ReadyFd {
    /// Opened once more, because a `File` made of a number is not safe; the number itself is closed.
    File(File),
    /// A socket cannot be opened again.
    Socket(RawFd),
}

/// Parses a number; the standard streams have other uses, and are open always.
pub(crate) fn number(value: &str) -> Result<RawFd, &'static str> {
    let number = value.parse().ok().filter(|number| *number > 2);
    number.ok_or("the number of an open descriptor, 3 or more: 0 to 2 are standard input, output and error")
}

impl ReadyFd {
    /// Takes the descriptor over. To be called before the program opens anything, which could get this number.
    pub(crate) fn claim(number: RawFd) -> Result<Self, ReadyFdError> {
        open_again(number).map_err(|why| ReadyFdError { number, why })
    }

    /// Writes a line, and closes the descriptor.
    pub(crate) fn write(self, line: &str) -> io::Result<()> {
        let line = format!("{line}\n");
        match self {
            Self::File(mut file) => file.write_all(line.as_bytes()),
            Self::Socket(number) => {
                let sent = send_all(number, line.as_bytes());
                close(number)?;
                sent
            }
        }
    }
}

fn open_again(number: RawFd) -> Result<ReadyFd, Why> {
    let path = format!("/proc/self/fd/{number}");
    let kind = match fs::metadata(&path) {
        Ok(metadata) => metadata.file_type(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(Why::NotOpen(number)),
        Err(error) => return Err(Why::Other(error)),
    };
    // A pipe that is opened again could be opened for writing at its reading end, too.
    if access_mode(number).map_err(Why::Other)? == O_RDONLY {
        return Err(Why::ReadOnly);
    }
    if kind.is_socket() {
        return Ok(ReadyFd::Socket(number));
    }
    // Without O_NONBLOCK, a pipe without a reader would make this wait for one.
    let opened = File::options().append(true).custom_flags(O_NONBLOCK | O_NOCTTY).open(&path);
    let file = opened.map_err(|error| match error.raw_os_error() {
        Some(errno) if kind.is_fifo() && errno == Errno::ENXIO as i32 => Why::NoReader,
        _ => Why::Other(error),
    })?;
    close(number).map_err(|errno| Why::Other(errno.into()))?;
    Ok(ReadyFd::File(file))
}

/// Returns how a descriptor was opened: for reading, writing or both.
fn access_mode(number: RawFd) -> io::Result<i32> {
    let info = fs::read_to_string(format!("/proc/self/fdinfo/{number}"))?;
    let flags = info.lines().find_map(|line| line.strip_prefix("flags:"));
    let flags = flags.and_then(|octal| i32::from_str_radix(octal.trim(), 8).ok());
    flags.map(|flags| flags & O_ACCMODE).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

fn send_all(socket: RawFd, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match send(socket, bytes, MsgFlags::MSG_NOSIGNAL) {
            Ok(sent) => bytes = &bytes[sent..],
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(())
}
