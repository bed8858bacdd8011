//! Statements that hold at every quiet point.

use std::collections::BTreeSet;
use std::time::Duration;

use registry::{Instance, Members, RegistrationState};
use rpc_server::INSTANCE_FIELD;

use super::plan::Illness;
use super::process::SERVICE;
use super::world::{World, call};

/// Number of calls to find out whether an instance that fails gets few.
const CALLS: u64 = 100;

impl World {
    /// Checks that everybody knows all that there is, and that nothing is left of those who have gone.
    pub(super) async fn check(&self) -> Result<(), String> {
        self.check_nodes()?;
        self.check_views()?;
        self.check_leaks()?;
        self.check_calls().await?;
        self.check_ejection().await
    }

    /// Each live instance has exactly one node, which its live session owns. There are no others.
    fn check_nodes(&self) -> Result<(), String> {
        let nodes = self.nodes();
        let live: Vec<_> = self.instances.iter().filter_map(|place| place.taken()).collect();
        if nodes.len() != live.len() {
            return Err(format!("{} instances have the nodes {nodes:?}", live.len()));
        }
        for process in live {
            let own = nodes.iter().filter(|node| node.identity == process.identity);
            let owners: Vec<_> = own.map(|node| node.owner.clone()).collect();
            let session = process.registry.credentials().map(|credentials| credentials.session_id());
            if owners.iter().map(Some).ne([session.as_ref()]) {
                let identity = &process.identity;
                return Err(format!("nodes of {identity} belong to {owners:?}, its session is {session:?}"));
            }
            let state = process.registration.state();
            if !matches!(state, RegistrationState::Registered { .. }) {
                return Err(format!("{} is registered, and says {state:?}", process.identity));
            }
        }
        Ok(())
    }

    /// The view of each subscriber equals the tree.
    fn check_views(&self) -> Result<(), String> {
        let there: BTreeSet<_> = self.nodes().into_iter().map(|node| node.identity).collect();
        for subscriber in self.subscribers.iter().filter_map(|place| place.taken()) {
            let view = subscriber.subscription.current();
            if view.stale || identities(&view) != there || !view.skipped.is_empty() {
                return Err(format!("a subscriber sees {view:?}, and there are {there:?}"));
            }
        }
        Ok(())
    }

    /// The server has nothing but what live processes use.
    fn check_leaks(&self) -> Result<(), String> {
        let instances = self.instances.iter().filter_map(|place| place.taken()).count();
        let subscribers = self.subscribers.iter().filter_map(|place| place.taken()).count();
        let followers = subscribers + self.callers.len();
        let (sessions, connections) = (self.zk.sessions().len(), self.zk.connections().len());
        let live = instances + followers;
        if (sessions, connections) != (live, live) {
            return Err(format!("{live} processes have {sessions} sessions and {connections} connections"));
        }
        // An instance watches its node; a follower the list and each node.
        let (watches, needed) = (self.zk.watches(), instances + followers * (1 + instances));
        if watches.len() != needed {
            let watches =
                watches.iter().map(|watch| format!("\n{} {:?} {:?}", watch.path, watch.kind, watch.session));
            return Err(format!(
                "{needed} watches are needed, and there are:{}",
                watches.collect::<String>()
            ));
        }
        self.zk.no_ephemerals_of_the_dead().map_err(|error| error.to_string())
    }

    /// No call was lost or answered twice, and new ones are answered.
    async fn check_calls(&self) -> Result<(), String> {
        self.ledger.check()?;
        if self.instances.iter().all(|place| place.taken().is_none()) {
            return Ok(());
        }
        for caller in &self.callers {
            let before = caller.client.stats();
            call(&caller.client, &self.ledger, Duration::ZERO, false).await;
            self.ledger.check()?;
            let after = caller.client.stats();
            if after.ok != before.ok + 1 {
                return Err("a call fails although there are instances".to_owned());
            }
        }
        Ok(())
    }

    /// An instance that fails every call gets few of them, if there are others.
    async fn check_ejection(&self) -> Result<(), String> {
        let live: Vec<_> = self.instances.iter().filter_map(|place| place.taken()).collect();
        let [ailing, _, ..] = live[..] else { return Ok(()) };
        ailing.ail(Some(Illness::Fails));
        for caller in &self.callers {
            let before = caller.client.stats();
            for _ in 0..CALLS {
                call(&caller.client, &self.ledger, Duration::ZERO, false).await;
            }
            let failed = caller.client.stats().failed - before.failed;
            if failed * 50 > CALLS {
                return Err(format!("an instance that fails got {failed} of {CALLS} calls"));
            }
        }
        ailing.ail(None);
        self.ledger.check()
    }

    fn nodes(&self) -> Vec<Node> {
        let parent = format!("/{SERVICE}");
        let names = self.zk.children(&parent).unwrap_or_default();
        let nodes = names.iter().filter_map(|name| self.zk.get(&format!("{parent}/{name}")));
        nodes
            .map(|(data, stat)| Node {
                identity: Instance::from_json(&data).map_or_else(|error| error.to_string(), |i| identity(&i)),
                owner: stat.ephemeral_owner.to_string(),
            })
            .collect()
    }
}

/// Node of the service, as the server has it.
#[derive(Debug)]
struct Node {
    identity: String,
    owner: String,
}

fn identities(members: &Members) -> BTreeSet<String> {
    members.instances.values().map(|instance| identity(instance)).collect()
}

fn identity(instance: &Instance) -> String {
    instance.get(INSTANCE_FIELD).and_then(|value| value.as_str()).unwrap_or("nobody").to_owned()
}
