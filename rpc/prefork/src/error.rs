//! Errors that keep a supervisor from starting or going on.

use std::io;
use std::path::PathBuf;

use nix::errno::Errno;

use crate::supervisor::Exit;

/// Reason for which the parent could not start, or had to stop without being asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A listener could not be bound.
    #[error("cannot listen on {addr}: {}", explain(.source))]
    Bind {
        /// The address as it was given.
        addr: String,
        /// The system's error.
        source: io::Error,
    },
    /// The control socket could not be created.
    #[error("cannot create the control socket at {}: {}", .path.display(), explain_control(.source))]
    Control {
        /// The path as it was given.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// A socket that systemd passed cannot be used.
    #[error("cannot use a socket passed by systemd: {problem}")]
    Passed {
        /// The problem, and the remedy if there is one.
        problem: String,
    },
    /// The parent has threads. A forked child would have only one of them, and the locks that the others hold.
    #[error(
        "cannot fork: the parent has {0} threads; start threads and runtimes in the workers, not before `run`"
    )]
    Threads(usize),
    /// Worker after worker died before it was ready, and none has ever served.
    #[error("no worker becomes ready: the last one, worker {slot}, {exit}{}", quote(.last_words))]
    Boot {
        /// The slot that reached [`Options::boot_failures`](field@crate::Options::boot_failures).
        slot: u32,
        /// End of the last worker in it.
        exit: Exit,
        /// Message that it left with [`Worker::last_words`](crate::Worker::last_words), or that of its panic.
        last_words: Option<String>,
    },
    /// An option is out of range.
    #[error("option `{name}` {problem}")]
    Option {
        /// The field of [`Options`](crate::Options).
        name: &'static str,
        /// The problem.
        problem: &'static str,
    },
    /// A system call failed, and trying again would not help.
    #[error("cannot {doing}: {}", explain(.source))]
    System {
        /// The purpose of the call.
        doing: &'static str,
        /// The system's error.
        source: io::Error,
    },
}

/// Turns a failed call into an [`Error`] that names its purpose.
pub(crate) fn doing(doing: &'static str) -> impl Fn(Errno) -> Error {
    move |errno| Error::System { doing, source: errno.into() }
}

/// Explains an error of the system to an operator.
pub(crate) fn explain(error: &io::Error) -> String {
    error.raw_os_error().map_or_else(|| error.to_string(), |raw| explain_errno(Errno::from_raw(raw)))
}

/// Explains an error number to an operator. The symbol stays, because that is the word to search for.
pub(crate) fn explain_errno(errno: Errno) -> String {
    let remedy = match errno {
        Errno::EPERM => "not permitted; check the user this runs as",
        Errno::ENOENT => "no such file or directory",
        Errno::ESRCH => "no such process; it has exited already",
        Errno::EINTR => "interrupted by a signal",
        Errno::EIO => "input/output error of the device",
        Errno::ENXIO => "no such device or address",
        Errno::E2BIG => "arguments and environment are too long",
        Errno::ENOEXEC => "not a program that this system can run",
        Errno::EBADF => "a file descriptor was closed by other code in this process",
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

/// Explains the same numbers for a path, where the remedies differ from those for a port.
fn explain_control(source: &io::Error) -> String {
    let Some(errno) = source.raw_os_error().map(Errno::from_raw) else { return source.to_string() };
    let remedy = match errno {
        Errno::EADDRINUSE => {
            "another service answers there, or it is no socket; stop that one, remove the file or choose another path"
        }
        Errno::EACCES => "permission denied; this user may not create files in that directory",
        Errno::ENOENT => "no such directory",
        Errno::ENOTDIR => "a part of the path is not a directory",
        Errno::EROFS => "the file system is read-only",
        Errno::ENOSPC => "no space is left on the device",
        _ => return explain_errno(errno),
    };
    format!("{remedy} ({errno:?})")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_call_names_its_purpose_and_its_errno() {
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
