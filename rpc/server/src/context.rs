//! What a handler knows about its call besides the argument.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::time::Instant;

use crate::clock;

/// The circumstances of one call.
#[derive(Clone, Copy, Debug)]
pub struct Context {
    pub(crate) deadline: Option<Instant>,
    pub(crate) peer: SocketAddr,
}

impl Context {
    /// How long the caller will still wait: what a handler passes on to the services that it calls itself.
    /// `None` if the caller set no deadline; zero if it is over.
    ///
    /// When the time is over the handler is dropped at its next `await`; only one that computes for long
    /// without an `await` needs to look here.
    pub fn time_left(&self) -> Option<Duration> {
        self.deadline.map(|at| at.saturating_duration_since(clock::now()))
    }

    /// The address that the call came from.
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }
}
