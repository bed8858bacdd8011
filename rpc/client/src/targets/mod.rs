//! Addresses to connect to, made of the members of a service. No I/O.

mod aperture;
mod entry;
mod routes;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use registry::Instance;

pub(crate) use aperture::Aperture;
pub use entry::direct_addr;
pub(crate) use entry::place;
pub(crate) use routes::{Report, Routes};

/// Addresses to connect to.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Targets {
    pub(crate) by_addr: BTreeMap<String, Target>,
    /// The registry cannot be asked, so processes may have been replaced: any process of the service is accepted at
    /// these addresses.
    pub(crate) stale: bool,
    /// Time of the registry, in milliseconds since 1970.
    pub(crate) unix_ms: u64,
}

/// Connections and processes wanted at one address.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Target {
    /// Number of connections: one for each worker behind the address, so never more than `instances`.
    pub(crate) connections: usize,
    /// Entries of the processes that are expected there, by identity; empty if they are not known.
    pub(crate) instances: BTreeMap<String, Arc<Instance>>,
    /// Entry of any process there; `None` without a registry.
    pub(crate) any: Option<Arc<Instance>>,
}

impl Target {
    /// Returns true if the processes there are known.
    pub(crate) fn is_known(&self) -> bool {
        !self.instances.is_empty()
    }

    pub(crate) fn expects(&self, instance: &str) -> bool {
        !self.is_known() || self.instances.contains_key(instance)
    }

    /// Returns the registry's entry of a process, or of another one at the same address if it has none of its own.
    pub(crate) fn entry(&self, instance: &str) -> Option<&Arc<Instance>> {
        self.instances.get(instance).or(self.any.as_ref())
    }

    /// Returns the registry's entries of all processes there, as far as it has any.
    pub(crate) fn entries(&self) -> impl Iterator<Item = &Arc<Instance>> {
        let anonymous = if self.is_known() { 0 } else { self.connections };
        self.instances.values().chain(self.any.iter().cycle().take(anonymous))
    }

    /// Returns true if the same processes are expected in both, whatever else their entries say.
    pub(crate) fn has_same_processes(&self, other: &Self) -> bool {
        self.connections == other.connections && self.instances.keys().eq(other.instances.keys())
    }
}

/// Groups instances by the address at which each is to be reached; the workers of a preforked service may share one.
fn group<'a>(
    reached: impl IntoIterator<Item = (String, &'a Arc<Instance>)>,
    max_connections: usize,
    stale: bool,
    unix_ms: u64,
) -> Targets {
    let mut targets = BTreeMap::<String, Target>::new();
    let mut anonymous = BTreeSet::new();
    for (addr, instance) in reached {
        let target = targets.entry(addr.clone()).or_default();
        target.connections += 1;
        match entry::identity(instance) {
            Some(identity) => drop(target.instances.insert(identity.to_owned(), Arc::clone(instance))),
            None => drop(anonymous.insert(addr)),
        }
        target.any.get_or_insert_with(|| Arc::clone(instance));
    }
    // One node without an identity is enough: its process cannot be told from a stranger.
    for addr in &anonymous {
        if let Some(target) = targets.get_mut(addr) {
            target.instances.clear();
        }
    }
    for target in targets.values_mut() {
        // A process may have two nodes for a while: one of this session and one of the session before.
        let workers = if target.is_known() { target.instances.len() } else { target.connections };
        target.connections = workers.min(max_connections);
    }
    Targets { by_addr: targets, stale, unix_ms }
}

/// Returns the targets of a fixed list of addresses.
pub(crate) fn fixed(addrs: &[String], connections: usize) -> Targets {
    let target = Target { connections, ..Target::default() };
    let by_addr = addrs.iter().map(|addr| (addr.clone(), target.clone())).collect();
    Targets { by_addr, stale: false, unix_ms: 0 }
}

#[cfg(test)]
mod tests {
    use rpc_wire::INSTANCE_FIELD;

    use super::*;

    fn members(instances: impl IntoIterator<Item = Instance>) -> Vec<Arc<Instance>> {
        instances.into_iter().map(Arc::new).collect()
    }

    fn targets(members: &[Arc<Instance>], max_connections: usize) -> Targets {
        group(members.iter().map(|instance| (instance.addr(), instance)), max_connections, false, 0)
    }

    fn worker(port: u16, identity: &str) -> Instance {
        Instance::new("a", port).with(INSTANCE_FIELD, identity)
    }

    #[test]
    fn workers_behind_one_address_are_one_target() {
        let targets = targets(&members([worker(1, "x"), worker(1, "y"), worker(2, "z")]), 8).by_addr;
        assert_eq!(targets.keys().collect::<Vec<_>>(), ["a:1", "a:2"]);
        assert_eq!(targets["a:1"].connections, 2);
        assert!(targets["a:1"].instances.keys().eq(["x", "y"]));
    }

    #[test]
    fn losing_one_worker_of_several_removes_no_address() {
        let after = targets(&members([worker(1, "y")]), 8).by_addr;
        assert_eq!(after["a:1"].connections, 1);
    }

    #[test]
    fn connections_are_bounded() {
        let many = (0..100).map(|n| worker(1, &n.to_string()));
        assert_eq!(targets(&members(many), 8).by_addr["a:1"].connections, 8);
    }

    #[test]
    fn a_worker_with_two_nodes_is_wanted_once() {
        let targets = targets(&members([worker(1, "x"), worker(1, "x")]), 8).by_addr;
        assert_eq!(targets["a:1"].connections, 1);
    }

    #[test]
    fn a_node_without_identity_makes_every_process_welcome_at_its_address() {
        let members = members([worker(1, "x"), Instance::new("a", 1), worker(2, "z")]);
        let targets = targets(&members, 8).by_addr;
        assert!(targets["a:1"].instances.is_empty());
        assert_eq!(targets["a:2"].instances.len(), 1);
    }

    #[test]
    fn a_process_has_its_own_entry_or_one_of_its_address() {
        let of = |identity, weight| worker(1, identity).with_weight(weight);
        let before = &targets(&members([of("x", 1), of("y", 2)]), 8).by_addr["a:1"];
        let weight = |identity| before.entry(identity).map(|entry| entry.weight());
        assert_eq!([weight("x"), weight("y"), weight("z")], [Some(1), Some(2), Some(1)]);
        let after = &targets(&members([of("x", 5), of("y", 2)]), 8).by_addr["a:1"];
        assert!(before != after && before.has_same_processes(after));
    }
}
