//! Registered workers of the service.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use registry::{Instance, InstanceId, Members, Registry, Subscription};
use tokio::time::timeout;

use crate::{PATIENCE, Result};

/// Worker in the registry.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Registered {
    /// Address of its server.
    pub(crate) addr: String,
    /// Name of its node.
    pub(crate) node: String,
}

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

    /// Returns the workers with their servers' addresses and their nodes.
    pub(crate) fn workers(&self) -> BTreeMap<u32, Registered> {
        let members = self.subscription.current();
        let worker = |(id, instance): (&InstanceId, &Arc<Instance>)| {
            Some((pid(instance)?, Registered { addr: instance.addr(), node: id.to_string() }))
        };
        members.instances.iter().filter_map(worker).collect()
    }

    /// Waits for a change. Fails if the registry was closed.
    pub(crate) async fn changed(&mut self) -> Result<()> {
        self.subscription.changed().await.map(drop).ok_or_else(|| "the registry was closed".into())
    }

    /// Waits until `find` returns a value; the error names `what`.
    pub(crate) async fn wait<T>(&mut self, what: &str, find: impl Fn(&Self) -> Option<T>) -> Result<T> {
        let found = async {
            loop {
                if let Some(found) = find(self) {
                    return Ok(found);
                }
                self.changed().await?;
            }
        };
        timeout(PATIENCE, found).await.map_err(|_| format!("waited in vain for {what}"))?
    }
}

fn pids(members: &Arc<Members>, wanted: impl Fn(&Instance) -> bool) -> BTreeSet<u32> {
    let wanted = members.instances.values().filter(|instance| wanted(instance));
    wanted.filter_map(|instance| pid(instance)).collect()
}

fn pid(instance: &Instance) -> Option<u32> {
    instance.get("pid")?.as_u64()?.try_into().ok()
}

/// Waits until the service has no instance.
pub(crate) async fn all_are_gone(hosts: &str, service: &str) -> Result<()> {
    let registry = Registry::connect(hosts).await?;
    let mut view = RegistryView::new(registry.subscribe(service).await?);
    view.wait("the last node to go", |view| view.pids().is_empty().then_some(())).await
}
