//! The log on standard error. It can neither block nor end the program.
//!
//! A thread of its own writes the lines. Standard error may be a closed pipe, a full disk, or a pipe whose reader has
//! stopped reading: then lines are lost, nothing else.

use std::collections::VecDeque;
use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{SigSet, SigmaskHow};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Maximum number of lines that wait to be written; further ones are dropped and counted.
const MAX_WAITING: usize = 4096;

/// Maximum time that the end of the program waits for the last lines.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Handle to the log; clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Log {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    /// Notified of each line to write, and when the last one has been written.
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Waiting {
    lines: VecDeque<Vec<u8>>,
    lost: u64,
    /// True while the thread writes lines that it has taken.
    writing: bool,
}

impl Log {
    /// Starts the thread.
    pub(crate) fn start() -> io::Result<Self> {
        let log = Self::default();
        let lines = log.clone();
        // All signals are blocked in the thread: one delivered there would not reach the code that waits for it.
        let before = SigSet::all().thread_swap_mask(SigmaskHow::SIG_SETMASK)?;
        let started =
            thread::Builder::new().name("log".into()).spawn(move || lines.write_to(&mut io::stderr()));
        before.thread_set_mask()?;
        started.map(|_| log)
    }

    /// Subscribes to the program's `tracing` events: those of `level`, or of the filter in `RUST_LOG`.
    pub(crate) fn receive(&self, level: LevelFilter) {
        let wish = std::env::var("RUST_LOG").unwrap_or_default();
        // An empty filter would show nothing; an empty variable is meant as an unset one.
        let wish = Some(wish.trim()).filter(|wish| !wish.is_empty()).map(str::parse::<Targets>);
        let by_default = || Targets::new().with_default(level);
        let (filter, bad) = match wish {
            Some(Ok(filter)) => (filter, None),
            Some(Err(error)) => (by_default(), Some(error)),
            None => (by_default(), None),
        };
        let lines = tracing_subscriber::fmt::layer()
            .with_writer(self.clone())
            .with_ansi(io::stderr().is_terminal())
            .log_internal_errors(false);
        tracing_subscriber::registry().with(lines).with(filter).init();
        if let Some(error) = bad {
            tracing::warn!(%error, "RUST_LOG is not a valid filter and is ignored");
        }
    }

    /// Queues a line.
    pub(crate) fn line(&self, line: &str) {
        self.push(format!("{line}\n").into_bytes());
    }

    /// Waits until everything is written, for a second at most: the reader may have stopped.
    pub(crate) fn finish(&self) {
        let has_more =
            |waiting: &mut Waiting| waiting.writing || !waiting.lines.is_empty() || waiting.lost > 0;
        let waited = self.shared.changed.wait_timeout_while(self.lock(), LAST_WORDS, has_more);
        drop(waited);
    }

    fn push(&self, line: Vec<u8>) {
        let mut waiting = self.lock();
        if waiting.lines.len() < MAX_WAITING {
            waiting.lines.push_back(line);
        } else {
            waiting.lost += 1;
        }
        drop(waiting);
        self.shared.changed.notify_all();
    }

    /// Writes lines as they come; never returns.
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
            // A failed write cannot be reported anywhere.
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

/// Takes each write as one whole line, as the formatter of `tracing-subscriber` makes them.
impl Write for Log {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.push(line.to_vec());
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
