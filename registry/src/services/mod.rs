//! The handle that follows the names of the services.

mod core;
mod driver;

use std::sync::Arc;

use common::Clock;
use tokio::sync::watch;

use crate::error::Error;
use crate::node::ServiceNode;
use driver::{Driver, View};

pub use core::ServiceNames;

/// Follows the names of the services: the children of the node below which services are registered. Clones share one
/// background task; dropping the last clone ends it.
///
/// The node need not exist: its creation is waited for with a watch. ZooKeeper's own node is no service. A service without
/// instances stays, in the formats that keep its node. A service whose name has a slash is a node further down: its first part
/// is listed.
///
/// ```
#[cfg_attr(not(feature = "embedded"), doc = "# #[cfg(any())]")]
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), registry::Error> {
/// use registry::{Instance, Registry};
///
/// let registry = Registry::embedded().await?;
/// let mut services = registry.services().await?;
/// assert!(services.current().names.is_empty());
/// let _registration = registry.register("echo", Instance::new("127.0.0.1", 8080)).await?;
/// let services = services.changed().await.expect("the registry is open");
/// assert!(services.names.contains("echo"));
/// # Ok(())
/// # }
#[cfg_attr(not(feature = "embedded"), doc = "# #[cfg(not(any()))] fn main() {}")]
/// ```
#[derive(Clone, Debug)]
pub struct Services {
    views: watch::Receiver<View>,
}

impl Services {
    /// Starts the task. Returns when the names are known.
    pub(crate) async fn start(node: ServiceNode, clock: Clock, seed: u64) -> Result<Self, Error> {
        let path = node.path.to_string();
        let (sender, mut views) = watch::channel(View::default());
        node.client.clone().spawn(Driver::new(node, clock, seed).run(sender));
        let view = views.wait_for(|view| view.names.is_some() || view.refused.is_some()).await;
        let view = view.map_err(|_| Error::Closed)?.clone();
        match view.refused {
            Some(source) => Err(Error::Services { path, source }),
            None => Ok(Self { views }),
        }
    }

    /// Returns the last known names.
    #[must_use]
    pub fn current(&self) -> Arc<ServiceNames> {
        let mut names = self.views.borrow().names.clone().unwrap_or_default();
        // With the runtime of the task: it could not say that nobody is asked any more.
        if !names.stale && self.views.has_changed().is_err() {
            Arc::make_mut(&mut names).stale = true;
        }
        names
    }

    /// Waits for other names than at the last call, or than at the beginning, and returns them; `None` when the registry is
    /// closed. Dropping the future loses nothing.
    pub async fn changed(&mut self) -> Option<Arc<ServiceNames>> {
        self.views.changed().await.ok()?;
        Some(self.views.borrow_and_update().names.clone().unwrap_or_default())
    }
}
