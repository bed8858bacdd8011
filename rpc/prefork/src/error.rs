//! What can keep a supervisor from starting or going on.

use std::io;
use std::path::PathBuf;

use nix::errno::Errno;

use crate::Exit;

/// Why the parent could not start, or had to stop without being asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A listener could not be bound.
    #[error("cannot listen on {addr}: {}", explain_bind(.source))]
    Bind {
        /// The address as it was asked for.
        addr: String,
        /// The system's error.
        source: io::Error,
    },
    /// The control socket could not be made.
    #[error("cannot put the control socket at {}: {}", .path.display(), explain_control(.source))]
    Control {
        /// The path as it was asked for.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// A socket that systemd passed cannot be used.
    #[error("cannot use a socket passed by systemd: {problem}")]
    Passed {
        /// What is wrong with it.
        problem: String,
    },
    /// The parent has threads, and a forked child would have only one of them, with the locks of all.
    #[error(
        "cannot fork: the parent has {0} threads; start threads and runtimes in the workers, not before `run`"
    )]
    Threads(usize),
    /// Worker after worker ended before it was ready, and none served.
    #[error("no worker becomes ready: the last one, worker {slot}, {exit}{}", quote(.last_words))]
    Boot {
        /// The slot that reached [`Options::boot_failures`](crate::Options::boot_failures).
        slot: u32,
        /// How the last worker in it ended.
        exit: Exit,
        /// What it said with [`Worker::last_words`](crate::Worker::last_words), or the message of its panic.
        last_words: Option<String>,
    },
    /// An option has no meaning.
    #[error("option `{name}` {problem}")]
    Option {
        /// The field of [`Options`](crate::Options).
        name: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A system call failed in a way that leaves nothing to retry.
    #[error("cannot {doing}: {}", describe(*.errno))]
    System {
        /// What was being done.
        doing: &'static str,
        /// The system's error.
        errno: Errno,
    },
}

/// Turns a failed call into an [`Error`] that says what was being done.
pub(crate) fn doing(doing: &'static str) -> impl Fn(Errno) -> Error {
    move |errno| Error::System { doing, errno }
}

/// What an operator should make of an error number; the symbol stays, because that is what one searches for.
pub(crate) fn describe(errno: Errno) -> String {
    let remedy = match errno {
        Errno::EPERM => "not permitted; check the user this runs as",
        Errno::ENOENT => "no such file or directory",
        Errno::ESRCH => "no such process; it has gone already",
        Errno::EINTR => "interrupted by a signal",
        Errno::EIO => "input/output error of the device",
        Errno::ENXIO => "no such device or address",
        Errno::E2BIG => "arguments and environment are too long",
        Errno::ENOEXEC => "not a program that this system can run",
        Errno::EBADF => "a file descriptor was closed by somebody else",
        Errno::ECHILD => "no child is left to wait for",
        Errno::EAGAIN => "no resources left for now; check the limit of processes (ulimit -u, pids.max)",
        Errno::ENOMEM => "out of memory",
        Errno::EADDRINUSE => "the address is in use; stop the process that has it or choose another port",
        Errno::EADDRNOTAVAIL => "no interface of this machine has that address",
        Errno::EACCES => "permission denied; ports below 1024 need a privilege",
        Errno::EMFILE => "this process has too many open files; raise its limit (ulimit -n)",
        Errno::ENFILE => "the system has too many open files",
        other => other.desc(),
    };
    format!("{remedy} ({errno:?})")
}

fn quote(words: &Option<String>) -> String {
    words.as_ref().map_or_else(|| "; its own output may say why".into(), |words| format!(": {words}"))
}

fn explain_bind(source: &io::Error) -> String {
    source.raw_os_error().map_or_else(|| source.to_string(), |raw| describe(Errno::from_raw(raw)))
}

/// The same numbers as for a port, but other remedies.
fn explain_control(source: &io::Error) -> String {
    let Some(errno) = source.raw_os_error().map(Errno::from_raw) else { return source.to_string() };
    let remedy = match errno {
        Errno::EADDRINUSE => {
            "another service answers there, or it is no socket; stop that one, remove the file or choose another path"
        }
        Errno::EACCES => "permission denied; this user may make no files in that directory",
        Errno::ENOENT => "no such directory",
        Errno::ENOTDIR => "a part of the path is no directory",
        Errno::EROFS => "the file system cannot be written",
        Errno::ENOSPC => "no space is left on the device",
        _ => return describe(errno),
    };
    format!("{remedy} ({errno:?})")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_errno_that_a_user_can_meet_says_what_was_being_done_and_names_itself() {
        use Errno::*;
        for errno in [
            EPERM, ENOENT, ESRCH, EINTR, EIO, ENXIO, E2BIG, ENOEXEC, EBADF, ECHILD, EAGAIN, EADDRINUSE,
            EMFILE,
        ] {
            let message = doing("fork worker 3")(errno).to_string();
            assert!(message.starts_with("cannot fork worker 3: "), "{message}");
            assert!(message.ends_with(&format!("({errno:?})")), "{message}");
        }
    }
}
