//! The tie where the kernel has none: a shell that waits for the end of a pipe, whose other end only zk-mini has.
//!
//! A command that ends at the very moment at which zk-mini is killed may leave its process id to another process, which is
//! killed then: ids are given again after thousands of others.

use std::io;
use std::process::Stdio;

use nix::unistd::getppid;
use tokio::io::AsyncWriteExt;
use tokio::process::{Child, ChildStdin, Command};

/// A line means that the command has ended; the end of the pipe without a line means that zk-mini has.
const SCRIPT: &str = r#"read -r line || kill -KILL "$1""#;

/// The shell's pipe.
pub(in crate::exec) struct Tie {
    pipe: ChildStdin,
    shell: Child,
}

impl Tie {
    /// Starts the shell. It inherits the blocked signals, so no key of the terminal ends it.
    pub(in crate::exec) fn new(command: &Child) -> io::Result<Self> {
        let id = command.id().ok_or(io::ErrorKind::NotFound)?.to_string();
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", SCRIPT, "zk-mini", &id]);
        let mut shell = shell.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let pipe = shell.stdin.take().ok_or(io::ErrorKind::BrokenPipe)?;
        Ok(Self { pipe, shell })
    }

    /// Unties the command, which has ended.
    pub(in crate::exec) async fn release(mut self) {
        // A shell that is gone kills nothing.
        if self.pipe.write_all(b"ended\n").await.is_ok() {
            let _ = self.shell.wait().await;
        }
    }
}

/// Returns false if the parent has died already.
#[cfg_attr(test, expect(dead_code, reason = "on Linux the tests need the other half only"))]
#[expect(clippy::unnecessary_wraps, reason = "it can fail on Linux")]
pub(in crate::exec) fn accept(parent: i32) -> io::Result<bool> {
    Ok(getppid().as_raw() == parent)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A command that runs until it is killed.
    fn sleeper() -> Child {
        Command::new("sleep").arg("600").kill_on_drop(true).spawn().unwrap()
    }

    #[tokio::test]
    async fn a_command_is_killed_when_the_pipe_ends_without_a_line() {
        let mut command = sleeper();
        let Tie { pipe, mut shell } = Tie::new(&command).unwrap();
        drop(pipe); // as at the end of zk-mini
        assert!(shell.wait().await.unwrap().success());
        assert!(!command.wait().await.unwrap().success());
    }

    #[tokio::test]
    async fn a_released_process_id_is_not_killed() {
        let mut command = sleeper();
        Tie::new(&command).unwrap().release().await;
        assert!(command.try_wait().unwrap().is_none());
    }
}
