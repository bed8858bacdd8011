//! Circumstances of a call.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::time::Instant;

use crate::clock;

/// Circumstances of one call, for its handler.
#[derive(Clone, Copy, Debug)]
pub struct Context {
    pub(crate) deadline: Option<Instant>,
    pub(crate) peer: SocketAddr,
}

impl Context {
    /// Returns the time for which the caller will still wait: zero after the deadline, `None` if there is no deadline.
    ///
    /// Pass it on to services that the handler calls itself. The handler is dropped at its next `await` after the deadline,
    /// so only handlers that compute for long without an `await` need to check it.
    pub fn time_left(&self) -> Option<Duration> {
        self.deadline.map(|at| at.saturating_duration_since(clock::now()))
    }

    /// Returns the address of the client.
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }
}
