//! Watching the members of a service: what the caller holds.

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

/// The members of a service, now and from now on. Clones share one watcher; dropping the last ends it.
///
/// An instance that cannot be read, or that is none yet and is not watched, is reported in [`Members::skipped`] and
/// read again: soon at first, every half a minute at last.
///
/// Nothing is queued: a subscriber that sleeps through ten changes awakes to the newest members, and
/// [`Members::diff`] tells what happened in between.
#[derive(Clone, Debug)]
pub struct Subscription {
    views: watch::Receiver<View>,
}

/// How to subscribe.
///
/// ```
/// use registry::SubscribeOptions;
///
/// let membership_only = SubscribeOptions { updates: false, ..SubscribeOptions::default() };
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SubscribeOptions {
    /// Whether to hear when an instance tells something new about itself; by default yes. It takes a watch for
    /// every instance and subscriber (measured with 10,000 instances: together on both sides about 1 KiB each, and
    /// a third more time to subscribe), and a second event when an instance goes. For thousands of instances that
    /// never change say no: then each is read once, when its name is new.
    pub updates: bool,
    /// How long the last members are held, marked stale, when all are gone; by default not at all. Against
    /// whoever empties a service by mistake.
    pub empty_after: Duration,
    /// How many instances are read at the same time; by default 128.
    pub reads: usize,
}

impl Default for SubscribeOptions {
    fn default() -> Self {
        Self { updates: true, empty_after: Duration::ZERO, reads: 128 }
    }
}

/// What the driver has reached.
#[derive(Clone, Debug, Default)]
pub(crate) struct View {
    pub(crate) members: Option<Arc<Members>>,
    /// Why the service cannot be listed.
    pub(crate) refused: Option<zk_client::Error>,
}

impl Subscription {
    /// Returns when the members are known.
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

    /// The members as they are known now.
    #[must_use]
    pub fn current(&self) -> Arc<Members> {
        self.views.borrow().members.clone().unwrap_or_default()
    }

    /// Waits for other members than at the last call (or at the subscription); `None` when the registry is closed
    /// and there will be no others. Dropping the future loses nothing.
    pub async fn changed(&mut self) -> Option<Arc<Members>> {
        self.views.changed().await.ok()?;
        Some(self.views.borrow_and_update().members.clone().unwrap_or_default())
    }
}
