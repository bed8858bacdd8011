//! The service half of an example: this program, started once more. Drop stops it, so that nothing is left behind.

use std::error::Error;
use std::io::{BufRead, BufReader, Lines};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::{env, io};

use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;

pub(crate) struct Service {
    parent: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Service {
    /// Starts this program with `args`.
    pub(crate) fn start(args: &[&str]) -> io::Result<Self> {
        let mut command = Command::new(env::current_exe()?);
        let mut parent = command.args(args).stdout(Stdio::piped()).spawn()?;
        let stdout = parent.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
        Ok(Self { parent, lines: BufReader::new(stdout).lines() })
    }

    /// Waits for a line that begins with `prefix` and returns the rest of it.
    pub(crate) fn line(&mut self, prefix: &str) -> io::Result<String> {
        for line in &mut self.lines {
            if let Some(rest) = line?.strip_prefix(prefix) {
                return Ok(rest.to_owned());
            }
        }
        Err(io::Error::other("the service has ended"))
    }

    /// Waits for a line that begins with `prefix` and returns the number after it.
    pub(crate) fn number(&mut self, prefix: &str) -> Result<i32, Box<dyn Error>> {
        Ok(self.line(prefix)?.parse()?)
    }

    /// Sends a signal to the parent of the workers.
    pub(crate) fn signal(&self, signal: Signal) -> Result<(), Box<dyn Error>> {
        kill(i32::try_from(self.parent.id())?, signal)
    }

    /// Sends a signal and waits for the end.
    pub(crate) fn stop(&mut self, signal: Signal) -> Result<ExitStatus, Box<dyn Error>> {
        self.signal(signal)?;
        Ok(self.parent.wait()?)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // The workers stop with their parent.
        if matches!(self.parent.try_wait(), Ok(None)) {
            let _ = self.stop(Signal::SIGTERM);
        }
    }
}

/// Sends a signal to a process.
pub(crate) fn kill(pid: i32, signal: Signal) -> Result<(), Box<dyn Error>> {
    Ok(signal::kill(Pid::from_raw(pid), signal)?)
}
