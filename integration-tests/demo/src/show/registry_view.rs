//! Registered workers of the service.

use std::collections::BTreeSet;
use std::sync::Arc;

use registry::{Instance, Members, Subscription};
use tokio::time::timeout;

use super::PATIENCE;
use crate::Result;

/// Follows the workers of the service.
pub(crate) struct RegistryView {
    subscription: Subscription,
}

impl RegistryView {
    pub(crate) fn new(subscription: Subscription) -> Self {
        Self { subscription }
    }

    /// Returns the workers of all servers.
    pub(crate) fn pids(&self) -> BTreeSet<u32> {
        pids(&self.subscription.current(), |_| true)
    }

    /// Returns the workers of one server.
    pub(crate) fn pids_at(&self, addr: &str) -> BTreeSet<u32> {
        pids(&self.subscription.current(), |instance| instance.addr() == addr)
    }

    /// Waits until `find` returns a value; the error names `what`.
    pub(crate) async fn wait<T>(&mut self, what: &str, find: impl Fn(&Self) -> Option<T>) -> Result<T> {
        let found = async {
            loop {
                if let Some(found) = find(self) {
                    return Ok(found);
                }
                self.subscription.changed().await.ok_or("the registry was closed")?;
            }
        };
        timeout(PATIENCE, found).await.map_err(|_| format!("waited in vain for {what}"))?
    }
}

fn pids(members: &Arc<Members>, wanted: impl Fn(&Instance) -> bool) -> BTreeSet<u32> {
    let wanted = members.instances.values().filter(|instance| wanted(instance));
    wanted.filter_map(|instance| instance.get("pid")?.as_u64()?.try_into().ok()).collect()
}
