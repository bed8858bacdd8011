//! The handle that follows the members of a service.

mod core;
mod driver;
mod options;

use std::sync::Arc;

use common::Millis;
use tokio::sync::watch;

use crate::error::Error;
use crate::members::Members;
use crate::node::ServiceNode;
use core::Core;
use driver::Driver;

pub use options::SubscribeOptions;

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
