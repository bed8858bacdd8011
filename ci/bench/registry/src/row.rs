//! Ways that are compared.

use std::time::{Duration, SystemTime};

use anyhow::Context;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::timeout;

/// Maximum time that a subscriber may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// A way to follow a service.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Row {
    /// Our registry.
    Ours,
    /// Our registry, reading two formats.
    Formats,
    /// kazoo: `ChildrenWatch`, and a `get` for each new child with a watch on its data.
    Kazoo,
    /// The crate `zookeeper-client`, in the obvious way: list, then read one after the other; with watches again at
    /// each event.
    Obvious,
    /// Only the event that each subscriber gets: the lower limit.
    Bare,
}

impl Row {
    pub const ALL: [Self; 5] = [Self::Ours, Self::Formats, Self::Kazoo, Self::Obvious, Self::Bare];

    pub fn name(self) -> &'static str {
        match self {
            Self::Ours => "registry",
            Self::Formats => "registry, 2 formats",
            Self::Kazoo => "kazoo",
            Self::Obvious => "zookeeper-client",
            Self::Bare => "bare event",
        }
    }
}

/// Times at which subscribers saw a change.
pub struct Seen {
    at: UnboundedReceiver<SystemTime>,
    /// Values that have to live as long.
    _keep: Box<dyn std::any::Any>,
}

impl Seen {
    pub fn new(at: UnboundedReceiver<SystemTime>, keep: impl std::any::Any) -> Self {
        Self { at, _keep: Box::new(keep) }
    }

    pub async fn next(&mut self) -> anyhow::Result<SystemTime> {
        let seen = timeout(PATIENCE, self.at.recv()).await.context("a subscriber has not seen it")?;
        seen.context("the subscribers have ended")
    }
}
