//! The request to stop: SIGTERM, and SIGINT, as by Ctrl-C, or the end of standard input.

use std::future::pending;
use std::io;
use std::thread;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot::{Receiver, channel};

/// Receives SIGINT and SIGTERM from its creation on.
pub(crate) struct Stop {
    interrupt: Signal,
    terminate: Signal,
    /// Ends with standard input.
    input: Option<Receiver<()>>,
}

impl Stop {
    pub(crate) fn new() -> io::Result<Self> {
        let (interrupt, terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        Ok(Self { interrupt, terminate, input: None })
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
        tokio::select! {
            _ = self.interrupt.recv(), if is_alone => "SIGINT",
            _ = self.terminate.recv() => "SIGTERM",
            () = end_of_input => "the end of standard input",
        }
    }
}
