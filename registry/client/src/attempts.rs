//! Attempts to reach a server that are under way: at most one lookup of a name, openings of connections that race, and at most
//! one question for a server's mode.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::connect::{Connect, Connecting, Resolving, Stream};
use crate::session::AttemptId;

/// Address that is tried.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    /// Index of the server.
    pub(crate) server: usize,
    /// Address; the name of the server during its lookup.
    pub(crate) address: String,
}

/// End of an attempt.
pub(crate) enum AttemptEvent {
    LookedUp(Target, io::Result<Vec<String>>),
    Opened(AttemptId, Target, io::Result<Box<dyn Stream>>),
    /// The server is in read-write mode.
    ReadWrite(usize),
}

/// Question for a server's mode: true for read-write.
type Asking = Pin<Box<dyn Future<Output = io::Result<bool>> + Send>>;

/// Attempts under way. Dropping them gives them up.
#[derive(Default)]
pub(crate) struct Attempts {
    lookup: Option<(Target, Resolving<'static>)>,
    openings: Vec<Opening>,
    question: Option<(usize, Asking)>,
    /// Number of questions so far.
    asked: usize,
}

struct Opening {
    attempt: AttemptId,
    target: Target,
    connecting: Connecting<'static>,
}

impl Attempts {
    pub(crate) fn look_up(&mut self, target: Target, resolving: Resolving<'static>) {
        self.lookup = Some((target, resolving));
    }

    pub(crate) fn stop_look_up(&mut self) -> Option<Target> {
        self.lookup.take().map(|(target, _)| target)
    }

    pub(crate) fn open(&mut self, attempt: AttemptId, target: Target, connecting: Connecting<'static>) {
        self.openings.push(Opening { attempt, target, connecting });
    }

    pub(crate) fn give_up(&mut self, attempt: AttemptId) -> Option<Target> {
        let index = self.openings.iter().position(|opening| opening.attempt == attempt)?;
        Some(self.openings.remove(index).target)
    }

    /// Asks a server for its mode, at another address than the last time; drops an earlier question.
    pub(crate) fn ask_mode(&mut self, server: usize, name: String, connector: Arc<dyn Connect>) {
        self.question = Some((server, Box::pin(is_read_write(name, self.asked, connector))));
        self.asked = self.asked.wrapping_add(1);
    }

    /// Waits for the end of an attempt, for ever if there is none. Dropping the future loses nothing.
    pub(crate) async fn next(&mut self) -> AttemptEvent {
        poll_fn(|cx| {
            if let Some((_, resolving)) = &mut self.lookup
                && let Poll::Ready(result) = resolving.as_mut().poll(cx)
                && let Some((target, _)) = self.lookup.take()
            {
                return Poll::Ready(AttemptEvent::LookedUp(target, result));
            }
            for (index, opening) in self.openings.iter_mut().enumerate() {
                if let Poll::Ready(result) = opening.connecting.as_mut().poll(cx) {
                    let Opening { attempt, target, .. } = self.openings.remove(index);
                    return Poll::Ready(AttemptEvent::Opened(attempt, target, result));
                }
            }
            if let Some((server, asking)) = &mut self.question
                && let Poll::Ready(answer) = asking.as_mut().poll(cx)
            {
                let server = *server;
                self.question = None;
                if let Ok(true) = answer {
                    return Poll::Ready(AttemptEvent::ReadWrite(server));
                }
            }
            Poll::Pending
        })
        .await
    }
}

/// Asks a server with the word `isro`, which servers that may be read-only answer with their mode, at the address whose `turn` it
/// is: nobody may listen at another one.
async fn is_read_write(server: String, turn: usize, connector: Arc<dyn Connect>) -> io::Result<bool> {
    let mut addresses = connector.resolve(&server).await?;
    // A resolver may give them in another order each time.
    addresses.sort_unstable();
    let Some(address) = addresses.get(turn % addresses.len().max(1)) else { return Ok(false) };
    let mut stream = connector.connect(&server, address).await?;
    stream.write_all(b"isro").await?;
    stream.flush().await?;
    let mut answer = [0; 2];
    stream.read_exact(&mut answer).await?;
    Ok(&answer == b"rw")
}
