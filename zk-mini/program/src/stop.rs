//! The request to stop: SIGTERM; SIGHUP, as of a terminal that is closed; and SIGINT, as by Ctrl-C, or the end of standard input.

use std::future::pending;
use std::io;
#[cfg(not(target_os = "linux"))]
use std::process::Command;
use std::thread;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot::{Receiver, channel};

/// Receives SIGINT, SIGTERM and SIGHUP from its creation on.
pub(crate) struct Stop {
    interrupt: Signal,
    terminate: Signal,
    /// `None` if the process was started to ignore it, as by `nohup`.
    hangup: Option<Signal>,
    /// Ends with standard input.
    input: Option<Receiver<()>>,
}

impl Stop {
    pub(crate) fn new() -> io::Result<Self> {
        let (interrupt, terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        // To receive it is to ignore it no longer.
        let hangup = (!ignores_hangup()).then(|| signal(SignalKind::hangup())).transpose()?;
        Ok(Self { interrupt, terminate, hangup, input: None })
    }

    /// Takes the end of standard input for a request instead of SIGINT: Ctrl-C is for the parent, which may still need the
    /// server. What comes before the end is dropped.
    pub(crate) fn at_end_of_input(mut self) -> io::Result<Self> {
        let (ended, input) = channel();
        // Not a thread of the runtime, whose end would wait for this read.
        thread::Builder::new().name("stdin".into()).spawn(move || {
            // An input that cannot be read has ended.
            let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
            drop(ended);
        })?;
        self.input = Some(input);
        Ok(self)
    }

    /// Waits for one of them, and returns its name.
    pub(crate) async fn requested(&mut self) -> &'static str {
        let is_alone = self.input.is_none();
        let end_of_input = async {
            match &mut self.input {
                // The other end sends nothing: it is dropped.
                Some(input) => drop(input.await),
                None => pending().await,
            }
        };
        let hangup = async {
            match &mut self.hangup {
                Some(hangup) => hangup.recv().await,
                None => pending().await,
            }
        };
        tokio::select! {
            _ = self.interrupt.recv(), if is_alone => "SIGINT",
            _ = self.terminate.recv() => "SIGTERM",
            _ = hangup => "SIGHUP",
            () = end_of_input => "the end of standard input",
        }
    }
}

/// Returns true if this process ignores SIGHUP. If that cannot be found out, too: the signal then has its usual effect.
#[cfg(target_os = "linux")]
fn ignores_hangup() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|set| u64::from_str_radix(set.trim(), 16).ok());
    // Signal 1 is the first bit.
    ignored.is_none_or(|set| set & 1 != 0)
}

/// Returns true if this process ignores SIGHUP: so does a process that it starts, which then survives the signal.
#[cfg(not(target_os = "linux"))]
fn ignores_hangup() -> bool {
    let survivor = Command::new("/bin/sh").args(["-c", "kill -HUP $$"]).status();
    survivor.is_ok_and(|status| status.success())
}
