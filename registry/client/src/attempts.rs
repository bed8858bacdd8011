//! Attempts to reach a server that are under way: at most one lookup of a name, and openings of connections that race.

use std::future::poll_fn;
use std::io;
use std::task::Poll;

use crate::connect::{Connecting, Resolving, Stream};
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
}

/// Attempts under way. Dropping them gives them up.
#[derive(Default)]
pub(crate) struct Attempts {
    lookup: Option<(Target, Resolving<'static>)>,
    openings: Vec<Opening>,
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
            Poll::Pending
        })
        .await
    }
}
