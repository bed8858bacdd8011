//! Attempts to reach a server that are under way: at most one lookup of each name, openings of connections that race, and at
//! most one question for a server's mode.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use common::Millis;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::connect::{Connect, Connecting, Resolving, Stream};
use crate::session::AttemptId;

/// Time after which a lookup is begun anew: as long as the system's resolver may take with several dead name servers.
const LONGEST_LOOKUP: Millis = Millis(30_000);

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
    /// At most one of each server.
    lookups: Vec<Lookup>,
    /// Server whose lookup is waited for. An answer to another one is kept for the next time.
    awaited: Option<usize>,
    openings: Vec<Opening>,
    question: Option<(usize, Asking)>,
    /// Number of questions so far.
    asked: usize,
}

struct Lookup {
    target: Target,
    begun: Millis,
    progress: Progress,
}

enum Progress {
    Resolving(Resolving<'static>),
    /// Addresses that came too late.
    Found(Vec<String>),
}

struct Opening {
    attempt: AttemptId,
    target: Target,
    connecting: Connecting<'static>,
}

impl Attempts {
    /// Waits for the addresses of a server. An earlier lookup that was too late is gone on with: a resolver that is always slow
    /// is heard, too.
    pub(crate) fn look_up(
        &mut self,
        now: Millis,
        target: Target,
        resolve: impl FnOnce() -> Resolving<'static>,
    ) {
        let server = target.server;
        self.awaited = Some(server);
        self.lookups.retain(|lookup| now.since(lookup.begun) < LONGEST_LOOKUP);
        if self.lookups.iter().all(|lookup| lookup.target.server != server) {
            self.lookups.push(Lookup { target, begun: now, progress: Progress::Resolving(resolve()) });
        }
    }

    /// Stops waiting for addresses; the lookup goes on. Returns its target.
    pub(crate) fn leave_look_up(&mut self) -> Option<Target> {
        let server = self.awaited.take()?;
        let target = self.lookups.iter().map(|lookup| &lookup.target).find(|target| target.server == server);
        target.cloned()
    }

    pub(crate) fn open(&mut self, attempt: AttemptId, target: Target, connecting: Connecting<'static>) {
        self.openings.push(Opening { attempt, target, connecting });
    }

    pub(crate) fn give_up(&mut self, attempt: AttemptId) -> Option<Target> {
        let index = self.openings.iter().position(|opening| opening.attempt == attempt)?;
        Some(self.openings.remove(index).target)
    }

    /// Gives up openings and questions, and waits for no lookup: there is a connection.
    pub(crate) fn connected(&mut self) {
        self.openings.clear();
        self.question = None;
        self.awaited = None;
    }

    /// Asks a server for its mode, at another address than the last time; drops an earlier question.
    pub(crate) fn ask_mode(&mut self, server: usize, name: String, connector: Arc<dyn Connect>) {
        self.question = Some((server, Box::pin(is_read_write(name, self.asked, connector))));
        self.asked = self.asked.wrapping_add(1);
    }

    /// Waits for the end of an attempt, for ever if there is none. Dropping the future loses nothing.
    pub(crate) async fn next(&mut self) -> AttemptEvent {
        poll_fn(|cx| {
            if let Poll::Ready((target, result)) = self.poll_lookups(cx) {
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

    /// Returns the end of the lookup that is waited for, and keeps the answers to others. What has failed too late is begun anew
    /// the next time.
    fn poll_lookups(&mut self, cx: &mut Context<'_>) -> Poll<(Target, io::Result<Vec<String>>)> {
        let mut index = 0;
        while let Some(Lookup { target, progress, .. }) = self.lookups.get_mut(index) {
            let result = match progress {
                Progress::Found(addresses) => Poll::Ready(Ok(std::mem::take(addresses))),
                Progress::Resolving(resolving) => resolving.as_mut().poll(cx),
            };
            match result {
                Poll::Ready(result) if self.awaited == Some(target.server) => {
                    self.awaited = None;
                    return Poll::Ready((self.lookups.remove(index).target, result));
                }
                Poll::Ready(Ok(addresses)) if !addresses.is_empty() => {
                    *progress = Progress::Found(addresses);
                    index += 1;
                }
                Poll::Ready(_) => drop(self.lookups.remove(index)),
                Poll::Pending => index += 1,
            }
        }
        Poll::Pending
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
