//! A server with one queue, and contenders whose requests, replies, connections and sessions are lost.

use super::super::*;

/// Something that happens to a contender.
#[derive(Clone, Debug)]
pub(super) enum Act {
    /// Its client reaches the server, with a new session if the old one is over.
    Connect,
    /// Its connection breaks; a request under way is lost.
    Disconnect,
    /// The server ends its session.
    Expire,
    /// Its request is performed and answered.
    Perform,
    /// Its request is performed, and the reply lost with the connection.
    PerformUnanswered,
    /// Its request is refused.
    Refuse,
    /// Its watches that have fired are heard of.
    Hear,
    /// Its node is deleted by hand.
    Delete,
    /// It withdraws.
    Withdraw,
    /// Time passes.
    Wait(u64),
}

pub(super) struct World {
    pub(super) contenders: Vec<Contending>,
    /// Names and owners, in the order of their creation.
    pub(super) nodes: Vec<(String, SessionId)>,
    /// Number of creates.
    pub(super) created: i32,
    has_parent: bool,
    sessions: i64,
    now: Millis,
}

pub(super) struct Contending {
    pub(super) core: Core,
    pub(super) withdrawn: bool,
    pub(super) step: Option<Output>,
    session: Option<SessionId>,
    connected: bool,
    /// Name of its own node, if that is watched.
    node_watch: Option<String>,
    /// Name of the node before it, or the empty name of the list.
    queue_watch: Option<String>,
    fired: (bool, bool),
}

impl World {
    pub(super) fn new(roles: &[Role]) -> Self {
        let contending = |(seed, role): (u64, &Role)| Contending {
            core: Core::new(seed, Terms { naming: Naming::Curator, role: *role, again: true }),
            withdrawn: false,
            step: None,
            session: None,
            connected: false,
            node_watch: None,
            queue_watch: None,
            fired: (false, false),
        };
        let contenders = (1..).zip(roles).map(contending).collect();
        Self { contenders, nodes: Vec::new(), created: 0, has_parent: false, sessions: 0, now: Millis(0) }
    }

    pub(super) fn acts(&mut self, who: usize, acts: &[Act]) {
        for act in acts {
            self.act(who, act);
        }
    }

    pub(super) fn act(&mut self, who: usize, act: &Act) {
        match act {
            Act::Connect => self.connect(who),
            Act::Disconnect => self.disconnect(who, false),
            Act::Expire => self.expire(who),
            Act::Perform => {
                if let Some(step) = self.contenders[who].step.take() {
                    let outcome = self.perform(who, &step);
                    self.handle(who, Input::Done(outcome));
                }
            }
            Act::PerformUnanswered => self.disconnect(who, true),
            Act::Refuse => {
                if self.contenders[who].step.take().is_some() {
                    self.handle(who, Input::Done(StepOutcome::Failed(StepFailure::Refused)));
                }
            }
            Act::Hear => self.hear(who),
            Act::Delete => {
                if let Some(name) = self.node_of(who) {
                    self.remove(|(other, _)| *other == name);
                }
            }
            Act::Withdraw => {
                self.contenders[who].withdrawn = true;
                self.handle(who, Input::Withdraw);
            }
            Act::Wait(ms) => {
                self.now = self.now + Millis(*ms);
                for who in 0..self.contenders.len() {
                    if self.contenders[who].core.poll_deadline().is_some_and(|at| at <= self.now) {
                        self.handle(who, Input::Timeout);
                    }
                }
            }
        }
    }

    /// Lets everything come to its end, with a server that answers.
    pub(super) fn settle(&mut self) {
        for _ in 0..200 {
            for who in 0..self.contenders.len() {
                self.acts(who, &[Act::Connect, Act::Hear, Act::Perform]);
            }
            self.act(0, &Act::Wait(1_000));
        }
    }

    /// Returns the name of the node whose turn a contender believes in.
    pub(super) fn held(&self, who: usize) -> Option<String> {
        match self.contenders[who].core.phase() {
            Phase::Holding { path, .. } => path.rsplit('/').next().map(String::from),
            _ => None,
        }
    }

    pub(super) fn is_sure(&self, who: usize) -> bool {
        matches!(self.contenders[who].core.phase(), Phase::Holding { sure: true, .. })
    }

    fn handle(&mut self, who: usize, input: Input) {
        let contending = &mut self.contenders[who];
        contending.core.handle(self.now, input);
        if let Some(step) = contending.core.poll_output() {
            assert!(contending.step.replace(step).is_none(), "one step at a time");
        }
    }

    fn connect(&mut self, who: usize) {
        if self.contenders[who].connected {
            return;
        }
        let session = match self.contenders[who].session {
            Some(session) => session,
            None => {
                self.handle(who, Input::SessionOver);
                // Its watches are gone with the session, and the client says so.
                let watched =
                    (self.contenders[who].node_watch.take(), self.contenders[who].queue_watch.take());
                self.contenders[who].fired = (watched.0.is_some(), watched.1.is_some());
                self.sessions += 1;
                SessionId(self.sessions)
            }
        };
        self.contenders[who].session = Some(session);
        self.contenders[who].connected = true;
        self.handle(who, Input::Connected(session));
    }

    fn disconnect(&mut self, who: usize, performed: bool) {
        if !self.contenders[who].connected {
            return;
        }
        self.contenders[who].connected = false;
        self.handle(who, Input::Disconnected);
        if let Some(step) = self.contenders[who].step.take() {
            if performed {
                self.perform(who, &step);
            }
            self.handle(who, Input::Done(StepOutcome::Failed(StepFailure::Unanswered)));
        }
    }

    fn expire(&mut self, who: usize) {
        self.disconnect(who, false);
        if let Some(session) = self.contenders[who].session.take() {
            self.remove(|(_, owner)| *owner == session);
        }
    }

    fn hear(&mut self, who: usize) {
        if !self.contenders[who].connected {
            return;
        }
        let (node, queue) = std::mem::take(&mut self.contenders[who].fired);
        if node {
            self.handle(who, Input::NodeChanged);
        }
        if queue {
            self.handle(who, Input::QueueChanged);
        }
    }

    fn remove(&mut self, gone: impl Fn(&(String, SessionId)) -> bool) {
        let (removed, kept) = std::mem::take(&mut self.nodes).into_iter().partition(|node| gone(node));
        self.nodes = kept;
        for (name, _) in &removed {
            self.fire(name);
        }
    }

    fn fire(&mut self, name: &str) {
        for contending in &mut self.contenders {
            let fires = |watch: &mut Option<String>| {
                watch.take_if(|watched| watched.as_str() == name || watched.is_empty()).is_some()
            };
            contending.fired.0 |= fires(&mut contending.node_watch);
            contending.fired.1 |= fires(&mut contending.queue_watch);
        }
    }

    fn node_of(&self, who: usize) -> Option<String> {
        let session = self.contenders[who].session?;
        self.nodes.iter().find(|(_, owner)| *owner == session).map(|(name, _)| name.clone())
    }

    fn perform(&mut self, who: usize, step: &Output) -> StepOutcome {
        let owner = self.contenders[who].session.expect("a request has a session");
        let node = |name: &str| Node { path: format!("/locks/{name}"), owner, created: Zxid(1) };
        let position = |name: &str| self.nodes.iter().position(|(other, _)| other == name);
        match step {
            Output::EnsureParent => {
                self.has_parent = true;
                StepOutcome::ParentExists
            }
            Output::Create { .. } if !self.has_parent => StepOutcome::Failed(StepFailure::NoNode),
            Output::Create { name } => {
                let name = format!("{name}{:010}", self.created);
                self.created += 1;
                self.nodes.push((name.clone(), owner));
                self.fire("");
                StepOutcome::Created(node(&name))
            }
            Output::Find { name } => {
                let found = self.nodes.iter().find(|(other, _)| other.starts_with(name));
                StepOutcome::Found(found.map(|(name, owner)| Node { owner: *owner, ..node(name) }))
            }
            Output::List { watch } => {
                if *watch {
                    self.contenders[who].queue_watch = Some(String::new());
                }
                StepOutcome::Listed(self.nodes.iter().map(|(name, _)| name.clone()).collect())
            }
            Output::Watch { name } => {
                let exists = position(name).is_some();
                self.contenders[who].queue_watch = exists.then(|| name.clone());
                StepOutcome::Watched(exists)
            }
            Output::Check { path } => {
                let name = path.trim_start_matches("/locks/");
                self.contenders[who].node_watch = Some(name.to_owned());
                StepOutcome::Checked(position(name).map(|at| self.nodes[at].1))
            }
            Output::Delete { path } => {
                let name = path.trim_start_matches("/locks/").to_owned();
                if position(&name).is_none() {
                    return StepOutcome::Failed(StepFailure::NoNode);
                }
                self.remove(|(other, _)| *other == name);
                StepOutcome::Deleted
            }
        }
    }
}
