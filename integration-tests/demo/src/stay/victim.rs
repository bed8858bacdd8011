//! The killing of a worker, and of no other process.

use std::fs;

use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// Reason why a worker is not killed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Spared {
    /// It has ended already.
    Gone,
    /// The id is that of another process.
    Stranger,
    Refused(Errno),
}

/// Sends SIGKILL to the child `worker` of `parent`, a server of ours that has not been reaped.
pub(super) fn kill(worker: u32, parent: u32) -> Result<(), Spared> {
    let pid = i32::try_from(worker).ok().and_then(Pid::from_raw).ok_or(Spared::Gone)?;
    let failed = |errno| if errno == Errno::SRCH { Spared::Gone } else { Spared::Refused(errno) };
    // The descriptor stands for the process that has the id now. If that is our worker, the signal can hit nobody else,
    // even if the worker ends and its id is given away before the signal is sent.
    let process = pidfd_open(pid, PidfdFlags::empty()).map_err(failed)?;
    match parent_of(worker) {
        None => Err(Spared::Gone),
        Some(found) if found != parent => Err(Spared::Stranger),
        Some(_) => pidfd_send_signal(process, Signal::KILL).map_err(failed),
    }
}

/// Returns the parent of a process. The name in front of it may contain anything, also parentheses.
fn parent_of(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::{Command, id};

    use super::*;

    #[test]
    fn only_a_child_of_the_named_parent_is_killed() {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        assert_eq!(kill(child.id(), child.id()), Err(Spared::Stranger));
        assert_eq!(child.try_wait().unwrap(), None, "it lives");
        assert_eq!(kill(id(), id()), Err(Spared::Stranger));
        assert_eq!(kill(child.id(), id()), Ok(()));
        assert_eq!(child.wait().unwrap().signal(), Some(9));
        assert_eq!(kill(child.id(), id()), Err(Spared::Gone), "it has been reaped");
        assert_eq!(kill(0, id()), Err(Spared::Gone));
        assert_eq!(kill(u32::MAX, id()), Err(Spared::Gone));
    }
}
