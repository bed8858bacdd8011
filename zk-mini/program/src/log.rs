//! The log: lines for standard error that can neither hold up nor end the program.
//!
//! A thread of its own writes them. Standard error may be a pipe that nobody reads any more, a full disk, or a pipe
//! whose reader has stopped reading: lines that it does not take are lost, nothing else is.

use std::collections::VecDeque;
use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{SigSet, SigmaskHow};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

/// Most lines that wait to be written; more are lost, and counted.
const MOST_WAITING: usize = 4096;

/// Longest time that the end of the program waits for the last lines.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// The lines that wait. Cloning it gives another handle to the same ones.
#[derive(Clone, Debug, Default)]
pub(crate) struct Log {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    /// There is a line to write, or the last one has been written.
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Waiting {
    lines: VecDeque<Vec<u8>>,
    lost: u64,
    /// The thread writes what it has taken.
    writing: bool,
}

impl Log {
    /// Starts the thread.
    pub(crate) fn start() -> io::Result<Self> {
        let log = Self::default();
        let lines = log.clone();
        // A signal that the thread took would not reach the code that waits for it.
        let before = SigSet::all().thread_swap_mask(SigmaskHow::SIG_SETMASK)?;
        let started =
            thread::Builder::new().name("log".into()).spawn(move || lines.write_to(&mut io::stderr()));
        before.thread_set_mask()?;
        started.map(|_| log)
    }

    /// Takes what the program reports through `tracing`: at `level`, or as `RUST_LOG` says.
    pub(crate) fn receive(&self, level: &str) {
        let wish = std::env::var("RUST_LOG").unwrap_or_default();
        // Set to nothing it would hide all but errors, which nobody means.
        let wish = Some(wish.trim()).filter(|wish| !wish.is_empty()).map(EnvFilter::try_new);
        let (filter, bad) = match wish {
            Some(Ok(filter)) => (filter, None),
            Some(Err(error)) => (EnvFilter::new(level), Some(error)),
            None => (EnvFilter::new(level), None),
        };
        tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(self.clone())
            .with_ansi(io::stderr().is_terminal())
            .log_internal_errors(false)
            .init();
        if let Some(error) = bad {
            tracing::warn!(%error, "RUST_LOG is not understood, and has no effect");
        }
    }

    /// Adds a line to those that wait.
    pub(crate) fn line(&self, line: &str) {
        self.push(format!("{line}\n").into_bytes());
    }

    /// Waits until everything is written, but not for long: nobody may be reading.
    pub(crate) fn finish(&self) {
        let has_more =
            |waiting: &mut Waiting| waiting.writing || !waiting.lines.is_empty() || waiting.lost > 0;
        let waited = self.shared.changed.wait_timeout_while(self.lock(), LAST_WORDS, has_more);
        drop(waited);
    }

    fn push(&self, line: Vec<u8>) {
        let mut waiting = self.lock();
        if waiting.lines.len() < MOST_WAITING {
            waiting.lines.push_back(line);
        } else {
            waiting.lost += 1;
        }
        drop(waiting);
        self.shared.changed.notify_all();
    }

    /// Writes lines as they come, for ever.
    fn write_to(&self, out: &mut impl Write) {
        loop {
            let mut waiting = self.lock();
            waiting.writing = false;
            self.shared.changed.notify_all();
            while waiting.lines.is_empty() && waiting.lost == 0 {
                waiting = self.shared.changed.wait(waiting).unwrap_or_else(PoisonError::into_inner);
            }
            waiting.writing = true;
            let lines = std::mem::take(&mut waiting.lines);
            let lost = std::mem::take(&mut waiting.lost);
            drop(waiting);
            // Whoever does not take them does without; there is nobody to tell.
            for line in &lines {
                let _ = out.write_all(line);
            }
            if lost > 0 {
                let _ =
                    writeln!(out, "zk-mini: {lost} lines of the log are lost: they were not read in time");
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.shared.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// Each write is a whole line.
impl Write for Log {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.push(line.to_vec());
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
