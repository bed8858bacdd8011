//! The handle that follows the members of a service.

mod core;
mod driver;

use std::sync::Arc;
use std::time::Duration;

use common::Millis;
use tokio::sync::watch;

use crate::error::Error;
use crate::members::Members;
use crate::node::ServiceNode;
use core::Core;
use driver::Driver;

/// Follows the members of a service. Clones share one background task; dropping the last clone ends it.
///
/// Changes are not queued: a subscriber that misses ten changes sees the newest members next, and [`Members::diff`] gives
/// the changes since its last view.
///
/// A node that cannot be read, or that is no instance and is not watched, is reported in [`Members::skipped`] and read
/// again after pauses that grow to half a minute.
#[derive(Clone, Debug)]
pub struct Subscription {
    views: watch::Receiver<View>,
}

/// Options of a [`Subscription`]; each setter has its default.
///
/// ```
/// use registry::SubscribeOptions;
///
/// let membership_only = SubscribeOptions::default().updates(false);
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SubscribeOptions {
    updates: bool,
    empty_after: Duration,
    reads: usize,
}

impl Default for SubscribeOptions {
    fn default() -> Self {
        Self { updates: true, empty_after: Duration::ZERO, reads: 128 }
    }
}

impl SubscribeOptions {
    /// Reports new data of known instances. Default: true.
    ///
    /// It takes a watch for every instance and subscriber (measured with 10,000 instances: about 1 KiB each on both sides
    /// together, and a third more time to subscribe), and a second event for each instance that goes. With false, each
    /// instance is read once, when its name is new: for thousands of instances that never change.
    #[must_use]
    pub fn updates(mut self, updates: bool) -> Self {
        self.updates = updates;
        self
    }

    /// Holds the last members, marked stale, for this time after all are gone: a safeguard against a service that is
    /// emptied by mistake. Default: zero, they are not held.
    #[must_use]
    pub fn empty_after(mut self, time: Duration) -> Self {
        self.empty_after = time;
        self
    }

    /// Limits the number of instances that are read at the same time. Default: 128.
    #[must_use]
    pub fn reads(mut self, reads: usize) -> Self {
        self.reads = reads;
        self
    }
}

/// Progress of the driver.
#[derive(Clone, Debug, Default)]
pub(crate) struct View {
    pub(crate) members: Option<Arc<Members>>,
    /// Error of the last list, if the servers refused it.
    pub(crate) refused: Option<zk_client::Error>,
}

impl Subscription {
    /// Starts the task. Returns when the members are known.
    pub(crate) async fn start(
        node: ServiceNode,
        options: SubscribeOptions,
        seed: u64,
    ) -> Result<Self, Error> {
        let service = node.service.clone();
        let (sender, mut views) = watch::channel(View::default());
        let core = Core::new(seed, options.reads, options.updates, Millis::from(options.empty_after));
        tokio::spawn(Driver::new(node, core, options.updates).run(sender));
        let view = views.wait_for(|view| view.members.is_some() || view.refused.is_some()).await;
        let view = view.map_err(|_| Error::Closed)?.clone();
        match (view.members, view.refused) {
            (None, Some(source)) => {
                Err(Error::Refused { action: "subscribe to", service: service.to_string(), source })
            }
            _ => Ok(Self { views }),
        }
    }

    /// Returns the last known members.
    #[must_use]
    pub fn current(&self) -> Arc<Members> {
        self.views.borrow().members.clone().unwrap_or_default()
    }

    /// Waits for other members than at the last call, or than at the subscription, and returns them; `None` when the
    /// registry is closed. Dropping the future loses nothing.
    pub async fn changed(&mut self) -> Option<Arc<Members>> {
        self.views.changed().await.ok()?;
        Some(self.views.borrow_and_update().members.clone().unwrap_or_default())
    }
}
