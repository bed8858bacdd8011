//! The stage of one day: a server of its own, the processes that play, and the story that is told afterwards.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::sync::Arc;
use std::time::Duration;

use common::{Millis, TokioClock};
use nix::sys::signal::Signal;
use tokio::time::sleep;
use zk_mini::history::{Entry, EntryKind};
use zk_mini::{WatchInfo, ZkMini};
use zk_wire::{SessionId, Zxid};

use crate::actor::Actor;
use crate::claim::Claim;
use crate::role::Role;
use crate::trouble::Trouble;

/// Path that a command may use, with everything below.
pub(crate) const PATH: &str = "/torture";

/// Session timeout that a command must ask for.
pub(crate) const SESSION_TIMEOUT: Duration = Duration::from_secs(2);
/// Unit of expiry of the server.
pub(crate) const TICK: Duration = Duration::from_millis(100);
/// Time in which a good client has dealt with a bad day, from the moment at which it could.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);
/// Time for which a state must last before it counts as the final one.
pub(crate) const CALM: Duration = Duration::from_millis(400);
/// Time that a process may take to end after SIGTERM.
pub(crate) const END_LIMIT: Duration = Duration::from_secs(5);
/// Status by which a command says that it does not play a role, as in automake's tests.
const NOT_PLAYED: i32 = 77;

/// Maximum number of nodes that are explained.
const MOST_EXPLAINED: usize = 4;
/// Number of requests, and of other entries, that are remembered: a day has some hundreds.
const HISTORY: usize = 10_000;

const PAUSE: Duration = Duration::from_millis(5);

/// A node of an instance.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Node {
    pub(crate) path: String,
    pub(crate) owner: SessionId,
    pub(crate) created: Zxid,
}

/// A server, processes and a story.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) zk: ZkMini,
    command: Arc<[OsString]>,
    servers: String,
    ready_limit: Duration,
    clock: TokioClock,
    story: Vec<(Millis, String)>,
    actors: Vec<Arc<Actor>>,
}

impl Stage {
    /// Starts a server for one day.
    pub(crate) async fn open(
        command: Arc<[OsString]>,
        ready_limit: Duration,
    ) -> Result<Self, zk_mini::Error> {
        let server = ZkMini::builder().history(HISTORY).tick(TICK).max_session_timeout(100 * SESSION_TIMEOUT);
        let zk = server.start().await?;
        let servers = zk.connect_string();
        let (story, actors) = (Vec::new(), Vec::new());
        Ok(Self { zk, command, servers, ready_limit, clock: TokioClock::start(), story, actors })
    }

    /// Returns the time since the start of the day.
    pub(crate) fn now(&self) -> Millis {
        self.clock.now()
    }

    /// Adds a line to the story.
    pub(crate) fn tell(&mut self, line: impl AsRef<str>) {
        self.story.push((self.now(), line.as_ref().into()));
    }

    /// Ends the day: kills all processes, and returns the story, with their last words, and the server's explanation of the
    /// nodes that instances have had.
    pub(crate) fn close(mut self) -> Vec<String> {
        self.story.extend(self.actors.iter().flat_map(|actor| actor.last_claims()));
        // Stable: what was told at the same time stays in order.
        self.story.sort_by_key(|(at, _)| *at);
        let line = |(at, line): (Millis, String)| format!("{:6.3} s  {line}", at.0 as f64 / 1_000.0);
        let mut story: Vec<_> = self.story.into_iter().map(line).collect();
        story.extend(self.actors.iter().flat_map(|actor| actor.describe()));
        let history = self.zk.history().kind(EntryKind::Transaction);
        let owned = |entry: &&Entry| entry.what == "created" && entry.session.is_some();
        let mut paths: Vec<_> = history.iter().filter(owned).filter_map(|entry| entry.path.clone()).collect();
        paths.retain(|path| path.len() > PATH.len() && path.starts_with(PATH));
        paths.dedup();
        let first = paths.len().saturating_sub(MOST_EXPLAINED);
        for path in paths.drain(first..) {
            story.extend(self.zk.explain(&path).to_string().lines().map(String::from));
        }
        story
    }

    /// Starts a process.
    pub(crate) fn start(&mut self, role: Role, name: &'static str) -> Result<Arc<Actor>, Trouble> {
        let port = 8_000 + name.bytes().next().map_or(0, u16::from);
        let environment = BTreeMap::from([
            ("ZK_MINI_SERVERS", self.servers.clone()),
            ("ZK_MINI_ROLE", role.name().into()),
            ("ZK_MINI_PATH", PATH.into()),
            ("ZK_MINI_NAME", name.into()),
            ("ZK_MINI_DATA", format!(r#"{{"host":"127.0.0.1","port":{port},"name":"{name}"}}"#)),
            ("ZK_MINI_SESSION_TIMEOUT_MS", SESSION_TIMEOUT.as_millis().to_string()),
        ]);
        let actor = Actor::start(name, &self.command, &environment, self.clock)
            .map_err(|error| Trouble::NotReady(format!("the command cannot be started: {error}")))?;
        self.tell(format!("{name} starts, role {role}"));
        let actor = Arc::new(actor);
        self.actors.push(Arc::clone(&actor));
        Ok(actor)
    }

    /// Starts a process that registers an instance, and waits until it is found.
    pub(crate) async fn registrant(&mut self, name: &'static str) -> Result<(Arc<Actor>, Node), Trouble> {
        let actor = self.start(Role::Register, name)?;
        let node = self.ready(&actor, "registered", || {
            let node = self.nodes(name).pop()?;
            actor.last(Claim::registered)?.1.then_some(node)
        });
        let node = node.await?;
        self.tell(format!("{name} is registered: {}", node.path));
        Ok((actor, node))
    }

    /// Starts a process that follows the instances, and waits until it knows those with these names.
    pub(crate) async fn subscriber(
        &mut self,
        name: &'static str,
        members: &[&str],
    ) -> Result<Arc<Actor>, Trouble> {
        let actor = self.start(Role::Discover, name)?;
        let expected = names(members);
        let ready = self.ready(&actor, "aware of the members", || {
            (actor.last(Claim::members)?.1 == expected).then_some(())
        });
        ready.await?;
        self.tell(format!("{name} knows {members:?}"));
        Ok(actor)
    }

    /// Starts a process that gets the lock, and waits until it holds it.
    pub(crate) async fn holder(&mut self, name: &'static str) -> Result<Arc<Actor>, Trouble> {
        let actor = self.start(Role::Lock, name)?;
        let ready = self.ready(&actor, "the holder", || actor.last(Claim::held)?.1.then_some(()));
        ready.await?;
        self.tell(format!("{name} holds the lock"));
        Ok(actor)
    }

    /// Starts a process that waits for the lock, and waits until it queues: its node is there, or a watch of its own.
    pub(crate) async fn waiter(&mut self, name: &'static str) -> Result<Arc<Actor>, Trouble> {
        let earlier: BTreeSet<_> = self.zk.sessions().iter().map(|session| session.id).collect();
        let actor = self.start(Role::Lock, name)?;
        let ready = self.ready(&actor, "waiting", || {
            let is_new = |session: SessionId| !earlier.contains(&session);
            let watches = self.zk.watches();
            let waits =
                |watch: &&WatchInfo| watch.path.starts_with(PATH) && watch.session.is_some_and(is_new);
            watches.iter().find(waits).map(|_| ())
        });
        ready.await?;
        self.tell(format!("{name} waits for the lock"));
        Ok(actor)
    }

    /// Starts a process that follows the instances, and waits until it has looked for them. It may have found none.
    pub(crate) async fn early_subscriber(&mut self, name: &'static str) -> Result<Arc<Actor>, Trouble> {
        let sessions = self.zk.sessions().len();
        let actor = self.start(Role::Discover, name)?;
        let connected =
            self.ready(&actor, "connected", || (self.zk.sessions().len() > sessions).then_some(()));
        connected.await?;
        let has_looked =
            || (self.watches_below() > 0 || actor.has_spoken() || actor.ended().is_some()).then_some(());
        self.until(PATIENCE, has_looked).await;
        self.tell(format!("{name} is connected, and has looked for members"));
        Ok(actor)
    }

    /// Returns the nodes of an instance: those below the path with its name in their data or in their own name.
    pub(crate) fn nodes(&self, name: &str) -> Vec<Node> {
        let mut found = Vec::new();
        self.walk(PATH, &mut |path, data, node| {
            let own_name = path.rsplit('/').next().unwrap_or_default();
            if own_name.contains(name) || data.windows(name.len()).any(|part| part == name.as_bytes()) {
                found.push(node);
            }
        });
        found
    }

    /// Returns all nodes below the path, parents first.
    pub(crate) fn all_nodes(&self) -> Vec<Node> {
        let mut found = Vec::new();
        self.walk(PATH, &mut |_, _, node| found.push(node));
        found
    }

    /// Returns the nodes of an instance that are there to stay: ephemeral nodes of dead sessions are not counted.
    pub(crate) fn living_nodes(&self, name: &str) -> Vec<Node> {
        let living: BTreeSet<_> = self.zk.sessions().iter().map(|session| session.id).collect();
        let mut nodes = self.nodes(name);
        nodes.retain(|node| node.owner == SessionId::NONE || living.contains(&node.owner));
        nodes
    }

    fn walk(&self, path: &str, visit: &mut impl FnMut(&str, &[u8], Node)) {
        for name in self.zk.children(path).unwrap_or_default() {
            let path = format!("{path}/{name}");
            let Some((data, stat)) = self.zk.get(&path) else { continue };
            let node = Node { path: path.clone(), owner: stat.ephemeral_owner, created: stat.czxid };
            visit(&path, &data, node);
            self.walk(&path, visit);
        }
    }

    fn watches_below(&self) -> usize {
        self.zk.watches().iter().filter(|watch| watch.path.starts_with(PATH)).count()
    }

    /// Waits until `probe` returns something; `None` after the limit.
    pub(crate) async fn until<T>(&self, limit: Duration, mut probe: impl FnMut() -> Option<T>) -> Option<T> {
        let deadline = self.now() + limit.into();
        loop {
            if let Some(found) = probe() {
                return Some(found);
            }
            if self.now() >= deadline {
                return None;
            }
            sleep(PAUSE).await;
        }
    }

    /// Waits until `probe` says that all is well, and goes on to say so for a while. Otherwise its last complaint is what
    /// happened. A process that ends by itself is the end of it.
    pub(crate) async fn settled(
        &self,
        limit: Duration,
        mut probe: impl FnMut() -> Result<(), String>,
    ) -> Result<(), Trouble> {
        let mut well_since = None;
        let mut complaint = String::new();
        let calm = self.until(limit + CALM, || match (self.all_live(), probe()) {
            (Err(casualty), _) => Some(Err(casualty)),
            (Ok(()), Ok(())) => {
                let since = *well_since.get_or_insert(self.now());
                (self.now().since(since) >= CALM.into()).then_some(Ok(()))
            }
            (Ok(()), Err(now)) => {
                complaint = now;
                well_since = None;
                None
            }
        });
        let settled =
            calm.await.unwrap_or_else(|| Err(format!("after {:.1} s: {complaint}", limit.as_secs_f64())));
        settled.map_err(Trouble::Failed)
    }

    /// Returns the complaint that a process has ended by itself, if one has.
    fn all_live(&self) -> Result<(), String> {
        self.actors.iter().try_for_each(|actor| actor.is_alive())
    }

    /// Waits until no process has read anything for a while, so that what comes later belongs to what is done next. One that
    /// asks again and again is not waited for.
    pub(crate) async fn quiet(&self) {
        let (mut reads, mut since) = (0, self.now());
        let quiet = self.until(PATIENCE, || {
            let now = self.zk.history().filter(Entry::is_read).len();
            if now != reads {
                (reads, since) = (now, self.now());
            }
            (self.now().since(since) >= CALM.into()).then_some(())
        });
        quiet.await;
    }

    /// Requires that an instance is registered exactly once, and that its process knows it.
    pub(crate) async fn registered_once(&self, actor: &Actor, limit: Duration) -> Result<(), Trouble> {
        self.settled(limit, || self.is_registered_once(actor)).await
    }

    pub(crate) fn is_registered_once(&self, actor: &Actor) -> Result<(), String> {
        let name = actor.name;
        let says = actor.last(Claim::registered).map(|(_, says)| says);
        match (&self.living_nodes(name)[..], says) {
            ([_], Some(true)) => Ok(()),
            ([node], _) => Err(format!("{name} is registered as {}, and does not say so", node.path)),
            ([], Some(true)) => Err(format!("{name} has no node, and believes that it is registered")),
            ([], _) => Err(format!("{name} has no node")),
            (nodes, _) => {
                let paths: Vec<_> = nodes.iter().map(|node| &node.path[..]).collect();
                Err(format!("{name} has {} nodes of living sessions: {}", nodes.len(), paths.join(", ")))
            }
        }
    }

    /// Requires that a process comes back to its session.
    pub(crate) async fn reconnected(&mut self, actor: &Actor, session: SessionId) -> Result<(), Trouble> {
        let find = || self.zk.sessions().into_iter().find(|found| found.id == session);
        let back = self.until(PATIENCE, || find().is_some_and(|found| found.conn.is_some()).then_some(()));
        if back.await.is_none() {
            let what =
                format!("{} has not come back to its session {session} within {PATIENCE:?}", actor.name);
            return Err(Trouble::Failed(what));
        }
        self.tell(format!("{} is back in its session {session}", actor.name));
        Ok(())
    }

    /// Requires that a node stays as it is for a while, and that no other appears beside it.
    pub(crate) async fn untouched(&self, actor: &Actor, node: &Node) -> Result<(), Trouble> {
        let change = self.until(CALM, || match &self.nodes(actor.name)[..] {
            [same] if same == node => actor.is_alive().err(),
            nodes => Some(format!("the node {} is not left alone: now there is {nodes:?}", node.path)),
        });
        change.await.map_or(Ok(()), |change| Err(Trouble::Failed(change)))
    }

    /// Requires that a process knows exactly these instances.
    pub(crate) async fn knows(
        &self,
        actor: &Actor,
        members: &[&str],
        limit: Duration,
    ) -> Result<(), Trouble> {
        let expected = names(members);
        let probe = || {
            let (_, known) = actor.last(Claim::members).unwrap_or_default();
            if known == expected {
                return Ok(());
            }
            Err(format!("{} believes in {}; there is {}", actor.name, list(&known), list(&expected)))
        };
        self.settled(limit, probe).await
    }

    /// Requires that a process gets the lock.
    pub(crate) async fn held_by(&self, actor: &Actor, limit: Duration) -> Result<(), Trouble> {
        let probe = || {
            if holds(actor) {
                Ok(())
            } else {
                Err(format!("{} does not hold the lock, which is free", actor.name))
            }
        };
        self.settled(limit, probe).await
    }

    /// Requires that a process gets the lock, and that its former holder knows.
    pub(crate) async fn held_only_by(
        &self,
        actor: &Actor,
        former: &Actor,
        limit: Duration,
    ) -> Result<(), Trouble> {
        let probe = || match (holds(actor), holds(former)) {
            (true, false) => Ok(()),
            (true, true) => {
                Err(format!("{} holds the lock, and {} believes that it does, too", actor.name, former.name))
            }
            (false, _) => Err(format!("{} does not hold the lock", actor.name)),
        };
        self.settled(limit, probe).await
    }

    /// Sends SIGTERM and waits for the end of the process.
    pub(crate) async fn terminate(&mut self, actor: &Actor) -> Result<(), Trouble> {
        actor.signal(Signal::SIGTERM);
        self.tell(format!("{} gets SIGTERM", actor.name));
        let ended = self.until(END_LIMIT, || actor.ended()).await;
        let late = || Trouble::Failed(format!("{} still runs {END_LIMIT:?} after SIGTERM", actor.name));
        ended.map(|_| ()).ok_or_else(late)
    }

    /// Waits for a process to be ready. Nothing bad has been done to it yet, so a failure is the command's own.
    async fn ready<T>(
        &self,
        actor: &Actor,
        what: &str,
        mut probe: impl FnMut() -> Option<T>,
    ) -> Result<T, Trouble> {
        let (name, limit) = (actor.name, self.ready_limit);
        let ready = self.until(limit, || probe().map(Ok).or_else(|| actor.ended().map(Err)));
        match ready.await {
            Some(Ok(ready)) => Ok(ready),
            Some(Err(status)) if status.code() == Some(NOT_PLAYED) => {
                Err(Trouble::NotPlayed(format!("the command does not play the role: status {NOT_PLAYED}")))
            }
            Some(Err(status)) => {
                Err(Trouble::NotReady(format!("{name} ended ({status}) before it was {what}")))
            }
            None if actor.has_spoken() => Err(Trouble::NotReady(format!(
                "{name} was not {what} after {limit:?}, though nothing was done to it"
            ))),
            None => Err(Trouble::NotReady(format!(
                "{name} has not said one line that the contract knows in {limit:?}"
            ))),
        }
    }
}

pub(crate) fn holds(actor: &Actor) -> bool {
    actor.last(Claim::held).is_some_and(|(_, held)| held)
}

fn list(names: &BTreeSet<String>) -> String {
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    if names.is_empty() { "nobody".into() } else { names.join(" and ") }
}

fn names(members: &[&str]) -> BTreeSet<String> {
    members.iter().copied().map(String::from).collect()
}
